"""Pooling and ReLU, a few pictures for each thread: the loops are those of `im2col`, the cores are all at work.

Pairs are taken apart before each parallel loop and put together in it: numba cannot carry a tuple inside. Called by
`layers/pooling.py` and `layers/activations.py` through the contract; pools behind a convolution: `convolution/pool.py`.
"""

import numpy as np
from numba import prange

from ...runtime.compiling import njit, plain
from .. import im2col, reference
from ..geometry import Padding, Pair, output_sizes
from .memory import PIECES, empty

pool_forward, pool_backward = im2col._maxpool2d_forward, im2col._maxpool2d_backward
mean_forward, mean_backward = im2col._averagepool2d_forward, im2col._averagepool2d_backward
TINY = 1 << 12  # values that NumPy has gone through before our threads have begun


def maxpool2d_forward(
    x: np.ndarray, pool: Pair, strides: Pair, padding: Padding
) -> tuple[np.ndarray, np.ndarray]:
    """y = the largest value of each window, winner = where it stood; see `reference`."""
    OH, OW = output_sizes(x.shape, pool, strides, padding)
    y = empty((len(x), OH, OW, x.shape[3]), x.dtype)
    winner = empty(y.shape, reference.winner_dtype(pool))
    _maxpool2d_forward(plain(x), y, winner, pool, strides, padding)
    return y, winner


def maxpool2d_backward(
    dy: np.ndarray, winner: np.ndarray, x_shape: tuple[int, ...], pool: Pair, strides: Pair, padding: Padding
) -> np.ndarray:
    """dx[winner of the window] += dy."""
    dx = empty(x_shape, dy.dtype)
    _maxpool2d_backward(plain(dy), winner, dx, pool, strides, padding)
    return dx


def averagepool2d_forward(x: np.ndarray, pool: Pair, strides: Pair, padding: Padding) -> np.ndarray:
    """y = the mean of each window over its positions on the picture."""
    OH, OW = output_sizes(x.shape, pool, strides, padding)
    y = empty((len(x), OH, OW, x.shape[3]), x.dtype)
    _averagepool2d_forward(plain(x), y, pool, strides, padding)
    return y


def averagepool2d_backward(
    dy: np.ndarray, x_shape: tuple[int, ...], pool: Pair, strides: Pair, padding: Padding
) -> np.ndarray:
    """dx[window] += dy / count."""
    dx = empty(x_shape, dy.dtype)
    _averagepool2d_backward(plain(dy), dx, pool, strides, padding)
    return dx


def relu_forward(x: np.ndarray) -> np.ndarray:
    """y = max(x, 0)."""
    if x.size <= TINY:
        return reference.relu_forward(x)
    x = plain(x)
    y = empty(x.shape, x.dtype)
    _relu_forward(x.reshape(-1), y.reshape(-1))
    return y


def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dx = dy where y > 0, else 0."""
    dy, y = plain(dy), plain(y)
    dx = empty(dy.shape, dy.dtype)
    _relu_backward(dy.reshape(-1), y.reshape(-1), dx.reshape(-1))
    return dx


@njit(cache=True, nogil=True, parallel=True)
def _maxpool2d_forward(x, y, winner, pool, strides, padding):
    (KH, KW), (SH, SW), ((top, bottom), (left, right)) = pool, strides, padding
    for piece in prange(PIECES):
        a, b = piece * len(x) // PIECES, (piece + 1) * len(x) // PIECES
        pool_forward(x[a:b], y[a:b], winner[a:b], (KH, KW), (SH, SW), ((top, bottom), (left, right)))


@njit(cache=True, nogil=True, parallel=True)
def _maxpool2d_backward(dy, winner, dx, pool, strides, padding):
    (KH, KW), (SH, SW), ((top, bottom), (left, right)) = pool, strides, padding
    for piece in prange(PIECES):
        a, b = piece * len(dx) // PIECES, (piece + 1) * len(dx) // PIECES
        dx[a:b] = 0
        pool_backward(dy[a:b], winner[a:b], dx[a:b], (KH, KW), (SH, SW), ((top, bottom), (left, right)))


@njit(cache=True, nogil=True, parallel=True)
def _averagepool2d_forward(x, y, pool, strides, padding):
    (KH, KW), (SH, SW), ((top, bottom), (left, right)) = pool, strides, padding
    for piece in prange(PIECES):
        a, b = piece * len(x) // PIECES, (piece + 1) * len(x) // PIECES
        y[a:b] = 0
        mean_forward(x[a:b], y[a:b], (KH, KW), (SH, SW), ((top, bottom), (left, right)))


@njit(cache=True, nogil=True, parallel=True)
def _averagepool2d_backward(dy, dx, pool, strides, padding):
    (KH, KW), (SH, SW), ((top, bottom), (left, right)) = pool, strides, padding
    for piece in prange(PIECES):
        a, b = piece * len(dx) // PIECES, (piece + 1) * len(dx) // PIECES
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
