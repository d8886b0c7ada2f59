"""How the fast kernels get and lay out memory: recycled arrays, weights in blocks, rows copied into borders.

Fresh memory from the system costs a page fault every 4 KB, which a training step would pay anew for each of its
arrays.  `empty` takes memory that an earlier step gave back; so a steady step asks the system for nothing.

Work is cut into PIECES, however many threads there are, and partial sums are added in the order of the pieces:
the same bits on any number of threads.  Used by all files of this folder that hold a kernel.
"""

import math
import threading

import numpy as np
from numba import get_num_threads, prange
from numpy.typing import DTypeLike

from ...runtime.compiling import njit, plain
from ..geometry import Padding
from .tiles.cpu import VECTOR_BYTES, VECTORS

PIECES = 8
SMALL = 1 << 17  # bytes below which the system's own allocator is as good
LARGE = 1 << 22  # bytes of outputs that the next layer will not find in the caches
LINE = 64  # bytes of a cache line
WINDOW = 10_000  # arrays taken, after which a larger need of earlier work is forgotten; a training step takes hundreds


class Piece:
    """A piece of memory, from a cache line on."""

    def __init__(self, size: int):
        self.memory, self.size = np.empty(size + LINE, np.uint8), size
        start = self.memory.ctypes.data
        start += -start % LINE
        self.interface = {"shape": (size,), "typestr": "|u1", "data": (start, False), "version": 3}


class Recycler:
    """Memory that was given back, by size; the longest unused is let go first.

    What is in use and what is idle are together never more than twice what was once in use: less would not hold all
    the sizes that a network takes in turn, and each step would wait for the system again.  "Once" is among the last
    WINDOW to 2*WINDOW arrays taken, so the memory of a large model is given back while a small one works; `release`
    gives it back at once.
    """

    def __init__(self):
        self._idle: dict[int, list[Piece]] = {}  # in the order of their last use
        self.lock = threading.RLock()
        self.in_use = self.idle = self.most = 0
        self._recent = self._taken = 0  # most in use in this window, and arrays taken in it

    def take(self, size: int) -> np.ndarray:
        """`size` bytes, as uint8, that come back when no array looks at them any more."""
        size += -size % (
            1 << max(12, size.bit_length() - 3)
        )  # few different sizes, at most a quarter too large
        with self.lock:
            stack = self._idle.pop(size, [])
            self._idle[size] = stack
            if stack:
                piece = stack.pop()
                self.idle -= size
            else:
                piece = Piece(size)
            self.in_use += size
            self._remember()
            while self.in_use + self.idle > 2 * self.most:
                oldest = next(iter(self._idle))
                if self._idle[oldest]:
                    self._idle[oldest].pop()
                    self.idle -= oldest
                else:
                    del self._idle[oldest]
        return np.asarray(_Lease(self, piece))

    def _remember(self):
        self._taken += 1
        self._recent = max(self._recent, self.in_use)
        self.most = max(self.most, self._recent)
        if self._taken == WINDOW:
            self.most, self._recent, self._taken = self._recent, self.in_use, 0

    def release(self) -> None:
        """Give all idle memory back to the system."""
        with self.lock:
            self._idle.clear()
            self.idle = self._taken = 0
            self.most = self._recent = self.in_use

    def give_back(self, piece: Piece) -> None:
        """Called when the last array on that memory is gone."""
        with self.lock:
            self.in_use -= piece.size
            self.idle += piece.size
            self._idle.setdefault(piece.size, []).append(piece)


class _Lease:
    """What NumPy holds on to as long as an array on the memory lives."""

    def __init__(self, recycler, piece):
        self.recycler, self.piece, self.__array_interface__ = recycler, piece, piece.interface

    def __del__(self):
        self.recycler.give_back(self.piece)


RECYCLER = Recycler()


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """An array with any numbers in it; a large one begins on a cache line, so that no vector of it straddles two."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < SMALL:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, RECYCLER.take(size))


def bordered(
    x: np.ndarray, padding: Padding, slack: int = 0, always: bool = False, rows: int | None = None
) -> np.ndarray:
    """Room for one picture a thread with its border, and `slack` values behind it; none where there is no border.

    Then a kernel takes the pictures as they lie, unless it needs room `always`.  With `rows` it is room for as many
    of a picture.  Each begins on a cache line.
    """
    _, H, W, C = x.shape
    if not any(map(any, padding)) and not always:
        return empty((get_num_threads(), 0), x.dtype)
    size = (rows or H + sum(padding[0])) * (W + sum(padding[1])) * C + slack
    return empty((get_num_threads(), size + -size % LINE), x.dtype)


def tile_width(dtype: DTypeLike) -> int:
    """How many values a row of the tile holds."""
    return VECTORS * VECTOR_BYTES // np.dtype(dtype).itemsize


def pack(matrix: np.ndarray) -> np.ndarray:
    """(K, O) -> (blocks, K, width): columns in blocks of the tile's width, the last filled up with zeros.

    To be read only: a matrix that is one block already is not copied.
    """
    K, O = matrix.shape  # noqa: E741
    width = tile_width(matrix.dtype)
    if width == O and matrix.flags.c_contiguous:
        return matrix.reshape(1, K, width)
    packed = empty((-(-O // width), K, width), matrix.dtype)
    _pack(plain(matrix), packed)
    return packed


@njit(cache=True, nogil=True, parallel=True)
def _pack(matrix, packed):
    blocks, K, width = packed.shape
    flat, flat_packed = matrix.reshape(-1), packed.reshape(-1)
    O = matrix.shape[1]  # noqa: E741
    for j in prange(blocks):
        here = min(width, O - j * width)
        for k in range(K):
            p0, m0 = (j * K + k) * width, k * O + j * width
            for v in range(here):
                flat_packed[np.uintp(p0 + v)] = flat[np.uintp(m0 + v)]
            for v in range(here, width):
                flat_packed[np.uintp(p0 + v)] = 0


def unpack_sum(parts: np.ndarray, O: int) -> np.ndarray:  # noqa: E741
    """(pieces, blocks, K, width) -> (K, O): the pieces added in their order, the blocks side by side again."""
    total = np.empty((parts.shape[2], O), parts.dtype)
    _unpack_sum(parts, total)
    return total


@njit(cache=True, nogil=True, parallel=True)
def _unpack_sum(parts, total):
    pieces, blocks, K, width = parts.shape
    flat, flat_total = parts.reshape(-1), total.reshape(-1)
    O = total.shape[1]  # noqa: E741
    for k in prange(K):
        for j in range(blocks):
            here, t0 = min(width, O - j * width), k * O + j * width
            for v in range(here):
                flat_total[np.uintp(t0 + v)] = flat[np.uintp((j * K + k) * width + v)]
            for piece in range(1, pieces):
                p0 = ((piece * blocks + j) * K + k) * width
                for v in range(here):
                    flat_total[np.uintp(t0 + v)] += flat[np.uintp(p0 + v)]


@njit(cache=True, nogil=True)
def copy_rows(target, t0, t_pitch, source, s0, s_pitch, rows, length):
    """Copy rows of `length` values between flat arrays whose rows are a pitch apart, such as into a border.

    A loop, here and in `clear`: numba takes a second to compile each kind of slice that is written to.
    """
    for r in range(rows):
        t, s = t0 + r * t_pitch, s0 + r * s_pitch
        for v in range(length):
            target[np.uintp(t + v)] = source[np.uintp(s + v)]


@njit(cache=True, nogil=True)
def clear(values, start, length):
    """`length` zeros in a flat array from `start` on."""
    for v in range(length):
        values[np.uintp(start + v)] = 0


@njit(cache=True, nogil=True)
def add_rows(target, t0, source, length):
    """target += source, both flat, from `t0` on."""
    flat = target.reshape(-1)
    for v in range(length):
        flat[np.uintp(t0 + v)] += source[np.uintp(v)]


@njit(cache=True, nogil=True)
def all_finite(values, start, length):
    """Whether `length` flat values from `start` on are: x * 0 is 0 for finite numbers alone."""
    wrong, zero = 0, values.dtype.type(0)
    for v in range(length):
        wrong += values[np.uintp(start + v)] * zero != zero
    return wrong == 0
