"""Lines of every text format, good and bad, and a slow, obvious driver that reads them one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hogwild.data import registry
from hogwild.data.batch import Batch, concatenate, merge_repeats
from hogwild.data.numerals import PADDING
from hogwild.data.parts import Part

BOM = b"\xef\xbb\xbf"
CLICK = b"1\t" + b"\t".join(b"%d" % i for i in range(13)) + b"\t" + b"\t".join(b"%08x" % i for i in range(26))
TABLE = {"label": "y", "weight": "w", "numeric": ("x",), "categorical": ("c", "d"), "crosses": (("c", "x"),)}


@dataclass(frozen=True)
class Sample:
    """Lines of one format, labels always whole numbers."""

    text_format: Any
    good: tuple[bytes, ...]
    bad: tuple[bytes, ...]
    header: bytes = b""  # with its line end


def _table(separator: bytes) -> tuple[tuple[bytes, ...], tuple[bytes, ...], bytes]:
    good = (
        b"1,2,red,0.5,x",
        b"0,1,,,",
        b"1,0.25,blue,-3e2,y z",
        b"",
        b"0,1,g\xc3\xbcn,NA,\xff",
        b"1,1,red,16777217.01,x",
    )
    bad = (b"1,2,red", b"1,2,red,z,x", b"1,-1,red,1,x", b"1,2,r\0d,1,x", b"1,2,red,1e99,x", b"1,2,3,4,5,6", b",,")
    return (
        tuple(b.replace(b",", separator) for b in good),
        tuple(b.replace(b",", separator) for b in bad),
        b"y,w,c,x,d\n",
    )


_csv, _tsv = _table(b","), _table(b"\t")
SAMPLES = {
    "svmlight": Sample(
        registry.make("svmlight", {"zero_based": False, "labels": "number", "columns": 1000}),
        (b"1 1:2 3:.5", b"-1", b"1 qid:3 7:1e3 # 3:x", b"# comment", b"", b"2 9:1 2:1 9:.25", b" 0\t1000:16777217.01 "),
        (b"1 x:1", b"1 0:1", b"1 1:\0", b"nan 1:1", b"1 3:4:5", b"1 1001:1", b"1 1:1\r1 2:1", b"1 1:1e39", b"1 2:"),
    ),
    "libffm": Sample(
        registry.make("libffm", {"n_features": 100}),
        (b"1 0:1:2 3:4:.5", b"-1", b"1 7:99:1e3", b"", b"2 0:3:1 0:3:.25", b" 0\t1:2:16777217.01 "),
        (b"1 1:2", b"1 0:100:1", b"1 1:1:\0", b"a 1:1:1", b"1 1:1:1e39", b"1 1:1:", b"\0"),
    ),
    "vw": Sample(
        registry.make("vw", {"bits": 18, "signed": True, "crosses": (("a", "b"),)}),
        (b"1 |a x y:2 |b z", b"-1 2.5 'tag|long^name w:.5 w", b"0 | x:16777217.01", b"", b"3 t|a x |a x |b x ", b"1 |"),
        (b"1 |a x:1e39", b"1 -1 |a x", b"x |a b", b"1 |a :2", b"1 x\0y", b"1 a", b"1 |a x:", b"1 2 3 4 |a x"),
    ),
    "csv": Sample(
        registry.make("csv", {**TABLE, "bits": 18}),
        (*_csv[0], b'1,1,"a ""b"", c",7,"x"', b'"1",1,"",2,""'),
        (*_csv[1], b'1,1,"a,1,x', b'1,1,"a"b,1,x'),
        _csv[2],
    ),
    "tsv": Sample(registry.make("tsv", {**TABLE, "transform": "bins"}), *_tsv[:2], _tsv[2].replace(b",", b"\t")),
    "criteo": Sample(
        registry.make("criteo", {"bits": 18}),
        (CLICK, b"0" + b"\t" * 39, CLICK.replace(b"\t3\t", b"\t-1\t"), b""),
        (CLICK + b"\t", CLICK.replace(b"\t3\t", b"\tx\t"), b"0", CLICK + b"\0", b"1\t\t"),
    ),
    "jsonl": Sample(
        registry.make("jsonl", {"label": "y", "weight": "w", "crosses": (("c", "x"),)}),
        (b'{"y": 1, "c": "red", "x": 2}', b'{"y": 0, "w": 2, "t": ["a", "a"], "o": {"p": true}}', b"", b' {"y": 2} '),
        (b"{", b"[1]", b'{"y": 1, "x": NaN}', b'{"y": 1, "t": [1]}', b'{"y": 1, "x": 1e99}', b"\0", b'{"y": "\xff"}'),
    ),
    "text": Sample(
        registry.make("text", {"ngrams": (1, 2), "stop_words": ("the",)}),
        (b"1\tthe red car", b"0\tcar CAR caf\xc3\xa9 car", b"1\t", b"", b"2\ta \xff\xfe zz\0zz \x01"),
        (b"no label", b"\tempty", b"\xff\tx"),
    ),
}  # fmt: skip


def parse_line(text_format: Any, line: bytes) -> tuple[Batch, int, str]:
    """Row of one line (without its end), merged; place of the error or -1, and what was expected."""
    text = np.frombuffer(line + b"\n" + b"\n" * PADDING, np.uint8)
    parsed = text_format.parse(Part(text, 0, len(line) + 1, 0))
    batch = parsed.batch if parsed.unique or len(parsed.batch.fields) else merge_repeats(parsed.batch)
    return batch, parsed.error, parsed.expected


def read_slowly(text_format: Any, content: bytes) -> tuple[Batch, list[tuple[int, int, str]]]:
    """Rows of a file's good lines; line, column and expectation of each bad one."""
    lines = content.removeprefix(BOM).split(b"\n")
    if text_format.header_lines and any(lines):
        text_format = text_format.with_header([lines[0].removesuffix(b"\r")])
    batches, bad = [], []
    for number, line in enumerate(lines[text_format.header_lines :], 1 + text_format.header_lines):
        batch, error, expected = parse_line(text_format, line)
        if error >= 0:
            bad.append((number, error + 1, expected))
        elif batch.n_rows:
            batches.append(batch)
    return concatenate(batches), bad


def same_rows(batch: Batch, expected: Batch) -> None:
    """Assert that two batches hold the same rows, bit by bit."""
    assert batch.indptr.tolist() == expected.indptr.tolist()
    assert batch.indices.tolist() == expected.indices.tolist()
    assert batch.values.tobytes() == expected.values.tobytes()
    assert batch.fields.tolist() == expected.fields.tolist()
    if expected.n_rows:
        assert batch.labels.dtype.kind == expected.labels.dtype.kind
    np.testing.assert_array_equal(batch.labels, expected.labels)
    ones = np.ones(expected.n_rows, np.float32)
    weights = [found.weights if len(found.weights) else ones for found in (batch, expected)]
    np.testing.assert_array_equal(*weights)
