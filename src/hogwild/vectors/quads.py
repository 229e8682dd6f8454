"""AdaGrad's step of two quads of weights with the operations of libffm's SSE build, each rounded as there."""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from hogwild.compiled import address_of

_F32, _I32, _I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_LANES = 4
_QUAD = ir.VectorType(_F32, _LANES)
HAS_ESTIMATE = llvm.get_process_triple().startswith(("x86_64", "amd64"))


def _spread(builder: Any, x: Any) -> Any:
    one = builder.insert_element(ir.Constant(_QUAD, ir.Undefined), x, _I32(0))
    zeros = ir.Constant(ir.VectorType(_I32, _LANES), [0] * _LANES)
    return builder.shuffle_vector(one, one, zeros)


def _reciprocal_root(builder: Any, x: Any) -> Any:
    """1 / sqrt(x): the processor's estimate of 12 bits, as in libffm's SSE build; exact elsewhere, as in its other."""
    name = "llvm.x86.sse.rsqrt.ps" if HAS_ESTIMATE else f"llvm.sqrt.v{_LANES}f32"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_QUAD, [_QUAD]), name)
    found = builder.call(function, [x])
    return found if HAS_ESTIMATE else builder.fdiv(ir.Constant(_QUAD, [_F32(1.0)] * _LANES), found)


@intrinsic
def step_quads(typing_context, first, second, at, other, slope, alpha, eta):
    """Step ``first[at : at + 4]`` and ``second[other : other + 4]``, whose sums of squares stand behind them.

    ``g = alpha w + slope w'; G += g^2; w -= eta (g / sqrt(G))``, both sides from the old weights.
    """

    def codegen(context, builder, signature, args):
        kinds = signature.args

        def place(k, index):
            return builder.bitcast(address_of(context, builder, kinds[k], args[k], index), _QUAD.as_pointer())

        weights = [place(0, args[2]), place(1, args[3])]
        sums = [place(k, builder.add(args[2 + k], _I64(_LANES))) for k in range(2)]
        old = [builder.load(there, align=4) for there in weights]
        totals = [builder.load(there, align=4) for there in sums]
        slope, alpha, eta = (_spread(builder, number) for number in args[4:])
        for k in range(2):
            gradient = builder.fadd(builder.fmul(alpha, old[k]), builder.fmul(slope, old[1 - k]))
            total = builder.fadd(totals[k], builder.fmul(gradient, gradient))
            change = builder.fmul(eta, builder.fmul(_reciprocal_root(builder, total), gradient))
            builder.store(builder.fsub(old[k], change), weights[k], align=4)
            builder.store(total, sums[k], align=4)
        return context.get_dummy_value()

    f32 = types.float32
    return types.void(first, second, types.uint64, types.uint64, f32, f32, f32), codegen
