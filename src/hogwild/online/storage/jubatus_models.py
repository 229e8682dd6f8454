"""Models of the original: the trees that its files hold, and our states.

What is written is what a lone server of the original writes: it keeps linear weights in the table of the group's sums,
and all else in that of its own changes. Both are read.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from hogwild.data.errors import DataError
from hogwild.online.configuration import ConfigurationError, parsed
from hogwild.online.storage import jubatus_linear, jubatus_rows
from hogwild.online.storage.about import About
from hogwild.online.storage.errors import UnfitModelError
from hogwild.online.storage.jubatus_files import VERSION, JubatusFile
from hogwild.online.storage.jubatus_trees import States, Tree, counts_of, weight_manager_of


class Form(NamedTuple):
    """How models of some methods are laid out.

    Attributes
    ----------
    read : callable
        Makes states of the driver's data and the method.
    write : callable
        The other way.
    """

    read: Callable[[Tree, str], States]
    write: Callable[[States, str], Tree]


_FORMS = {
    ("weight", ""): Form(
        lambda data, _: {"counts": counts_of(*data)}, lambda states, _: [weight_manager_of(states["counts"])]
    ),
    **{
        ("classifier", method): Form(jubatus_linear.read_classifier, jubatus_linear.write_classifier)
        for method in jubatus_linear.METHODS
    },
    **{
        ("regression", method): Form(jubatus_linear.read_regression, jubatus_linear.write_regression)
        for method in jubatus_linear.METHODS
    },
    **{
        ("classifier", method): Form(jubatus_rows.read_classifier, jubatus_rows.write_classifier)
        for method in ("cosine", "euclidean")
    },
    **{
        ("recommender", method): Form(jubatus_rows.read_recommender, jubatus_rows.write_recommender)
        for method in ("inverted_index", "inverted_index_euclid")
    },
}


def states_of(file: JubatusFile, name: str | os.PathLike[str]) -> tuple[About, States]:
    """Return the model that a file of the original holds; `name` is what errors call it.

    Raises
    ------
    UnfitModelError
        Models of its type and method are not read.
    DataError
        The model is not made as its type and method have it.
    """
    form, method = _form(file.type, file.configuration, name)
    about = About(file.type, file.configuration, file.id, float(file.saved))
    try:
        return about, form.read(file.data, method)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        found = f"driver data that make no model ({error!r})"
        raise DataError(name, found=found, expected=f"those of {file.type} {method}".rstrip()) from None


def file_of(
    about: About, states: States, name: str | os.PathLike[str], version: tuple[int, int, int] = VERSION
) -> JubatusFile:
    """Return the file of the original that holds a model; `name` is what errors call the model.

    Raises
    ------
    UnfitModelError
        Models of its type and method are not written.
    """
    form, method = _form(about.type, about.configuration, name)
    data = form.write(states, method)
    return JubatusFile(about.type, about.id, about.configuration, int(about.saved), data, version)


def _form(kind: str, configuration: str, name: str | os.PathLike[str]) -> tuple[Form, str]:
    try:
        method = parsed(configuration).get("method", "")
    except ConfigurationError as error:
        raise DataError(name, found=f"a damaged configuration ({error})", expected="JSON") from None
    form = _FORMS.get((kind, method))
    if form is None:
        known = ", ".join(f"{kind} {method}".rstrip() for kind, method in _FORMS)
        raise UnfitModelError(name, found=f"a model of {kind} {method}".rstrip(), expected=f"one of {known}")
    return form, method
