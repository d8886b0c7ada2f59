"""The loops over pixels of augmentation.py: an affine map, colours and a hole, from uint8 to float32.

Each pixel is packed into one 32-bit word.  The last row and column are stored twice, so that interpolation always loads
four words and needs no check at the edge.  For each row, positions, loads and blending are separate loops, because the
compiler vectorizes a loop that does one thing.

The loops are serial and release Python's global lock.  augmentation.py divides a batch among Python threads; numba's
prange is not used, because batches are made while the network computes.  numba's simplest thread pool ends the process
if two Python threads enter it, so a parallel loop and the network's kernels would have to wait for each other.  An
image's result depends only on that image, so it is bit-identical for any number of threads.
"""

import numpy as np

from ..runtime.compiling import njit

GROUP = 3  # channels per word
LANES = 16  # values in the widest vector register; rows are padded to whole vectors
HOLE = np.float32(0.5)  # the grey of the cutout square


@njit(cache=True, nogil=True)
def warp(images, matrices, colours, holes, out):
    """out[n, h, w] = colour(images[n] at matrices[n] @ (h, w, 1)), bilinear, then its hole.

    Parameters
    ----------
    images : array (N, H, W, C), uint8
    matrices : array (N, 2, 3), float64
        From (row, column, 1) of the output to (row, column) of the image.  Positions outside take the nearest pixel.
    colours : array (N, 3), float32
        Factors of brightness, contrast and saturation; 1 means no change.  The last two need C = 3.
    holes : array (N, 4), int64
        Top, bottom, left and right of a square that becomes grey; there is none if top = bottom.
    out : array (N, OH, OW, C), float32
        The result, in [0, 1].
    """
    _, H, W, C = images.shape
    _, OH, OW, _ = out.shape
    words = np.empty((H + 1) * (W + 1), np.uint32)
    wide = -(-OW // LANES) * LANES
    places, corners = np.empty(wide, np.uint32), np.empty((4, wide), np.uint32)
    shares, colour = np.empty((2, wide), np.float32), np.empty((GROUP, wide), np.float32)
    greys = np.empty(wide, np.float32)
    for n in range(len(images)):
        brightness, contrast, saturation = colours[n]
        scale = brightness / np.float32(255)
        greys[:] = 0
        for first in range(0, C, GROUP):
            count = min(GROUP, C - first)
            _pack(images[n].reshape(-1), C, first, count, H, W, words)
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
def _pack(image, C, first, count, H, W, words):
    """Pack `count` channels of each pixel into one word; the last column and row are stored twice."""
    for h in range(H):
        row, line = words[h * (W + 1) : (h + 1) * (W + 1)], image[h * W * C : (h + 1) * W * C]
        if C == 3:  # the compiler vectorizes this loop, because its stride is known
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
    """For each pixel of row h: the word of its top left corner, and its distances below and to the right of it."""
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
    """Interpolate the packed channels between four corners, and multiply by `scale`."""
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
    """The perceived brightness of a colour (ITU-R BT.601)."""
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
def _finish(image, contrast, rest):
    """Change the contrast about the mean grey, and clip to [0, 1]."""
    zero, one = np.float32(0), np.float32(1)
    if contrast == one:
        for i in range(len(image)):
            image[i] = min(max(image[i], zero), one)
    else:
        for i in range(len(image)):
            image[i] = min(max(contrast * image[i] + rest, zero), one)
