"""The backward pass of a conv -> ReLU -> max pool block, from its winners alone.

Each pooled value passed on one of four outputs of the convolution, its winner, and only if that was above 0.
So dY, the gradient at the convolution's output, has at most one value in four that is not zero.  The lists
below name those that are not; with them both products of the backward pass are weighted sums of rows:

    dweight[:, :, :, oc] = sum over the winners of channel oc      of g * x[window of the winner]
    dx[window of a place] = sum over the channels that won there   of g * weight[:, :, :, oc]

Both sums stay in registers (`tiles/gather.py`).  With few input channels the rows are too short to be worth a
list: there dY is written out, a pooled row at a time, and multiplied as `convolution/passes.py` does.
Called by `block.py`.
"""

import numpy as np
from numba import get_thread_id, prange

from ....runtime.compiling import njit
from ...geometry import Padding, Pair
from ..convolution.band import bordered_band, copy_band, crop_picture
from ..convolution.pool import NOBODY
from ..memory import PIECES, add_rows, all_finite, bordered, clear, copy_rows, empty, tile_width, unpack_sum
from ..tiles.cpu import VECTOR_BYTES
from ..tiles.gather import WIDE, gather
from ..tiles.product import product
from .lists import list_channels, list_place

LIST = 40  # pooled values of one channel that are listed together, about
CHUNK = WIDE  # vectors of a kernel row that are summed at once: what is read again and again then stays in the cache
TOGETHER = 64  # output channels whose weights are read again and again, likewise


def dense_dweight(
    dy: np.ndarray, winner: np.ndarray, x: np.ndarray, shape: tuple[int, ...], strides: Pair, padding: Padding
) -> tuple[np.ndarray, np.ndarray, bool]:
    """dweight, dbias, and whether all of x is finite, where KW*C is small: dY written out."""
    KH, KW, C, OC = shape
    width = tile_width(x.dtype)
    blocks = -(-OC // width)
    parts, dbias = empty((PIECES, blocks, KH * KW * C, width), x.dtype), np.zeros((PIECES, OC), x.dtype)
    fine = np.ones(PIECES, np.bool_)
    _dense_dweight(dy, winner, x, parts, dbias, fine, (KH, KW), strides, padding)
    return unpack_sum(parts, OC).reshape(shape), dbias.sum(0), bool(fine.all())


def winners_dweight(
    dy: np.ndarray, winner: np.ndarray, x: np.ndarray, shape: tuple[int, ...], strides: Pair, padding: Padding
) -> tuple[np.ndarray, np.ndarray, bool]:
    """dweight, dbias, and whether all of x is finite, from lists of winners."""
    KH, KW, C, OC = shape
    lanes = tile_width(x.dtype) // 2
    length = -(-KW * C // lanes) * lanes  # a kernel row, filled up to whole vectors
    parts, dbias = empty((PIECES, OC, KH, length), x.dtype), np.zeros((PIECES, OC), x.dtype)
    pictures = bordered(x, padding, length, _apart(x, length, KW * C))
    fine = np.ones(PIECES, np.bool_)
    _winners_dweight(dy, winner, x, pictures, parts, dbias, fine, strides, padding)
    dweight = np.empty(shape, x.dtype)
    _turn_sum(parts, dweight.reshape(KH, KW * C, OC))
    return dweight, dbias.sum(0), bool(fine.all())


def winners_dx(
    dy: np.ndarray,
    winner: np.ndarray,
    x_shape: tuple[int, ...],
    weight: np.ndarray,
    strides: Pair,
    padding: Padding,
) -> np.ndarray:
    """dx from lists of winners."""
    KH, KW, C, OC = weight.shape
    lanes = tile_width(dy.dtype) // 2
    length = -(-KW * C // lanes) * lanes
    rows = empty((KH, OC, length), dy.dtype)
    rows[:, :, KW * C :] = 0
    rows[:, :, : KW * C] = weight.transpose(0, 3, 1, 2).reshape(KH, OC, KW * C)
    dx = empty(x_shape, dy.dtype)
    dpictures = bordered(dx, padding, length, _apart(dx, length, KW * C))
    _winners_dx(dy, winner, rows, dpictures, dx, KW, strides, padding)
    return dx


def _apart(x, length, values):
    """Whether sums need a copy of the picture: where its rows are no whole vectors, or begin off a cache line."""
    return length > values or x.ctypes.data % VECTOR_BYTES > 0


@njit(cache=True, nogil=True, parallel=True)
def _dense_dweight(dy, winner, x, parts, dbias, fine, kernel, strides, padding):
    N, H, W, C = x.shape
    _, PH, PW, OC = winner.shape
    (KH, KW), (SH, SW), ((top, bottom), (left, right)) = kernel, strides, padding
    HP, WP = H + top + bottom, W + left + right
    _, blocks, K, width = parts.shape
    wide = blocks * width
    flat_x, flat_dy, flat_winner = x.reshape(-1), dy.reshape(-1), winner.reshape(-1)
    zero = x.dtype.type(0)
    for piece in prange(PIECES):
        clear(parts.reshape(-1), piece * blocks * K * width, blocks * K * width)
        picture = np.zeros(HP * WP * C, x.dtype)
        dY = np.zeros(2 * 2 * PW * wide, x.dtype)
        part, bias = np.empty(KW * C * width, x.dtype), np.zeros(OC, x.dtype)
        for n in range(piece * N // PIECES, (piece + 1) * N // PIECES):
            copy_band(picture, x, n, 0, HP, ((top, bottom), (left, right)))
            fine[piece] &= all_finite(flat_x, n * H * W * C, H * W * C)
            for ph in range(PH):
                for pw in range(PW):
                    y0 = ((n * PH + ph) * PW + pw) * OC
                    for who in range(4):
                        at = ((who >> 1) * 2 * PW + 2 * pw + (who & 1)) * wide
                        for v in range(OC):
                            won = flat_winner[np.uintp(y0 + v)] == np.uint8(who)
                            dY[np.uintp(at + v)] = flat_dy[np.uintp(y0 + v)] if won else zero
                    for v in range(OC):
                        alive = flat_winner[np.uintp(y0 + v)] < np.uint8(NOBODY)
                        bias[np.uintp(v)] += flat_dy[np.uintp(y0 + v)] if alive else zero
                for j in range(blocks):
                    for kh in range(KH):
                        product(part, 0, width, picture, (2 * ph * SH + kh) * WP * C, 1, SH * WP * C, SW * C,
                                dY, j * width, 2 * PW * wide, wide, 2, 2 * PW, KW * C)  # fmt: skip
                        add_rows(
                            parts, ((piece * blocks + j) * K + kh * KW * C) * width, part, KW * C * width
                        )
        copy_rows(dbias.reshape(-1), piece * OC, 0, bias, 0, 0, 1, OC)


@njit(cache=True, nogil=True, parallel=True)
def _winners_dweight(dy, winner, x, pictures, parts, dbias, fine, strides, padding):
    N, H, W, C = x.shape
    _, PH, PW, OC = winner.shape
    _, _, KH, length = parts.shape
    (SH, SW), ((top, bottom), (left, right)) = strides, padding
    HP, WP = top + H + bottom, left + W + right
    chunk = min(length, CHUNK * VECTOR_BYTES // x.itemsize)
    together = max(1, min(PH, LIST // PW))  # pooled rows listed together
    lanes = VECTOR_BYTES // x.itemsize
    room = -(-together * PW // lanes) * lanes
    flat_x, flat_dy, flat_winner = x.reshape(-1), dy.reshape(-1), winner.reshape(-1)
    corner = np.empty(together * PW, np.int32)  # where the window of each of these places begins
    for p in range(together * PW):
        corner[p] = (2 * (p // PW) * SH * WP + 2 * (p % PW) * SW) * C
    for piece in prange(PIECES):
        clear(parts.reshape(-1), piece * OC * KH * length, OC * KH * length)
        thread = get_thread_id()
        clear(pictures.reshape(-1), thread * pictures.shape[1], pictures.shape[1])
        g, at = np.empty(OC * room, x.dtype), np.empty(OC * room, np.int32)
        count, bias = np.empty(OC, np.int64), np.zeros(OC, x.dtype)
        for n in range(piece * N // PIECES, (piece + 1) * N // PIECES):
            fine[piece] &= all_finite(flat_x, n * H * W * C, H * W * C)
            picture, first = bordered_band(pictures[thread], x, n, 0, HP, ((top, bottom), (left, right)))
            for ph in range(0, PH, together):
                list_channels(g, at, count, room, bias, flat_dy, flat_winner, (n * PH + ph) * PW * OC, OC,
                              corner, min(together, PH - ph) * PW, SH * WP * C, SW * C)  # fmt: skip
                for done in range(0, length, chunk):
                    wide = min(chunk, length - done)
                    x0 = first + 2 * ph * SH * WP * C + done
                    for oc in range(OC):
                        gather(parts, (piece * OC + oc) * KH * length + done, length, g, at, oc * room, count[oc],
                               picture, x0, WP * C, KH, wide, wide)  # fmt: skip
        copy_rows(dbias.reshape(-1), piece * OC, 0, bias, 0, 0, 1, OC)


@njit(cache=True, nogil=True, parallel=True)
def _turn_sum(parts, dweight):
    """dweight[kh, kw*c, oc] = the sum over the pieces of parts[piece, oc, kh, kw*c], some values at a time."""
    pieces, OC, KH, length = parts.shape
    size = dweight.shape[1]
    runs = -(-size // 16)
    for run in prange(KH * runs):
        kh, first = run // runs, run % runs * 16
        total = np.empty(16, parts.dtype)
        here = min(16, size - first)
        for oc in range(OC):
            for v in range(here):
                total[v] = parts[0, oc, kh, first + v]
            for piece in range(1, pieces):
                for v in range(here):
                    total[v] += parts[piece, oc, kh, first + v]
            for v in range(here):
                dweight[kh, first + v, oc] = total[v]


@njit(cache=True, nogil=True, parallel=True)
def _winners_dx(dy, winner, rows, dpictures, dx, KW, strides, padding):
    N, H, W, C = dx.shape
    _, PH, PW, OC = winner.shape
    KH, _, length = rows.shape
    (SH, SW), ((top, bottom), (left, right)) = strides, padding
    HP, WP = top + H + bottom, left + W + right
    flat_dy, flat_winner, flat_dx = dy.reshape(-1), winner.reshape(-1), dx.reshape(-1)
    chunk = min(length, CHUNK * VECTOR_BYTES // dx.itemsize)
    room = PW * min(OC, TOGETHER) + VECTOR_BYTES
    for piece in prange(PIECES):
        thread = get_thread_id()
        g, at = np.empty(room, dx.dtype), np.empty(room, np.int32)
        start = np.empty(PW * 4 + 1, np.int64)
        for n in range(piece * N // PIECES, (piece + 1) * N // PIECES):
            dpicture, first = flat_dx, n * H * W * C
            if len(dpictures[thread]) > 0:  # with a border, or room for whole vectors at the end
                dpicture, first = dpictures[thread], 0
            dpicture[first : first + HP * WP * C] = 0  # a slice: for so much memory it is faster than `clear`
            for ph in range(PH):
                for o0 in range(0, OC, TOGETHER):
                    q = 0
                    for pw in range(PW):
                        y0 = ((n * PH + ph) * PW + pw) * OC
                        q = list_place(g, at, q, start, 4 * pw, flat_dy, flat_winner, y0,
                                       o0, min(OC, o0 + TOGETHER), length)  # fmt: skip
                    start[4 * PW] = q
                    for done in range(0, length, chunk):
                        wide = min(chunk, length - done)
                        for pw in range(PW):
                            for who in range(4):
                                row, column = 2 * ph + (who >> 1), 2 * pw + (who & 1)
                                d0 = first + (row * SH * WP + column * SW) * C + done
                                p0 = start[4 * pw + who]
                                gather(dpicture, d0, WP * C, g, at, p0, start[4 * pw + who + 1] - p0,
                                       rows, done, OC * length, KH, wide, KW * C - done)  # fmt: skip
            if first == 0 and len(dpictures[thread]) > 0:
                crop_picture(dx, n, dpicture, ((top, bottom), (left, right)))
