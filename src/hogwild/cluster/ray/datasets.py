"""Blocks of a Ray Data data set as a source of rows: they stay in Ray's object store until a worker leases them."""

from __future__ import annotations

from typing import Any

import ray

from hogwild.cluster.workloads import ReaderSource
from hogwild.data.batch import Batch, concatenate
from hogwild.data.columns import Columns


class ArrowBlocks:
    """Reads blocks that are Arrow tables.

    Parameters
    ----------
    columns : Columns
        What the columns are, the same for all blocks.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns

    def load(self, where: Any) -> Batch:
        """Fetch a block, wherever it is, and turn its rows into rows of features."""
        from hogwild.data.arrow import encode_record_batch

        table = ray.get(where)
        columns = None if {"indices", "values"} <= set(table.column_names) else self._columns
        return concatenate([encode_record_batch(each, columns) for each in table.combine_chunks().to_batches()])


def is_dataset(data: Any) -> bool:
    """Whether it is a data set of Ray Data."""
    return type(data).__module__.startswith("ray.data.")


def dataset_source(dataset: Any, **options: Any) -> ReaderSource:
    """Make the source of a data set; it is computed now, as workers will hold the cores that its tasks need.

    Parameters
    ----------
    dataset : ray.data.Dataset
    **options
        Of `Columns`: ``label="clicked"``.
    """
    from hogwild.data.arrow import infer_columns

    blocks = dataset.materialize()
    schema = blocks.schema().base_schema
    if not hasattr(schema, "field"):  # blocks of pandas
        blocks = blocks.map_batches(lambda table: table, batch_format="pyarrow").materialize()
        schema = blocks.schema().base_schema
    references = list(blocks.to_arrow_refs())
    return ReaderSource(ArrowBlocks(infer_columns(schema, Columns(**options))), references)
