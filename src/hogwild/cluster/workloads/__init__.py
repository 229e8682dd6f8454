"""What workers compute: chunks of data, estimators as tables of parameters, phases of steps. No networking."""

from __future__ import annotations

from hogwild.cluster.workloads.estimator import EstimatorWorkload
from hogwild.cluster.workloads.files import FileSource, HogSource, open_source, survey_all
from hogwild.cluster.workloads.jobs import check_estimator, make_problem, read_matrix
from hogwild.cluster.workloads.linear import LinearProblem
from hogwild.cluster.workloads.machines import FfmProblem, FmProblem
from hogwild.cluster.workloads.problem import Problem, Trained
from hogwild.cluster.workloads.ratings import RatingsProblem, read_ratings
from hogwild.cluster.workloads.sources import ArraySource, ReaderSource, Source
from hogwild.cluster.workloads.survey import Survey, check_paths, merge_surveys

__all__ = [
    "ArraySource",
    "EstimatorWorkload",
    "FfmProblem",
    "FileSource",
    "FmProblem",
    "HogSource",
    "LinearProblem",
    "Problem",
    "RatingsProblem",
    "ReaderSource",
    "Source",
    "Survey",
    "Trained",
    "check_estimator",
    "check_paths",
    "make_problem",
    "merge_surveys",
    "open_source",
    "read_matrix",
    "read_ratings",
    "survey_all",
]
