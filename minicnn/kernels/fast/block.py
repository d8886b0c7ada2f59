"""conv -> ReLU -> max pool 2x2 as one: forward writes only what the pool lets through, backward touches only winners.

Max pooling sends each gradient to one of the four outputs under it, and ReLU stops it where that winner is
not above 0.  So of the convolution's backward pass at least three quarters are multiplications by zero.
Forward remembers the winner of each pooled value in a byte (0 to 3, or 4 for nobody); backward lists the
winners that live, a channel and a few rows at a time, and for each adds

    dweight[:, :, :, oc] += g * window(winner)         rows of the picture, summed in registers (gather)
    dx[window(winner)]   += g * weight[:, :, :, oc]    one row of weights, added in many places (scatter)

It is exact: the terms that are left out are zeros.  Called by `Sequential`, which finds such blocks among its layers.
"""

import numpy as np
from numba import njit, prange

from ..geometry import Padding, Pair, output_sizes
from .convolution import PIECES, RUN, aligned, copy_rows, pack, tile_width
from .cpu import REGISTERS, VECTOR_BYTES
from .product import product
from .tile import (
    gather_1,
    gather_3,
    gather_6,
    gather_12,
    gather_24,
    scatter_1,
    scatter_3,
    scatter_6,
    scatter_12,
    scatter_24,
)

NOBODY = 4
LONG = REGISTERS == 32  # whether 24 sums fit in registers
LIST = 64  # pooled values of one channel that are listed together, about


def block_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, strides: Pair, padding: Padding
) -> tuple[np.ndarray, np.ndarray]:
    """y = maxpool2x2(relu(conv(x))) and the winners.

    Returns
    -------
    y : array (N, OH // 2, OW // 2, OC)
    winner : array of the same shape, uint8
        0 to 3: the first largest of the four, row by row; 4: none of them is above 0.
    """
    x = np.ascontiguousarray(x)
    KH, KW, _, OC = weight.shape
    OH, OW = output_sizes(x.shape, (KH, KW), strides, padding)
    y = np.empty((len(x), OH // 2, OW // 2, OC), x.dtype)
    winner = np.empty(y.shape, np.uint8)
    if bias is None:
        bias = np.zeros(OC, x.dtype)
    _forward(x, pack(weight.reshape(-1, OC)), bias, y, winner, (KH, KW), OW, strides, padding)
    return y, winner


def block_backward(
    dy: np.ndarray,
    winner: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    strides: Pair,
    padding: Padding,
    need_dx: bool = True,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """dx, dweight, dbias of the whole block, from the winners alone."""
    x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
    KH, KW, C, OC = weight.shape
    lanes = tile_width(x.dtype) // 2
    length = -(-KW * C // lanes) * lanes  # a kernel row, filled up to whole vectors
    rows = aligned((OC, KH, length), x.dtype, 0)
    rows[:, :, : KW * C] = weight.transpose(3, 0, 1, 2).reshape(OC, KH, KW * C)
    dweight, dbias = aligned((PIECES, OC, KH, length), x.dtype, 0), np.zeros((PIECES, OC), x.dtype)
    size = (x.shape[1] + sum(padding[0])) * (x.shape[2] + sum(padding[1])) * C + length
    size += -size % (2 * lanes)
    pictures, dpictures = (
        aligned((PIECES, size), x.dtype, 0),
        aligned((PIECES, size if need_dx else 1), x.dtype),
    )
    dx = np.empty(x.shape if need_dx else (1, 1, 1, 1), x.dtype)
    _backward(dy, winner, x, rows, pictures, dpictures, dweight, dbias, dx, KW, strides, padding, need_dx)
    dweight = dweight.sum(0)[:, :, : KW * C].reshape(OC, KH, KW, C).transpose(1, 2, 3, 0)
    return dx if need_dx else None, np.ascontiguousarray(dweight), dbias.sum(0)


@njit(cache=True, nogil=True, parallel=True)
def _forward(x, packed, bias, y, winner, kernel, OW, strides, padding):
    N, H, W, C = x.shape
    _, PH, PW, OC = y.shape
    (KH, KW), (SH, SW), ((top, bottom), (left, right)) = kernel, strides, padding
    HP, WP = H + top + bottom, W + left + right
    blocks, K, width = packed.shape
    bordered = top + bottom + left + right > 0
    joined = SH == 1 and SW == 1  # rows that follow one another with one step
    pitch = WP if joined else OW
    rows = max(1, min(PH, RUN // (2 * pitch)))  # pooled rows of a band
    flat_x, flat_y, flat_winner = x.reshape(-1), y.reshape(-1), winner.reshape(-1)
    for piece in prange(PIECES):
        buffer = np.zeros(HP * WP * C if bordered else 1, x.dtype)
        out = np.empty(2 * rows * pitch * width, x.dtype)
        for n in range(piece * N // PIECES, (piece + 1) * N // PIECES):
            if bordered:
                copy_rows(buffer, (top * WP + left) * C, WP * C, flat_x, n * H * W * C, W * C, H, W * C)
            for ph in range(0, PH, rows):
                band = min(rows, PH - ph)
                for j in range(blocks):
                    w0 = j * K * width
                    for r in range(1 if joined else 2 * band):
                        run = (2 * band - 1) * pitch + 2 * PW if joined else 2 * PW
                        first = (2 * ph + r) * SH * WP * C
                        if bordered:
                            product(out, r * pitch * width, width, buffer, first, SW * C, WP * C, 1,
                                    packed, w0, KW * C * width, width, KH, KW * C, run)  # fmt: skip
                        else:
                            product(out, r * pitch * width, width, x, n * H * W * C + first, SW * C, W * C, 1,
                                    packed, w0, KW * C * width, width, KH, KW * C, run)  # fmt: skip
                    o0 = j * width
                    here = min(width, OC - o0)
                    for r in range(band):
                        for pw in range(PW):
                            above = (2 * r * pitch + 2 * pw) * width
                            below = above + pitch * width
                            _pool(out, above, below, width, bias, o0, flat_y, flat_winner,
                                  ((n * PH + ph + r) * PW + pw) * OC + o0, here)  # fmt: skip


@njit(cache=True, nogil=True)
def _pool(out, above, below, width, bias, o0, y, winner, y0, here):
    """The largest of four neighbours, biased and cut at 0, for `here` channels; a NaN among them is the result.

    Written with choices rather than branches, so that it runs in vectors.
    """
    zero = bias.dtype.type(0)
    for v in range(here):
        # unsigned, so that numba need not ask whether an index counts from the end
        shift = bias[np.uintp(o0 + v)]
        a, b = out[np.uintp(above + v)] + shift, out[np.uintp(above + width + v)] + shift
        c, d = out[np.uintp(below + v)] + shift, out[np.uintp(below + width + v)] + shift
        top, bottom = a if a >= b else b, c if c >= d else d
        at_top, at_bottom = np.uint8(0) if a >= b else np.uint8(1), np.uint8(2) if c >= d else np.uint8(3)
        best = top if top >= bottom else bottom
        at = at_top if top >= bottom else at_bottom
        best = best if a == a else a  # a NaN, which alone differs from itself
        best = best if b == b else b
        best = best if c == c else c
        best = best if d == d else d
        y[np.uintp(y0 + v)] = zero if best <= zero else best
        winner[np.uintp(y0 + v)] = at if best > zero else np.uint8(NOBODY)


@njit(cache=True, nogil=True, parallel=True)
def _backward(dy, winner, x, rows, pictures, dpictures, dweight, dbias, dx, KW, strides, padding, need_dx):
    N, H, W, C = x.shape
    _, PH, PW, OC = winner.shape
    _, KH, length = rows.shape
    (SH, SW), ((top, _), (left, right)) = strides, padding
    WP = W + left + right
    together = max(1, min(PH, LIST // PW))  # pooled rows listed together
    room = together * PW
    flat_x, flat_dy, flat_winner, flat_dx = x.reshape(-1), dy.reshape(-1), winner.reshape(-1), dx.reshape(-1)
    for piece in prange(PIECES):
        picture, dpicture = pictures[piece], dpictures[piece]
        g, at, count = (
            np.empty(OC * room + 1, x.dtype),
            np.empty(OC * room + 1, np.int32),
            np.empty(OC, np.int64),
        )
        for n in range(piece * N // PIECES, (piece + 1) * N // PIECES):
            copy_rows(picture, (top * WP + left) * C, WP * C, flat_x, n * H * W * C, W * C, H, W * C)
            if need_dx:
                dpicture[:] = 0
            for ph in range(0, PH, together):
                count[:] = 0
                for r in range(min(together, PH - ph)):
                    for pw in range(PW):
                        y0 = ((n * PH + ph + r) * PW + pw) * OC
                        corner = (2 * r * SH * WP + 2 * pw * SW) * C
                        for oc in range(OC):  # without a branch: the place is taken back where nobody won
                            o = np.uintp(oc)
                            who = np.int64(flat_winner[np.uintp(y0 + oc)])
                            q = np.uintp(oc * room + count[o])
                            g[q] = flat_dy[np.uintp(y0 + oc)]
                            at[q] = corner + (who >> 1) * SH * WP * C + (who & 1) * SW * C
                            count[o] += who < NOBODY
                base = 2 * ph * SH * WP * C
                for oc in range(OC):
                    p0, P = oc * room, count[oc]
                    for p in range(p0, p0 + P):
                        dbias[piece, oc] += g[p]
                    for kh in range(KH):
                        x0, w0 = base + kh * WP * C, (oc * KH + kh) * length
                        _gather(dweight, piece * OC * KH * length + w0, g, at, p0, P, picture, x0, length)
                        if need_dx:
                            _scatter(dpicture, x0, g, at, p0, P, rows, w0, length, KW * C)
            if need_dx:
                copy_rows(flat_dx, n * H * W * C, W * C, dpicture, (top * WP + left) * C, WP * C, H, W * C)


@njit(cache=True, nogil=True)
def _gather(D, d0, g, at, p0, P, X, x0, length):
    """A kernel row of any length, in the longest pieces that registers hold."""
    lanes = VECTOR_BYTES // g.itemsize
    done, vectors = 0, length // lanes
    while done < vectors:
        left, d, x = vectors - done, d0 + done * lanes, x0 + done * lanes
        if LONG and left >= 24:
            gather_24(D, d, g, at, p0, P, X, x)
            done += 24
        elif left >= 12:
            gather_12(D, d, g, at, p0, P, X, x)
            done += 12
        elif left >= 6:
            gather_6(D, d, g, at, p0, P, X, x)
            done += 6
        elif left >= 3:
            gather_3(D, d, g, at, p0, P, X, x)
            done += 3
        else:
            gather_1(D, d, g, at, p0, P, X, x)
            done += 1


@njit(cache=True, nogil=True)
def _scatter(D, d0, g, at, p0, P, rows, w0, length, width):
    """A kernel row of any length, in the longest pieces that registers hold; lanes beyond `width` stay."""
    lanes = VECTOR_BYTES // g.itemsize
    done, vectors = 0, length // lanes
    while done < vectors:
        left, d, w, wide = vectors - done, d0 + done * lanes, w0 + done * lanes, width - done * lanes
        if LONG and left >= 24:
            scatter_24(D, d, g, at, p0, P, rows, w, wide)
            done += 24
        elif left >= 12:
            scatter_12(D, d, g, at, p0, P, rows, w, wide)
            done += 12
        elif left >= 6:
            scatter_6(D, d, g, at, p0, P, rows, w, wide)
            done += 6
        elif left >= 3:
            scatter_3(D, d, g, at, p0, P, rows, w, wide)
            done += 3
        else:
            scatter_1(D, d, g, at, p0, P, rows, w, wide)
            done += 1
