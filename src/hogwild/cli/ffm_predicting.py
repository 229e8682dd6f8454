"""The work of `hogwild ffm-predict`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from hogwild.cli.ffm_metrics import measure, probabilities
from hogwild.cli.ffm_rows import (
    as_field_rows,
    batches_of,
    described,
    is_hog,
    is_libffm,
    name_of,
    open_other,
    with_fields,
)
from hogwild.cli.rows import Sources, say_bad_lines
from hogwild.cli.terminal import CommandError, check_output, live_line, say_warning
from hogwild.data import registry
from hogwild.data.batch import Batch
from hogwild.data.files import write_whole
from hogwild.data.libffm_model import LibffmModel, read_model
from hogwild.data.locations import expand
from hogwild.steps.libffm import libffm_scores

_STANDARD_OUTPUT = ("-", "/dev/stdout")
_SAME = {"criteo": "csv", "tsv": "csv"}  # formats that one reader reads


def run(sources: Sources, path: Path, output: Path, quiet: bool) -> None:
    """Write a probability a line, and print the log loss."""
    if str(output) not in _STANDARD_OUTPUT and (not output.exists() or output.is_file() or output.is_dir()):
        check_output(output)
    model = read_model(path)
    rows = _open(sources, model, path)
    predicted = _Predicted(model)
    with live_line(f"predicting {sources}", quiet) as line, _opened(output) as file:
        for batch in batches_of(rows):
            labels = batch.labels
            known = np.isfinite(labels) if labels.dtype.kind == "f" else np.ones(batch.n_rows, bool)
            if not known.all():
                batch = batch._replace(labels=np.where(known, labels, 0))
            if labels.dtype.kind == "U":
                raise CommandError(f"{sources}: found the label {str(labels[0])!r}, expected numbers")
            given = as_field_rows(batch, str(sources), model.normalized)
            scores = libffm_scores(model.weights, given)
            file.write("".join(f"{p:g}\n" for p in probabilities(scores).tolist()).encode())
            predicted.add(batch, scores, given.targets, known)
            if line is not None:
                line.update(f"predicting  {predicted.rows:,} rows")
        if not predicted.rows:
            raise CommandError(f"{sources}: found a file that holds no rows, expected some")
        if predicted.entries and predicted.beyond == predicted.entries:
            raise CommandError(
                f"{sources}: found no entry that {path} knows, whose {model.n_features:,} features have "
                f"{model.n_fields:,} fields; expected rows like those of its training"
            )
    say_bad_lines(rows, str(sources))
    if predicted.beyond:
        say_warning(
            f"{sources}: {predicted.beyond:,} of {predicted.entries:,} entries are beyond the model's "
            f"{model.n_features:,} features and {model.n_fields:,} fields: left out, as libffm does"
        )
    if not quiet and predicted.weight:
        print(f"logloss = {predicted.loss / predicted.weight:.5f}")


class _Predicted:
    """Sums over the rows predicted so far."""

    def __init__(self, model: LibffmModel) -> None:
        self._model = model
        self.rows = self.entries = self.beyond = 0
        self.loss = self.weight = 0.0

    def add(self, batch: Batch, scores: np.ndarray, targets: np.ndarray, known: np.ndarray) -> None:
        """Add rows; those that are not `known` have no label."""
        self.rows += batch.n_rows
        self.entries += len(batch.indices)
        beyond = (batch.indices >= self._model.n_features) | (batch.fields >= self._model.n_fields)
        self.beyond += int(beyond.sum())
        weights = batch.weights if len(batch.weights) else np.ones(batch.n_rows, np.float32)
        total = float(weights[known].sum(dtype=np.float64))
        if total:
            self.loss += measure(("logloss",), scores[known], targets[known], weights[known])[0] * total
            self.weight += total


def _open(sources: Sources, model: LibffmModel, path: Path) -> Any:
    """Open the rows in the format of the model's training rows; a file that looks like another is refused."""
    trained = name_of(model.about)
    if is_hog(sources):
        rows = sources.open()
        _check_kind(sources, name_of(described(rows)), trained, path)
        return rows
    name = sources.format
    if name == "auto":
        found = registry.detect(expand(sources.names))
        _check_kind(sources, "libffm" if is_libffm(sources) else _SAME.get(found, found), trained, path)
        if model.about and not sources.options:
            return open_other(sources, model.about)
        name = "libffm" if trained == "libffm" else name
    return with_fields(replace(sources, format=name)).open()


def _check_kind(sources: Sources, found: str, trained: str, path: Path) -> None:
    if found != trained:
        raise CommandError(f"{sources}: found {found} rows, expected {trained} as {path} was trained on")


@contextlib.contextmanager
def _opened(output: Path) -> Iterator[IO[bytes]]:
    if str(output) in _STANDARD_OUTPUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif output.exists() and not output.is_file():  # a named pipe
        with open(output, "wb") as file:
            yield file
    else:
        with write_whole(output) as file:
            yield file
