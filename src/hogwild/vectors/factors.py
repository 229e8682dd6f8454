"""Explicit vectors over the factors of a row's features: the sums of a factorisation machine's row, and its step.

A feature's row of the matrix is ``[w, v_1, .., v_k, zeros | the rule's sums alike]``; a vector of lanes is worked on
through the whole row of the data before the next, so that the sums stay in registers. Every lane does the same:
`shape`, an array of constants of shape (3, n), tells the linear weight from the factors:
``[1 for factors, else 0 | L2 | L1]``.

The compiler's own loops over so few elements check for overlap at every call and take the rest one by one: they take
twice to three times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from hogwild.compiled import address_of, is_split, row_pointer

LEAST_LANES = 8  # lanes are a multiple of it: a vector of 32 bytes of float32
_FLAGS = ("reassoc", "contract", "arcp", "nsz", "afn")
_I64 = ir.IntType(64)


class _Lanes:
    """Arithmetic on the vector of lanes from `offset` on, and its loads and stores."""

    def __init__(self, context: Any, builder: Any, dtype: Any, offset: Any, width: int) -> None:
        self._context, self._builder, self._align = context, builder, dtype.bitwidth // 8
        self.offset, self.type = offset, ir.VectorType(context.get_data_type(dtype), width)
        self.zero = ir.Constant(self.type, None)
        self._suffix = f"v{width}f{dtype.bitwidth}"

    def _address(self, data: Any, block: Any) -> Any:
        index = self.offset if block is None else self._builder.add(self.offset, block)
        return self._builder.bitcast(self._builder.gep(data, [index]), self.type.as_pointer())

    def load(self, data: Any, block: Any = None) -> Any:
        return self._builder.load(self._address(data, block), align=self._align)

    def store(self, value: Any, data: Any, block: Any = None) -> None:
        self._builder.store(value, self._address(data, block), align=self._align)

    def spread(self, scalar: Any) -> Any:
        undefined = ir.Constant(self.type, ir.Undefined)
        first = self._builder.insert_element(undefined, scalar, ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.type.count), None)
        return self._builder.shuffle_vector(first, undefined, zeros)

    def add(self, a: Any, b: Any) -> Any:
        return self._builder.fadd(a, b, flags=_FLAGS)

    def subtract(self, a: Any, b: Any) -> Any:
        return self._builder.fsub(a, b, flags=_FLAGS)

    def multiply(self, a: Any, b: Any) -> Any:
        return self._builder.fmul(a, b, flags=_FLAGS)

    def divide(self, a: Any, b: Any) -> Any:
        return self._builder.fdiv(a, b, flags=_FLAGS)

    def root(self, a: Any) -> Any:
        return self._call("sqrt", a)

    def soft(self, z: Any, threshold: Any) -> Any:
        """``sign(z) max(|z| - threshold, 0)``."""
        slack = self.subtract(self._call("fabs", z), threshold)
        positive = self._builder.fcmp_ordered(">", slack, self.zero)
        return self._call("copysign", self._builder.select(positive, slack, self.zero), z)

    def _call(self, name: str, *args: Any) -> Any:
        kind = ir.FunctionType(self.type, [self.type] * len(args))
        function = cgutils.get_or_insert_function(self._builder.module, kind, f"llvm.{name}.{self._suffix}")
        return self._builder.call(function, args, fastmath=_FLAGS)


class _Row:
    """Arguments of an intrinsic: rows, the number of one, the matrix, `shape`, the row's sums, n, further numbers."""

    def __init__(self, context: Any, builder: Any, kinds: Any, args: Any) -> None:
        self._context, self._builder, self._kinds, self._args = context, builder, kinds, args
        i, self.n, *self.numbers = args[1], *args[5:]
        self.shape, self.sums = (address_of(context, builder, kinds[k], args[k], _I64(0)) for k in (3, 4))
        self.sparse = "indptr" in kinds[0].fields
        if self.sparse:
            bounds = [self._load("indptr", k) for k in (i, builder.add(i, _I64(1)))]
        else:
            values = context.make_array(self._kind("values"))(context, builder, self._array("values"))
            width = cgutils.unpack_tuple(builder, values.shape, 2)[1]
            bounds = [builder.mul(width, k) for k in (i, builder.add(i, _I64(1)))]
        self.start, self.stop = bounds

    def _kind(self, name: str) -> Any:
        return self._kinds[0].types[self._kinds[0].fields.index(name)]

    def _array(self, name: str) -> Any:
        return self._builder.extract_value(self._args[0], self._kinds[0].fields.index(name))

    def _load(self, name: str, index: Any) -> Any:
        kind = self._kind(name)
        return self._builder.load(address_of(self._context, self._builder, kind, self._array(name), index))

    def value(self, j: Any) -> Any:
        return self._load("values", j)

    def feature_row(self, j: Any) -> Any:
        """Address of the matrix's row of the feature at `j`."""
        index = self._builder.zext(self._load("indices", j), _I64) if self.sparse else self._builder.sub(j, self.start)
        return row_pointer(self._context, self._builder, self._kinds[2], self._args[2], index)[0]


def _each(context: Any, builder: Any, dtype: Any, n: Any, body: Callable[[_Lanes], None]) -> None:
    """Call `body` for the lanes 0..n, a multiple of `LEAST_LANES`, in vectors of 64 bytes, and one of half."""
    width = 512 // dtype.bitwidth
    done = builder.and_(n, _I64(-width))
    with cgutils.for_range_slice(builder, _I64(0), done, _I64(width), intp=_I64) as (offset, _):
        body(_Lanes(context, builder, dtype, offset, width))
    if width > LEAST_LANES:
        with builder.if_then(cgutils.is_not_null(builder, builder.and_(n, _I64(LEAST_LANES)))):
            body(_Lanes(context, builder, dtype, done, LEAST_LANES))


def _dtype_of(weights: Any) -> Any:
    return (weights.types[1] if is_split(weights) else weights).dtype


# ------------------------------------------------------------------------------------------------ sums of a row


def _ftrl_weight(lanes: _Lanes, row: _Row, z: Any, root: Any) -> Any:
    """``-sign(z) max(|z| - l1, 0) / ((beta + sqrt(n)) / eta + l2)``; the numbers are 1 / eta and beta / eta."""
    builder = lanes._builder
    l2, l1 = lanes.load(row.shape, row.n), lanes.load(row.shape, builder.add(row.n, row.n))
    rate, first = (lanes.spread(number) for number in row.numbers[-2:])
    divisor = lanes.add(lanes.add(lanes.multiply(root, rate), first), l2)
    return lanes.subtract(lanes.zero, lanes.divide(lanes.soft(z, l1), divisor))


def _make_sums(ftrl: bool) -> Any:
    @intrinsic
    def add_up(typing_context, rows, i, weights, shape, sums, n, rate, first):
        dtype = _dtype_of(weights)

        def codegen(context, builder, signature, args):
            row = _Row(context, builder, signature.args, args)

            def body(lanes):
                totals = [cgutils.alloca_once(builder, lanes.type) for _ in range(4)]
                for total in totals:
                    builder.store(lanes.zero, total)

                def entry(j, way):
                    there = row.feature_row(j)
                    weight = lanes.load(there)
                    if ftrl:
                        weight = _ftrl_weight(lanes, row, weight, lanes.root(lanes.load(there, row.n)))
                    product = lanes.multiply(weight, lanes.spread(row.value(j)))
                    square = lanes.multiply(product, product)
                    for total, added in zip(totals[2 * way : 2 * way + 2], (product, square), strict=True):
                        builder.store(lanes.add(builder.load(total), added), total)

                odd = builder.and_(builder.sub(row.stop, row.start), _I64(1))
                even = builder.sub(row.stop, odd)
                with cgutils.for_range_slice(builder, row.start, even, _I64(2), intp=_I64) as (j, _):
                    entry(j, 0)
                    entry(builder.add(j, _I64(1)), 1)
                with builder.if_then(cgutils.is_not_null(builder, odd)):
                    entry(even, 0)
                for k, block in ((0, None), (1, row.n)):
                    lanes.store(lanes.add(*(builder.load(totals[k + way]) for way in (0, 2))), row.sums, block)

            _each(context, builder, dtype, row.n, body)
            return context.get_dummy_value()

        return types.void(rows, types.uint64, weights, shape, sums, types.uint64, dtype, dtype), codegen

    return add_up


sums_of_weights = _make_sums(False)
sums_of_ftrl = _make_sums(True)
"""``sums[:n] = sum over the features of row i of x weights[feature, :n]; sums[n : 2 n]`` likewise of the squares.

FTRL: of the weights that follow from its sums z and n, at ``[:n]`` and ``[n : 2 n]``.
"""


# ------------------------------------------------------------------------------------------------ steps of a row


def _sgd(lanes: _Lanes, row: _Row, there: Any, gradient: Callable, weight: Any, eta: Any) -> None:
    lanes.store(lanes.subtract(weight, lanes.multiply(eta, gradient(weight))), there)


def _adagrad(lanes: _Lanes, row: _Row, there: Any, gradient: Callable, weight: Any, eta: Any) -> None:
    found = gradient(weight)
    squares = lanes.add(lanes.load(there, row.n), lanes.multiply(found, found))
    lanes.store(squares, there, row.n)
    change = lanes.divide(lanes.multiply(eta, found), lanes.root(squares))
    lanes.store(lanes.subtract(weight, change), there)


def _ftrl(lanes: _Lanes, row: _Row, there: Any, gradient: Callable, z: Any, eta: Any) -> None:
    squares = lanes.load(there, row.n)
    root = lanes.root(squares)
    weight = _ftrl_weight(lanes, row, z, root)
    found = gradient(weight)
    after = lanes.add(squares, lanes.multiply(found, found))
    sigma = lanes.multiply(lanes.subtract(lanes.root(after), root), lanes.spread(row.numbers[-2]))
    lanes.store(lanes.add(z, lanes.subtract(found, lanes.multiply(sigma, weight))), there)
    lanes.store(after, there, row.n)


def _make_step(rule: Callable) -> Any:
    @intrinsic
    def change(typing_context, rows, i, weights, shape, sums, n, slope, eta, rate, first):
        dtype = _dtype_of(weights)

        def codegen(context, builder, signature, args):
            row = _Row(context, builder, signature.args, args)
            zero = ir.Constant(context.get_data_type(dtype), 0.0)

            def body(lanes):
                total, is_factor = lanes.load(row.sums), lanes.load(row.shape)
                slope, eta = (lanes.spread(number) for number in row.numbers[:2])
                penalty = lanes.zero if rule is _ftrl else lanes.load(row.shape, row.n)

                with cgutils.for_range_slice(builder, row.start, row.stop, _I64(1), intp=_I64) as (j, _):
                    value = row.value(j)
                    with builder.if_then(builder.fcmp_unordered("!=", value, zero), likely=True):
                        x, there = lanes.spread(value), row.feature_row(j)

                        def gradient(weight):
                            own = lanes.multiply(lanes.multiply(is_factor, x), weight)
                            found = lanes.multiply(lanes.multiply(slope, x), lanes.subtract(total, own))
                            return found if rule is _ftrl else lanes.add(found, lanes.multiply(penalty, weight))

                        rule(lanes, row, there, gradient, lanes.load(there), eta)

            _each(context, builder, dtype, row.n, body)
            return context.get_dummy_value()

        numbers = (dtype,) * 4
        return types.void(rows, types.uint64, weights, shape, sums, types.uint64, *numbers), codegen

    return change


sgd_entries, adagrad_entries, ftrl_entries = (_make_step(rule) for rule in (_sgd, _adagrad, _ftrl))
"""Step of all features of a row: ``g = slope x (sums - x v [factors only]) + L2 v`` for each, entries of 0 left out.

SGD: ``v -= eta g``. AdaGrad: ``G += g^2; v -= eta g / sqrt(G)``, G at ``row[n : 2 n]``. FTRL, whose g has no penalty:
``z += g - (sqrt(n + g^2) - sqrt(n)) / eta v; n += g^2``.
"""
