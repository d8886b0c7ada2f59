"""Rescaling: scales the input, as the first layer of a network, so that the scaling is saved with the weights.

It has no parameters to train.  Read inference/folding.py next: in a network that only predicts, it merges this layer
into the convolution or dense layer after it.
"""

from collections.abc import Sequence

import numpy as np

from ..errors import ArgumentError, ShapeError, check_number
from .base import Layer, Shape
from .cache import Cache, make_cache, open_cache


class Rescaling(Layer):
    """y = x * scale + offset, per channel;  dx = dy * scale.

    Parameters
    ----------
    scale, offset : float, or a sequence with one number per channel
        ``Rescaling(1 / 255)`` maps bytes to [0, 1]; ``Rescaling(1 / 127.5, -1)`` maps them to [-1, 1].  To normalise
        with a mean and a standard deviation per channel, use scale = 1 / deviation and offset = -mean / deviation.

    Raises
    ------
    ArgumentError
        If a number is not finite, or is not a number.
    ShapeError
        If the images have another number of channels; raised by `build`.

    Examples
    --------
    >>> Rescaling(1 / 127.5, offset=-1)(np.array([[0, 255]], "uint8"))
    array([[-1.,  1.]], dtype=float32)
    """

    def __init__(self, scale: float | Sequence[float], offset: float | Sequence[float] = 0.0):
        super().__init__()
        self.scale, self.offset = _numbers(scale, "Rescaling scale"), _numbers(offset, "Rescaling offset")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        for name, value in (("scale", self.scale), ("offset", self.offset)):
            if isinstance(value, tuple) and len(value) != input_shape[-1]:
                raise ShapeError(
                    f"Rescaling {name}", f"{input_shape[-1]} numbers, one per channel", str(len(value))
                )
        return input_shape

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        x = self.as_input(x)
        self.compute_output_shape(x.shape[1:])
        y = x * np.asarray(self.scale, x.dtype) + np.asarray(self.offset, x.dtype)
        return y, make_cache(self, y)

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray:
        (dy,) = open_cache(self, dy, cache)
        return dy * np.asarray(self.scale, dy.dtype)


def _numbers(value, where):
    """A float, or a tuple of floats."""
    if isinstance(value, (list, tuple, np.ndarray)) and np.ndim(value) == 1 and len(value):
        return tuple(check_number(number, where) for number in value)
    if isinstance(value, (list, tuple, np.ndarray)) and np.ndim(value):
        raise ArgumentError(where, "a number, or one number per channel", repr(value))
    return check_number(value.item() if isinstance(value, np.ndarray) else value, where)
