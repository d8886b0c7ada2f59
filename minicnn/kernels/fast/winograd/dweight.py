"""dweight of a 3x3 convolution with a quarter of the multiplications: the gradient of Winograd's F(4x4, 3x3).

    dg = G^T [ sum over the patches of (B^T d B) * (A dY A^T) ] G

is the derivative of the forward pass in `squares.py` with respect to its weights g: d is a 6x6 patch of the image,
dY the gradient at its 4x4 outputs; * multiplies element by element.  For each of the 36 places the sum is a
matrix product, (C, patches) @ (patches, OC).  Called by `convolution/passes.py`.

The batch is one long list of rows of patches, processed in groups whose transformed values fit in the shared cache.
All threads first transform a group, then multiply; each thread multiplies some of the places.  So the chunks need no
partial sums of dweight, which in deep layers would be larger than the images.  Patches at the edges are filled up with
zeros.

The rounding error is that of the forward pass, 4e-6 of the largest value in float32.  An infinity or NaN would spread
over all nine weights, so `convolution/passes.py` checks the result and uses the direct algorithm if it is not finite.
"""

import numpy as np
from numba import prange

from ....runtime.compiling import njit
from ...geometry import Padding
from ..convolution.row_block import copy_row_block
from ..memory import CHUNKS, add_rows, copy_rows, empty, tile_width, unpack_sum
from ..tiles.cpu import VECTOR_BYTES
from ..tiles.product import product
from .squares import AT, PLACES, SIDE, STEP, G, image_transform, make_transform

GROUP = 4 << 20  # approximate bytes of a group's transformed values
DEPTH = 16  # input and output channels from which on this is faster than the direct algorithm

gradient_transform = make_transform(tuple(zip(*AT, strict=True)))
sum_transform = make_transform(tuple(zip(*G, strict=True)))


def is_applicable(shape: tuple[int, ...], strides: tuple[int, int], OH: int, OW: int) -> bool:
    """Whether the algorithm exists for a kernel of that shape and is faster than the direct one."""
    KH, KW, C, OC = shape
    return (KH, KW) == (3, 3) and strides == (1, 1) and min(C, OC) >= DEPTH and min(OH, OW) >= 2


def winograd_dweight(
    dy: np.ndarray, x: np.ndarray, shape: tuple[int, ...], padding: Padding
) -> tuple[np.ndarray, np.ndarray]:
    """dweight, of that shape, and dbias.  dy and x must be contiguous."""
    C, OC = shape[2:]
    N, OH, OW, _ = dy.shape
    width, lanes = tile_width(x.dtype), tile_width(x.dtype) // 2
    blocks, length = -(-OC // width), -(-C // lanes) * lanes
    across, total = -(-OW // STEP), N * -(-OH // STEP)
    patch_bytes = PLACES * (length + blocks * width) * x.itemsize
    rows = min(total, max(1, GROUP // (patch_bytes * across)))
    rows = -(-total // -(-total // rows))  # groups of equal size
    V = empty((PLACES, rows * across, length), x.dtype)
    D = empty((PLACES, blocks, rows * across, width), x.dtype)
    dU = empty((PLACES, blocks, C, width), x.dtype)
    dbias = np.zeros((CHUNKS, OC), x.dtype)
    _accumulate(dy, x, V, D, dU, dbias, rows, padding)
    dweight = empty((1, blocks, 9 * C, width), x.dtype)
    _transform_back(dU, dweight)
    return unpack_sum(dweight, OC).reshape(shape), dbias.sum(0)


@njit(cache=True, nogil=True, parallel=True)
def _accumulate(dy, x, V, D, dU, dbias, rows, padding):
    """dU[place, j, c, :] = sum over all patches of V * D, the transformed x and dy; dbias[chunk] = sum of dy."""
    N, H, W, C = x.shape
    _, OH, OW, OC = dy.shape
    (top, bottom), (left, right) = padding
    _, blocks, patches, width = D.shape
    length, lanes = V.shape[2], VECTOR_BYTES // x.itemsize
    down, across = -(-OH // STEP), -(-OW // STEP)
    wide = STEP * across + 2  # columns of an image with its border, rounded up to whole patches
    end = wide - left - W
    flat_V, flat_D, flat_dU = V.reshape(-1), D.reshape(-1), dU.reshape(-1)
    for first in range(0, N * down, rows):
        group_rows = min(rows, N * down - first)
        for chunk in prange(CHUNKS):
            image = np.zeros(SIDE * wide * C + lanes, x.dtype)
            gradient = np.zeros(STEP * STEP * across * OC + width, x.dtype)
            bias = np.zeros(OC, x.dtype)
            for r in range(chunk * group_rows // CHUNKS, (chunk + 1) * group_rows // CHUNKS):
                n, i = (first + r) // down, (first + r) % down
                copy_row_block(image, x, n, STEP * i, SIDE, ((top, bottom), (left, end)))
                copy_row_block(gradient, dy, n, STEP * i, STEP, ((0, 0), (0, STEP * across - OW)))
                for place in range(STEP * STEP * across):
                    for o in range(OC):
                        bias[np.uintp(o)] += gradient[np.uintp(place * OC + o)]
                for j in range(across):
                    patch = r * across + j
                    for c in range(0, C, lanes):
                        image_transform(flat_V, patch * length + c, SIDE * patches * length, patches * length,
                                        image, STEP * j * C + c, wide * C, C)  # fmt: skip
                    for o in range(0, OC, lanes):
                        at = (o // width * patches + patch) * width + o % width
                        size = blocks * patches * width
                        gradient_transform(flat_D, at, SIDE * size, size,
                                           gradient, STEP * j * OC + o, STEP * across * OC, OC)  # fmt: skip
            for o in range(OC):
                dbias[chunk, o] += bias[o]
        for chunk in prange(CHUNKS):
            part = np.empty(C * width, x.dtype)
            for unit in range(chunk * PLACES * blocks // CHUNKS, (chunk + 1) * PLACES * blocks // CHUNKS):
                v0 = unit // blocks * patches * length
                product(part, 0, width, flat_V, v0, 1, 0, length,
                        flat_D, unit * patches * width, 0, width, 1, group_rows * across, C)  # fmt: skip
                if first == 0:
                    copy_rows(flat_dU, unit * C * width, 0, part, 0, 0, 1, C * width)
                else:
                    add_rows(flat_dU, unit * C * width, part, C * width)


@njit(cache=True, nogil=True, parallel=True)
def _transform_back(dU, dweight):
    """dweight[0, j, (9, c), :] = G^T dU G."""
    _, blocks, C, width = dU.shape
    flat_dU, flat = dU.reshape(-1), dweight.reshape(-1)
    size, lanes = C * width, VECTOR_BYTES // dU.itemsize
    vectors = size // lanes
    for chunk in prange(CHUNKS):
        for unit in range(chunk * blocks * vectors // CHUNKS, (chunk + 1) * blocks * vectors // CHUNKS):
            j, v = unit // vectors, unit % vectors * lanes
            sum_transform(flat, j * 9 * size + v, 3 * size, size,
                          flat_dU, j * size + v, SIDE * blocks * size, blocks * size)  # fmt: skip
