"""Depthwise convolution, forward and backward: each channel is convolved by itself, a vector of channels at once.

The output is divided into row blocks of a few rows, which the threads share.  With padding, the input rows of a row
block are first copied into a buffer with a border of zeros, so that every window is complete; these few rows stay in
the L1 and L2 caches.  3x3 kernels over enough channels use `tiles/window.py`, one row of outputs at a time; if the
channels do not fill the last vector, it overlaps the one before.  Other kernels use simple loops.  With stride 1, dx is
a depthwise convolution too, of dy with flipped weights.  Called by DepthwiseConv2D and SeparableConv2D through the
contract; `separable.py` fuses the forward pass with the 1x1 convolution that follows.
"""

import numpy as np
from numba import get_thread_id, prange

from ....runtime.compiling import as_contiguous, njit
from ...geometry import Padding, Pair, output_sizes
from ...im2col import expand_depth_multiplier, reduce_depth_multiplier
from ..convolution.epilogue import store_fence
from ..convolution.row_block import bordered_row_block, crop_image
from ..memory import CHUNKS, LARGE, all_finite, bordered, empty
from ..tiles.window import (
    KERNEL,
    LANES,
    TAPS,
    sliding_gradient,
    sliding_sum,
    sliding_sum_streaming,
    window_gradient,
    window_sum,
)

ROW_BLOCK_BYTES = 1 << 16  # approximate bytes of the image that a row block reads


def depthwise_conv2d_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, strides: Pair, padding: Padding
) -> np.ndarray:
    """The equation is in `reference.depthwise_conv2d_forward`."""
    x, weight = expand_depth_multiplier(x, weight)
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
    dy, (x, per_channel_weight) = as_contiguous(dy), expand_depth_multiplier(x, weight)
    KH, KW, C = per_channel_weight.shape
    dx = dweight = dbias = None
    if need_dweight:
        parts = np.zeros((CHUNKS, KH * KW + 1, C), x.dtype)
        rows, scratch = _plan_row_blocks(x, dy.shape[1], KH, strides, padding)
        _dweight(dy, x, parts, rows, scratch, (KH, KW), strides, padding, lanes_of(per_channel_weight))
        sums = parts.sum(0)
        dweight, dbias = sums[:-1].reshape(weight.shape), sums[-1]
    if need_dx:
        dx = empty(x.shape, x.dtype)
        (top, bottom), (left, right) = padding
        border = (KH - 1 - top, KH - 1 - bottom), (KW - 1 - left, KW - 1 - right)
        # a border adds products of 0 and weights that the definition does not have: NaN if a weight is infinite
        if (
            strides == (1, 1)
            and min(map(min, border)) >= 0
            and all_finite(per_channel_weight.reshape(-1), 0, per_channel_weight.size)
        ):
            _convolve(dy, as_contiguous(per_channel_weight[::-1, ::-1]), None, dx, (1, 1), border)
        else:
            _dx(dy, per_channel_weight, dx, bordered(x, padding, 0, True), strides, padding)
        dx = reduce_depth_multiplier(dx, weight)
    return dx, dweight, dbias


def _convolve(x, weight, bias, y, strides, padding):
    bias = np.zeros(x.shape[3], x.dtype) if bias is None else as_contiguous(bias)
    rows, scratch = _plan_row_blocks(x, y.shape[1], len(weight), strides, padding)
    _forward(x, weight, bias, y, rows, scratch, strides, padding, lanes_of(weight))


def _plan_row_blocks(x, OH, KH, strides, padding):
    """The output rows per row block, few enough that all threads have work, and scratch buffers for its input rows.

    The buffers are empty if there is no padding.
    """
    N, _, W, C = x.shape
    rows = min(ROW_BLOCK_BYTES // (strides[0] * (W + sum(padding[1])) * C * x.itemsize), -(-N * OH // CHUNKS))
    rows = max(1, min(OH, rows))
    return rows, bordered(x, padding, rows=(rows - 1) * strides[0] + KH)


def lanes_of(weight: np.ndarray) -> int:
    """How many channels tiles/window.py processes at once; 0 if it cannot (too few channels, or a kernel not 3x3)."""
    lanes = LANES[weight.dtype.char]
    return lanes if weight.shape[:2] == (KERNEL, KERNEL) and weight.shape[2] >= lanes else 0


@njit(cache=True, nogil=True)
def locate_row_block(unit, OH, rows):
    """The image n of a work unit, and the output rows first <= oh < last of its row block."""
    row_blocks = -(-OH // rows)
    n, first = unit // row_blocks, unit % row_blocks * rows
    return n, first, min(first + rows, OH)


@njit(cache=True, nogil=True)
def window_row(y, y0, bias, source, x0, x_row, x_step, weight, C, count, lanes, large):
    """A row of outputs, one vector of channels after the other; the last may overlap the one before.

    `large` selects streaming stores: y does not fit in the caches, and its vectors are aligned.
    """
    for j in range(0, C, lanes):
        c = min(j, C - lanes)
        if x_step == C and large:
            sliding_sum_streaming(y, y0 + c, bias, c, source, x0 + c, x_row, x_step, weight, c, C, count)
        elif x_step == C:
            sliding_sum(y, y0 + c, bias, c, source, x0 + c, x_row, x_step, weight, c, C, count)
        else:
            window_sum(y, y0 + c, bias, c, source, x0 + c, x_row, x_step, weight, c, C, count)


@njit(cache=True, nogil=True, parallel=True)
def _forward(x, weight, bias, y, rows, scratch, strides, padding, lanes):
    N, H, W, C = x.shape
    (_, OH, OW, _), (KH, KW, _) = y.shape, weight.shape
    (SH, SW), ((top, bottom), (left, right)) = strides, padding
    WP = left + W + right
    row_blocks = -(-OH // rows)
    flat_y, flat_weight = y.reshape(-1), weight.reshape(-1)
    large = y.size * y.itemsize >= LARGE and lanes > 0 and C % max(1, lanes) == 0
    for chunk in prange(CHUNKS):
        buffer = scratch[get_thread_id()]
        start, end = chunk * N * row_blocks // CHUNKS, (chunk + 1) * N * row_blocks // CHUNKS
        if start < end:
            buffer[:] = 0
        for unit in range(start, end):
            n, first, last = locate_row_block(unit, OH, rows)
            source, s0 = bordered_row_block(
                buffer, x, n, first * SH, (last - first - 1) * SH + KH, ((top, bottom), (left, right))
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
                store_fence()


@njit(cache=True, nogil=True, parallel=True)
def _dweight(dy, x, parts, rows, scratch, kernel, strides, padding, lanes):
    """For each chunk of row blocks: the gradients of the KH*KW weights and, last, of the bias, of every channel."""
    N, H, W, C = x.shape
    _, OH, OW, _ = dy.shape
    (KH, KW), (SH, SW), ((top, bottom), (left, right)) = kernel, strides, padding
    WP = left + W + right
    row_blocks = -(-OH // rows)
    flat_dy = dy.reshape(-1)
    for chunk in prange(CHUNKS):
        buffer = scratch[get_thread_id()]
        vectors = np.zeros(-(-C // lanes) * (TAPS + 1) * lanes if lanes else 1, x.dtype)
        sums = np.zeros((KH * KW + 1) * C, x.dtype)
        start, end = chunk * N * row_blocks // CHUNKS, (chunk + 1) * N * row_blocks // CHUNKS
        if start < end:
            buffer[:] = 0
        for unit in range(start, end):
            n, first, last = locate_row_block(unit, OH, rows)
            source, s0 = bordered_row_block(
                buffer, x, n, first * SH, (last - first - 1) * SH + KH, ((top, bottom), (left, right))
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
                    for v in range(lanes):  # overlapping vectors hold the same sums
                        parts[chunk, t, min(j, C - lanes) + v] = vectors[(j * (TAPS + 1)) + t * lanes + v]
        else:
            parts[chunk] = sums.reshape(KH * KW + 1, C)


@njit(cache=True, nogil=True, parallel=True)
def _dx(dy, weight, dx, scratch, strides, padding):
    """Each dy times the weights, added to dx at the window that the output read."""
    N, H, W, C = dx.shape
    (_, OH, OW, _), (KH, KW, _) = dy.shape, weight.shape
    (SH, SW), ((top, bottom), (left, right)) = strides, padding
    WP = W + left + right
    flat_dy, flat_weight = dy.reshape(-1), weight.reshape(-1)
    for chunk in prange(CHUNKS):
        image = scratch[get_thread_id()]
        for n in range(chunk * N // CHUNKS, (chunk + 1) * N // CHUNKS):
            image[:] = 0
            for oh in range(OH):
                for ow in range(OW):
                    y0 = ((n * OH + oh) * OW + ow) * C
                    for kh in range(KH):
                        for kw in range(KW):
                            at, w0 = ((oh * SH + kh) * WP + ow * SW + kw) * C, (kh * KW + kw) * C
                            for c in range(C):
                                image[np.uintp(at + c)] += (
                                    flat_dy[np.uintp(y0 + c)] * flat_weight[np.uintp(w0 + c)]
                                )
            crop_image(dx, n, image, ((top, bottom), (left, right)))
