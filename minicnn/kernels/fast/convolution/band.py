"""A band of rows of a convolution's output, for one block of output channels: the core that forward passes share.

    out[row*pitch + column, :width] = sum over kh, kw, c of picture[window] * weight          (no bias)

Three routes give it, and `forward.py` chooses: `winograd` for 3x3 with stride 1, `winograd_rows` where channels are
few, and here `direct`, register tiles that read the picture itself, for any kernel and stride; it also serves where
Winograd's sums would turn an infinity into NaN.  `bordered_band` and `crop_picture` put a picture's rows into their
border and the picture out of it.
"""

from ....runtime.compiling import njit
from ..memory import clear, copy_rows
from ..tiles.product import covered, product


@njit(cache=True, nogil=True)
def direct(out, pitch, source, s0, row, C, packed, j, kernel, strides, rows, columns):
    """The band as products.  With stride 1 and pitch of a whole row, all rows are one if tiles cover that better.

    Then the KW-1 outputs at the end of each row, whose windows wrap around, are computed and not used.
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
def copy_band(buffer, x, n, first, rows, padding):
    """Rows first, first+1, ... of picture n with its border; the buffer's border columns are 0 already."""
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
def bordered_band(buffer, x, n, first, rows, padding):
    """Where rows first, first+1, ... of picture n lie with their border: in the buffer, or if that is empty, in x."""
    if len(buffer) == 0:
        return x.reshape(-1), (n * x.shape[1] + first) * x.shape[2] * x.shape[3]
    copy_band(buffer, x, n, first, rows, padding)
    return buffer, 0


@njit(cache=True, nogil=True)
def crop_picture(x, n, buffer, padding):
    """The way back: picture n without its border."""
    _, H, W, C = x.shape
    (top, _), (left, right) = padding
    row = (left + W + right) * C
    copy_rows(x.reshape(-1), n * H * W * C, W * C, buffer, top * row + left * C, row, H, W * C)
