"""Epilogues: what follows a convolution while its outputs are in the cache (bias, ReLU, sum with a shortcut, max pool).

    y[v] = max(0, the largest of a, b, c, d),   each the convolution's output + bias[v]
    argmax[v] = which of the four it is: the first, row by row; INACTIVE if none is above 0

`relu_pool` computes this for one pooled place and the tile's width of channels.  `pool` omits the ReLU, so a maximum is
always active.  A NaN is larger than any number, as in `reference`; after a ReLU it is never active.  The `write`
functions handle a run of places without a pool.  Two of the four also add another array, for the sum with a shortcut;
two use streaming stores, for outputs too large to stay in the caches.
Written for numba, the same loops take twice the time: they mix bytes with wider numbers, and numba does not know how
many channels a place has.  Called by `forward.py`; `depthwise/` also uses `store_fence`.
"""

from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..tiles.cpu import VECTORS
from ..tiles.vectors import Vectors

INACTIVE = 4  # the argmax of a pooled value if none of its four outputs is above 0


def make_pool(relu: bool, vectors: int = VECTORS) -> Callable:
    """The max pool, as a function that numba compiles into its caller."""

    @intrinsic
    def pool(typing_context, out, above, below, width, bias, o0, y, argmax, y0, w0):
        n = types.intp
        signature = types.void(out, n, n, n, bias, n, y, argmax, n, n)

        def codegen(context, builder, sig, arguments):
            out, above, below, width, bias, o0, y, argmax, y0, w0 = arguments
            e, b = Vectors(context, builder, sig.args[0].dtype), builder
            above, below = (e.pointer(sig.args[0], out, place) for place in (above, below))
            four = above, e.move(above, width), below, e.move(below, width)
            bias, y = e.pointer(sig.args[4], bias, o0), e.pointer(sig.args[6], y, y0)
            byte = ir.IntType(8)
            argmax = e.address(sig.args[7], argmax, w0, byte)
            zero = ir.Constant(e.vector, [0.0] * e.lanes)

            def code(value):
                return ir.Constant(ir.VectorType(byte, e.lanes), [value] * e.lanes)

            def larger(first_pair, second_pair):
                """The pair (value, index) with the larger value, in each lane; the first pair if equal or NaN."""
                value, other = first_pair[0], second_pair[0]
                take_first = b.or_(b.fcmp_ordered(">=", value, other), b.fcmp_unordered("uno", value, value))
                return [b.select(take_first, *items) for items in zip(first_pair, second_pair, strict=True)]

            for v in range(vectors):
                shift = e.load(bias, v)
                p, q, r, s = ((b.fadd(e.load(place, v), shift), code(i)) for i, place in enumerate(four))
                best, index = larger(larger(p, q), larger(r, s))
                if relu:
                    index = b.select(b.fcmp_ordered(">", best, zero), index, code(INACTIVE))
                    best = b.select(b.fcmp_ordered("<=", best, zero), zero, best)
                e.store(best, y, v)
                where = e.move(argmax, e.constant(v * e.lanes), byte)
                e.bounds.check(where, e.lanes)
                b.store(index, b.bitcast(where, index.type.as_pointer()), align=1)
            return context.get_dummy_value()

        return signature, codegen

    return pool


def make_write(adds: bool, streaming: bool, vectors: int = VECTORS) -> Callable:
    """y[i*OC + v] = max(floor, out[i*width + v] + bias[v]) for i < count, at least one, and v < the tile's width.

    With `adds`, other[i*OC + v] is added before the maximum; other is laid out like y.  `streaming` stores bypass the
    caches; unlike an ordinary store, they write whole cache lines without reading them from memory first.
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

            def step(pointers, _):
                out, y, *other = pointers
                for v, shift in enumerate(shifts):
                    value = b.fadd(e.load(out, v), shift)
                    for pointer in other:
                        value = b.fadd(value, e.load(pointer, v))
                    value = b.select(b.fcmp_ordered("<=", value, floor), floor, value)
                    e.store(value, y, v, streaming)
                return []

            pointers = [e.pointer(sig.args[0], out, at), e.pointer(sig.args[5], y, y0)]
            if adds:
                pointers.append(e.pointer(sig.args[6], other, y0))
            e.run(count, pointers, (width, OC, OC)[: len(pointers)], [], step)
            return context.get_dummy_value()

        return signature, codegen

    return write


relu_pool, pool = make_pool(True), make_pool(False)
write, add_write, streaming_write, add_streaming_write = (
    make_write(adds, streaming) for streaming in (False, True) for adds in (False, True)
)


def make_store_fence() -> Callable:
    """A fence that makes earlier streaming stores visible to other threads."""

    @intrinsic
    def store_fence(typing_context):
        def codegen(context, builder, sig, arguments):
            builder.fence("seq_cst")
            return context.get_dummy_value()

        return types.void(), codegen

    return store_fence


store_fence = make_store_fence()
