"""The forward pass of a convolution, and of what follows it at once: a bias, a ReLU, a max pool 2x2.

Work is cut into bands of a few output rows of one picture.  A band is computed for one block of output channels
after the other (`band.py`, `winograd.py`, `winograd_rows.py`) into a buffer that stays in the first caches; what
follows the convolution happens there, and only its result is written to memory.  Bands go to the threads in
PIECES runs; how they are cut changes no bit of the result.
Called by `convolution.py` and `block.py`.
"""

import functools

import numpy as np
from numba import prange

from ...compiling import njit, plain
from ..geometry import Padding, Pair, output_sizes
from .band import copy_band, direct
from .cpu import VECTOR_BYTES
from .memory import PIECES, copy_rows, empty, pack
from .pool import pool
from .winograd import PLACES, SIDE, STEP, finite, transform_pictures, transform_weights, winograd
from .winograd_rows import ABREAST, row_weights, transform_rows, winograd_rows

LINEAR, RELU, POOL = 0, 1, 2  # what follows the convolution
DIRECT, SQUARES, ROWS = 0, 1, 2  # routes: band.py, winograd.py, winograd_rows.py
RUN = 512  # outputs of a band, about: with 32 channels 64 KB, half of which leaves the first cache
TILES = 16  # pieces of a band for Winograd's route, about
DEPTH = 16  # input channels from which on its transforms pay, and products over them alone


def forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, strides: Pair, padding: Padding, then: int
) -> tuple[np.ndarray, np.ndarray]:
    """y, and with POOL the winners (0 to 3: the first largest of the four, row by row; 4: none is above 0)."""
    x, weight = plain(x), plain(weight)
    shape, size, bands, route, copied = _plan(x.shape, weight.shape, strides, padding, then, x.itemsize)
    y = empty(shape, x.dtype)
    winner = empty(shape if then == POOL else (1, 1, 1, 1), np.uint8)
    packed = pack(weight.reshape(-1, weight.shape[3]))
    U = empty(_transformed(packed.shape, weight.shape, route), x.dtype)
    if route == SQUARES:
        transform_weights(packed, U)
    elif route == ROWS:
        row_weights(packed, U, *weight.shape[::2])
    shift = np.zeros(packed.shape[0] * packed.shape[2], x.dtype)
    if bias is not None:
        shift[: len(bias)] = bias
    if y.size:
        kernel = weight.shape[:2]
        _forward(x, packed, U, shift, y, winner, kernel, size, strides, padding, bands, route, copied, then)
    return y, winner


@functools.lru_cache(maxsize=1024)
def _plan(x_shape, weight_shape, strides, padding, then, itemsize):
    """The shape of y, the sizes of the convolution's output, the bands of a picture, Winograd's route or not, and
    whether a band of the picture is copied first, into a border or for whole vectors."""
    (N, _, W, C), (KH, KW, _, OC) = x_shape, weight_shape
    OH, OW = output_sizes(x_shape, (KH, KW), strides, padding)
    if then == POOL:
        OH, OW = OH // 2 * 2, OW // 2 * 2
    shape = (N, OH // 2, OW // 2, OC) if then == POOL else (N, OH, OW, OC)
    route = _route(weight_shape, strides, OH, OW, itemsize)
    rows = TILES * STEP * STEP // OW if route == SQUARES else RUN // (W + sum(padding[1]))
    least = STEP if route == SQUARES else 2
    bands = -(-OH // max(least, rows // least * least))
    # a single picture is split evenly over two cores too
    bands = min(bands + N * bands % 2, max(1, OH // least))
    copied = max(map(max, padding)) > 0 or (route == SQUARES and C * itemsize % VECTOR_BYTES > 0)
    return shape, (OH, OW), bands, route, copied


def _route(weight_shape, strides, OH, OW, itemsize):
    """Winograd's sums where kernels are 3 wide and outputs as many as a tile's: squares, or rows for few channels."""
    KH, KW, C, _ = weight_shape
    if C >= DEPTH:
        return SQUARES if (KH, KW) == (3, 3) and strides == (1, 1) and min(OH, OW) >= STEP else DIRECT
    wide = ABREAST * STEP <= OW and (OW - STEP + 1) * C * itemsize >= VECTOR_BYTES
    return ROWS if KW == 3 and strides[1] == 1 and wide else DIRECT


def _transformed(packed_shape, weight_shape, route):
    """The shape of the weights that the route needs."""
    (blocks, _, width), (KH, _, C, _) = packed_shape, weight_shape
    if route == SQUARES:
        return blocks, PLACES, C, width
    return (blocks, KH, C, SIDE * width) if route == ROWS else (1, 1, 1, 1)


@njit(cache=True, nogil=True, parallel=True)
def _forward(x, packed, U, bias, y, winner, kernel, size, strides, padding, bands, route, copied, then):
    N, H, W, C = x.shape
    OC = y.shape[3]
    (KH, KW), (OH, OW), (SH, SW), ((top, bottom), (left, right)) = kernel, size, strides, padding
    WP = W + left + right
    blocks, K, width = packed.shape
    least = STEP if route == SQUARES else 2
    # of rows that stay together, for a pool or a piece; the last holds what is left
    steps = max(1, OH // least)
    rows = min(OH, -(-steps // bands) * least + least - 1)  # of a band, at most
    pitch = WP if SH == 1 and SW == 1 else OW
    lanes = width // 2
    length = -(-C // lanes) * lanes
    values = sums = 0  # of a band's transforms
    if route == SQUARES:
        tiles = -(-rows // STEP) * -(-OW // STEP)
        values, sums = PLACES * tiles * length, PLACES * tiles * width
    elif route == ROWS:
        values = ((rows - 1) * SH + KH) * SIDE * (OW - STEP + 1) * C
    flat_x, flat_y, flat_winner, flat_U = x.reshape(-1), y.reshape(-1), winner.reshape(-1), U.reshape(-1)
    for piece in prange(PIECES):
        buffer = np.zeros(((rows - 1) * SH + KH) * WP * C + lanes if copied else 1, x.dtype)
        out = np.empty(rows * pitch * width, x.dtype)
        some_y, some_winner = np.empty(width, x.dtype), np.empty(width, np.uint8)  # of the last block
        V, M, doubt = np.empty(values, x.dtype), np.empty(sums, x.dtype), np.empty(lanes, x.dtype)
        for unit in range(piece * N * bands // PIECES, (piece + 1) * N * bands // PIECES):
            n, b = unit // bands, unit % bands
            oh = b * steps // bands * least
            band = ((b + 1) * steps // bands * least if b + 1 < bands else OH) - oh
            source, s0 = flat_x, (n * H + oh * SH) * W * C
            if copied:
                copy_band(buffer, x, n, oh * SH, (band - 1) * SH + KH, ((top, bottom), (left, right)))
                source, s0 = buffer, 0
            if route == SQUARES:
                transform_pictures(V, source, s0, WP * C, C, band, OW)
            elif route == ROWS:
                transform_rows(V, source, s0, WP * C, C, (band - 1) * SH + KH, OW)
            for j in range(blocks):
                good = False
                if route == SQUARES:
                    winograd(out, pitch, V, M, flat_U, j * PLACES * C * width, C, width, band, OW)
                    good = finite(out, pitch, width, band, OW)
                elif route == ROWS:
                    good = winograd_rows(out, pitch, V, flat_U, j * KH * C * SIDE * width, KH, SH, C, width,
                                         band, OW, doubt)  # fmt: skip
                if not good:
                    direct(out, pitch, source, s0, WP * C, C, packed, j, (KH, KW), (SH, SW), band, OW)
                o0, here = j * width, min(width, OC - j * width)
                if then == POOL:
                    for r in range(band // 2):
                        for pw in range(OW // 2):
                            above = (2 * r * pitch + 2 * pw) * width
                            below = above + pitch * width
                            y0 = ((n * (OH // 2) + oh // 2 + r) * (OW // 2) + pw) * OC + o0
                            if here == width:
                                pool(out, above, below, width, bias, o0, flat_y, flat_winner, y0, y0)
                            else:
                                pool(out, above, below, width, bias, o0, some_y, some_winner, 0, 0)
                                copy_rows(flat_y, y0, 0, some_y, 0, 0, 1, here)
                                copy_rows(flat_winner, y0, 0, some_winner, 0, 0, 1, here)
                else:
                    for r in range(band):
                        for ow in range(OW):
                            y0 = ((n * OH + oh + r) * OW + ow) * OC + o0
                            _write(out, (r * pitch + ow) * width, bias, o0, flat_y, y0, here, then == RELU)


@njit(cache=False, inline="always")
def _write(out, at, bias, o0, y, y0, here, relu):
    """y = out + bias, cut at 0 if asked; unsigned indices, so that numba need not ask which count from the end."""
    zero = bias.dtype.type(0)
    for v in range(here):
        value = out[np.uintp(at + v)] + bias[np.uintp(o0 + v)]
        y[np.uintp(y0 + v)] = zero if relu and value <= zero else value
