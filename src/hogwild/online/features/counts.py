"""What global weights need to know of all texts so far: documents, and how often words are in them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from hogwild.online.state import State, packed_texts, unpacked_texts

_K1, _B = 1.2, 0.75  # BM25's
COUNTED = ("idf", "idf1", "bm25")
Tables = dict[str, Any]
TextFeature = tuple[str, str, str, float]
_SUMS = ("frequencies", "groups", "lengths")


def _nothing() -> Tables:
    return {"documents": 0, "frequencies": {}, "groups": {}, "lengths": {}, "weights": {}}


def _add(into: Tables, tables: Tables) -> None:
    into["documents"] += tables["documents"]
    for table in _SUMS:
        sums = into[table]
        for name, count in tables[table].items():
            sums[name] = sums.get(name, 0) + count
    into["weights"].update(tables["weights"])


class Counts:
    """A part of a model: what has been counted, and the weights that users gave.

    Counts of several servers are added; of a feature's weights the last one stays.
    A group is what the texts of one key become by one rule.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """See `Part`."""
        self._master, self._kept, self._recent, self._trial = _nothing(), _nothing(), _nothing(), _nothing()

    def add(self, document: Tables) -> None:
        """Count a document (see `document_of`) on trial: `settle` ends it."""
        _add(self._trial, document)

    def settle(self, keep: bool) -> None:
        """Keep what has been added since the last time, or forget it."""
        if keep:
            _add(self._recent, self._trial)
        self._trial = _nothing()

    def set_weight(self, feature: str, weight: float) -> None:
        """Set the weight of a feature (``key$value@type``) under the global weight "weight"."""
        if not math.isfinite(weight):
            raise ValueError(f"the weight of {feature!r} must be finite, found {weight}")
        self._recent["weights"][feature] = float(weight)

    def weighted(self, features: Iterable[TextFeature], lengths: Mapping[str, float]) -> Iterable[tuple[str, float]]:
        """Yield names and values of a document's features, with their global weights.

        Parameters
        ----------
        features : iterable of (global weight, name, group, value)
        lengths : mapping
            Of the document's groups; see `document_of`.
        """
        layers = self._master, self._kept, self._recent, self._trial
        documents = sum(tables["documents"] for tables in layers)
        found = [tables["frequencies"].get for tables in layers if tables["frequencies"]]
        for kind, name, group, value in features:
            if kind == "bin":
                yield name, value
                continue
            if kind == "weight":
                yield name, value * self._user_weight(name[: name.rindex("#")])
                continue
            frequency = 0
            for get in found:
                frequency += get(name, 0)
            if kind == "bm25":
                seen = sum(tables["groups"].get(group, 0) for tables in layers)
                total = sum(tables["lengths"].get(group, 0) for tables in layers)
                relative = lengths[group] * seen / total if total else 1.0
                saturated = value * (_K1 + 1) / (value + _K1 * (1 - _B + _B * relative))
                yield name, math.log((documents - frequency + 0.5) / (frequency + 0.5)) * saturated
            else:
                yield name, value * (math.log((documents + 1) / (frequency + 1)) + (kind == "idf1"))

    def _user_weight(self, feature: str) -> float:
        for tables in (self._recent, self._kept, self._master):
            if feature in tables["weights"]:
                return tables["weights"][feature]
        return 0.0

    def __len__(self) -> int:
        return len(set().union(*(tables["frequencies"] for tables in (self._master, self._kept, self._recent))))

    # ------------------------------------------------------------------------------------------------ as a part

    def state(self) -> State:
        """See `Part`."""
        tables = self.join([self._master, self._kept, self._recent])
        arrays = {}
        for table, kind in (("frequencies", np.int64), ("groups", np.int64), ("lengths", float), ("weights", float)):
            names = sorted(tables[table])
            arrays[f"{table}.letters"], arrays[f"{table}.offsets"] = packed_texts(names)
            arrays[table] = np.array([tables[table][name] for name in names], kind)
        return State({"documents": tables["documents"]}, arrays)

    def restore(self, state: State) -> None:
        """See `Part`."""
        try:
            master: Tables = {"documents": int(state.about["documents"])}
            for table in (*_SUMS, "weights"):
                names = unpacked_texts(state.arrays[f"{table}.letters"], state.arrays[f"{table}.offsets"])
                master[table] = dict(zip(names, state.arrays[table].tolist(), strict=True))
        except (KeyError, TypeError) as error:
            raise ValueError(f"counts of documents need {error}") from None
        self.clear()
        self._master = master

    def cut(self) -> Tables:
        """See `Mixable`."""
        cut, self._recent = self._recent, _nothing()
        self._kept = self.join([self._kept, cut])
        return cut

    def join(self, cuts: list[Tables]) -> Tables:
        """See `Mixable`."""
        joined = _nothing()
        for cut in cuts:
            _add(joined, cut)
        return joined

    def fold(self, diffs: list[Tables]) -> Tables:
        """See `Mixable`."""
        return self.join(diffs)

    def apply(self, mixed: Tables, kept: list[Tables]) -> None:
        """See `Mixable`."""
        _add(self._master, mixed)
        self._kept = self.join(kept)

    def full(self) -> Tables:
        """See `Mixable`."""
        return self.join([self._master])

    def load(self, full: Tables, kept: list[Tables]) -> None:
        """See `Mixable`."""
        self._master, self._kept = self.join([full]), self.join(kept)


def document_of(features: Iterable[TextFeature]) -> tuple[Tables, dict[str, float]]:
    """Return what one document adds to the counts, and the lengths of its groups: the sums of their values.

    Parameters
    ----------
    features : iterable of (global weight, name, group, value)
        Of its texts, with their sample weights.
    """
    lengths: dict[str, float] = {}
    names: dict[str, int] = {}
    for kind, name, group, value in features:
        if kind in COUNTED:
            lengths[group] = lengths.get(group, 0) + value
            names[name] = 1
    groups = dict.fromkeys(lengths, 1)
    return {"documents": 1, "frequencies": names, "groups": groups, "lengths": lengths, "weights": {}}, lengths
