"""Dropout: in training, silence random values, so that no feature relies on one other feature."""

from collections.abc import Sequence

import numpy as np

from ..errors import ArgumentError, ShapeError
from .base import Layer, Shape


class Dropout(Layer):
    """y = x * mask / (1 - rate) in training, where mask is 0 with probability `rate`; y = x otherwise.

    The division keeps the mean, so that prediction needs no correction ("inverted" dropout).

    Parameters
    ----------
    rate : float in [0, 1)
        The share of values that is silenced.
    noise_shape : sequence of None or 1, optional
        For each axis of x, the batch's too: a mask of its own for each index, or one for all.  (None, 1, 1, None)
        silences whole channels, and (None, 1, 1, 1), last among a Residual's layers, is stochastic depth.

    Raises
    ------
    ArgumentError
        For a rate outside [0, 1), or another noise_shape.
    ShapeError
        By `build`, for a noise_shape of another number of axes.

    Notes
    -----
    The mask comes from the layer's own generator, which `build` takes from the model's seed.

    References
    ----------
    Srivastava et al. 2014, "Dropout", section 4; Huang et al. 2016, "Deep Networks with Stochastic Depth",
    section 3.

    Examples
    --------
    >>> layer = Dropout(0.5)
    >>> shape = layer.build((4,), np.random.default_rng(0))
    >>> layer.forward(np.ones((1, 4))), sorted(set(layer.forward(np.ones((9, 4)), training=True).ravel().tolist()))
    (array([[1., 1., 1., 1.]]), [0.0, 2.0])
    """

    def __init__(self, rate: float, noise_shape: Sequence[int | None] | None = None):
        super().__init__()
        if not isinstance(rate, (int, float)) or not 0 <= rate < 1:
            raise ArgumentError("Dropout rate", "a number in [0, 1)", repr(rate), "Give for example 0.5.")
        if noise_shape is not None:
            if not isinstance(noise_shape, (list, tuple)) or any(n not in (None, 1) for n in noise_shape):
                raise ArgumentError(
                    "Dropout noise_shape", "None or 1 for each axis", repr(noise_shape),
                    "Give for example (None, 1, 1, 1).",
                )  # fmt: skip
            noise_shape = tuple(n and 1 for n in noise_shape)  # 1.0 is 1 too
        self.rate, self.noise_shape = float(rate), noise_shape

    def build(self, input_shape: Shape, rng: np.random.Generator | None, dtype: str = "float32") -> Shape:
        if self.noise_shape is not None and len(self.noise_shape) != 1 + len(input_shape):
            raise ShapeError(
                "Dropout noise_shape", f"{1 + len(input_shape)} axes, the batch's first", repr(self.noise_shape),
                "Give None or 1 for each.",
            )  # fmt: skip
        self.rng = np.random.default_rng(0) if rng is None else rng.spawn(1)[0]
        return input_shape

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        if not training:
            return x
        scale = np.asarray(1 / (1 - self.rate), x.dtype)
        shape = [size or n for size, n in zip(self.noise_shape or x.shape, x.shape, strict=True)]
        mask = (self.rng.random(shape, np.float32) >= self.rate) * scale
        self.keep(training, mask)
        return x * mask

    def backward(self, dy: np.ndarray) -> np.ndarray:
        (mask,) = self.kept()
        return dy * mask

    @property
    def config(self) -> dict:
        return {"rate": self.rate, "noise_shape": self.noise_shape}
