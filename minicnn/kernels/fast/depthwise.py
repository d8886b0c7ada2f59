"""Convolution a channel at a time, pictures shared among the threads; all channels of a place go through vectors.

A picture that needs padding is first copied into a border of zeros, so that every window is whole.  The gradient of x
is added up in such a border too.  Called by DepthwiseConv2D and SeparableConv2D.
"""

import numpy as np
from numba import prange

from ...compiling import njit
from ..geometry import Padding, Pair, output_sizes
from ..im2col import a_filter_a_channel, a_sum_a_channel
from .memory import PIECES, copy_rows, empty


def depthwise_conv2d_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, strides: Pair, padding: Padding
) -> np.ndarray:
    """The equation is in `reference.depthwise_conv2d_forward`."""
    x, weight = a_filter_a_channel(x, weight)
    C = x.shape[3]
    y = empty((len(x), *output_sizes(x.shape, weight.shape[:2], strides, padding), C), x.dtype)
    _forward(x, weight, np.zeros(C, x.dtype) if bias is None else bias, y, strides, padding)
    return y


def depthwise_conv2d_backward(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray, strides: Pair, padding: Padding, need_dx: bool = True
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """The equations are in `reference.depthwise_conv2d_backward`."""
    dy, (x, single) = np.ascontiguousarray(dy), a_filter_a_channel(x, weight)
    dweight, dbias = np.zeros((PIECES, single.size), x.dtype), np.zeros((PIECES, x.shape[3]), x.dtype)
    _dweight(dy, x, dweight, dbias, single.shape[:2], strides, padding)
    dx = None
    if need_dx:
        dx = empty(x.shape, x.dtype)
        _dx(dy, single, dx, strides, padding)
        dx = a_sum_a_channel(dx, weight)
    return dx, dweight.sum(0).reshape(weight.shape), dbias.sum(0)


@njit(cache=True, nogil=True, parallel=True)
def _forward(x, weight, bias, y, strides, padding):
    N, H, W, C = x.shape
    (_, OH, OW, _), (KH, KW, _) = y.shape, weight.shape
    (SH, SW), ((top, bottom), (left, right)) = strides, padding
    HP, WP = H + top + bottom, W + left + right
    bordered = HP * WP > H * W
    flat_x, flat_y, flat_weight = x.reshape(-1), y.reshape(-1), weight.reshape(-1)
    for piece in prange(PIECES):
        picture = np.zeros(HP * WP * C if bordered else 1, x.dtype)
        for n in range(piece * N // PIECES, (piece + 1) * N // PIECES):
            source, s0 = flat_x, n * H * W * C
            if bordered:
                copy_rows(picture, (top * WP + left) * C, WP * C, flat_x, s0, W * C, H, W * C)
                source, s0 = picture, 0
            for oh in range(OH):
                for ow in range(OW):
                    y0 = ((n * OH + oh) * OW + ow) * C
                    for c in range(C):
                        flat_y[np.uintp(y0 + c)] = bias[np.uintp(c)]
                    for kh in range(KH):
                        for kw in range(KW):
                            at, w0 = s0 + ((oh * SH + kh) * WP + ow * SW + kw) * C, (kh * KW + kw) * C
                            for c in range(C):
                                flat_y[np.uintp(y0 + c)] += (
                                    source[np.uintp(at + c)] * flat_weight[np.uintp(w0 + c)]
                                )


@njit(cache=True, nogil=True, parallel=True)
def _dweight(dy, x, dweight, dbias, kernel, strides, padding):
    """Sums over the pictures of each piece: (PIECES, KH*KW*C) and (PIECES, C), a picture's sum at a time."""
    N, H, W, C = x.shape
    _, OH, OW, _ = dy.shape
    (KH, KW), (SH, SW), ((top, bottom), (left, right)) = kernel, strides, padding
    HP, WP = H + top + bottom, W + left + right
    bordered = HP * WP > H * W
    flat_x, flat_dy = x.reshape(-1), dy.reshape(-1)
    for piece in prange(PIECES):
        picture = np.zeros(HP * WP * C if bordered else 1, x.dtype)
        part, bias = np.empty(KH * KW * C, x.dtype), np.empty(C, x.dtype)
        for n in range(piece * N // PIECES, (piece + 1) * N // PIECES):
            source, s0 = flat_x, n * H * W * C
            if bordered:
                copy_rows(picture, (top * WP + left) * C, WP * C, flat_x, s0, W * C, H, W * C)
                source, s0 = picture, 0
            part[:] = 0
            bias[:] = 0
            for oh in range(OH):
                for ow in range(OW):
                    y0 = ((n * OH + oh) * OW + ow) * C
                    for c in range(C):
                        bias[np.uintp(c)] += flat_dy[np.uintp(y0 + c)]
                    for kh in range(KH):
                        for kw in range(KW):
                            at, w0 = s0 + ((oh * SH + kh) * WP + ow * SW + kw) * C, (kh * KW + kw) * C
                            for c in range(C):
                                part[np.uintp(w0 + c)] += source[np.uintp(at + c)] * flat_dy[np.uintp(y0 + c)]
            dweight[piece] += part
            dbias[piece] += bias


@njit(cache=True, nogil=True, parallel=True)
def _dx(dy, weight, dx, strides, padding):
    """Each gradient, times the weights, added under the window it saw."""
    N, H, W, C = dx.shape
    (_, OH, OW, _), (KH, KW, _) = dy.shape, weight.shape
    (SH, SW), ((top, bottom), (left, right)) = strides, padding
    HP, WP = H + top + bottom, W + left + right
    flat_dy, flat_dx, flat_weight = dy.reshape(-1), dx.reshape(-1), weight.reshape(-1)
    for piece in prange(PIECES):
        picture = np.empty(HP * WP * C, dx.dtype)
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
            copy_rows(flat_dx, n * H * W * C, W * C, picture, (top * WP + left) * C, WP * C, H, W * C)
