"""Convolution a channel at a time, a vector of channels at once.

Work is cut into bands of a few output rows, which are shared among the threads.  Where there is padding, what a band
sees is first copied into a border of zeros, so that every window is whole; so few rows stay in the first caches.
3x3 kernels over enough channels go through `tiles/window.py`, a row of outputs at a time; the last vector of channels
overlaps the one before where they do not fill it.  Other kernels have plain loops.  With stride 1 the gradient of x is
such a convolution too, of dy with turned weights.  Called by DepthwiseConv2D and SeparableConv2D.
"""

import numpy as np
from numba import get_thread_id, prange

from ....runtime.compiling import njit, plain
from ...geometry import Padding, Pair, output_sizes
from ...im2col import a_filter_a_channel, a_sum_a_channel
from ..convolution.band import bordered_band, crop_picture
from ..convolution.pool import settle
from ..memory import LARGE, PIECES, all_finite, bordered, empty
from ..tiles.window import (
    KERNEL,
    LANES,
    TAPS,
    sliding_gradient,
    sliding_sum,
    sliding_sum_past,
    window_gradient,
    window_sum,
)

BAND = 1 << 16  # bytes of the picture that a band sees, about


def depthwise_conv2d_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, strides: Pair, padding: Padding
) -> np.ndarray:
    """The equation is in `reference.depthwise_conv2d_forward`."""
    x, weight = a_filter_a_channel(x, weight)
    y = empty((len(x), *output_sizes(x.shape, weight.shape[:2], strides, padding), x.shape[3]), x.dtype)
    _convolve(x, weight, bias, y, strides, padding)
    return y


def depthwise_conv2d_backward(
    dy: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    strides: Pair,
    padding: Padding,
    need_dx: bool = True,
    need_dweight: bool = True,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """The equations are in `reference.depthwise_conv2d_backward`."""
    dy, (x, single) = plain(dy), a_filter_a_channel(x, weight)
    KH, KW, C = single.shape
    dx = dweight = dbias = None
    if need_dweight:
        parts = np.zeros((PIECES, KH * KW + 1, C), x.dtype)
        rows, seen = _band(x, dy.shape[1], KH, strides, padding)
        _dweight(dy, x, parts, rows, seen, (KH, KW), strides, padding, lanes_of(single))
        sums = parts.sum(0)
        dweight, dbias = sums[:-1].reshape(weight.shape), sums[-1]
    if need_dx:
        dx = empty(x.shape, x.dtype)
        (top, bottom), (left, right) = padding
        border = (KH - 1 - top, KH - 1 - bottom), (KW - 1 - left, KW - 1 - right)
        # the border's zeros must not meet an infinite weight, which the definition keeps apart
        if (
            strides == (1, 1)
            and min(map(min, border)) >= 0
            and all_finite(single.reshape(-1), 0, single.size)
        ):
            _convolve(dy, plain(single[::-1, ::-1]), None, dx, (1, 1), border)
        else:
            _dx(dy, single, dx, bordered(x, padding, 0, True), strides, padding)
        dx = a_sum_a_channel(dx, weight)
    return dx, dweight, dbias


def _convolve(x, weight, bias, y, strides, padding):
    bias = np.zeros(x.shape[3], x.dtype) if bias is None else plain(bias)
    rows, seen = _band(x, y.shape[1], len(weight), strides, padding)
    _forward(x, weight, bias, y, rows, seen, strides, padding, lanes_of(weight))


def _band(x, OH, KH, strides, padding):
    """How many output rows a band has, few enough for all threads, and room for what it sees, if that has a border."""
    N, _, W, C = x.shape
    rows = min(BAND // (strides[0] * (W + sum(padding[1])) * C * x.itemsize), -(-N * OH // PIECES))
    rows = max(1, min(OH, rows))
    return rows, bordered(x, padding, rows=(rows - 1) * strides[0] + KH)


def lanes_of(weight: np.ndarray) -> int:
    """How many channels go through tiles/window.py at once; 0 where there are too few, or for another kernel."""
    lanes = LANES[weight.dtype.char]
    return lanes if weight.shape[:2] == (KERNEL, KERNEL) and weight.shape[2] >= lanes else 0


@njit(cache=True, nogil=True)
def band_of(unit, OH, rows):
    """Picture n of a unit, and the output rows first <= oh < last of its band."""
    bands = -(-OH // rows)
    n, first = unit // bands, unit % bands * rows
    return n, first, min(first + rows, OH)


@njit(cache=True, nogil=True)
def window_row(y, y0, bias, source, x0, x_row, x_step, weight, C, count, lanes, large):
    """A row of outputs, a vector of channels at a time; the last overlaps the one before.

    `large`: they are too many for the caches, and their vectors begin where whole ones may.
    """
    for j in range(0, C, lanes):
        c = min(j, C - lanes)
        if x_step == C and large:
            sliding_sum_past(y, y0 + c, bias, c, source, x0 + c, x_row, x_step, weight, c, C, count)
        elif x_step == C:
            sliding_sum(y, y0 + c, bias, c, source, x0 + c, x_row, x_step, weight, c, C, count)
        else:
            window_sum(y, y0 + c, bias, c, source, x0 + c, x_row, x_step, weight, c, C, count)


@njit(cache=True, nogil=True, parallel=True)
def _forward(x, weight, bias, y, rows, seen, strides, padding, lanes):
    N, H, W, C = x.shape
    (_, OH, OW, _), (KH, KW, _) = y.shape, weight.shape
    (SH, SW), ((top, bottom), (left, right)) = strides, padding
    WP = left + W + right
    bands = -(-OH // rows)
    flat_y, flat_weight = y.reshape(-1), weight.reshape(-1)
    large = y.size * y.itemsize >= LARGE and lanes > 0 and C % max(1, lanes) == 0
    for piece in prange(PIECES):
        mine = seen[get_thread_id()]
        start, end = piece * N * bands // PIECES, (piece + 1) * N * bands // PIECES
        if start < end:
            mine[:] = 0
        for unit in range(start, end):
            n, first, last = band_of(unit, OH, rows)
            source, s0 = bordered_band(
                mine, x, n, first * SH, (last - first - 1) * SH + KH, ((top, bottom), (left, right))
            )
            for oh in range(first, last):
                y0, x0 = (n * OH + oh) * OW * C, s0 + (oh - first) * SH * WP * C
                if lanes:
                    window_row(flat_y, y0, bias, source, x0, WP * C, SW * C, flat_weight, C, OW, lanes, large)
                    continue
                for ow in range(OW):
                    at = y0 + ow * C
                    for c in range(C):
                        flat_y[np.uintp(at + c)] = bias[np.uintp(c)]
                    for kh in range(KH):
                        for kw in range(KW):
                            x1, w0 = x0 + (kh * WP + ow * SW + kw) * C, (kh * KW + kw) * C
                            for c in range(C):
                                flat_y[np.uintp(at + c)] += (
                                    source[np.uintp(x1 + c)] * flat_weight[np.uintp(w0 + c)]
                                )
            if large:
                settle()


@njit(cache=True, nogil=True, parallel=True)
def _dweight(dy, x, parts, rows, seen, kernel, strides, padding, lanes):
    """Of each piece's bands: the sums for KH*KW weights and, last, for the bias, of every channel."""
    N, H, W, C = x.shape
    _, OH, OW, _ = dy.shape
    (KH, KW), (SH, SW), ((top, bottom), (left, right)) = kernel, strides, padding
    WP = left + W + right
    bands = -(-OH // rows)
    flat_dy = dy.reshape(-1)
    for piece in prange(PIECES):
        mine = seen[get_thread_id()]
        vectors = np.zeros(-(-C // lanes) * (TAPS + 1) * lanes if lanes else 1, x.dtype)
        sums = np.zeros((KH * KW + 1) * C, x.dtype)
        start, end = piece * N * bands // PIECES, (piece + 1) * N * bands // PIECES
        if start < end:
            mine[:] = 0
        for unit in range(start, end):
            n, first, last = band_of(unit, OH, rows)
            source, s0 = bordered_band(
                mine, x, n, first * SH, (last - first - 1) * SH + KH, ((top, bottom), (left, right))
            )
            for oh in range(first, last):
                y0, x0 = (n * OH + oh) * OW * C, s0 + (oh - first) * SH * WP * C
                if lanes:
                    for j in range(0, C, lanes):
                        c = min(j, C - lanes)
                        sums0, x1, dy0 = j * (TAPS + 1), x0 + c, y0 + c
                        if SW == 1:
                            sliding_gradient(vectors, sums0, source, x1, WP * C, C, flat_dy, dy0, C, OW)
                        else:
                            window_gradient(vectors, sums0, source, x1, WP * C, SW * C, flat_dy, dy0, C, OW)
                    continue
                for ow in range(OW):
                    at, bias0 = y0 + ow * C, KH * KW * C
                    for c in range(C):
                        sums[np.uintp(bias0 + c)] += flat_dy[np.uintp(at + c)]
                    for kh in range(KH):
                        for kw in range(KW):
                            x1, w0 = x0 + (kh * WP + ow * SW + kw) * C, (kh * KW + kw) * C
                            for c in range(C):
                                sums[np.uintp(w0 + c)] += source[np.uintp(x1 + c)] * flat_dy[np.uintp(at + c)]
        if lanes:
            for j in range(0, C, lanes):
                for t in range(TAPS + 1):
                    for v in range(lanes):  # where vectors overlap, both hold the same sums
                        parts[piece, t, min(j, C - lanes) + v] = vectors[(j * (TAPS + 1)) + t * lanes + v]
        else:
            parts[piece] = sums.reshape(KH * KW + 1, C)


@njit(cache=True, nogil=True, parallel=True)
def _dx(dy, weight, dx, pictures, strides, padding):
    """Each gradient, times the weights, added under the window it saw."""
    N, H, W, C = dx.shape
    (_, OH, OW, _), (KH, KW, _) = dy.shape, weight.shape
    (SH, SW), ((top, bottom), (left, right)) = strides, padding
    WP = W + left + right
    flat_dy, flat_weight = dy.reshape(-1), weight.reshape(-1)
    for piece in prange(PIECES):
        picture = pictures[get_thread_id()]
        for n in range(piece * N // PIECES, (piece + 1) * N // PIECES):
            picture[:] = 0
            for oh in range(OH):
                for ow in range(OW):
                    y0 = ((n * OH + oh) * OW + ow) * C
                    for kh in range(KH):
                        for kw in range(KW):
                            at, w0 = ((oh * SH + kh) * WP + ow * SW + kw) * C, (kh * KW + kw) * C
                            for c in range(C):
                                picture[np.uintp(at + c)] += (
                                    flat_dy[np.uintp(y0 + c)] * flat_weight[np.uintp(w0 + c)]
                                )
            crop_picture(dx, n, picture, ((top, bottom), (left, right)))
