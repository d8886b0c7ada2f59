"""ZeroPadding2D: adds a border of zeros around the image, for networks that pad before a convolution or a pool.

Most networks do not need it: Conv2D and the pools have an argument `padding` of their own.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..kernels.geometry import check_padding
from .base import Layer, Shape
from .cache import Cache, make_cache, open_cache


class ZeroPadding2D(Layer):
    """y is x with rows and columns of zeros around it;  dx is dy without them.

    Parameters
    ----------
    padding : int, (height, width) or ((top, bottom), (left, right))
        Numbers of zeros to add on each side.

    Raises
    ------
    ArgumentError
        If `padding` is none of these.

    Examples
    --------
    >>> ZeroPadding2D(1)(np.ones((1, 1, 1, 1)))[0, :, :, 0]
    array([[0., 0., 0.],
           [0., 1., 0.],
           [0., 0., 0.]])
    """

    def __init__(self, padding: int | Sequence = 1):
        super().__init__()
        if isinstance(padding, str):
            raise ArgumentError("ZeroPadding2D padding", "an int, a pair or two pairs", repr(padding))
        self.padding: Any = check_padding(padding, "ZeroPadding2D padding")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 3:
            raise ShapeError(
                "ZeroPadding2D", "images (height, width, channels)", f"shape {input_shape}",
                "Put it before Flatten.",
            )  # fmt: skip
        (top, bottom), (left, right) = self.padding
        H, W, C = input_shape
        return H + top + bottom, W + left + right, C

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        x = self.as_input(x, 4)
        y = np.pad(x, ((0, 0), *self.padding, (0, 0)))
        return y, make_cache(self, y, x.shape)

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray:
        dy, (_, H, W, _) = open_cache(self, dy, cache)
        (top, _), (left, _) = self.padding
        return dy[:, top : top + H, left : left + W]
