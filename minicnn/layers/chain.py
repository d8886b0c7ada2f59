"""Layers in a row: the checks, names and shapes that a model and a layer made of layers have in common.

Called by `Sequential.build` and by `Residual` in residual.py.
"""

from collections.abc import Iterator, Sequence
from types import ModuleType

import numpy as np

from ..errors import ArgumentError, ShapeError
from .base import Layer, Shape, snake_case


def walk(layers: Sequence[Layer]) -> Iterator[Layer]:
    """Every layer, each followed by those inside it.

    Examples
    --------
    >>> from minicnn.layers import Dense, ReLU, Residual
    >>> [layer.name for layer in walk([Residual([Dense(2), ReLU()]), Dense(1)])]
    ['residual', 'dense', 'relu', 'dense']
    """
    for layer in layers:
        yield layer
        yield from walk(layer.inner)


def check_layers(layers: Sequence[Layer], where: str) -> list[Layer]:
    """The layers as a list, if all are layers and none stands twice, not even inside another.

    Raises
    ------
    ArgumentError
    """
    layers = list(layers)
    for layer in layers:
        if not isinstance(layer, Layer):
            raise ArgumentError(where, "layers", repr(layer), "Write ReLU(), not ReLU or 'relu'.")
    every = [id(layer) for layer in walk(layers)]
    if len(set(every)) < len(every):
        raise ArgumentError(where, "every layer once", "one object twice", "Make a new layer for each place.")
    return layers


def build_chain(
    layers: Sequence[Layer],
    shape: Shape,
    rng: np.random.Generator | None,
    dtype: str,
    kernels: ModuleType,
    needs_dx: bool,
    prefix: str = "",
) -> Shape:
    """Name, number and build the layers, each for what the one before gives.

    Parameters
    ----------
    layers : sequence of Layer
    shape, rng, dtype : as in `Layer.build`
    kernels : module
        The kernel set of all.
    needs_dx : bool
        Whether somebody reads the gradient of the first one's input.
    prefix : str
        What the names begin with.

    Returns
    -------
    tuple of int
        The last one's output shape.

    Raises
    ------
    ShapeError
        Naming the layer that cannot work on what the one before gives.
    """
    counts: dict[str, int] = {}
    for number, layer in enumerate(layers, 1):
        base = snake_case(type(layer).__name__)
        counts[base] = counts.get(base, 0) + 1
        layer.name = f"{prefix}{base}_{counts[base]}"
        layer.kernels, layer.needs_dx = kernels, needs_dx or number > 1
        try:
            layer.output_shape = shape = layer.build(shape, rng, dtype)
        except ShapeError as error:
            raise error.within(f"layer {number}:") from None
        for parameter in layer.parameters:
            parameter.name = f"{layer.name}/{parameter.name}"
    return shape
