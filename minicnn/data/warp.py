"""Pictures through affine maps, colours and holes, from bytes to float32: the loops over pixels of `augmentation.py`.

A picture's pixels are packed into one 32-bit word each, with a border that repeats the last row and column, so that
a position takes four loads and no question whether it is at the edge.  A row at a time, positions, loads and
blending are loops of their own, since the compiler makes vectors of a loop that does one thing.

The loops are serial and hold no lock of Python's.  A batch is cut among Python threads by `augmentation.py`, not by
numba's prange, because batches are made while the network computes: numba's simplest pool of threads ends the process
when two Python threads enter it, so that a parallel loop would have to wait for each kernel of the network, and each
kernel for it.  A picture's pixels depend on nothing outside of it, so any number of threads gives the same bits.
"""

import numpy as np

from ..runtime.compiling import njit

GROUP = 3  # channels that share a word
LANES = 16  # values in the widest vector: rows are computed in whole vectors
HOLE = np.float32(0.5)  # the grey that a cut-out square is filled with


@njit(cache=True, nogil=True)
def warp(pictures, matrices, colours, holes, out):
    """out[n, h, w] = colour(pictures[n] at matrices[n] @ (h, w, 1)), bilinear, then its hole.

    Parameters
    ----------
    pictures : array (N, H, W, C), uint8
    matrices : array (N, 2, 3), float64
        From (row, column, 1) of the output to (row, column) of the picture; outside lies the nearest pixel.
    colours : array (N, 3), float32
        Factors of brightness, contrast and saturation; 1 changes nothing.  The last two need C = 3.
    holes : array (N, 4), int64
        Top, bottom, left and right of a square that becomes grey; empty where top = bottom.
    out : array (N, OH, OW, C), float32
        Written, in [0, 1].
    """
    _, H, W, C = pictures.shape
    _, OH, OW, _ = out.shape
    words = np.empty((H + 1) * (W + 1), np.uint32)
    wide = -(-OW // LANES) * LANES
    places, corners = np.empty(wide, np.uint32), np.empty((4, wide), np.uint32)
    shares, colour = np.empty((2, wide), np.float32), np.empty((GROUP, wide), np.float32)
    greys = np.empty(wide, np.float32)
    for n in range(len(pictures)):
        brightness, contrast, saturation = colours[n]
        scale = brightness / np.float32(255)
        greys[:] = 0
        for first in range(0, C, GROUP):
            count = min(GROUP, C - first)
            _pack(pictures[n].reshape(-1), C, first, count, H, W, words)
            for h in range(OH):
                _positions(matrices[n], h, H, W, places, shares[0], shares[1])
                _load(words, places, W, corners[0], corners[1], corners[2], corners[3])
                _blend(corners[0], corners[1], corners[2], corners[3], shares[0], shares[1], scale, colour)
                if saturation != 1:
                    _saturate(colour[0], colour[1], colour[2], saturation)
                if contrast != 1:
                    _add_grey(colour[0], colour[1], colour[2], greys)
                _store(colour, first, count, out[n, h])
        rest = (1 - contrast) * greys[:OW].sum() / (OH * OW)
        _finish(out[n].reshape(-1), contrast, np.float32(rest))
        top, bottom, left, right = holes[n]
        out[n, top:bottom, left:right] = HOLE


@njit(cache=True, nogil=True)
def _pack(picture, C, first, count, H, W, words):
    """`count` channels of each pixel in one word; the last column and row are there twice."""
    for h in range(H):
        row, line = words[h * (W + 1) : (h + 1) * (W + 1)], picture[h * W * C : (h + 1) * W * C]
        if C == 3:  # with the distance known, it becomes vectors
            for w in range(W):
                i = np.uintp(3 * w)
                green, blue = np.uint32(line[i + np.uintp(1)]), np.uint32(line[i + np.uintp(2)])
                row[w] = line[i] | green << 8 | blue << 16
        else:
            for w in range(W):
                row[w] = 0
                for c in range(count):
                    row[w] |= np.uint32(line[w * C + first + c]) << (8 * c)
        row[W] = row[W - 1]
    words[H * (W + 1) :] = words[(H - 1) * (W + 1) : H * (W + 1)]


@njit(cache=True, nogil=True)
def _positions(matrix, h, H, W, places, down, across):
    """Where each pixel of row h comes from: its word, and how far it lies below and right of that."""
    y, y_step = matrix[0, 0] * h + matrix[0, 2], matrix[0, 1]
    x, x_step = matrix[1, 0] * h + matrix[1, 2], matrix[1, 1]
    lowest, rightmost, next_row = H - 1.0, W - 1.0, np.int32(W + 1)
    for w in range(len(places)):
        row = min(max(y + y_step * w, 0.0), lowest)
        column = min(max(x + x_step * w, 0.0), rightmost)
        top, left = np.int32(row), np.int32(column)
        places[w] = np.int32(top * next_row) + left
        down[w], across[w] = row - top, column - left


@njit(cache=True, nogil=True)
def _load(words, places, W, top_left, top_right, bottom_left, bottom_right):
    right, down = np.uintp(1), np.uintp(W + 1)
    for w in range(len(places)):
        i = np.uintp(places[w])
        top_left[w], top_right[w] = words[i], words[i + right]
        bottom_left[w], bottom_right[w] = words[i + down], words[i + down + right]


@njit(cache=True, nogil=True)
def _blend(top_left, top_right, bottom_left, bottom_right, down, across, scale, colour):
    """The packed channels between their four corners, times `scale`."""
    one = np.float32(1)
    for c in range(GROUP):
        shift, out = np.uint32(8 * c), colour[c]
        for w in range(len(out)):
            fx, fy = across[w], down[w]
            above = (one - fx) * _byte(top_left[w], shift) + fx * _byte(top_right[w], shift)
            below = (one - fx) * _byte(bottom_left[w], shift) + fx * _byte(bottom_right[w], shift)
            out[w] = scale * ((one - fy) * above + fy * below)


@njit(cache=True, nogil=True)
def _byte(word, shift):
    return np.float32(np.int32(word >> shift) & np.int32(255))


@njit(cache=True, nogil=True)
def _saturate(red, green, blue, saturation):
    for w in range(len(red)):
        grey = (np.float32(1) - saturation) * _grey(red[w], green[w], blue[w])
        red[w] = saturation * red[w] + grey
        green[w] = saturation * green[w] + grey
        blue[w] = saturation * blue[w] + grey


@njit(cache=True, nogil=True)
def _add_grey(red, green, blue, total):
    for w in range(len(red)):
        total[w] += _grey(red[w], green[w], blue[w])


@njit(cache=True, nogil=True)
def _grey(red, green, blue):
    """How bright a colour looks (ITU-R BT.601)."""
    return np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue


@njit(cache=True, nogil=True)
def _store(colour, first, count, out):
    if out.shape[1] == 3:
        red, green, blue, flat = colour[0], colour[1], colour[2], out.reshape(-1)
        for w in range(len(out)):
            i = np.uintp(3 * w)
            flat[i], flat[i + np.uintp(1)], flat[i + np.uintp(2)] = red[w], green[w], blue[w]
    else:
        for c in range(count):
            for w in range(len(out)):
                out[w, first + c] = colour[c, w]


@njit(cache=True, nogil=True)
def _finish(picture, contrast, rest):
    """Contrast about the mean grey, then everything cut to [0, 1]."""
    zero, one = np.float32(0), np.float32(1)
    if contrast == one:
        for i in range(len(picture)):
            picture[i] = min(max(picture[i], zero), one)
    else:
        for i in range(len(picture)):
            picture[i] = min(max(contrast * picture[i] + rest, zero), one)
