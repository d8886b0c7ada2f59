"""A depthwise convolution fused with the 1x1 convolution that follows, for prediction only.

Training needs z, the result between the two, for its backward pass, and runs them one after the other.  Prediction
does not: a row block of z is computed as in `passes.py`, multiplied as in `convolution/forward.py`, and overwritten by
the next while it is still in the cache.  The epilogue (a ReLU or a pool) is applied there too.  A preceding
normalisation with its ReLU is applied while a row block of x is copied into its border.  Called by the fused
SeparableConv2D layers of `fusion.py` through the contract.
"""

import functools
from typing import Any

import numpy as np
from numba import get_num_threads, get_thread_id, prange

from ....runtime.compiling import njit
from ...geometry import Padding, Pair, output_sizes
from ...im2col import expand_depth_multiplier
from ..convolution.forward import LINEAR, POOL, RELU, apply_epilogue, forward
from ..convolution.packed_weights import PackedWeights, pack_weights
from ..convolution.row_block import bordered_row_block, direct
from ..memory import CHUNKS, LINE, clear, empty, tile_width
from ..normalization import batchnorm_relu_inference, relu_normalize, terms_of
from ..tiles.window import KERNEL
from .passes import depthwise_conv2d_forward, lanes_of, locate_row_block, window_row

RUN = 256  # approximate outputs per row block: with 32 channels, z and its product take 32 KB each
NONE = ((0, 0), (0, 0))


def separable_conv2d_forward(
    x: np.ndarray,
    depthwise_weight: np.ndarray,
    weight: np.ndarray | PackedWeights,
    bias: np.ndarray | None,
    strides: Pair,
    padding: Padding,
    normalization: tuple | None = None,
    *,
    epilogue: int = LINEAR,
) -> np.ndarray:
    """y = epilogue(conv(depthwise(x, depthwise_weight), weight) + bias).

    With a normalization (gamma, beta, mean, variance, epsilon), x is normalised and passes a ReLU first.
    """
    batch, (x, depthwise) = x, expand_depth_multiplier(x, depthwise_weight)
    lanes = lanes_of(depthwise)
    if not lanes:
        if normalization is not None:
            batch = batchnorm_relu_inference(batch, *normalization)
        z = depthwise_conv2d_forward(batch, depthwise_weight, None, strides, padding)
        return forward(z, weight, bias, (1, 1), NONE, epilogue)[0]
    terms = np.empty((3, 0), x.dtype)
    if normalization is not None:
        terms = np.array(terms_of(*normalization)).repeat(depthwise_weight.shape[3], axis=1)
    settings = strides, padding, terms.size > 0, epilogue, tile_width(x.dtype), get_num_threads()
    shape, size, rows, border_start, scratch = _plan(x.shape, weight.shape[3], *settings)
    y, argmax = empty(shape, x.dtype), empty(shape if epilogue == POOL else (1, 1, 1, 1), np.uint8)
    if y.size:
        weight = pack_weights(weight, bias)
        _forward(x, terms, depthwise, weight.packed, weight.bias, y, argmax, empty(scratch, x.dtype), border_start,
                 size, rows, strides, padding, lanes, epilogue)  # fmt: skip
    return y


@functools.lru_cache(maxsize=1024)
def _plan(x_shape, OC, strides, padding, normalized, epilogue, width, threads):
    """How to compute a forward pass, from its shapes.

    Returns
    -------
    shape : tuple of int
        Shape of y.
    size : (OH, OW)
        Size of the convolution's output; a pool rounds it down to even numbers.
    rows : int
        Output rows per row block.
    border_start : int
        Where the copied input rows begin in a thread's scratch buffer, after z and its product.
    scratch : (threads, values)
        Shape of the scratch buffers.
    """
    (N, _, W, C), (OH, OW) = x_shape, output_sizes(x_shape, (KERNEL, KERNEL), strides, padding)
    shape = N, OH, OW, OC
    if epilogue == POOL:
        OH, OW = OH // 2 * 2, OW // 2 * 2
        shape = N, OH // 2, OW // 2, OC
    # an even number of rows, for a pool, and few enough that all threads have work
    rows = max(2, min(RUN // max(1, OW), -(-N * OH // threads)) // 2 * 2)
    border_start = -(-rows * OW * (C + width) // LINE) * LINE
    border_values = ((rows - 1) * strides[0] + KERNEL) * (W + sum(padding[1])) * C
    copied = normalized or any(map(any, padding))
    values = border_start + copied * -(-border_values // LINE) * LINE
    return shape, (OH, OW), rows, border_start, (threads, values)


def separable_conv2d_relu_forward(*arguments: Any) -> np.ndarray:
    """`separable_conv2d_forward` followed by a ReLU."""
    return separable_conv2d_forward(*arguments, epilogue=RELU)


def separable_conv2d_maxpool2d_forward(*arguments: Any) -> np.ndarray:
    """`separable_conv2d_forward` followed by a 2x2 max pool."""
    return separable_conv2d_forward(*arguments, epilogue=POOL)


@njit(cache=True, nogil=True, parallel=True)
def _forward(x, terms, depthwise, packed, bias, y, argmax, scratch, border_start, size, rows, strides, padding, lanes,
             epilogue):  # fmt: skip
    N, H, W, C = x.shape
    (OH, OW), (SH, SW), ((top, bottom), (left, right)) = size, strides, padding
    WP = left + W + right
    blocks, _, width = packed.shape
    row_blocks = -(-OH // rows)
    flat_depthwise, zeros = depthwise.reshape(-1), np.zeros(C, x.dtype)
    for chunk in prange(CHUNKS):
        buffer = scratch[get_thread_id()]
        z, out = buffer[: rows * OW * C], buffer[rows * OW * C : border_start]
        bordered = buffer[border_start:]
        partial_y, partial_argmax = np.empty(width, x.dtype), np.empty(width, np.uint8)
        start, end = chunk * N * row_blocks // CHUNKS, (chunk + 1) * N * row_blocks // CHUNKS
        if start < end:
            bordered[:] = 0
        for unit in range(start, end):
            n, first, last = locate_row_block(unit, OH, rows)
            top_row, height = first * SH, (last - first - 1) * SH + KERNEL
            if terms.size > 0:
                _normalized_row_block(bordered, x, terms, n, top_row, height, ((top, bottom), (left, right)),
                                      lanes)  # fmt: skip
                source, s0 = bordered, 0
            else:
                source, s0 = bordered_row_block(bordered, x, n, top_row, height,
                                                ((top, bottom), (left, right)))  # fmt: skip
            for r in range(last - first):
                window_row(z, r * OW * C, zeros, source, s0 + r * SH * WP * C, WP * C, SW * C, flat_depthwise, C, OW,
                           lanes, False)  # fmt: skip
            for j in range(blocks):
                direct(out, OW, z, 0, OW * C, C, packed, j, (1, 1), (1, 1), last - first, OW)
                apply_epilogue(out, OW, bias, y, argmax, y[:0], partial_y, partial_argmax, n, first, last - first,
                               j * width, epilogue)  # fmt: skip


@njit(cache=True, nogil=True)
def _normalized_row_block(buffer, x, terms, n, first, rows, padding, lanes):
    """As `copy_row_block`, but normalised: rows first, first+1, ... of image n; the border stays 0."""
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
