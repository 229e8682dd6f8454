"""Published tables and figures, measured again: one module for each, told in `FINDABLE`, run by `hogwild reproduce`."""

from __future__ import annotations

import importlib

from hogwild.experiments.findings import Experiment

# name: module with an `EXPERIMENT`; imported when it is asked for
FINDABLE = {
    "hogwild-2011": "hogwild.experiments.hogwild_2011",
    "cs246-svm": "hogwild.experiments.cs246_svm",
    "async-2012": "hogwild.experiments.async_2012",
    "sharing": "hogwild.experiments.sharing",
    "jubatus-mix": "hogwild.experiments.jubatus_mix",
    "ffm-criteo": "hogwild.experiments.ffm_criteo",
}


def find(name: str) -> Experiment:
    """Return the experiment of this name.

    Raises
    ------
    ValueError
        If there is none; says which there are.
    """
    if name not in FINDABLE:
        raise ValueError(f"found {name!r}, expected an experiment: {', '.join(FINDABLE)}")
    return importlib.import_module(FINDABLE[name]).EXPERIMENT
