"""The corpus of ``hogwild demo``: tell which installed package a Python function is from.

Everybody who runs hogwild has these texts already: nothing is fetched, and none of the code is imported or executed.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import os
import re
import shutil
import site
import sys
import sysconfig
import tempfile
import time
import tokenize
import warnings
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
import scipy.sparse as sp
import sklearn
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import TfidfTransformer

from hogwild.folders import cache_folder, writable

N_FEATURES = 2**18
FORMAT = 1  # of the cached file: raise it with any change of what a document or a value is

_SHORTEST, _LONGEST = 10, 300  # tokens of a document: fewer say nothing, the rest of a longer one is cut off
_LARGEST_FILE = 1_000_000  # bytes; larger ones are generated tables
_BYTES_A_FUNCTION = 1_250  # read of a package for each function wanted: bounds the time in a large environment
_TASK_BYTES = 500_000  # handed to a process at a time
_UNUSED_DAYS = 60
_ANY_NAME = {"errors": "surrogateescape"}  # a file's name need not be UTF-8

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")  # HTTPServer_error: HTTP, Server, error
_VENDORED = re.compile(
    r"_?(vendor|vendored|vendored_packages|extern|external|externals|third_?party|3rdparty|bundled)"
    r"|site-packages|dist-packages|__pycache__|node_modules"
)


@dataclass(frozen=True)
class Corpus:
    """Functions as TF-IDF rows, labelled with the package that each is from.

    Attributes
    ----------
    X_train, X_test : scipy.sparse.csr_matrix of shape (n_documents, 2**18)
        Hashed words, float32, rows of Euclidean norm 1. The rows stand in random order.
    y_train, y_test : numpy.ndarray of str
        Package names.
    packages : tuple of str
        The labels, sorted.
    n_tokens : int
        Number of words in all documents.
    n_files, n_skipped : int
        Files that were read, and those of them that could not be decoded or parsed.
    seconds : float
        What loading took.
    from_cache : bool
        Whether an earlier run had left the corpus in the user's cache folder.
    """

    X_train: sp.csr_matrix
    y_train: np.ndarray
    X_test: sp.csr_matrix
    y_test: np.ndarray
    packages: tuple[str, ...]
    n_tokens: int
    n_files: int
    n_skipped: int
    seconds: float
    from_cache: bool


class _File(NamedTuple):
    package: str
    path: str
    name: str  # the path below the root
    size: int
    changed: int


class _Documents(NamedTuple):
    """What a process makes of some files: hashed word counts, a digest and a length for each document."""

    counts: sp.csr_matrix
    digests: np.ndarray
    lengths: np.ndarray
    n_skipped: int


def load_python_sources(
    n_jobs: int | None = None,
    cache: bool = True,
    progress: Callable[[int, int], None] | None = None,
    *,
    roots: Iterable[str | os.PathLike] | None = None,
    max_packages: int = 24,
    min_functions: int = 200,
    max_functions: int = 4_000,
) -> Corpus:
    """Load the functions in the installed Python packages as documents, labelled with their packages.

    A document is a function or method with all that is nested in it: its identifiers and words, comments and docstrings
    included, split at underscores and capitals. Vendored copies and exact duplicates are left out. A digest of the
    document alone decides whether it is for training (80 %) or for testing.

    Parameters
    ----------
    n_jobs : int, optional
        Number of processes that read the sources; by default as many as there are usable cores. With more than one, a
        script needs the usual ``if __name__ == "__main__":``.
    cache : bool, default=True
        Keep the corpus in the user's cache folder and take it from there while the files stay the same.
    progress : callable, optional
        Called with the number of files read so far and the number of all files.
    roots : iterable of path, optional
        Folders that hold packages; by default site-packages of the running interpreter and the standard library.
    max_packages : int, default=24
        Number of packages to take: those with the most functions.
    min_functions, max_functions : int, default=200 and 4_000
        A package with fewer functions is left out, one with more is sampled.

    Returns
    -------
    Corpus
        Training and test rows with their labels.

    Raises
    ------
    ValueError
        If fewer than two packages have enough functions.

    Examples
    --------
    >>> from hogwild.data.python_sources import load_python_sources
    >>> corpus = load_python_sources(n_jobs=1, cache=False, max_packages=3, min_functions=50, max_functions=200)
    >>> len(corpus.packages), corpus.X_train.shape[1]
    (3, 262144)
    """
    started = time.perf_counter()
    folders = [Path(root) for root in roots] if roots is not None else _installed()
    files = _choose(_find(folders), max_packages, _BYTES_A_FUNCTION * max_functions)
    path = cache_folder() / "demo" / _digest(files, max_packages, min_functions, max_functions) / "corpus.npz"
    corpus = _read(path) if cache else None
    if from_cache := corpus is not None:
        with contextlib.suppress(OSError):  # a read-only cache serves as well
            os.utime(path.parent)
    else:
        corpus = _make(files, n_jobs, progress or _quiet, max_packages, min_functions, max_functions)
        if len(corpus["packages"]) < 2:
            raise ValueError(
                f"found {len(corpus['packages'])} Python packages with at least {min_functions} functions, need 2, "
                f"in {', '.join(map(str, folders)) or 'no folder'}: are their sources (.py) installed?"
            )
        if cache:
            _forget_unused(path.parent.parent)
            _write(path, corpus)
    return _corpus(corpus, time.perf_counter() - started, from_cache)


def _quiet(done: int, total: int) -> None:
    pass


# ------------------------------------------------------------------------------------------------ finding files


def _installed() -> list[Path]:
    paths = [sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")]
    paths += site.getsitepackages()
    if site.ENABLE_USER_SITE:
        paths.append(site.getusersitepackages())
    return list(dict.fromkeys(Path(path).resolve() for path in paths))


def _find(folders: Sequence[Path]) -> Iterator[_File]:
    """Walk the Python files of the packages and modules in `folders`, vendored copies left out."""
    for root in folders:
        for place, below, names in os.walk(root):
            if place == str(root):
                below[:] = [name for name in below if name.isidentifier()]  # no numpy-2.0.dist-info, no lib-dynload
            below[:] = [name for name in below if not _VENDORED.fullmatch(name)]
            for name in names:
                if not name.endswith(".py"):
                    continue
                path = os.path.join(place, name)
                relative = os.path.relpath(path, root)
                try:
                    about = os.stat(path)
                except OSError:  # a dangling link
                    continue
                if 0 < about.st_size <= _LARGEST_FILE:
                    package = relative.split(os.sep)[0].removesuffix(".py")
                    yield _File(package, path, relative, about.st_size, about.st_mtime_ns)


def _choose(files: Iterable[_File], max_packages: int, package_bytes: int) -> list[_File]:
    """Pick the largest packages, and of each of those some megabytes of files by a hash of their paths."""
    packages: dict[str, list[_File]] = defaultdict(list)
    for file in files:
        packages[file.package].append(file)
    sizes = {package: sum(file.size for file in files) for package, files in packages.items()}
    largest = sorted(packages, key=lambda package: (-sizes[package], package))[: 2 * max_packages]
    chosen = []
    for package in sorted(largest):
        left = package_bytes
        for file in sorted(packages[package], key=lambda file: hashlib.blake2b(file.name.encode(**_ANY_NAME)).digest()):
            if left > 0:
                chosen.append(file)
                left -= file.size
    return chosen


def _digest(files: Sequence[_File], *settings: int) -> str:
    digest = hashlib.sha256(f"{FORMAT} {settings} {sys.version_info[:2]} {sklearn.__version__}".encode())
    for file in files:
        digest.update(f"\n{file.path}\0{file.size} {file.changed}".encode(**_ANY_NAME))
    return digest.hexdigest()[:20]


# ------------------------------------------------------------------------------------------------ reading sources


def _functions(body: Sequence[ast.AST]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Walk the outermost functions and methods below `body`, those in classes, ``if`` and ``try`` included."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        else:
            for name in ("body", "handlers", "orelse", "finalbody", "cases"):
                if isinstance(inside := getattr(node, name, None), list):
                    yield from _functions(inside)


def _documents(path: str) -> Iterator[list[str]]:
    """Split each function in the file at `path` into words."""
    with tokenize.open(path) as file:  # decoded as Python would
        source = file.read()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's strings
        tree = ast.parse(source)
    lines = source.split("\n")
    for function in _functions(tree.body):
        first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
        words = _WORD.findall("\n".join(lines[first - 1 : function.end_lineno]))
        if len(words) >= _SHORTEST:
            yield [word.lower() for word in words[:_LONGEST]]


def _extract(paths: Sequence[str]) -> _Documents:
    documents: list[list[str]] = []
    n_skipped = 0
    for path in paths:
        try:
            documents.extend(list(_documents(path)))
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):  # UnicodeDecodeError is a ValueError
            n_skipped += 1
    hasher = FeatureHasher(N_FEATURES, input_type="string", dtype=np.float32, alternate_sign=False)
    counts = hasher.transform(documents) if documents else sp.csr_matrix((0, N_FEATURES), dtype=np.float32)
    digests = [hashlib.blake2b(" ".join(words).encode(), digest_size=8).digest() for words in documents]
    return _Documents(
        counts,
        np.frombuffer(b"".join(digests), "<u8").astype(np.uint64),
        np.array([len(words) for words in documents], np.int64),
        n_skipped,
    )


def _tasks(files: Sequence[_File]) -> list[list[_File]]:
    """Cut `files` into runs of one package and of about `_TASK_BYTES`."""
    tasks: list[list[_File]] = []
    size = 0
    for file in files:
        if not tasks or size > _TASK_BYTES or tasks[-1][0].package != file.package:
            tasks.append([])
            size = 0
        tasks[-1].append(file)
        size += file.size
    return tasks


def _in_order(tasks: Sequence[Sequence[_File]], n_jobs: int | None) -> Iterator[_Documents]:
    paths = [[file.path for file in task] for task in tasks]
    workers = min(joblib.effective_n_jobs(-1 if n_jobs is None else n_jobs), len(tasks))
    if workers <= 1:
        yield from map(_extract, paths)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:  # fork would copy live threads
        try:
            yield from pool.map(_extract, paths)
        except BrokenProcessPool as error:
            raise RuntimeError(
                "a process that read Python sources ended early: call load_python_sources with n_jobs=1, or from a "
                'file (not standard input) under `if __name__ == "__main__":`'
            ) from error


# ------------------------------------------------------------------------------------------------ making the corpus


def _make(
    files: Sequence[_File],
    n_jobs: int | None,
    progress: Callable[[int, int], None],
    max_packages: int,
    min_functions: int,
    max_functions: int,
) -> dict[str, np.ndarray]:
    tasks = _tasks(files)
    results, n_files = [], 0
    for task, documents in zip(tasks, _in_order(tasks, n_jobs), strict=True):
        results.append(documents)
        n_files += len(task)
        progress(n_files, len(files))
    about = {"n_files": np.array(n_files), "n_skipped": np.array(sum(part.n_skipped for part in results))}
    nothing = {"packages": np.array([], str)}
    if not results:
        return nothing | about

    # The order of the digests removes duplicates, shuffles the rows and samples the packages, the same way everywhere.
    names = np.repeat([task[0].package for task in tasks], [len(part.digests) for part in results])
    digests, rows = np.unique(np.concatenate([part.digests for part in results]), return_index=True)
    names, codes = np.unique(names[rows], return_inverse=True)
    sizes = np.bincount(codes, minlength=len(names))
    largest = [code for code in np.argsort(-sizes, kind="stable")[:max_packages] if sizes[code] >= min_functions]
    if not largest:
        return nothing | about
    chosen = np.sort(np.concatenate([np.flatnonzero(codes == code)[:max_functions] for code in largest]))
    digests, rows = digests[chosen], rows[chosen]
    packages, labels = np.unique(names[codes[chosen]], return_inverse=True)

    counts = sp.vstack([part.counts for part in results], format="csr")[rows]
    lengths = np.concatenate([part.lengths for part in results])[rows]
    test = digests % np.uint64(5) == 0
    weigh = TfidfTransformer(sublinear_tf=True).fit(counts[~test])
    made = {"packages": packages, "n_tokens": lengths.sum(), **about}
    for part, mask in (("train", ~test), ("test", test)):
        X = weigh.transform(counts[mask])
        X.sort_indices()
        made |= {f"{part}_{name}": getattr(X, name) for name in ("data", "indices", "indptr")}
        made[f"{part}_labels"] = labels[mask].astype(np.int32)
    return made


def _corpus(made: dict[str, np.ndarray], seconds: float, from_cache: bool) -> Corpus:
    parts = {}
    for part in ("train", "test"):
        data, indices, indptr, labels = (made[f"{part}_{name}"] for name in ("data", "indices", "indptr", "labels"))
        X = sp.csr_matrix((data, indices, indptr), shape=(len(labels), N_FEATURES))
        X.has_sorted_indices = X.has_canonical_format = True
        parts |= {f"X_{part}": X, f"y_{part}": made["packages"][labels]}
    return Corpus(
        **parts,
        packages=tuple(made["packages"].tolist()),
        n_tokens=int(made["n_tokens"]),
        n_files=int(made["n_files"]),
        n_skipped=int(made["n_skipped"]),
        seconds=seconds,
        from_cache=from_cache,
    )


# ------------------------------------------------------------------------------------------------ keeping it


def _read(path: Path) -> dict[str, np.ndarray] | None:
    """Return the arrays in `path`, None if it is absent or torn: the archive's checksums are verified on the way."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            made = {name: archive[name] for name in archive.files}
        return made if {"packages", "n_tokens", "train_labels", "test_labels"} <= made.keys() else None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None


def _write(path: Path, made: dict[str, np.ndarray]) -> None:
    if not writable(path.parent):
        return
    # A full disk costs the next run the extraction, never this one.
    with (
        contextlib.suppress(OSError),
        tempfile.NamedTemporaryFile(dir=path.parent, prefix="tmp-", delete=False) as file,
    ):
        try:
            np.savez(file, **made)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        finally:
            Path(file.name).unlink(missing_ok=True)


def _forget_unused(folder: Path) -> None:
    """Remove what environments that have changed since left behind."""
    oldest = time.time() - _UNUSED_DAYS * 86_400
    for old in folder.iterdir() if folder.is_dir() else ():
        try:
            if old.stat().st_mtime < oldest:
                shutil.rmtree(old, ignore_errors=True)
        except OSError:
            continue
