"""What a fused block does with a convolution's outputs while they are in the cache: bias, ReLU, the largest of four.

    y[v] = max(0, the largest of a, b, c, d),   each the convolution's output + bias[v]
    winner[v] = which of the four it was: the first, row by row; NOBODY if none is above 0

for one pooled place and the tile's width of channels.  A NaN among the four is the result, and nobody wins.
The same loop, written for numba, takes twice the time: it mixes bytes with wider numbers.
Called by `forward.py`.
"""

from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .cpu import VECTORS
from .vectors import Vectors

NOBODY = 4  # the winner of a pooled value where no output was above 0


def make_pool(vectors: int = VECTORS) -> Callable:
    """The pool as a function that numba compiles into its caller."""

    @intrinsic
    def pool(typing_context, out, above, below, width, bias, o0, y, winner, y0, w0):
        n = types.intp
        signature = types.void(out, n, n, n, bias, n, y, winner, n, n)

        def codegen(context, builder, sig, arguments):
            out, above, below, width, bias, o0, y, winner, y0, w0 = arguments
            e, b = Vectors(context, builder, sig.args[0].dtype), builder
            above, below = (e.pointer(sig.args[0], out, place) for place in (above, below))
            four = above, e.move(above, width), below, e.move(below, width)
            bias, y = e.pointer(sig.args[4], bias, o0), e.pointer(sig.args[6], y, y0)
            winner = b.gep(
                context.make_array(sig.args[7])(context, builder, winner).data,
                [w0],
                source_etype=ir.IntType(8),
            )
            zero = ir.Constant(e.vector, [0.0] * e.lanes)

            def byte(value):
                return ir.Constant(ir.VectorType(ir.IntType(8), e.lanes), [value] * e.lanes)

            for v in range(vectors):
                shift = e.load(bias, v)
                p, q, r, s = (b.fadd(e.load(place, v), shift) for place in four)
                left, right = b.fcmp_ordered(">=", p, q), b.fcmp_ordered(">=", r, s)
                top, bottom = b.select(left, p, q), b.select(right, r, s)
                upper = b.fcmp_ordered(">=", top, bottom)
                best = b.select(upper, top, bottom)
                who = b.select(upper, b.select(left, byte(0), byte(1)), b.select(right, byte(2), byte(3)))
                for one, other in ((p, q), (r, s)):  # a sum with a NaN is one
                    best = b.select(b.fcmp_unordered("uno", one, other), b.fadd(one, other), best)
                alive = b.fcmp_ordered(">", best, zero)
                e.store(b.select(b.fcmp_ordered("<=", best, zero), zero, best), y, v)
                where = b.gep(winner, [e.constant(v * e.lanes)], source_etype=ir.IntType(8))
                b.store(b.select(alive, who, byte(NOBODY)), b.bitcast(where, who.type.as_pointer()), align=1)
            return context.get_dummy_value()

        return signature, codegen

    return pool


pool = make_pool()
