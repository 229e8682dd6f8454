"""Explicit vectors over the columns of a matrix: what a row does to all columns of the features that it has.

The compiler's own loops over few columns check for overlap at every call, or keep sums in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from hogwild.compiled import address_of, strict_inlined


def _lanes(context: Any, builder: Any, dtype: Any, n: Any, body: Callable[[Any, int], None]) -> None:
    """Call ``body(first column, width)`` for the columns 0..n in vectors of 64 bytes, then of half, a quarter, ... ."""
    i64, lanes = ir.IntType(64), 512 // dtype.bitwidth
    done = builder.and_(n, i64(-lanes))
    with cgutils.for_range_slice(builder, i64(0), done, i64(lanes), intp=i64) as (offset, _):
        body(offset, lanes)
    width = lanes // 2
    while width:
        with builder.if_then(cgutils.is_not_null(builder, builder.and_(n, i64(width)))):
            body(done, width)
        done = builder.add(done, builder.and_(n, i64(width)))
        width //= 2


def _vector(context: Any, dtype: Any, width: int) -> Any:
    element = context.get_data_type(dtype)
    return ir.VectorType(element, width) if width > 1 else element


def _spread(builder: Any, scalar: Any, vector: Any) -> Any:
    """A vector with `scalar` in every lane."""
    if not isinstance(vector, ir.VectorType):
        return scalar
    spread = ir.Constant(vector, ir.Undefined)
    for lane in range(vector.count):
        spread = builder.insert_element(spread, scalar, ir.IntType(32)(lane))
    return spread


@intrinsic
def add_scaled(typing_context, target, at, source, start, n, factor):
    """``target.ravel()[at : at + n] += factor * source.ravel()[start : start + n]``, the two known not to overlap.

    Explicit vectors: the compiler's own loop checks for overlap at every call, which costs more than twenty columns do.
    """
    dtype = target.dtype

    def codegen(context, builder, signature, args):
        to = address_of(context, builder, signature.args[0], args[0], args[1])
        by = address_of(context, builder, signature.args[2], args[2], args[3])
        n, factor, align = args[4], args[5], dtype.bitwidth // 8

        def add(offset, width):
            vector = _vector(context, dtype, width)
            there, here = (builder.bitcast(builder.gep(base, [offset]), vector.as_pointer()) for base in (to, by))
            product = builder.fmul(
                builder.load(here, align=align), _spread(builder, factor, vector), flags=("contract",)
            )
            total = builder.fadd(builder.load(there, align=align), product, flags=("contract",))
            builder.store(total, there, align=align)

        _lanes(context, builder, dtype, n, add)
        return context.get_dummy_value()

    return types.void(target, types.uint64, source, types.uint64, types.uint64, dtype), codegen


@intrinsic
def dot_columns(typing_context, indices, values, start, stop, weights, scores):
    """``scores += sum over j in start..stop of values[j] * weights[indices[j]]``, the sums kept in registers.

    Sums in memory wait for their own stores: 24 cycles a nonzero for twenty columns against 6 here.
    """
    dtype = scores.dtype

    def codegen(context, builder, signature, args):
        indices_type, values_type, _, _, weights_type, scores_type = signature.args
        start, stop = args[2], args[3]
        i64, align = ir.IntType(64), dtype.bitwidth // 8
        n = builder.extract_value(context.make_array(scores_type)(context, builder, args[5]).shape, 0)
        width_of_index = indices_type.dtype.bitwidth

        def column_sum(offset, width):
            vector = _vector(context, dtype, width)
            zero = ir.Constant(vector, None)
            sums = [cgutils.alloca_once_value(builder, zero) for _ in range(2)]
            for total in sums:
                builder.store(zero, total)

            def step(j, total):
                index = builder.load(address_of(context, builder, indices_type, args[0], j))
                if width_of_index < 64:
                    index = builder.zext(index, i64)
                first = builder.add(builder.mul(index, n), offset)
                row = builder.bitcast(address_of(context, builder, weights_type, args[4], first), vector.as_pointer())
                x = builder.load(address_of(context, builder, values_type, args[1], j))
                product = builder.fmul(builder.load(row, align=align), _spread(builder, x, vector), flags=("contract",))
                builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)

            odd = builder.and_(builder.sub(stop, start), i64(1))
            even_stop = builder.sub(stop, odd)
            with cgutils.for_range_slice(builder, start, even_stop, i64(2), intp=i64) as (j, _):
                step(j, sums[0])
                step(builder.add(j, i64(1)), sums[1])
            with builder.if_then(cgutils.is_not_null(builder, odd)):
                step(even_stop, sums[0])
            there = builder.bitcast(address_of(context, builder, scores_type, args[5], offset), vector.as_pointer())
            both = builder.fadd(builder.load(sums[0]), builder.load(sums[1]))
            builder.store(builder.fadd(builder.load(there, align=align), both), there, align=align)

        _lanes(context, builder, dtype, n, column_sum)
        return context.get_dummy_value()

    return types.void(indices, values, types.uint64, types.uint64, weights, scores), codegen


class _Entries:
    """Entries of a row for vector code: `indices` is None for dense rows, whose features are their places."""

    def __init__(self, context: Any, builder: Any, kinds: Any, args: Any) -> None:
        self._context, self._builder, self._kinds, self._args = context, builder, kinds, args
        self._dense = isinstance(kinds[0], types.NoneType)

    def at(self, j: Any, vector: Any) -> tuple[Any, Any]:
        """Feature of the entry at `j`, and its value in every lane."""
        context, builder, kinds, args = self._context, self._builder, self._kinds, self._args
        if self._dense:
            index = builder.sub(j, args[2])
        else:
            index = builder.load(address_of(context, builder, kinds[0], args[0], j))
            if kinds[0].dtype.bitwidth < 64:
                index = builder.zext(index, ir.IntType(64))
        return index, _spread(builder, builder.load(address_of(context, builder, kinds[1], args[1], j)), vector)


def _make_dot_row(ways: int) -> Any:
    @intrinsic
    def dot_row(typing_context, indices, values, start, stop, weights, scores):
        dtype = scores.dtype

        def codegen(context, builder, signature, args):
            kinds, (start, stop), i64, align = signature.args, args[2:4], ir.IntType(64), dtype.bitwidth // 8
            entries = _Entries(context, builder, kinds, args)
            n = builder.extract_value(context.make_array(kinds[5])(context, builder, args[5]).shape, 0)

            def block(offset, lanes):
                vector = _vector(context, dtype, lanes)
                sums = [cgutils.alloca_once_value(builder, ir.Constant(vector, None)) for _ in range(ways)]
                for total in sums:
                    builder.store(ir.Constant(vector, None), total)

                def step(j, total):
                    index, x = entries.at(j, vector)
                    place = builder.add(builder.mul(index, n), offset)
                    row = builder.bitcast(address_of(context, builder, kinds[4], args[4], place), vector.as_pointer())
                    product = builder.fmul(builder.load(row, align=align), x, flags=("contract",))
                    builder.store(builder.fadd(product, builder.load(total), flags=("contract",)), total)

                whole = builder.sub(stop, builder.and_(builder.sub(stop, start), i64(ways - 1)))
                with cgutils.for_range_slice(builder, start, whole, i64(ways), intp=i64) as (j, _):
                    for way in range(ways):
                        step(builder.add(j, i64(way)), sums[way])
                with cgutils.for_range_slice(builder, whole, stop, i64(1), intp=i64) as (j, _):
                    step(j, sums[0])
                parts = [builder.load(total) for total in sums]
                while len(parts) > 1:
                    parts = [builder.fadd(a, b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
                there = builder.bitcast(address_of(context, builder, kinds[5], args[5], offset), vector.as_pointer())
                builder.store(parts[0], there, align=align)

            _lanes(context, builder, dtype, n, block)
            return context.get_dummy_value()

        return types.void(indices, values, types.uint64, types.uint64, weights, scores), codegen

    return dot_row


_dot_row_1, _dot_row_2, _dot_row_4 = (_make_dot_row(ways) for ways in (1, 2, 4))


@intrinsic
def _add_row_block(typing_context, indices, values, start, stop, weights, slopes):
    dtype = slopes.dtype

    def codegen(context, builder, signature, args):
        kinds, (start, stop), i64, align = signature.args, args[2:4], ir.IntType(64), dtype.bitwidth // 8
        entries = _Entries(context, builder, kinds, args)
        n = builder.extract_value(context.make_array(kinds[5])(context, builder, args[5]).shape, 0)

        def block(offset, lanes):
            vector = _vector(context, dtype, lanes)
            here = builder.bitcast(address_of(context, builder, kinds[5], args[5], offset), vector.as_pointer())
            slope = builder.load(here, align=align)
            with cgutils.for_range_slice(builder, start, stop, i64(1), intp=i64) as (j, _):
                index, x = entries.at(j, vector)
                place = builder.add(builder.mul(index, n), offset)
                there = builder.bitcast(address_of(context, builder, kinds[4], args[4], place), vector.as_pointer())
                product = builder.fmul(slope, x, flags=("contract",))
                total = builder.fadd(product, builder.load(there, align=align), flags=("contract",))
                builder.store(total, there, align=align)

        _lanes(context, builder, dtype, n, block)
        return context.get_dummy_value()

    return types.void(indices, values, types.uint64, types.uint64, weights, slopes), codegen


@intrinsic
def _adagrad_row(typing_context, indices, values, start, stop, coef, squares, slopes, etas, smallest):
    dtype = coef.dtype

    def codegen(context, builder, signature, args):
        kinds, (start, stop), i64, align = signature.args, args[2:4], ir.IntType(64), dtype.bitwidth // 8
        entries = _Entries(context, builder, kinds, args)
        n = builder.extract_value(context.make_array(kinds[6])(context, builder, args[6]).shape, 0)

        def block(offset, lanes):
            vector = _vector(context, dtype, lanes)

            def place(k, index):
                return builder.bitcast(address_of(context, builder, kinds[k], args[k], index), vector.as_pointer())

            slope, eta = (builder.load(place(k, offset), align=align) for k in (6, 7))
            name = f"llvm.sqrt.v{lanes}f{dtype.bitwidth}" if lanes > 1 else f"llvm.sqrt.f{dtype.bitwidth}"
            root = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector]), name)
            least = _spread(builder, args[8], vector)
            with cgutils.for_range_slice(builder, start, stop, i64(1), intp=i64) as (j, _):
                index, x = entries.at(j, vector)
                index = builder.add(builder.mul(index, n), offset)
                weight, total = place(4, index), place(5, index)
                gradient, before = builder.fmul(slope, x), builder.load(weight, align=align)
                square = builder.fmul(gradient, gradient, flags=("contract",))
                found = builder.fadd(square, builder.load(total, align=align), flags=("contract",))
                builder.store(found, total, align=align)
                step = builder.fdiv(builder.fmul(eta, gradient), builder.call(root, [found]))
                after = builder.fsub(before, step)
                enough = builder.fcmp_ordered(">", found, least)
                builder.store(builder.select(enough, after, before), weight, align=align)

        _lanes(context, builder, dtype, n, block)
        return context.get_dummy_value()

    return types.void(indices, values, types.uint64, types.uint64, coef, squares, slopes, etas, dtype), codegen


# Numba gives a kernel's flags to all that it holds, intrinsics as well: what must not be regrouped stands in a strict
# function of its own. `indices` is None for dense rows: entry j is then feature ``j - start``.
@strict_inlined
def dot_row_1(indices, values, start, stop, weights, scores):
    """``scores = sum over j in start..stop of values[j] * weights[indices[j]]`` for all columns: one sum for each."""
    _dot_row_1(indices, values, start, stop, weights, scores)


@strict_inlined
def dot_row_2(indices, values, start, stop, weights, scores):
    """`dot_row_1` with two sums side by side, in the order of `dot_columns`."""
    _dot_row_2(indices, values, start, stop, weights, scores)


@strict_inlined
def dot_row_4(indices, values, start, stop, weights, scores):
    """`dot_row_1` with four sums side by side, in the order in which `steps.linear` sums one column."""
    _dot_row_4(indices, values, start, stop, weights, scores)


@strict_inlined
def add_row_block(indices, values, start, stop, weights, slopes):
    """``weights[indices[j]] += values[j] * slopes`` for j in start..stop, all columns."""
    _add_row_block(indices, values, start, stop, weights, slopes)


@strict_inlined
def adagrad_row(indices, values, start, stop, coef, squares, slopes, etas, smallest):
    """AdaGrad's step of all columns, each operation rounded as in one's; nothing where ``squares <= smallest``.

    ``g = slopes * x; squares += g^2; coef -= etas * g / sqrt(squares)``
    """
    _adagrad_row(indices, values, start, stop, coef, squares, slopes, etas, smallest)
