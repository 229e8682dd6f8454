"""The rows: a click log shaped like Criteo's, or a real one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import hogwild.data
from hogwild.data import FieldRows, make_click_log
from hogwild.data.batch import Batch, concatenate
from hogwild.data.locations import expand
from hogwild.data.registry import detect
from hogwild.experiments.findings import Setting

ROWS, N_FIELDS, MOST_FEATURES = 2_000_000, 39, 1_000_000
LEAST_ROWS = 20_000
BITS = 20  # features that Criteo's files are hashed to, as a power of two
DATA = "files in libffm's format, or Criteo's (tabs): to train, and if you like a second one to validate on"


class Clicks(NamedTuple):
    """Rows to train and to validate on; labels are 0 and 1.

    Attributes
    ----------
    train, valid : Batch
    best : float or None
        Log loss of the true probabilities on the rows to validate on, where they are known.
    made_up : bool
    about : str
    """

    train: Batch
    valid: Batch
    best: float | None
    made_up: bool
    about: str

    @property
    def n_features(self) -> int:
        """Above all numbers of features."""
        return max(self.train.n_features, self.valid.n_features)

    def field_rows(self) -> tuple[FieldRows, FieldRows]:
        """Return both as field-aware models take them."""
        n_fields = 1 + int(max(self.train.fields.max(), self.valid.fields.max()))
        given = {"n_features": self.n_features, "n_fields": n_fields}
        return FieldRows.from_batch(self.train, **given), FieldRows.from_batch(self.valid, **given)


def log_loss(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the mean log loss of scores (log odds)."""
    return float(np.logaddexp(0, np.where(labels > 0, -scores, scores)).mean())


def load_clicks(setting: Setting) -> Clicks:
    """Make a click log, or read one.

    Parameters
    ----------
    setting : Setting
        ``data``: none, or one or two files, the second to validate on (else the last row in ten of the first).
    """
    if setting.data:
        return _read(setting)
    n_rows = setting.rows(ROWS, LEAST_ROWS)
    n_valid, n_features = max(n_rows // 10, 5_000), min(n_rows, MOST_FEATURES)
    setting.say(f"making {n_rows + n_valid:,} rows")
    log, chances = make_click_log(
        n_rows + n_valid, N_FIELDS, n_features, random_state=setting.seed, return_probabilities=True
    )
    train, valid = log.rows(0, n_rows), log.rows(n_rows, log.n_rows)
    chances = chances[n_rows:]
    best = log_loss(valid.labels, np.log(chances) - np.log1p(-chances))
    about = f"{n_rows:,} made-up rows of {N_FIELDS} fields and {n_features:,} features, {n_valid:,} to validate on"
    return Clicks(train, valid, best, True, about)


def _read(setting: Setting) -> Clicks:
    if len(setting.data) > 2:
        raise ValueError(f"found {len(setting.data)} files of data, expected one or two: to train and to validate on")
    read = [_file(name, setting) for name in setting.data]
    if len(read) == 1:
        cut = read[0].n_rows - max(1, read[0].n_rows // 10)
        read = [read[0].rows(0, cut), read[0].rows(cut, read[0].n_rows)]
    train, valid = read
    for batch in read:
        if len(np.unique(batch.labels)) < 2:
            raise ValueError(f"{setting.data[0]}: found {batch.n_rows:,} rows of one class, expected clicks and others")
    about = f"{', '.join(setting.data)}: {train.n_rows:,} rows, {valid.n_rows:,} to validate on"
    return Clicks(train, valid, None, False, about)


def _file(name: str, setting: Setting) -> Batch:
    setting.say(f"reading {name}")
    form = detect(expand([name]))
    if form not in ("libffm", "criteo"):
        raise ValueError(f"{name}: found a file in {form} format, expected libffm's or Criteo's")
    options = {"fields": True, "bits": BITS} if form == "criteo" else {}
    batch = concatenate(hogwild.data.open(name, format=form, n_jobs=setting.threads, **options))
    return batch._replace(labels=(batch.labels > 0).astype(np.int64))
