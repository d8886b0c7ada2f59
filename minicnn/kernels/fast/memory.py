"""Memory of the fast kernels: the buffer pool, weights packed in blocks, and rows copied into borders.

Fresh memory from the system costs a page fault every 4 KB, and a training step would pay it again for each of its
arrays.  `empty` reuses memory that an earlier step returned, so a steady training step takes no new memory.

Kernels divide their work into CHUNKS chunks, independent of the number of threads, and add partial sums in the order
of the chunks.  Results are therefore bit-identical for any number of threads.  Used by every kernel of this folder.
"""

import math
import threading

import numpy as np
from numba import get_num_threads, prange
from numpy.typing import DTypeLike

from ...runtime.compiling import as_contiguous, njit
from ..geometry import Padding
from .tiles.cpu import VECTOR_BYTES, VECTORS

CHUNKS = 8
SMALL = 1 << 17  # bytes below which the system's allocator is as fast as the pool
LARGE = 1 << 22  # bytes of outputs from which on the next layer will not find them in the caches
LINE = 64  # bytes of a cache line
WINDOW = 10_000  # arrays taken until the pool forgets an earlier, higher peak; a training step takes hundreds


class Buffer:
    """A block of memory that starts on a cache line."""

    def __init__(self, size: int):
        self.memory, self.size = np.empty(size + LINE, np.uint8), size
        start = self.memory.ctypes.data
        start += -start % LINE
        self.interface = {"shape": (size,), "typestr": "|u1", "data": (start, False), "version": 3}


class BufferPool:
    """Buffers that are not in use, by size; the least recently used is freed first.

    Total memory, in use and idle, is capped at twice the peak in use.  A lower cap would free buffers that the network
    needs again in the next step.  The peak is taken over the last WINDOW to 2*WINDOW arrays, so the memory of a
    large model is freed while smaller models run; `release` frees it at once.
    """

    def __init__(self):
        self._idle: dict[int, list[Buffer]] = {}  # least recently used first
        self.lock = threading.RLock()
        self.in_use = self.idle = self.peak = 0
        self._window_peak = self._taken = 0  # peak and arrays taken in the current window

    def take(self, size: int) -> np.ndarray:
        """An array of at least `size` uint8; its memory returns to the pool when no array refers to it any more."""
        # rounded up, by at most a quarter, so that few different sizes occur
        size += -size % (1 << max(12, size.bit_length() - 3))
        with self.lock:
            idle_buffers = self._idle.pop(size, [])
            self._idle[size] = idle_buffers
            if idle_buffers:
                buffer = idle_buffers.pop()
                self.idle -= size
            else:
                buffer = Buffer(size)
            self.in_use += size
            self._update_peak()
            while self.in_use + self.idle > 2 * self.peak:
                oldest = next(iter(self._idle))
                if self._idle[oldest]:
                    self._idle[oldest].pop()
                    self.idle -= oldest
                else:
                    del self._idle[oldest]
        return np.asarray(_BufferHandle(self, buffer))

    def _update_peak(self):
        self._taken += 1
        self._window_peak = max(self._window_peak, self.in_use)
        self.peak = max(self.peak, self._window_peak)
        if self._taken == WINDOW:
            self.peak, self._window_peak, self._taken = self._window_peak, self.in_use, 0

    def release(self) -> None:
        """Free all idle buffers."""
        with self.lock:
            self._idle.clear()
            self.idle = self._taken = 0
            self.peak = self._window_peak = self.in_use

    def give_back(self, buffer: Buffer) -> None:
        """Make the buffer idle; called when the last array on its memory is gone."""
        with self.lock:
            self.in_use -= buffer.size
            self.idle += buffer.size
            self._idle.setdefault(buffer.size, []).append(buffer)


class _BufferHandle:
    """The object that NumPy references as long as an array uses the buffer; when it dies, the buffer is returned."""

    def __init__(self, buffer_pool, buffer):
        self.buffer_pool, self.buffer, self.__array_interface__ = buffer_pool, buffer, buffer.interface

    def __del__(self):
        self.buffer_pool.give_back(self.buffer)


BUFFER_POOL = BufferPool()


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """An uninitialised array, from the buffer pool if it is large; then it begins on a cache line.

    So no aligned vector of it crosses two cache lines.
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < SMALL:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, BUFFER_POOL.take(size))


def bordered(
    x: np.ndarray, padding: Padding, slack: int = 0, always: bool = False, rows: int | None = None
) -> np.ndarray:
    """A scratch buffer per thread, each for one image with its border and `slack` values after it.

    Without padding the buffers are empty, because kernels then read the images where they are; `always` allocates them
    anyway.  With `rows`, each buffer holds that many rows instead of an image.  Each begins on a cache line.
    """
    _, H, W, C = x.shape
    if not any(map(any, padding)) and not always:
        return empty((get_num_threads(), 0), x.dtype)
    size = (rows or H + sum(padding[0])) * (W + sum(padding[1])) * C + slack
    return empty((get_num_threads(), size + -size % LINE), x.dtype)


def tile_width(dtype: DTypeLike) -> int:
    """How many values one row of the register tile holds."""
    return VECTORS * VECTOR_BYTES // np.dtype(dtype).itemsize


def pack(matrix: np.ndarray) -> np.ndarray:
    """(K, O) -> (blocks, K, width): columns in blocks of the tile's width; the last block is filled up with zeros.

    The result must not be written to: a matrix that is already one block is returned as a view.
    """
    K, O = matrix.shape  # noqa: E741
    width = tile_width(matrix.dtype)
    if width == O and matrix.flags.c_contiguous:
        return matrix.reshape(1, K, width)
    packed = empty((-(-O // width), K, width), matrix.dtype)
    _pack(as_contiguous(matrix), packed)
    return packed


@njit(cache=True, nogil=True, parallel=True)
def _pack(matrix, packed):
    blocks, K, width = packed.shape
    flat, flat_packed = matrix.reshape(-1), packed.reshape(-1)
    O = matrix.shape[1]  # noqa: E741
    for j in prange(blocks):
        valid = min(width, O - j * width)
        for k in range(K):
            p0, m0 = (j * K + k) * width, k * O + j * width
            for v in range(valid):
                flat_packed[np.uintp(p0 + v)] = flat[np.uintp(m0 + v)]
            for v in range(valid, width):
                flat_packed[np.uintp(p0 + v)] = 0


def unpack_sum(parts: np.ndarray, O: int) -> np.ndarray:  # noqa: E741
    """(chunks, blocks, K, width) -> (K, O): add the chunks in order and put the blocks side by side again."""
    total = np.empty((parts.shape[2], O), parts.dtype)
    _unpack_sum(parts, total)
    return total


@njit(cache=True, nogil=True, parallel=True)
def _unpack_sum(parts, total):
    chunks, blocks, K, width = parts.shape
    flat, flat_total = parts.reshape(-1), total.reshape(-1)
    O = total.shape[1]  # noqa: E741
    for k in prange(K):
        for j in range(blocks):
            valid, t0 = min(width, O - j * width), k * O + j * width
            for v in range(valid):
                flat_total[np.uintp(t0 + v)] = flat[np.uintp((j * K + k) * width + v)]
            for chunk in range(1, chunks):
                p0 = ((chunk * blocks + j) * K + k) * width
                for v in range(valid):
                    flat_total[np.uintp(t0 + v)] += flat[np.uintp(p0 + v)]


@njit(cache=True, nogil=True)
def copy_rows(target, t0, t_pitch, source, s0, s_pitch, rows, length):
    """Copy rows of `length` values between flat arrays whose rows are a pitch apart, for example into a border.

    Written as a loop, here and in `clear`, because numba takes a second to compile each kind of slice assignment.
    """
    for r in range(rows):
        t, s = t0 + r * t_pitch, s0 + r * s_pitch
        for v in range(length):
            target[np.uintp(t + v)] = source[np.uintp(s + v)]


@njit(cache=True, nogil=True)
def clear(values, start, length):
    """Set `length` values of a flat array to 0, from `start` on."""
    for v in range(length):
        values[np.uintp(start + v)] = 0


@njit(cache=True, nogil=True)
def add_rows(target, t0, source, length):
    """target[t0 : t0 + length] += source[:length], with target read as a flat array."""
    flat = target.reshape(-1)
    for v in range(length):
        flat[np.uintp(t0 + v)] += source[np.uintp(v)]


@njit(cache=True, nogil=True)
def all_finite(values, start, length):
    """Whether `length` values of a flat array are finite, from `start` on: x * 0 is 0 only for finite x."""
    not_finite, zero = 0, values.dtype.type(0)
    for v in range(length):
        not_finite += values[np.uintp(start + v)] * zero != zero
    return not_finite == 0
