"""A weighted sum of rows, kept in registers: the inner loop of the sparse backward pass of conv -> ReLU -> pool.

    D[r*d_r + v] += sum over p < P of g[p] * X[at[p] + r*x_r + v]           for r < rows, v < width

g and at are a list of weights and offsets.  Each entry is read once and used in rows x vectors multiply-adds, whose
sums stay in registers until the list ends.
Called by `conv_maxpool/sparse_backward.py`.  `gather` covers any size with the few shapes that are made here.
"""

from collections.abc import Callable

from numba import types
from numba.extending import intrinsic

from ....runtime.compiling import njit
from .cpu import REGISTERS, VECTOR_BYTES
from .vectors import INDEX, Vectors

WIDE = 6 if REGISTERS == 32 else 3  # vectors per row for which the sums of three rows fit in the registers


def make_gather(rows: int, vectors: int) -> Callable:
    """The sum for a fixed number of rows and vectors; lanes from `width` on keep their old values."""

    @intrinsic
    def gather(typing_context, D, d0, d_r, g, at, p0, P, X, x0, x_r, width):
        n = types.intp
        signature = types.void(D, n, n, g, at, n, n, X, n, n, n)

        def codegen(context, builder, sig, arguments):
            D, d0, d_r, g, at, p0, P, X, x0, x_r, width = arguments
            e, b = Vectors(context, builder, sig.args[0].dtype), builder
            d, x = e.pointer(sig.args[0], D, d0), e.pointer(sig.args[7], X, x0)
            g, at = e.pointer(sig.args[3], g, p0), e.offsets(sig.args[4], at, p0)
            d_rows = [e.move(d, b.mul(d_r, e.constant(r))) for r in range(rows)]
            row_starts = [e.move(x, b.mul(x_r, e.constant(r))) for r in range(rows)]
            places = [(r, v) for r in range(rows) for v in range(vectors)]
            enter, loop, leave, done = (b.append_basic_block() for _ in range(4))
            b.cbranch(b.icmp_signed(">", P, e.constant(0)), enter, done)
            b.position_at_end(enter)
            old_values = [e.load(d_rows[r], v) for r, v in places]
            enter = b.block  # bounds checks split a block
            b.branch(loop)
            b.position_at_end(loop)
            p = b.phi(INDEX)
            sums = [b.phi(e.vector) for _ in places]
            weight, where = e.broadcast(e.move(g, p)), e.offset(at, p)
            x_rows = [e.move(row, where) for row in row_starts]
            new = [
                e.multiply_add(weight, e.load(x_rows[r], v), s)
                for (r, v), s in zip(places, sums, strict=True)
            ]
            next_p, loop_end = b.add(p, e.constant(1)), b.block
            for phi, initial, updated in [
                (p, e.constant(0), next_p),
                *zip(sums, old_values, new, strict=True),
            ]:
                phi.add_incoming(initial, enter)
                phi.add_incoming(updated, loop_end)
            b.cbranch(b.icmp_signed("<", next_p, P), loop, leave)
            b.position_at_end(leave)
            inside = e.lanes_below(b.sub(width, e.constant((vectors - 1) * e.lanes)))
            for (r, v), old_value, value in zip(places, old_values, new, strict=True):
                e.store(b.select(inside, value, old_value) if v == vectors - 1 else value, d_rows[r], v)
            b.branch(done)
            b.position_at_end(done)
            return context.get_dummy_value()

        return signature, codegen

    return gather


gather_3xwide, gather_3x3, gather_3x1 = make_gather(3, WIDE), make_gather(3, 3), make_gather(3, 1)
gather_1xwide, gather_1x3, gather_1x1 = make_gather(1, WIDE), make_gather(1, 3), make_gather(1, 1)


@njit(cache=False, inline="always")
def gather(D, d0, d_r, g, at, p0, P, X, x0, x_r, rows, length, width):
    """The sum for any number of rows and any `length` that is a multiple of a vector."""
    lanes = VECTOR_BYTES // g.itemsize
    r = 0
    while r < rows:
        three_rows = rows - r >= 3
        d, x, vectors_left, lanes_left = d0 + r * d_r, x0 + r * x_r, length // lanes, width
        while vectors_left > 0:
            vectors = WIDE if vectors_left >= WIDE else 3 if vectors_left >= 3 else 1
            if three_rows:
                if vectors == WIDE:
                    gather_3xwide(D, d, d_r, g, at, p0, P, X, x, x_r, lanes_left)
                elif vectors == 3:
                    gather_3x3(D, d, d_r, g, at, p0, P, X, x, x_r, lanes_left)
                else:
                    gather_3x1(D, d, d_r, g, at, p0, P, X, x, x_r, lanes_left)
            elif vectors == WIDE:
                gather_1xwide(D, d, d_r, g, at, p0, P, X, x, x_r, lanes_left)
            elif vectors == 3:
                gather_1x3(D, d, d_r, g, at, p0, P, X, x, x_r, lanes_left)
            else:
                gather_1x1(D, d, d_r, g, at, p0, P, X, x, x_r, lanes_left)
            d, x = d + vectors * lanes, x + vectors * lanes
            vectors_left, lanes_left = vectors_left - vectors, lanes_left - vectors * lanes
        r += 3 if three_rows else 1
