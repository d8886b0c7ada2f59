"""The forward pass of a convolution, and of what follows it at once: a bias, a ReLU, a max pool 2x2.

Work is cut into bands of a few output rows of one picture.  A band is computed for one block of output channels after
the other (`band.py`, `winograd/squares.py`, `winograd/rows.py`) into a buffer that stays in the first caches; what
follows the convolution happens there, and only its result is written to memory.  Pictures of a few pieces go through
Winograd's route together, so that weights that fill the caches serve more than one.  Bands go to the threads in PIECES
runs; how they are cut changes no bit of the result. Called by `passes.py`, `blocks/block.py` and `blocks/pooled.py`.
"""

import functools

import numpy as np
from numba import prange

from ....errors import ShapeError
from ....runtime.compiling import njit, plain
from ...geometry import Padding, Pair, output_sizes
from ..memory import LARGE, PIECES, copy_rows, empty
from ..tiles.cpu import VECTOR_BYTES
from ..winograd.rows import ABREAST, transform_rows, winograd_rows
from ..winograd.squares import PLACES, SIDE, STEP, finite, transform_pictures, winograd
from .band import copy_band, direct
from .pool import add_write, add_write_past, pool, relu_pool, settle, write, write_past
from .prepared import DIRECT, ROWS, SQUARES, Prepared, prepare

# what follows the convolution
LINEAR, RELU, RELU_POOL, POOL = range(4)
RUN = 512  # outputs of a band, about: with 32 channels 64 KB, half of which leaves the first cache
TILES = 16  # pieces of a band for Winograd's route, about
TOGETHER = 28  # pieces of several pictures, where one has no more than a band
SMALLEST = 2  # outputs along a side that Winograd's route may fill up to a whole piece
FEW = 4  # pieces in all up to which the transform of the weights costs more than it saves
DEPTH = 16  # input channels from which on its transforms pay, and products over them alone


def forward(
    x: np.ndarray,
    weight: np.ndarray | Prepared,
    bias: np.ndarray | None,
    strides: Pair,
    padding: Padding,
    then: int,
    other: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """y, and with a pool the winners (0 to 3: the first largest of the four, row by row; 4: none is above 0).

    Without a pool `other`, of y's shape, is added before the ReLU.
    """
    x, weight = plain(x), prepare(weight, bias)
    shape, size, cut, route, copied = _plan(x.shape, weight.shape, strides, padding, then, x.itemsize)
    y = empty(shape, x.dtype)
    winner = empty(shape if then >= RELU_POOL else (1, 1, 1, 1), np.uint8)
    if y.size:
        U, kernel = weight.transformed(route), weight.shape[:2]
        other = y[:0] if other is None else plain(other)
        _forward(x, weight.packed, U, weight.bias, y, winner, other, kernel, size, strides, padding, cut, route, copied,
                 then)  # fmt: skip
    return y, winner


@functools.lru_cache(maxsize=1024)
def _plan(x_shape, weight_shape, strides, padding, then, itemsize):
    """The shape of y, the sizes of the convolution's output, the bands of a picture and how many units of bands or
    pictures there are, the route, and whether a band is copied first, into a border or for whole vectors."""
    (N, _, W, C), (KH, KW, _, OC) = x_shape, weight_shape
    OH, OW = output_sizes(x_shape, (KH, KW), strides, padding)
    if weight_shape[2] != C or min(OH, OW) < 1:
        raise ShapeError(
            "convolution", f"an image that weights {weight_shape} fit on", f"shape {x_shape[1:]}"
        )
    if then >= RELU_POOL:
        OH, OW = OH // 2 * 2, OW // 2 * 2
    shape = (N, OH // 2, OW // 2, OC) if then >= RELU_POOL else (N, OH, OW, OC)
    pieces = -(-OH // STEP) * -(-OW // STEP)  # of a picture
    route = _route(weight_shape, strides, OH, OW, N * pieces, itemsize)
    rows = TILES * STEP * STEP // OW if route == SQUARES else RUN // (W + sum(padding[1]))
    least = STEP if route == SQUARES else 2
    bands = -(-OH // max(least, rows // least * least))
    # a single picture is split evenly over two cores too
    bands = min(bands + N * bands % 2, max(1, OH // least))
    units = N * bands
    if route == SQUARES and bands == 1:
        units = min(N, max(2, -(-N * pieces // TOGETHER // 2) * 2))
    copied = max(map(max, padding)) > 0
    copied |= route == SQUARES and (C * itemsize % VECTOR_BYTES > 0 or min(OH, OW) < STEP)
    return shape, (OH, OW), (bands, units), route, copied


def _route(weight_shape, strides, OH, OW, pieces, itemsize):
    """Winograd's sums where kernels are 3 wide and outputs enough: squares, or rows for few channels."""
    KH, KW, C, _ = weight_shape
    if C >= DEPTH:
        enough = min(OH, OW) >= SMALLEST and pieces > FEW
        return SQUARES if (KH, KW) == (3, 3) and strides == (1, 1) and enough else DIRECT
    wide = ABREAST * STEP <= OW and (OW - STEP + 1) * C * itemsize >= VECTOR_BYTES
    return ROWS if KW == 3 and strides[1] == 1 and wide else DIRECT


@njit(cache=True, nogil=True, parallel=True)
def _forward(x, packed, U, bias, y, winner, other, kernel, size, strides, padding, cut, route, copied, then):
    N, H, W, C = x.shape
    (KH, KW), (OH, OW), (SH, SW), ((top, bottom), (left, right)) = kernel, size, strides, padding
    bands, units = cut
    blocks, K, width = packed.shape
    least = STEP if route == SQUARES else 2
    # of rows that stay together, for a pool or a piece; the last holds what is left
    steps = max(1, OH // least)
    rows, columns, end = min(OH, -(-steps // bands) * least + least - 1), OW, right  # of a band, at most
    if route == SQUARES:  # small pictures are filled up to a whole piece
        rows, columns, end = max(rows, STEP), max(OW, STEP), right + max(0, STEP - OW)
    WP = W + left + end
    pitch = WP if SH == 1 and SW == 1 else OW
    lanes = width // 2
    length = -(-C // lanes) * lanes
    together = 1 if bands > 1 else -(-N // units)
    values = sums = 0  # of the transforms of a band, or of pictures together
    if route == SQUARES:
        pieces = together * -(-rows // STEP) * -(-columns // STEP)
        values, sums = PLACES * pieces * length, PLACES * pieces * width
    elif route == ROWS:
        values = ((rows - 1) * SH + KH) * SIDE * (OW - STEP + 1) * C
    flat_x, flat_U = x.reshape(-1), U.reshape(-1)
    for piece in prange(PIECES):
        buffers = np.zeros((together, ((rows - 1) * SH + KH) * WP * C + lanes if copied else 1), x.dtype)
        outs = np.empty((together, rows * pitch * width), x.dtype)
        some_y, some_winner = np.empty(width, x.dtype), np.empty(width, np.uint8)  # of the last block
        V, M, doubt = np.empty(values, x.dtype), np.empty(sums, x.dtype), np.empty(lanes, x.dtype)
        for unit in range(piece * units // PIECES, (piece + 1) * units // PIECES):
            b, group, groups = unit % bands, unit // bands, units // bands
            first, last = group * N // groups, (group + 1) * N // groups
            oh = b * steps // bands * least
            band = ((b + 1) * steps // bands * least if b + 1 < bands else OH) - oh
            whole = max(band, STEP) if route == SQUARES else band  # rows that are computed
            tiles = -(-whole // STEP) * -(-columns // STEP)
            for n in range(first, last):
                source, s0 = flat_x, (n * H + oh * SH) * W * C
                if copied:
                    source, s0 = buffers[n - first], 0
                    copy_band(source, x, n, oh * SH, (whole - 1) * SH + KH, ((top, bottom), (left, end)))
                if route == SQUARES:
                    transform_pictures(V, (n - first) * tiles, (last - first) * tiles, source, s0, WP * C, C,
                                       whole, columns)  # fmt: skip
                elif route == ROWS:
                    transform_rows(V, source, s0, WP * C, C, (band - 1) * SH + KH, OW)
            for j in range(blocks):
                if route == SQUARES:
                    winograd(outs, pitch, V, M, flat_U, j * PLACES * C * width, C, width, whole, columns,
                             last - first)  # fmt: skip
                for n in range(first, last):
                    out, good = outs[n - first], False
                    if route == SQUARES:
                        good = finite(out, pitch, width, band, OW)
                    elif route == ROWS:
                        good = winograd_rows(out, pitch, V, flat_U, j * KH * C * SIDE * width, KH, SH, C, width,
                                             band, OW, doubt)  # fmt: skip
                    if not good:
                        source, s0 = flat_x, (n * H + oh * SH) * W * C
                        if copied:
                            source, s0 = buffers[n - first], 0
                        direct(out, pitch, source, s0, WP * C, C, packed, j, (KH, KW), (SH, SW), band, OW)
                    finish(
                        out, pitch, bias, y, winner, other, some_y, some_winner, n, oh, band, j * width, then
                    )


@njit(cache=True, nogil=True)
def finish(out, pitch, bias, y, winner, other, some_y, some_winner, n, oh, band, o0, then):
    """What follows the convolution, for a band of picture n and the block of output channels that begins with o0."""
    OH, OW, OC = y.shape[1:]
    width = len(some_y)
    here = min(width, OC - o0)
    large = y.size * y.itemsize >= LARGE and OC * y.itemsize % VECTOR_BYTES == 0
    flat_y, flat_winner, flat_other = y.reshape(-1), winner.reshape(-1), other.reshape(-1)
    floor, adds = y.dtype.type(0 if then == RELU else -np.inf), other.size > 0
    if then >= RELU_POOL:
        for r in range(band // 2):
            for pw in range(OW):
                above = (2 * r * pitch + 2 * pw) * width
                below = above + pitch * width
                y0 = ((n * OH + oh // 2 + r) * OW + pw) * OC + o0
                target, won, at = (flat_y, flat_winner, y0) if here == width else (some_y, some_winner, 0)
                if then == RELU_POOL:
                    relu_pool(out, above, below, width, bias, o0, target, won, at, at)
                else:
                    pool(out, above, below, width, bias, o0, target, won, at, at)
                if here < width:
                    copy_rows(flat_y, y0, 0, some_y, 0, 0, 1, here)
                    copy_rows(flat_winner, y0, 0, some_winner, 0, 0, 1, here)
    else:
        for r in range(band):
            at, y0 = r * pitch * width, (n * OH + oh + r) * OW * OC + o0
            if here < width:
                for ow in range(OW):
                    _write(out, at + ow * width, bias, o0, flat_y, flat_other, y0 + ow * OC, here, floor)
            elif large and adds:
                add_write_past(out, at, width, bias, o0, flat_y, flat_other, y0, OC, OW, floor)
            elif large:
                write_past(out, at, width, bias, o0, flat_y, flat_other, y0, OC, OW, floor)
            elif adds:
                add_write(out, at, width, bias, o0, flat_y, flat_other, y0, OC, OW, floor)
            else:
                write(out, at, width, bias, o0, flat_y, flat_other, y0, OC, OW, floor)
        if large:
            settle()


@njit(cache=False, inline="always")
def _write(out, at, bias, o0, y, other, y0, here, floor):
    """The same for the last block, of `here` channels; unsigned indices, so that numba need not ask which count from
    the end."""
    for v in range(here):
        value = out[np.uintp(at + v)] + bias[np.uintp(o0 + v)]
        if len(other) > 0:
            value += other[np.uintp(y0 + v)]
        y[np.uintp(y0 + v)] = floor if value <= floor else value
