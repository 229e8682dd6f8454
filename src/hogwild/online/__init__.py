"""Online learning: from one example to the next, in a process or in a group of servers that mix what they learnt."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# name: module; imported on first use: servers listen before the learners are loaded
_PLACES = {
    "AROWClassifier": "hogwild.online.linear.estimators",
    "AROWRegressor": "hogwild.online.linear.estimators",
    "CWClassifier": "hogwild.online.linear.estimators",
    "CWRegressor": "hogwild.online.linear.estimators",
    "NHERDClassifier": "hogwild.online.linear.estimators",
    "NHERDRegressor": "hogwild.online.linear.estimators",
    "OnlineClassifier": "hogwild.online.linear.estimators",
    "OnlineRegressor": "hogwild.online.linear.estimators",
    "PA1Classifier": "hogwild.online.linear.estimators",
    "PA1Regressor": "hogwild.online.linear.estimators",
    "PA2Classifier": "hogwild.online.linear.estimators",
    "PA2Regressor": "hogwild.online.linear.estimators",
    "PAClassifier": "hogwild.online.linear.estimators",
    "PARegressor": "hogwild.online.linear.estimators",
    "PerceptronClassifier": "hogwild.online.linear.estimators",
    "PerceptronRegressor": "hogwild.online.linear.estimators",
    "Datum": "hogwild.online.datum",
    "Converter": "hogwild.online.features.converter",
    "Vocabulary": "hogwild.online.features.vocabulary",
    "make_driver": "hogwild.online.driver",
}
__all__ = [*sorted(_PLACES)]

if TYPE_CHECKING:
    from hogwild.online.datum import Datum as Datum
    from hogwild.online.driver import make_driver as make_driver
    from hogwild.online.features.converter import Converter as Converter
    from hogwild.online.features.vocabulary import Vocabulary as Vocabulary
    from hogwild.online.linear.estimators import AROWClassifier as AROWClassifier
    from hogwild.online.linear.estimators import AROWRegressor as AROWRegressor
    from hogwild.online.linear.estimators import CWClassifier as CWClassifier
    from hogwild.online.linear.estimators import CWRegressor as CWRegressor
    from hogwild.online.linear.estimators import NHERDClassifier as NHERDClassifier
    from hogwild.online.linear.estimators import NHERDRegressor as NHERDRegressor
    from hogwild.online.linear.estimators import OnlineClassifier as OnlineClassifier
    from hogwild.online.linear.estimators import OnlineRegressor as OnlineRegressor
    from hogwild.online.linear.estimators import PA1Classifier as PA1Classifier
    from hogwild.online.linear.estimators import PA1Regressor as PA1Regressor
    from hogwild.online.linear.estimators import PA2Classifier as PA2Classifier
    from hogwild.online.linear.estimators import PA2Regressor as PA2Regressor
    from hogwild.online.linear.estimators import PAClassifier as PAClassifier
    from hogwild.online.linear.estimators import PARegressor as PARegressor
    from hogwild.online.linear.estimators import PerceptronClassifier as PerceptronClassifier
    from hogwild.online.linear.estimators import PerceptronRegressor as PerceptronRegressor


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'hogwild.online' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
