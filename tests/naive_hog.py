"""A slow, obvious reader of cache files, written from the description of the format: the twin of the mapped one."""

from __future__ import annotations

import json
import struct
import zlib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hogwild.data.batch import Batch


class Row(NamedTuple):
    label: object
    weight: float
    entries: tuple  # (feature, bits of the value, field or None), in their order


class Content(NamedTuple):
    rows: list[Row]
    numbering: list[int] | None
    description: dict
    block_rows: list[int]


def bits(value: float) -> int:
    return struct.unpack("<I", struct.pack("<f", value))[0]


def rows_of(batches) -> list[Row]:
    """Rows of batches, one after the other."""
    rows = []
    for batch in batches:
        for i in range(len(batch.labels)):
            places = range(int(batch.indptr[i]), int(batch.indptr[i + 1]))
            entries = tuple(
                (
                    int(batch.indices[j]),
                    int(batch.values.view("u4")[j]),
                    int(batch.fields[j]) if len(batch.fields) else None,
                )
                for j in places
            )
            weight = float(batch.weights[i]) if len(batch.weights) else 1.0
            rows.append(Row(batch.labels[i].item(), weight, entries))
    return rows


def numbered(rows: list[Row]) -> list[int]:
    """Features that occur, the most frequent first, equally frequent ones in ascending order."""
    counts = Counter(feature for row in rows for feature, *_ in row.entries)
    return sorted(counts, key=lambda feature: (-counts[feature], feature))


def read(path: Path) -> Content:
    content = path.read_bytes()
    assert content[:8] == b"\x89HOG\r\n\x1a\n"
    version, crc, at, length, size = struct.unpack("<IIQQQ", content[8:40])
    assert version == 1 and size == len(content) == at + length
    assert zlib.crc32(content[:60]) == struct.unpack("<I", content[60:64])[0]
    text = content[at : at + length]
    assert zlib.crc32(text) == crc
    description = json.loads(text)
    form, labels = description["form"], description["labels"]
    start, index_at, numbering_crc, index_crc = description["tail"]
    assert zlib.crc32(content[start:index_at]) == numbering_crc
    assert zlib.crc32(content[index_at:at]) == index_crc
    numbering = None
    if description["numbering_id"]:
        numbering = list(struct.unpack_from(f"<{description['columns']}I", content, start))
    index = [struct.unpack_from("<4Q", content, place) for place in range(index_at, at, 32)]

    rows = []
    for number, (offset, n, m, block_crc) in enumerate(index):
        stop = index[number + 1][0] if number + 1 < len(index) else start
        assert offset % 64 == 0
        assert zlib.crc32(content[offset:stop]) == block_crc

        def take(code, count):
            nonlocal offset
            offset = -(-offset // 64) * 64
            numbers = struct.unpack_from(f"<{count}{code}", content, offset)
            offset += struct.calcsize(f"<{count}{code}")
            return numbers

        indptr, indices = take("Q", n + 1), take("I", m)
        values = {
            "ones": lambda m=m: [bits(1.0)] * m,
            "float32": lambda m=m: take("I", m),
            "float16": lambda m=m: [bits(value) for value in take("e", m)],
        }[form["values"]]()
        if form["codes"]:
            words = [labels["distinct"][code] for code in take("H", n)]
        else:
            words = [int(x) if labels["kind"] == "int" else x for x in take("d", n)]
        weights = take("f", n) if form["weights"] else [1.0] * n
        fields = take("I", m) if form["fields"] else [None] * m
        features = [numbering[j] for j in indices] if numbering is not None else indices
        entries = list(zip(features, values, fields, strict=True))
        rows += [Row(words[i], weights[i], tuple(entries[indptr[i] : indptr[i + 1]])) for i in range(n)]
    return Content(rows, numbering, description, [n for _, n, *_ in index])


def batch_of(rows, labels, weights=(), fields=False):
    """A batch of rows given as lists of (index, value[, field])."""
    entries = [entry for row in rows for entry in row]
    return Batch(
        np.cumsum([0, *map(len, rows)], dtype=np.uint64),
        np.array([entry[0] for entry in entries], np.uint32),
        np.array([entry[1] for entry in entries], np.float32),
        np.asarray(labels),
        np.array(weights, np.float32),
        np.array([entry[2] for entry in entries] if fields else [], np.uint32),
    )


def random_batch(n_rows, seed=0, n_features=300, length=6):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 2 * length, n_rows)
    rows = [
        [(j, x) for j, x in zip(rng.permutation(n_features)[:n] ** 2, rng.normal(size=n), strict=True)] for n in lengths
    ]
    return batch_of(rows, rng.integers(0, 3, n_rows))
