"""Residual: adds the input of some layers to their output, so that the layers learn the difference.

The gradient flows back through both branches, and the shortcut passes it on undiminished; that makes deep networks
trainable.  In a model, the branches run through the execution plan of fusion.py; `forward` here serves a layer that is
used alone, and traces.  The helpers for layers in a row are in chain.py.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from .base import Generator, Layer, Shape, run_backward, run_forward
from .cache import Cache, make_cache, open_cache
from .chain import build_chain, check_layers, shapes_of, trace_chain, trace_chain_backward, walk


class Residual(Layer):
    """y = layers(x) + shortcut(x);  dx is the sum of the gradients of both branches.

    Parameters
    ----------
    layers : sequence of Layer, at least one
    shortcut : sequence of Layer
        Layers of the shortcut (default: none, so that x itself is added).  If `layers` change the shape, the shortcut
        must change it in the same way, for example with ``[Conv2D(filters, 1, strides=2)]``.

    Raises
    ------
    ArgumentError
        If there is no layer, or one appears twice.

    Notes
    -----
    The parameters are those of `layers`, then those of `shortcut`.  Their names begin with the name of this layer:
    "residual_1/conv2d_1/weight", "residual_1/shortcut_conv2d_1/weight".

    References
    ----------
    He et al. 2016, "Deep Residual Learning for Image Recognition", section 3.

    Examples
    --------
    >>> from minicnn.layers import Dense
    >>> layer = Residual([Dense(2, kernel_initializer="zeros")])
    >>> layer.build((2,), np.random.default_rng(0))
    (2,)
    >>> layer(np.array([[1.0, 2.0]], "float32"))
    array([[1., 2.]], dtype=float32)
    """

    def __init__(self, layers: Sequence[Layer], shortcut: Sequence[Layer] = ()):
        super().__init__()
        self.layers = check_layers(layers, "Residual layers")
        self.shortcut = check_layers(shortcut, "Residual shortcut")
        if not self.layers:
            raise ArgumentError("Residual layers", "at least one layer", "none", "Give for example [ReLU()].")
        check_layers([*self.layers, *self.shortcut], "Residual")

    @property
    def branches(self) -> Sequence[tuple[str, Sequence[Layer]]]:
        return ("", self.layers), ("shortcut_", self.shortcut)

    @property
    def parameters(self) -> list:
        return [
            parameter for _, layers in self.branches for layer in layers for parameter in layer.parameters
        ]

    def build(self, input_shape: Shape, rng: Generator | None, dtype: Any = "float32") -> Shape:
        try:
            for _, layers in self.branches:
                build_chain(layers, input_shape, rng, dtype)
        except ShapeError as error:
            raise error.within("Residual:") from None
        return self.compute_output_shape(input_shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        ends = [[input_shape, *shapes_of(layers, input_shape)][-1] for _, layers in self.branches]
        if ends[0] != ends[1]:
            raise ShapeError(
                "Residual", "two branches that produce the same shape",
                f"{ends[0]} from the layers, {ends[1]} from the shortcut", f"Give a shortcut that produces {ends[0]}.",
            )  # fmt: skip
        return ends[0]

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        x = self.as_input(x)
        outputs, caches = [], []
        for _, layers in self.branches:
            y = x
            of_branch = []
            for layer in layers:
                y, cache = run_forward(layer, y, training)
                of_branch.append(cache)
            outputs.append(y)
            caches.append(of_branch)
        check_same(self, *outputs)
        y = self.kernels.add(*outputs)
        return y, make_cache(self, y, caches)

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray | None:
        dy, caches = open_cache(self, dy, cache)
        gradients = []
        for (_, layers), of_branch in zip(self.branches, caches, strict=True):
            dx = dy
            for number in reversed(range(len(layers))):
                dx = run_backward(layers[number], dx, of_branch[number], need_dx or number > 0, need_dweight)
            gradients.append(dx)
        return self.kernels.add(*gradients) if need_dx else None

    def updates(self, cache: Cache) -> list[Callable[[], None]]:
        (caches,) = cache[3]
        return [
            update
            for (_, layers), of_branch in zip(self.branches, caches, strict=True)
            for layer, of_layer in zip(layers, of_branch, strict=True)
            for update in layer.updates(of_layer)
        ]

    def trace(self, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        outputs = []
        named: dict[str, np.ndarray] = {}
        for prefix, layers in self.branches:
            y, of_branch = trace_chain(layers, x, prefix)
            outputs.append(y)
            named |= of_branch
        y = self.kernels.add(*outputs)
        return y, named | {"": y}

    def trace_backward(self, dy: np.ndarray, cache: Cache) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        dy, caches = open_cache(self, dy, cache)
        gradients = []
        named: dict[str, np.ndarray] = {}
        for (prefix, layers), of_branch in zip(self.branches, caches, strict=True):
            dx, at = trace_chain_backward(layers, dy, of_branch, prefix)
            gradients.append(dx)
            named |= at
        return self.kernels.add(*gradients), named | {"": dy}

    def multiply_adds(self, input_shape: Shape) -> int:
        total = 0
        for _, layers in self.branches:
            shapes = [input_shape, *shapes_of(layers, input_shape)]
            total += sum(layer.multiply_adds(shape) for layer, shape in zip(layers, shapes, strict=False))
        return total

    @property
    def state(self) -> dict:
        return {place: layer.state for place, layer in self._places()}

    @state.setter
    def state(self, state: dict) -> None:
        for place, layer in self._places():
            layer.state = state[place]

    def _places(self):
        """Each inner layer with its number as text: numbers are stable, but names may differ between models."""
        return [
            (str(number), layer) for number, layer in enumerate(list(walk([self]))[1:]) if not layer.branches
        ]


def check_same(owner: Layer, y: np.ndarray, short: np.ndarray) -> None:
    """Raise ShapeError if the outputs of the two branches differ in shape."""
    if y.shape != short.shape:
        raise ShapeError(
            f"{owner!r}", "two branches that produce the same shape", f"{y.shape} and {short.shape}"
        )
