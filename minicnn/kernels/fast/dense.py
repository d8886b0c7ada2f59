"""Dense layers on register tiles: three matrix products, cut so that each thread writes its own part.

    y = x @ weight              a block of columns of the tile's width each; all samples are rows
    dweight = x^T @ dy          rows of weights, a part for each piece
    dx = (weight @ dy^T)^T      rows of weights again, read as they lie: no turned copy of the weights

Weights are by far the largest of these arrays; they are read where they lie.  Here `reference` leaves the
product to NumPy's BLAS; its threads and numba's would fight over the cores.
"""

import numpy as np
from numba import prange

from ...compiling import njit
from .memory import PIECES, add_rows, empty, pack, tile_width
from .product import product

DEPTH = 256  # rows of weights that all samples go through before the next: they stay in the first cache


def dense_forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """y = x @ weight + bias."""
    x = np.ascontiguousarray(x)
    N, O = len(x), weight.shape[1]  # noqa: E741
    width = tile_width(x.dtype)
    whole = O // width * width  # columns in blocks that are full
    y = np.empty((N, O), x.dtype)
    if bias is None:
        bias = np.zeros(O, x.dtype)
    last = pack(weight[:, whole:])
    _forward(x, np.ascontiguousarray(weight), last, bias, y)
    return y


def dense_backward(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray, need_dx: bool = True
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """dx = dy @ weight^T,  dweight = x^T @ dy,  dbias = the sum of dy over the batch."""
    x, weight = np.ascontiguousarray(x), np.ascontiguousarray(weight)
    K, O = weight.shape  # noqa: E741
    packed = pack(dy)
    blocks, _, width = packed.shape
    dweight = empty((K, blocks * width), x.dtype)
    _dweight(x, packed, dweight)
    dx = None
    if need_dx:
        dx = empty(x.shape, x.dtype)
        _dx(weight, pack(dy.T), dx)
    return dx, np.ascontiguousarray(dweight[:, :O]), dy.sum(0)


@njit(cache=True, nogil=True, parallel=True)
def _forward(x, weight, last, bias, y):
    N, K = x.shape
    O = weight.shape[1]  # noqa: E741
    width = last.shape[2]
    flat_y = y.reshape(-1)
    whole = O // width
    for j in prange(whole + len(last)):
        total, part = np.zeros(N * width, x.dtype), np.empty(N * width, x.dtype)
        for k in range(0, K, DEPTH):
            deep = min(DEPTH, K - k)
            if j < whole:
                product(part, 0, width, x, k, K, 0, 1, weight, k * O + j * width, 0, O, 1, deep, N)
            else:
                product(part, 0, width, x, k, K, 0, 1, last, k * width, 0, width, 1, deep, N)
            add_rows(total, 0, part, N * width)
        here = min(width, O - j * width)
        for n in range(N):
            for v in range(here):
                o = np.uintp(j * width + v)
                flat_y[np.uintp(n * O) + o] = total[np.uintp(n * width + v)] + bias[o]


@njit(cache=True, nogil=True, parallel=True)
def _dweight(x, packed, dweight):
    """Row i of dweight is the sum over n of x[n, i] * dy[n]."""
    N, K = x.shape
    blocks, _, width = packed.shape
    for piece in prange(PIECES):
        first, last = piece * K // PIECES, (piece + 1) * K // PIECES
        for j in range(blocks):
            product(dweight, first * blocks * width + j * width, blocks * width, x, first, 1, 0, K,
                    packed, j * N * width, 0, width, 1, N, last - first)  # fmt: skip


@njit(cache=True, nogil=True, parallel=True)
def _dx(weight, packed, dx):
    """Column i of dx is the sum over o of weight[i, o] * dy[:, o]; a few columns at a time, then turned."""
    K, O = weight.shape  # noqa: E741
    N = len(dx)
    blocks, _, width = packed.shape
    flat_dx = dx.reshape(-1)
    runs = -(-K // 64)
    for run in prange(runs):
        turned = np.empty(64 * width, dx.dtype)
        first = run * 64
        rows = min(64, K - first)
        for j in range(blocks):
            product(turned, 0, width, weight, first * O, O, 0, 1,
                    packed, j * O * width, 0, width, 1, O, rows)  # fmt: skip
            for v in range(min(width, N - j * width)):
                for i in range(rows):
                    flat_dx[np.uintp((j * width + v) * K + first + i)] = turned[np.uintp(i * width + v)]
