"""A sum of weighted rows, held in registers: the inner loop of the backward pass over winners.

    D[r*d_r + v] += sum over p < P of g[p] * X[at[p] + r*x_r + v]           for r < rows, v < width

g and at are a list: how much, and where.  Each of its entries is read once and serves rows x vectors
multiply-adds, whose sums stay in registers until the list ends.
Called by `blocks/winners.py`; `gather` there covers any size with the few shapes that are made here.
"""

from collections.abc import Callable

from numba import types
from numba.extending import intrinsic

from ....runtime.compiling import njit
from .cpu import REGISTERS, VECTOR_BYTES
from .vectors import INDEX, Vectors

WIDE = 6 if REGISTERS == 32 else 3  # vectors that three rows can hold sums of, all in registers


def make_gather(rows: int, vectors: int) -> Callable:
    """The sum for so many rows and vectors; lanes at `width` and beyond keep what they held."""

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
            x_rows = [e.move(x, b.mul(x_r, e.constant(r))) for r in range(rows)]
            places = [(r, v) for r in range(rows) for v in range(vectors)]
            enter, loop, leave, done = (b.append_basic_block() for _ in range(4))
            b.cbranch(b.icmp_signed(">", P, e.constant(0)), enter, done)
            b.position_at_end(enter)
            held = [e.load(d_rows[r], v) for r, v in places]
            enter = b.block  # checks of bounds split a block
            b.branch(loop)
            b.position_at_end(loop)
            p = b.phi(INDEX)
            sums = [b.phi(e.vector) for _ in places]
            weight, where = e.broadcast(e.move(g, p)), e.offset(at, p)
            seen = [e.move(row, where) for row in x_rows]
            new = [
                e.multiply_add(weight, e.load(seen[r], v), s) for (r, v), s in zip(places, sums, strict=True)
            ]
            next_p, again = b.add(p, e.constant(1)), b.block
            for phi, before, after in [(p, e.constant(0), next_p), *zip(sums, held, new, strict=True)]:
                phi.add_incoming(before, enter)
                phi.add_incoming(after, again)
            b.cbranch(b.icmp_signed("<", next_p, P), loop, leave)
            b.position_at_end(leave)
            inside = e.lanes_below(b.sub(width, e.constant((vectors - 1) * e.lanes)))
            for (r, v), old, value in zip(places, held, new, strict=True):
                e.store(b.select(inside, value, old) if v == vectors - 1 else value, d_rows[r], v)
            b.branch(done)
            b.position_at_end(done)
            return context.get_dummy_value()

        return signature, codegen

    return gather


three_wide, three_3, three_1 = make_gather(3, WIDE), make_gather(3, 3), make_gather(3, 1)
one_wide, one_3, one_1 = make_gather(1, WIDE), make_gather(1, 3), make_gather(1, 1)


@njit(cache=False, inline="always")
def gather(D, d0, d_r, g, at, p0, P, X, x0, x_r, rows, length, width):
    """The sum for any number of rows, and any `length` in whole vectors."""
    lanes = VECTOR_BYTES // g.itemsize
    r = 0
    while r < rows:
        three = rows - r >= 3
        d, x, left, wide = d0 + r * d_r, x0 + r * x_r, length // lanes, width
        while left > 0:
            step = WIDE if left >= WIDE else 3 if left >= 3 else 1
            if three:
                if step == WIDE:
                    three_wide(D, d, d_r, g, at, p0, P, X, x, x_r, wide)
                elif step == 3:
                    three_3(D, d, d_r, g, at, p0, P, X, x, x_r, wide)
                else:
                    three_1(D, d, d_r, g, at, p0, P, X, x, x_r, wide)
            elif step == WIDE:
                one_wide(D, d, d_r, g, at, p0, P, X, x, x_r, wide)
            elif step == 3:
                one_3(D, d, d_r, g, at, p0, P, X, x, x_r, wide)
            else:
                one_1(D, d, d_r, g, at, p0, P, X, x, x_r, wide)
            d, x, left, wide = d + step * lanes, x + step * lanes, left - step, wide - step * lanes
        r += 3 if three else 1
