"""A row block (a few output rows) of a convolution, for one block of output channels: the direct algorithm.

    out[row*pitch + column, :width] = sum over kh, kw, c of image[window] * weight          (no bias)

`forward.py` chooses among three algorithms for this: `winograd` for 3x3 kernels with stride 1, `winograd_rows` for few
channels, and `direct`, here, for any kernel and stride.  `direct` covers the row block with register tiles that read
the image itself; it also replaces Winograd's algorithm where that would turn an infinity into NaN.  The other
functions copy rows of an image into a buffer with a border, and an image out of such a buffer.  Called by
`forward.py`, `passes.py`, `depthwise/`, `conv_maxpool/` and `winograd/dweight.py`.
"""

from ....runtime.compiling import njit
from ..memory import clear, copy_rows
from ..tiles.product import covered, product


@njit(cache=True, nogil=True)
def direct(out, pitch, source, s0, row, C, packed, j, kernel, strides, rows, columns):
    """The row block as one product per row, or as a single product of all rows.

    A single product is possible with stride 1 and a pitch of a whole image row; it is used if tiles cover it better.
    It also computes the KW-1 positions at the end of each row whose windows wrap around; they are not used.
    """
    (KH, KW), (SH, SW) = kernel, strides
    _, K, width = packed.shape
    w0 = j * K * width
    joined, run = SH == 1 and SW == 1 and pitch * C == row, (rows - 1) * pitch + columns
    if not joined or covered(run) > rows * covered(columns):
        joined, run = False, columns
    for r in range(1 if joined else rows):
        product(out, r * pitch * width, width, source, s0 + r * SH * row, SW * C, row, 1,
                packed, w0, KW * C * width, width, KH, KW * C, run)  # fmt: skip


@njit(cache=True, nogil=True)
def copy_row_block(buffer, x, n, first, rows, padding):
    """Copy rows first, first+1, ... of image n into the buffer, with their border.

    The buffer's border columns must already be 0.
    """
    _, H, W, C = x.shape
    (top, _), (left, right) = padding
    row = (left + W + right) * C
    flat = x.reshape(-1)
    for r in range(rows):
        h = first + r - top
        b0 = r * row + left * C
        if 0 <= h < H:
            x0 = (n * H + h) * W * C
            copy_rows(buffer, b0, 0, flat, x0, 0, 1, W * C)
        else:
            clear(buffer, b0, W * C)


@njit(cache=True, nogil=True)
def bordered_row_block(buffer, x, n, first, rows, padding):
    """A flat array with rows first, first+1, ... of image n and their border, and the position where they begin.

    The array is the buffer, into which the rows are copied; if the buffer is empty, it is x itself.
    """
    if len(buffer) == 0:
        return x.reshape(-1), (n * x.shape[1] + first) * x.shape[2] * x.shape[3]
    copy_row_block(buffer, x, n, first, rows, padding)
    return buffer, 0


@njit(cache=True, nogil=True)
def crop_image(x, n, buffer, padding):
    """Copy image n from a buffer with a border into x, without the border."""
    _, H, W, C = x.shape
    (top, _), (left, right) = padding
    row = (left + W + right) * C
    copy_rows(x.reshape(-1), n * H * W * C, W * C, buffer, top * row + left * C, row, H, W * C)
