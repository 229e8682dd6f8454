"""Explicit vectors over pairs of features: products and AdaGrad steps of the field-aware factorisation machine.

Memory comes in quads: the four factors of one feature for one field. A tile is four features (of four fields side by
side) against four others: four vectors of 16 numbers, a cache line each, against four whose quads are transposed. The
compiler's own loops take 3.3 times as long as these.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from hogwild.compiled import address_of, strict_inlined

QUAD = 4  # factors that lie side by side for one field
TILE = 4  # features of a group: their quads for one group of fields fill a cache line and a vector

_F32, _I32, _I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_LANES = QUAD * TILE
_ROUNDED = ("contract",)
_FAST = ("reassoc", "arcp", "afn", "contract", "nsz")


def _has_estimate() -> bool:
    x86 = llvm.get_process_triple().startswith(("x86_64", "amd64"))
    return x86 and bool(llvm.get_host_cpu_features().get("avx"))


# Whether the processor has libffm's reciprocal square root of 12 bits. The one of AVX-512 has 14: 13 % faster steps,
# whose printed losses differ from libffm's in the last digit.
ESTIMATE = _has_estimate()


def _vector(width: int) -> ir.VectorType:
    return ir.VectorType(_F32, width)


def _shuffle(builder: Any, x: Any, y: Any, lanes: list[int]) -> Any:
    return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(_I32, len(lanes)), lanes))


def _spread(builder: Any, x: Any, width: int) -> Any:
    one = builder.insert_element(ir.Constant(_vector(width), ir.Undefined), x, _I32(0))
    return _shuffle(builder, one, one, [0] * width)


def _constant(numbers: list[float]) -> Any:
    return ir.Constant(_vector(len(numbers)), [_F32(x) for x in numbers])


def _reciprocal_root(builder: Any, x: Any, estimated: bool) -> Any:
    """1 / sqrt(x): the processor's estimate, or without one what the compiler makes of a fast quotient."""
    width, kind = x.type.count, x.type

    def call(name: str, result: Any, *arguments: Any, **flags: Any) -> Any:
        function = ir.FunctionType(result, [argument.type for argument in arguments])
        return builder.call(cgutils.get_or_insert_function(builder.module, function, name), arguments, **flags)

    if estimated and ESTIMATE:
        if width == 8:
            return call("llvm.x86.avx.rsqrt.ps.256", kind, x)
        halves = [_shuffle(builder, x, x, list(range(low, low + 8))) for low in (0, 8)]
        return _shuffle(builder, *(_reciprocal_root(builder, half, True) for half in halves), list(range(16)))
    root = call(f"llvm.sqrt.v{width}f32", kind, x, fastmath=_FAST)
    return builder.fdiv(_constant([1.0] * width), root, flags=_FAST)


class _Rule:
    """AdaGrad's step of vectors of weights: ``G += g^2; w -= eta g / sqrt(G)``."""

    def __init__(self, builder: Any, eta: Any, width: int, estimated: bool) -> None:
        self._builder, self._estimated = builder, estimated
        self._eta = _spread(builder, eta, width)

    def gradient(self, alpha: Any, slope: Any, own: Any, other: Any) -> Any:
        """``alpha own + slope other``."""
        builder = self._builder
        first = builder.fmul(slope, other, flags=_ROUNDED)
        return builder.fadd(builder.fmul(alpha, own, flags=_ROUNDED), first, flags=_ROUNDED)

    def step(self, weight: Any, total: Any, gradient: Any) -> tuple[Any, Any]:
        """Return the weight and its sum of squares after the step."""
        builder = self._builder
        total = builder.fadd(total, builder.fmul(gradient, gradient, flags=_ROUNDED), flags=_ROUNDED)
        rate = _reciprocal_root(builder, total, self._estimated)
        change = builder.fmul(self._eta, builder.fmul(rate, gradient, flags=_ROUNDED), flags=_ROUNDED)
        return builder.fsub(weight, change, flags=_ROUNDED), total


class _Group:
    """Four features: addresses of their blocks, values and presence, written by `put_entry`."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any, group: Any) -> None:
        self._builder = builder
        kinds, first = signature.args, builder.mul(group, _I64(TILE))
        self._addresses = []
        for k in range(TILE):
            there = address_of(context, builder, kinds[0], args[0], builder.add(first, _I64(k)))
            self._addresses.append(builder.load(builder.bitcast(there, _I64.as_pointer())))
        place = builder.mul(group, _I64(2 * _LANES))
        self._values = address_of(context, builder, kinds[1], args[1], place)
        self._present = address_of(context, builder, kinds[1], args[1], builder.add(place, _I64(_LANES)))

    def _at(self, base: Any, lanes: int, at: int = 0) -> Any:
        builder = self._builder
        place = builder.gep(base, [_I64(at)])
        if lanes == 1:
            return builder.load(place)
        return builder.load(builder.bitcast(place, _vector(lanes).as_pointer()), align=4)

    def values(self) -> Any:
        """Value of each feature, four times."""
        return self._at(self._values, _LANES)

    def present(self) -> Any:
        """1 for each feature, four times; 0 where a field has none."""
        return self._at(self._present, _LANES)

    def value(self, k: int) -> Any:
        return self._at(self._values, 1, QUAD * k)

    def presence(self, k: int) -> Any:
        return self._at(self._present, 1, QUAD * k)

    def places(self, offset: Any) -> list[Any]:
        """Pointers to the vector at `offset` (numbers) of each feature's block."""
        builder, pointer = self._builder, _vector(_LANES).as_pointer()
        distance = builder.mul(offset, _I64(4))
        return [builder.inttoptr(builder.add(address, distance), pointer) for address in self._addresses]


def _load(builder: Any, places: list[Any]) -> list[Any]:
    return [builder.load(place, align=4) for place in places]


def _store(builder: Any, vectors: list[Any], places: list[Any]) -> None:
    for vector, place in zip(vectors, places, strict=True):
        builder.store(vector, place, align=4)


def _quads(*numbers: int) -> list[int]:
    return [QUAD * number + k for number in numbers for k in range(QUAD)]


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Quad c of row a to quad a of row c."""
    low = [_shuffle(builder, rows[k], rows[k + 1], _quads(0, 1, 4, 5)) for k in (0, 2)]
    high = [_shuffle(builder, rows[k], rows[k + 1], _quads(2, 3, 6, 7)) for k in (0, 2)]
    columns = []
    for pair in (low, high):
        columns += [_shuffle(builder, *pair, _quads(0, 2, 4, 6)), _shuffle(builder, *pair, _quads(1, 3, 5, 7))]
    return columns


def _without(lanes: set[int]) -> Any:
    return _constant([0.0 if k // QUAD in lanes else 1.0 for k in range(_LANES)])


_TILE_ARGUMENTS = (types.uint64, types.uint64, types.uint64, types.uint64)


@intrinsic
def put_entry(typing_context, addresses, spread, field, row, value, present):
    """Write where the block `row` lies, its value and presence to the place of `field`."""

    def codegen(context, builder, signature, args):
        kinds = signature.args
        data = context.make_array(kinds[3])(context, builder, args[3]).data
        there = address_of(context, builder, kinds[0], args[0], args[2])
        builder.store(builder.ptrtoint(data, _I64), builder.bitcast(there, _I64.as_pointer()))
        group, k = builder.udiv(args[2], _I64(TILE)), builder.urem(args[2], _I64(TILE))
        place = builder.add(builder.mul(group, _I64(2 * _LANES)), builder.mul(k, _I64(QUAD)))
        for at, number in ((0, args[4]), (_LANES, args[5])):
            there = address_of(context, builder, kinds[1], args[1], builder.add(place, _I64(at)))
            builder.store(_spread(builder, number, QUAD), builder.bitcast(there, _vector(QUAD).as_pointer()), align=16)
        return context.get_dummy_value()

    signature = types.void(addresses, spread, types.uint64, row, types.float32, types.float32)
    return signature, codegen


@intrinsic
def prefetch_near(typing_context, row, index):
    """Ask for the cache line of ``row[index]`` in the second-level cache; never faults.

    The blocks of two rows do not fit into the first level: asked for there, or to write, they cost as much as they save
    (1.83 s an epoch of a click log; 1.20 this way).
    """

    def codegen(context, builder, signature, args):
        byte = ir.IntType(8).as_pointer()
        address = builder.bitcast(address_of(context, builder, signature.args[0], *args), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [address, _I32(0), _I32(2), _I32(1)])  # read, second level, data
        return context.get_dummy_value()

    return types.void(row, types.uint64), codegen


@intrinsic
def repeats(typing_context, addresses, group, absent):
    """Whether two features of a group are one, other than the block `absent`."""

    def codegen(context, builder, signature, args):
        kinds, words, first = signature.args, [], builder.mul(args[1], _I64(TILE))
        for k in range(TILE):
            there = address_of(context, builder, kinds[0], args[0], builder.add(first, _I64(k)))
            words.append(builder.load(builder.bitcast(there, _I64.as_pointer())))
        nothing = builder.ptrtoint(context.make_array(kinds[2])(context, builder, args[2]).data, _I64)
        found = ir.IntType(1)(0)
        for k in range(TILE):
            for other in range(k):
                same = builder.icmp_unsigned("==", words[k], words[other])
                there = builder.icmp_unsigned("!=", words[k], nothing)
                found = builder.or_(found, builder.and_(same, there))
        return found

    return types.boolean(addresses, types.uint64, absent), codegen


@intrinsic
def _score_tiles(typing_context, addresses, spread, groups, lanes, first, n_groups, offset):
    def codegen(context, builder, signature, args):
        kinds = signature.args

        def group_at(k):
            number = builder.load(address_of(context, builder, kinds[2], args[2], k))
            number = builder.zext(number, _I64)
            return number, _Group(context, builder, signature, args, number)

        def vectors(group, number):
            return _load(builder, group.places(builder.add(args[6], builder.mul(number, _I64(_LANES)))))

        here, own = group_at(args[4])
        zero = ir.Constant(_vector(_LANES), None)
        totals = [cgutils.alloca_once_value(builder, zero) for _ in range(TILE)]

        def add(k, first, second, others):
            scaled = builder.fmul(first, others)
            product = builder.fmul(scaled, second, flags=_ROUNDED)
            builder.store(builder.fadd(builder.load(totals[k]), product, flags=_ROUNDED), totals[k])

        rows = vectors(own, here)
        columns = _transposed(builder, rows)
        for k in range(TILE - 1):
            add(k, rows[k], columns[k], builder.fmul(own.values(), _without(set(range(k + 1)))))
        with cgutils.for_range_slice(builder, builder.add(args[4], _I64(1)), args[5], _I64(1), intp=_I64) as (j, _):
            there, other = group_at(j)
            rows, columns = vectors(own, there), _transposed(builder, vectors(other, here))
            for k in range(TILE):
                add(k, rows[k], columns[k], other.values())
        place = address_of(context, builder, kinds[3], args[3], _I64(0))
        place = builder.bitcast(place, _vector(_LANES).as_pointer())
        result = builder.load(place, align=4)
        for k in range(TILE):
            product = builder.fmul(builder.load(totals[k]), _spread(builder, own.value(k), _LANES), flags=_ROUNDED)
            result = builder.fadd(result, product, flags=_ROUNDED)
        builder.store(result, place, align=4)
        return context.get_dummy_value()

    signature = types.void(addresses, spread, groups, lanes, types.uint64, types.uint64, types.uint64)
    return signature, codegen


class _Side:
    """One group's part of a tile: its weights against the other group's, each seen in its own order."""

    def __init__(self, builder: Any, own: _Group, other: _Group, kappa: Any, alpha: Any, masked: bool) -> None:
        self._builder, self._own, self._masked = builder, own, masked
        self._slope = builder.fmul(other.values(), _spread(builder, kappa, _LANES))
        self._alpha = _spread(builder, alpha, _LANES)
        if masked:
            self._alpha = builder.fmul(other.present(), self._alpha)

    def rates(self, k: int) -> tuple[Any, Any]:
        """Factors of a feature's own weights and of the others' in its gradients."""
        builder = self._builder
        alpha, slope = self._alpha, builder.fmul(_spread(builder, self._own.value(k), _LANES), self._slope)
        if self._masked:
            alpha = builder.fmul(_spread(builder, self._own.presence(k), _LANES), alpha)
        return alpha, slope


def _make_update_tile(estimated: bool, masked: bool) -> Any:
    @intrinsic
    def update_tile(typing_context, addresses, spread, ga, gc, offset, sums, kappa, alpha, eta):
        def codegen(context, builder, signature, args):
            ga, gc, offset, sums, kappa, alpha, eta = args[2:]
            own, other = (_Group(context, builder, signature, args, number) for number in (ga, gc))
            rule = _Rule(builder, eta, _LANES, estimated)
            firsts = [builder.add(offset, builder.mul(number, _I64(_LANES))) for number in (gc, ga)]
            places = [group.places(first) for group, first in zip((own, other), firsts, strict=True)]
            weights = [_load(builder, there) for there in places]
            crossed = [_transposed(builder, weights[side]) for side in (1, 0)]
            for side, groups in enumerate(((own, other), (other, own))):
                rates = _Side(builder, *groups, kappa, alpha, masked)
                totals = groups[0].places(builder.add(firsts[side], sums))
                for k in range(TILE):
                    gradient = rule.gradient(*rates.rates(k), weights[side][k], crossed[side][k])
                    found = rule.step(weights[side][k], builder.load(totals[k], align=4), gradient)
                    builder.store(found[0], places[side][k], align=4)
                    builder.store(found[1], totals[k], align=4)
            return context.get_dummy_value()

        f32 = types.float32
        return types.void(addresses, spread, *_TILE_ARGUMENTS, f32, f32, f32), codegen

    return update_tile


def _make_update_diagonal(estimated: bool) -> Any:
    @intrinsic
    def update_diagonal(typing_context, addresses, spread, ga, offset, sums, kappa, alpha, eta):
        def codegen(context, builder, signature, args):
            ga, offset, sums, kappa, alpha, eta = args[2:]
            own, rule = _Group(context, builder, signature, args, ga), _Rule(builder, eta, _LANES, estimated)
            first = builder.add(offset, builder.mul(ga, _I64(_LANES)))
            places, totals = own.places(first), own.places(builder.add(first, sums))
            weights = _load(builder, places)
            crossed, rates = _transposed(builder, weights), _Side(builder, own, own, kappa, alpha, True)
            for k in range(TILE):
                others = _without({k})
                factors = [builder.fmul(factor, others) for factor in rates.rates(k)]
                gradient = rule.gradient(*factors, weights[k], crossed[k])
                found = rule.step(weights[k], builder.load(totals[k], align=4), gradient)
                builder.store(found[0], places[k], align=4)
                builder.store(found[1], totals[k], align=4)
            return context.get_dummy_value()

        f32 = types.float32
        return types.void(addresses, spread, *_TILE_ARGUMENTS[:3], f32, f32, f32), codegen

    return update_diagonal


def _make_update_pair(estimated: bool) -> Any:
    @intrinsic
    def update_pair(typing_context, first, second, fa, fc, sums, slope, alpha, eta):
        def codegen(context, builder, signature, args):
            fa, fc, sums, slope, alpha, eta = args[2:]
            kinds, quad = signature.args, _vector(QUAD).as_pointer()
            both, swapped = list(range(2 * QUAD)), [*range(QUAD, 2 * QUAD), *range(QUAD)]

            def place(k, index):
                return builder.bitcast(address_of(context, builder, kinds[k], args[k], index), quad)

            weights = [place(0, fc), place(1, fa)]
            totals = [place(0, builder.add(fc, sums)), place(1, builder.add(fa, sums))]
            quads = [builder.load(there, align=4) for there in weights]
            own, other = _shuffle(builder, *quads, both), _shuffle(builder, *quads, swapped)
            total = _shuffle(builder, *(builder.load(there, align=4) for there in totals), both)
            rule = _Rule(builder, eta, 2 * QUAD, estimated)
            alpha, slope = (_spread(builder, number, 2 * QUAD) for number in (alpha, slope))
            found = rule.step(own, total, rule.gradient(alpha, slope, own, other))
            for vector, there in zip(found, (weights, totals), strict=True):
                for k in range(2):
                    part = _shuffle(builder, vector, vector, list(range(QUAD * k, QUAD * k + QUAD)))
                    builder.store(part, there[k], align=4)
            return context.get_dummy_value()

        f32 = types.float32
        return types.void(first, second, *_TILE_ARGUMENTS[:3], f32, f32, f32), codegen

    return update_pair


_tile, _tile_portable = _make_update_tile(True, False), _make_update_tile(False, False)
_masked, _masked_portable = _make_update_tile(True, True), _make_update_tile(False, True)
_diagonal, _diagonal_portable = _make_update_diagonal(True), _make_update_diagonal(False)
_pair, _pair_portable = _make_update_pair(True), _make_update_pair(False)


# Strict functions of their own: Numba gives a kernel's flags to the intrinsics in it.
@strict_inlined
def score_tiles(addresses, spread, groups, lanes, first, n_groups, offset):
    """Add the products of group ``groups[first]`` with itself and with the groups after it to 16 `lanes`."""
    _score_tiles(addresses, spread, groups, lanes, first, n_groups, offset)


@strict_inlined
def update_tile(portable, complete, addresses, spread, ga, gc, offset, sums, kappa, alpha, eta):
    """AdaGrad's step of the 16 pairs of the groups `ga` and `gc`: one quad of factors, at `offset` of the blocks.

    `complete`: no field of the model lacks a feature (the places beyond the last field need no mask: weights of 0).
    """
    if portable:
        if complete:
            _tile_portable(addresses, spread, ga, gc, offset, sums, kappa, alpha, eta)
        else:
            _masked_portable(addresses, spread, ga, gc, offset, sums, kappa, alpha, eta)
    elif complete:
        _tile(addresses, spread, ga, gc, offset, sums, kappa, alpha, eta)
    else:
        _masked(addresses, spread, ga, gc, offset, sums, kappa, alpha, eta)


@strict_inlined
def update_diagonal(portable, addresses, spread, ga, offset, sums, kappa, alpha, eta):
    """AdaGrad's step of the six pairs within group `ga`."""
    if portable:
        _diagonal_portable(addresses, spread, ga, offset, sums, kappa, alpha, eta)
    else:
        _diagonal(addresses, spread, ga, offset, sums, kappa, alpha, eta)


@strict_inlined
def update_pair(portable, first, second, fa, fc, sums, slope, alpha, eta):
    """AdaGrad's step of one pair: quads at `fc` of the block `first` and at `fa` of `second`."""
    if portable:
        _pair_portable(first, second, fa, fc, sums, slope, alpha, eta)
    else:
        _pair(first, second, fa, fc, sums, slope, alpha, eta)
