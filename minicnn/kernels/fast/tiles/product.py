"""A long matrix product, covered with register tiles.

    C[m, :width] = sum over o, k of A[m*a_m + o*a_o + k*a_k] * B[o*b_o + k*b_k + :width]       for m < M

One column of tiles: `width` is two vectors' values.  The tallest tiles come first; the last is the lowest that covers
what is left, and overlaps the one before if it must (computing some rows twice is cheaper than a short tile).  Indices
count elements of flat memory, so any strides fit. Called by `convolution/band.py`, `convolution/passes.py`, `dense.py`,
`blocks/winners.py` and both files of Winograd; the tile is in `tile.py`.
"""

from ....runtime.compiling import njit
from .cpu import HEIGHTS
from .tile import tiles

TALLEST, LOWER, LOW = HEIGHTS[0], HEIGHTS[1], HEIGHTS[-2]
tile_tallest, tile_lower, tile_low, tile_one = tiles[0], tiles[1], tiles[-2], tiles[-1]


@njit(cache=True, nogil=True)
def product(C, c0, c_m, A, a0, a_m, a_o, a_k, B, b0, b_o, b_k, O, K, M):  # noqa: E741
    """C = the product; see the file's docstring."""
    m = 0
    while m < M:
        height = _height(M - m, M)
        m = min(m, M - height)
        if height == TALLEST:
            tile_tallest(C, c0 + m * c_m, c_m, A, a0 + m * a_m, a_m, a_o, a_k, B, b0, b_o, b_k, O, K)
        elif height == LOWER:
            tile_lower(C, c0 + m * c_m, c_m, A, a0 + m * a_m, a_m, a_o, a_k, B, b0, b_o, b_k, O, K)
        elif height == LOW:
            tile_low(C, c0 + m * c_m, c_m, A, a0 + m * a_m, a_m, a_o, a_k, B, b0, b_o, b_k, O, K)
        else:
            tile_one(C, c0 + m * c_m, c_m, A, a0 + m * a_m, a_m, a_o, a_k, B, b0, b_o, b_k, O, K)
        m += height


@njit(cache=True, nogil=True)
def covered(M):
    """How many rows are computed to cover M: what a product takes, about."""
    m = rows = 0
    while m < M:
        height = _height(M - m, M)
        m += height
        rows += height
    return rows


@njit(cache=False, inline="always")
def _height(left, M):
    """Of the next tile, where `left` rows of M are."""
    if left > LOWER and M >= TALLEST:
        return TALLEST
    if left > LOW and M >= LOWER:
        return LOWER
    return LOW if left > 1 and M >= LOW else 1
