"""A long matrix product, covered with register tiles.

    C[m, :width] (+)= sum over o, k of A[m*a_m + o*a_o + k*a_k] * B[o*b_o + k*b_k + :width]       for m < M

One column of tiles: `width` is two vectors' values.  Where M is no multiple of the tile's rows, the last
tile overlaps the one before (computing some rows twice is cheaper than a short tile); where C is added to it
must not, and shorter tiles finish.  Indices count elements of flat memory, so any strides fit.
Called by `convolution.py`, `block.py` and `dense.py`; the tile is in `tile.py`.
"""

from numba import njit

from .cpu import ROWS
from .tile import HALF, add_full, add_half, add_one, tile_full, tile_half, tile_one


@njit(cache=True, nogil=True)
def product(C, c0, c_m, A, a0, a_m, a_o, a_k, B, b0, b_o, b_k, O, K, M):  # noqa: E741
    """C = the product; see the file's docstring."""
    m = 0
    while m < M:
        if M >= ROWS:
            m = min(m, M - ROWS)
            tile_full(C, c0 + m * c_m, c_m, A, a0 + m * a_m, a_m, a_o, a_k, B, b0, b_o, b_k, O, K)
            m += ROWS
        elif M >= HALF:
            m = min(m, M - HALF)
            tile_half(C, c0 + m * c_m, c_m, A, a0 + m * a_m, a_m, a_o, a_k, B, b0, b_o, b_k, O, K)
            m += HALF
        else:
            tile_one(C, c0 + m * c_m, c_m, A, a0 + m * a_m, a_m, a_o, a_k, B, b0, b_o, b_k, O, K)
            m += 1


@njit(cache=True, nogil=True)
def add_product(C, c0, c_m, A, a0, a_m, a_o, a_k, B, b0, b_o, b_k, O, K, M):  # noqa: E741
    """C += the product; see the file's docstring."""
    m = 0
    while m < M:
        if M - m >= ROWS:
            add_full(C, c0 + m * c_m, c_m, A, a0 + m * a_m, a_m, a_o, a_k, B, b0, b_o, b_k, O, K)
            m += ROWS
        elif M - m >= HALF:
            add_half(C, c0 + m * c_m, c_m, A, a0 + m * a_m, a_m, a_o, a_k, B, b0, b_o, b_k, O, K)
            m += HALF
        else:
            add_one(C, c0 + m * c_m, c_m, A, a0 + m * a_m, a_m, a_o, a_k, B, b0, b_o, b_k, O, K)
            m += 1
