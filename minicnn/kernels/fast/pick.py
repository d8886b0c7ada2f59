"""dweight of a conv -> ReLU -> max pool block with few input channels: each lane picks what its winner saw.

    D[r, k, v] += sum over p < P of g[p, v] * X[p, r*x_r + k + start(winner[p, v])]     for r < rows, k < values

v runs over a vector of output channels.  A pooled value won in one of two rows and one of two columns; so what
the weight (r, k) was multiplied with there lies in one of two rows of the picture, within a few values.  With
few channels all of them fit into two registers, and AVX-512 can fetch any of their 32 values for each lane
in one instruction: no lists are written, as `winners.py` must, and no zeros multiplied.
Other processors have no such instruction; `possible` says so, and `block.py` takes another route.
"""

from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from ...compiling import njit
from ..geometry import Padding, Pair
from .cpu import VECTOR_BYTES
from .memory import PIECES, all_finite, copy_rows, empty, unpack_sum
from .pool import NOBODY
from .vectors import INDEX, Vectors


def possible(shape: tuple[int, ...], strides: Pair, itemsize: int) -> bool:
    """Whether what four neighbouring windows see of one row fits into a register that can be picked from."""
    return VECTOR_BYTES == 64 and (shape[1] + strides[1]) * shape[2] <= VECTOR_BYTES // itemsize


def make_pick(rows: int, values: int) -> Callable:
    """The sum for so many rows of the kernel, and values in each."""

    @intrinsic
    def pick(typing_context, D, d0, d_r, g, winner, p0, p_p, P, X, x0, x_p, x_r, down, k0, right):
        n = types.intp
        signature = types.void(D, n, n, g, winner, n, n, n, X, n, n, n, n, n, n)

        def codegen(context, builder, sig, arguments):
            D, d0, d_r, g, winner, p0, p_p, P, X, x0, x_p, x_r, down, k0, right = arguments
            e, b = Vectors(context, builder, sig.args[0].dtype), builder
            d, x = e.pointer(sig.args[0], D, d0), e.pointer(sig.args[8], X, x0)
            g = e.pointer(sig.args[3], g, p0)
            winner = context.make_array(sig.args[4])(context, builder, winner).data
            winner = b.gep(winner, [p0], source_etype=ir.IntType(8))
            whole = ir.VectorType(ir.IntType(8 * e.itemsize), e.lanes)
            choice = ir.FunctionType(e.vector, [e.vector, whole, e.vector])
            kind = "ps" if e.itemsize == 4 else "pd"
            choose = cgutils.get_or_insert_function(
                b.module, choice, f"llvm.x86.avx512.vpermi2var.{kind}.512"
            )

            def number(value):
                return ir.Constant(whole, [value] * e.lanes)

            def spread(value):
                return e.spread(b.trunc(value, whole.element) if e.itemsize < 8 else value)

            right, k0 = spread(right), spread(k0)
            places = [(r, k) for r in range(rows) for k in range(values)]
            start, loop, done = b.block, b.append_basic_block(), b.append_basic_block()
            rows_of_d = [e.move(d, b.mul(d_r, e.constant(r))) for r in range(rows)]
            held = [e.load(rows_of_d[r], k) for r, k in places]
            b.branch(loop)

            b.position_at_end(loop)
            p, x_here, g_here = b.phi(INDEX), b.phi(x.type), b.phi(g.type)
            winner_here = b.phi(winner.type)
            sums = [b.phi(e.vector) for _ in places]
            who = b.bitcast(winner_here, ir.VectorType(ir.IntType(8), e.lanes).as_pointer())
            who = b.load(who, align=1, typ=ir.VectorType(ir.IntType(8), e.lanes))
            who = b.zext(who, whole)
            alive = b.icmp_unsigned("<", who, number(NOBODY))
            weight = b.select(alive, e.load(g_here), ir.Constant(e.vector, [0.0] * e.lanes))
            below = b.mul(b.and_(who, number(2)), number(e.lanes // 2))  # the second register
            beside = b.select(b.icmp_unsigned("==", b.and_(who, number(1)), number(1)), right, number(0))
            first = b.add(b.add(below, beside), k0)
            upper = [e.load(e.move(x_here, b.mul(x_r, e.constant(r)))) for r in range(rows)]
            lower = [e.load(e.move(x_here, b.add(down, b.mul(x_r, e.constant(r))))) for r in range(rows)]
            new = [None] * len(places)
            for k in range(values):
                where = b.add(first, number(k))
                for r in range(rows):
                    seen = b.call(choose, [upper[r], where, lower[r]])
                    new[r * values + k] = e.multiply_add(weight, seen, sums[r * values + k])
            next_p = b.add(p, e.constant(1))
            after = [
                (p, e.constant(0), next_p),
                (x_here, x, e.move(x_here, x_p)),
                (g_here, g, e.move(g_here, p_p)),
                (winner_here, winner, b.gep(winner_here, [p_p], source_etype=ir.IntType(8))),
                *zip(sums, held, new, strict=True),
            ]
            for phi, before, later in after:
                phi.add_incoming(before, start)
                phi.add_incoming(later, loop)
            b.cbranch(b.icmp_signed("<", next_p, P), loop, done)

            b.position_at_end(done)
            for (r, k), value in zip(places, new, strict=True):
                e.store(value, rows_of_d[r], k)
            return context.get_dummy_value()

        return signature, codegen

    return pick


three_3, three_1, one_3, one_1 = make_pick(3, 3), make_pick(3, 1), make_pick(1, 3), make_pick(1, 1)


def pick_dweight(
    dy: np.ndarray, winner: np.ndarray, x: np.ndarray, shape: tuple[int, ...], strides: Pair, padding: Padding
) -> tuple[np.ndarray, np.ndarray, bool]:
    """dweight, dbias, and whether all of x is finite."""
    KH, KW, C, OC = shape
    lanes = VECTOR_BYTES // x.itemsize
    parts = empty((PIECES, -(-OC // lanes), KH * KW * C, lanes), x.dtype)
    dbias, fine = np.zeros((PIECES, OC), x.dtype), np.ones(PIECES, np.bool_)
    _pick_dweight(dy, winner, x, parts, dbias, fine, (KH, KW), strides, padding)
    return unpack_sum(parts, OC).reshape(shape), dbias.sum(0), bool(fine.all())


@njit(cache=True, nogil=True, parallel=True)
def _pick_dweight(dy, winner, x, parts, dbias, fine, kernel, strides, padding):
    N, H, W, C = x.shape
    _, PH, PW, OC = winner.shape
    SH, ((top, bottom), (left, right)) = strides[0], padding
    HP, row = H + top + bottom, (left + W + right) * C
    _, blocks, K, lanes = parts.shape
    flat_x, flat_dy, flat_winner, flat_parts = (
        x.reshape(-1),
        dy.reshape(-1),
        winner.reshape(-1),
        parts.reshape(-1),
    )
    zero = x.dtype.type(0)
    for piece in prange(PIECES):
        parts[piece] = 0
        picture = np.zeros(HP * row + lanes, x.dtype)
        g, who = np.zeros(PW * lanes, x.dtype), np.zeros(PW * lanes, np.uint8)  # of a block that is not full
        bias = np.zeros(OC, x.dtype)
        for n in range(piece * N // PIECES, (piece + 1) * N // PIECES):
            copy_rows(picture, top * row + left * C, row, flat_x, n * H * W * C, W * C, H, W * C)
            fine[piece] &= all_finite(picture, len(picture))
            for ph in range(PH):
                first = (n * PH + ph) * PW * OC
                for p in range(PW):
                    for v in range(OC):
                        y0 = np.uintp(first + p * OC + v)
                        bias[np.uintp(v)] += flat_dy[y0] if flat_winner[y0] < np.uint8(NOBODY) else zero
                for j in range(blocks):
                    d0 = (piece * blocks + j) * K * lanes
                    x0 = 2 * ph * SH * row
                    if (j + 1) * lanes <= OC:
                        pick(flat_parts, d0, flat_dy, flat_winner, first + j * lanes, OC, PW,
                             picture, x0, row, C, kernel, strides)  # fmt: skip
                    else:
                        here = OC - j * lanes
                        copy_rows(g, 0, lanes, flat_dy, first + j * lanes, OC, PW, here)
                        copy_rows(who, 0, lanes, flat_winner, first + j * lanes, OC, PW, here)
                        pick(flat_parts, d0, g, who, 0, lanes, PW, picture, x0, row, C, kernel, strides)
        dbias[piece] = bias


@njit(cache=False, inline="always")
def pick(D, d0, g, winner, p0, p_p, P, X, x0, row, C, kernel, strides):
    """A row of pooled values, for any kernel; few sums at once, since more of them would not stay in registers."""
    (KH, KW), (SH, SW) = kernel, strides
    across, down = SW * C, SH * row
    length = KW * C
    d_r = length * VECTOR_BYTES // g.itemsize
    r = 0
    while r < KH:
        rows = 3 if KH - r >= 3 else 1
        k = 0
        while k < length:
            values = 3 if length - k >= 3 else 1
            d, x = d0 + r * d_r + k * VECTOR_BYTES // g.itemsize, x0 + r * row
            if rows == 3 and values == 3:
                three_3(D, d, d_r, g, winner, p0, p_p, P, X, x, 2 * across, row, down, k, across)
            elif rows == 3:
                three_1(D, d, d_r, g, winner, p0, p_p, P, X, x, 2 * across, row, down, k, across)
            elif values == 3:
                one_3(D, d, d_r, g, winner, p0, p_p, P, X, x, 2 * across, row, down, k, across)
            else:
                one_1(D, d, d_r, g, winner, p0, p_p, P, X, x, 2 * across, row, down, k, across)
            k += values
        r += rows
