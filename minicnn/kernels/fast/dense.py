"""Dense layers on register tiles: three matrix products, cut so that each thread writes its own part.

    y = x @ weight              rows of weights, a part of the sum for each piece; all samples are rows of the tile
    dweight = x^T @ dy          rows of weights, a part for each piece
    dx = (weight @ dy^T)^T      rows of weights again, read as they lie: no turned copy of the weights

Weights are by far the largest of these arrays; they are read where they lie.  `reference` leaves all this to NumPy's
BLAS, whose threads would fight with numba's over the cores; so here only products too small for threads go there.
Called by `layers/dense.py` through the contract.
"""

import numpy as np
from numba import prange

from ...runtime.compiling import njit, plain
from .. import reference
from .memory import PIECES, clear, empty, pack, tile_width
from .tiles.cpu import VECTORS
from .tiles.product import product
from .tiles.tile import make_tile

TINY = 1 << 13  # multiply-adds that NumPy's product has done, on one core, before our threads have begun
DEPTH = 256  # rows of weights that all samples go through before the next

tile_of_a_row = make_tile(1, 4 * VECTORS)  # of a single sample: so wide that no sum waits for itself


def dense_forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """y = x @ weight + bias."""
    x = plain(x)
    N, (K, O) = len(x), weight.shape  # noqa: E741
    if N * K * O <= TINY:
        return reference.dense_forward(x, weight, bias)
    width = tile_width(x.dtype)
    last = pack(weight[:, O // width * width :]) if O % width else empty((0, K, width), x.dtype)
    parts = empty((PIECES, N, O), x.dtype)
    y = np.empty((N, O), x.dtype)
    bias = np.zeros(O, x.dtype) if bias is None else plain(bias)
    _forward(x, plain(weight), last, parts, bias, y)
    return y


def dense_backward(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray, need_dx: bool = True, need_dweight: bool = True
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """dx = dy @ weight^T,  dweight = x^T @ dy,  dbias = the sum of dy over the batch."""
    x, weight = plain(x), plain(weight)
    K, O = weight.shape  # noqa: E741
    if len(x) * K * O <= TINY:
        return reference.dense_backward(dy, x, weight, need_dx, need_dweight)
    dx = dweight = dbias = None
    if need_dweight:
        packed = pack(dy)
        blocks, _, width = packed.shape
        wide = empty((K, blocks * width), x.dtype)
        _dweight(x, packed, wide)
        dweight, dbias = np.ascontiguousarray(wide[:, :O]), dy.sum(0)
    if need_dx:
        dx = empty(x.shape, x.dtype)
        _dx(weight, pack(dy.T), dx)
    return dx, dweight, dbias


@njit(cache=True, nogil=True, parallel=True)
def _forward(x, weight, last, parts, bias, y):
    """Each piece takes rows of weights, a few at a time, and sums over them; the pieces are added in their order."""
    N, K = x.shape
    O = weight.shape[1]  # noqa: E741
    width = last.shape[2]
    flat_parts, flat_y = parts.reshape(-1), y.reshape(-1)
    for piece in prange(PIECES):
        part = np.empty(N * width, x.dtype)
        clear(flat_parts, piece * N * O, N * O)
        end = (piece + 1) * K // PIECES
        first, done = piece * K // PIECES, 0
        if N == 1 and end > first:  # whole rows of weights, each read once and in order
            while done + 4 * width <= O:
                tile_of_a_row(flat_parts, piece * O + done, 0, x, first, 0, 0, 1,
                              weight, first * O + done, 0, O, 1, end - first)  # fmt: skip
                done += 4 * width
        for k in range(first, end, DEPTH):
            deep = min(DEPTH, end - k)
            for j in range(done, O, width):
                if j + width <= O:
                    product(part, 0, width, x, k, K, 0, 1, weight, k * O + j, 0, O, 1, deep, N)
                else:
                    product(part, 0, width, x, k, K, 0, 1, last, k * width, 0, width, 1, deep, N)
                for n in range(N):
                    at = (piece * N + n) * O + j
                    for v in range(min(width, O - j)):
                        flat_parts[np.uintp(at + v)] += part[np.uintp(n * width + v)]
    for n in range(N):
        for o in range(O):
            flat_y[np.uintp(n * O + o)] = bias[np.uintp(o)]
        for piece in range(PIECES):
            for o in range(O):
                flat_y[np.uintp(n * O + o)] += flat_parts[np.uintp((piece * N + n) * O + o)]


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
