"""Batch normalisation in as few passes over memory as it has: forward reads x twice, backward reads x and dy twice.

Statistics are sums of a few rows at a time, in the type of x while these rows are in the first cache, then added in
float64: mean and squared distances from it come from one pass without losing digits.  Each of PIECES runs of rows has
sums of its own, added in their order: the same bits on any number of threads.  The equations are in `reference`.
Also here: `add`, where two ways through a network meet.
"""

import numpy as np
from numba import prange

from ...compiling import njit, plain
from .memory import PIECES, empty

CACHED = 1 << 12  # values of the rows that are summed together


def batchnorm_forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y, and the mean and variance of each channel over the batch."""
    C = x.shape[-1]
    rows = plain(x).reshape(-1, C)
    sums, squares = np.zeros((PIECES, C)), np.zeros((PIECES, C))
    _moments(rows, sums, squares)
    total, square = _merge(sums, squares, _pieces(len(rows)))
    mean, variance = (total / len(rows)).astype(x.dtype), (square / len(rows)).astype(x.dtype)
    return batchnorm_inference(x, gamma, beta, mean, variance, epsilon), mean, variance


def batchnorm_inference(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, variance: np.ndarray, epsilon: float
) -> np.ndarray:
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta."""
    C = x.shape[-1]
    y = empty(x.shape, x.dtype)
    scale = gamma / np.sqrt(variance + x.dtype.type(epsilon))
    _normalize(plain(x).reshape(-1, C), plain(mean), scale, plain(beta), y.reshape(-1, C))
    return y


def batchnorm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    gamma: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    epsilon: float,
    need_dx: bool = True,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """dx, dgamma and dbeta."""
    C = x.shape[-1]
    dy, rows, mean = plain(dy).reshape(-1, C), plain(x).reshape(-1, C), plain(mean)
    sums, products = np.zeros((PIECES, C)), np.zeros((PIECES, C))
    _gradient_sums(dy, rows, mean, sums, products)
    inverse = 1 / np.sqrt(variance.astype("float64") + epsilon)
    dbeta, dgamma = sums.sum(0), products.sum(0) * inverse
    dx = None
    if need_dx:
        # dx = gamma / deviation (dy - dbeta / n - (x - mean) dgamma / (n deviation))
        terms = gamma * inverse, dbeta / len(rows), dgamma * inverse / len(rows)
        dx = empty(x.shape, x.dtype)
        _dx(dy, rows, mean, *(term.astype(x.dtype) for term in terms), dx.reshape(-1, C))
    return dx, dgamma.astype(x.dtype), dbeta.astype(x.dtype)


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """y = a + b."""
    y = empty(a.shape, a.dtype)
    _add(plain(a).reshape(-1), plain(b).reshape(-1), y.reshape(-1))
    return y


def _pieces(n):
    """How many of n rows each piece has."""
    ends = np.arange(PIECES + 1) * n // PIECES
    return np.diff(ends)


def _merge(sums, squares, counts):
    """Sums, and sums of squared distances from the mean, of all pieces; each has squares about its own mean.

    Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance", equation 2.1.
    """
    total, square, before = sums[0], squares[0], counts[0]
    for piece in range(1, PIECES):
        here = counts[piece]
        if before and here:
            distance = total * (here / before) - sums[piece]
            square = square + squares[piece] + distance**2 * (before / (here * (before + here)))
        else:
            square = square + squares[piece]
        total, before = total + sums[piece], before + here
    return total, square


@njit(cache=True, nogil=True, parallel=True)
def _moments(x, sums, squares):
    """Of each piece's rows: their sum, and the squared distances from their mean."""
    N, C = x.shape
    flat = x.reshape(-1)
    step = max(1, CACHED // C)
    for piece in prange(PIECES):
        first, last = piece * N // PIECES, (piece + 1) * N // PIECES
        total, square, mean = np.empty(C, x.dtype), np.empty(C, x.dtype), np.empty(C, x.dtype)
        for start in range(first, last, step):
            end = min(start + step, last)
            here, before = end - start, start - first
            total[:] = 0
            square[:] = 0
            for row in range(start, end):
                for c in range(C):
                    total[np.uintp(c)] += flat[np.uintp(row * C + c)]
            for c in range(C):
                mean[np.uintp(c)] = total[np.uintp(c)] / here
            for row in range(start, end):
                for c in range(C):
                    distance = flat[np.uintp(row * C + c)] - mean[np.uintp(c)]
                    square[np.uintp(c)] += distance * distance
            for c in range(C):
                squares[piece, c] += square[c]
                if before > 0:
                    apart = sums[piece, c] * (here / before) - total[c]
                    squares[piece, c] += apart * apart * (before / (here * (before + here)))
                sums[piece, c] += total[c]


@njit(cache=True, nogil=True, parallel=True)
def _normalize(x, mean, scale, beta, y):
    N, C = x.shape
    flat_x, flat_y = x.reshape(-1), y.reshape(-1)
    for piece in prange(PIECES):
        for row in range(piece * N // PIECES, (piece + 1) * N // PIECES):
            at = row * C
            for c in range(C):
                distance = flat_x[np.uintp(at + c)] - mean[np.uintp(c)]
                flat_y[np.uintp(at + c)] = distance * scale[np.uintp(c)] + beta[np.uintp(c)]


@njit(cache=True, nogil=True, parallel=True)
def _gradient_sums(dy, x, mean, sums, products):
    """Of each piece's rows: the sums of dy and of dy (x - mean)."""
    N, C = x.shape
    flat_x, flat_dy = x.reshape(-1), dy.reshape(-1)
    step = max(1, CACHED // C)
    for piece in prange(PIECES):
        total, product = np.empty(C, x.dtype), np.empty(C, x.dtype)
        last = (piece + 1) * N // PIECES
        for start in range(piece * N // PIECES, last, step):
            total[:] = 0
            product[:] = 0
            for row in range(start, min(start + step, last)):
                for c in range(C):
                    gradient = flat_dy[np.uintp(row * C + c)]
                    total[np.uintp(c)] += gradient
                    product[np.uintp(c)] += gradient * (flat_x[np.uintp(row * C + c)] - mean[np.uintp(c)])
            for c in range(C):
                sums[piece, c] += total[c]
                products[piece, c] += product[c]


@njit(cache=True, nogil=True, parallel=True)
def _dx(dy, x, mean, scale, shift, slope, dx):
    """dx = scale (dy - shift - (x - mean) slope)."""
    N, C = x.shape
    flat_x, flat_dy, flat_dx = x.reshape(-1), dy.reshape(-1), dx.reshape(-1)
    for piece in prange(PIECES):
        for row in range(piece * N // PIECES, (piece + 1) * N // PIECES):
            at = row * C
            for c in range(C):
                distance = flat_x[np.uintp(at + c)] - mean[np.uintp(c)]
                gradient = flat_dy[np.uintp(at + c)] - shift[np.uintp(c)] - distance * slope[np.uintp(c)]
                flat_dx[np.uintp(at + c)] = scale[np.uintp(c)] * gradient


@njit(cache=True, nogil=True, parallel=True)
def _add(a, b, y):
    for i in prange(len(a)):
        y[i] = a[i] + b[i]
