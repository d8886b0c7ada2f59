"""Pooling: each window of the image becomes one value, so that later layers see a larger area and cost less.

The arithmetic is in `kernels/`, except for the two global pools, which are one line of NumPy each.  Read convolution.py
first: it explains windows, strides and padding.
"""

from collections.abc import Sequence

import numpy as np

from ..errors import ShapeError
from ..kernels.geometry import Padding, check_padding, pair, place_windows
from .base import Layer, Shape
from .cache import Cache, make_cache, open_cache
from .convolution import ONE, padding_of


class _Pool2D(Layer):
    """The base class of MaxPool2D and AveragePool2D: options and shapes."""

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str | int | Sequence = "valid",
    ):
        super().__init__()
        where = type(self).__name__
        self.pool_size = pair(pool_size, f"{where} pool_size")
        self.strides = self.pool_size if strides is None else pair(strides, f"{where} strides")
        self.padding = check_padding(padding, f"{where} padding")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        where = type(self).__name__
        pads, size = place_windows(input_shape, self.pool_size, self.strides, self.padding, where)
        for side, window in zip(pads, self.pool_size, strict=True):
            if max(side) >= window:
                raise ShapeError(
                    where, "padding smaller than the pool", f"padding {pads}, pool {self.pool_size}",
                    "A window must touch the image: pad less.",
                )  # fmt: skip
        return *size, input_shape[2]

    def checked(self, x: np.ndarray) -> tuple[np.ndarray, Padding]:
        """x as an array, and the numbers of padding rows and columns to add on each side."""
        x = self.as_input(x, 4)
        where = type(self).__name__
        pads = padding_of(x.shape[1:3], self.pool_size, self.strides, self.padding, ONE, where)
        return x, pads


class MaxPool2D(_Pool2D):
    """y = the largest value of each window, per channel.

    Backward: dx[argmax of the window] += dy.  In a tie, the first position in row-major order is the argmax.

    Parameters
    ----------
    pool_size : int or (KH, KW)
        Height and width of the window.
    strides : int, (SH, SW) or None
        Distance between windows; None means `pool_size`, so that windows do not overlap.
    padding : as in `Conv2D`
        Padding never counts as the largest value.

    Notes
    -----
    The cache holds one byte per window and channel: the argmax.

    Examples
    --------
    >>> MaxPool2D(2).build((4, 4, 1), None)
    (2, 2, 1)
    >>> MaxPool2D(2)(np.arange(16.0).reshape(1, 4, 4, 1)).ravel()
    array([ 5.,  7., 13., 15.])
    """

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        x, pads = self.checked(x)
        y, argmax = self.kernels.maxpool2d_forward(x, self.pool_size, self.strides, pads)
        return y, make_cache(self, y, argmax, x.shape, pads)

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray:
        dy, argmax, x_shape, pads = open_cache(self, dy, cache)
        return self.kernels.maxpool2d_backward(dy, argmax, x_shape, self.pool_size, self.strides, pads)


class AveragePool2D(_Pool2D):
    """y = the mean of each window; positions in the padding are not counted.

    Backward: every position of the window receives dy / count.

    Parameters
    ----------
    pool_size, strides, padding : as in `MaxPool2D`

    Examples
    --------
    >>> AveragePool2D(2).build((4, 4, 1), None)
    (2, 2, 1)
    >>> AveragePool2D(2)(np.arange(16.0).reshape(1, 4, 4, 1)).ravel()
    array([ 2.5,  4.5, 10.5, 12.5])
    """

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        x, pads = self.checked(x)
        y = self.kernels.averagepool2d_forward(x, self.pool_size, self.strides, pads)
        return y, make_cache(self, y, x.shape, pads)

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray:
        dy, x_shape, pads = open_cache(self, dy, cache)
        return self.kernels.averagepool2d_backward(dy, x_shape, self.pool_size, self.strides, pads)


class _GlobalPool2D(Layer):
    """The base class of the two global pools: (N, H, W, C) -> (N, C)."""

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 3:
            raise ShapeError(
                type(self).__name__, "images (height, width, channels)", f"shape {input_shape}",
                "Put it before Dense.",
            )  # fmt: skip
        return (input_shape[2],)


class GlobalAveragePool2D(_GlobalPool2D):
    """y[n, c] = the mean of x[n, :, :, c];  dx[n, h, w, c] = dy[n, c] / (H*W).

    References
    ----------
    Lin, Chen and Yan 2014, "Network In Network", section 3.2.

    Examples
    --------
    >>> GlobalAveragePool2D()(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[3., 4.]])
    """

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        x = self.as_input(x, 4)
        y = x.mean((1, 2))
        return y, make_cache(self, y, x.shape)

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray:
        dy, (N, H, W, C) = open_cache(self, dy, cache)
        return np.broadcast_to(dy[:, None, None, :] / np.asarray(H * W, dy.dtype), (N, H, W, C))


class GlobalMaxPool2D(_GlobalPool2D):
    """y[n, c] = the largest of x[n, :, :, c];  dx[n, argmax, c] = dy[n, c], and 0 elsewhere.

    In a tie, the first position in row-major order is the argmax.

    Examples
    --------
    >>> GlobalMaxPool2D()(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[6., 7.]])
    """

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        x = self.as_input(x, 4)
        rows = x.reshape(len(x), x.shape[1] * x.shape[2], x.shape[3])  # (N, H, W, C) -> (N, H*W, C)
        argmax = rows.argmax(1)[:, None]
        y = np.take_along_axis(rows, argmax, 1)[:, 0]
        return y, make_cache(self, y, argmax, x.shape)

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray:
        dy, argmax, (N, H, W, C) = open_cache(self, dy, cache)
        dx = np.zeros((N, H * W, C), dy.dtype)
        np.put_along_axis(dx, argmax, dy[:, None], 1)
        return dx.reshape(N, H, W, C)
