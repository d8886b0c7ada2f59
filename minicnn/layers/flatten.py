"""Flatten: a picture becomes a vector; the bridge from convolutions to dense layers."""

import math

import numpy as np

from .base import Layer, Shape


class Flatten(Layer):
    """(N, H, W, C) -> (N, H*W*C), channels last and fastest, as NumPy and Keras lay them out.

    Costs nothing and keeps only the shape.

    Examples
    --------
    >>> Flatten().build((4, 5, 3), None)
    (60,)
    """

    def build(self, input_shape: Shape, rng: np.random.Generator | None, dtype: str = "float32") -> Shape:
        return (math.prod(input_shape),)

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        self.keep(training, x.shape)
        return x.reshape(len(x), -1)  # (N, H, W, C) -> (N, H*W*C)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        (x_shape,) = self.kept()
        return dy.reshape(x_shape)  # (N, H*W*C) -> (N, H, W, C)
