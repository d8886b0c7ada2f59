"""3x3 convolution with 36 multiplications for sixteen outputs instead of 144: Winograd's F(4x4, 3x3).

    Y = A^T [ sum over c of (G g G^T) * (B^T d B) ] A

d is a 6x6 patch of the image, g the 3x3 weights, Y the 4x4 outputs; * multiplies element by element.  For each of
the 36 places the sum over c is a matrix product, (patches, C) @ (C, OC), computed with register tiles.  The transforms
are a few additions on vectors of channels.  Called by `convolution/forward.py`; the gradient of the weights is in
`dweight.py`, kernels over few channels are in `rows.py`.

The matrices interpolate at 0, 1, -1, 1/2, -2 and infinity.  In float32 their rounding error is three times that of the
definition: 4e-6 of the largest output at 128 channels.  With the usual points, 2 instead of 1/2, it is 1e-5.

The results differ from the definition's in three ways:

    infinity and NaN  would spread over their whole patch.  `is_finite` therefore checks the result, and the caller
        uses the direct algorithm where it is not finite.
    large values      affect the whole patch: next to a value of 1e26, ordinary values of the same patch are lost, even
        in outputs whose own window does not contain it.  The error is 4e-6 of the largest output, as above.  It is not
        corrected, because detecting such values would need another pass over every image.
    ties              Windows with the same values should give equal outputs, of which a max pool takes the first.
        They do if the whole patch is constant, or constant along its rows or columns, as in flat regions and straight
        lines of drawings and scans: five of six transformed values are then exactly 0 along that axis (`ORDERS`).
        At the edge of such a region, outputs of one patch may differ in their last bits, so a pool may take another
        one of them, and a ReLU may pass a sum that should be exactly 0.  Where that matters, use kernels="im2col" or
        "reference", which have the definition's sums.

References: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks", sections 4.1 to 4.3; for the
points, Barabasz et al. 2020, "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural
Networks".
"""

from collections.abc import Callable
from typing import Any

from numba import prange, types
from numba.extending import intrinsic

from ....runtime.compiling import njit
from ..memory import CHUNKS, all_finite
from ..tiles.cpu import VECTOR_BYTES
from ..tiles.product import product
from ..tiles.vectors import Vectors

STEP, SIDE = 4, 6  # outputs and inputs along one side of a patch
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
# Adding the terms of each row of BT in these orders makes every partial sum of coefficients 0 or a power of two.  So
# five of the six transformed values of equal numbers are exactly 0, without rounding.
ORDERS = (
    (0, 1, 3, 2, 4, 5),
    (0, 1, 2, 3, 4, 5),
    (0, 3, 2, 1, 4, 5),
    (0, 1, 3, 2, 4, 5),
    (0, 1, 2, 3, 4, 5),
    (0, 1, 2, 4, 3, 5),
)
AT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 0.5, -2, 0), (0, 1, 1, 0.25, 4, 0), (0, 1, -1, 0.125, -8, 1))


def make_transform(matrix: tuple[tuple[float, ...], ...], orders: Any = None) -> Callable:
    """Y = L X L^T for a small constant L, on one vector of channels.  Element (i, j) of X is at x0 + i*x_i + j*x_j."""
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

            def at_place(pointer, i, step_i, j, step_j):
                return e.move(pointer, b.add(b.mul(step_i, e.constant(i)), b.mul(step_j, e.constant(j))))

            columns = []  # L X, a column at a time
            for j in range(large):
                column = [e.load(at_place(x, i, x_i, j, x_j)) for i in range(large)]
                columns.append([e.combine(matrix[i], column, orders[i]) for i in range(small)])
            for i in range(small):  # (L X) L^T, a row at a time
                row_of_y = [columns[j][i] for j in range(large)]
                for j in range(small):
                    e.store(e.combine(matrix[j], row_of_y, orders[j]), at_place(y, i, y_i, j, y_j))
            return context.get_dummy_value()

        return signature, codegen

    return transform


image_transform = make_transform(BT, ORDERS)
weight_transform, sum_transform = make_transform(G), make_transform(AT)


@njit(cache=True, nogil=True, parallel=True)
def transform_weights(packed, U):
    """U[j, PLACES, c, :] = G g G^T from packed[j, 9, c, :], for each block j of output channels."""
    blocks, places, width = packed.shape
    size, lanes = places // 9 * width, VECTOR_BYTES // packed.itemsize
    flat_packed, flat_U = packed.reshape(-1), U.reshape(-1)
    vectors = size // lanes
    for chunk in prange(CHUNKS):
        for unit in range(chunk * blocks * vectors // CHUNKS, (chunk + 1) * blocks * vectors // CHUNKS):
            j, v = unit // vectors, unit % vectors * lanes
            weight_transform(flat_U, j * PLACES * size + v, SIDE * size, size,
                             flat_packed, j * 9 * size + v, 3 * size, size)  # fmt: skip


@njit(cache=True, nogil=True)
def transform_images(V, patch, patches, source, s0, row, C, rows, columns):
    """V[PLACES, patch, c] = B^T d B for the patches of `rows` x `columns` outputs.

    The first of them is number `patch` of all `patches` in V.  If the patches of a row or column do not fit exactly,
    the last overlaps the one before.
    """
    lanes = VECTOR_BYTES // V.itemsize
    length = -(-C // lanes) * lanes
    down, across = -(-rows // STEP), -(-columns // STEP)
    size = patches * length
    for i in range(down):
        for j in range(across):
            x0 = s0 + min(STEP * i, rows - STEP) * row + min(STEP * j, columns - STEP) * C
            for c in range(0, C, lanes):
                image_transform(V, patch * length + c, SIDE * size, size, source, x0 + c, row, C)
            patch += 1


@njit(cache=True, nogil=True)
def winograd(out, pitch, V, M, U, u0, C, width, rows, columns, images):
    """out[p, row*pitch + column, :width] = the convolution of image p, from transformed inputs V and weights U."""
    lanes = VECTOR_BYTES // V.itemsize
    length = -(-C // lanes) * lanes
    down, across = -(-rows // STEP), -(-columns // STEP)
    patches = images * down * across
    for k in range(PLACES):
        product(M, k * patches * width, width, V, k * patches * length, length, 0, 1,
                U, u0 + k * C * width, 0, width, 1, C, patches)  # fmt: skip
    size = patches * width
    for patch in range(patches):
        i, j = patch // across % down, patch % across
        o0 = patch // (down * across) * out.shape[1]
        o0 += (min(STEP * i, rows - STEP) * pitch + min(STEP * j, columns - STEP)) * width
        for v in range(0, width, lanes):
            sum_transform(out, o0 + v, pitch * width, width, M, patch * width + v, SIDE * size, size)


@njit(cache=True, nogil=True)
def is_finite(out, pitch, width, rows, columns):
    """Whether all values of out[row*pitch + column, :width] are finite."""
    result = True
    for r in range(rows):
        result &= all_finite(out, r * pitch * width, columns * width)
    return result
