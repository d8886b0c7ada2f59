"""Residual: layers that learn a difference, because what came in is added to what they give.

The gradient goes back both ways, and the straight one loses nothing: that is why deep networks train.
"""

from collections.abc import Sequence

import numpy as np

from ..errors import ArgumentError, ShapeError
from .base import Layer, Shape
from .chain import build_chain, check_layers


class Residual(Layer):
    """y = layers(x) + shortcut(x);  dx is the sum of what comes back from both.

    Parameters
    ----------
    layers : sequence of Layer, at least one
    shortcut : sequence of Layer
        Empty: x itself is added.  Where the layers change the shape, layers that change x alike, such as
        ``[Conv2D(filters, 1, strides=2)]``.

    Attributes
    ----------
    steps, shortcut_steps : list
        How both ways are walked through: the layers, or some of them as one if a model planned it (fusion.py).

    Raises
    ------
    ArgumentError
        If there is no layer, or one stands twice.

    Notes
    -----
    The parameters are those of `layers`, then those of `shortcut`; their names begin with the layer's they
    belong to: "residual_1/conv2d_1/weight", "residual_1/shortcut_conv2d_1/weight".  It keeps nothing itself.

    References
    ----------
    He et al. 2016, "Deep Residual Learning for Image Recognition", section 3.

    Examples
    --------
    >>> from minicnn.layers import Dense
    >>> layer = Residual([Dense(2, kernel_initializer="zeros")])
    >>> layer.build((2,), np.random.default_rng(0))
    (2,)
    >>> layer.forward(np.array([[1.0, 2.0]], "float32"))
    array([[1., 2.]], dtype=float32)
    """

    def __init__(self, layers: Sequence[Layer], shortcut: Sequence[Layer] = ()):
        super().__init__()
        self.layers = check_layers(layers, "Residual layers")
        self.shortcut = check_layers(shortcut, "Residual shortcut")
        if not self.layers:
            raise ArgumentError("Residual layers", "at least one", "none", "Give for example [ReLU()].")
        self.inner = check_layers([*self.layers, *self.shortcut], "Residual")
        self.steps, self.shortcut_steps = self.layers, self.shortcut

    def build(self, input_shape: Shape, rng: np.random.Generator | None, dtype: str = "float32") -> Shape:
        settings = rng, dtype, self.kernels, self.needs_dx
        try:
            shape = build_chain(self.layers, input_shape, *settings)
            short = build_chain(self.shortcut, input_shape, *settings, prefix="shortcut_")
        except ShapeError as error:
            raise error.within("Residual:") from None
        if shape != short:
            raise ShapeError(
                "Residual", "both ways to end in one shape", f"{shape} from the layers, {short} from the shortcut",
                f"Give a shortcut that ends in {shape}.",
            )  # fmt: skip
        self.parameters = [parameter for layer in self.inner for parameter in layer.parameters]
        self.multiply_adds = sum(layer.multiply_adds for layer in self.inner)
        return shape

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        y, short = x, x
        for step in self.steps:
            y = step.forward(y, training)
        for step in self.shortcut_steps:
            short = step.forward(short, training)
        return self.kernels.add(y, short)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        dx, dshort = dy, dy
        for step in reversed(self.steps):
            dx = step.backward(dx)
        for step in reversed(self.shortcut_steps):
            dshort = step.backward(dshort)
        return self.kernels.add(dx, dshort) if self.needs_dx else None

    @property
    def state(self) -> dict:
        return {layer.name: layer.state for layer in self.inner}

    @state.setter
    def state(self, state: dict) -> None:
        for layer in self.inner:
            layer.state = state[layer.name]

    @property
    def config(self) -> dict:
        return {"layers": self.layers, "shortcut": self.shortcut}
