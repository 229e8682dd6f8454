"""Explicit vectors over rows of factors: products and updates of two or three rows at a time.

The compiler leaves such loops scalar, for it cannot know that the rows do not overlap: 37 ns a rating against 13
(16 floats a row). Rows are whole blocks of `LANES` float32; element 0 is the bias, whose partner is a constant. It is
replaced within the vector: a scalar store beside the vector's would hold up the next load of the row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from hogwild.compiled import address_of, strict_inlined

LANES = 16  # float32 in a cache line
_I32, _I64, _F32 = ir.IntType(32), ir.IntType(64), ir.FloatType()
_VECTOR = ir.VectorType(_F32, LANES)
_FMA, _FAST = ("contract",), ("reassoc", "contract", "arcp", "nsz", "afn")


def _spread(builder: Any, scalar: Any) -> Any:
    """A vector with `scalar` in every lane."""
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), scalar, _I32(0))
    return builder.shuffle_vector(
        one, ir.Constant(_VECTOR, ir.Undefined), ir.Constant(ir.VectorType(_I32, LANES), None)
    )


def _call(builder: Any, name: str, kind: Any, args: list, flags: tuple = ()) -> Any:
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [a.type for a in args]), name)
    return builder.call(function, args, fastmath=flags)


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    return builder.fadd(builder.fmul(a, b, flags=_FMA), c, flags=_FMA)


class _Rows:
    """Rows of factors in a kernel under construction: blocks of them are loaded, changed and stored."""

    def __init__(self, context: Any, builder: Any, row_types: Any, rows: Any) -> None:
        self._builder = builder
        zero = _I64(0)
        self._data = [address_of(context, builder, kind, row, zero) for kind, row in zip(row_types, rows, strict=True)]

    def _place(self, row: int, offset: Any) -> Any:
        return self._builder.bitcast(self._builder.gep(self._data[row], [offset]), _VECTOR.as_pointer())

    def load(self, offset: Any) -> list[Any]:
        return [self._builder.load(self._place(row, offset), align=4) for row in range(len(self._data))]

    def store(self, offset: Any, vectors: list[Any]) -> None:
        for row, vector in enumerate(vectors):
            self._builder.store(vector, self._place(row, offset), align=4)


def _blocks(builder: Any, n: Any, body: Callable[[Any, bool], None]) -> None:
    """Call ``body(offset, whether it holds the biases)`` for each block of the first `n` elements."""
    body(_I64(0), True)
    with cgutils.for_range_slice(builder, _I64(LANES), n, _I64(LANES), intp=_I64) as (offset, _):
        body(offset, False)


def _sum(builder: Any, total: Any) -> Any:
    return _call(builder, "llvm.vector.reduce.fadd.v16f32", _F32, [_F32(0.0), builder.load(total)], ("reassoc",))


def _replaced(builder: Any, vector: Any, scalar: Any, first: bool) -> Any:
    return builder.insert_element(vector, scalar, _I32(0)) if first else vector


def _adapted(builder: Any, x: Any, gradient: Any, total: Any, minus_eta: Any) -> tuple[Any, Any]:
    """AdaGrad: the new sum of squares, and the weights after a step by it (fast reciprocal roots of the processor)."""
    total = _multiply_add(builder, gradient, gradient, total)
    root = _call(builder, "llvm.sqrt.v16f32", _VECTOR, [total], _FAST)
    change = builder.fdiv(builder.fmul(minus_eta, gradient, flags=_FAST), root, flags=_FAST)
    return total, builder.fadd(x, change)


# ------------------------------------------------------------------------------------------------ two rows


@intrinsic
def _dot_pair(typing_context, u, v, n):
    def codegen(context, builder, signature, args):
        rows = _Rows(context, builder, signature.args[:2], args[:2])
        total = cgutils.alloca_once_value(builder, ir.Constant(_VECTOR, None))

        def block(offset, first):
            a, b = rows.load(offset)
            if not first:
                return builder.store(_multiply_add(builder, a, b, builder.load(total)), total)
            biases = [builder.extract_element(x, _I32(0)) for x in (a, b)]
            return builder.store(builder.insert_element(builder.fmul(a, b), builder.fadd(*biases), _I32(0)), total)

        _blocks(builder, args[2], block)
        return _sum(builder, total)

    return types.float32(u, v, types.uint64), codegen


@intrinsic
def _move_pair(typing_context, u, v, n, keep, g, one):
    def codegen(context, builder, signature, args):
        rows = _Rows(context, builder, signature.args[:2], args[:2])
        n, one = args[2], args[5]
        keep, minus = _spread(builder, args[3]), _spread(builder, builder.fneg(args[4]))

        def block(offset, first):
            a, b = rows.load(offset)
            by = _replaced(builder, b, one, first), _replaced(builder, a, one, first)
            moved = [
                _multiply_add(builder, minus, y, builder.fmul(keep, x, flags=_FMA))
                for x, y in zip((a, b), by, strict=True)
            ]
            rows.store(offset, moved)

        _blocks(builder, n, block)
        return context.get_dummy_value()

    return types.void(u, v, types.uint64, types.float32, types.float32, types.float32), codegen


@intrinsic
def _adapt_pair(typing_context, u, v, n, slope, alpha, eta, one):
    def codegen(context, builder, signature, args):
        rows = _Rows(context, builder, signature.args[:2], args[:2])
        n, one = args[2], args[6]
        slope, alpha, minus_eta = (_spread(builder, x) for x in (args[3], args[4], builder.fneg(args[5])))

        def block(offset, first):
            a, b = rows.load(offset)
            by, sums_at = (_replaced(builder, b, one, first), _replaced(builder, a, one, first)), builder.add(offset, n)
            stepped = [
                _adapted(builder, x, _multiply_add(builder, slope, y, builder.fmul(alpha, x)), total, minus_eta)
                for x, y, total in zip((a, b), by, rows.load(sums_at), strict=True)
            ]
            rows.store(sums_at, [total for total, _ in stepped])
            rows.store(offset, [x for _, x in stepped])

        _blocks(builder, n, block)
        return context.get_dummy_value()

    return types.void(u, v, types.uint64, *[types.float32] * 4), codegen


# ------------------------------------------------------------------------------------------------ three rows


@intrinsic
def _dot_difference(typing_context, u, v, w, n):
    def codegen(context, builder, signature, args):
        rows = _Rows(context, builder, signature.args[:3], args[:3])
        total = cgutils.alloca_once_value(builder, ir.Constant(_VECTOR, None))

        def block(offset, first):
            a, b, c = rows.load(offset)
            a = _replaced(builder, a, _F32(1.0), first)
            builder.store(_multiply_add(builder, a, builder.fsub(b, c), builder.load(total)), total)

        _blocks(builder, args[3], block)
        return _sum(builder, total)

    return types.float32(u, v, w, types.uint64), codegen


@intrinsic
def _move_three(typing_context, u, v, w, n, keep, g, one):
    def codegen(context, builder, signature, args):
        rows = _Rows(context, builder, signature.args[:3], args[:3])
        n, one = args[3], args[6]
        keep, plus, minus = (_spread(builder, x) for x in (args[4], args[5], builder.fneg(args[5])))

        def block(offset, first):
            a, b, c = rows.load(offset)
            by, difference = _replaced(builder, a, one, first), builder.fsub(b, c)
            difference = _replaced(builder, difference, _F32(0.0), first)
            terms = ((a, minus, difference), (b, minus, by), (c, plus, by))
            rows.store(offset, [_multiply_add(builder, g, y, builder.fmul(keep, x, flags=_FMA)) for x, g, y in terms])

        _blocks(builder, n, block)
        return context.get_dummy_value()

    return types.void(u, v, w, types.uint64, types.float32, types.float32, types.float32), codegen


@intrinsic
def _adapt_three(typing_context, u, v, w, n, slope, alpha, eta, one):
    def codegen(context, builder, signature, args):
        rows = _Rows(context, builder, signature.args[:3], args[:3])
        n, one = args[3], args[7]
        plus, minus, alpha, minus_eta = (
            _spread(builder, x) for x in (args[4], builder.fneg(args[4]), args[5], builder.fneg(args[6]))
        )

        def block(offset, first):
            a, b, c = rows.load(offset)
            by, difference = _replaced(builder, a, one, first), builder.fsub(b, c)
            difference, sums_at = _replaced(builder, difference, _F32(0.0), first), builder.add(offset, n)
            terms = ((a, plus, difference), (b, plus, by), (c, minus, by))
            stepped = [
                _adapted(builder, x, _multiply_add(builder, g, y, builder.fmul(alpha, x)), total, minus_eta)
                for (x, g, y), total in zip(terms, rows.load(sums_at), strict=True)
            ]
            rows.store(sums_at, [total for total, _ in stepped])
            rows.store(offset, [x for _, x in stepped])

        _blocks(builder, n, block)
        return context.get_dummy_value()

    return types.void(u, v, w, types.uint64, *[types.float32] * 4), codegen


# Numba gives a kernel's flags to all that it holds, intrinsics as well: strict functions keep them away
@strict_inlined
def dot_pair(u, v, n):
    """``u[0] + v[0] + sum of u[j] v[j]`` for j from 1 to n."""
    return _dot_pair(u, v, n)


@strict_inlined
def move_pair(u, v, n, keep, g, one):
    """``u, v = keep u - g v, keep v - g u``, where the biases' partner is `one`."""
    _move_pair(u, v, n, keep, g, one)


@strict_inlined
def adapt_pair(u, v, n, slope, alpha, eta, one):
    """AdaGrad steps along ``slope v + alpha u`` and ``slope u + alpha v``; sums of squares stand `n` elements on."""
    _adapt_pair(u, v, n, slope, alpha, eta, one)


@strict_inlined
def dot_difference(u, v, w, n):
    """``(v[0] - w[0]) + sum of u[j] (v[j] - w[j])`` for j from 1 to n."""
    return _dot_difference(u, v, w, n)


@strict_inlined
def move_three(u, v, w, n, keep, g, one):
    """``u, v, w = keep u - g (v - w), keep v - g u, keep w + g u``; u[0] shrinks alone, its partner is `one`."""
    _move_three(u, v, w, n, keep, g, one)


@strict_inlined
def adapt_three(u, v, w, n, slope, alpha, eta, one):
    """AdaGrad steps along the gradients of `move_three`; sums of squares stand `n` elements on."""
    _adapt_three(u, v, w, n, slope, alpha, eta, one)
