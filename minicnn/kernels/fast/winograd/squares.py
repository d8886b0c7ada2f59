"""3x3 convolution with 36 multiplications for sixteen outputs in place of 144: Winograd's F(4x4, 3x3).

    Y = A^T [ sum over c of (G g G^T) * (B^T d B) ] A

d is a 6x6 patch of the picture, g the 3x3 weights, Y the 4x4 outputs, * multiplies number by number.  For each of
the 36 places the sum over c is a matrix product, (patches, C) @ (C, OC), which register tiles do; the transforms
are a few additions and work on vectors of channels.

The matrices interpolate at 0, 1, -1, 1/2, -2 and infinity.  Their sums round three times as coarsely as the
definition's in float32, 4e-6 of the largest output at 128 channels; the usual points, with 2 in place of 1/2, reach
1e-5.

Three consequences of these sums differ from the definition's:

    infinity and NaN  would spread over their whole patch; so `finite` looks at what came out, and the caller takes the
        direct route there
    large numbers     round the whole patch: beside a value of 1e26, ordinary values of the same patch are lost, also in
        outputs whose own window does not hold it.  The error is 4e-6 of the largest output, as above.  It is not
        corrected: looking for such values would read every image once more
    ties              outputs of windows that hold the same numbers should be equal, and a max pool then takes the
        first.  They are equal if the whole patch is constant, or constant along its rows or columns, as flat regions
        and straight lines in drawings and scans are: five of six transformed values are then exactly 0 along that
        axis (`ORDERS`).  At the edge of such a region, outputs of one patch may differ in their last bits, so a
        pool may take another one of them, and a ReLU may pass a sum that should be exactly 0.  Where that matters,
        kernels="im2col" or "reference" has the definition's sums
Source: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks", sections 4.1 to 4.3; the choice of
points: Barabasz et al. 2020, "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep
Neural Networks".
Called by `convolution/forward.py`.
"""

from collections.abc import Callable

from numba import prange, types
from numba.extending import intrinsic

from ....runtime.compiling import njit
from ..memory import PIECES, all_finite
from ..tiles.cpu import VECTOR_BYTES
from ..tiles.product import product
from ..tiles.vectors import Vectors

STEP, SIDE = 4, 6  # outputs and inputs along a side of a patch
PLACES = SIDE * SIDE
BT = (
    (1, -1.5, -2, 1.5, 1, 0),
    (0, -1, 0.5, 2.5, 1, 0),
    (0, 1, -2.5, 0.5, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 0.5, -1, -0.5, 1, 0),
    (0, 1, -1.5, -2, 1.5, 1),
)
G = (
    (1, 0, 0),
    (1 / 3, 1 / 3, 1 / 3),
    (-1 / 3, 1 / 3, -1 / 3),
    (-16 / 15, -8 / 15, -4 / 15),
    (1 / 15, -2 / 15, 4 / 15),
    (0, 0, 1),
)
# In these orders of the terms of each row of BT, every partial sum of the coefficients is 0 or a power of two: so five
# of six transformed values of equal numbers are 0 without rounding.
ORDERS = (
    (0, 1, 3, 2, 4, 5),
    (0, 1, 2, 3, 4, 5),
    (0, 3, 2, 1, 4, 5),
    (0, 1, 3, 2, 4, 5),
    (0, 1, 2, 3, 4, 5),
    (0, 1, 2, 4, 3, 5),
)
AT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 0.5, -2, 0), (0, 1, 1, 0.25, 4, 0), (0, 1, -1, 0.125, -8, 1))


def make_transform(
    matrix: tuple[tuple[float, ...], ...], orders: tuple[tuple[int, ...], ...] | None = None
) -> Callable:
    """Y = L X L^T for a small constant L, on one vector of channels: place (i, j) of X is x0 + i*x_i + j*x_j."""
    small, large = len(matrix), len(matrix[0])
    orders = orders or (None,) * small

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
                columns.append([e.combine(matrix[i], column, orders[i]) for i in range(small)])
            for i in range(small):  # (L X) L^T, a row at a time
                row_of_y = [columns[j][i] for j in range(large)]
                for j in range(small):
                    e.store(e.combine(matrix[j], row_of_y, orders[j]), place(y, i, y_i, j, y_j))
            return context.get_dummy_value()

        return signature, codegen

    return transform


picture_transform = make_transform(BT, ORDERS)
weight_transform, sum_transform = make_transform(G), make_transform(AT)


@njit(cache=True, nogil=True, parallel=True)
def transform_weights(packed, U):
    """U[j, PLACES, c, :] = G g G^T from packed[j, 9, c, :], a block of output channels after the other."""
    blocks, places, width = packed.shape
    size, lanes = places // 9 * width, VECTOR_BYTES // packed.itemsize
    flat_packed, flat_U = packed.reshape(-1), U.reshape(-1)
    vectors = size // lanes
    for piece in prange(PIECES):
        for unit in range(piece * blocks * vectors // PIECES, (piece + 1) * blocks * vectors // PIECES):
            j, v = unit // vectors, unit % vectors * lanes
            weight_transform(flat_U, j * PLACES * size + v, SIDE * size, size,
                             flat_packed, j * 9 * size + v, 3 * size, size)  # fmt: skip


@njit(cache=True, nogil=True)
def transform_pictures(V, tile, tiles, source, s0, row, C, rows, columns):
    """V[PLACES, tile, c] = B^T d B for the tiles of `rows` x `columns` outputs, from number `tile` on of `tiles`.

    The last tile of an odd row or column overlaps the one before.
    """
    lanes = VECTOR_BYTES // V.itemsize
    length = -(-C // lanes) * lanes
    down, across = -(-rows // STEP), -(-columns // STEP)
    size = tiles * length
    for i in range(down):
        for j in range(across):
            x0 = s0 + min(STEP * i, rows - STEP) * row + min(STEP * j, columns - STEP) * C
            for c in range(0, C, lanes):
                picture_transform(V, tile * length + c, SIDE * size, size, source, x0 + c, row, C)
            tile += 1


@njit(cache=True, nogil=True)
def winograd(out, pitch, V, M, U, u0, C, width, rows, columns, pictures):
    """out[p, row*pitch + column, :width] = the convolution of picture p, from transformed patches V and weights U."""
    lanes = VECTOR_BYTES // V.itemsize
    length = -(-C // lanes) * lanes
    down, across = -(-rows // STEP), -(-columns // STEP)
    tiles = pictures * down * across
    for k in range(PLACES):
        product(M, k * tiles * width, width, V, k * tiles * length, length, 0, 1,
                U, u0 + k * C * width, 0, width, 1, C, tiles)  # fmt: skip
    size = tiles * width
    for tile in range(tiles):
        i, j = tile // across % down, tile % across
        o0 = tile // (down * across) * out.shape[1]
        o0 += (min(STEP * i, rows - STEP) * pitch + min(STEP * j, columns - STEP)) * width
        for v in range(0, width, lanes):
            sum_transform(out, o0 + v, pitch * width, width, M, tile * width + v, SIDE * size, size)


@njit(cache=True, nogil=True)
def finite(out, pitch, width, rows, columns):
    """Whether all of out[row*pitch + column, :width] are."""
    good = True
    for r in range(rows):
        good &= all_finite(out, r * pitch * width, columns * width)
    return good
