"""Arrays in memory that several processes map, and the pickles in which they travel as references.

The memory has no name: the system frees it with the last process that maps it, whoever was killed in between. A named
segment (`multiprocessing.shared_memory`) outlives a ``kill -9`` of its process group, where the tracker that would
unlink it dies as well, and `/dev/shm` is 64 MB in many containers. Processes get it as a file descriptor over a socket.
"""

from __future__ import annotations

import bisect
import errno
import importlib
import itertools
import mmap
import os
import pickle
import shutil
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
import numpy as np

LINE = 64  # bytes in a cache line: every array starts on one
ARENA = 1 << 20  # bytes of a block that small arrays have in common: one descriptor for hundreds of them
ROOM = "/dev/shm"  # where a system has no memory files


class Block(NamedTuple):
    """One piece of shared memory as this process has it mapped.

    Attributes
    ----------
    name : tuple of int
        Process that made it, and its number there.
    memory : weakref of mmap
    address, size : int
        Where it lies here, in bytes.
    descriptor : int
    """

    name: tuple[int, int]
    memory: weakref.ref
    address: int
    size: int
    descriptor: int


_blocks: dict[tuple[int, int], Block] = {}
_starts: list[tuple[int, tuple[int, int]]] = []  # addresses in ascending order, and whose they are
_gone: list[tuple[int, tuple[int, int]]] = []  # entries of `_starts` whose last array was collected
_kept: dict[tuple[int, int], mmap.mmap] = {}  # blocks of another process, until it has done with them
_numbers = itertools.count()
_lock = threading.RLock()
_arena: list[Any] = [None, 0, 0]  # the block that small arrays come from at present, bytes taken, process


def _renew() -> None:
    global _lock
    _lock = threading.RLock()  # a thread that is not in the forked child may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


# ------------------------------------------------------------------------------------------------ memory


def available_bytes() -> int | None:
    """Memory that could be taken now: the machine's and the container's, whichever is less; None if nobody tells."""
    found = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        if limit != "max":
            taken = int(Path("/sys/fs/cgroup/memory.current").read_text())
            stat = dict(line.split() for line in Path("/sys/fs/cgroup/memory.stat").read_text().splitlines())
            found.append(max(0, int(limit) - taken + int(stat.get("inactive_file", 0))))
    except (OSError, ValueError):
        pass
    return min(found, default=None)


def _too_little(size: int, found: int | None) -> MemoryError:
    room = "less" if found is None else f"{max(0, found):,} bytes"
    return MemoryError(
        f"shared memory for {size:,} bytes is needed, found {room}: use threads (no copy of the rows), fewer rows at "
        "once (a cache file or a stream), or a machine or container with more memory"
    )


def _open_file() -> int:
    """Open a file without a name, in memory."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("hogwild", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile(dir=ROOM if os.path.isdir(ROOM) else None) as file:
        return os.dup(file.fileno())


def _reserve(descriptor: int, start: int, size: int) -> None:
    """Take pages now, while there is an error to tell: a write to a page that cannot be had kills the process."""
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    try:
        os.posix_fallocate(descriptor, start, size)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.ENOMEM):
            raise
        free = None if hasattr(os, "memfd_create") else shutil.disk_usage(ROOM).free
        raise _too_little(size, available_bytes() if free is None else free) from None


def _map(name: tuple[int, int], descriptor: int, size: int) -> mmap.mmap:
    """Map a file and note where it lies, for as long as anybody uses the map."""
    memory = mmap.mmap(descriptor, size)
    address = np.ndarray((1,), np.uint8, buffer=memory).__array_interface__["data"][0]
    block = Block(name, weakref.ref(memory), address, size, descriptor)
    _blocks[name] = block
    bisect.insort(_starts, (address, name))
    weakref.finalize(memory, _let_go, (address, name), descriptor).atexit = False
    return memory


def _let_go(entry: tuple[int, tuple[int, int]], descriptor: int) -> None:
    """Close the file of a block; runs in the middle of anything, so the lists are left to `_sweep`."""
    _gone.append(entry)
    os.close(descriptor)


def _sweep() -> None:
    """Strike the blocks out that are gone."""
    while _gone:
        address, name = _gone.pop()
        _starts.remove((address, name))
        if _blocks[name].address == address:  # not mapped anew in the meantime
            del _blocks[name]


def _new_block(size: int) -> mmap.mmap:
    available = available_bytes() if size > ARENA else None
    if available is not None and size > available:
        raise _too_little(size, available)
    descriptor = _open_file()
    try:
        os.ftruncate(descriptor, size)
        return _map((os.getpid(), next(_numbers)), descriptor, size)
    except BaseException:
        os.close(descriptor)
        raise


def shared_zeros(shape: int | tuple[int, ...], dtype: Any) -> np.ndarray:
    """Zeros in shared memory, on a cache line; freed when the last view of them is collected, here and in workers.

    Raises
    ------
    MemoryError
        If there is too little memory: with the bytes needed and found.
    TypeError
        If `dtype` holds Python objects.
    """
    dtype = np.dtype(dtype)
    if dtype.hasobject:
        raise TypeError(f"arrays of Python objects cannot be shared, found dtype {dtype}, expected numbers")
    size = int(np.prod(shape)) * dtype.itemsize
    if size == 0:
        return np.zeros(shape, dtype)
    with _lock:
        _sweep()
        if size >= ARENA // 2:
            memory, start = _new_block(-(-size // mmap.PAGESIZE) * mmap.PAGESIZE), 0
        else:
            if _arena[0] is None or _arena[1] + size > ARENA or _arena[2] != os.getpid():
                _arena[:] = [_new_block(ARENA), 0, os.getpid()]
            memory, start = _arena[0], _arena[1]
            _arena[1] += -(-size // LINE) * LINE
        address = np.ndarray((1,), np.uint8, buffer=memory).__array_interface__["data"][0]
        _reserve(_blocks[_find(address)].descriptor, start, size)
    return np.ndarray(shape, dtype, buffer=memory, offset=start)


def shared_copy(array: np.ndarray) -> np.ndarray:
    """Copy `array`, C-ordered and writable, into shared memory."""
    copy = shared_zeros(array.shape, array.dtype)
    copy[...] = array
    return copy


def is_shared(array: np.ndarray) -> bool:
    """Whether `array` lies in shared memory, whole."""
    with _lock:
        _sweep()
        return _place(array) is not None


def forget_arena() -> None:
    """Take small arrays from a new block, so that what was finished with is freed whole."""
    with _lock:
        _arena[0] = None


def _find(address: int) -> tuple[int, int] | None:
    """Name of the block in which `address` lies."""
    k = bisect.bisect_right(_starts, (address, (1 << 62, 0))) - 1
    if k < 0:
        return None
    start, name = _starts[k]
    block = _blocks[name]
    if block.address != start or address >= start + block.size or block.memory() is None:
        return None
    return name


def _place(array: np.ndarray) -> tuple[tuple[int, int], int] | None:
    """Block and offset of an array, or None if it lies elsewhere."""
    if not array.size:
        return None
    address = array.__array_interface__["data"][0]
    name = _find(address)
    if name is None:
        return None
    block = _blocks[name]
    low, high = np.lib.array_utils.byte_bounds(array)
    return (name, address - block.address) if block.address <= low and high <= block.address + block.size else None


# ------------------------------------------------------------------------------------------------ between processes


def descriptor_of(name: tuple[int, int]) -> tuple[int, int]:
    """File descriptor and size of a block."""
    block = _blocks[name]
    return block.descriptor, block.size


def attach(name: tuple[int, int], descriptor: int, size: int) -> None:
    """Map a block that another process has sent; it stays until `detach`."""
    with _lock:
        _sweep()
        _kept[name] = _map(name, descriptor, size)


def detach(name: tuple[int, int]) -> None:
    """Let go of a block of another process: it is unmapped when the last array here is collected."""
    _kept.pop(name, None)


def alive(name: tuple[int, int]) -> bool:
    """Whether arrays of a block are in use in this process."""
    with _lock:
        _sweep()
        return name in _blocks


def _rebuild(name, offset, shape, strides, dtype, writeable):
    """View the memory of a block that is mapped in this process."""
    array = np.ndarray(shape, dtype, _blocks[name].memory(), offset, strides)
    if not writeable:
        array.flags.writeable = False
    return array


class _Pickler(cloudpickle.Pickler):
    """By cloudpickle, but arrays in shared memory (and PyTorch's tensors over them) as references."""

    def __init__(self, file: BytesIO, may_refer: Callable[[tuple[int, int]], bool] | None) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._may_refer = may_refer
        self._torch = sys.modules.get("torch")
        self.used: dict[tuple[int, int], Any] = {}

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is np.ndarray:
            place = _place(obj)
            if place is None or (self._may_refer is not None and not self._may_refer(place[0])):
                return NotImplemented
            name, offset = place
            self.used[name] = _blocks[name].memory()
            dtype = obj.dtype.str if obj.dtype.isbuiltin == 1 else obj.dtype
            return _rebuild, (name, offset, obj.shape, obj.strides, dtype, obj.flags.writeable)
        if self._torch is not None and type(obj) is self._torch.Tensor and _is_plain(obj, self._torch):
            return self._torch.from_numpy, (obj.detach().numpy(),)
        compiled = getattr(obj, "py_func", None)
        if compiled is not None and _is_named(obj, compiled.__module__, compiled.__qualname__):
            return _named, (compiled.__module__, compiled.__qualname__)
        return super().reducer_override(obj)


def _is_named(obj: Any, module: str, name: str) -> bool:
    """Whether a module that workers can import has `obj` under this name.

    Numba pickles a compiled function as its source: workers would compile it again, and not look into the disk cache.
    """
    by_value = module == "__main__" or module in cloudpickle.list_registry_pickle_by_value()
    return not by_value and getattr(sys.modules.get(module), name, None) is obj


def _named(module: str, name: str) -> Any:
    """Import what a module has under a name."""
    return getattr(importlib.import_module(module), name)


def _is_plain(tensor: Any, torch: Any) -> bool:
    """Whether a tensor is a view of shared memory, without a history."""
    if tensor.device.type != "cpu" or tensor.layout is not torch.strided or tensor.requires_grad:
        return False
    try:
        return not tensor.is_conj() and not tensor.is_neg() and _place(tensor.numpy()) is not None
    except (TypeError, RuntimeError):  # a type that NumPy has not
        return False


def dumps(
    obj: Any, may_refer: Callable[[tuple[int, int]], bool] | None = None
) -> tuple[bytes, dict[tuple[int, int], Any]]:
    """Pickle `obj`; returns the bytes and the blocks that they refer to (which live as long as the returned dict)."""
    with _lock:
        _sweep()
        file = BytesIO()
        pickler = _Pickler(file, may_refer)
        pickler.dump(obj)
    return file.getvalue(), pickler.used


def marks(blocks: Iterable[tuple[int, int]]) -> tuple[np.ndarray, ...]:
    """One byte of each block: arguments that bring the blocks to a worker, for a pickle that travels by itself."""
    return tuple(np.ndarray((1,), np.uint8, buffer=_blocks[name].memory()) for name in blocks)


def is_foreign(name: tuple[int, int]) -> bool:
    """Whether a block was sent by another process and is still lent."""
    return name in _kept


def loads(data: bytes) -> Any:
    """Make an object again."""
    return pickle.loads(data)
