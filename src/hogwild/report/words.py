"""Texts from files and users, made fit for a page: visible, and of a length that can be read."""

from __future__ import annotations

import unicodedata

_JOINERS = "\u200c\u200d"  # parts of words and signs in some scripts


def visible(text: str) -> str:
    r"""Return `text` with whatever would be invisible, turn the writing around or be no character as ``\x``, ``\u``.

    Examples
    --------
    >>> from hogwild.report.words import visible
    >>> print(visible("a\u202eb\tc"))
    a\u202eb\x09c
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    kind = unicodedata.category(character)
    if kind not in ("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp") or character in _JOINERS:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def label(text: str, most: int = 60) -> str:
    """Return the name of a class as it is shown."""
    return shortened(text, most) or "(empty)"


def shortened(text: str, most: int) -> str:
    """Return `text`, the middle left out where it has more than `most` characters.

    Examples
    --------
    >>> from hogwild.report.words import shortened
    >>> shortened("abcdefghij", 7)
    'abc\u2026hij'
    """
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}\u2026{text[len(text) - tail :]}"
