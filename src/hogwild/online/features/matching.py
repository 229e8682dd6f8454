"""Which keys a rule is for."""

from __future__ import annotations

from collections.abc import Callable

from hogwild.online.features.settings import pattern


def matcher(key: str, place: str, exception: str | None = None) -> Callable[[str], bool]:
    """Return whether a rule is for a key, as a function of the key.

    Parameters
    ----------
    key : str
        ``*`` or nothing is all, ``*x`` a suffix, ``x*`` a prefix, ``/x/`` a regular expression that the key's beginning
        matches, everything else the key itself.
    place : str
        Where in the configuration the rule stands.
    exception : str, optional
        Keys that it is not for, in the same way.

    Raises
    ------
    ConfigurationError
        A regular expression is none.
    """
    matches = _matcher(key, place)
    if exception is None:
        return matches
    excepted = _matcher(exception, place)
    return lambda name: matches(name) and not excepted(name)


def _matcher(key: str, place: str) -> Callable[[str], bool]:
    if key in ("", "*"):
        return lambda name: True
    if key[0] == "*":
        return lambda name: name.endswith(key[1:])
    if key[-1] == "*":
        return lambda name: name.startswith(key[:-1])
    if len(key) >= 2 and key[0] == key[-1] == "/":
        expression = pattern(key[1:-1], place)
        return lambda name: expression.match(name) is not None
    return lambda name: name == key
