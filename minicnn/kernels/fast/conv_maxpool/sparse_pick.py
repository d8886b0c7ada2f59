"""dweight of conv -> ReLU -> max pool for few input channels: each vector lane picks the inputs of its maximum.

    D[r, k, v] += sum over p < P of g[p, v] * X[p, r*x_r + k + start(argmax[p, v])]     for r < rows, k < values

v runs over a vector of output channels.  The maximum of a pooled value is in one of two rows and one of two columns, so
the input that the weight (r, k) was multiplied with there is in one of two rows of the image, within a few values.
With few channels all these values fit into two registers, and one AVX-512 instruction can fetch any of their 32 values
for each lane.  So neither the lists of `sparse_backward.py` nor multiplications by zero are needed.
Other processors have no such instruction: `is_applicable` is False there, and the callers `conv_relu_maxpool.py` and
`conv_maxpool.py` use another algorithm.
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
from ..convolution.epilogue import INACTIVE
from ..convolution.row_block import copy_row_block
from ..memory import CHUNKS, all_finite, clear, copy_rows, empty, unpack_sum
from ..tiles.cpu import VECTOR_BYTES
from ..tiles.vectors import INDEX, Vectors


def is_applicable(shape: tuple[int, ...], strides: Pair, itemsize: int) -> bool:
    """Whether the values of an image row that four neighbouring windows read fit in a register to pick from."""
    return VECTOR_BYTES == 64 and (shape[1] + strides[1]) * shape[2] <= VECTOR_BYTES // itemsize


class Picks(Vectors):
    """Instructions that pick values from two registers by a vector of places (integers as wide as the values)."""

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
        """For each lane, the value at its place in the two registers."""
        signature = ir.FunctionType(self.vector, [self.vector, self.places, self.vector])
        name = f"llvm.x86.avx512.vpermi2var.{'ps' if self.itemsize == 4 else 'pd'}.512"
        function = cgutils.get_or_insert_function(self.builder.module, signature, name)
        return self.builder.call(function, [upper, where, lower])


def make_decode() -> Callable:
    """Prepare one vector of channels for `pick`: active_g[i] = g, or 0 where inactive; bias += active_g.

    start[i] = where the inputs of the maximum begin; these integers are stored in an array of g's type.
    """

    @intrinsic
    def decode(typing_context, active_g, start, i, bias, o0, g, argmax, p0, right):
        n = types.intp
        signature = types.void(active_g, start, n, bias, n, g, argmax, n, n)

        def codegen(context, builder, sig, arguments):
            active_g, start, i, bias, o0, g, argmax, p0, right = arguments
            e, b = Picks(context, builder, sig.args[0].dtype), builder
            active_g, start = e.pointer(sig.args[0], active_g, i), e.pointer(sig.args[1], start, i)
            bias, g = e.pointer(sig.args[3], bias, o0), e.pointer(sig.args[5], g, p0)
            narrow = ir.VectorType(ir.IntType(8), e.lanes)
            argmax = e.address(sig.args[6], argmax, p0, narrow.element)
            e.bounds.check(argmax, e.lanes)
            argmax = b.bitcast(argmax, narrow.as_pointer())
            which = b.zext(b.load(argmax, align=1, typ=narrow), e.places)
            zero = ir.Constant(e.vector, [0.0] * e.lanes)
            value = b.select(b.icmp_unsigned("<", which, e.number(INACTIVE)), e.load(g), zero)
            below = b.mul(b.and_(which, e.number(2)), e.number(e.lanes // 2))  # into the second register
            is_right = b.icmp_unsigned("==", b.and_(which, e.number(1)), e.number(1))
            place = b.add(below, b.select(is_right, e.spread_index(right), e.number(0)))
            e.store(value, active_g)
            e.store(b.bitcast(place, e.vector), start)
            e.store(b.fadd(e.load(bias), value), bias)
            return context.get_dummy_value()

        return signature, codegen

    return decode


def make_pick(rows: int, values: int) -> Callable:
    """The sum for a fixed number of kernel rows, and of values per row."""

    @intrinsic
    def pick(typing_context, D, d0, d_r, active_g, start, P, X, x0, x_p, x_r, down, k0):
        n = types.intp
        signature = types.void(D, n, n, active_g, start, n, X, n, n, n, n, n)

        def codegen(context, builder, sig, arguments):
            D, d0, d_r, active_g, start, P, X, x0, x_p, x_r, down, k0 = arguments
            e, b = Picks(context, builder, sig.args[0].dtype), builder
            d, x = e.pointer(sig.args[0], D, d0), e.pointer(sig.args[6], X, x0)
            active_g = e.pointer(sig.args[3], active_g, e.constant(0))
            start = e.pointer(sig.args[4], start, e.constant(0))
            k0 = e.spread_index(k0)
            places = [(r, k) for r in range(rows) for k in range(values)]
            rows_of_d = [e.move(d, b.mul(d_r, e.constant(r))) for r in range(rows)]
            old_values = [e.load(rows_of_d[r], k) for r, k in places]
            enter, loop, done = b.block, b.append_basic_block(), b.append_basic_block()
            b.branch(loop)

            b.position_at_end(loop)
            p, x_here = b.phi(INDEX), e.phi(x)
            sums = [b.phi(e.vector) for _ in places]
            i = b.mul(p, e.constant(e.lanes))
            weight = e.load(e.move(active_g, i))
            first = b.add(b.bitcast(e.load(e.move(start, i)), e.places), k0)
            upper = [e.load(e.move(x_here, b.mul(x_r, e.constant(r)))) for r in range(rows)]
            lower = [e.load(e.move(x_here, b.add(down, b.mul(x_r, e.constant(r))))) for r in range(rows)]
            new = [None] * len(places)
            for k in range(values):
                where = b.add(first, e.number(k))
                for r in range(rows):
                    picked = e.choose(upper[r], where, lower[r])
                    new[r * values + k] = e.multiply_add(weight, picked, sums[r * values + k])
            next_p = b.add(p, e.constant(1))
            loop_end = b.block  # not `loop` if bounds checks split it
            phis = [
                (p, e.constant(0), next_p),
                (x_here, x, e.move(x_here, x_p)),
                *zip(sums, old_values, new, strict=True),
            ]
            for phi, initial, updated in phis:
                phi.add_incoming(initial, enter)
                phi.add_incoming(updated, loop_end)
            b.cbranch(b.icmp_signed("<", next_p, P), loop, done)

            b.position_at_end(done)
            for (r, k), value in zip(places, new, strict=True):
                e.store(value, rows_of_d[r], k)
            return context.get_dummy_value()

        return signature, codegen

    return pick


decode = make_decode()
pick_3x3, pick_3x1, pick_1x1 = make_pick(3, 3), make_pick(3, 1), make_pick(1, 1)


def pick_dweight(
    dy: np.ndarray, argmax: np.ndarray, x: np.ndarray, shape: tuple[int, ...], strides: Pair, padding: Padding
) -> tuple[np.ndarray, np.ndarray, bool]:
    """dweight, dbias, and whether all of x is finite."""
    KH, KW, C, OC = shape
    lanes = VECTOR_BYTES // x.itemsize
    parts = empty((CHUNKS, -(-OC // lanes), KH * KW * C, lanes), x.dtype)
    dbias, x_is_finite = np.zeros((CHUNKS, OC), x.dtype), np.ones(CHUNKS, np.bool_)
    _pick_dweight(dy, argmax, x, parts, dbias, x_is_finite, (KH, KW), strides, padding)
    return unpack_sum(parts, OC).reshape(shape), dbias.sum(0), bool(x_is_finite.all())


@njit(cache=True, nogil=True, parallel=True)
def _pick_dweight(dy, argmax, x, parts, dbias, x_is_finite, kernel, strides, padding):
    N, H, W, C = x.shape
    _, PH, PW, OC = argmax.shape
    (SH, SW), ((top, bottom), (left, right)) = strides, padding
    HP, row = H + top + bottom, (left + W + right) * C
    _, blocks, K, lanes = parts.shape
    flat_x, flat_dy, flat_argmax = x.reshape(-1), dy.reshape(-1), argmax.reshape(-1)
    flat_parts = parts.reshape(-1)
    for chunk in prange(CHUNKS):
        clear(flat_parts, chunk * blocks * K * lanes, blocks * K * lanes)
        image = np.zeros(HP * row + lanes, x.dtype)
        active_g, start = np.empty(PW * lanes, x.dtype), np.empty(PW * lanes, x.dtype)
        # dy and argmax of a block that is not full
        g, which = np.zeros(PW * lanes, x.dtype), np.zeros(PW * lanes, np.uint8)
        bias = np.zeros(blocks * lanes, x.dtype)
        for n in range(chunk * N // CHUNKS, (chunk + 1) * N // CHUNKS):
            copy_row_block(image, x, n, 0, HP, ((top, bottom), (left, right)))
            x_is_finite[chunk] &= all_finite(flat_x, n * H * W * C, H * W * C)
            for ph in range(PH):
                first = (n * PH + ph) * PW * OC
                for j in range(blocks):
                    o0 = j * lanes
                    if o0 + lanes <= OC:
                        for p in range(PW):
                            decode(active_g, start, p * lanes, bias, o0, flat_dy, flat_argmax, first + p * OC + o0,
                                   SW * C)  # fmt: skip
                    else:
                        copy_rows(g, 0, lanes, flat_dy, first + o0, OC, PW, OC - o0)
                        copy_rows(which, 0, lanes, flat_argmax, first + o0, OC, PW, OC - o0)
                        for p in range(PW):
                            decode(active_g, start, p * lanes, bias, o0, g, which, p * lanes, SW * C)
                    pick(flat_parts, (chunk * blocks + j) * K * lanes, active_g, start, PW,
                         image, 2 * ph * SH * row, row, C, kernel, strides)  # fmt: skip
        copy_rows(dbias.reshape(-1), chunk * OC, 0, bias, 0, 0, 1, OC)


@njit(cache=False, inline="always")
def pick(D, d0, active_g, start, P, X, x0, row, C, kernel, strides):
    """The sums of a row of pooled values, for any kernel; few at a time, so that they stay in registers."""
    (KH, KW), (SH, SW) = kernel, strides
    lanes, along, down = VECTOR_BYTES // active_g.itemsize, 2 * SW * C, SH * row
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
                pick_3x3(D, d, d_r, active_g, start, P, X, x, along, row, down, k)
            elif rows == 3:
                pick_3x1(D, d, d_r, active_g, start, P, X, x, along, row, down, k)
            else:
                pick_1x1(D, d, d_r, active_g, start, P, X, x, along, row, down, k)
            k += values
        r += rows
