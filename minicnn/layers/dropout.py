"""Dropout: in training, silence random values, so that no feature relies on one other feature."""

import numpy as np

from ..errors import ArgumentError
from .base import Layer, Shape


class Dropout(Layer):
    """y = x * mask / (1 - rate) in training, where mask is 0 with probability `rate`; y = x otherwise.

    The division keeps the mean, so that prediction needs no correction ("inverted" dropout).

    Parameters
    ----------
    rate : float in [0, 1)
        The share of values that is silenced.

    Raises
    ------
    ArgumentError
        For a rate outside [0, 1).

    Notes
    -----
    The mask comes from the layer's own generator, which `build` takes from the model's seed.

    References
    ----------
    Srivastava et al. 2014, "Dropout", section 4.

    Examples
    --------
    >>> layer = Dropout(0.5)
    >>> shape = layer.build((4,), np.random.default_rng(0))
    >>> layer.forward(np.ones((1, 4))), sorted(set(layer.forward(np.ones((9, 4)), training=True).ravel().tolist()))
    (array([[1., 1., 1., 1.]]), [0.0, 2.0])
    """

    def __init__(self, rate: float):
        super().__init__()
        if not isinstance(rate, (int, float)) or not 0 <= rate < 1:
            raise ArgumentError("Dropout rate", "a number in [0, 1)", repr(rate), "Give for example 0.5.")
        self.rate = float(rate)

    def build(self, input_shape: Shape, rng: np.random.Generator | None, dtype: str = "float32") -> Shape:
        self.rng = np.random.default_rng(0) if rng is None else rng.spawn(1)[0]
        return input_shape

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        if not training:
            return x
        scale = np.asarray(1 / (1 - self.rate), x.dtype)
        mask = (self.rng.random(x.shape, np.float32) >= self.rate) * scale
        self.keep(training, mask)
        return x * mask

    def backward(self, dy: np.ndarray) -> np.ndarray:
        (mask,) = self.kept()
        return dy * mask

    @property
    def config(self) -> dict:
        return {"rate": self.rate}
