"""The online learners as scikit-learn estimators."""

from __future__ import annotations

from hogwild.online.linear.classifier_estimators import (
    AROWClassifier,
    CWClassifier,
    NHERDClassifier,
    PA1Classifier,
    PA2Classifier,
    PAClassifier,
    PerceptronClassifier,
)
from hogwild.online.linear.datum_estimators import OnlineClassifier, OnlineRegressor
from hogwild.online.linear.regressor_estimators import (
    AROWRegressor,
    CWRegressor,
    NHERDRegressor,
    PA1Regressor,
    PA2Regressor,
    PARegressor,
    PerceptronRegressor,
)

__all__ = [
    "AROWClassifier",
    "AROWRegressor",
    "CWClassifier",
    "CWRegressor",
    "NHERDClassifier",
    "NHERDRegressor",
    "OnlineClassifier",
    "OnlineRegressor",
    "PA1Classifier",
    "PA1Regressor",
    "PA2Classifier",
    "PA2Regressor",
    "PAClassifier",
    "PARegressor",
    "PerceptronClassifier",
    "PerceptronRegressor",
]
