"""Dropout: in training, random values are set to zero, so that no feature can rely on one other feature.

In prediction the layer does nothing.  Read base.py first: `updates` there explains how the random generator advances.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError, check_int, check_number
from .base import Generator, Layer, Shape
from .cache import Cache, make_cache, open_cache


class Dropout(Layer):
    """y = x * mask / (1 - rate) in training, where mask is 0 with probability `rate`; y = x otherwise.

    The division keeps the mean, so that prediction needs no correction ("inverted" dropout).

    Parameters
    ----------
    rate : float in [0, 1)
        Fraction of the values that become zero.
    noise_shape : sequence of None or int, optional
        Shape of the mask, batch axis first.  None takes the size of x, 1 shares one value along the axis, and any other
        number must equal the size of x.  (None, 1, 1, None) drops whole channels.  (None, 1, 1, 1) in the last layer of
        a Residual is stochastic depth.
    seed : int, optional
        Seed of the masks (default: derived from the seed of the model).

    Raises
    ------
    ArgumentError
        If the rate is outside [0, 1), or noise_shape is not a sequence of None and whole numbers.
    ShapeError
        If noise_shape does not fit; raised by `build`.

    Notes
    -----
    The mask comes from the generator of the layer.  `forward` does not advance the generator, so it returns the same
    mask until a training step ends and calls the functions that `updates` returns.

    References
    ----------
    Srivastava et al. 2014, "Dropout", section 4; Huang et al. 2016, "Deep Networks with Stochastic Depth",
    section 3.

    Examples
    --------
    >>> layer = Dropout(0.5)
    >>> shape = layer.build((4,), np.random.default_rng(0))
    >>> y, cache = layer.forward(np.ones((9, 4)), training=True)
    >>> layer(np.ones((1, 4))), sorted(set(y.ravel().tolist()))
    (array([[1., 1., 1., 1.]]), [0.0, 2.0])
    """

    def __init__(self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None):
        super().__init__()
        self.rate = check_number(rate, "Dropout rate", 0, below=1)
        if noise_shape is not None:
            if not isinstance(noise_shape, (list, tuple)):
                raise ArgumentError(
                    "Dropout noise_shape", "None or a whole number for each axis", repr(noise_shape),
                    "Give for example (None, 1, 1, 1).",
                )  # fmt: skip
            noise_shape = tuple(
                None if n is None else check_int(n, "Dropout noise_shape") for n in noise_shape
            )
        self.noise_shape = noise_shape
        self.seed = None if seed is None else check_int(seed, "Dropout seed", least=0)

    def build(self, input_shape: Shape, rng: Generator | None, dtype: Any = "float32") -> Shape:
        if self.rng is None:
            self.__dict__["rng"] = (
                np.random.default_rng(self.seed or 0)
                if rng is None or self.seed is not None
                else rng.spawn(1)[0]
            )
        return self.compute_output_shape(input_shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        noise = self.noise_shape
        if noise is not None and (
            len(noise) != 1 + len(input_shape)
            or any(n not in (None, 1, size) for n, size in zip(noise[1:], input_shape, strict=True))
        ):
            raise ShapeError(
                "Dropout noise_shape", f"{1 + len(input_shape)} axes, batch axis first, that fit {input_shape}",
                repr(noise), "Give None or 1 for each axis.",
            )  # fmt: skip
        return input_shape

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        x = self.as_input(x)
        if not training:
            return x, make_cache(self, x, None, None)
        if self.rng is None:
            self.build(x.shape[1:], None)
        own: Any = self.rng
        rng = np.random.Generator(type(own.bit_generator)())
        rng.bit_generator.state = own.bit_generator.state
        scale = np.asarray(1 / (1 - self.rate), x.dtype)
        shape = [
            size if n is None else n for size, n in zip(x.shape, self.noise_shape or x.shape, strict=True)
        ]
        if any(n not in (1, size) for n, size in zip(shape, x.shape, strict=True)):
            raise ShapeError(f"{self!r}", "a batch that its noise_shape fits", f"shape {x.shape}")
        mask = (rng.random(shape, np.float32) >= self.rate) * scale
        y = x * mask
        return y, make_cache(self, y, mask, rng.bit_generator.state)

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray:
        dy, mask, _ = open_cache(self, dy, cache)
        return dy if mask is None else dy * mask

    def updates(self, cache: Cache) -> list[Callable[[], None]]:
        _, state = cache[3]
        own: Any = self.rng
        return [] if state is None else [partial(setattr, own.bit_generator, "state", state)]
