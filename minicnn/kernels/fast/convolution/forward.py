"""The forward pass of a convolution with its epilogue: bias, sum with a shortcut, ReLU, max pool 2x2.

Each image is divided into row blocks of a few output rows.  A row block is computed for one block of output channels
after the other (by `row_block.py`, `winograd/squares.py` or `winograd/rows.py`) into a buffer that stays in the L1 and
L2 caches.  The epilogue (`epilogue.py`) is applied there, and only its result is written to memory.  Small images go
through Winograd's algorithm in groups, so that each weight loaded into the cache is used for several images.  The
threads share the row blocks in CHUNKS chunks; the division does not change a bit of the result.  Called by `passes.py`,
`conv_maxpool/conv_relu_maxpool.py`, `conv_maxpool/conv_maxpool.py` and `depthwise/separable.py`.
"""

import functools

import numpy as np
from numba import prange

from ....errors import ShapeError
from ....runtime.compiling import as_contiguous, njit
from ...geometry import Padding, Pair, output_sizes
from ..memory import CHUNKS, LARGE, copy_rows, empty
from ..tiles.cpu import VECTOR_BYTES
from ..winograd.rows import ABREAST, transform_rows, winograd_rows
from ..winograd.squares import PLACES, SIDE, STEP, is_finite, transform_images, winograd
from .epilogue import add_streaming_write, add_write, pool, relu_pool, store_fence, streaming_write, write
from .packed_weights import DIRECT, WINOGRAD_1D, WINOGRAD_2D, PackedWeights, pack_weights
from .row_block import copy_row_block, direct

LINEAR, RELU, RELU_POOL, POOL = range(4)  # the epilogue
# A patch is Winograd's unit: STEP x STEP outputs.
RUN = 512  # approximate outputs per row block: with 32 channels 64 KB, twice what fits in the L1 cache
PATCHES = 16  # approximate patches per row block, for Winograd's algorithm
GROUP_PATCHES = 28  # approximate patches per group of images, if an image is a single row block
MIN_SIDE = 2  # smallest output side for Winograd's algorithm; it is filled up to a whole patch
FEW_PATCHES = 4  # up to this many patches in the batch, transforming the weights costs more than it saves
DEPTH = 16  # input channels from which on 2D Winograd is faster; with fewer, its products over channels are too short


def forward(
    x: np.ndarray,
    weight: np.ndarray | PackedWeights,
    bias: np.ndarray | None,
    strides: Pair,
    padding: Padding,
    epilogue: int,
    other: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """y and, with a pool, argmax (0 to 3: the first largest of the four, row by row; 4: none is above 0).

    Without a pool, `other` is added before the ReLU; it has the shape of y.
    """
    x, weight = as_contiguous(x), pack_weights(weight, bias)
    plan = _plan(x.shape, weight.shape, strides, padding, epilogue, x.itemsize)
    shape, size, split, algorithm, needs_copy = plan
    y = empty(shape, x.dtype)
    argmax = empty(shape if epilogue >= RELU_POOL else (1, 1, 1, 1), np.uint8)
    if y.size:
        U, kernel = weight.transformed(algorithm), weight.shape[:2]
        other = y[:0] if other is None else as_contiguous(other)
        _forward(x, weight.packed, U, weight.bias, y, argmax, other, kernel, size, strides, padding, split,
                 algorithm, needs_copy, epilogue)  # fmt: skip
    return y, argmax


@functools.lru_cache(maxsize=1024)
def _plan(x_shape, weight_shape, strides, padding, epilogue, itemsize):
    """How to compute a forward pass, from its shapes.

    Returns
    -------
    shape : tuple of int
        Shape of y.
    size : (OH, OW)
        Size of the convolution's output; a pool rounds it down to even numbers.
    split : (row_blocks, units)
        Row blocks per image, and work units of the batch: a unit is a row block or a group of whole images.
    algorithm : int
        DIRECT, WINOGRAD_2D or WINOGRAD_1D.
    needs_copy : bool
        Whether input rows are copied first, to add a border or to fill up vectors.
    """
    (N, _, W, C), (KH, KW, _, OC) = x_shape, weight_shape
    OH, OW = output_sizes(x_shape, (KH, KW), strides, padding)
    if weight_shape[2] != C or min(OH, OW) < 1:
        raise ShapeError(
            "convolution", f"an image that weights {weight_shape} fit on", f"shape {x_shape[1:]}"
        )
    if epilogue >= RELU_POOL:
        OH, OW = OH // 2 * 2, OW // 2 * 2
    shape = (N, OH // 2, OW // 2, OC) if epilogue >= RELU_POOL else (N, OH, OW, OC)
    patches = -(-OH // STEP) * -(-OW // STEP)  # per image
    algorithm = _algorithm(weight_shape, strides, OH, OW, N * patches, itemsize)
    rows = PATCHES * STEP * STEP // OW if algorithm == WINOGRAD_2D else RUN // (W + sum(padding[1]))
    multiple = STEP if algorithm == WINOGRAD_2D else 2
    row_blocks = -(-OH // max(multiple, rows // multiple * multiple))
    # one more row block if their number is odd, so that two cores share even a single image equally
    row_blocks = min(row_blocks + N * row_blocks % 2, max(1, OH // multiple))
    units = N * row_blocks
    if algorithm == WINOGRAD_2D and row_blocks == 1:
        units = min(N, max(2, -(-N * patches // GROUP_PATCHES // 2) * 2))
    needs_copy = max(map(max, padding)) > 0
    needs_copy |= algorithm == WINOGRAD_2D and (C * itemsize % VECTOR_BYTES > 0 or min(OH, OW) < STEP)
    return shape, (OH, OW), (row_blocks, units), algorithm, needs_copy


def _algorithm(weight_shape, strides, OH, OW, patches, itemsize):
    """Winograd's algorithm if the kernel is 3 wide and the output large enough: in 2D, or in 1D for few channels."""
    KH, KW, C, _ = weight_shape
    if C >= DEPTH:
        is_large_enough = min(OH, OW) >= MIN_SIDE and patches > FEW_PATCHES
        return WINOGRAD_2D if (KH, KW) == (3, 3) and strides == (1, 1) and is_large_enough else DIRECT
    is_wide_enough = ABREAST * STEP <= OW and (OW - STEP + 1) * C * itemsize >= VECTOR_BYTES
    return WINOGRAD_1D if KW == 3 and strides[1] == 1 and is_wide_enough else DIRECT


@njit(cache=True, nogil=True, parallel=True)
def _forward(x, packed, U, bias, y, argmax, other, kernel, size, strides, padding, split, algorithm, needs_copy,
             epilogue):  # fmt: skip
    N, H, W, C = x.shape
    (KH, KW), (OH, OW), (SH, SW), ((top, bottom), (left, right)) = kernel, size, strides, padding
    row_blocks, units = split
    blocks, K, width = packed.shape
    multiple = STEP if algorithm == WINOGRAD_2D else 2
    # row blocks begin at multiples of this many rows, for the pool or a patch; the last takes the remainder
    multiples = max(1, OH // multiple)
    # at most this many rows in a row block
    rows, columns, right_border = min(OH, -(-multiples // row_blocks) * multiple + multiple - 1), OW, right
    if algorithm == WINOGRAD_2D:  # small images are filled up to a whole patch
        rows, columns, right_border = max(rows, STEP), max(OW, STEP), right + max(0, STEP - OW)
    WP = W + left + right_border
    pitch = WP if SH == 1 and SW == 1 else OW
    lanes = width // 2
    length = -(-C // lanes) * lanes
    group_images = 1 if row_blocks > 1 else -(-N // units)
    values = sums = 0  # how many transformed inputs and sums a unit has
    if algorithm == WINOGRAD_2D:
        max_patches = group_images * -(-rows // STEP) * -(-columns // STEP)
        values, sums = PLACES * max_patches * length, PLACES * max_patches * width
    elif algorithm == WINOGRAD_1D:
        values = ((rows - 1) * SH + KH) * SIDE * (OW - STEP + 1) * C
    flat_x, flat_U = x.reshape(-1), U.reshape(-1)
    for chunk in prange(CHUNKS):
        buffers = np.zeros(
            (group_images, ((rows - 1) * SH + KH) * WP * C + lanes if needs_copy else 1), x.dtype
        )
        outs = np.empty((group_images, rows * pitch * width), x.dtype)
        partial_y, partial_argmax = np.empty(width, x.dtype), np.empty(width, np.uint8)  # last block
        V, M, nan_check = np.empty(values, x.dtype), np.empty(sums, x.dtype), np.empty(lanes, x.dtype)
        for unit in range(chunk * units // CHUNKS, (chunk + 1) * units // CHUNKS):
            b, group, groups = unit % row_blocks, unit // row_blocks, units // row_blocks
            first, last = group * N // groups, (group + 1) * N // groups
            oh = b * multiples // row_blocks * multiple
            height = ((b + 1) * multiples // row_blocks * multiple if b + 1 < row_blocks else OH) - oh
            computed_rows = max(height, STEP) if algorithm == WINOGRAD_2D else height
            patches = -(-computed_rows // STEP) * -(-columns // STEP)
            for n in range(first, last):
                source, s0 = flat_x, (n * H + oh * SH) * W * C
                if needs_copy:
                    source, s0 = buffers[n - first], 0
                    copy_row_block(source, x, n, oh * SH, (computed_rows - 1) * SH + KH,
                                   ((top, bottom), (left, right_border)))  # fmt: skip
                if algorithm == WINOGRAD_2D:
                    transform_images(V, (n - first) * patches, (last - first) * patches, source, s0, WP * C, C,
                                     computed_rows, columns)  # fmt: skip
                elif algorithm == WINOGRAD_1D:
                    transform_rows(V, source, s0, WP * C, C, (height - 1) * SH + KH, OW)
            for j in range(blocks):
                if algorithm == WINOGRAD_2D:
                    winograd(outs, pitch, V, M, flat_U, j * PLACES * C * width, C, width, computed_rows, columns,
                             last - first)  # fmt: skip
                for n in range(first, last):
                    out, usable = outs[n - first], False
                    if algorithm == WINOGRAD_2D:
                        usable = is_finite(out, pitch, width, height, OW)
                    elif algorithm == WINOGRAD_1D:
                        usable = winograd_rows(out, pitch, V, flat_U, j * KH * C * SIDE * width, KH, SH, C, width,
                                               height, OW, nan_check)  # fmt: skip
                    if not usable:
                        source, s0 = flat_x, (n * H + oh * SH) * W * C
                        if needs_copy:
                            source, s0 = buffers[n - first], 0
                        direct(out, pitch, source, s0, WP * C, C, packed, j, (KH, KW), (SH, SW), height, OW)
                    apply_epilogue(out, pitch, bias, y, argmax, other, partial_y, partial_argmax, n, oh, height,
                                   j * width, epilogue)  # fmt: skip


@njit(cache=True, nogil=True)
def apply_epilogue(
    out, pitch, bias, y, argmax, other, partial_y, partial_argmax, n, oh, height, o0, epilogue
):
    """Apply the epilogue to a row block of image n, for the block of output channels that begins at o0.

    The row block is `out`; its `height` rows begin at output row oh.
    """
    OH, OW, OC = y.shape[1:]
    width = len(partial_y)
    valid = min(width, OC - o0)
    large = y.size * y.itemsize >= LARGE and OC * y.itemsize % VECTOR_BYTES == 0
    flat_y, flat_argmax, flat_other = y.reshape(-1), argmax.reshape(-1), other.reshape(-1)
    floor, adds = y.dtype.type(0 if epilogue == RELU else -np.inf), other.size > 0
    if epilogue >= RELU_POOL:
        for r in range(height // 2):
            for pw in range(OW):
                above = (2 * r * pitch + 2 * pw) * width
                below = above + pitch * width
                y0 = ((n * OH + oh // 2 + r) * OW + pw) * OC + o0
                target, target_argmax, at = (
                    (flat_y, flat_argmax, y0) if valid == width else (partial_y, partial_argmax, 0)
                )
                if epilogue == RELU_POOL:
                    relu_pool(out, above, below, width, bias, o0, target, target_argmax, at, at)
                else:
                    pool(out, above, below, width, bias, o0, target, target_argmax, at, at)
                if valid < width:
                    copy_rows(flat_y, y0, 0, partial_y, 0, 0, 1, valid)
                    copy_rows(flat_argmax, y0, 0, partial_argmax, 0, 0, 1, valid)
    else:
        for r in range(height):
            at, y0 = r * pitch * width, (n * OH + oh + r) * OW * OC + o0
            if valid < width:
                for ow in range(OW):
                    _write(out, at + ow * width, bias, o0, flat_y, flat_other, y0 + ow * OC, valid, floor)
            elif large and adds:
                add_streaming_write(out, at, width, bias, o0, flat_y, flat_other, y0, OC, OW, floor)
            elif large:
                streaming_write(out, at, width, bias, o0, flat_y, flat_other, y0, OC, OW, floor)
            elif adds:
                add_write(out, at, width, bias, o0, flat_y, flat_other, y0, OC, OW, floor)
            else:
                write(out, at, width, bias, o0, flat_y, flat_other, y0, OC, OW, floor)
        if large:
            store_fence()


@njit(cache=False, inline="always")
def _write(out, at, bias, o0, y, other, y0, valid, floor):
    """The `write` of the last block, which has `valid` channels.

    Indices are unsigned, because for signed ones numba checks whether they are negative and count from the end.
    """
    for v in range(valid):
        value = out[np.uintp(at + v)] + bias[np.uintp(o0 + v)]
        if len(other) > 0:
            value += other[np.uintp(y0 + v)]
        y[np.uintp(y0 + v)] = floor if value <= floor else value
