"""Loading a model that `Sequential.save` wrote (model_file.py).

Nothing in a file names code to import: a user's own layers, losses and metrics are handed over as `custom_objects`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..architecture import check_shape
from ..errors import ArgumentError, MinicnnError, ModelFileError, check_number
from ..kernels import kernel_set
from ..layers.description import make_layer
from ..losses import find_loss
from ..model import Sequential
from ..optimizers import find_optimizer
from . import serialization
from .model_file import set_tensors

# What a description that is not one of a network can raise where it is read.
FAULTS = (
    MinicnnError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, MemoryError,
)  # fmt: skip


def load_model(
    path: str | Path, kernels: str | None = None, custom_objects: Mapping[str, Any] | None = None
) -> Sequential:
    """Read a model that `Sequential.save` wrote; nothing else is needed to predict with it.

    Parameters
    ----------
    path : str or Path
    kernels : str, optional
        Another kernel set than it was saved with.
    custom_objects : dict from name to class or function, optional
        Layers, losses and metrics of your own that the file names: ``{"Scale": Scale}``.

    Returns
    -------
    Sequential
        With its weights, `class_names` and `preprocessing`.  It is compiled with the loss, the metrics and a new
        optimizer of the same settings, if the file names them and all are known; otherwise call `compile` to train.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, foreign, or its weights do not fit its architecture.
    ArgumentError
        For another kernel set than there is, or custom objects that are no dictionary.
    """
    custom = check_custom_objects(custom_objects)
    if kernels is not None:
        kernel_set(kernels)
    tensors, description = serialization.read(path)
    try:
        layers = [make_layer(entry, custom) for entry in description["layers"]]
        loaded = Sequential(layers, kernels or description["kernels"], description["name"])
        shape = check_shape(description["input_shape"], "input_shape")
        loaded._build(shape, None, description["dtype"])
        loaded.class_names = description["class_names"]
        loaded.preprocessing = description["preprocessing"]
        loaded.temperature = check_number(description.get("temperature", 1.0), "temperature", above=0)
        for name in description.get("frozen", ()):
            loaded.named_parameters[name].trainable = False
    except FAULTS as error:
        raise ModelFileError(
            str(path),
            "a description of a network",
            f"one that is not ({error})",
            "Save it again with minicnn.",
        ) from error
    set_tensors(loaded, path, tensors)
    _compile(loaded, description.get("compile"), custom)
    return loaded


def _compile(model, description, custom):
    """Compile as the file says, if all that it names is known; a model that is not compiled still predicts."""
    if not isinstance(description, dict):
        return
    try:
        metrics = [custom.get(name, name) for name in description["metrics"]]
        loss = find_loss(description["loss"], custom)
        model.compile(find_optimizer(description["optimizer"], custom), loss, metrics)
    except FAULTS:
        return


def check_custom_objects(custom: Any) -> Mapping[str, Any]:
    """A dictionary from names to classes or functions; None is an empty one.

    Raises
    ------
    ArgumentError
    """
    if custom is None:
        return {}
    if not isinstance(custom, Mapping) or not all(
        isinstance(k, str) and callable(v) for k, v in custom.items()
    ):
        raise ArgumentError(
            "custom_objects", "a dictionary from names to classes or functions", repr(custom),
            'Give for example {"Scale": Scale}.',
        )  # fmt: skip
    return custom
