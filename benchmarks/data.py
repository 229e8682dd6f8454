"""Reading, caching and training beyond memory, beside scikit-learn and Vowpal Wabbit, on the same rows in one run.

Whole programs are measured from outside: seconds of wall clock, and the largest resident memory that the system
counted.

Run by ``make bench-data``; ``--scale 0.1`` uses files a tenth as large.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import lzma
import re
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tables import headline, recorded, say, show_texts

import hogwild
from hogwild.data import make_rcv1_like
from hogwild.data.number_text import rows_text

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
HOGWILD = [sys.executable, "-m", "hogwild.cli.main"]
VW = [sys.executable, "-m", "vowpalwabbit"]
has_vw = importlib.util.find_spec("vowpalwabbit") is not None


# ------------------------------------------------------------------------------------------------ whole programs


# The system counts a program's memory from its fork on: it is started by a small process, not by this one.
LAUNCHER = """
import json, os, subprocess, sys, time
began = time.perf_counter()
child = subprocess.Popen(sys.argv[2:], stdout=sys.stderr)
_, status, usage = os.wait4(child.pid, 0)
with open(sys.argv[1], "w") as file:
    json.dump([time.perf_counter() - began, usage.ru_maxrss, os.waitstatus_to_exitcode(status)], file)
"""


def program(words: list[str], cwd: Path) -> dict:
    """Run a program to its end: seconds, largest resident MB, what it printed."""
    told = cwd / "measured.json"
    done = subprocess.run(
        [sys.executable, "-S", "-c", LAUNCHER, str(told), *words],
        cwd=cwd,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds, resident, status = json.loads(told.read_text())
    if status:
        raise RuntimeError(f"{' '.join(words)}\n{done.stderr}")
    return {"seconds": seconds, "MB": resident / (1e6 if sys.platform == "darwin" else 1e3), "text": done.stderr}


def found(text: str, pattern: str) -> float:
    """Return the number that the pattern's group catches."""
    return float(re.search(pattern, text)[1].replace(",", ""))


def best(runs: list[dict]) -> dict:
    """Return the fastest of several runs."""
    return min(runs, key=lambda run: run["seconds"])


# ------------------------------------------------------------------------------------------------ files


def rcv1_texts(n_rows: int, svmlight: Path, vw: Path) -> tuple[int, int]:
    """Write RCV1-like rows as svmlight and as Vowpal Wabbit text; returns rows and nonzeros."""
    X, y = make_rcv1_like(n_rows, 47_236, random_state=0)
    X.data = np.round(X.data, 6)
    with open(svmlight, "wb") as file, open(vw, "wb") as other:
        for start in range(0, n_rows, 20_000):
            stop = min(start + 20_000, n_rows)
            low, high = X.indptr[start], X.indptr[stop]
            arrays = (X.indptr[start : stop + 1] - low, X.indices[low:high], X.data[low:high], 1)
            labels = list(map(str, y[start:stop].tolist()))
            file.write(rows_text(labels, *arrays))
            other.write(rows_text([f"{label} |" for label in labels], *arrays))
    return X.shape[0], X.nnz


def words(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw words by Zipf's law."""
    vocabulary = np.array(["".join(rng.choice(list("abcdefghijklmnop"), rng.integers(3, 11))) for _ in range(20_000)])
    return vocabulary[np.minimum(rng.zipf(1.3, size), len(vocabulary)) - 1]


def sample_files(folder: Path, megabytes: float) -> dict[str, tuple[Path, dict]]:
    """Write a file of about this size in every format; returns paths and options of `hogwild.data.open`."""
    rng = np.random.default_rng(0)
    paths: dict[str, tuple[Path, dict]] = {}

    def repeated(name: str, lines: Iterator[str], header: str = "", **options) -> None:
        block = ("\n".join(lines) + "\n").encode()
        path = folder / name
        with open(path, "wb") as file:
            file.write(header.encode())
            for _ in range(max(1, round(megabytes * 1e6 / len(block)))):
                file.write(block)
        paths[name] = (path, options)

    n = 4_000
    X, y = make_rcv1_like(n, 47_236, random_state=1)
    X.data = np.round(X.data, 6)
    text = rows_text(list(map(str, y.tolist())), X.indptr, X.indices, X.data, 1).decode()
    repeated("rows.svm", iter(text.splitlines()))
    text = rows_text([f"{label} |" for label in y.tolist()], X.indptr, X.indices, X.data, 1).decode()
    repeated("numbers.vw", iter(text.splitlines()))
    fields = np.tile(np.arange(39), n)
    X.indptr, X.indices = np.arange(n + 1) * 39, rng.integers(0, 10**6, 39 * n)
    values = np.where(fields < 13, rng.integers(1, 1000, 39 * n) / 100, 1).astype(np.float32)
    text = rows_text(["1"] * n, X.indptr, X.indices, values, 0, fields.astype(np.uint32)).decode()
    repeated("rows.ffm", iter(text.splitlines()))
    drawn = words(rng, 40 * n).reshape(n, 40)
    repeated("words.vw", (f"{rng.integers(2) * 2 - 1} |t {' '.join(row)}" for row in drawn))
    repeated("lines.txt", (f"{rng.integers(2)}\t{' '.join(row)}" for row in drawn), format="text")

    def clicks() -> Iterator[list[str]]:
        for _ in range(n):
            counts = ["" if rng.random() < 0.2 else str(rng.zipf(1.5) % 10_000) for _ in range(13)]
            yield [str(rng.integers(2)), *counts, *(f"{rng.zipf(1.4) % 2**32:08x}" for _ in range(26))]

    rows = list(clicks())
    repeated("criteo.tsv", ("\t".join(row) for row in rows), format="criteo")
    names = ["label", *(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27))]
    numeric = {"label": "label", "numeric": ("I*",), "categorical": ("C*",)}
    repeated("clicks.csv", (",".join(row) for row in rows), ",".join(names) + "\n", **numeric)
    objects = ({k: (int(v) if k[0] in "lI" else v) for k, v in zip(names, row, strict=True) if v} for row in rows)
    repeated("clicks.jsonl", map(json.dumps, objects), label="label")
    if importlib.util.find_spec("pyarrow"):
        import pyarrow as pa
        from pyarrow import parquet

        columns = [[row[i] or None for row in rows] for i in range(40)]
        table = pa.table(
            {k: [v and int(v) for v in c] if k[0] in "lI" else c for k, c in zip(names, columns, strict=True)}
        )
        path = folder / "clicks.parquet"
        copies = max(1, round(megabytes * 1e6 / sum(len("\t".join(row)) for row in rows)))
        parquet.write_table(pa.concat_tables([table] * copies), path)
        paths[path.name] = (path, {"label": "label"})
    return paths


# ------------------------------------------------------------------------------------------------ parts


def parsing(folder: Path, megabytes: float) -> list[dict]:
    """MB/s of every format on one and two threads, beside scikit-learn's reader of svmlight."""
    rows = []
    for name, (path, options) in sample_files(folder, megabytes).items():
        size = path.stat().st_size / 1e6
        row = {"file": name, "MB": size}
        for n_jobs in (1, 2):
            seconds = []
            for _ in range(4):
                opened = hogwild.data.open(path, n_jobs=n_jobs, **options)
                began = time.perf_counter()
                entries = sum(len(batch.indices) for batch in opened)
                seconds.append(time.perf_counter() - began)
            row[f"{n_jobs}"] = size / min(seconds[1:])
        row["entries"] = entries
        if name == "rows.svm":
            from sklearn.datasets import load_svmlight_file

            began = time.perf_counter()
            load_svmlight_file(str(path))
            row["scikit-learn"] = size / (time.perf_counter() - began)
        rows.append(row)
        path.unlink()
    return rows


def against_vw(folder: Path, n_rows: int) -> dict:
    """One epoch from text, and further epochs from the cache, beside Vowpal Wabbit."""
    svmlight, vw, cache = folder / "big.svm", folder / "big.vw", folder / "big.hog"
    n_rows, entries = rcv1_texts(n_rows, svmlight, vw)
    ours = [*HOGWILD, "train", "--penalty", "none", "-m", "model"]
    theirs = [*VW, "--loss_function", "logistic"]
    result: dict = {"rows": n_rows, "entries": entries, "MB": svmlight.stat().st_size / 1e6}
    warm = [*HOGWILD, "train", svmlight.name, "-m", "model", "--quiet", "--epochs", "1", "--cache", "off"]
    for n_jobs in ("1", "2"):
        program([*warm, "--memory", "100MB", "-j", n_jobs], folder)  # kernels are compiled, the file is in memory
    if has_vw:
        runs = [program([*theirs, "-d", vw.name], folder) for _ in range(3)]
        result["vw"] = {**best(runs), "loss": found(runs[0]["text"], r"average loss = (\S+)")}
        one, more = (
            best(
                [
                    program([*theirs, "-d", vw.name, "-c", "-k", "--passes", str(n), "--holdout_off"], folder)
                    for _ in "ab"
                ]
            )
            for n in (2, 6)
        )
        result["vw epoch"] = (more["seconds"] - one["seconds"]) / 4
    for n_jobs in ("1", "2"):
        words = [*ours, svmlight.name, "--epochs", "1", "--cache", "off", "--memory", "100MB", "-j", n_jobs]
        runs = [program(words, folder) for _ in range(3)]
        run = best(runs)
        run["fit"] = min(found(run["text"], r"trained +(\S+) s") for run in runs)
        run["loss"] = found(run["text"], r"loss +(\S+) in the last")
        result[f"text {n_jobs}"] = run
    result["cache"] = program([*HOGWILD, "cache", svmlight.name, cache.name, "-j", "2", "--memory", "1GB"], folder)
    for n_jobs in ("1", "2"):
        epochs = []
        for _ in range(3):
            fits = [
                found(program([*ours, cache.name, "--epochs", n, "-j", n_jobs], folder)["text"], r"trained +(\S+) s")
                for n in ("2", "12")
            ]
            epochs.append((fits[1] - fits[0]) / 10)
        result[f"epoch {n_jobs}"] = min(epochs)
    result["in memory"] = in_memory_epochs(svmlight)
    return result


def in_memory_epochs(path: Path) -> dict[str, float]:
    """Seconds of an epoch over the same rows in memory, on one and two threads."""
    from hogwild.data.batch import concatenate

    batch = concatenate(hogwild.data.open(path, n_jobs=2))
    X, found = batch.matrix(), {}
    settings = {"loss": "log_loss", "learning_rate": "adagrad", "eta0": 0.3, "penalty": None, "tol": None}
    for n_jobs in (1, 2):
        seconds = []
        for _ in range(3):
            taken = []
            for n in (2, 12):
                clf = hogwild.SGDClassifier(max_iter=n, n_jobs=n_jobs, random_state=0, **settings)
                began = time.perf_counter()
                clf.fit(X, batch.labels)
                taken.append(time.perf_counter() - began)
            seconds.append((taken[1] - taken[0]) / 10)
        found[str(n_jobs)] = min(seconds)
    return found


PARTIAL_FIT = """
    import os
    import sys
    import numpy as np
    from sklearn.datasets import load_svmlight_file
    from sklearn.linear_model import SGDClassifier

    path, epochs, chunk = sys.argv[1], int(sys.argv[2]), 32 << 20
    clf = SGDClassifier("log_loss", alpha=1e-6, learning_rate="adaptive", eta0=1.0, random_state=0)
    size = os.path.getsize(path)
    for epoch in range(epochs):
        for offset in range(0, size, chunk):
            X, y = load_svmlight_file(path, n_features=47236, offset=offset, length=chunk, zero_based=False)
            X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
            clf.partial_fit(X, y, classes=[-1, 1])
    X, y = load_svmlight_file(sys.argv[3], n_features=47236, zero_based=False)
    print(f"accuracy {clf.score(X, y):.5f}")
"""


def beyond_memory(folder: Path, memory_mb: int, n_rows: int, epochs: int) -> list[dict]:
    """Train on rows that take three times `memory_mb`, from text to an evaluated model."""
    svmlight, vw = folder / "beyond.svm", folder / "beyond.vw"
    rcv1_texts(n_rows, svmlight, vw)
    for path in (svmlight, vw):  # the last tenth of the rows is for testing
        lines = path.read_bytes().splitlines(keepends=True)
        cut = len(lines) * 9 // 10
        path.write_bytes(b"".join(lines[:cut]))
        path.with_stem(path.stem + "-test").write_bytes(b"".join(lines[cut:]))
        del lines
    rows = []
    train = [
        *HOGWILD,
        "train",
        "beyond.svm",
        "-m",
        "model",
        "--epochs",
        str(epochs),
        "-j",
        "2",
        "--cache",
        "beyond.hog",
    ]
    score = [*HOGWILD, "evaluate", "model", "beyond-test.svm", "--json", "-j", "2"]
    base = program([sys.executable, "-c", "import hogwild.cli.training, hogwild.estimators.classifier"], folder)["MB"]
    for name, extra in (("hogwild", []), ("hogwild, its cache there already", [])):
        run = program([*train, "--memory", f"{memory_mb}MB", *extra], folder)
        test = program(score, folder)
        rows.append(
            {
                "name": name,
                "seconds": run["seconds"] + test["seconds"],
                "MB": max(run["MB"], test["MB"]),
                "over imports": max(run["MB"], test["MB"]) - base,
                "accuracy": json.loads(test["text"].splitlines()[-1])["accuracy"],
            }
        )
    run = program(
        [sys.executable, "-c", textwrap.dedent(PARTIAL_FIT), "beyond.svm", str(epochs), "beyond-test.svm"], folder
    )
    rows.append(
        {"name": "scikit-learn, partial_fit of 32 MB", **run, "accuracy": found(run["text"], r"accuracy (\S+)")}
    )
    if has_vw:
        words = [*VW, "--loss_function", "logistic", "-d", "beyond.vw", "-f", "vw.model", "-c", "-k", "--holdout_off"]
        run = program([*words, "--passes", str(epochs)], folder)
        test = program([*VW, "-t", "-i", "vw.model", "-d", "beyond-test.vw", "--binary"], folder)
        rows.append(
            {
                "name": "Vowpal Wabbit",
                "seconds": run["seconds"] + test["seconds"],
                "MB": max(run["MB"], test["MB"]),
                "accuracy": 1 - found(test["text"], r"average loss = (\S+)"),
            }
        )
    return rows


def criteo(folder: Path) -> list[dict]:
    """Real click logs from raw rows to a hashed, crossed model, beside FeatureHasher and SGDClassifier."""
    from sklearn.feature_extraction import FeatureHasher
    from sklearn.linear_model import SGDClassifier
    from sklearn.metrics import log_loss, roc_auc_score

    source = SHARED / "criteo-8000.tsv.xz"
    if not source.exists():
        return []
    with lzma.open(source) as file:
        lines = file.read().splitlines(keepends=True)
    (folder / "train.tsv").write_bytes(b"".join(lines[:6000]))
    (folder / "test.tsv").write_bytes(b"".join(lines[6000:]))
    rows = []
    crosses = [word for pair in ("C2*C15", "C15*C19", "C9*C17") for word in ("--cross", pair)]
    for name, extra in (("hogwild", []), ("hogwild, three crosses", crosses)):
        words = [*HOGWILD, "train", "train.tsv", "-m", "model", "--epochs", "1", "--eta0", "0.05", "-j", "1", *extra]
        run = program(words, folder)
        scores = json.loads(
            program([*HOGWILD, "evaluate", "model", "test.tsv", "--json"], folder)["text"].splitlines()[-1]
        )
        rows.append({"name": name, "log loss": scores["log_loss"], "auc": scores["auc"], "seconds": run["seconds"]})
    tables = []
    for part in (lines[:6000], lines[6000:]):
        fields = [line.decode().rstrip("\n").split("\t") for line in part]
        named = [
            {
                **{f"I{i}": np.sign(float(v)) * np.log1p(abs(float(v))) for i, v in enumerate(f[1:14], 1) if v},
                **{f"C{i}": v for i, v in enumerate(f[14:], 1)},
            }
            for f in fields
        ]
        tables.append((FeatureHasher(2**20, alternate_sign=False).transform(named), [int(f[0]) for f in fields]))
    (X, y), (A, b) = tables
    tried = []
    for alpha in (1e-6, 1e-5, 1e-4, 1e-3):
        for rate, eta0 in (("optimal", 0.01), ("invscaling", 0.1), ("constant", 0.01)):
            peer = SGDClassifier(
                "log_loss", alpha=alpha, learning_rate=rate, eta0=eta0, max_iter=5, tol=None, random_state=0
            )
            proba = peer.fit(X, y).predict_proba(A)
            tried.append((log_loss(b, proba), roc_auc_score(b, proba[:, 1]), f"{rate}, alpha {alpha:g}"))
    tried.sort()
    default = SGDClassifier("log_loss", random_state=0).fit(X, y).predict_proba(A)
    rows.append(
        {
            "name": "FeatureHasher + SGDClassifier, defaults",
            "log loss": log_loss(b, default),
            "auc": roc_auc_score(b, default[:, 1]),
        }
    )
    rows.append(
        {"name": f"the same, best of 12 on the test rows ({tried[0][2]})", "log loss": tried[0][0], "auc": tried[0][1]}
    )
    return rows


# ------------------------------------------------------------------------------------------------ what is printed


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table: names, then numbers."""
    show_texts(title, columns, rows, [number > 0 for number in range(len(columns))])


def show_parsing(rows: list[dict]) -> None:
    """Print MB/s of each format."""
    cells = []
    for row in rows:
        peer = f"{row['scikit-learn']:,.0f} ({row['1'] / row['scikit-learn']:.1f} x)" if "scikit-learn" in row else ""
        ratio, entries = f"{row['2'] / row['1']:.2f} x", row["entries"] / row["MB"] * row["1"] / 1e6
        cells.append(
            [row["file"], f"{row['MB']:.0f}", f"{row['1']:,.0f}", f"{row['2']:,.0f}", ratio, f"{entries:,.0f}", peer]
        )
    table("Reading, MB/s", ["file", "MB", "1 thread", "2 threads", "", "M entries/s, 1 thread", "scikit-learn"], cells)


def show_vw(result: dict) -> None:
    """Print the comparison with Vowpal Wabbit."""
    rows, vw = [], result.get("vw")
    for n_jobs in ("1", "2"):
        run = result[f"text {n_jobs}"]
        row = [f"hogwild, {n_jobs} thread(s)", f"{run['seconds']:.2f}", f"{run['fit']:.2f}", f"{run['loss']:.5f}"]
        epoch, memory = result[f"epoch {n_jobs}"], result["in memory"][n_jobs]
        row += [f"{epoch:.3f}", f"{memory:.3f} ({memory / epoch:.0%})"]
        if vw:
            row += [
                f"{vw['seconds'] / run['seconds']:.1f} / {vw['seconds'] / run['fit']:.1f} x",
                f"{result['vw epoch'] / epoch:.1f} x",
            ]
        rows.append(row)
    if vw:
        cells = [f"{vw['seconds']:.2f}", "", f"{vw['loss']:.5f}", f"{result['vw epoch']:.3f}", "", "1 x", "1 x"]
        rows.append(["Vowpal Wabbit", *cells])
    columns = ["", "epoch from text, s", "training alone, s", "progressive loss", "further epoch, s", "in memory, s"]
    title = f"{result['MB']:,.0f} MB of svmlight text, {result['rows']:,} rows, {result['entries']:,} nonzeros"
    table(title, [*columns, "faster from text", "faster from cache"] if vw else columns, rows)
    say(f"The cache was written in {result['cache']['seconds']:.1f} s.")
    if vw:
        ours = {f"{n} thread{'s' * (n > 1)}": result[f"epoch {n}"] for n in (1, 2)}
        headline(f"one more epoch of {result['rows']:,} rows", "Vowpal Wabbit", result["vw epoch"], ours, "s")


def show_beyond(rows: list[dict], memory_mb: int, megabytes: float, epochs: int) -> None:
    """Print memory and time of training beyond memory."""
    cells = [
        [
            row["name"],
            f"{row['seconds']:.1f}",
            f"{row['MB']:,.0f}",
            f"{row['over imports']:,.0f}" if "over imports" in row else "",
            f"{row['accuracy']:.4f}",
        ]
        for row in rows
    ]
    title = f"{megabytes:,.0f} MB of text, --memory {memory_mb} MB, {epochs} epochs, from text to an evaluated model"
    table(title, ["", "seconds", "largest resident MB", "over the imports", "accuracy"], cells)


@recorded
def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="size of the files, 1 for 2 GB")
    parser.add_argument("--only", choices=["parsing", "vw", "beyond", "criteo"])
    parser.add_argument("--folder", type=Path, help="where the files are made (a temporary folder)")
    args = parser.parse_args()
    if not has_vw:
        say("vowpalwabbit is not installed: no figures of it.")
    results: dict = {}
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)

        def part(title: str) -> bool:
            return args.only in (None, title)

        if part("parsing"):
            results["parsing"] = parsing(folder, 250 * args.scale)
            show_parsing(results["parsing"])
        if part("vw"):
            results["vw"] = against_vw(folder, round(2_080_000 * args.scale))
            show_vw(results["vw"])
        if part("beyond"):
            memory, epochs = max(40, round(150 * args.scale)), 3
            n_rows = round(memory * 3e6 / 560 / 0.9)
            results["beyond"] = beyond_memory(folder, memory, n_rows, epochs)
            show_beyond(results["beyond"], memory, (folder / "beyond.svm").stat().st_size / 1e6, epochs)
        if part("criteo"):
            results["criteo"] = criteo(folder)
            cells = [
                [row["name"], f"{row['log loss']:.5f}", f"{row['auc']:.4f}", f"{row.get('seconds', 0):.1f}"]
                for row in results["criteo"]
            ]
            table("Criteo, 6,000 rows, tested on 2,000", ["", "log loss", "AUC", "s"], cells)


if __name__ == "__main__":
    main()
