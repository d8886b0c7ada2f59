"""The textbook algorithm: copy every window into a row (im2col), then compute one matrix product.

    columns[(n, oh, ow), (kh, kw, c)] = x[n, oh*SH + kh, ow*SW + kw, c]
    y = columns @ weight + bias             (N*OH*OW, KH*KW*C) @ (KH*KW*C, OC)
    dweight = columns^T @ dy
    dx = col2im(dy @ weight^T)              col2im adds each value back to where im2col read it

Columns are made for a block of images at a time, so that they stay in the processor's cache and
memory stays bounded.  Backward computes them again instead of caching them.  The numba loops are serial on
purpose: NumPy's product already uses all cores, and a second thread pool that wakes between two
products made each step up to ten times slower.  The definitions are in `reference.py`; read `fast/__init__.py` next.
"""

from typing import Any

import numpy as np

from ..runtime.compiling import as_contiguous, njit
from .dilation import dilated
from .geometry import Padding, Pair, output_sizes
from .reference import (
    adam_step,
    add,
    argmax_dtype,
    batchnorm_backward,
    batchnorm_forward,
    batchnorm_inference,
    batchnorm_inference_backward,
    dense_backward,
    dense_forward,
    largest,
    relu_backward,
    relu_forward,
    sgd_step,
    underflow_is_zero,
)

__all__ = [
    "adam_step", "add", "averagepool2d_backward", "averagepool2d_forward", "batchnorm_backward", "batchnorm_forward",
    "batchnorm_inference", "batchnorm_inference_backward", "col2im", "conv2d_backward", "conv2d_forward",
    "dense_backward", "dense_forward", "depthwise_conv2d_backward", "depthwise_conv2d_forward",
    "dilated_conv2d_backward", "dilated_conv2d_forward", "dilated_depthwise_conv2d_backward",
    "dilated_depthwise_conv2d_forward", "im2col", "largest", "maxpool2d_backward", "maxpool2d_forward",
    "relu_backward", "relu_forward", "sgd_step",
]  # fmt: skip

COLUMN_BYTES = 4 << 20  # of one block: more would not fit in the cache, much less makes the product slow


# ------------------------------------------------------------------------------- convolution
@underflow_is_zero
def conv2d_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, strides: Pair, padding: Padding
) -> np.ndarray:
    """y = im2col(x) @ weight + bias; the equation is in `reference.conv2d_forward`."""
    x = as_contiguous(x)
    KH, KW, C, OC = weight.shape
    OH, OW = output_sizes(x.shape, (KH, KW), strides, padding)
    y = np.empty((len(x), OH, OW, OC), x.dtype)
    matrix = weight.reshape(KH * KW * C, OC)
    for block, columns in _blocks(x, OH, OW, KH, KW):
        im2col(x[block], columns, strides, padding)
        np.matmul(_rows(columns), matrix, out=y[block].reshape(-1, OC))
    if bias is not None:
        y += bias
    return y


@underflow_is_zero
def conv2d_backward(
    dy: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    strides: Pair,
    padding: Padding,
    need_dx: bool = True,
    need_dweight: bool = True,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """dweight = im2col(x)^T @ dy,  dx = col2im(dy @ weight^T),  dbias = the sum of dy."""
    x = as_contiguous(x)
    KH, KW, C, OC = weight.shape
    _, OH, OW, _ = dy.shape
    matrix = weight.reshape(KH * KW * C, OC)
    dmatrix = np.zeros_like(matrix)
    dx: Any = np.zeros_like(x) if need_dx else None
    for block, columns in _blocks(x, OH, OW, KH, KW):
        dy_rows = dy[block].reshape(-1, OC)
        if need_dweight:
            im2col(x[block], columns, strides, padding)
            dmatrix += _rows(columns).T @ dy_rows
        if need_dx:
            np.matmul(dy_rows, matrix.T, out=_rows(columns))
            col2im(columns, dx[block], strides, padding)
    return (dx, dmatrix.reshape(weight.shape), dy.sum((0, 1, 2))) if need_dweight else (dx, None, None)


@njit(cache=True, nogil=True)
def im2col(x, columns, strides, padding):
    """Copy each window into columns (N, OH, OW, KH, KW, C); positions in the padding are 0."""
    N, H, W, C = x.shape
    _, OH, OW, KH, KW, _ = columns.shape
    (SH, SW), ((top, _), (left, _)) = strides, padding
    for n in range(N):
        for oh in range(OH):
            for ow in range(OW):
                for kh in range(KH):
                    h = oh * SH + kh - top
                    for kw in range(KW):
                        w = ow * SW + kw - left
                        if 0 <= h < H and 0 <= w < W:
                            for c in range(C):
                                columns[n, oh, ow, kh, kw, c] = x[n, h, w, c]
                        else:
                            for c in range(C):
                                columns[n, oh, ow, kh, kw, c] = 0


@njit(cache=True, nogil=True)
def col2im(columns, dx, strides, padding):
    """The transpose of im2col: add each value of columns to dx at the place where im2col read it."""
    N, H, W, C = dx.shape
    _, OH, OW, KH, KW, _ = columns.shape
    (SH, SW), ((top, _), (left, _)) = strides, padding
    for n in range(N):
        for oh in range(OH):
            for ow in range(OW):
                for kh in range(KH):
                    h = oh * SH + kh - top
                    for kw in range(KW):
                        w = ow * SW + kw - left
                        if 0 <= h < H and 0 <= w < W:
                            for c in range(C):
                                dx[n, h, w, c] += columns[n, oh, ow, kh, kw, c]


def _blocks(x, OH, OW, KH, KW):
    """Pairs (slice of images, columns to fill) that cover the batch; all columns share one buffer."""
    N, C = len(x), x.shape[3]
    image = OH * OW * KH * KW * C
    size = max(1, min(N, COLUMN_BYTES // max(image * x.itemsize, 1)))
    columns = np.empty((size, OH, OW, KH, KW, C), x.dtype)
    for start in range(0, N, size):
        block = slice(start, min(start + size, N))
        yield block, columns[: block.stop - start]


def _rows(columns):
    """(n, OH, OW, KH, KW, C) -> (n*OH*OW, KH*KW*C), as a view."""
    n, OH, OW, KH, KW, C = columns.shape
    return columns.reshape(n * OH * OW, KH * KW * C)


# --------------------------------------------------------------------- depthwise convolution
# Plain loops: each channel is summed by itself, so a matrix product would gain nothing.
def depthwise_conv2d_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, strides: Pair, padding: Padding
) -> np.ndarray:
    """The equation is in `reference.depthwise_conv2d_forward`."""
    x, weight = expand_depth_multiplier(x, weight)
    y = np.zeros((len(x), *output_sizes(x.shape, weight.shape[:2], strides, padding), x.shape[3]), x.dtype)
    _depthwise_forward(np.pad(x, ((0, 0), *padding, (0, 0))), weight, y, strides)
    if bias is not None:
        y += bias
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
    x_padded = np.pad(x, ((0, 0), *padding, (0, 0)))
    dx_padded, dweight = np.zeros_like(x_padded), np.zeros_like(per_channel_weight)
    _depthwise_backward(dy, x_padded, per_channel_weight, dx_padded, dweight, strides)
    (top, _), (left, _) = padding
    dx: Any = dx_padded[:, top : top + x.shape[1], left : left + x.shape[2]]
    dx = reduce_depth_multiplier(dx, weight) if need_dx else None
    return (dx, dweight.reshape(weight.shape), dy.sum((0, 1, 2))) if need_dweight else (dx, None, None)


def expand_depth_multiplier(x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rewrite M filters per channel as one: x (N, H, W, C*M) has each channel M times, weight is (KH, KW, C*M)."""
    KH, KW, C, M = weight.shape
    x = as_contiguous(x) if M == 1 else np.repeat(x, M, axis=3)
    return x, as_contiguous(weight).reshape(KH, KW, C * M)


def reduce_depth_multiplier(dx: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Undo `expand_depth_multiplier` for dx: (N, H, W, C*M) -> (N, H, W, C), adding the M copies of each channel."""
    M = weight.shape[3]
    return dx if M == 1 else dx.reshape(*dx.shape[:3], -1, M).sum(-1)


@njit(cache=True, nogil=True)
def _depthwise_forward(x_padded, weight, y, strides):
    N, OH, OW, C = y.shape
    (KH, KW, _), (SH, SW) = weight.shape, strides
    for n in range(N):
        for oh in range(OH):
            for ow in range(OW):
                for kh in range(KH):
                    for kw in range(KW):
                        for c in range(C):
                            y[n, oh, ow, c] += x_padded[n, oh * SH + kh, ow * SW + kw, c] * weight[kh, kw, c]


@njit(cache=True, nogil=True)
def _depthwise_backward(dy, x_padded, weight, dx_padded, dweight, strides):
    N, OH, OW, C = dy.shape
    (KH, KW, _), (SH, SW) = weight.shape, strides
    for n in range(N):
        for oh in range(OH):
            for ow in range(OW):
                for kh in range(KH):
                    for kw in range(KW):
                        h, w = oh * SH + kh, ow * SW + kw
                        for c in range(C):
                            dweight[kh, kw, c] += x_padded[n, h, w, c] * dy[n, oh, ow, c]
                            dx_padded[n, h, w, c] += weight[kh, kw, c] * dy[n, oh, ow, c]


# ---------------------------------------------------------------------- dilated convolution
dilated_conv2d_forward, dilated_conv2d_backward = dilated(conv2d_forward, conv2d_backward)
dilated_depthwise_conv2d_forward, dilated_depthwise_conv2d_backward = dilated(
    depthwise_conv2d_forward, depthwise_conv2d_backward
)


# ----------------------------------------------------------------------------------- pooling
def maxpool2d_forward(
    x: np.ndarray, pool: Pair, strides: Pair, padding: Padding
) -> tuple[np.ndarray, np.ndarray]:
    """y = the largest value of each window, argmax = its position in the window; see `reference`."""
    OH, OW = output_sizes(x.shape, pool, strides, padding)
    y = np.empty((len(x), OH, OW, x.shape[3]), x.dtype)
    argmax = np.empty(y.shape, argmax_dtype(pool))
    _maxpool2d_forward(as_contiguous(x), y, argmax, pool, strides, padding)
    return y, argmax


@njit(cache=True, nogil=True)
def _maxpool2d_forward(x, y, argmax, pool, strides, padding):
    _, H, W, C = x.shape
    N, OH, OW, _ = y.shape
    (KH, KW), (SH, SW), ((top, _), (left, _)) = pool, strides, padding
    for n in range(N):
        for oh in range(OH):
            for ow in range(OW):
                first = True
                for kh in range(KH):
                    h = oh * SH + kh - top
                    for kw in range(KW):
                        w = ow * SW + kw - left
                        if not (0 <= h < H and 0 <= w < W):
                            continue
                        position = kh * KW + kw
                        if first:
                            for c in range(C):
                                y[n, oh, ow, c] = x[n, h, w, c]
                                argmax[n, oh, ow, c] = position
                            first = False
                        else:
                            for c in range(C):
                                value, best = x[n, h, w, c], y[n, oh, ow, c]
                                # a NaN counts as larger than a number; only a NaN differs from itself
                                larger = (value > best) | ((value != value) & (best == best))
                                y[n, oh, ow, c] = value if larger else best
                                argmax[n, oh, ow, c] = position if larger else argmax[n, oh, ow, c]


def maxpool2d_backward(
    dy: np.ndarray, argmax: np.ndarray, x_shape: tuple[int, ...], pool: Pair, strides: Pair, padding: Padding
) -> np.ndarray:
    """dx[argmax of the window] += dy."""
    dx = np.zeros(x_shape, dy.dtype)
    _maxpool2d_backward(as_contiguous(dy), argmax, dx, pool, strides, padding)
    return dx


@njit(cache=True, nogil=True)
def _maxpool2d_backward(dy, argmax, dx, pool, strides, padding):
    _, H, W, C = dx.shape
    N, OH, OW, _ = dy.shape
    (KH, KW), (SH, SW), ((top, _), (left, _)) = pool, strides, padding
    for n in range(N):
        for oh in range(OH):
            for ow in range(OW):
                for kh in range(KH):
                    h = oh * SH + kh - top
                    for kw in range(KW):
                        w = ow * SW + kw - left
                        if 0 <= h < H and 0 <= w < W:
                            position = kh * KW + kw
                            for c in range(C):  # select instead of indexing, so that the loop is vectorised
                                dx[n, h, w, c] += (
                                    dy[n, oh, ow, c] if argmax[n, oh, ow, c] == position else dy.dtype.type(0)
                                )


def averagepool2d_forward(x: np.ndarray, pool: Pair, strides: Pair, padding: Padding) -> np.ndarray:
    """y = the mean of each window over its positions inside the image."""
    OH, OW = output_sizes(x.shape, pool, strides, padding)
    y = np.zeros((len(x), OH, OW, x.shape[3]), x.dtype)
    _averagepool2d_forward(as_contiguous(x), y, pool, strides, padding)
    return y


def averagepool2d_backward(
    dy: np.ndarray, x_shape: tuple[int, ...], pool: Pair, strides: Pair, padding: Padding
) -> np.ndarray:
    """dx[window] += dy / count."""
    dx = np.zeros(x_shape, dy.dtype)
    _averagepool2d_backward(as_contiguous(dy), dx, pool, strides, padding)
    return dx


@njit(cache=True, nogil=True)
def _averagepool2d_forward(x, y, pool, strides, padding):
    N, OH, OW, C = y.shape
    for n in range(N):
        for oh in range(OH):
            for ow in range(OW):
                (h0, h1), (w0, w1) = _on_image(oh, ow, x.shape, pool, strides, padding)
                for h in range(h0, h1):
                    for w in range(w0, w1):
                        for c in range(C):
                            y[n, oh, ow, c] += x[n, h, w, c]
                for c in range(C):
                    y[n, oh, ow, c] /= (h1 - h0) * (w1 - w0)


@njit(cache=True, nogil=True)
def _averagepool2d_backward(dy, dx, pool, strides, padding):
    N, OH, OW, C = dy.shape
    for n in range(N):
        for oh in range(OH):
            for ow in range(OW):
                (h0, h1), (w0, w1) = _on_image(oh, ow, dx.shape, pool, strides, padding)
                for h in range(h0, h1):
                    for w in range(w0, w1):
                        for c in range(C):
                            dx[n, h, w, c] += dy[n, oh, ow, c] / ((h1 - h0) * (w1 - w0))


@njit(cache=True, nogil=True)
def _on_image(oh, ow, x_shape, pool, strides, padding):
    """The rows and columns of window (oh, ow) that lie inside the image, each as (first, one past the last)."""
    _, H, W, _ = x_shape
    (KH, KW), (SH, SW), ((top, _), (left, _)) = pool, strides, padding
    h, w = oh * SH - top, ow * SW - left
    return (max(h, 0), min(h + KH, H)), (max(w, 0), min(w + KW, W))
