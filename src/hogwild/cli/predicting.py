"""The work of `hogwild predict`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from hogwild.cli.rows import open_model, read_rows
from hogwild.cli.terminal import CommandError
from hogwild.data.files import write_whole

_ROWS_AT_ONCE = 65_536


def run(model: Path, data: Path, output: Path | None, *, proba: bool, n_jobs: int, quiet: bool) -> None:
    """Write a line for each row of `data`."""
    opened = open_model(model)
    estimator = opened.estimator
    if proba and not hasattr(estimator, "predict_proba"):
        raise CommandError(
            f"{model}: found loss {estimator.loss}, which has no probabilities; train with --loss log_loss for --proba"
        )
    X, _ = read_rows(data, opened, n_jobs=n_jobs, with_labels=False)
    if proba and not quiet and opened.classes is not None:
        print(f"columns: {' '.join(map(str, opened.classes.tolist()))}", file=sys.stderr)
    predict = estimator.predict_proba if proba else estimator.predict
    with _opened(output) as file:
        for start in range(0, X.shape[0], _ROWS_AT_ONCE):
            file.write(_lines(predict(X[start : start + _ROWS_AT_ONCE])))


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
