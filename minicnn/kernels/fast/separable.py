"""A depthwise convolution and the 1x1 convolution behind it as one, for prediction.

Training keeps z, which lies between the two, for its backward pass, and takes them one by one.  Prediction needs none
of it: a band of a few rows of z is computed as in `depthwise.py`, multiplied as in `forward.py`, and forgotten before
it leaves the caches.  What follows, a ReLU or a pool, happens there too, and what may stand before, a normalisation
and its ReLU, where a band of x is copied into its border.  Called by the steps of SeparableConv2D in `fusion.py`.
"""

from typing import Any

import numpy as np
from numba import get_num_threads, get_thread_id, prange

from ...compiling import njit
from ..geometry import Padding, Pair, output_sizes
from ..im2col import a_filter_a_channel
from .band import bordered_band, direct
from .depthwise import band_of, depthwise_conv2d_forward, lanes_of, window_row
from .forward import LINEAR, POOL, RELU, finish, forward
from .memory import LINE, PIECES, bordered, clear, empty
from .normalization import batchnorm_relu_inference, relu_normalize, terms_of
from .prepared import Prepared, prepare
from .window import KERNEL

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
        terms = np.repeat(terms_of(*normalization), depthwise_weight.shape[3], axis=1)
    OH, OW = output_sizes(x.shape, depthwise.shape[:2], strides, padding)
    (N, _, _, C), OC = x.shape, weight.shape[3]
    shape = N, OH, OW, OC
    if then == POOL:
        OH, OW = OH // 2 * 2, OW // 2 * 2
        shape = N, OH // 2, OW // 2, OC
    y, winner = empty(shape, x.dtype), empty(shape if then == POOL else (1, 1, 1, 1), np.uint8)
    if y.size:
        weight = prepare(weight, bias)
        # pairs of rows, for a pool, and few enough for all threads
        rows = max(2, min(RUN // OW, -(-N * OH // get_num_threads())) // 2 * 2)
        seen = bordered(x, padding, 0, terms.size > 0, rows=(rows - 1) * strides[0] + KERNEL)
        room = empty(
            (get_num_threads(), -(-rows * OW * (C + weight.packed.shape[2]) // LINE) * LINE), x.dtype
        )
        _forward(x, terms, depthwise, weight.packed, weight.bias, y, winner, seen, room, (OH, OW), rows, strides,
                 padding, lanes, then)  # fmt: skip
    return y


def separable_conv2d_relu_forward(*arguments: Any) -> np.ndarray:
    """The same, cut at 0."""
    return separable_conv2d_forward(*arguments, then=RELU)


def separable_conv2d_maxpool2d_forward(*arguments: Any) -> np.ndarray:
    """The largest of each four, 2x2."""
    return separable_conv2d_forward(*arguments, then=POOL)


@njit(cache=True, nogil=True, parallel=True)
def _forward(
    x, terms, depthwise, packed, bias, y, winner, seen, room, size, rows, strides, padding, lanes, then
):
    N, H, W, C = x.shape
    (OH, OW), (SH, SW), ((top, bottom), (left, right)) = size, strides, padding
    WP = left + W + right
    blocks, _, width = packed.shape
    bands = -(-OH // rows)
    flat_depthwise, zeros = depthwise.reshape(-1), np.zeros(C, x.dtype)
    for piece in prange(PIECES):
        thread = get_thread_id()
        mine = seen[thread]
        z, out = room[thread, : rows * OW * C], room[thread, rows * OW * C :]
        some_y, some_winner = np.empty(width, x.dtype), np.empty(width, np.uint8)
        start, end = piece * N * bands // PIECES, (piece + 1) * N * bands // PIECES
        if start < end:
            mine[:] = 0
        for unit in range(start, end):
            n, first, last = band_of(unit, OH, rows)
            top_row, high = first * SH, (last - first - 1) * SH + KERNEL
            if terms.size > 0:
                _normalized_band(mine, x, terms, n, top_row, high, ((top, bottom), (left, right)), lanes)
                source, s0 = mine, 0
            else:
                source, s0 = bordered_band(mine, x, n, top_row, high, ((top, bottom), (left, right)))
            for r in range(last - first):
                window_row(z, r * OW * C, zeros, source, s0 + r * SH * WP * C, WP * C, SW * C, flat_depthwise, C, OW,
                           lanes)  # fmt: skip
            for j in range(blocks):
                direct(out, OW, z, 0, OW * C, C, packed, j, (1, 1), (1, 1), last - first, OW)
                finish(
                    out,
                    OW,
                    bias,
                    y,
                    winner,
                    y[:0],
                    some_y,
                    some_winner,
                    n,
                    first,
                    last - first,
                    j * width,
                    then,
                )


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
