"""Dilated convolution by ordinary convolutions: split the image into interleaved sub-images and convolve each.

    y[n, oh, ow] = sum over kh, kw of x[n, oh + kh*DH, ow + kw*DW] * weight[kh, kw]

Output row oh reads only the input rows oh, oh + DH, oh + 2*DH, ..., which leave the same remainder when divided by
DH.  The rows and columns of one pair of remainders form a sub-image, in which the values that a window reads are
neighbours.  DH*DW ordinary convolutions of sub-images give every output exactly once.  The kernel is not filled up
with zeros, so an infinity or NaN reaches the same outputs as in the definition.
Reference: Yu and Koltun 2016, "Multi-Scale Context Aggregation by Dilated Convolutions".
Called by `im2col.py` and `fast/__init__.py`, each with its own convolutions.  The definition is in `reference.py`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .geometry import Padding, Pair, effective_kernel

NONE = ((0, 0), (0, 0))


def dilated(convolve: Callable, differentiate: Callable) -> tuple[Callable, Callable]:
    """The dilated forward and backward functions of a kernel set.

    Parameters
    ----------
    convolve, differentiate : functions
        The set's conv2d_forward and conv2d_backward, or depthwise_conv2d_forward and depthwise_conv2d_backward.
    """

    def forward(
        x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, padding: Padding, dilation: Pair
    ) -> np.ndarray:
        """A convolution with stride 1 whose window reads every DH-th row and DW-th column."""
        x = _pad(x, padding)
        KH, KW = effective_kernel(weight.shape[:2], dilation)
        size = x.shape[1] - KH + 1, x.shape[2] - KW + 1
        y: Any = None
        for outputs, inputs in _sub_images(size, dilation):
            part = convolve(x[inputs], weight, bias, (1, 1), NONE)
            if y is None:
                y = np.empty((len(x), *size, part.shape[3]), part.dtype)
            y[outputs] = part
        return y

    def backward(
        dy: np.ndarray,
        x: np.ndarray,
        weight: np.ndarray,
        padding: Padding,
        dilation: Pair,
        need_dx: bool = True,
        need_dweight: bool = True,
    ) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
        """dx, dweight and dbias; the sums over the sub-images are added in a fixed order."""
        (top, _), (left, _) = padding
        _, H, W, _ = x.shape
        x = _pad(x, padding)
        dx: Any = np.zeros_like(x) if need_dx else None
        dweight = dbias = None
        for outputs, inputs in _sub_images(dy.shape[1:3], dilation):
            parts = differentiate(dy[outputs], x[inputs], weight, (1, 1), NONE, need_dx, need_dweight)
            if need_dx:
                dx[inputs] = parts[0]
            if need_dweight:
                dweight = parts[1] if dweight is None else dweight + parts[1]
                dbias = parts[2] if dbias is None else dbias + parts[2]
        return dx[:, top : top + H, left : left + W] if need_dx else None, dweight, dbias

    return forward, backward


def _sub_images(size, dilation):
    """Pairs of indices (into y, into the padded x), one for each pair of remainders that has outputs."""
    for row in range(min(dilation[0], size[0])):
        for column in range(min(dilation[1], size[1])):
            index = slice(None), slice(row, None, dilation[0]), slice(column, None, dilation[1])
            yield index, index


def _pad(x, padding):
    return np.pad(x, ((0, 0), *padding, (0, 0))) if any(map(any, padding)) else x
