"""The backward pass of a conv -> ReLU -> max pool block, from its maxima alone.

Each pooled value depends on one of four outputs of the convolution, its maximum, and only if that was above 0.  So at
most one in four values of dz, the gradient at the convolution's output, is not zero.  Lists (`sparse_lists.py`) name
these values g and their places; with them, both products of the backward pass are weighted sums of rows:

    dweight[:, :, :, oc]  = sum over the maxima of channel oc                    of g * x[window of the maximum]
    dx[window of a place] = sum over the channels whose maximum is at that place of g * weight[:, :, :, oc]

The sums stay in registers (`tiles/gather.py`).  With few input channels the rows are too short for lists to pay:
there dz is written out, one pooled row at a time, and multiplied as in `convolution/passes.py`.
Called by `conv_relu_maxpool.py`.
"""

import numpy as np
from numba import get_thread_id, prange

from ....runtime.compiling import njit
from ...geometry import Padding, Pair
from ..convolution.epilogue import INACTIVE
from ..convolution.row_block import bordered_row_block, copy_row_block, crop_image
from ..memory import CHUNKS, add_rows, all_finite, bordered, clear, copy_rows, empty, tile_width, unpack_sum
from ..tiles.cpu import VECTOR_BYTES
from ..tiles.gather import WIDE, gather
from ..tiles.product import product
from .sparse_lists import list_channels, list_place

LIST_LENGTH = 40  # approximate number of pooled values of one channel in one list
SPAN = WIDE  # vectors of a kernel row that are summed at once; so few that the rows read repeatedly stay in the cache
CHANNELS_TOGETHER = 64  # output channels listed together; so few that their weights stay in the cache


def dense_dweight(
    dy: np.ndarray, argmax: np.ndarray, x: np.ndarray, shape: tuple[int, ...], strides: Pair, padding: Padding
) -> tuple[np.ndarray, np.ndarray, bool]:
    """dweight, dbias, and whether all of x is finite, for small KW*C: dz is written out."""
    KH, KW, C, OC = shape
    width = tile_width(x.dtype)
    blocks = -(-OC // width)
    parts, dbias = empty((CHUNKS, blocks, KH * KW * C, width), x.dtype), np.zeros((CHUNKS, OC), x.dtype)
    x_is_finite = np.ones(CHUNKS, np.bool_)
    _dense_dweight(dy, argmax, x, parts, dbias, x_is_finite, (KH, KW), strides, padding)
    return unpack_sum(parts, OC).reshape(shape), dbias.sum(0), bool(x_is_finite.all())


def sparse_dweight(
    dy: np.ndarray, argmax: np.ndarray, x: np.ndarray, shape: tuple[int, ...], strides: Pair, padding: Padding
) -> tuple[np.ndarray, np.ndarray, bool]:
    """dweight, dbias, and whether all of x is finite, computed from lists of maxima."""
    KH, KW, C, OC = shape
    lanes = tile_width(x.dtype) // 2
    length = -(-KW * C // lanes) * lanes  # values of a kernel row, filled up to whole vectors
    parts, dbias = empty((CHUNKS, OC, KH, length), x.dtype), np.zeros((CHUNKS, OC), x.dtype)
    scratch = bordered(x, padding, length, _needs_copy(x, length, KW * C))
    x_is_finite = np.ones(CHUNKS, np.bool_)
    _sparse_dweight(dy, argmax, x, scratch, parts, dbias, x_is_finite, strides, padding)
    dweight = np.empty(shape, x.dtype)
    _transpose_sum(parts, dweight.reshape(KH, KW * C, OC))
    return dweight, dbias.sum(0), bool(x_is_finite.all())


def sparse_dx(
    dy: np.ndarray,
    argmax: np.ndarray,
    x_shape: tuple[int, ...],
    weight: np.ndarray,
    strides: Pair,
    padding: Padding,
) -> np.ndarray:
    """dx, computed from lists of maxima."""
    KH, KW, C, OC = weight.shape
    lanes = tile_width(dy.dtype) // 2
    length = -(-KW * C // lanes) * lanes
    kernel_rows = empty((KH, OC, length), dy.dtype)
    kernel_rows[:, :, KW * C :] = 0
    kernel_rows[:, :, : KW * C] = weight.transpose(0, 3, 1, 2).reshape(KH, OC, KW * C)
    dx = empty(x_shape, dy.dtype)
    scratch = bordered(dx, padding, length, _needs_copy(dx, length, KW * C))
    _sparse_dx(dy, argmax, kernel_rows, scratch, dx, KW, strides, padding)
    return dx


def _needs_copy(x, length, values):
    """Whether the sums need a copy of the image: kernel rows are not whole vectors, or x is not aligned to a vector."""
    return length > values or x.ctypes.data % VECTOR_BYTES > 0


@njit(cache=True, nogil=True, parallel=True)
def _dense_dweight(dy, argmax, x, parts, dbias, x_is_finite, kernel, strides, padding):
    N, H, W, C = x.shape
    _, PH, PW, OC = argmax.shape
    (KH, KW), (SH, SW), ((top, bottom), (left, right)) = kernel, strides, padding
    HP, WP = H + top + bottom, W + left + right
    _, blocks, K, width = parts.shape
    padded_OC = blocks * width
    flat_x, flat_dy, flat_argmax = x.reshape(-1), dy.reshape(-1), argmax.reshape(-1)
    zero = x.dtype.type(0)
    for chunk in prange(CHUNKS):
        clear(parts.reshape(-1), chunk * blocks * K * width, blocks * K * width)
        image = np.zeros(HP * WP * C, x.dtype)
        dz = np.zeros(2 * 2 * PW * padded_OC, x.dtype)
        part, bias = np.empty(KW * C * width, x.dtype), np.zeros(OC, x.dtype)
        for n in range(chunk * N // CHUNKS, (chunk + 1) * N // CHUNKS):
            copy_row_block(image, x, n, 0, HP, ((top, bottom), (left, right)))
            x_is_finite[chunk] &= all_finite(flat_x, n * H * W * C, H * W * C)
            for ph in range(PH):
                for pw in range(PW):
                    y0 = ((n * PH + ph) * PW + pw) * OC
                    for which in range(4):
                        at = ((which >> 1) * 2 * PW + 2 * pw + (which & 1)) * padded_OC
                        for v in range(OC):
                            is_max = flat_argmax[np.uintp(y0 + v)] == np.uint8(which)
                            dz[np.uintp(at + v)] = flat_dy[np.uintp(y0 + v)] if is_max else zero
                    for v in range(OC):
                        active = flat_argmax[np.uintp(y0 + v)] < np.uint8(INACTIVE)
                        bias[np.uintp(v)] += flat_dy[np.uintp(y0 + v)] if active else zero
                for j in range(blocks):
                    for kh in range(KH):
                        product(part, 0, width, image, (2 * ph * SH + kh) * WP * C, 1, SH * WP * C, SW * C,
                                dz, j * width, 2 * PW * padded_OC, padded_OC, 2, 2 * PW, KW * C)  # fmt: skip
                        add_rows(
                            parts, ((chunk * blocks + j) * K + kh * KW * C) * width, part, KW * C * width
                        )
        copy_rows(dbias.reshape(-1), chunk * OC, 0, bias, 0, 0, 1, OC)


@njit(cache=True, nogil=True, parallel=True)
def _sparse_dweight(dy, argmax, x, scratch, parts, dbias, x_is_finite, strides, padding):
    N, H, W, C = x.shape
    _, PH, PW, OC = argmax.shape
    _, _, KH, length = parts.shape
    (SH, SW), ((top, bottom), (left, right)) = strides, padding
    HP, WP = top + H + bottom, left + W + right
    span = min(length, SPAN * VECTOR_BYTES // x.itemsize)
    rows_together = max(1, min(PH, LIST_LENGTH // PW))  # pooled rows listed together
    lanes = VECTOR_BYTES // x.itemsize
    capacity = -(-rows_together * PW // lanes) * lanes
    flat_x, flat_dy, flat_argmax = x.reshape(-1), dy.reshape(-1), argmax.reshape(-1)
    corner = np.empty(rows_together * PW, np.int32)  # where the window of each of these places begins
    for p in range(rows_together * PW):
        corner[p] = (2 * (p // PW) * SH * WP + 2 * (p % PW) * SW) * C
    for chunk in prange(CHUNKS):
        clear(parts.reshape(-1), chunk * OC * KH * length, OC * KH * length)
        thread = get_thread_id()
        clear(scratch.reshape(-1), thread * scratch.shape[1], scratch.shape[1])
        g, at = np.empty(OC * capacity, x.dtype), np.empty(OC * capacity, np.int32)
        count, bias = np.empty(OC, np.int64), np.zeros(OC, x.dtype)
        for n in range(chunk * N // CHUNKS, (chunk + 1) * N // CHUNKS):
            x_is_finite[chunk] &= all_finite(flat_x, n * H * W * C, H * W * C)
            image, first = bordered_row_block(scratch[thread], x, n, 0, HP, ((top, bottom), (left, right)))
            for ph in range(0, PH, rows_together):
                list_channels(g, at, count, capacity, bias, flat_dy, flat_argmax, (n * PH + ph) * PW * OC, OC,
                              corner, min(rows_together, PH - ph) * PW, SH * WP * C, SW * C)  # fmt: skip
                for span_start in range(0, length, span):
                    span_length = min(span, length - span_start)
                    x0 = first + 2 * ph * SH * WP * C + span_start
                    for oc in range(OC):
                        gather(parts, (chunk * OC + oc) * KH * length + span_start, length, g, at, oc * capacity,
                               count[oc], image, x0, WP * C, KH, span_length, span_length)  # fmt: skip
        copy_rows(dbias.reshape(-1), chunk * OC, 0, bias, 0, 0, 1, OC)


@njit(cache=True, nogil=True, parallel=True)
def _transpose_sum(parts, dweight):
    """dweight[kh, kw*c, oc] = sum over the chunks of parts[chunk, oc, kh, kw*c], a few values at a time."""
    chunks, OC, KH, length = parts.shape
    size = dweight.shape[1]
    runs = -(-size // 16)
    for run in prange(KH * runs):
        kh, first = run // runs, run % runs * 16
        total = np.empty(16, parts.dtype)
        valid = min(16, size - first)
        for oc in range(OC):
            for v in range(valid):
                total[v] = parts[0, oc, kh, first + v]
            for chunk in range(1, chunks):
                for v in range(valid):
                    total[v] += parts[chunk, oc, kh, first + v]
            for v in range(valid):
                dweight[kh, first + v, oc] = total[v]


@njit(cache=True, nogil=True, parallel=True)
def _sparse_dx(dy, argmax, kernel_rows, scratch, dx, KW, strides, padding):
    N, H, W, C = dx.shape
    _, PH, PW, OC = argmax.shape
    KH, _, length = kernel_rows.shape
    (SH, SW), ((top, bottom), (left, right)) = strides, padding
    HP, WP = top + H + bottom, left + W + right
    flat_dy, flat_argmax, flat_dx = dy.reshape(-1), argmax.reshape(-1), dx.reshape(-1)
    span = min(length, SPAN * VECTOR_BYTES // dx.itemsize)
    capacity = PW * min(OC, CHANNELS_TOGETHER) + VECTOR_BYTES
    for chunk in prange(CHUNKS):
        thread = get_thread_id()
        g, at = np.empty(capacity, dx.dtype), np.empty(capacity, np.int32)
        start = np.empty(PW * 4 + 1, np.int64)
        for n in range(chunk * N // CHUNKS, (chunk + 1) * N // CHUNKS):
            image, first = flat_dx, n * H * W * C
            if len(scratch[thread]) > 0:  # with a border, or with space for whole vectors at the end
                image, first = scratch[thread], 0
            # a slice, which is faster than `clear` for this much memory
            image[first : first + HP * WP * C] = 0
            for ph in range(PH):
                for o0 in range(0, OC, CHANNELS_TOGETHER):
                    q = 0
                    for pw in range(PW):
                        y0 = ((n * PH + ph) * PW + pw) * OC
                        q = list_place(g, at, q, start, 4 * pw, flat_dy, flat_argmax, y0,
                                       o0, min(OC, o0 + CHANNELS_TOGETHER), length)  # fmt: skip
                    start[4 * PW] = q
                    for span_start in range(0, length, span):
                        span_length = min(span, length - span_start)
                        for pw in range(PW):
                            for which in range(4):
                                row, column = 2 * ph + (which >> 1), 2 * pw + (which & 1)
                                d0 = first + (row * SH * WP + column * SW) * C + span_start
                                p0 = start[4 * pw + which]
                                gather(image, d0, WP * C, g, at, p0, start[4 * pw + which + 1] - p0,
                                       kernel_rows, span_start, OC * length, KH, span_length,
                                       KW * C - span_start)  # fmt: skip
            if first == 0 and len(scratch[thread]) > 0:
                crop_image(dx, n, image, ((top, bottom), (left, right)))
