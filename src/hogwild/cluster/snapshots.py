"""Where snapshots are kept: a folder (written beside, synced, renamed) or an object store (its record written last)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from pathlib import Path

from hogwild.data.errors import DataError
from hogwild.data.files import write_whole
from hogwild.folders import make

FORMAT = 1
_SNAPSHOT = re.compile(r"(\d{8,})\.safetensors")
_RECORD = re.compile(r"(\d{8,})\.json")
_OBJECT = re.compile(r"(\d{8,})-[0-9a-f]{32}\.safetensors")


class NewerFormatError(DataError):
    """A snapshot that is whole and cannot be read here: falling back to an older one would hide it."""


class Folder:
    """A folder of the local (or a shared) file system: written beside, synced, renamed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, node: str, number: int, content: bytes) -> None:
        """Write a snapshot; it appears whole or not at all."""
        path = self._path(node, number)
        make(path.parent)
        try:
            with write_whole(path) as file:
                file.write(content)
        except OSError as error:
            if error.filename is None:  # a full disk does not say whose
                error.filename = str(path)
            raise

    def get(self, node: str, number: int) -> tuple[bytes, str]:
        """Return the bytes of a snapshot, and what errors call it."""
        path = self._path(node, number)
        return path.read_bytes(), str(path)

    def numbers(self, node: str) -> list[int]:
        """Return the numbers of the snapshots that are there, ascending."""
        return sorted(int(found[1]) for name in self._names(node) if (found := _SNAPSHOT.fullmatch(name)))

    def clean(self, node: str, kept: set[int]) -> None:
        """Remove all other snapshots, and what killed writers have left."""
        folder = self._root / node
        for name in self._names(node):
            found = _SNAPSHOT.fullmatch(name)
            left = re.fullmatch(r"\.\d{8,}\.safetensors-.*", name)  # by a writer that was killed
            if left or (found and int(found[1]) not in kept):
                with contextlib.suppress(OSError):
                    os.unlink(folder / name)

    def nodes(self) -> list[str]:
        """Return the names of the nodes that have snapshots."""
        folders = (Path(folder) for folder, _, names in os.walk(self._root) if any(map(_SNAPSHOT.fullmatch, names)))
        return sorted(folder.relative_to(self._root).as_posix() for folder in folders if folder != self._root)

    def _path(self, node: str, number: int) -> Path:
        return self._root / node / f"{number:08d}.safetensors"

    def _names(self, node: str) -> list[str]:
        try:
            return os.listdir(self._root / node)
        except FileNotFoundError:
            return []


class Objects:
    """A store that fsspec opens, where nothing can be renamed: the record that names an object is written last."""

    def __init__(self, place: str) -> None:
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise ImportError(f"checkpoints at {place} need fsspec: pip install hogwild[cloud]") from error
        self._system, self._root = url_to_fs(place)
        self._root = self._root.rstrip("/")

    def put(self, node: str, number: int, content: bytes) -> None:
        """Write a snapshot; it appears whole or not at all."""
        checksum = hashlib.blake2b(content, digest_size=16).hexdigest()
        name = f"{number:08d}-{checksum}.safetensors"
        record = {"format": FORMAT, "object": name, "bytes": len(content), "digest": checksum}
        self._system.makedirs(f"{self._root}/{node}", exist_ok=True)
        self._system.pipe_file(f"{self._root}/{node}/{name}", content)
        self._system.pipe_file(f"{self._root}/{node}/{number:08d}.json", json.dumps(record).encode())

    def get(self, node: str, number: int) -> tuple[bytes, str]:
        """Return the bytes of a snapshot, and what errors call it."""
        path = f"{self._root}/{node}/{number:08d}.json"
        try:
            record = json.loads(self._system.cat_file(path))
            form, name, size, checksum = (record[key] for key in ("format", "object", "bytes", "digest"))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(path, found=f"a damaged record ({error})", expected="a whole one") from None
        if form != FORMAT:
            raise NewerFormatError(path, found=f"format {form!r}", expected=f"format {FORMAT}")
        path, record_path = f"{self._root}/{node}/{name}", path
        try:
            content = self._system.cat_file(path)
        except FileNotFoundError:
            if not self._system.exists(record_path):  # removed by a writer while this reads
                raise
            raise DataError(record_path, found=f"a record of {name!r}, which is not there", expected="both") from None
        if len(content) != size or hashlib.blake2b(content, digest_size=16).hexdigest() != checksum:
            raise DataError(path, found="content that does not agree with its record", expected="an unaltered object")
        return content, path

    def numbers(self, node: str) -> list[int]:
        """Return the numbers of the snapshots that are there, ascending."""
        return sorted(int(found[1]) for name in self._names(node) if (found := _RECORD.fullmatch(name)))

    def clean(self, node: str, kept: set[int]) -> None:
        """Remove all other snapshots, and what killed writers have left."""
        folder, names = f"{self._root}/{node}", self._names(node)
        stale = [name for name in names if (found := _RECORD.fullmatch(name)) and int(found[1]) not in kept]
        named = set()
        for number in kept.intersection(self.numbers(node)):
            with contextlib.suppress(ValueError, KeyError, TypeError, OSError):
                named.add(json.loads(self._system.cat_file(f"{folder}/{number:08d}.json"))["object"])
        stale += [name for name in names if _OBJECT.fullmatch(name) and name not in named]
        for name in stale:  # records first
            with contextlib.suppress(OSError):
                self._system.rm_file(f"{folder}/{name}")

    def nodes(self) -> list[str]:
        """Return the names of the nodes that have snapshots."""
        self._system.invalidate_cache()
        below = len(self._root) + 1
        paths = [str(path).rpartition("/") for path in self._system.find(self._root)]
        return sorted({folder[below:] for folder, _, name in paths if folder and _RECORD.fullmatch(name)})

    def _names(self, node: str) -> list[str]:
        self._system.invalidate_cache()  # others write too
        try:
            paths = self._system.ls(f"{self._root}/{node}", detail=False)
        except FileNotFoundError:
            return []
        return [str(path).rstrip("/").rpartition("/")[2] for path in paths]
