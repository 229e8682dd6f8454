"""What servers of each type can be asked: one table for the server, the proxy, the log, HTTP and the documentation."""

from __future__ import annotations

from typing import Literal, NamedTuple

from hogwild.online.wire import BOOL, DATUM, DOUBLE, FLOAT, INT, TEXT, UINT, Listed, Mapped, Struct, Type

Routing = Literal["random", "broadcast", "hash"]
Joining = Literal["pass", "all", "any", "merge"]


class Method(NamedTuple):
    """A call.

    Attributes
    ----------
    takes : tuple of Type
        Without the group's name, which comes first on the wire.
    gives : Type
    changes : bool
        Whether it may change the model: such calls are applied in order, logged and counted.
    routing : {"random", "broadcast", "hash"}
        Which active servers a proxy asks: one, all, or those that the first argument's hash falls to.
    joining : {"pass", "all", "any", "merge"}
        What a proxy makes of their answers: the only one, whether all or any are true, or one map.
    copies : int
        Servers that a hashed key falls to.
    about : str
        A line for descriptions.
    """

    takes: tuple[Type, ...]
    gives: Type
    changes: bool = False
    routing: Routing = "random"
    joining: Joining = "pass"
    copies: int = 1
    about: str = ""


LABELED = Listed(Struct((TEXT, DATUM)))
SCORED = Struct((DOUBLE, DATUM))
SCORES = Listed(Struct((TEXT, DOUBLE)))
IDS = Listed(TEXT)
STATUS = Mapped(Mapped(TEXT))


def _asks(*takes: Type, gives: Type, about: str, routing: Routing = "random", copies: int = 1) -> Method:
    return Method(takes, gives, False, routing, "pass", copies, about)


def _changes(
    *takes: Type, gives: Type, about: str, routing: Routing = "random", joining: Joining = "pass", copies: int = 1
) -> Method:
    return Method(takes, gives, True, routing, joining, copies, about)


_CLEAR = _changes(gives=BOOL, routing="broadcast", joining="all", about="Forget everything.")
_ROWS = _asks(gives=IDS, about="Names of all rows.")


def _by_row(*takes: Type, gives: Type, about: str) -> Method:
    return _asks(TEXT, *takes, gives=gives, about=about, routing="hash", copies=2)


def _into_row(*takes: Type, about: str, gives: Type = BOOL) -> Method:
    joining: Joining = "all" if gives is BOOL else "pass"
    return _changes(TEXT, *takes, gives=gives, about=about, routing="hash", joining=joining, copies=2)


_FORGET_ROW = _into_row(about="Forget a row.")

COMMON: dict[str, Method] = {
    "get_config": _asks(gives=TEXT, about="The configuration as it was given."),
    "save": Method((TEXT,), Mapped(TEXT), False, "broadcast", "merge", 1, "Save the model under that name."),
    "load": _changes(TEXT, gives=BOOL, routing="broadcast", joining="all", about="Load the model of that name."),
    "get_status": Method((), STATUS, False, "broadcast", "merge", 1, "What the server is and has done."),
    "do_mix": Method((), BOOL, False, "random", "pass", 1, "Mix now (groups only)."),
    "clear": _CLEAR,
}

TYPES: dict[str, dict[str, Method]] = {
    "classifier": {
        "train": _changes(LABELED, gives=INT, about="Learn labelled examples; how many they were."),
        "classify": _asks(Listed(DATUM), gives=Listed(SCORES), about="Score every label for each example."),
        "get_labels": _asks(gives=Mapped(UINT), about="Labels, and how often each was learnt."),
        "set_label": _changes(
            TEXT, gives=BOOL, routing="broadcast", joining="all", about="Add a label; false if it was known."
        ),
        "delete_label": _changes(TEXT, gives=BOOL, routing="broadcast", joining="any", about="Forget a label."),
    },
    "regression": {
        "train": _changes(Listed(SCORED), gives=INT, about="Learn examples with their targets; how many they were."),
        "estimate": _asks(Listed(DATUM), gives=Listed(DOUBLE), about="Estimate the target of each example."),
    },
    "recommender": {
        "clear_row": _FORGET_ROW,
        "update_row": _into_row(DATUM, about="Add to a row, or make it."),
        "complete_row_from_id": _by_row(gives=DATUM, about="The mean of the rows most similar to a row."),
        "complete_row_from_datum": _asks(DATUM, gives=DATUM, about="The mean of the rows most similar to this."),
        "decode_row": _by_row(gives=DATUM, about="A row, as far as its features can be read back."),
        "similar_row_from_id": _by_row(UINT, gives=SCORES, about="The rows most similar to a row."),
        "similar_row_from_id_and_score": _by_row(DOUBLE, gives=SCORES, about="Rows at least so similar to a row."),
        "similar_row_from_id_and_rate": _by_row(FLOAT, gives=SCORES, about="That share of the most similar rows."),
        "similar_row_from_datum": _asks(DATUM, UINT, gives=SCORES, about="The rows most similar to this."),
        "similar_row_from_datum_and_score": _asks(
            DATUM, DOUBLE, gives=SCORES, about="Rows at least so similar to this."
        ),
        "similar_row_from_datum_and_rate": _asks(
            DATUM, FLOAT, gives=SCORES, about="That share of the rows most similar to this."
        ),
        "get_all_rows": _ROWS,
        "calc_similarity": _asks(DATUM, DATUM, gives=DOUBLE, about="Cosine of two examples."),
        "calc_l2norm": _asks(DATUM, gives=DOUBLE, about="Length of an example."),
    },
    "nearest_neighbor": {
        "set_row": _into_row(DATUM, about="Set a row."),
        "neighbor_row_from_id": _asks(TEXT, UINT, gives=SCORES, about="The rows nearest to a row, by distance."),
        "neighbor_row_from_datum": _asks(DATUM, UINT, gives=SCORES, about="The rows nearest to this, by distance."),
        "similar_row_from_id": _asks(TEXT, UINT, gives=SCORES, about="The rows most similar to a row."),
        "similar_row_from_datum": _asks(DATUM, UINT, gives=SCORES, about="The rows most similar to this."),
        "get_all_rows": _ROWS,
    },
    "anomaly": {
        "add": _changes(DATUM, gives=Struct((TEXT, DOUBLE)), about="Add a row; its new name and its score."),
        "add_bulk": _changes(Listed(DATUM), gives=IDS, about="Add rows; their new names."),
        "update": _into_row(DATUM, gives=DOUBLE, about="Add to a row; its score."),
        "overwrite": _into_row(DATUM, gives=DOUBLE, about="Set a row; its score."),
        "clear_row": _FORGET_ROW,
        "calc_score": _asks(DATUM, gives=DOUBLE, about="The score that this would have."),
        "get_all_rows": _ROWS,
    },
    "stat": {
        "push": _changes(TEXT, DOUBLE, gives=BOOL, routing="hash", joining="all", about="Add a value to a key."),
        **{
            name: _asks(TEXT, gives=DOUBLE, routing="hash", about=f"{about} of a key's values in the window.")
            for name, about in {
                "sum": "Sum",
                "stddev": "Standard deviation",
                "max": "Largest",
                "min": "Smallest",
                "entropy": "Entropy of the keys, and not",
            }.items()
        },
        "moment": _asks(TEXT, INT, DOUBLE, gives=DOUBLE, routing="hash", about="Moment of that degree about a centre."),
    },
    "weight": {
        "update": _changes(DATUM, gives=SCORES, about="Count the example's features, and return them weighted."),
        "calc_weight": _asks(DATUM, gives=SCORES, about="Return the example's features, weighted."),
    },
}


def methods_of(kind: str) -> dict[str, Method]:
    """Return all calls of a type of server.

    Raises
    ------
    ValueError
        The type is not served.
    """
    if kind not in TYPES:
        raise ValueError(f"{kind!r} is not served; served are {', '.join(sorted(TYPES))}")
    return COMMON | TYPES[kind]
