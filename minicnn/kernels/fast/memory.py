"""How the fast kernels lay out memory: aligned arrays, weights in blocks, rows copied into borders.

Work is cut into PIECES, however many threads there are, and partial sums are added in the order of the pieces:
the same bits on any number of threads.  Used by all files of this folder that hold a kernel.
"""

import numpy as np
from numpy.typing import DTypeLike

from ...compiling import njit
from .cpu import VECTOR_BYTES, VECTORS

PIECES = 8


def tile_width(dtype: DTypeLike) -> int:
    """How many values a row of the tile holds."""
    return VECTORS * VECTOR_BYTES // np.dtype(dtype).itemsize


def aligned(shape: tuple[int, ...], dtype: DTypeLike, fill: float | None = None) -> np.ndarray:
    """A new array that begins on a cache line, so that no vector of it straddles two."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    array = memory[start : start + size].view(dtype).reshape(shape)
    if fill is not None:
        array[...] = fill
    return array


def pack(matrix: np.ndarray) -> np.ndarray:
    """(K, O) -> (blocks, K, width): columns in blocks of the tile's width, the last filled up with zeros."""
    K, O = matrix.shape  # noqa: E741
    width = tile_width(matrix.dtype)
    blocks = -(-O // width)
    padded = np.zeros((K, blocks * width), matrix.dtype)
    padded[:, :O] = matrix
    packed = aligned((blocks, K, width), matrix.dtype)
    packed[...] = padded.reshape(K, blocks, width).transpose(1, 0, 2)
    return packed


@njit(cache=True, nogil=True)
def copy_rows(target, t0, t_pitch, source, s0, s_pitch, rows, length):
    """Copy rows of `length` values between flat arrays whose rows are a pitch apart, such as into a border."""
    for r in range(rows):
        t, s = t0 + r * t_pitch, s0 + r * s_pitch
        target[t : t + length] = source[s : s + length]


@njit(cache=True, nogil=True)
def add_rows(target, t0, source, length):
    """target += source, both flat, from `t0` on."""
    flat = target.reshape(-1)
    for v in range(length):
        flat[np.uintp(t0 + v)] += source[np.uintp(v)]


@njit(cache=True, nogil=True)
def all_finite(values, length):
    """Whether the first `length` of flat values are: x * 0 is 0 for finite numbers alone."""
    wrong, zero = 0, values.dtype.type(0)
    for v in range(length):
        wrong += values[np.uintp(v)] * zero != zero
    return wrong == 0
