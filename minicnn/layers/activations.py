"""Activations: one function on every value, or on every row; without them a network is one matrix.

ReLU has kernels, since every large array passes through it; the others meet small arrays and are
written here with NumPy.
"""

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..functions import sigmoid, softmax
from .base import Layer, Shape


class ReLU(Layer):
    """y = max(x, 0);  dx = dy where y > 0, else 0.

    The slope at 0 is taken as 0, as in Keras.  Keeps y, which the next layer holds anyway.

    Examples
    --------
    >>> ReLU().forward(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        y = self.kernels.relu_forward(x)
        self.keep(training, y)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        (y,) = self.kept()
        return self.kernels.relu_backward(dy, y)


class LeakyReLU(Layer):
    """y = x where x > 0, else negative_slope * x;  dx = dy or negative_slope * dy.

    Parameters
    ----------
    negative_slope : float, at least 0

    Raises
    ------
    ArgumentError
        For a negative slope below 0.

    Examples
    --------
    >>> LeakyReLU(0.1).forward(np.array([-1.0, 2.0]))
    array([-0.1,  2. ])
    """

    def __init__(self, negative_slope: float = 0.3):
        super().__init__()
        if not isinstance(negative_slope, (int, float)) or not negative_slope >= 0:
            raise ArgumentError(
                "LeakyReLU negative_slope",
                "a number of at least 0",
                repr(negative_slope),
                "Give for example 0.1.",
            )
        self.negative_slope = float(negative_slope)

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        self.keep(training, x)
        return np.where(x > 0, x, x * np.asarray(self.negative_slope, x.dtype))

    def backward(self, dy: np.ndarray) -> np.ndarray:
        (x,) = self.kept()
        return np.where(x > 0, dy, dy * np.asarray(self.negative_slope, dy.dtype))

    @property
    def config(self) -> dict:
        return {"negative_slope": self.negative_slope}


class Sigmoid(Layer):
    """y = 1 / (1 + exp(-x));  dx = dy * y * (1 - y).

    Examples
    --------
    >>> Sigmoid().forward(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        y = sigmoid(x)
        self.keep(training, y)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        (y,) = self.kept()
        return dy * y * (1 - y)


class Softmax(Layer):
    """y[n, k] = exp(x[n, k]) / sum over j of exp(x[n, j]);  dx = y * (dy - sum over k of dy*y).

    Examples
    --------
    >>> Softmax().forward(np.array([[0.0, np.log(3.0)]])).round(6)
    array([[0.25, 0.75]])
    """

    def build(self, input_shape: Shape, rng: np.random.Generator | None, dtype: str = "float32") -> Shape:
        if len(input_shape) != 1:
            raise ShapeError(
                "Softmax",
                "a vector a sample",
                f"shape {input_shape}",
                "Put Flatten() and Dense(classes) before it.",
            )
        return input_shape

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        y = softmax(x)
        self.keep(training, y)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        (y,) = self.kept()
        return y * (dy - (dy * y).sum(-1, keepdims=True))
