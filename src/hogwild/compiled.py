"""How kernels are compiled, cached and made to talk to the processor.

Only this file and vectors/ know Numba's inside and LLVM.

Kernels are plain scalar loops under ``@kernel`` (an entry point, kept in the cache on disk) or ``@inlined`` (a part of
one). Both release the GIL. The flags leave NaN and infinity alone: with full fastmath ``np.isfinite(nan)`` is True and
divergence goes unseen.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import os
import pickle
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.caching import FunctionCache
from numba.cpython.unsafe.numbers import leading_zeros as leading_zeros
from numba.cpython.unsafe.numbers import trailing_zeros as trailing_zeros
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from hogwild.folders import cache_folder, writable

FASTMATH = {"reassoc", "contract", "arcp", "nsz", "afn"}
# Without reference counts: they cost 250 ns a row, 25 indivisible increments for the arrays of rows, model and work.
# So kernels allocate nothing.
# A function without `fastmath` takes its caller's: strict ones say that they have none.
STRICT: dict[str, Any] = {
    "nogil": True,
    "boundscheck": False,
    "error_model": "numpy",
    "_nrt": False,
    "fastmath": False,
}
OPTIONS: dict[str, Any] = {**STRICT, "fastmath": FASTMATH}

LINE = 64  # bytes in a cache line
_WITHOUT_KERNELS = {"cli", "report", "models.py", "encoding.py", "torch", "own", "gradients.py", "ranking.py"}
_UNUSED_DAYS = 60  # a cache of another version that nobody opened for so long is removed


# ------------------------------------------------------------------------------------------------ cache on disk


@functools.cache
def sources_digest() -> str:
    """Digest of the package's sources and of Numba's version: what compiled code depends on.

    The floors above the kernels are left out: imports go downwards, so no kernel knows them.
    """
    digest = hashlib.sha256(f"{numba.__version__} {np.__version__} {platform.python_version()}".encode())
    package = Path(__file__).parent
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).parts[0] in _WITHOUT_KERNELS:
            continue
        digest.update(str(path.relative_to(package)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:20]


@functools.cache
def kernel_cache() -> Path:
    """Folder of the compiled kernels: in the user's cache folder, or a private temporary one if that is read-only."""
    kernels = cache_folder() / "kernels"
    folder = kernels / sources_digest()
    if writable(folder):
        os.utime(folder)
        _forget_unused(kernels)
        return folder
    private = Path(tempfile.mkdtemp(prefix="hogwild-kernels-"))
    atexit.register(shutil.rmtree, private, ignore_errors=True)
    return private


def _forget_unused(kernels: Path) -> None:
    oldest = time.time() - _UNUSED_DAYS * 86_400
    for folder in kernels.iterdir():
        try:
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue


class _KernelCache(FunctionCache):
    """One file for each kernel and signature, written at once and checked when read.

    Numba's own cache keeps an index file for each function: two processes that compile at the same time can leave an
    index that points at the other's code. And its staleness check sees only the file that holds the function.
    """

    def __init__(self, function: Callable) -> None:
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._implementation = self._impl_class.__new__(self._impl_class)  # only its reduce and rebuild are needed
        self._enabled = True

    @property
    def cache_path(self) -> str:
        return str(kernel_cache())

    def flush(self) -> None:
        shutil.rmtree(kernel_cache(), ignore_errors=True)

    def _path(self, signature: Any, codegen: Any) -> Path:
        key = f"{self._name} {signature} {codegen.magic_tuple()}"
        return kernel_cache() / f"{self._name.rsplit('.', 1)[-1]}-{hashlib.sha256(key.encode()).hexdigest()[:24]}"

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        target_context.refresh()
        if not self._enabled or _holds_function(signature):
            return None
        try:
            stored = self._path(signature, target_context.codegen()).read_bytes()
            digest, data = stored[:32], stored[32:]
            if hashlib.sha256(data).digest() != digest:
                return None
            found = self._implementation.rebuild(target_context, pickle.loads(data))
            # another module's class of the same name has the same text; taken, it would be loaded anew at every call
            return found if tuple(found.signature.args) == tuple(signature) else None
        except Exception:  # absent, torn or of another build: compile again
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        if not self._enabled or _holds_function(data.signature.args) or not self._implementation.check_cachable(data):
            return
        from numba.core.serialize import dumps

        content = dumps(self._implementation.reduce(data))
        try:
            folder = kernel_cache()
            with tempfile.NamedTemporaryFile(dir=folder, prefix="tmp-", delete=False) as file:
                file.write(hashlib.sha256(content).digest() + content)
            os.replace(file.name, self._path(signature, data.codegen))
        except OSError:  # a full disk costs the next process a compilation, never a fit
            return


def _holds_function(signature: Any) -> bool:
    """Whether a user's compiled function is among the arguments: such code is of no use to another process."""
    return "CPUDispatcher(" in str(signature)


def kernel(function: Callable) -> Callable:
    """Compile a module-level entry point: no GIL, our flags, kept in the cache on disk."""
    dispatcher = njit(**OPTIONS)(function)
    dispatcher._cache = _KernelCache(function)
    return dispatcher


def strict_kernel(function: Callable) -> Callable:
    """Like `kernel` without any relaxation of floating point: for checks of finiteness and exact sums."""
    dispatcher = njit(**STRICT)(function)
    dispatcher._cache = _KernelCache(function)
    return dispatcher


def inlined(function: Callable) -> Callable:
    """Compile a part of a kernel; LLVM inlines it."""
    return njit(forceinline=True, **OPTIONS)(function)


def strict_inlined(function: Callable) -> Callable:
    """Like `inlined` without any relaxation of floating point: a quotient is divided, not multiplied."""
    return njit(forceinline=True, **STRICT)(function)


@njit(forceinline=True, **{**STRICT, "fastmath": {"contract"}})
def multiply_add(a, b, c):
    """``a * b + c``, in one instruction, never regrouped."""
    return a * b + c


@njit(forceinline=True, **{**STRICT, "fastmath": {"contract"}})
def plus(a, b):
    """``a + b``, in one instruction with the product that `b` may be, never regrouped (``w + (v - w)`` is not v)."""
    return a + b


def select(functions: list[Callable]) -> Callable:
    """Return ``f(kind, *arguments)`` that calls ``functions[kind]``: a chain of branches keeps kernels cacheable.

    A branch a row costs nothing beside the row; a compiled function passed as an argument would miss the cache.
    """
    *rest, last = range(len(functions))

    def chain(kind: int, following: Callable | None) -> Callable:
        chosen = functions[kind]
        if following is None:
            return inlined(lambda which, y, p, a: chosen(y, p, a))
        return inlined(lambda which, y, p, a: chosen(y, p, a) if which == kind else following(which, y, p, a))

    chained = chain(last, None)
    for kind in reversed(rest):
        chained = chain(kind, chained)
    return chained


# ------------------------------------------------------------------------------------------------ memory


def aligned_zeros(shape: int | tuple[int, ...], dtype: Any) -> np.ndarray:
    """Zeros that start on a cache line (NumPy's start 16 bytes behind one)."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    raw = np.zeros(size + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size].view(dtype).reshape(shape)


def aligned_copy(array: np.ndarray, dtype: Any = None) -> np.ndarray:
    """Copy `array`, C-ordered, to the start of a cache line."""
    copy = aligned_zeros(array.shape, dtype or array.dtype)
    copy[...] = array
    return copy


# ------------------------------------------------------------------------------------------------ intrinsics


def address_of(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Address of ``array.ravel()[index]``, for intrinsics."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


@intrinsic
def prefetch(typing_context, array, index):
    """Ask for the cache line of ``array.ravel()[index]``, to read; never faults."""

    def codegen(context, builder, signature, args):
        byte_pointer, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        address = builder.bitcast(address_of(context, builder, signature.args[0], *args), byte_pointer)
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [byte_pointer, i32, i32, i32]), "llvm.prefetch.p0"
        )
        builder.call(function, [address, i32(0), i32(3), i32(1)])  # read, keep in all levels, data
        return context.get_dummy_value()

    return types.void(array, types.uint64), codegen


@intrinsic
def prefetch_to_write(typing_context, array, index):
    """Ask for the cache line of ``array.ravel()[index]`` for this core alone, to change; never faults."""

    def codegen(context, builder, signature, args):
        byte_pointer, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        address = builder.bitcast(address_of(context, builder, signature.args[0], *args), byte_pointer)
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [byte_pointer, i32, i32, i32]), "llvm.prefetch.p0"
        )
        builder.call(function, [address, i32(1), i32(3), i32(1)])  # write, keep in all levels, data
        return context.get_dummy_value()

    return types.void(array, types.uint64), codegen


@intrinsic
def load_acquire(typing_context, array, index):
    """``array[index]``, read after which nothing of another thread's earlier writes is missed."""

    def codegen(context, builder, signature, args):
        address = address_of(context, builder, signature.args[0], *args)
        return builder.load_atomic(address, "acquire", align=array.dtype.bitwidth // 8)

    return array.dtype(array, types.uint64), codegen


@intrinsic
def store_release(typing_context, array, index, value):
    """``array[index] = value``, seen by others only after all that this thread wrote before."""

    def codegen(context, builder, signature, args):
        address = address_of(context, builder, signature.args[0], args[0], args[1])
        builder.store_atomic(args[2], address, "release", align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.uint64, array.dtype), codegen


@intrinsic
def fetch_add(typing_context, array, index, value):
    """``array[index] += value`` in one indivisible operation; returns what stood there before."""

    def codegen(context, builder, signature, args):
        address = address_of(context, builder, signature.args[0], args[0], args[1])
        operation = "fadd" if isinstance(array.dtype, types.Float) else "add"
        return builder.atomic_rmw(operation, address, args[2], "acq_rel")

    return array.dtype(array, types.uint64, array.dtype), codegen


@intrinsic
def compare_exchange(typing_context, array, index, expected, value):
    """``array[index] = value`` if `expected` stands there, in one indivisible operation; returns whether it did."""

    def codegen(context, builder, signature, args):
        address = address_of(context, builder, signature.args[0], args[0], args[1])
        pair = builder.cmpxchg(address, args[2], args[3], "acq_rel", "acquire")
        return builder.extract_value(pair, 1)

    return types.boolean(array, types.uint64, array.dtype, array.dtype), codegen


@intrinsic
def pause(typing_context):
    """Tell the processor that this is a spin loop."""

    def codegen(context, builder, signature, args):
        machine = platform.machine().lower()
        if machine in ("x86_64", "amd64"):
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.VoidType(), []), "llvm.x86.sse2.pause"
            )
            builder.call(function, [])
        elif machine in ("aarch64", "arm64"):
            i32 = ir.IntType(32)
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.VoidType(), [i32]), "llvm.aarch64.hint"
            )
            builder.call(function, [i32(1)])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def yield_to_system(typing_context):
    """Let the operating system run another thread here (``sched_yield``)."""

    def codegen(context, builder, signature, args):
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.IntType(32), []), "sched_yield")
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def root(typing_context, x):
    """Square root, rounded correctly, without a call: what NumPy's becomes in a strict function is one."""

    def codegen(context, builder, signature, args):
        kind = args[0].type
        name = f"llvm.sqrt.f{x.bitwidth}"
        return builder.call(cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), name), args)

    return x(x), codegen


# ------------------------------------------------------------------------------------------------ slots boxed in NaNs

# A quiet NaN with this prefix names a slot; arithmetic never makes one (the processor's own NaN has a zero payload).
_BOXES = {32: (0xFFE00000, (1 << 21) - 1), 64: (0xFFFC000000000000, (1 << 50) - 1)}


def _bits(builder: Any, address: Any, dtype: Any) -> tuple[Any, ir.IntType, int, int]:
    """The word at `address` as an integer, its type, and prefix and mask of a box."""
    integer = ir.IntType(dtype.bitwidth)
    prefix, mask = _BOXES[dtype.bitwidth]
    return builder.load(builder.bitcast(address, integer.as_pointer())), integer, prefix, mask


def _unboxed(builder: Any, address: Any, dtype: Any) -> tuple[Any, Any]:
    """Whether a slot is boxed at `address`, and the slot, in 64 bits."""
    word, integer, prefix, mask = _bits(builder, address, dtype)
    boxed = builder.icmp_unsigned("==", builder.and_(word, integer(prefix)), integer(prefix))
    slot = builder.and_(word, integer(mask))
    return boxed, builder.zext(slot, ir.IntType(64)) if integer.width == 32 else slot


def _split_address(context: Any, builder: Any, signature: Any, tail: Any, index: Any, head: Any) -> Any:
    """Address of the weight: in `head` where the tail holds a box, else in the tail itself; no branch to mispredict."""
    tail_type, head_type = signature.args[0], signature.args[2]
    cold = address_of(context, builder, tail_type, tail, index)
    boxed, slot = _unboxed(builder, cold, tail_type.dtype)
    return builder.select(boxed, address_of(context, builder, head_type, head, slot), cold)


@intrinsic
def select_load(typing_context, tail, index, head):
    """Weight `index` of a head and tail (steps/weights.py)."""

    def codegen(context, builder, signature, args):
        return builder.load(_split_address(context, builder, signature, *args))

    return tail.dtype(tail, types.uint64, head), codegen


@intrinsic
def select_add(typing_context, tail, index, head, change):
    """Add to weight `index` of a head and tail."""

    def codegen(context, builder, signature, args):
        address = _split_address(context, builder, signature, *args[:3])
        builder.store(builder.fadd(builder.load(address), args[3]), address)
        return context.get_dummy_value()

    return types.void(tail, types.uint64, head, tail.dtype), codegen


@intrinsic
def is_boxed(typing_context, array, index):
    """Whether ``array.ravel()[index]`` holds a slot."""

    def codegen(context, builder, signature, args):
        address = address_of(context, builder, signature.args[0], *args)
        return _unboxed(builder, address, signature.args[0].dtype)[0]

    return types.boolean(array, types.uint64), codegen


@intrinsic
def boxed_slot(typing_context, array, index):
    """Slot that ``array.ravel()[index]`` holds."""

    def codegen(context, builder, signature, args):
        address = address_of(context, builder, signature.args[0], *args)
        return _unboxed(builder, address, signature.args[0].dtype)[1]

    return types.uint64(array, types.uint64), codegen


@intrinsic
def box_slot(typing_context, array, index, slot):
    """``array[index]`` = a NaN that holds `slot`."""

    def codegen(context, builder, signature, args):
        integer = ir.IntType(signature.args[0].dtype.bitwidth)
        prefix, _ = _BOXES[integer.width]
        address = address_of(context, builder, signature.args[0], args[0], args[1])
        slot = builder.trunc(args[2], integer) if integer.width == 32 else args[2]
        builder.store(builder.or_(slot, integer(prefix)), builder.bitcast(address, integer.as_pointer()))
        return context.get_dummy_value()

    return types.void(array, types.uint64, types.uint64), codegen


def _row_at(context: Any, builder: Any, matrix_type: Any, address: Any, width: Any) -> Any:
    """View `width` elements at `address` as an array, without a reference count."""
    row_type = types.Array(matrix_type.dtype, 1, "C")
    row = context.make_array(row_type)(context, builder)
    itemsize = ir.IntType(64)(context.get_abi_sizeof(context.get_data_type(matrix_type.dtype)))
    populate_array(
        row,
        data=address,
        shape=cgutils.pack_array(builder, [width]),
        strides=cgutils.pack_array(builder, [itemsize]),
        itemsize=itemsize,
        meminfo=None,
    )
    return row._getvalue()


def _row_address(context: Any, builder: Any, matrix_type: Any, matrix: Any, index: Any) -> tuple[Any, Any]:
    """Address and width of row `index` of a C-ordered matrix."""
    structure = context.make_array(matrix_type)(context, builder, matrix)
    width = cgutils.unpack_tuple(builder, structure.shape, 2)[1]
    return builder.gep(structure.data, [builder.mul(index, width)]), width


def row_pointer(context: Any, builder: Any, weights_type: Any, weights: Any, index: Any) -> tuple[Any, Any]:
    """Address and width of row `index` of a C-ordered matrix, or of a head and tail (steps/weights.py).

    Of a head and tail: the head's row where the row's first element in the tail holds a slot.
    """
    if not is_split(weights_type):
        return _row_address(context, builder, weights_type, weights, index)
    head_type, tail_type = weights_type.types
    head, tail = (builder.extract_value(weights, k) for k in range(2))
    cold, width = _row_address(context, builder, tail_type, tail, index)
    boxed, slot = _unboxed(builder, cold, tail_type.dtype)
    hot, _ = _row_address(context, builder, head_type, head, slot)
    return builder.select(boxed, hot, cold), width


def is_split(weights: Any) -> bool:
    """Whether the compiler's type of `weights` is that of a head and tail."""
    return isinstance(weights, types.BaseNamedTuple) and weights.fields == ("head", "tail")


@intrinsic
def row_of(typing_context, weights, f):
    """View of row `f` of a C-ordered matrix, or of a head and tail (steps/weights.py), to read and to change.

    An intrinsic, for functions without reference counts cannot return arrays.
    """
    split = is_split(weights)
    if isinstance(weights, types.BaseNamedTuple) and not split:
        return None  # vectors of several components are not added to indivisibly
    matrix_type = weights.types[1] if split else weights

    def codegen(context, builder, signature, args):
        return _row_at(context, builder, matrix_type, *row_pointer(context, builder, weights, *args))

    return types.Array(matrix_type.dtype, 1, "C")(weights, types.uint64), codegen


# ------------------------------------------------------------------------------------------------ waiting

_SPINS = 200  # turns before the processor is given away: four spinning threads on two cores ran 47 times slower


@inlined
def wait_turn(turns):
    """One turn of a bounded spin: pause at first, then yield; returns the number of turns so far."""
    if turns < _SPINS:
        pause()
    else:
        yield_to_system()
    return turns + 1


@inlined
def lock(locks, index):
    """Take ``locks[index]`` (int64, 0 is free)."""
    turns = 0
    while not compare_exchange(locks, index, np.int64(0), np.int64(1)):
        while load_acquire(locks, index) != 0:
            turns = wait_turn(turns)


@inlined
def unlock(locks, index):
    """Give ``locks[index]`` back."""
    store_release(locks, index, np.int64(0))


@inlined
def barrier(state, parties):
    """Wait until `parties` threads are here. `state`: int64, arrivals at 0, generation one cache line on, at 8."""
    generation = load_acquire(state, np.uint64(8))
    if fetch_add(state, np.uint64(0), np.int64(1)) == parties - 1:
        store_release(state, np.uint64(0), np.int64(0))
        store_release(state, np.uint64(8), generation + 1)
    else:
        turns = 0
        while load_acquire(state, np.uint64(8)) == generation:
            turns = wait_turn(turns)
