"""Dense layers on register tiles: three matrix products, cut so that each thread writes its own part.

    y = x @ weight              columns of the tile's width; all samples are rows
    dweight = x^T @ dy          rows of weights, a part for each piece
    dx = (weight @ dy^T)^T      rows of weights again, read as they lie: no transposed copy of the weights

Here `reference` leaves the product to NumPy's BLAS; its threads and numba's would fight over the cores.
"""

import numpy as np
from numba import prange

from ...compiling import njit
from .memory import PIECES, aligned, pack
from .product import product


def dense_forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """y = x @ weight + bias."""
    x = np.ascontiguousarray(x)
    packed = pack(weight)
    blocks, _, width = packed.shape
    wide = aligned((len(x), blocks * width), x.dtype)
    _forward(x, packed, wide)
    y = wide[:, : weight.shape[1]]
    return np.ascontiguousarray(y) if bias is None else y + bias


def dense_backward(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray, need_dx: bool = True
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """dx = dy @ weight^T,  dweight = x^T @ dy,  dbias = the sum of dy over the batch."""
    x, weight = np.ascontiguousarray(x), np.ascontiguousarray(weight)
    K, O = weight.shape  # noqa: E741
    packed = pack(dy)
    blocks, _, width = packed.shape
    dweight = aligned((K, blocks * width), x.dtype)
    _dweight(x, packed, dweight)
    dx = None
    if need_dx:
        packed = pack(dy.T)
        dx_turned = aligned((K, packed.shape[0] * width), x.dtype)
        _dx(weight, packed, dx_turned)
        dx = np.ascontiguousarray(dx_turned[:, : len(x)].T)
    return dx, np.ascontiguousarray(dweight[:, :O]), dy.sum(0)


@njit(cache=True, nogil=True, parallel=True)
def _forward(x, packed, y):
    N, K = x.shape
    blocks, _, width = packed.shape
    for j in prange(blocks):
        product(y, j * width, blocks * width, x, 0, K, 0, 1, packed, j * K * width, 0, width, 1, K, N)


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
    """Row i of dx, turned, is the sum over o of weight[i, o] * dy[:, o]."""
    K, O = weight.shape  # noqa: E741
    blocks, _, width = packed.shape
    for piece in prange(PIECES):
        first, last = piece * K // PIECES, (piece + 1) * K // PIECES
        for j in range(blocks):
            product(dx, first * blocks * width + j * width, blocks * width, weight, first * O, O, 0, 1,
                    packed, j * O * width, 0, width, 1, O, last - first)  # fmt: skip
