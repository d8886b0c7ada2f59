"""Dense layers on register tiles: three matrix products, divided so that each thread writes a part of its own.

    y = x @ weight              each chunk sums over some rows of the weights; the samples are the rows of the tile
    dweight = x^T @ dy          each chunk computes some rows of dweight
    dx = (weight @ dy^T)^T      each thread reads some rows of the weights in place, without a transposed copy

The weights are by far the largest of these arrays, so they are read in place.  `reference` leaves these products to
NumPy's BLAS, whose threads would compete with numba's for the cores.  So only products that are too small for threads
go to BLAS here.  Called by `layers/dense.py` through the contract.
"""

import numpy as np
from numba import prange

from ...runtime.compiling import as_contiguous, njit
from .. import reference
from .memory import CHUNKS, clear, empty, pack, tile_width
from .tiles.cpu import VECTORS
from .tiles.product import product
from .tiles.tile import make_tile

TINY = 1 << 13  # multiply-adds up to which NumPy on one core finishes before numba's threads have started
DEPTH = 256  # rows of weights that are used for all samples before the next rows are read

single_row_tile = make_tile(1, 4 * VECTORS)  # for one sample; wide enough to hide the latency of multiply-add


def dense_forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """y = x @ weight + bias."""
    x = as_contiguous(x)
    N, (K, O) = len(x), weight.shape  # noqa: E741
    if N * K * O <= TINY:
        return reference.dense_forward(x, weight, bias)
    width = tile_width(x.dtype)
    last_block = pack(weight[:, O // width * width :]) if O % width else empty((0, K, width), x.dtype)
    parts = empty((CHUNKS, N, O), x.dtype)
    y = np.empty((N, O), x.dtype)
    bias = np.zeros(O, x.dtype) if bias is None else as_contiguous(bias)
    _forward(x, as_contiguous(weight), last_block, parts, bias, y)
    return y


def dense_backward(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray, need_dx: bool = True, need_dweight: bool = True
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """dx = dy @ weight^T,  dweight = x^T @ dy,  dbias = the sum of dy over the batch."""
    x, weight = as_contiguous(x), as_contiguous(weight)
    K, O = weight.shape  # noqa: E741
    if len(x) * K * O <= TINY:
        return reference.dense_backward(dy, x, weight, need_dx, need_dweight)
    dx = dweight = dbias = None
    if need_dweight:
        packed = pack(dy)
        blocks, _, width = packed.shape
        padded_dweight = empty((K, blocks * width), x.dtype)
        _dweight(x, packed, padded_dweight)
        dweight, dbias = np.ascontiguousarray(padded_dweight[:, :O]), dy.sum(0)
    if need_dx:
        dx = empty(x.shape, x.dtype)
        _dx(weight, pack(dy.T), dx)
    return dx, dweight, dbias


@njit(cache=True, nogil=True, parallel=True)
def _forward(x, weight, last_block, parts, bias, y):
    """Each chunk sums over its rows of the weights, a few at a time; the chunks' sums are added in order."""
    N, K = x.shape
    O = weight.shape[1]  # noqa: E741
    width = last_block.shape[2]
    flat_parts, flat_y = parts.reshape(-1), y.reshape(-1)
    for chunk in prange(CHUNKS):
        part = np.empty(N * width, x.dtype)
        clear(flat_parts, chunk * N * O, N * O)
        end = (chunk + 1) * K // CHUNKS
        first, columns_done = chunk * K // CHUNKS, 0
        if N == 1 and end > first:  # whole rows of weights, each read once, in order
            while columns_done + 4 * width <= O:
                single_row_tile(flat_parts, chunk * O + columns_done, 0, x, first, 0, 0, 1,
                                weight, first * O + columns_done, 0, O, 1, end - first)  # fmt: skip
                columns_done += 4 * width
        for k in range(first, end, DEPTH):
            depth = min(DEPTH, end - k)
            for j in range(columns_done, O, width):
                if j + width <= O:
                    product(part, 0, width, x, k, K, 0, 1, weight, k * O + j, 0, O, 1, depth, N)
                else:
                    product(part, 0, width, x, k, K, 0, 1, last_block, k * width, 0, width, 1, depth, N)
                for n in range(N):
                    at = (chunk * N + n) * O + j
                    for v in range(min(width, O - j)):
                        flat_parts[np.uintp(at + v)] += part[np.uintp(n * width + v)]
    for n in range(N):
        for o in range(O):
            flat_y[np.uintp(n * O + o)] = bias[np.uintp(o)]
        for chunk in range(CHUNKS):
            for o in range(O):
                flat_y[np.uintp(n * O + o)] += flat_parts[np.uintp((chunk * N + n) * O + o)]


@njit(cache=True, nogil=True, parallel=True)
def _dweight(x, packed, dweight):
    """Row i of dweight is the sum over n of x[n, i] * dy[n]."""
    N, K = x.shape
    blocks, _, width = packed.shape
    for chunk in prange(CHUNKS):
        first, last = chunk * K // CHUNKS, (chunk + 1) * K // CHUNKS
        for j in range(blocks):
            product(dweight, first * blocks * width + j * width, blocks * width, x, first, 1, 0, K,
                    packed, j * N * width, 0, width, 1, N, last - first)  # fmt: skip


@njit(cache=True, nogil=True, parallel=True)
def _dx(weight, packed, dx):
    """Column i of dx is the sum over o of weight[i, o] * dy[:, o]; a few columns at a time, then transposed."""
    K, O = weight.shape  # noqa: E741
    N = len(dx)
    blocks, _, width = packed.shape
    flat_dx = dx.reshape(-1)
    runs = -(-K // 64)
    for run in prange(runs):
        transposed = np.empty(64 * width, dx.dtype)
        first = run * 64
        rows = min(64, K - first)
        for j in range(blocks):
            product(transposed, 0, width, weight, first * O, O, 0, 1,
                    packed, j * O * width, 0, width, 1, O, rows)  # fmt: skip
            for v in range(min(width, N - j * width)):
                for i in range(rows):
                    flat_dx[np.uintp((j * width + v) * K + first + i)] = transposed[np.uintp(i * width + v)]
