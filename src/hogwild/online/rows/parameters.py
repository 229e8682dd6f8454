"""What `$.parameter` may say of indexes, and the index that it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from hogwild.online.configuration import ConfigurationError, read
from hogwild.online.features.vocabulary import Vocabulary
from hogwild.online.rows.indexes import HashIndex, Index, InvertedIndex
from hogwild.online.rows.unlearning import unlearner

T = TypeVar("T")
MOST_BITS = 65_536


class Orthogonal(msgspec.Struct):
    """Parameter of inverted_index_euclid."""

    ignore_orthogonal: bool = False


class Bits(msgspec.Struct):
    """Parameter of the methods with signatures; what else the original has there tunes what is not done here."""

    hash_num: int = 64


class Nested(msgspec.Struct):
    """Parameter of what searches by another method."""

    method: str
    parameter: dict[str, Any] = {}


def parameter_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration's "parameter".

    Raises
    ------
    ConfigurationError
        It is no object.
    """
    parameter = values.get("parameter")
    if parameter is None:
        return {}
    if not isinstance(parameter, Mapping):
        found = type(parameter).__name__
        raise ConfigurationError(f"configuration: `$.parameter` must be an object, found {found}")
    return dict(parameter)


def at_least(value: T, least: T, place: str) -> T:
    """Return a value that is not too small.

    Raises
    ------
    ConfigurationError
        It is less than that, or no number.
    """
    if not value >= least:
        raise ConfigurationError(f"configuration: `{place}` must be at least {least}, found {value}")
    return value


def chosen(name: Any, known: Mapping[str, T], place: str) -> T:
    """Return what a name chooses.

    Raises
    ------
    ConfigurationError
        It is not known.
    """
    if not isinstance(name, str) or name not in known:
        raise ConfigurationError(f"configuration: `{place}` must be one of {', '.join(known)}, found {name!r}")
    return known[name]


Maker = Callable[[Mapping[str, Any], str, Vocabulary, str], Index]


def _inverted(parameter: Mapping[str, Any], place: str, vocabulary: Vocabulary, node: str) -> Index:
    return InvertedIndex(vocabulary, node, unlearner(parameter, place))


def _inverted_euclid(parameter: Mapping[str, Any], place: str, vocabulary: Vocabulary, node: str) -> Index:
    ignore = read(Orthogonal, parameter, place).ignore_orthogonal
    return InvertedIndex(vocabulary, node, unlearner(parameter, place), euclid=True, ignore_orthogonal=ignore)


def _hashed(method: str) -> Maker:
    def make(parameter: Mapping[str, Any], place: str, vocabulary: Vocabulary, node: str) -> Index:
        bits = at_least(read(Bits, parameter, place).hash_num, 1, f"{place}.hash_num")
        if bits > MOST_BITS:
            raise ConfigurationError(f"configuration: `{place}.hash_num` must be at most {MOST_BITS}, found {bits}")
        return HashIndex(vocabulary, node, unlearner(parameter, place), method=method, hash_num=bits)

    return make


HASHED: dict[str, Maker] = {method: _hashed(method) for method in ("lsh", "minhash", "euclid_lsh")}
INVERTED: dict[str, Maker] = {"inverted_index": _inverted, "inverted_index_euclid": _inverted_euclid}


def nested(known: Mapping[str, Maker]) -> Maker:
    """Return what makes the index that "method" and "parameter" within a parameter ask for.

    An unlearner is said in the outer parameter, or in the inner one.
    """

    def make(parameter: Mapping[str, Any], place: str, vocabulary: Vocabulary, node: str) -> Index:
        inner = read(Nested, parameter, place)
        outer = {key: parameter[key] for key in ("unlearner", "unlearner_parameter") if key in parameter}
        maker = chosen(inner.method, known, f"{place}.method")
        if outer:
            unlearner(outer, place)  # names the right place
        return maker({**inner.parameter, **outer}, f"{place}.parameter", vocabulary, node)

    return make
