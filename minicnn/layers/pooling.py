"""Pooling: each window of the picture becomes one value, so that what follows sees further and costs less.

The arithmetic is in `kernels/`; GlobalAveragePool2D is one NumPy line and lives here.
"""

from collections.abc import Sequence

import numpy as np

from ..errors import ShapeError
from ..kernels.geometry import check_padding, pair, place_windows
from .base import Layer, Shape


class _Pool2D(Layer):
    """What the two windowed poolings share: their options and shapes."""

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

    def build(self, input_shape: Shape, rng: np.random.Generator | None, dtype: str = "float32") -> Shape:
        where = type(self).__name__
        self.pads, (OH, OW) = place_windows(input_shape, self.pool_size, self.strides, self.padding, where)
        for side, size in zip(self.pads, self.pool_size, strict=True):
            if max(side) >= size:
                raise ShapeError(
                    where, "padding smaller than the pool", f"padding {self.pads}, pool {self.pool_size}",
                    "A window must touch the picture: pad less.",
                )  # fmt: skip
        return OH, OW, input_shape[2]

    @property
    def config(self) -> dict:
        return {"pool_size": self.pool_size, "strides": self.strides, "padding": self.padding}


class MaxPool2D(_Pool2D):
    """y = the largest value of each window, a channel at a time.

    Backward: dx[the window's winner] += dy.  A tie goes to the first in row-major order.

    Parameters
    ----------
    pool_size : int or (KH, KW)
    strides : int, (SH, SW) or None
        None means `pool_size`: windows that do not overlap.
    padding : as in `Conv2D`; the padding never wins

    Notes
    -----
    Keeps one byte a window: which position won.

    Examples
    --------
    >>> layer = MaxPool2D(2)
    >>> layer.build((4, 4, 1), None)
    (2, 2, 1)
    >>> layer.forward(np.arange(16.0).reshape(1, 4, 4, 1)).ravel()
    array([ 5.,  7., 13., 15.])
    """

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        y, winner = self.kernels.maxpool2d_forward(x, self.pool_size, self.strides, self.pads)
        self.keep(training, winner, x.shape)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        winner, x_shape = self.kept()
        return self.kernels.maxpool2d_backward(dy, winner, x_shape, self.pool_size, self.strides, self.pads)


class AveragePool2D(_Pool2D):
    """y = the mean of each window; positions in the padding are not counted.

    Backward: every position of the window receives dy / count.

    Parameters
    ----------
    pool_size, strides, padding : as in `MaxPool2D`

    Examples
    --------
    >>> layer = AveragePool2D(2)
    >>> layer.build((4, 4, 1), None)
    (2, 2, 1)
    >>> layer.forward(np.arange(16.0).reshape(1, 4, 4, 1)).ravel()
    array([ 2.5,  4.5, 10.5, 12.5])
    """

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        self.keep(training, x.shape)
        return self.kernels.averagepool2d_forward(x, self.pool_size, self.strides, self.pads)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        (x_shape,) = self.kept()
        return self.kernels.averagepool2d_backward(dy, x_shape, self.pool_size, self.strides, self.pads)


class GlobalAveragePool2D(Layer):
    """y[n, c] = the mean of x[n, :, :, c];  dx[n, h, w, c] = dy[n, c] / (H*W).

    References
    ----------
    Lin, Chen and Yan 2014, "Network In Network", section 3.2.

    Examples
    --------
    >>> GlobalAveragePool2D().forward(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[3., 4.]])
    """

    def build(self, input_shape: Shape, rng: np.random.Generator | None, dtype: str = "float32") -> Shape:
        if len(input_shape) != 3:
            raise ShapeError(
                "GlobalAveragePool2D",
                "pictures (height, width, channels)",
                f"shape {input_shape}",
                "Put it before Dense.",
            )
        return (input_shape[2],)

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        self.keep(training, x.shape)
        return x.mean((1, 2))

    def backward(self, dy: np.ndarray) -> np.ndarray:
        ((N, H, W, C),) = self.kept()
        return np.broadcast_to(dy[:, None, None, :] / np.asarray(H * W, dy.dtype), (N, H, W, C))
