"""A layer as JSON can hold it, and back: its class and its config, with the layers inside it likewise.

Called by `Sequential.save` and `load_model`.  Only the classes of `minicnn.layers` are ever made, whatever a file says.
"""

from typing import Any

from .. import layers
from ..errors import ArgumentError
from .base import Layer, Parameter


def describe(layer: Layer) -> dict:
    """{"class": name, "config": arguments}.

    Raises
    ------
    ArgumentError
        If the layer is not one of minicnn's, since it could not be made again.

    Examples
    --------
    >>> from minicnn.layers import LeakyReLU, Residual
    >>> describe(Residual([LeakyReLU(0.1)]))["config"]["layers"]
    [{'class': 'LeakyReLU', 'config': {'negative_slope': 0.1}}]
    """
    name = type(layer).__name__
    if getattr(layers, name, None) is not type(layer):
        raise ArgumentError(
            "save", "layers of minicnn", repr(layer), "Save the weights yourself: get_weights()."
        )
    return {"class": name, "config": {key: _plain(value) for key, value in layer.config.items()}}


def make_layer(entry: dict) -> Layer:
    """The layer that `describe` described, not yet built.

    Raises
    ------
    ArgumentError
        For a class that there is not, or arguments that its constructor refuses.
    """
    name = entry["class"]
    made = getattr(layers, name, None) if name in layers.__all__ else None
    if made in (None, Layer, Parameter):
        raise ArgumentError("layer class", "one of minicnn.layers", repr(name), "Upgrade minicnn.")
    return made(**{key: _value(value) for key, value in entry["config"].items()})


def _plain(value: Any) -> Any:
    """Layers become dictionaries."""
    if isinstance(value, Layer):
        return describe(value)
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _value(value: Any) -> Any:
    """Dictionaries become layers, and lists tuples, as the constructors take them."""
    if isinstance(value, dict):
        return make_layer(value)
    return tuple(map(_value, value)) if isinstance(value, list) else value
