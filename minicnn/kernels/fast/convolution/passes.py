"""Convolution on register tiles: forward, dx and dweight are each a matrix product that reads the picture itself.

For stride 1 the windows of several output rows are one run: output pixel (oh, ow) begins at (oh*W + ow)*C,
so a run of rows is one long product with the fixed step C (the KW-1 outputs at the end of each row, whose windows
wrap around, are computed and thrown away).  For other strides each output row is a run with step SW*C.
Padding is a border in a copy of the picture.

Work is cut into PIECES of the batch, however many threads there are, and partial sums of dweight are added
in the order of the pieces: the same bits on any number of threads.  dweight of a 3x3 kernel over enough channels has
a quicker route, `winograd/dweight.py`.
"""

import numpy as np
from numba import prange

from ....runtime.compiling import njit, plain
from ...geometry import Padding, Pair
from ..memory import PIECES, add_rows, all_finite, clear, copy_rows, empty, pack, tile_width, unpack_sum
from ..tiles.product import product
from ..tiles.tile import add_row
from ..winograd.dweight import possible, winograd_dweight
from .band import copy_band, crop_picture
from .forward import LINEAR, RELU, forward

RUN = 128  # outputs whose gradients are worked on together, about: they stay in the first cache


def conv2d_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, strides: Pair, padding: Padding
) -> np.ndarray:
    """y = conv(x, weight) + bias; the equation is in `reference.conv2d_forward`."""
    return forward(x, weight, bias, strides, padding, LINEAR)[0]


def conv2d_relu_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, strides: Pair, padding: Padding
) -> np.ndarray:
    """y = max(0, conv(x, weight) + bias), written once."""
    return forward(x, weight, bias, strides, padding, RELU)[0]


def conv2d_add_forward(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    strides: Pair,
    padding: Padding,
    other: np.ndarray,
) -> np.ndarray:
    """y = conv(x, weight) + bias + other."""
    return forward(x, weight, bias, strides, padding, LINEAR, other)[0]


def conv2d_add_relu_forward(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    strides: Pair,
    padding: Padding,
    other: np.ndarray,
) -> np.ndarray:
    """The same, cut at 0."""
    return forward(x, weight, bias, strides, padding, RELU, other)[0]


def conv2d_backward(
    dy: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    strides: Pair,
    padding: Padding,
    need_dx: bool = True,
    need_dweight: bool = True,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """dweight, dbias and dx; the equations are in `reference.conv2d_backward`."""
    x, dy, weight = plain(x), plain(dy), plain(weight)
    KH, KW, C, OC = weight.shape
    dx = dweight = dbias = None
    if need_dweight:
        dweight, dbias = _weight_gradients(dy, x, weight.shape, strides, padding)
    if need_dx:
        borders = [
            (k - 1 - before, k - 1 - after) for k, (before, after) in zip((KH, KW), padding, strict=True)
        ]
        # the border's zeros must not meet an infinite weight, which the definition keeps apart
        if (
            strides == (1, 1)
            and min(map(min, borders)) >= 0
            and all_finite(weight.reshape(-1), 0, weight.size)
        ):
            turned = weight[::-1, ::-1].transpose(0, 1, 3, 2)  # (KH, KW, OC, C): dx is a convolution of dy
            dx = conv2d_forward(dy, plain(turned), None, (1, 1), (borders[0], borders[1]))
        else:
            dx = empty(x.shape, x.dtype)
            rows = np.stack([pack(weight[kh].reshape(KW * C, OC).T) for kh in range(KH)])
            _dx(dy, rows, dx, KW, strides, padding)
    return dx, dweight, dbias


def _weight_gradients(dy, x, shape, strides, padding):
    """dweight and dbias; by Winograd's route where it is possible and gives finite sums."""
    KH, KW, C, OC = shape
    if possible(shape, strides, *dy.shape[1:3]):
        dweight, dbias = winograd_dweight(dy, x, shape, padding)
        if all_finite(dweight.reshape(-1), 0, dweight.size):
            return dweight, dbias
    width, dbias = tile_width(x.dtype), np.zeros((PIECES, OC), x.dtype)
    parts = empty((PIECES, -(-OC // width), KH * KW * C, width), x.dtype)
    _dweight(dy, x, parts, dbias, (KH, KW), strides, padding)
    return unpack_sum(parts, OC).reshape(shape), dbias.sum(0)


@njit(cache=True, nogil=True, parallel=True)
def _dweight(dy, x, parts, dbias, kernel, strides, padding):
    """parts[piece, j, (kh, kw*c), :] += sum over n of the piece, oh, ow of x[n, window] * dy[n, oh, ow, block j]."""
    N, H, W, C = x.shape
    _, OH, OW, OC = dy.shape
    (KH, KW), (SH, SW), ((top, bottom), (left, right)) = kernel, strides, padding
    HP, WP = H + top + bottom, W + left + right
    _, blocks, K, width = parts.shape
    flat_dy = dy.reshape(-1)
    rows = max(1, min(OH, RUN // OW))
    for piece in prange(PIECES):
        clear(parts.reshape(-1), piece * blocks * K * width, blocks * K * width)
        picture = np.zeros(HP * WP * C, x.dtype)
        filled = np.zeros(rows * OW * width, x.dtype)
        part, bias = np.empty(KW * C * width, x.dtype), np.zeros(OC, x.dtype)
        for n in range(piece * N // PIECES, (piece + 1) * N // PIECES):
            copy_band(picture, x, n, 0, HP, ((top, bottom), (left, right)))
            for oh in range(0, OH, rows):
                band = min(rows, OH - oh)
                for j in range(blocks):
                    o0, here = j * width, min(width, OC - j * width)
                    copy_rows(filled, 0, width, flat_dy, (n * OH + oh) * OW * OC + o0, OC, band * OW, here)
                    for place in range(band * OW):
                        for v in range(here):
                            bias[np.uintp(o0 + v)] += filled[np.uintp(place * width + v)]
                    for kh in range(KH):
                        product(part, 0, width, picture, (oh * SH + kh) * WP * C, 1, SH * WP * C, SW * C,
                                filled, 0, OW * width, width, band, OW, KW * C)  # fmt: skip
                        add_rows(
                            parts, ((piece * blocks + j) * K + kh * KW * C) * width, part, KW * C * width
                        )
        copy_rows(dbias.reshape(-1), piece * OC, 0, bias, 0, 0, 1, OC)


@njit(cache=True, nogil=True, parallel=True)
def _dx(dy, rows, dx, KW, strides, padding):
    """A band's gradient times the weights of kernel row kh, added under the windows it saw."""
    N, H, W, C = dx.shape
    _, OH, OW, OC = dy.shape
    (SH, SW), ((top, bottom), (left, right)) = strides, padding
    HP, WP = H + top + bottom, W + left + right
    KH, blocks, _, width = rows.shape
    together = max(1, min(OH, RUN // OW))
    for piece in prange(PIECES):
        picture = np.zeros(HP * WP * C, dx.dtype)
        out = np.empty(together * OW * width, dx.dtype)
        for n in range(piece * N // PIECES, (piece + 1) * N // PIECES):
            clear(picture, 0, len(picture))
            for oh in range(0, OH, together):
                band = min(together, OH - oh)
                for kh in range(KH):
                    for j in range(blocks):
                        product(out, 0, width, dy, (n * OH + oh) * OW * OC, OC, 0, 1,
                                rows, (kh * blocks + j) * OC * width, 0, width, 1, OC, band * OW)  # fmt: skip
                        here = min(width, KW * C - j * width)
                        for r in range(band):
                            for ow in range(OW):
                                at = (((oh + r) * SH + kh) * WP + ow * SW) * C + j * width
                                o0 = (r * OW + ow) * width
                                if here == width:
                                    add_row(picture, at, out, o0)
                                else:
                                    for v in range(here):
                                        picture[np.uintp(at + v)] += out[np.uintp(o0 + v)]
            crop_picture(dx, n, picture, ((top, bottom), (left, right)))
