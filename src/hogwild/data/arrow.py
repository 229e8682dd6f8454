"""Rows from Arrow record batches and from Parquet, Feather and Arrow IPC files; rows to Parquet."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np

from hogwild.data.arrow_encoder import SPARSE_LAYOUT, Encoder
from hogwild.data.arrow_values import is_category, pyarrow
from hogwild.data.batch import Batch, concatenate
from hogwild.data.columns import Columns, matches
from hogwild.data.errors import DataError
from hogwild.data.files import PathLike, write_whole

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP_ROWS, _GROUP_ENTRIES = 1 << 16, 1 << 22  # of a row group: 32 MiB of entries at most, or one row
_LABEL_KINDS = {"b": "int64", "u": "int64", "i": "int64", "f": "float64", "U": "text"}
_KINDS = {b"PAR1": "Parquet", b"ARRO": "Arrow IPC file", b"\xff\xff\xff\xff": "Arrow IPC stream"}


def encode_record_batch(record_batch: pa.RecordBatch, columns: Columns | None = None) -> Batch:
    """Turn the rows of an Arrow record batch into sparse rows of features.

    Parameters
    ----------
    record_batch : pyarrow.RecordBatch
        Columns of numbers and bools become features ``column`` with a value; text, binary and dictionaries categories
        ``column=value``; lists of text or integers one category for each element; lists of floats features
        ``column[i]``. `columns` can ask for the other kind. Null, NaN and empty text are missing, zeros are left out.
    columns : Columns, optional
        Roles of the columns. Without any, columns ``indices`` and ``values`` (lists; with ``label`` and ``weight``) are
        taken for sparse rows as `write_parquet` writes them, and nothing is hashed.

    Returns
    -------
    Batch
        Labels are int64 for integers and bools, float64 for other numbers and where one is null, else text.

    Raises
    ------
    DataError
        If a column has a type that gives no features (timestamps, structs, maps) or holds infinity, if a label or a
        weight is none, if a column that is named does not exist.
    ImportError
        If PyArrow is not installed.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from hogwild.data.arrow import encode_record_batch
    >>> from hogwild.data.columns import Columns
    >>> rows = pa.record_batch({"click": [1, 0], "site": ["a.org", None], "price": [2.5, 4.0]})
    >>> batch = encode_record_batch(rows, Columns(label="click"))
    >>> batch.labels.tolist(), batch.indptr.tolist(), batch.values.tolist()
    ([1, 0], [0, 2, 3], [1.0, 2.5, 4.0])
    """
    return Encoder(record_batch.schema, columns).encode(record_batch)


def infer_columns(schema: pa.Schema, columns: Columns | None = None) -> Columns:
    """Return `columns` with each column of `schema` that it does not list under the kind that its type asks for.

    Parameters
    ----------
    schema : pyarrow.Schema
    columns : Columns, optional

    Returns
    -------
    Columns
        Numbers, bools and lists of floats are added to `numeric`, everything else to `categorical`; in the names ``*``,
        ``?`` and ``[`` stand for themselves.

    Raises
    ------
    DataError
        If a column has a type that gives no features.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from hogwild.data.arrow import infer_columns
    >>> infer_columns(pa.schema({"price": pa.float32(), "site": pa.string()})).categorical
    ('site',)
    """
    columns = columns or Columns()
    plan = Encoder(schema, columns, sparse=False).plan
    unlisted = [part for part in plan if not matches(part.name, columns.numeric + columns.categorical)]
    names = {kind: tuple(glob.escape(p.name) for p in unlisted if p.numeric == kind) for kind in (True, False)}
    return replace(columns, numeric=columns.numeric + names[True], categorical=columns.categorical + names[False])


def read_arrow(
    path_or_file: PathLike | IO[bytes], columns: Columns | None = None, *, batch_rows: int = 65_536
) -> Iterator[Batch]:
    """Read a Parquet, Feather (version 2) or Arrow IPC file or stream; what it is is told from its content.

    Parameters
    ----------
    path_or_file : str, path-like or binary file
        A file that cannot seek (a pipe) has to be an Arrow IPC stream.
    columns : Columns, optional
        Roles of the columns, as for `encode_record_batch`; others than those in use are not read.
    batch_rows : int, default 65536
        Rows of a batch at most; as many are held in memory at a time, or what the file compresses as one.

    Yields
    ------
    Batch

    Raises
    ------
    DataError
        If the file is damaged or of another kind, and as `encode_record_batch`.
    ImportError
        If PyArrow is not installed.

    Examples
    --------
    >>> import os, tempfile
    >>> import pyarrow as pa
    >>> from pyarrow import feather
    >>> from hogwild.data.arrow import read_arrow
    >>> from hogwild.data.columns import Columns
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = os.path.join(folder, "clicks.feather")
    ...     feather.write_feather(pa.table({"click": [1, 0], "site": ["a.org", "b.org"]}), name)
    ...     [batch.labels.tolist() for batch in read_arrow(name, Columns(label="click"))]
    [[1, 0]]
    """
    arrow = pyarrow()
    if batch_rows < 1:
        raise ValueError(f"batch_rows is at least 1, found {batch_rows!r}")
    with contextlib.ExitStack() as stack:
        if isinstance(path_or_file, (str, os.PathLike)):
            path, file = os.fspath(path_or_file), stack.enter_context(open(path_or_file, "rb"))
        else:
            path, file = str(getattr(path_or_file, "name", "file")), path_or_file
        kind = _kind(path, file)
        try:
            for rows, encoder in _record_batches(arrow, path, file, kind, columns, batch_rows):
                yield encoder.encode(rows)
        except (arrow.ArrowException, OSError, EOFError) as error:
            raise DataError(path, found=f"damaged data ({error})", expected=f"a whole {kind}") from error


def _kind(path: str, file: IO[bytes]) -> str:
    """What a file is, by its first bytes, which stay to be read."""
    if hasattr(file, "peek"):
        start = file.peek(4)[:4]
    else:
        start = file.read(4)
        file.seek(-len(start), os.SEEK_CUR)
    if start not in _KINDS:
        raise DataError(
            path,
            found="an empty file" if not start else f"a file that starts with {start!r}",
            expected="a Parquet, Feather (version 2) or Arrow IPC file or an Arrow IPC stream",
        )
    return _KINDS[start]


def _record_batches(
    arrow: Any, path: str, file: IO[bytes], kind: str, columns: Columns | None, batch_rows: int
) -> Iterator[tuple[pa.RecordBatch, Encoder]]:
    """Record batches of at most `batch_rows` rows, and what encodes them."""
    if kind == "Parquet":
        from pyarrow import parquet

        source = parquet.ParquetFile(file)
        encoder = Encoder(source.schema_arrow, columns, path)
        source = parquet.ParquetFile(file, metadata=source.metadata, read_dictionary=_repetitive(source))
        batches = source.iter_batches(batch_rows, columns=encoder.used, use_threads=False)
    elif kind == "Arrow IPC stream":
        source = arrow.ipc.open_stream(file)
        encoder, batches = Encoder(source.schema, columns, path), source
    else:
        source = arrow.ipc.open_file(file)
        encoder = Encoder(source.schema, columns, path)
        batches = (source.get_batch(i) for i in range(source.num_record_batches))
    for batch in batches:
        for start in range(0, batch.num_rows, batch_rows):
            yield batch.slice(start, batch_rows), encoder


def _repetitive(source: Any) -> list[str]:
    """Columns of text that Parquet holds as dictionaries, by the first row group: they take 1.8 times less to hash so.

    Text that hardly repeats would take 5 times longer. It stands in the file as it is, with a length of 4 bytes.
    """
    metadata, schema = source.metadata, source.schema_arrow
    if not metadata.num_row_groups:
        return []
    chunks = map(metadata.row_group(0).column, range(metadata.num_columns))
    short = [chunk.path_in_schema for chunk in chunks if chunk.total_uncompressed_size < 4 * chunk.num_values]
    text = {field.name for field in schema if is_category(field.type) and not pyarrow().types.is_null(field.type)}
    return [name for name in short if name in text]


def sparse_features(path: PathLike) -> int | None:
    """Return the number of features that `write_parquet` noted in a file; None for a file of another kind."""
    pyarrow()
    from pyarrow import parquet

    told = (parquet.read_metadata(path).metadata or {}).get(b"hogwild.n_features")
    return int(told) if told else None


def write_parquet(
    batches: Iterable[Batch],
    path: PathLike,
    n_features: int | None = None,
    *,
    labels: Literal["int64", "float64", "text"] | None = None,
) -> None:
    """Write sparse rows as Parquet that `read_arrow` reads back without hashing; it appears complete or not at all.

    Parameters
    ----------
    batches : iterable of Batch
        One is held at a time, and what fills a row group (at most 65,536 rows and 4 million entries).
    path : str or path-like
    n_features : int, optional
        Noted in the file (see `sparse_features`); by default what the largest index asks for.
    labels : {"int64", "float64", "text"}, optional
        Type of the labels, by default that of the first row group.

    Raises
    ------
    ValueError
        If a batch has fields, an index that `n_features` has no room for, or labels that are no `labels`.
    ImportError
        If PyArrow is not installed.

    Notes
    -----
    Columns: ``label``, ``weight`` (float, null for 1), ``indices`` (list of uint32), ``values`` (list of float).

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from hogwild.data.arrow import read_arrow, write_parquet
    >>> from hogwild.data.tables import from_matrix
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = os.path.join(folder, "rows.parquet")
    ...     write_parquet([from_matrix(np.array([[0, 2.5], [1, 0]]), [1, -1])], name)
    ...     [batch.matrix(2).toarray().tolist() for batch in read_arrow(name)]
    [[[0.0, 2.5], [1.0, 0.0]]]
    """
    arrow = pyarrow()
    from pyarrow import parquet

    if labels not in (None, *_LABEL_KINDS.values()):
        raise ValueError(f"labels is 'int64', 'float64' or 'text', not {labels!r}")
    highest, writer = 0, None
    with write_whole(path) as file, contextlib.ExitStack() as stack:
        for group in _row_groups(batches):
            if writer is None:
                labels = labels or _LABEL_KINDS[group.labels.dtype.kind]
                writer = stack.enter_context(parquet.ParquetWriter(file, _sparse_schema(arrow, labels)))
            highest = max(highest, group.n_features)
            if n_features is not None and highest > n_features:
                raise ValueError(f"found the index {highest - 1}, n_features = {n_features} has no room for it")
            writer.write_batch(_sparse_record_batch(arrow, group, labels), row_group_size=_GROUP_ROWS)
        if writer is None:
            writer = stack.enter_context(parquet.ParquetWriter(file, _sparse_schema(arrow, labels or "int64")))
        writer.add_key_value_metadata({"hogwild.n_features": str(highest if n_features is None else n_features)})


def _row_groups(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Cut and join batches to groups of bounded numbers of rows and entries."""
    waiting: list[Batch] = []
    rows = entries = 0
    for batch in batches:
        if len(batch.fields):
            raise ValueError("found rows with fields, which the sparse layout has no place for")
        start = 0
        while start < batch.n_rows:
            room = batch.indptr[start] + np.uint64(_GROUP_ENTRIES - entries)
            stop = min(start + _GROUP_ROWS - rows, int(np.searchsorted(batch.indptr, room, "right")) - 1)
            stop = max(stop, start + (not waiting))  # a row with more entries is a group of its own
            waiting.append(batch.rows(start, stop))
            rows, entries = rows + waiting[-1].n_rows, entries + len(waiting[-1].indices)
            start = stop
            if start < batch.n_rows or rows >= _GROUP_ROWS or entries >= _GROUP_ENTRIES:
                yield concatenate(waiting)
                waiting, rows, entries = [], 0, 0
    if waiting:
        yield concatenate(waiting)


def _sparse_schema(arrow: Any, labels: str) -> pa.Schema:
    types = {"int64": arrow.int64(), "float64": arrow.float64(), "text": arrow.string()}
    lists = [("indices", arrow.list_(arrow.uint32())), ("values", arrow.list_(arrow.float32()))]
    return arrow.schema([("label", types[labels]), ("weight", arrow.float32()), *lists], SPARSE_LAYOUT)


def _sparse_record_batch(arrow: Any, batch: Batch, labels: str) -> pa.RecordBatch:
    schema = _sparse_schema(arrow, labels)
    found = _LABEL_KINDS[batch.labels.dtype.kind]
    if labels != found and (labels, found) not in (("float64", "int64"), ("text", "int64"), ("text", "float64")):
        hint = f"pass labels={found!r} to write them all as such"
        raise ValueError(f"found labels of {found} behind labels of {labels}: {hint}")
    written = arrow.array(batch.labels.astype(str) if labels == "text" else batch.labels, schema.field("label").type)
    weight = arrow.array(batch.weights) if len(batch.weights) else arrow.nulls(batch.n_rows, arrow.float32())
    places = arrow.array(batch.indptr.astype(np.int32))
    lists = [arrow.ListArray.from_arrays(places, arrow.array(array)) for array in (batch.indices, batch.values)]
    return arrow.record_batch([written, weight, *lists], schema=schema)
