"""Convolution with kernels 3 wide, 6 multiplications for four outputs instead of 12: Winograd's F(4, 3) along rows.

    Y = A^T [ sum over kh, c of (G g) * (B^T d) ]

d is a patch of 6 neighbours in a row of the image, g a row of the weights, Y 4 adjacent outputs.  This is for few
channels, such as in a network's first convolution, where the products over c of `squares.py` would be too short to
pay for writing their sums to memory.  Here the sums over kh and c of all 6 places stay in registers until A^T
turns them into outputs.  Rounding is as fine as the definition's.
The matrices are those of `squares.py`, and so is the reference: section 4.1.  Called by `convolution/forward.py`.
"""

import functools
from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import intrinsic

from ....runtime.compiling import njit
from ..tiles.cpu import REGISTERS, VECTOR_BYTES, VECTORS
from ..tiles.vectors import Vectors
from .squares import AT, BT, ORDERS, SIDE, STEP, G

ABREAST = 2 if REGISTERS == 32 else 1  # adjacent patches per register tile: 24 or 12 sums


def make_line_transform(matrix: tuple[tuple[float, ...], ...], orders: Any = None) -> Callable:
    """Y = L X for a small constant L, on one vector.  Element i of X is at x0 + i*x_i."""
    orders = orders or (None,) * len(matrix)

    @intrinsic
    def line_transform(typing_context, Y, y0, y_i, X, x0, x_i):
        n = types.intp
        signature = types.void(Y, n, n, X, n, n)

        def codegen(context, builder, sig, arguments):
            Y, y0, y_i, X, x0, x_i = arguments
            e, b = Vectors(context, builder, sig.args[0].dtype), builder
            y, x = e.pointer(sig.args[0], Y, y0), e.pointer(sig.args[3], X, x0)
            values = [e.load(e.move(x, b.mul(x_i, e.constant(i)))) for i in range(len(matrix[0]))]
            for i, row in enumerate(matrix):
                e.store(e.combine(row, values, orders[i]), e.move(y, b.mul(y_i, e.constant(i))))
            return context.get_dummy_value()

        return signature, codegen

    return line_transform


def make_row_tile(abreast: int, vectors: int = VECTORS) -> Callable:
    """Compute the outputs of `abreast` adjacent patches; `nan_check` becomes NaN if one of them is not finite."""

    @intrinsic
    def row_tile(typing_context, out, o0, nan_check, V, v0, v_row, v_place, U, u0, KH, C):
        n = types.intp
        signature = types.void(out, n, nan_check, V, n, n, n, U, n, n, n)

        def codegen(context, builder, sig, arguments):
            out, o0, nan_check, V, v0, v_row, v_place, U, u0, KH, C = arguments
            e, b = Vectors(context, builder, sig.args[0].dtype), builder
            o, nan_check = e.pointer(sig.args[0], out, o0), e.pointer(sig.args[2], nan_check, e.constant(0))
            d, w = e.pointer(sig.args[3], V, v0), e.pointer(sig.args[7], U, u0)
            places = [b.mul(v_place, e.constant(i)) for i in range(SIDE)]
            patches = [b.mul(C, e.constant(STEP * t)) for t in range(abreast)]
            step = e.constant(SIDE * vectors * e.lanes)

            def add(pointers, sums):
                d, w = pointers
                new: list = []
                for i in range(SIDE):
                    weights = [e.load(w, i * vectors + v) for v in range(vectors)]
                    at_place = e.move(d, places[i])
                    for t in range(abreast):
                        value = e.broadcast(e.move(at_place, patches[t]))
                        new += [e.multiply_add(value, weights[v], sums[len(new) + v]) for v in range(vectors)]
                return new

            steps = (v_row, e.constant(1)), (b.mul(C, step), step)
            sums = e.sums((KH, C), (d, w), steps, SIDE * abreast * vectors, add)
            check = e.load(nan_check)
            for t in range(abreast):
                for v in range(vectors):
                    values = [sums[(i * abreast + t) * vectors + v] for i in range(SIDE)]
                    outputs = [e.combine(row, values) for row in AT]
                    for m, output in enumerate(outputs):
                        e.store(output, o, (STEP * t + m) * vectors + v)
                    total = functools.reduce(b.fadd, outputs)
                    check = b.fadd(check, b.fsub(total, total))  # 0, or NaN
            e.store(check, nan_check)
            return context.get_dummy_value()

        return signature, codegen

    return row_tile


line_transform, weight_line_transform, row_tile = (
    make_line_transform(BT, ORDERS),
    make_line_transform(G),
    make_row_tile(ABREAST),
)


@njit(cache=True, nogil=True)
def transform_row_weights(packed, U, KH, C):
    """U[j, kh, c, SIDE, :] = G g from packed[j, (kh, 3, c), :], for each block j of output channels."""
    blocks, _, width = packed.shape
    lanes = VECTOR_BYTES // packed.itemsize
    flat_packed, flat_U = packed.reshape(-1), U.reshape(-1)
    for row in range(blocks * KH):
        for c in range(C):
            for v in range(0, width, lanes):
                weight_line_transform(flat_U, (row * C + c) * SIDE * width + v, width,
                                      flat_packed, (row * 3 * C + c) * width + v, C * width)  # fmt: skip


@njit(cache=True, nogil=True)
def transform_rows(V, source, s0, row, C, rows, columns):
    """V[r, SIDE, w*C + c] = B^T d for the patch that begins at column w of row r, for every w."""
    lanes = VECTOR_BYTES // V.itemsize
    length = (columns - STEP + 1) * C
    for r in range(rows):
        for p in range(0, length, lanes):
            at = min(p, length - lanes)
            line_transform(V, r * SIDE * length + at, length, source, s0 + r * row + at, C)


@njit(cache=True, nogil=True)
def winograd_rows(out, pitch, V, U, u0, KH, SH, C, width, rows, columns, nan_check):
    """out[row*pitch + column, :width] = the convolution, from transformed inputs V and weights U.

    Returns whether all of it is finite.
    """
    nan_check[:] = 0
    length, wide = (columns - STEP + 1) * C, ABREAST * STEP
    for r in range(rows):
        for first in range(0, columns, wide):
            ow = min(first, columns - wide)
            row_tile(out, (r * pitch + ow) * width, nan_check, V, r * SH * SIDE * length + ow * C, SIDE * length,
                     length, U, u0, KH, C)  # fmt: skip
    is_finite = True
    for lane in range(len(nan_check)):
        is_finite &= nan_check[lane] == 0
    return is_finite
