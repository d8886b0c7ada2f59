"""What a fused block does with a convolution's outputs while they are in the cache: bias, ReLU, the largest of four.

    y[v] = max(0, the largest of a, b, c, d),   each the convolution's output + bias[v]
    winner[v] = which of the four it was: the first, row by row; NOBODY if none is above 0

for one pooled place and the tile's width of channels; `pool` without the ReLU, where somebody always wins.  A NaN is
larger than any number, as in `reference`, and a ReLU lets nobody win there.  `write` does a run of places without a
pool, and may add what came another way through the network; two of the four go past the caches, for outputs that are
too many to be found there again.
The same loops, written for numba, take twice the time: they mix bytes with wider numbers, and ask how wide a place is.
Called by `forward.py`.
"""

from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..tiles.cpu import VECTORS
from ..tiles.vectors import Vectors

NOBODY = 4  # the winner of a pooled value where no output was above 0


def make_pool(relu: bool, vectors: int = VECTORS) -> Callable:
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
            byte = ir.IntType(8)
            winner = e.address(sig.args[7], winner, w0, byte)
            zero = ir.Constant(e.vector, [0.0] * e.lanes)

            def name(value):
                return ir.Constant(ir.VectorType(byte, e.lanes), [value] * e.lanes)

            def better(one, other):
                """Of two pairs of value and name, in each lane."""
                first = b.or_(b.fcmp_ordered(">=", one[0], other[0]), b.fcmp_unordered("uno", one[0], one[0]))
                return [b.select(first, mine, yours) for mine, yours in zip(one, other, strict=True)]

            for v in range(vectors):
                shift = e.load(bias, v)
                p, q, r, s = ((b.fadd(e.load(place, v), shift), name(who)) for who, place in enumerate(four))
                best, who = better(better(p, q), better(r, s))
                if relu:
                    who = b.select(b.fcmp_ordered(">", best, zero), who, name(NOBODY))
                    best = b.select(b.fcmp_ordered("<=", best, zero), zero, best)
                e.store(best, y, v)
                where = e.move(winner, e.constant(v * e.lanes), byte)
                e.bounds.check(where, e.lanes)
                b.store(who, b.bitcast(where, who.type.as_pointer()), align=1)
            return context.get_dummy_value()

        return signature, codegen

    return pool


def make_write(adds: bool, past_caches: bool, vectors: int = VECTORS) -> Callable:
    """y[i*OC + v] = max(floor, out[i*width + v] + bias[v]) for i < count, at least one, and the tile's width.

    One that `adds` also adds other[i*OC + v], which lies as y does, before the maximum.  Memory is written in whole
    lines: what goes past the caches need not be read from it first, as it is otherwise.
    """

    @intrinsic
    def write(typing_context, out, at, width, bias, o0, y, other, y0, OC, count, floor):
        n = types.intp
        signature = types.void(out, n, n, bias, n, y, other, n, n, n, out.dtype)

        def codegen(context, builder, sig, arguments):
            out, at, width, bias, o0, y, other, y0, OC, count, floor = arguments
            e, b = Vectors(context, builder, sig.args[0].dtype), builder
            bias, floor = e.pointer(sig.args[3], bias, o0), e.spread(floor)
            shifts = [e.load(bias, v) for v in range(vectors)]

            def place(pointers, _):
                out, y, *other = pointers
                for v, shift in enumerate(shifts):
                    value = b.fadd(e.load(out, v), shift)
                    for pointer in other:
                        value = b.fadd(value, e.load(pointer, v))
                    value = b.select(b.fcmp_ordered("<=", value, floor), floor, value)
                    e.store(value, y, v, past_caches)
                return []

            pointers = [e.pointer(sig.args[0], out, at), e.pointer(sig.args[5], y, y0)]
            if adds:
                pointers.append(e.pointer(sig.args[6], other, y0))
            e.run(count, pointers, (width, OC, OC)[: len(pointers)], [], place)
            return context.get_dummy_value()

        return signature, codegen

    return write


relu_pool, pool = make_pool(True), make_pool(False)
write, add_write, write_past, add_write_past = (
    make_write(adds, past_caches) for past_caches in (False, True) for adds in (False, True)
)


def make_settle() -> Callable:
    """Wait until all that went past the caches is where other threads look for it."""

    @intrinsic
    def settle(typing_context):
        def codegen(context, builder, sig, arguments):
            builder.fence("seq_cst")
            return context.get_dummy_value()

        return types.void(), codegen

    return settle


settle = make_settle()
