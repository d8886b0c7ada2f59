"""Layers as dictionaries for JSON, and back: the class and the config of a layer and of the layers inside it.

Weights are not included; saving/model_file.py stores them and calls these functions.  `make_layer` only makes classes
of `minicnn.layers` and classes that the caller passes in: a file cannot name code to import.
"""

from collections.abc import Mapping
from typing import Any

from .. import layers
from ..errors import ArgumentError
from ..regularizers import Regularizer
from .base import Layer
from .parameter import Parameter


def describe(layer: Layer) -> dict:
    """{"class": name, "config": arguments}, and "name" and "trainable" if they are not the default.

    Raises
    ------
    ArgumentError
        If an argument of the constructor is not stored on the layer, so that it could not be made again.

    Examples
    --------
    >>> from minicnn.layers import LeakyReLU, Residual
    >>> describe(Residual([LeakyReLU(0.1)]))["config"]["layers"]
    [{'class': 'LeakyReLU', 'config': {'negative_slope': 0.1}}]
    """
    entry: dict[str, Any] = {
        "class": type(layer).__name__,
        "config": {key: _to_json(value) for key, value in layer.config.items()},
    }
    if layer._named:
        entry["name"] = layer._name
    if not layer.trainable:
        entry["trainable"] = False
    return entry


def make_layer(entry: dict, custom: Mapping[str, type] | None = None) -> Layer:
    """A new layer from a dictionary of `describe`; it is not built.

    Parameters
    ----------
    entry : dict
    custom : dict from name to Layer class, optional
        The user's own layers; they take precedence over minicnn's.

    Raises
    ------
    ArgumentError
        If the class does not exist, or its constructor refuses the arguments.
    """
    name = entry["class"]
    made = (custom or {}).get(name)
    if made is None and name in layers.__all__:
        made = getattr(layers, name)
    if not isinstance(made, type) or not issubclass(made, Layer) or made in (Layer, Parameter):
        raise ArgumentError(
            "layer class", "one of minicnn.layers", repr(name),
            f"For a layer of your own, pass custom_objects={{{name!r}: the class}}. Otherwise, upgrade minicnn.",
        )  # fmt: skip
    layer = made(**{key: _from_json(value, custom) for key, value in entry["config"].items()})
    if "name" in entry:
        layer.name = entry["name"]
    if not entry.get("trainable", True):
        layer.trainable = False
    return layer


def _to_json(value: Any) -> Any:
    """The value with layers and regularizers replaced by dictionaries."""
    if isinstance(value, Layer):
        return describe(value)
    if isinstance(value, Regularizer):
        return value.config
    return [_to_json(item) for item in value] if isinstance(value, (list, tuple)) else value


def _from_json(value: Any, custom: Mapping[str, type] | None) -> Any:
    """The value with dictionaries of layers replaced by layers, and lists by tuples, as the constructors take them."""
    if isinstance(value, dict):
        return make_layer(value, custom) if "class" in value else value
    return tuple(_from_json(item, custom) for item in value) if isinstance(value, list) else value
