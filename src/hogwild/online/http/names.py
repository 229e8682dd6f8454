"""What arguments and the members of structs are called in JSON; on the wire they only have places."""

from __future__ import annotations

from hogwild.online.methods import LABELED, SCORED, SCORES
from hogwild.online.wire import Listed, Struct

_ROW = ("id", "datum")

_COMMON = {"save": ("id",), "load": ("id",)}

_ARGUMENTS: dict[str, dict[str, tuple[str, ...]]] = {
    "classifier": {
        "train": ("examples",),
        "classify": ("data",),
        "set_label": ("label",),
        "delete_label": ("label",),
    },
    "regression": {"train": ("examples",), "estimate": ("data",)},
    "recommender": {
        "clear_row": ("id",),
        "update_row": _ROW,
        "complete_row_from_id": ("id",),
        "complete_row_from_datum": ("datum",),
        "decode_row": ("id",),
        "similar_row_from_id": ("id", "size"),
        "similar_row_from_id_and_score": ("id", "score"),
        "similar_row_from_id_and_rate": ("id", "rate"),
        "similar_row_from_datum": ("datum", "size"),
        "similar_row_from_datum_and_score": ("datum", "score"),
        "similar_row_from_datum_and_rate": ("datum", "rate"),
        "calc_similarity": ("left", "right"),
        "calc_l2norm": ("datum",),
    },
    "nearest_neighbor": {
        "set_row": _ROW,
        "neighbor_row_from_id": ("id", "size"),
        "neighbor_row_from_datum": ("datum", "size"),
        "similar_row_from_id": ("id", "size"),
        "similar_row_from_datum": ("datum", "size"),
    },
    "anomaly": {
        "add": ("datum",),
        "add_bulk": ("data",),
        "update": _ROW,
        "overwrite": _ROW,
        "clear_row": ("id",),
        "calc_score": ("datum",),
    },
    "stat": {
        "push": ("key", "value"),
        "moment": ("key", "degree", "center"),
        **dict.fromkeys(("sum", "stddev", "max", "min", "entropy"), ("key",)),
    },
    "weight": {"update": ("datum",), "calc_weight": ("datum",)},
}

_SCORES = {"classifier": ("label", "score"), "weight": ("feature", "weight")}


def _struct(of: Listed) -> Struct:
    assert isinstance(of.item, Struct)
    return of.item


def arguments_of(kind: str, method: str) -> tuple[str, ...]:
    """Return the names of a method's arguments, in their order on the wire."""
    return (_COMMON | _ARGUMENTS[kind]).get(method, ())


def members_of(kind: str) -> dict[Struct, tuple[str, ...]]:
    """Return the names of the members of every struct that a type of server takes or gives."""
    return {
        _struct(LABELED): ("label", "datum"),
        SCORED: ("target", "datum"),
        _struct(SCORES): _SCORES.get(kind, ("id", "score")),
    }
