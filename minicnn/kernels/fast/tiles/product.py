"""A long matrix product, covered with register tiles.

    C[m, :width] = sum over o, k of A[m*a_m + o*a_o + k*a_k] * B[o*b_o + k*b_k + :width]       for m < M

The product is one column of tiles: `width` is the values of two vectors.  The tallest tiles come first.  The last tile
is the shortest that covers the remaining rows; it may overlap the one before, because computing some rows twice is
cheaper than a short tile.  Indices count elements of flat memory, so any strides fit.  The tile itself is in `tile.py`.
Called by `convolution/row_block.py`, `convolution/passes.py`, `dense.py`, `conv_maxpool/sparse_backward.py`,
`winograd/squares.py` and `winograd/dweight.py`.
"""

from ....runtime.compiling import njit
from .cpu import HEIGHTS
from .tile import tiles

TALL, MEDIUM, SHORT = HEIGHTS[0], HEIGHTS[1], HEIGHTS[-2]
tile_tall, tile_medium, tile_short, tile_one = tiles[0], tiles[1], tiles[-2], tiles[-1]


@njit(cache=True, nogil=True)
def product(C, c0, c_m, A, a0, a_m, a_o, a_k, B, b0, b_o, b_k, O, K, M):  # noqa: E741
    """C = the product defined in the file's docstring."""
    m = 0
    while m < M:
        height = _height(M - m, M)
        m = min(m, M - height)
        if height == TALL:
            tile_tall(C, c0 + m * c_m, c_m, A, a0 + m * a_m, a_m, a_o, a_k, B, b0, b_o, b_k, O, K)
        elif height == MEDIUM:
            tile_medium(C, c0 + m * c_m, c_m, A, a0 + m * a_m, a_m, a_o, a_k, B, b0, b_o, b_k, O, K)
        elif height == SHORT:
            tile_short(C, c0 + m * c_m, c_m, A, a0 + m * a_m, a_m, a_o, a_k, B, b0, b_o, b_k, O, K)
        else:
            tile_one(C, c0 + m * c_m, c_m, A, a0 + m * a_m, a_m, a_o, a_k, B, b0, b_o, b_k, O, K)
        m += height


@njit(cache=True, nogil=True)
def covered(M):
    """How many rows are computed to cover M: roughly proportional to the product's time."""
    m = rows = 0
    while m < M:
        height = _height(M - m, M)
        m += height
        rows += height
    return rows


@njit(cache=False, inline="always")
def _height(left, M):
    """Height of the next tile when `left` of the M rows remain."""
    if left > MEDIUM and M >= TALL:
        return TALL
    if left > SHORT and M >= MEDIUM:
        return MEDIUM
    return SHORT if left > 1 and M >= SHORT else 1
