"""Images brought to another size with an antialiased bilinear filter: each new pixel is a weighted mean of old ones.

When an image shrinks, the weights fall along a straight line from the middle of the new pixel to that of its
neighbours, so that every old pixel counts; when it grows, the two nearest old ones are blended.  It is
done down the columns, then along the rows.  It is Pillow's `BILINEAR` to two levels of 255, several times as fast,
and does not change with Pillow's version.

The idea: three colours travel in one 64-bit word, 21 bits each.  A colour has 8 bits and the weights of a mean are
whole numbers that add up to 2^13, so that no colour's sum reaches the next one's bits, and one multiplication
serves all three.

Called by `decoding.py`.
"""

from functools import lru_cache

import numpy as np

from ..runtime.compiling import njit

FIELD = 21  # bits of a word that belong to a colour
WEIGHT = 13  # bits of the weights; 8 + 13 = 21
ONES = 1 | 1 << FIELD | 1 << 2 * FIELD  # times a number: that number in each colour
HALF = np.uint64(ONES << WEIGHT - 1)  # so that what is cut off is rounded
BYTES = np.uint64(ONES * 255)
CACHED = 8192  # pixels; weights for longer sides, up to a megabyte, are not kept


def resize(
    pixels: np.ndarray, height: int, width: int, extent: tuple[float, float] | None = None
) -> np.ndarray:
    """An image of another size.

    Parameters
    ----------
    pixels : array (H, W), uint32
        Red in the lowest byte, then green and blue; the highest is not looked at.
    height, width : int
    extent : (float, float), optional
        Only the part above and left of this (row, column) is shown, which need not be whole; else (H, W).

    Returns
    -------
    array (height, width, 3), uint8

    Examples
    --------
    >>> resize(np.array([[0, 10, 20, 30]], np.uint32), 1, 2)[..., 0]
    array([[ 7, 23]], dtype=uint8)
    """
    down, across = pixels.shape if extent is None else extent
    rows, columns = means(pixels.shape[0], down, height), means(pixels.shape[1], across, width)
    out = np.empty((height, width, 3), np.uint8)
    _resize(pixels, *rows, *columns, out)
    return out


def means(old: int, extent: float, new: int) -> tuple[np.ndarray, np.ndarray]:
    """Which old pixels each new one is the mean of, along one axis.

    Parameters
    ----------
    old, new : int
        Pixels.
    extent : float
        How much of the old ones is shown.

    Returns
    -------
    first : array (new,), int64
    weights : array (new, K), uint64
        Of the pixels `first` ... `first + K - 1`; each row adds up to 2^13.
    """
    return _cached_means(old, extent, new) if old <= CACHED else _means_of_axis(old, extent, new)


def _means_of_axis(old, extent, new):
    step = extent / new
    reach = max(step, 1.0)
    middle = (np.arange(new) + 0.5) * step
    first = np.maximum((middle - reach + 0.5).astype(np.int64), 0)
    last = np.minimum((middle + reach + 0.5).astype(np.int64), old)
    count = int((last - first).max())
    first = np.minimum(first, old - count)
    distance = np.abs(first[:, None] + np.arange(count) + 0.5 - middle[:, None])
    weights = np.maximum(1 - distance / reach, 0)
    weights = np.rint(weights * (1 << WEIGHT) / weights.sum(1, keepdims=True)).astype(np.int64)
    weights[np.arange(new), weights.argmax(1)] += (1 << WEIGHT) - weights.sum(1)
    return first, weights.astype(np.uint64)


_cached_means = lru_cache(1024)(_means_of_axis)


@njit(cache=True, nogil=True)
def _resize(pixels, first_row, row_weights, first_column, column_weights, out):
    W = pixels.shape[1]
    OH, OW, _ = out.shape
    line = np.empty(W, np.uint64)
    for h in range(OH):
        for w in range(W):
            line[w] = HALF
        for k in range(row_weights.shape[1]):
            _add(pixels[first_row[h] + k], row_weights[h, k], line)
        for w in range(W):
            line[w] = (line[w] >> np.uint64(WEIGHT)) & BYTES
        _means(line, first_column, column_weights, out[h].reshape(-1))


@njit(cache=True, nogil=True)
def _add(row, weight, line):
    """line += weight * row, its colours spread over the word."""
    for w in range(len(line)):
        pixel = np.uint64(row[w])
        spread = (
            pixel & np.uint64(0xFF)
            | (pixel & np.uint64(0xFF00)) << np.uint64(FIELD - 8)
            | (pixel & np.uint64(0xFF0000)) << np.uint64(2 * FIELD - 16)
        )
        line[w] += weight * spread


@njit(cache=True, nogil=True)
def _means(line, first, weights, out):
    for w in range(len(first)):
        word, place = HALF, np.uintp(first[w])
        for k in range(weights.shape[1]):
            word += weights[w, k] * line[place + np.uintp(k)]
        i = np.uintp(3 * w)
        out[i] = (word >> np.uint64(WEIGHT)) & np.uint64(255)
        out[i + np.uintp(1)] = (word >> np.uint64(WEIGHT + FIELD)) & np.uint64(255)
        out[i + np.uintp(2)] = (word >> np.uint64(WEIGHT + 2 * FIELD)) & np.uint64(255)
