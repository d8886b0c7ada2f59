"""dweight of a 3x3 convolution with a quarter of the multiplications: Winograd's F(4x4, 3x3) backwards.

    dg = G^T [ sum over the patches of (B^T d B) * (A dY A^T) ] G

is the derivative of the forward pass in `squares.py` with respect to its weights g: d is a 6x6 patch of the picture,
dY the gradient at its 4x4 outputs, * multiplies number by number.  For each of the 36 places the sum is a
matrix product, (C, patches) @ (patches, OC).

The batch is one long list of rows of patches.  It is taken in groups whose transformed numbers stay in the caches
that the cores share: all threads transform a group, then all multiply, each a few of the places.  So there are
no partial sums of the weights, which in deep layers are larger than the pictures.  Patches at the edges are filled
up with zeros.

Rounding is that of the forward pass, 4e-6 of the largest in float32.  An infinity or NaN would spread over all nine
weights; so `convolution/passes.py`, which calls this, looks at what came out and takes the direct route then.
"""

import numpy as np
from numba import prange

from ....runtime.compiling import njit
from ...geometry import Padding
from ..convolution.band import copy_band
from ..memory import PIECES, add_rows, copy_rows, empty, tile_width, unpack_sum
from ..tiles.cpu import VECTOR_BYTES
from ..tiles.product import product
from .squares import AT, PLACES, SIDE, STEP, G, make_transform, picture_transform

GROUP = 4 << 20  # bytes of a group's transformed numbers, about
DEPTH = 16  # channels, in and out, from which on the transforms pay

gradient_transform = make_transform(tuple(zip(*AT, strict=True)))
sum_transform = make_transform(tuple(zip(*G, strict=True)))


def possible(shape: tuple[int, ...], strides: tuple[int, int], OH: int, OW: int) -> bool:
    """Whether the route exists for a kernel of that shape, and pays."""
    KH, KW, C, OC = shape
    return (KH, KW) == (3, 3) and strides == (1, 1) and min(C, OC) >= DEPTH and min(OH, OW) >= 2


def winograd_dweight(
    dy: np.ndarray, x: np.ndarray, shape: tuple[int, ...], padding: Padding
) -> tuple[np.ndarray, np.ndarray]:
    """dweight of that shape, and dbias; both arrays contiguous."""
    C, OC = shape[2:]
    N, OH, OW, _ = dy.shape
    width, lanes = tile_width(x.dtype), tile_width(x.dtype) // 2
    blocks, length = -(-OC // width), -(-C // lanes) * lanes
    across, total = -(-OW // STEP), N * -(-OH // STEP)
    patch = PLACES * (length + blocks * width) * x.itemsize
    rows = min(total, max(1, GROUP // (patch * across)))
    rows = -(-total // -(-total // rows))  # groups of one size
    V = empty((PLACES, rows * across, length), x.dtype)
    D = empty((PLACES, blocks, rows * across, width), x.dtype)
    dU = empty((PLACES, blocks, C, width), x.dtype)
    dbias = np.zeros((PIECES, OC), x.dtype)
    _sums(dy, x, V, D, dU, dbias, rows, padding)
    dweight = empty((1, blocks, 9 * C, width), x.dtype)
    _back(dU, dweight)
    return unpack_sum(dweight, OC).reshape(shape), dbias.sum(0)


@njit(cache=True, nogil=True, parallel=True)
def _sums(dy, x, V, D, dU, dbias, rows, padding):
    """dU[place, j, c, :] = sum over all patches of V * D, both transformed; dbias of each of PIECES: that of dy."""
    N, H, W, C = x.shape
    _, OH, OW, OC = dy.shape
    (top, bottom), (left, right) = padding
    _, blocks, tiles, width = D.shape
    length, lanes = V.shape[2], VECTOR_BYTES // x.itemsize
    down, across = -(-OH // STEP), -(-OW // STEP)
    wide = STEP * across + 2  # of a picture with its border, in whole patches
    end = wide - left - W
    flat_V, flat_D, flat_dU = V.reshape(-1), D.reshape(-1), dU.reshape(-1)
    for first in range(0, N * down, rows):
        here = min(rows, N * down - first)
        for piece in prange(PIECES):
            picture = np.zeros(SIDE * wide * C + lanes, x.dtype)
            gradient = np.zeros(STEP * STEP * across * OC + width, x.dtype)
            bias = np.zeros(OC, x.dtype)
            for r in range(piece * here // PIECES, (piece + 1) * here // PIECES):
                n, i = (first + r) // down, (first + r) % down
                copy_band(picture, x, n, STEP * i, SIDE, ((top, bottom), (left, end)))
                copy_band(gradient, dy, n, STEP * i, STEP, ((0, 0), (0, STEP * across - OW)))
                for place in range(STEP * STEP * across):
                    for o in range(OC):
                        bias[np.uintp(o)] += gradient[np.uintp(place * OC + o)]
                for j in range(across):
                    tile = r * across + j
                    for c in range(0, C, lanes):
                        picture_transform(flat_V, tile * length + c, SIDE * tiles * length, tiles * length,
                                          picture, STEP * j * C + c, wide * C, C)  # fmt: skip
                    for o in range(0, OC, lanes):
                        at = (o // width * tiles + tile) * width + o % width
                        size = blocks * tiles * width
                        gradient_transform(flat_D, at, SIDE * size, size,
                                           gradient, STEP * j * OC + o, STEP * across * OC, OC)  # fmt: skip
            for o in range(OC):
                dbias[piece, o] += bias[o]
        for piece in prange(PIECES):
            part = np.empty(C * width, x.dtype)
            for unit in range(piece * PLACES * blocks // PIECES, (piece + 1) * PLACES * blocks // PIECES):
                v0 = unit // blocks * tiles * length
                product(part, 0, width, flat_V, v0, 1, 0, length,
                        flat_D, unit * tiles * width, 0, width, 1, here * across, C)  # fmt: skip
                if first == 0:
                    copy_rows(flat_dU, unit * C * width, 0, part, 0, 0, 1, C * width)
                else:
                    add_rows(flat_dU, unit * C * width, part, C * width)


@njit(cache=True, nogil=True, parallel=True)
def _back(dU, dweight):
    """dweight[0, j, (9, c), :] = G^T dU G."""
    _, blocks, C, width = dU.shape
    flat_dU, flat = dU.reshape(-1), dweight.reshape(-1)
    size, lanes = C * width, VECTOR_BYTES // dU.itemsize
    vectors = size // lanes
    for piece in prange(PIECES):
        for unit in range(piece * blocks * vectors // PIECES, (piece + 1) * blocks * vectors // PIECES):
            j, v = unit // vectors, unit % vectors * lanes
            sum_transform(flat, j * 9 * size + v, 3 * size, size,
                          flat_dU, j * size + v, SIDE * blocks * size, blocks * size)  # fmt: skip
