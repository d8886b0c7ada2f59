"""Convolution on register tiles: the contract's functions, and the backward pass as products that read the images.

With stride 1 the windows of several output rows form one run: output pixel (oh, ow) begins at (oh*W + ow)*C, so
several rows are one long product with the fixed step C (the KW-1 outputs at the end of each row, whose windows
wrap around, are computed and discarded).  With other strides each output row is a run with step SW*C.
Padding is a border in a copy of the image.

The batch is divided into CHUNKS chunks, and partial sums of dweight are added in the order of the chunks, so results
are bit-identical for any number of threads.  dweight of a 3x3 kernel over enough channels has a faster algorithm,
`winograd/dweight.py`.  The forward pass is in `forward.py`.
"""

import numpy as np
from numba import prange

from ....runtime.compiling import as_contiguous, njit
from ...geometry import Padding, Pair
from ..memory import CHUNKS, add_rows, all_finite, clear, copy_rows, empty, pack, tile_width, unpack_sum
from ..tiles.product import product
from ..tiles.tile import add_row
from ..winograd.dweight import is_applicable, winograd_dweight
from .forward import LINEAR, RELU, forward
from .row_block import copy_row_block, crop_image

RUN = 128  # approximate number of outputs whose gradients are processed together: they stay in the L1 cache


def conv2d_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, strides: Pair, padding: Padding
) -> np.ndarray:
    """y = conv(x, weight) + bias; the equation is in `reference.conv2d_forward`."""
    return forward(x, weight, bias, strides, padding, LINEAR)[0]


def conv2d_relu_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, strides: Pair, padding: Padding
) -> np.ndarray:
    """y = max(0, conv(x, weight) + bias), written once."""
    return forward(x, weight, bias, strides, padding, RELU)[0]


def conv2d_add_forward(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    strides: Pair,
    padding: Padding,
    other: np.ndarray,
) -> np.ndarray:
    """y = conv(x, weight) + bias + other."""
    return forward(x, weight, bias, strides, padding, LINEAR, other)[0]


def conv2d_add_relu_forward(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    strides: Pair,
    padding: Padding,
    other: np.ndarray,
) -> np.ndarray:
    """y = max(0, conv(x, weight) + bias + other)."""
    return forward(x, weight, bias, strides, padding, RELU, other)[0]


def conv2d_backward(
    dy: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    strides: Pair,
    padding: Padding,
    need_dx: bool = True,
    need_dweight: bool = True,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """dweight, dbias and dx; the equations are in `reference.conv2d_backward`."""
    x, dy, weight = as_contiguous(x), as_contiguous(dy), as_contiguous(weight)
    KH, KW, C, OC = weight.shape
    dx = dweight = dbias = None
    if need_dweight:
        dweight, dbias = _weight_gradients(dy, x, weight.shape, strides, padding)
    if need_dx:
        borders = [
            (k - 1 - before, k - 1 - after) for k, (before, after) in zip((KH, KW), padding, strict=True)
        ]
        # a border adds products of 0 and weights that the definition does not have: NaN if a weight is infinite
        if (
            strides == (1, 1)
            and min(map(min, borders)) >= 0
            and all_finite(weight.reshape(-1), 0, weight.size)
        ):
            flipped = weight[::-1, ::-1].transpose(0, 1, 3, 2)  # (KH, KW, OC, C): dx is a convolution of dy
            dx = conv2d_forward(dy, as_contiguous(flipped), None, (1, 1), (borders[0], borders[1]))
        else:
            dx = empty(x.shape, x.dtype)
            kernel_rows = np.stack([pack(weight[kh].reshape(KW * C, OC).T) for kh in range(KH)])
            _dx(dy, kernel_rows, dx, KW, strides, padding)
    return dx, dweight, dbias


def _weight_gradients(dy, x, shape, strides, padding):
    """dweight and dbias, by Winograd's algorithm if it applies and its result is finite."""
    KH, KW, C, OC = shape
    if is_applicable(shape, strides, *dy.shape[1:3]):
        dweight, dbias = winograd_dweight(dy, x, shape, padding)
        if all_finite(dweight.reshape(-1), 0, dweight.size):
            return dweight, dbias
    width, dbias = tile_width(x.dtype), np.zeros((CHUNKS, OC), x.dtype)
    parts = empty((CHUNKS, -(-OC // width), KH * KW * C, width), x.dtype)
    _dweight(dy, x, parts, dbias, (KH, KW), strides, padding)
    return unpack_sum(parts, OC).reshape(shape), dbias.sum(0)


@njit(cache=True, nogil=True, parallel=True)
def _dweight(dy, x, parts, dbias, kernel, strides, padding):
    """parts[chunk, j, (kh, kw*c), :] += sum over n of the chunk, oh, ow of x[n, window] * dy[n, oh, ow, block j]."""
    N, H, W, C = x.shape
    _, OH, OW, OC = dy.shape
    (KH, KW), (SH, SW), ((top, bottom), (left, right)) = kernel, strides, padding
    HP, WP = H + top + bottom, W + left + right
    _, blocks, K, width = parts.shape
    flat_dy = dy.reshape(-1)
    rows = max(1, min(OH, RUN // OW))
    for chunk in prange(CHUNKS):
        clear(parts.reshape(-1), chunk * blocks * K * width, blocks * K * width)
        image = np.zeros(HP * WP * C, x.dtype)
        dy_block = np.zeros(rows * OW * width, x.dtype)
        part, bias = np.empty(KW * C * width, x.dtype), np.zeros(OC, x.dtype)
        for n in range(chunk * N // CHUNKS, (chunk + 1) * N // CHUNKS):
            copy_row_block(image, x, n, 0, HP, ((top, bottom), (left, right)))
            for oh in range(0, OH, rows):
                height = min(rows, OH - oh)
                for j in range(blocks):
                    o0, valid = j * width, min(width, OC - j * width)
                    copy_rows(
                        dy_block, 0, width, flat_dy, (n * OH + oh) * OW * OC + o0, OC, height * OW, valid
                    )
                    for place in range(height * OW):
                        for v in range(valid):
                            bias[np.uintp(o0 + v)] += dy_block[np.uintp(place * width + v)]
                    for kh in range(KH):
                        product(part, 0, width, image, (oh * SH + kh) * WP * C, 1, SH * WP * C, SW * C,
                                dy_block, 0, OW * width, width, height, OW, KW * C)  # fmt: skip
                        add_rows(
                            parts, ((chunk * blocks + j) * K + kh * KW * C) * width, part, KW * C * width
                        )
        copy_rows(dbias.reshape(-1), chunk * OC, 0, bias, 0, 0, 1, OC)


@njit(cache=True, nogil=True, parallel=True)
def _dx(dy, kernel_rows, dx, KW, strides, padding):
    """For each row block: dy times the weights of kernel row kh, added to dx at the windows that were read."""
    N, H, W, C = dx.shape
    _, OH, OW, OC = dy.shape
    (SH, SW), ((top, bottom), (left, right)) = strides, padding
    HP, WP = H + top + bottom, W + left + right
    KH, blocks, _, width = kernel_rows.shape
    max_rows = max(1, min(OH, RUN // OW))
    for chunk in prange(CHUNKS):
        image = np.zeros(HP * WP * C, dx.dtype)
        out = np.empty(max_rows * OW * width, dx.dtype)
        for n in range(chunk * N // CHUNKS, (chunk + 1) * N // CHUNKS):
            clear(image, 0, len(image))
            for oh in range(0, OH, max_rows):
                height = min(max_rows, OH - oh)
                for kh in range(KH):
                    for j in range(blocks):
                        product(out, 0, width, dy, (n * OH + oh) * OW * OC, OC, 0, 1,
                                kernel_rows, (kh * blocks + j) * OC * width, 0, width, 1, OC, height * OW)  # fmt: skip
                        valid = min(width, KW * C - j * width)
                        for r in range(height):
                            for ow in range(OW):
                                at = (((oh + r) * SH + kh) * WP + ow * SW) * C + j * width
                                o0 = (r * OW + ow) * width
                                if valid == width:
                                    add_row(image, at, out, o0)
                                else:
                                    for v in range(valid):
                                        image[np.uintp(at + v)] += out[np.uintp(o0 + v)]
            crop_image(dx, n, image, ((top, bottom), (left, right)))
