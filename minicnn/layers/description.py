"""A layer as JSON can hold it, and back: its class and its config, with the layers inside it likewise.

Called by saving/model_file.py.  Only the classes of `minicnn.layers`, and those that the caller hands over, are ever
made: nothing in a file names code to import.
"""

from collections.abc import Mapping
from typing import Any

from .. import layers
from ..errors import ArgumentError
from ..regularizers import Regularizer
from .base import Layer
from .parameter import Parameter


def describe(layer: Layer) -> dict:
    """{"class": name, "config": arguments}, and "name" and "trainable" where they are not the default.

    Raises
    ------
    ArgumentError
        If the layer could not be made again from that.

    Examples
    --------
    >>> from minicnn.layers import LeakyReLU, Residual
    >>> describe(Residual([LeakyReLU(0.1)]))["config"]["layers"]
    [{'class': 'LeakyReLU', 'config': {'negative_slope': 0.1}}]
    """
    entry = {
        "class": type(layer).__name__,
        "config": {key: _plain(value) for key, value in layer.config.items()},
    }
    if layer._named:
        entry["name"] = layer._name
    if not layer.trainable:
        entry["trainable"] = False
    return entry


def make_layer(entry: dict, custom: Mapping[str, type] | None = None) -> Layer:
    """The layer that `describe` described, not yet built.

    Parameters
    ----------
    entry : dict
    custom : dict from name to Layer class, optional
        Layers that are not minicnn's; they come before minicnn's own.

    Raises
    ------
    ArgumentError
        For a class that there is not, or arguments that its constructor refuses.
    """
    name = entry["class"]
    made = (custom or {}).get(name)
    if made is None and name in layers.__all__:
        made = getattr(layers, name)
    if not isinstance(made, type) or not issubclass(made, Layer) or made in (Layer, Parameter):
        raise ArgumentError(
            "layer class", "one of minicnn.layers", repr(name),
            f"If it is a layer of your own, give custom_objects={{{name!r}: the class}}; or upgrade minicnn.",
        )  # fmt: skip
    layer = made(**{key: _value(value, custom) for key, value in entry["config"].items()})
    if "name" in entry:
        layer.name = entry["name"]
    if not entry.get("trainable", True):
        layer.trainable = False
    return layer


def _plain(value: Any) -> Any:
    """Layers and regularizers become dictionaries."""
    if isinstance(value, Layer):
        return describe(value)
    if isinstance(value, Regularizer):
        return value.config
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _value(value: Any, custom: Mapping[str, type] | None) -> Any:
    """Dictionaries become layers, and lists tuples, as the constructors take them."""
    if isinstance(value, dict):
        return make_layer(value, custom) if "class" in value else value
    return tuple(_value(item, custom) for item in value) if isinstance(value, list) else value
