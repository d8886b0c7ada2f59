"""Convolution on register tiles: forward, dx and dweight are each a matrix product that reads the picture itself.

For stride 1 the windows of several output rows are one run: output pixel (oh, ow) begins at (oh*W + ow)*C,
so a run of rows is one long product with the fixed step C (the KW-1 outputs at the end of each row, whose windows
wrap around, are computed and thrown away).  For other strides each output row is a run with step SW*C.
Padding is a border in a copy of the picture.

Work is cut into PIECES of the batch, however many threads there are, and partial sums of dweight are added
in the order of the pieces: the same bits on any number of threads.
"""

import numpy as np
from numba import njit, prange
from numpy.typing import DTypeLike

from ..geometry import Padding, Pair, output_sizes
from .cpu import VECTOR_BYTES, VECTORS
from .product import add_product, product

PIECES = 8
RUN = 512  # output pixels of a run, about: with 32 channels 64 KB, half of which leaves the first cache


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


def conv2d_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, strides: Pair, padding: Padding
) -> np.ndarray:
    """y = conv(x, weight) + bias; the equation is in `reference.conv2d_forward`."""
    x = np.ascontiguousarray(x)
    KH, KW, C, OC = weight.shape
    OH, OW = output_sizes(x.shape, (KH, KW), strides, padding)
    y = np.empty((len(x), OH, OW, OC), x.dtype)
    if bias is None:
        bias = np.zeros(OC, x.dtype)
    _forward(x, pack(weight.reshape(-1, OC)), bias, y, (KH, KW), strides, padding)
    return y


def conv2d_backward(
    dy: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    strides: Pair,
    padding: Padding,
    need_dx: bool = True,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """dweight, dbias and dx; the equations are in `reference.conv2d_backward`."""
    x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
    KH, KW, C, OC = weight.shape
    width = tile_width(x.dtype)
    blocks = -(-OC // width)
    parts = np.zeros((PIECES, blocks, KH * KW * C, width), x.dtype)
    _dweight(dy, x, parts, (KH, KW), strides, padding)
    dweight = parts.sum(0).transpose(1, 0, 2).reshape(KH, KW, C, blocks * width)[..., :OC]
    dx = None
    if need_dx:
        borders = [
            (k - 1 - before, k - 1 - after) for k, (before, after) in zip((KH, KW), padding, strict=True)
        ]
        if strides == (1, 1) and min(map(min, borders)) >= 0:
            turned = weight[::-1, ::-1].transpose(0, 1, 3, 2)  # (KH, KW, OC, C): dx is a convolution of dy
            dx = conv2d_forward(dy, np.ascontiguousarray(turned), None, (1, 1), (borders[0], borders[1]))
        else:
            dx = np.zeros_like(x)
            rows = np.stack([pack(weight[kh].reshape(KW * C, OC).T) for kh in range(KH)])
            _dx(dy, rows, dx, KW, strides, padding)
    return dx, np.ascontiguousarray(dweight), dy.sum((0, 1, 2))


@njit(cache=True, nogil=True)
def copy_rows(target, t0, t_pitch, source, s0, s_pitch, rows, length):
    """Copy rows of `length` values between flat arrays whose rows are a pitch apart, such as into a border."""
    for r in range(rows):
        t, s = t0 + r * t_pitch, s0 + r * s_pitch
        target[t : t + length] = source[s : s + length]


@njit(cache=True, nogil=True, parallel=True)
def _forward(x, packed, bias, y, kernel, strides, padding):
    N, H, W, C = x.shape
    _, OH, OW, OC = y.shape
    (KH, KW), (SH, SW), ((top, bottom), (left, right)) = kernel, strides, padding
    HP, WP = H + top + bottom, W + left + right
    blocks, K, width = packed.shape
    bordered = top + bottom + left + right > 0
    rows = max(1, min(OH, RUN // WP)) if SH == 1 and SW == 1 else 1
    pitch = WP if rows > 1 else OW
    flat_x, flat_y = x.reshape(-1), y.reshape(-1)
    for piece in prange(PIECES):
        buffer = np.zeros(HP * WP * C if bordered else 1, x.dtype)
        out = np.empty(rows * pitch * width, x.dtype)
        for n in range(piece * N // PIECES, (piece + 1) * N // PIECES):
            if bordered:
                copy_rows(buffer, (top * WP + left) * C, WP * C, flat_x, n * H * W * C, W * C, H, W * C)
            for oh in range(0, OH, rows):
                band = min(rows, OH - oh)
                run = (band - 1) * pitch + OW
                for j in range(blocks):
                    w0 = j * K * width
                    if bordered:
                        product(out, 0, width, buffer, oh * SH * WP * C, SW * C, WP * C, 1,
                                packed, w0, KW * C * width, width, KH, KW * C, run)  # fmt: skip
                    else:
                        product(out, 0, width, x, (n * H + oh * SH) * W * C, SW * C, W * C, 1,
                                packed, w0, KW * C * width, width, KH, KW * C, run)  # fmt: skip
                    o0 = j * width
                    here = min(width, OC - o0)
                    for r in range(band):
                        for ow in range(OW):
                            at, y0 = (r * pitch + ow) * width, ((n * OH + oh + r) * OW + ow) * OC + o0
                            # unsigned, so that numba need not ask whether an index counts from the end
                            for v in range(here):
                                flat_y[np.uintp(y0 + v)] = out[np.uintp(at + v)] + bias[np.uintp(o0 + v)]


@njit(cache=True, nogil=True, parallel=True)
def _dweight(dy, x, parts, kernel, strides, padding):
    """parts[piece, j, (kh, kw*c), :] += sum over n of the piece, oh, ow of x[n, window] * dy[n, oh, ow, block j]."""
    N, H, W, C = x.shape
    _, OH, OW, OC = dy.shape
    (KH, KW), (SH, SW), ((top, bottom), (left, right)) = kernel, strides, padding
    HP, WP = H + top + bottom, W + left + right
    _, blocks, K, width = parts.shape
    flat_x, flat_dy = x.reshape(-1), dy.reshape(-1)
    wide = blocks * width
    for piece in prange(PIECES):
        buffer = np.zeros(HP * WP * C, x.dtype)
        filled = np.zeros(OH * OW * wide, x.dtype)
        for n in range(piece * N // PIECES, (piece + 1) * N // PIECES):
            copy_rows(buffer, (top * WP + left) * C, WP * C, flat_x, n * H * W * C, W * C, H, W * C)
            copy_rows(filled, 0, wide, flat_dy, n * OH * OW * OC, OC, OH * OW, OC)
            for j in range(blocks):
                for kh in range(KH):
                    add_product(parts, ((piece * blocks + j) * K + kh * KW * C) * width, width,
                                buffer, kh * WP * C, 1, SH * WP * C, SW * C,
                                filled, j * width, OW * wide, wide, OH, OW, KW * C)  # fmt: skip


@njit(cache=True, nogil=True, parallel=True)
def _dx(dy, rows, dx, KW, strides, padding):
    """Each output row's gradient times the weights of kernel row kh, added under the windows it saw."""
    N, H, W, C = dx.shape
    _, OH, OW, OC = dy.shape
    (SH, SW), ((top, bottom), (left, right)) = strides, padding
    HP, WP = H + top + bottom, W + left + right
    KH, blocks, _, width = rows.shape
    flat_dx = dx.reshape(-1)
    for piece in prange(PIECES):
        buffer = np.zeros(HP * WP * C, dx.dtype)
        out = np.empty(OW * width, dx.dtype)
        for n in range(piece * N // PIECES, (piece + 1) * N // PIECES):
            buffer[:] = 0
            for oh in range(OH):
                for kh in range(KH):
                    for j in range(blocks):
                        product(out, 0, width, dy, (n * OH + oh) * OW * OC, OC, 0, 1,
                                rows, (kh * blocks + j) * OC * width, 0, width, 1, OC, OW)  # fmt: skip
                        here = min(width, KW * C - j * width)
                        for ow in range(OW):
                            at = ((oh * SH + kh) * WP + ow * SW) * C + j * width
                            for v in range(here):
                                buffer[np.uintp(at + v)] += out[np.uintp(ow * width + v)]
            copy_rows(flat_dx, n * H * W * C, W * C, buffer, (top * WP + left) * C, WP * C, H, W * C)
