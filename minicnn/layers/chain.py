"""Layers in a row: checks, names, shapes and traces, for a model and for layers that contain layers.

Called by architecture.py and tracing.py for `Sequential`, and by `Residual`.  Forward and backward of a row are in
fusion.py and residual.py.  Read residual.py next.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from .base import Generator, Layer, snake_case
from .parameter import Parameter, Shape


def walk(layers: Sequence[Layer]) -> Iterator[Layer]:
    """Every layer, each followed by the layers inside it.

    Examples
    --------
    >>> from minicnn.layers import Dense, ReLU, Residual
    >>> [layer.name for layer in walk([Residual([Dense(2), ReLU()]), Dense(1)])]
    ['residual', 'dense', 'relu', 'dense']
    """
    for layer in layers:
        yield layer
        for _, inner in layer.branches:
            yield from walk(inner)


def check_layers(layers: Sequence[Layer], where: str) -> tuple[Layer, ...]:
    """The layers as a tuple, if all entries are layers and none appears twice, not even inside another layer.

    Raises
    ------
    ArgumentError
    """
    if isinstance(layers, Layer):
        raise ArgumentError(where, "a list of layers", repr(layers), "Put it into a list: [...].")
    try:
        layers = tuple(layers)
    except TypeError:
        raise ArgumentError(where, "a list of layers", repr(layers), "Put the layers into a list.") from None
    for layer in layers:
        if not isinstance(layer, Layer):
            raise ArgumentError(where, "layers", repr(layer), "Write ReLU(), not ReLU or 'relu'.")
    every = [id(layer) for layer in walk(layers)]
    every += [id(layer.activation) for layer in walk(layers) if layer.activation is not None]
    if len(set(every)) < len(every):
        raise ArgumentError(
            where, "every layer only once", "one object twice", "Make a new layer for each position."
        )
    return layers


def place_names(layers: Sequence[Layer], prefix: str = "") -> list[str]:
    """A name for each layer of a row: the name that the user gave, or the class name with a number.

    Raises
    ------
    ArgumentError
        If two layers have the same name.
    """
    counts: dict[str, int] = {}
    names = []
    for layer in layers:
        if layer._named:
            names.append(prefix + layer.name)
            continue
        base = snake_case(type(layer).__name__)
        counts[base] = counts.get(base, 0) + 1
        names.append(f"{prefix}{base}_{counts[base]}")
    if twice := {name for name in names if names.count(name) > 1}:
        raise ArgumentError("layers", "different names", ", ".join(sorted(twice)), "Rename one of them.")
    return names


def named_layers(layers: Sequence[Layer], prefix: str = "") -> dict[str, Layer]:
    """Every layer by its path, such as "residual_1/conv2d_1", each followed by the layers inside it."""
    named = {}
    for name, layer in zip(place_names(layers, prefix), layers, strict=True):
        named[name] = layer
        for inner_prefix, inner in layer.branches:
            named |= named_layers(inner, f"{name}/{inner_prefix}")
    return named


def named_parameters(layers: Sequence[Layer], prefix: str = "") -> dict[str, Parameter]:
    """Every parameter by its path, such as "residual_1/conv2d_1/weight", in the order of `Layer.parameters`."""
    return {
        f"{path}/{name}": parameter
        for path, layer in named_layers(layers, prefix).items()
        for name, parameter in layer._parameters.items()
    }


def build_chain(layers: Sequence[Layer], shape: Shape, rng: Generator | None, dtype: Any) -> list[Shape]:
    """Build the layers, each for the output shape of the layer before it.

    Parameters
    ----------
    layers : sequence of Layer
    shape, rng, dtype : as in `Layer.build`

    Returns
    -------
    list of tuple of int
        The output shape of each layer.

    Raises
    ------
    ShapeError
        If a layer cannot process the output of the layer before it; the layer is named.
    """
    shapes = []
    for number, layer in enumerate(layers, 1):
        try:
            shape = layer.build(shape, rng, dtype)
            if layer.activation is not None:
                layer.activation.build(shape, rng, dtype)
        except ShapeError as error:
            raise error.within(f"layer {number}:") from None
        if not isinstance(shape, tuple):
            raise ShapeError(
                f"layer {number}: {type(layer).__name__}.build", "the output shape as a tuple", repr(shape)
            )
        shapes.append(shape)
    return shapes


def shapes_of(layers: Sequence[Layer], shape: Shape) -> list[Shape]:
    """The output shape of each layer; nothing is created.

    A layer that only defines `build` is built again for its shape, which creates nothing because its weights exist.
    """
    shapes = []
    for number, layer in enumerate(layers, 1):
        kind = type(layer)
        try:
            if kind.compute_output_shape is Layer.compute_output_shape and kind.build is not Layer.build:
                dtype = layer.parameters[0].dtype if layer.parameters else "float32"
                shape = layer.build(shape, None, dtype)
            else:
                shape = layer.compute_output_shape(shape)
            if layer.activation is not None:
                layer.activation.compute_output_shape(shape)
        except ShapeError as error:
            raise error.within(f"layer {number}:") from None
        shapes.append(shape)
    return shapes


def assign_names(layers: Sequence[Layer]) -> None:
    """Name the layers and parameters that no model has named yet; a second model does not rename them."""
    for path, layer in named_layers(layers).items():
        if layer._name is None:
            layer._name = path.rpartition("/")[2]
        for name, parameter in layer._parameters.items():
            if parameter.name == name:
                parameter.name = f"{path}/{name}"


def trace_chain(
    layers: Sequence[Layer], x: np.ndarray, prefix: str = ""
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The last output in prediction, and the output of every layer by its path."""
    named: dict[str, np.ndarray] = {}
    for name, layer in zip(place_names(layers, prefix), layers, strict=True):
        x, outputs = layer.trace(x)
        named |= {join(name, inner): output for inner, output in outputs.items()}
    return x, named


def trace_chain_backward(
    layers: Sequence[Layer], dy: np.ndarray, caches: Sequence, prefix: str = ""
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """dx of the first layer, and the gradient at the output of every layer by its path."""
    named: dict[str, np.ndarray] = {}
    for name, layer, cache in reversed(list(zip(place_names(layers, prefix), layers, caches, strict=True))):
        dy, gradients = layer.trace_backward(dy, cache)
        named |= {join(name, inner): gradient for inner, gradient in gradients.items()}
    return dy, named


def join(name: str, inner: str) -> str:
    """The path of an output inside a layer; the name "" is the output of the layer itself."""
    return f"{name}/{inner}" if inner else name
