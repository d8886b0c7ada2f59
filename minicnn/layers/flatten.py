"""Flatten: reshapes an image into a vector, between convolutions and dense layers.

GlobalAveragePool2D in pooling.py is the alternative that accepts images of any size.
"""

import math

import numpy as np

from .base import Layer, Shape
from .cache import Cache, make_cache, open_cache


class Flatten(Layer):
    """(N, H, W, C) -> (N, H*W*C), in the memory order of NumPy and Keras: the channel varies fastest.

    It copies nothing; the cache holds only the shape.

    Examples
    --------
    >>> Flatten().build((4, 5, 3), None)
    (60,)
    """

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (math.prod(input_shape),)

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        x = self.as_input(x)
        y = x.reshape(len(x), math.prod(x.shape[1:]))  # (N, H, W, C) -> (N, H*W*C)
        return y, make_cache(self, y, x.shape)

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray:
        dy, x_shape = open_cache(self, dy, cache)
        return dy.reshape(x_shape)  # (N, H*W*C) -> (N, H, W, C)
