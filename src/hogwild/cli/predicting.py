"""The work of `hogwild predict`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from hogwild.cli.rows import Sources, batches_for, open_like, open_model, say_bad_lines
from hogwild.cli.terminal import CommandError
from hogwild.data.files import write_whole


def run(model: Path, sources: Sources, output: Path | None, *, proba: bool, quiet: bool) -> None:
    """Write a line for each row."""
    opened = open_model(model)
    estimator = opened.estimator
    if proba and not hasattr(estimator, "predict_proba"):
        raise CommandError(
            f"{model}: found loss {estimator.loss}, which has no probabilities; train with --loss log_loss for --proba"
        )
    rows = open_like(sources, opened, with_labels=False)
    if proba and not quiet and opened.classes is not None:
        print(f"columns: {' '.join(map(str, opened.classes.tolist()))}", file=sys.stderr)
    predict = estimator.predict_proba if proba else estimator.predict
    with _opened(output) as file:
        for X, _ in batches_for(rows, estimator.n_features_in_, str(sources)):
            file.write(_lines(predict(X)))
    say_bad_lines(rows, str(sources))


@contextlib.contextmanager
def _opened(output: Path | None) -> Iterator[IO[bytes]]:
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        with write_whole(output) as file:
            yield file


def _lines(predictions: np.ndarray) -> bytes:
    """One line a prediction; the fewest digits that tell numbers apart."""
    rows = predictions.reshape(len(predictions), -1)
    texts = rows.tolist() if rows.dtype != np.float32 else rows
    return "".join(" ".join(map(str, row)) + "\n" for row in texts).encode()
