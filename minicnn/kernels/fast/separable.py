"""A depthwise convolution and the 1x1 convolution behind it as one, for prediction.

Training keeps z, which lies between the two, for its backward pass, and takes them one by one.  Prediction needs none
of it: a band of a few rows of z is computed as in `depthwise.py`, multiplied as in `forward.py`, and forgotten before
it leaves the caches.  What follows, a ReLU or a pool, happens there too.  Called by the steps of SeparableConv2D in
`fusion.py`.
"""

from typing import Any

import numpy as np
from numba import prange

from ...compiling import njit, plain
from ..geometry import Padding, Pair, output_sizes
from ..im2col import a_filter_a_channel
from .band import direct
from .depthwise import depthwise_conv2d_forward, lanes_of, look, window_row
from .forward import LINEAR, POOL, RELU, filled_up, finish, forward
from .memory import LINE, PIECES, bordered, empty, pack
from .window import KERNEL

RUN = 256  # outputs of a band, about: with 32 channels z and what is made of it are 32 KB each
NONE = ((0, 0), (0, 0))


def separable_conv2d_forward(
    x: np.ndarray,
    depthwise_weight: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    strides: Pair,
    padding: Padding,
    then: int = LINEAR,
) -> np.ndarray:
    """y = conv(depthwise(x, depthwise_weight), weight) + bias, and what is `then`."""
    x, depthwise = a_filter_a_channel(x, depthwise_weight)
    lanes = lanes_of(depthwise)
    if not lanes:
        z = depthwise_conv2d_forward(x, depthwise[..., None], None, strides, padding)
        return forward(z, weight, bias, (1, 1), NONE, then)[0]
    OH, OW = output_sizes(x.shape, depthwise.shape[:2], strides, padding)
    (N, _, _, C), OC = x.shape, weight.shape[3]
    shape = N, OH, OW, OC
    if then == POOL:
        OH, OW = OH // 2 * 2, OW // 2 * 2
        shape = N, OH // 2, OW // 2, OC
    y, winner = empty(shape, x.dtype), empty(shape if then == POOL else (1, 1, 1, 1), np.uint8)
    if y.size:
        packed = pack(plain(weight).reshape(C, OC))
        # pairs of rows, for a pool, and few enough for all threads
        rows = max(2, min(RUN // OW, -(-N * OH // PIECES)) // 2 * 2)
        seen = bordered(x, padding, rows=(rows - 1) * strides[0] + KERNEL)
        room = empty((PIECES, -(-rows * OW * (C + packed.shape[2]) // LINE) * LINE), x.dtype)
        _forward(x, depthwise, packed, filled_up(bias, packed), y, winner, seen, room, (OH, OW), rows, strides,
                 padding, lanes, then)  # fmt: skip
    return y


def separable_conv2d_relu_forward(*arguments: Any) -> np.ndarray:
    """The same, cut at 0."""
    return separable_conv2d_forward(*arguments, then=RELU)


def separable_conv2d_maxpool2d_forward(*arguments: Any) -> np.ndarray:
    """The largest of each four, 2x2."""
    return separable_conv2d_forward(*arguments, then=POOL)


@njit(cache=True, nogil=True, parallel=True)
def _forward(x, depthwise, packed, bias, y, winner, seen, room, size, rows, strides, padding, lanes, then):
    N, H, W, C = x.shape
    (OH, OW), (SH, SW), ((top, bottom), (left, right)) = size, strides, padding
    WP = left + W + right
    blocks, _, width = packed.shape
    bands = -(-OH // rows)
    flat_depthwise, zeros = depthwise.reshape(-1), np.zeros(C, x.dtype)
    for piece in prange(PIECES):
        seen[piece] = 0
        z, out = room[piece, : rows * OW * C], room[piece, rows * OW * C :]
        some_y, some_winner = np.empty(width, x.dtype), np.empty(width, np.uint8)
        for unit in range(piece * N * bands // PIECES, (piece + 1) * N * bands // PIECES):
            n, first, last, source, s0 = look(
                seen[piece], x, unit, OH, rows, KERNEL, SH, ((top, bottom), (left, right))
            )
            for r in range(last - first):
                window_row(z, r * OW * C, zeros, source, s0 + r * SH * WP * C, WP * C, SW * C, flat_depthwise, C, OW,
                           lanes)  # fmt: skip
            for j in range(blocks):
                direct(out, OW, z, 0, OW * C, C, packed, j, (1, 1), (1, 1), last - first, OW)
                finish(out, OW, bias, y, winner, some_y, some_winner, n, first, last - first, j * width, then)
