"""dweight of a conv -> ReLU -> max pool block with few input channels: each lane picks what its winner saw.

    D[r, k, v] += sum over p < P of g[p, v] * X[p, r*x_r + k + start(winner[p, v])]     for r < rows, k < values

v runs over a vector of output channels.  A pooled value won in one of two rows and one of two columns; so what
the weight (r, k) was multiplied with there lies in one of two rows of the picture, within a few values.  With
few channels all of them fit into two registers, and AVX-512 can fetch any of their 32 values for each lane
in one instruction: no lists are written, as `winners.py` must, and no zeros multiplied.
Other processors have no such instruction; `possible` says so, and `block.py`,
which calls this, takes another route.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from ....runtime.compiling import njit
from ...geometry import Padding, Pair
from ..convolution.band import copy_band
from ..convolution.pool import NOBODY
from ..memory import PIECES, all_finite, clear, copy_rows, empty, unpack_sum
from ..tiles.cpu import VECTOR_BYTES
from ..tiles.vectors import INDEX, Vectors


def possible(shape: tuple[int, ...], strides: Pair, itemsize: int) -> bool:
    """Whether what four neighbouring windows see of one row fits into a register that can be picked from."""
    return VECTOR_BYTES == 64 and (shape[1] + strides[1]) * shape[2] <= VECTOR_BYTES // itemsize


class Picks(Vectors):
    """Instructions on vectors of as many places in two registers, integers as wide as the numbers there."""

    def __init__(self, context: Any, builder: ir.IRBuilder, dtype: types.Type):
        super().__init__(context, builder, dtype)
        self.places = ir.VectorType(ir.IntType(8 * self.itemsize), self.lanes)

    def number(self, value: int) -> ir.Constant:
        """A constant in every lane of a vector of places."""
        return ir.Constant(self.places, [value] * self.lanes)

    def spread_index(self, value: ir.Value) -> ir.Value:
        """An index in every lane of a vector of places."""
        return self.spread(self.builder.trunc(value, self.places.element) if self.itemsize < 8 else value)

    def choose(self, upper: ir.Value, where: ir.Value, lower: ir.Value) -> ir.Value:
        """Of two registers the value at each lane's place."""
        signature = ir.FunctionType(self.vector, [self.vector, self.places, self.vector])
        name = f"llvm.x86.avx512.vpermi2var.{'ps' if self.itemsize == 4 else 'pd'}.512"
        function = cgutils.get_or_insert_function(self.builder.module, signature, name)
        return self.builder.call(function, [upper, where, lower])


def make_decode() -> Callable:
    """Winners in words of the pick: alive[i] = g, or 0 where nobody won; start[i] = where the winner's values begin.

    bias += alive.  For one vector of channels; start holds integers in an array of g's type.
    """

    @intrinsic
    def decode(typing_context, alive, start, i, bias, o0, g, winner, p0, right):
        n = types.intp
        signature = types.void(alive, start, n, bias, n, g, winner, n, n)

        def codegen(context, builder, sig, arguments):
            alive, start, i, bias, o0, g, winner, p0, right = arguments
            e, b = Picks(context, builder, sig.args[0].dtype), builder
            alive, start = e.pointer(sig.args[0], alive, i), e.pointer(sig.args[1], start, i)
            bias, g = e.pointer(sig.args[3], bias, o0), e.pointer(sig.args[5], g, p0)
            narrow = ir.VectorType(ir.IntType(8), e.lanes)
            winner = e.address(sig.args[6], winner, p0, narrow.element)
            e.bounds.check(winner, e.lanes)
            winner = b.bitcast(winner, narrow.as_pointer())
            who = b.zext(b.load(winner, align=1, typ=narrow), e.places)
            zero = ir.Constant(e.vector, [0.0] * e.lanes)
            value = b.select(b.icmp_unsigned("<", who, e.number(NOBODY)), e.load(g), zero)
            below = b.mul(b.and_(who, e.number(2)), e.number(e.lanes // 2))  # the second register
            second = b.icmp_unsigned("==", b.and_(who, e.number(1)), e.number(1))
            place = b.add(below, b.select(second, e.spread_index(right), e.number(0)))
            e.store(value, alive)
            e.store(b.bitcast(place, e.vector), start)
            e.store(b.fadd(e.load(bias), value), bias)
            return context.get_dummy_value()

        return signature, codegen

    return decode


def make_pick(rows: int, values: int) -> Callable:
    """The sum for so many rows of the kernel, and values in each."""

    @intrinsic
    def pick(typing_context, D, d0, d_r, alive, start, P, X, x0, x_p, x_r, down, k0):
        n = types.intp
        signature = types.void(D, n, n, alive, start, n, X, n, n, n, n, n)

        def codegen(context, builder, sig, arguments):
            D, d0, d_r, alive, start, P, X, x0, x_p, x_r, down, k0 = arguments
            e, b = Picks(context, builder, sig.args[0].dtype), builder
            d, x = e.pointer(sig.args[0], D, d0), e.pointer(sig.args[6], X, x0)
            alive = e.pointer(sig.args[3], alive, e.constant(0))
            start = e.pointer(sig.args[4], start, e.constant(0))
            k0 = e.spread_index(k0)
            places = [(r, k) for r in range(rows) for k in range(values)]
            rows_of_d = [e.move(d, b.mul(d_r, e.constant(r))) for r in range(rows)]
            held = [e.load(rows_of_d[r], k) for r, k in places]
            enter, loop, done = b.block, b.append_basic_block(), b.append_basic_block()
            b.branch(loop)

            b.position_at_end(loop)
            p, x_here = b.phi(INDEX), e.phi(x)
            sums = [b.phi(e.vector) for _ in places]
            i = b.mul(p, e.constant(e.lanes))
            weight = e.load(e.move(alive, i))
            first = b.add(b.bitcast(e.load(e.move(start, i)), e.places), k0)
            upper = [e.load(e.move(x_here, b.mul(x_r, e.constant(r)))) for r in range(rows)]
            lower = [e.load(e.move(x_here, b.add(down, b.mul(x_r, e.constant(r))))) for r in range(rows)]
            new = [None] * len(places)
            for k in range(values):
                where = b.add(first, e.number(k))
                for r in range(rows):
                    seen = e.choose(upper[r], where, lower[r])
                    new[r * values + k] = e.multiply_add(weight, seen, sums[r * values + k])
            next_p = b.add(p, e.constant(1))
            again = b.block  # not `loop` where checks of bounds split it
            after = [
                (p, e.constant(0), next_p),
                (x_here, x, e.move(x_here, x_p)),
                *zip(sums, held, new, strict=True),
            ]
            for phi, before, later in after:
                phi.add_incoming(before, enter)
                phi.add_incoming(later, again)
            b.cbranch(b.icmp_signed("<", next_p, P), loop, done)

            b.position_at_end(done)
            for (r, k), value in zip(places, new, strict=True):
                e.store(value, rows_of_d[r], k)
            return context.get_dummy_value()

        return signature, codegen

    return pick


decode = make_decode()
three_3, three_1, one_1 = make_pick(3, 3), make_pick(3, 1), make_pick(1, 1)


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
    (SH, SW), ((top, bottom), (left, right)) = strides, padding
    HP, row = H + top + bottom, (left + W + right) * C
    _, blocks, K, lanes = parts.shape
    flat_x, flat_dy, flat_winner, flat_parts = (
        x.reshape(-1),
        dy.reshape(-1),
        winner.reshape(-1),
        parts.reshape(-1),
    )
    for piece in prange(PIECES):
        clear(flat_parts, piece * blocks * K * lanes, blocks * K * lanes)
        picture = np.zeros(HP * row + lanes, x.dtype)
        alive, start = np.empty(PW * lanes, x.dtype), np.empty(PW * lanes, x.dtype)
        g, who = np.zeros(PW * lanes, x.dtype), np.zeros(PW * lanes, np.uint8)  # of a block that is not full
        bias = np.zeros(blocks * lanes, x.dtype)
        for n in range(piece * N // PIECES, (piece + 1) * N // PIECES):
            copy_band(picture, x, n, 0, HP, ((top, bottom), (left, right)))
            fine[piece] &= all_finite(flat_x, n * H * W * C, H * W * C)
            for ph in range(PH):
                first = (n * PH + ph) * PW * OC
                for j in range(blocks):
                    o0 = j * lanes
                    if o0 + lanes <= OC:
                        for p in range(PW):
                            decode(
                                alive,
                                start,
                                p * lanes,
                                bias,
                                o0,
                                flat_dy,
                                flat_winner,
                                first + p * OC + o0,
                                SW * C,
                            )
                    else:
                        copy_rows(g, 0, lanes, flat_dy, first + o0, OC, PW, OC - o0)
                        copy_rows(who, 0, lanes, flat_winner, first + o0, OC, PW, OC - o0)
                        for p in range(PW):
                            decode(alive, start, p * lanes, bias, o0, g, who, p * lanes, SW * C)
                    pick(flat_parts, (piece * blocks + j) * K * lanes, alive, start, PW,
                         picture, 2 * ph * SH * row, row, C, kernel, strides)  # fmt: skip
        copy_rows(dbias.reshape(-1), piece * OC, 0, bias, 0, 0, 1, OC)


@njit(cache=False, inline="always")
def pick(D, d0, alive, start, P, X, x0, row, C, kernel, strides):
    """A row of pooled values, for any kernel; few sums at once, since more of them would not stay in registers."""
    (KH, KW), (SH, SW) = kernel, strides
    lanes, along, down = VECTOR_BYTES // alive.itemsize, 2 * SW * C, SH * row
    length = KW * C
    d_r = length * lanes
    r = 0
    while r < KH:
        rows = 3 if KH - r >= 3 else 1
        k = 0
        while k < length:
            values = 3 if rows == 3 and length - k >= 3 else 1
            d, x = d0 + r * d_r + k * lanes, x0 + r * row
            if values == 3:
                three_3(D, d, d_r, alive, start, P, X, x, along, row, down, k)
            elif rows == 3:
                three_1(D, d, d_r, alive, start, P, X, x, along, row, down, k)
            else:
                one_1(D, d, d_r, alive, start, P, X, x, along, row, down, k)
            k += values
        r += rows
