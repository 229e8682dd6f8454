"""Data: readers of files, generators of synthetic data."""

from __future__ import annotations

import importlib
from typing import Any

_PLACES = {
    "open": "hogwild.data.sources",
    "Batch": "hogwild.data.batch",
    "Columns": "hogwild.data.columns",
    "FieldRows": "hogwild.data.field_rows",
    "HogFile": "hogwild.data.hog",
    "write_hog": "hogwild.data.hog_writer",
    "VowpalWabbit": "hogwild.data.vw",
    "Libffm": "hogwild.data.libffm",
    "Delimited": "hogwild.data.delimited",
    "criteo_columns": "hogwild.data.delimited",
    "JsonLines": "hogwild.data.jsonl",
    "Text": "hogwild.data.text",
    "load_libffm": "hogwild.data.libffm",
    "dump_libffm": "hogwild.data.libffm",
    "load_vw": "hogwild.data.vw",
    "write_parquet": "hogwild.data.arrow",
    "write_svmlight": "hogwild.data.svmlight",
    "from_table": "hogwild.data.tables",
    "from_matrix": "hogwild.data.tables",
    "hash_names": "hogwild.data.hashing",
    "Svmlight": "hogwild.data.svmlight_lines",
    "load_svmlight": "hogwild.data.svmlight",
    "dump_svmlight": "hogwild.data.svmlight",
    "DataError": "hogwild.data.errors",
    "make_click_log": "hogwild.data.click_log",
    "make_rcv1_like": "hogwild.data.synthetic",
    "make_sparse_regression": "hogwild.data.synthetic",
    "load_python_sources": "hogwild.data.python_sources",
}
__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'hogwild.data' has no attribute {name!r}")
