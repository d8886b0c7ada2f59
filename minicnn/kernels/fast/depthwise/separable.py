"""A depthwise convolution and the 1x1 convolution behind it as one, for prediction.

Training keeps z, which lies between the two, for its backward pass, and takes them one by one.  Prediction needs none
of it: a band of a few rows of z is computed as in `passes.py`, multiplied as in `convolution/forward.py`, and
forgotten before it leaves the caches.  What follows, a ReLU or a pool, happens there too, and what may stand before, a
normalisation and its ReLU, where a band of x is copied into its border.  Called by the steps of SeparableConv2D in
`fusion.py`.
"""

import functools
from typing import Any

import numpy as np
from numba import get_num_threads, get_thread_id, prange

from ....runtime.compiling import njit
from ...geometry import Padding, Pair, output_sizes
from ...im2col import a_filter_a_channel
from ..convolution.band import bordered_band, direct
from ..convolution.forward import LINEAR, POOL, RELU, finish, forward
from ..convolution.prepared import Prepared, prepare
from ..memory import LINE, PIECES, clear, empty, tile_width
from ..normalization import batchnorm_relu_inference, relu_normalize, terms_of
from ..tiles.window import KERNEL
from .passes import band_of, depthwise_conv2d_forward, lanes_of, window_row

RUN = 256  # outputs of a band, about: with 32 channels z and what is made of it are 32 KB each
NONE = ((0, 0), (0, 0))


def separable_conv2d_forward(
    x: np.ndarray,
    depthwise_weight: np.ndarray,
    weight: np.ndarray | Prepared,
    bias: np.ndarray | None,
    strides: Pair,
    padding: Padding,
    normalization: tuple | None = None,
    then: int = LINEAR,
) -> np.ndarray:
    """y = conv(depthwise(x, depthwise_weight), weight) + bias, and what is `then`.

    With a normalization (gamma, beta, mean, variance, epsilon) x goes through it and a ReLU first.
    """
    batch, (x, depthwise) = x, a_filter_a_channel(x, depthwise_weight)
    lanes = lanes_of(depthwise)
    if not lanes:
        if normalization is not None:
            batch = batchnorm_relu_inference(batch, *normalization)
        z = depthwise_conv2d_forward(batch, depthwise_weight, None, strides, padding)
        return forward(z, weight, bias, (1, 1), NONE, then)[0]
    terms = np.empty((3, 0), x.dtype)
    if normalization is not None:
        terms = np.array(terms_of(*normalization)).repeat(depthwise_weight.shape[3], axis=1)
    known = strides, padding, terms.size > 0, then, tile_width(x.dtype), get_num_threads()
    shape, size, rows, begin, room = _plan(x.shape, weight.shape[3], *known)
    y, winner = empty(shape, x.dtype), empty(shape if then == POOL else (1, 1, 1, 1), np.uint8)
    if y.size:
        weight = prepare(weight, bias)
        _forward(x, terms, depthwise, weight.packed, weight.bias, y, winner, empty(room, x.dtype), begin, size,
                 rows, strides, padding, lanes, then)  # fmt: skip
    return y


@functools.lru_cache(maxsize=1024)
def _plan(x_shape, OC, strides, padding, normalized, then, width, threads):
    """The shape of y, the sizes of the convolution's output, the rows of a band, and room for what each thread holds:
    z, what is made of it, and from `begin` on what is seen, if that is copied."""
    (N, _, W, C), (OH, OW) = x_shape, output_sizes(x_shape, (KERNEL, KERNEL), strides, padding)
    shape = N, OH, OW, OC
    if then == POOL:
        OH, OW = OH // 2 * 2, OW // 2 * 2
        shape = N, OH // 2, OW // 2, OC
    # pairs of rows, for a pool, and few enough for all threads
    rows = max(2, min(RUN // max(1, OW), -(-N * OH // threads)) // 2 * 2)
    begin = -(-rows * OW * (C + width) // LINE) * LINE
    seen = ((rows - 1) * strides[0] + KERNEL) * (W + sum(padding[1])) * C
    copied = normalized or any(map(any, padding))
    return shape, (OH, OW), rows, begin, (threads, begin + copied * -(-seen // LINE) * LINE)


def separable_conv2d_relu_forward(*arguments: Any) -> np.ndarray:
    """The same, cut at 0."""
    return separable_conv2d_forward(*arguments, then=RELU)


def separable_conv2d_maxpool2d_forward(*arguments: Any) -> np.ndarray:
    """The largest of each four, 2x2."""
    return separable_conv2d_forward(*arguments, then=POOL)


@njit(cache=True, nogil=True, parallel=True)
def _forward(
    x, terms, depthwise, packed, bias, y, winner, room, begin, size, rows, strides, padding, lanes, then
):
    N, H, W, C = x.shape
    (OH, OW), (SH, SW), ((top, bottom), (left, right)) = size, strides, padding
    WP = left + W + right
    blocks, _, width = packed.shape
    bands = -(-OH // rows)
    flat_depthwise, zeros = depthwise.reshape(-1), np.zeros(C, x.dtype)
    for piece in prange(PIECES):
        mine = room[get_thread_id()]
        z, out, seen = mine[: rows * OW * C], mine[rows * OW * C : begin], mine[begin:]
        some_y, some_winner = np.empty(width, x.dtype), np.empty(width, np.uint8)
        start, end = piece * N * bands // PIECES, (piece + 1) * N * bands // PIECES
        if start < end:
            seen[:] = 0
        for unit in range(start, end):
            n, first, last = band_of(unit, OH, rows)
            top_row, high = first * SH, (last - first - 1) * SH + KERNEL
            if terms.size > 0:
                _normalized_band(seen, x, terms, n, top_row, high, ((top, bottom), (left, right)), lanes)
                source, s0 = seen, 0
            else:
                source, s0 = bordered_band(seen, x, n, top_row, high, ((top, bottom), (left, right)))
            for r in range(last - first):
                window_row(z, r * OW * C, zeros, source, s0 + r * SH * WP * C, WP * C, SW * C, flat_depthwise, C, OW,
                           lanes, False)  # fmt: skip
            for j in range(blocks):
                direct(out, OW, z, 0, OW * C, C, packed, j, (1, 1), (1, 1), last - first, OW)
                finish(out, OW, bias, y, winner, y[:0], some_y, some_winner, n, first, last - first, j * width,
                       then)  # fmt: skip


@njit(cache=True, nogil=True)
def _normalized_band(buffer, x, terms, n, first, rows, padding, lanes):
    """As `copy_band`: rows first, first+1, ... of picture n with their border, which is not normalised."""
    _, H, W, C = x.shape
    (top, _), (left, right) = padding
    flat, terms = x.reshape(-1), terms.reshape(-1)
    for r in range(rows):
        h, b0 = first + r - top, (r * (left + W + right) + left) * C
        if not 0 <= h < H:
            clear(buffer, b0, W * C)
            continue
        for j in range(0, C, lanes):
            c = min(j, C - lanes)
            relu_normalize(buffer, b0 + c, flat, (n * H + h) * W * C + c, terms, c, C, W)
