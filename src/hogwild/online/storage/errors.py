"""What is wrong with a model file that is whole."""

from __future__ import annotations

from hogwild.data.errors import DataError


class UnfitModelError(DataError):
    """A model file is whole and cannot be used here: of another type or configuration, or of a newer format.

    Falling back to an older file would hide it.
    """
