"""Pooling and ReLU on all cores: the loops are those of `im2col`, and each thread processes some of the images.

Pairs are unpacked before each parallel loop and built again inside, because numba cannot pass a tuple into one.  Called
by `layers/pooling.py` and `layers/activations.py` through the contract.  Pools fused with a convolution are in
`convolution/epilogue.py`.
"""

import numpy as np
from numba import prange

from ...runtime.compiling import as_contiguous, njit
from .. import im2col, reference
from ..geometry import Padding, Pair, output_sizes
from .memory import CHUNKS, empty

pool_forward, pool_backward = im2col._maxpool2d_forward, im2col._maxpool2d_backward
mean_forward, mean_backward = im2col._averagepool2d_forward, im2col._averagepool2d_backward
TINY = 1 << 12  # values up to which NumPy on one core finishes before numba's threads have started


def maxpool2d_forward(
    x: np.ndarray, pool: Pair, strides: Pair, padding: Padding
) -> tuple[np.ndarray, np.ndarray]:
    """y = the largest value of each window, argmax = its position in the window; see `reference`."""
    OH, OW = output_sizes(x.shape, pool, strides, padding)
    y = empty((len(x), OH, OW, x.shape[3]), x.dtype)
    argmax = empty(y.shape, reference.argmax_dtype(pool))
    _maxpool2d_forward(as_contiguous(x), y, argmax, pool, strides, padding)
    return y, argmax


def maxpool2d_backward(
    dy: np.ndarray, argmax: np.ndarray, x_shape: tuple[int, ...], pool: Pair, strides: Pair, padding: Padding
) -> np.ndarray:
    """dx[argmax of the window] += dy."""
    dx = empty(x_shape, dy.dtype)
    _maxpool2d_backward(as_contiguous(dy), argmax, dx, pool, strides, padding)
    return dx


def averagepool2d_forward(x: np.ndarray, pool: Pair, strides: Pair, padding: Padding) -> np.ndarray:
    """y = the mean of each window over its positions inside the image."""
    OH, OW = output_sizes(x.shape, pool, strides, padding)
    y = empty((len(x), OH, OW, x.shape[3]), x.dtype)
    _averagepool2d_forward(as_contiguous(x), y, pool, strides, padding)
    return y


def averagepool2d_backward(
    dy: np.ndarray, x_shape: tuple[int, ...], pool: Pair, strides: Pair, padding: Padding
) -> np.ndarray:
    """dx[window] += dy / count."""
    dx = empty(x_shape, dy.dtype)
    _averagepool2d_backward(as_contiguous(dy), dx, pool, strides, padding)
    return dx


def relu_forward(x: np.ndarray) -> np.ndarray:
    """y = max(x, 0)."""
    if x.size <= TINY:
        return reference.relu_forward(x)
    x = as_contiguous(x)
    y = empty(x.shape, x.dtype)
    _relu_forward(x.reshape(-1), y.reshape(-1))
    return y


def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dx = dy where y > 0, else 0."""
    dy, y = as_contiguous(dy), as_contiguous(y)
    dx = empty(dy.shape, dy.dtype)
    _relu_backward(dy.reshape(-1), y.reshape(-1), dx.reshape(-1))
    return dx


@njit(cache=True, nogil=True, parallel=True)
def _maxpool2d_forward(x, y, argmax, pool, strides, padding):
    (KH, KW), (SH, SW), ((top, bottom), (left, right)) = pool, strides, padding
    for chunk in prange(CHUNKS):
        a, b = chunk * len(x) // CHUNKS, (chunk + 1) * len(x) // CHUNKS
        pool_forward(x[a:b], y[a:b], argmax[a:b], (KH, KW), (SH, SW), ((top, bottom), (left, right)))


@njit(cache=True, nogil=True, parallel=True)
def _maxpool2d_backward(dy, argmax, dx, pool, strides, padding):
    (KH, KW), (SH, SW), ((top, bottom), (left, right)) = pool, strides, padding
    for chunk in prange(CHUNKS):
        a, b = chunk * len(dx) // CHUNKS, (chunk + 1) * len(dx) // CHUNKS
        dx[a:b] = 0
        pool_backward(dy[a:b], argmax[a:b], dx[a:b], (KH, KW), (SH, SW), ((top, bottom), (left, right)))


@njit(cache=True, nogil=True, parallel=True)
def _averagepool2d_forward(x, y, pool, strides, padding):
    (KH, KW), (SH, SW), ((top, bottom), (left, right)) = pool, strides, padding
    for chunk in prange(CHUNKS):
        a, b = chunk * len(x) // CHUNKS, (chunk + 1) * len(x) // CHUNKS
        y[a:b] = 0
        mean_forward(x[a:b], y[a:b], (KH, KW), (SH, SW), ((top, bottom), (left, right)))


@njit(cache=True, nogil=True, parallel=True)
def _averagepool2d_backward(dy, dx, pool, strides, padding):
    (KH, KW), (SH, SW), ((top, bottom), (left, right)) = pool, strides, padding
    for chunk in prange(CHUNKS):
        a, b = chunk * len(dx) // CHUNKS, (chunk + 1) * len(dx) // CHUNKS
        dx[a:b] = 0
        mean_backward(dy[a:b], dx[a:b], (KH, KW), (SH, SW), ((top, bottom), (left, right)))


@njit(cache=True, nogil=True, parallel=True)
def _relu_forward(x, y):
    zero = x.dtype.type(0)
    for i in prange(len(x)):
        y[i] = zero if x[i] <= zero else x[i]


@njit(cache=True, nogil=True, parallel=True)
def _relu_backward(dy, y, dx):
    zero = dy.dtype.type(0)
    for i in prange(len(y)):
        dx[i] = dy[i] if y[i] > zero else zero
