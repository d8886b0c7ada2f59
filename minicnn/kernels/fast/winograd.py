"""3x3 convolution with 16 multiplications for four outputs in place of 36: Winograd's F(2x2, 3x3).

    Y = A^T [ sum over c of (G g G^T) * (B^T d B) ] A

d is a 4x4 piece of the picture, g the 3x3 weights, Y the 2x2 outputs, * multiplies number by number.  For each of
the 16 places the sum over c is a matrix product, (pieces, C) @ (C, OC), which register tiles do; the transforms
are a few additions and work on vectors of channels.

The sums differ from the definition's in rounding only, as long as they are finite.  An infinity or NaN would
spread over its whole piece; so `finite` looks at what came out, and the caller takes the direct route there.
Source: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks", section 4.1.
Called by `band.py`.
"""

from collections.abc import Callable

import numpy as np
from numba import types
from numba.extending import intrinsic

from ...compiling import njit
from .cpu import VECTOR_BYTES
from .product import product
from .vectors import Vectors

BT = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
G = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
AT = ((1, 1, 1, 0), (0, 1, -1, -1))


def make_transform(matrix: tuple[tuple[float, ...], ...]) -> Callable:
    """Y = L X L^T for a small constant L, on one vector of channels: place (i, j) of X is x0 + i*x_i + j*x_j."""
    small, large = len(matrix), len(matrix[0])

    @intrinsic
    def transform(typing_context, Y, y0, y_i, y_j, X, x0, x_i, x_j):
        n = types.intp
        signature = types.void(Y, n, n, n, X, n, n, n)

        def codegen(context, builder, sig, arguments):
            Y, y0, y_i, y_j, X, x0, x_i, x_j = arguments
            e, b = Vectors(context, builder, sig.args[0].dtype), builder
            y, x = e.pointer(sig.args[0], Y, y0), e.pointer(sig.args[4], X, x0)

            def place(pointer, i, step_i, j, step_j):
                return e.move(pointer, b.add(b.mul(step_i, e.constant(i)), b.mul(step_j, e.constant(j))))

            columns = []  # L X, a column at a time
            for j in range(large):
                column = [e.load(place(x, i, x_i, j, x_j)) for i in range(large)]
                columns.append([e.combine(row, column) for row in matrix])
            for i in range(small):  # (L X) L^T, a row at a time
                row_of_y = [columns[j][i] for j in range(large)]
                for j in range(small):
                    e.store(e.combine(matrix[j], row_of_y), place(y, i, y_i, j, y_j))
            return context.get_dummy_value()

        return signature, codegen

    return transform


picture_transform, weight_transform, sum_transform = make_transform(BT), make_transform(G), make_transform(AT)


@njit(cache=True, nogil=True)
def transform_weights(packed, U):
    """U[j, 16, c, :] = G g G^T from packed[j, 9, c, :], a block of output channels after the other."""
    blocks, places, width = packed.shape
    size = places // 9 * width
    flat_packed, flat_U = packed.reshape(-1), U.reshape(-1)
    for j in range(blocks):
        for v in range(0, size, VECTOR_BYTES // packed.itemsize):
            weight_transform(
                flat_U, j * 16 * size + v, 4 * size, size, flat_packed, j * 9 * size + v, 3 * size, size
            )


@njit(cache=True, nogil=True)
def transform_pictures(V, source, s0, row, C, rows, columns):
    """V[16, tile, c] = B^T d B for the tiles of `rows` x `columns` outputs; returns how many tiles.

    The last tile of an odd row or column overlaps the one before.
    """
    lanes = VECTOR_BYTES // V.itemsize
    length = -(-C // lanes) * lanes
    down, across = (rows + 1) // 2, (columns + 1) // 2
    size = down * across * length
    tile = 0
    for i in range(down):
        for j in range(across):
            x0 = s0 + min(2 * i, rows - 2) * row + min(2 * j, columns - 2) * C
            for c in range(0, C, lanes):
                picture_transform(V, tile * length + c, 4 * size, size, source, x0 + c, row, C)
            tile += 1
    return tile


@njit(cache=True, nogil=True)
def winograd(out, pitch, V, M, U, u0, C, width, rows, columns):
    """out[row*pitch + column, :width] = the convolution, from transformed pieces V and weights U."""
    lanes = VECTOR_BYTES // V.itemsize
    length = -(-C // lanes) * lanes
    down, across = (rows + 1) // 2, (columns + 1) // 2
    tiles = down * across
    for k in range(16):
        product(M, k * tiles * width, width, V, k * tiles * length, length, 0, 1,
                U, u0 + k * C * width, 0, width, 1, C, tiles)  # fmt: skip
    size = tiles * width
    tile = 0
    for i in range(down):
        for j in range(across):
            o0 = (min(2 * i, rows - 2) * pitch + min(2 * j, columns - 2)) * width
            for v in range(0, width, lanes):
                sum_transform(out, o0 + v, pitch * width, width, M, tile * width + v, 4 * size, size)
            tile += 1


@njit(cache=True, nogil=True)
def finite(out, pitch, width, rows, columns):
    """Whether all of out[row*pitch + column, :width] are: x * 0 is 0 for finite numbers alone."""
    wrong = 0
    zero = out.dtype.type(0)
    for r in range(rows):
        o0 = r * pitch * width
        for v in range(columns * width):
            wrong += out[np.uintp(o0 + v)] * zero != zero
    return wrong == 0
