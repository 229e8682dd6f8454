"""What the field-aware factorisation machines share: their rows, their blocks of weights."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import _check_feature_names, _check_n_features, column_or_1d

from hogwild.data.columns import Columns
from hogwild.data.field_rows import UNHASHED_BITS, FieldRows, field_of_columns
from hogwild.engine.engines import Engine
from hogwild.engine.runners import Plan
from hogwild.engine.task import Task
from hogwild.estimators.factorization_machine import DTYPE, FactorizationMachine
from hogwild.estimators.factors import FactorState
from hogwild.estimators.ffm_task import (
    empty_state,
    ffm_loss,
    ffm_plan,
    ffm_scores,
    make_ffm_task,
    new_ffm_state,
    row_norms,
    split_blocks,
)
from hogwild.estimators.threads import threads_for
from hogwild.steps.rows import Rows, SparseFieldRows

MOST_OWN_FIELDS = 256  # columns of a matrix without `fields`; a feature's block has two numbers a factor and field


class FieldAware(FactorizationMachine):
    """Rows with fields, blocks of weights, and what is shown of them."""

    _loss: ClassVar[str]
    _saved_names: ClassVar[tuple[str, ...]] = (
        *FactorizationMachine._saved_names,
        "form_",
        "n_fields_",
        "_n_factors",
    )
    _array_parameters: ClassVar[tuple[str, ...]] = ("fields",)
    _parameter_constraints: ClassVar[dict] = {
        **{
            name: constraint
            for name, constraint in FactorizationMachine._parameter_constraints.items()
            if name != "init_scale"
        },
        "fields": ["array-like", None],
        "linear_terms": ["boolean"],
    }

    # ------------------------------------------------------------------------------------------ rows

    def _check_data(self, X: Any, y: Any = "no_validation", *, reset: bool, n_threads: int = 1) -> Any:
        form = "rows" if isinstance(X, FieldRows) else "table" if _has_categories(X) else "matrix"
        if reset and not (self.warm_start and hasattr(self, "form_")):
            self.form_ = form
        elif form not in (self.form_, "rows"):
            raise ValueError(f"the model was fitted on {_FORMS[self.form_]}, found {_FORMS[form]}")
        if form == "matrix":
            return self._check_matrix(X, y, reset=reset, n_threads=n_threads)
        if self.fields is not None and self.form_ != "matrix":
            raise ValueError(f"fields tells the field of each column of a matrix, found {_FORMS[form]}")
        if form == "table":
            _check_feature_names(self, X, reset=reset)
            _check_n_features(self, X, reset=reset)
            X = FieldRows.from_table(X, Columns(bits=UNHASHED_BITS))
            X = X.numbered() if reset and not hasattr(self, "vocabulary_") else X
        elif reset and self.form_ == "rows":
            self.n_features_in_ = max(X.n_features, getattr(self, "n_features_in_", 0) if self.warm_start else 0)
        rows = self._in_vocabulary(X, reset)
        if isinstance(y, str):
            return rows
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        y = column_or_1d(y, warn=True)
        if len(y) != len(rows):
            raise ValueError(f"y has {len(y)} labels, expected one for each of the {len(rows)} rows")
        if not len(rows):
            raise ValueError("found 0 rows, expected at least one")
        return rows, y

    def _check_matrix(self, X: Any, y: Any, *, reset: bool, n_threads: int) -> Any:
        found = super()._check_data(X, y, reset=reset, n_threads=n_threads)
        matrix = found if isinstance(y, str) else found[0]
        if reset:
            n_features = matrix.shape[1]
            if self.fields is None and n_features > MOST_OWN_FIELDS:
                raise ValueError(
                    f"X has {n_features:,} columns and fields is None, which makes each a field of its own: expected "
                    f"at most {MOST_OWN_FIELDS}, or fields=(field of each column)"
                )
            fields, before = field_of_columns(self.fields, n_features), getattr(self, "fields_", None)
            if before is not None and not np.array_equal(fields[: len(before)], before):
                raise ValueError("warm_start needs the fields of the earlier columns as they were")
            self.fields_ = fields.copy()
        rows = FieldRows.from_matrix(matrix, self.fields_)
        return rows if isinstance(y, str) else (rows, found[1])

    def _in_vocabulary(self, rows: FieldRows, reset: bool) -> FieldRows:
        """Return rows with the model's numbers of features; a fit learns what they stand for."""
        known = getattr(self, "vocabulary_", None)
        if known is None:
            if rows.vocabulary is not None:
                if not reset or hasattr(self, "_state"):
                    raise ValueError("found rows that are numbered by a vocabulary, the model's rows were not")
                self.vocabulary_ = rows.vocabulary
            return rows
        if rows.vocabulary is not None and (rows.vocabulary is known or np.array_equal(rows.vocabulary, known)):
            return rows
        if reset:
            new = rows.numbered().vocabulary if rows.vocabulary is None else rows.vocabulary
            self.vocabulary_ = known = np.concatenate([known, np.setdiff1d(new, known)])
        return rows.numbered(known)

    def _kernel_rows(self, data: FieldRows, targets: np.ndarray, weights: np.ndarray | None) -> SparseFieldRows:
        rows = SparseFieldRows(
            data.indptr,
            data.indices,
            data.fields,
            data.values,
            np.empty(0, DTYPE),
            np.ascontiguousarray(targets, DTYPE),
            np.empty(0, DTYPE) if weights is None else np.ascontiguousarray(weights, DTYPE),
        )
        return rows._replace(norms=row_norms(rows)) if self.normalize else rows

    # ------------------------------------------------------------------------------------------ state

    def _new_state(self, data: FieldRows, rng: np.random.Generator) -> FactorState:
        self.n_fields_, self._n_factors = max(1, data.n_fields), self.n_factors
        return new_ffm_state(
            max(1, data.n_features), self.n_fields_, self.n_factors, rng, linear=bool(self.linear_terms)
        )

    def _resized(self, state: FactorState, data: FieldRows, rng: np.random.Generator) -> FactorState:
        if self.n_factors != self._n_factors or bool(self.linear_terms) != (state.arrays["bias"].size > 0):
            raise ValueError("warm_start goes on with the same n_factors and linear_terms")
        n_features, n_fields = len(state.arrays["blocks"]), self.n_fields_
        wanted = max(n_features, data.n_features), max(n_fields, data.n_fields)
        if wanted == (n_features, n_fields):
            return state
        wider = new_ffm_state(*wanted, self._n_factors, rng, linear=bool(self.linear_terms))
        old = split_blocks(state.arrays["blocks"], n_fields, self._n_factors)
        new = split_blocks(wider.arrays["blocks"], wanted[1], self._n_factors)
        for ours, theirs in zip(new, old, strict=True):
            ours[:n_features, :n_fields] = theirs
        if self.linear_terms:
            wider.arrays["linear"][:n_features] = state.arrays["linear"]
            wider.arrays["bias"][...] = state.arrays["bias"]
        wider.t, self.n_fields_ = state.t, wanted[1]
        return wider

    @property
    def _sizes(self) -> dict[str, int]:
        return {"n_fields": self.n_fields_, "n_factors": self._n_factors}

    def _task(self, rows: Rows) -> Task:
        return make_ffm_task(rows, self._state, **self._sizes, loss=self._loss, alpha=self.alpha, eta0=self.eta0)

    def _plan(self, task: Task, engine: Engine) -> Plan | None:
        return ffm_plan(task, engine, threads_for(self.n_jobs, task.n_rows))

    def _row_scores(self, rows: Rows) -> np.ndarray:
        return ffm_scores(rows, self._state, **self._sizes)

    def _mean_loss(self, rows: Rows) -> float:
        return ffm_loss(rows, self._state, **self._sizes, loss=self._loss)

    # ------------------------------------------------------------------------------------------ model files

    def _saved_arrays(self) -> dict[str, np.ndarray]:
        arrays = super()._saved_arrays()
        if self.fields is not None:
            arrays["fields"] = self.fields_
        if hasattr(self, "vocabulary_"):
            arrays["vocabulary"] = self.vocabulary_
        return arrays

    def _restore_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        super()._restore_arrays(arrays)
        state = self._state.arrays
        new = empty_state(1, self.n_fields_, self._n_factors, linear=bool(self.linear_terms)).arrays
        n_features, sizes = len(state["blocks"]), {name: array.shape for name, array in state.items()}
        expected = {
            name: (n_features if len(array.shape) > 1 and len(array) else len(array), *array.shape[1:])
            for name, array in new.items()
        }
        if sizes != expected or any(array.dtype != DTYPE for array in state.values()):
            raise ValueError(f"weights of shapes {sizes}, expected {expected}, float32")
        if "vocabulary" in arrays:
            self.vocabulary_ = arrays["vocabulary"]
            if self.vocabulary_.shape != (n_features,) or self.vocabulary_.dtype != np.uint64:
                raise ValueError(f"a vocabulary of {self.vocabulary_.size} features, expected {n_features}")
        if self.form_ == "matrix":
            self.fields = arrays.get("fields")
            self.fields_ = field_of_columns(self.fields, self.n_features_in_)
            if self.n_features_in_ > n_features or self.fields_.max() >= self.n_fields_:
                raise ValueError(f"more columns or fields than the {n_features} and {self.n_fields_} of the weights")

    # ------------------------------------------------------------------------------------------ what is shown

    @property
    def factors_(self) -> np.ndarray:
        """Weights of each feature towards each field, shape (n_features, n_fields, n_factors): a copy."""
        weights, _ = split_blocks(self._shown("blocks"), self.n_fields_, self._n_factors)
        return weights.reshape(*weights.shape[:2], -1)[:, :, : self._n_factors].copy()

    @property
    def linear_(self) -> np.ndarray:
        """Linear weight of each feature, with `linear_terms`: a view."""
        if not self._shown("bias").size:
            raise AttributeError("a model without linear_terms has no linear_")
        return self._state.arrays["linear"][:, 0]

    @property
    def bias_(self) -> float:
        """Bias, 0 without `linear_terms`."""
        bias = self._shown("bias")
        return float(bias[0]) if bias.size else 0.0

    def _shown(self, name: str) -> np.ndarray:
        if not hasattr(self, "_state"):
            raise AttributeError("the model is not fitted")
        return self._state.arrays[name]


_FORMS = {"rows": "FieldRows", "table": "a data frame of categories", "matrix": "a matrix"}


def _has_categories(X: Any) -> bool:
    """Whether X is a table with a column that holds no numbers."""
    if hasattr(X, "iloc") and hasattr(X, "dtypes"):
        return any(getattr(dtype, "kind", "O") not in "biufc" for dtype in X.dtypes)
    kind = type(X).__module__.partition(".")[0]
    if kind == "polars" and hasattr(X, "columns"):
        return not all(dtype.is_numeric() for dtype in X.dtypes)
    return kind == "pyarrow"
