"""Load a model from the file that `Sequential.save` wrote (model_file.py).

A file never names code to import: pass your own layers, losses and metrics as `custom_objects`.  The bytes of the file
are read by serialization.py; layers/description.py makes each layer.  `minicnn.load_model` is the function below.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..architecture import check_shape
from ..errors import ArgumentError, MinicnnError, ModelFileError, check_bool, check_number
from ..kernels import NAMES, kernel_set
from ..layers.description import make_layer
from ..losses import find_loss
from ..model import Sequential
from ..optimizers import find_optimizer
from ..runtime.threads import prepare_pool
from . import serialization
from .model_file import set_tensors

# The errors that a wrong description can raise.
FAULTS = (
    MinicnnError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, MemoryError,
)  # fmt: skip


def load_model(
    path: str | Path, kernels: str | None = None, custom_objects: Mapping[str, Any] | None = None
) -> Sequential:
    """Read a model that `Sequential.save` wrote.  It is ready to predict.

    Parameters
    ----------
    path : str or Path
    kernels : str, optional
        The kernel set to use (default: the one it was saved with).
    custom_objects : dict from name to class or function, optional
        Layers, losses and metrics of your own that the file names: ``{"Scale": Scale}``.

    Returns
    -------
    Sequential
        With its weights, `class_names` and `preprocessing`.  If the file names a loss, metrics and an optimizer, and
        all are known, the model is compiled with them (the optimizer is new).  Otherwise call `compile` to train.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, or not a model, or its weights do not fit its architecture.
    ArgumentError
        For an unknown kernel set, or custom objects that are not a dictionary.
    """
    custom = check_custom_objects(custom_objects)
    prepare_pool()  # here, so that a wrong environment variable is not blamed on the file
    if kernels is not None:
        kernel_set(kernels)
    tensors, description = serialization.read(path, serialization.NUMBERS)
    _check_kind(path, description)
    serialization.check_types(path, tensors, serialization.FLOATS)
    if kernels is None and description.get("kernels") in NAMES:
        kernel_set(description["kernels"])
    try:
        layers = [make_layer(entry, custom) for entry in description["layers"]]
        loaded = Sequential(layers, kernels or description["kernels"], description["name"])
        shape = check_shape(description["input_shape"], "input_shape")
        loaded._build(shape, None, description["dtype"])
        loaded.class_names = description["class_names"]
        loaded.preprocessing = description["preprocessing"]
        loaded.temperature = check_number(description.get("temperature", 1.0), "temperature", above=0)
        loaded.tta = check_bool(description.get("tta", False), "tta")
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


def _check_kind(path, description):
    """Refuse files that minicnn wrote and that hold no model."""
    if "checkpoint" in description:
        raise ModelFileError(
            str(path), "a model", "a checkpoint, from which training is resumed",
            "Give the file of the model, such as model.safetensors.",
        )  # fmt: skip
    if "weights of" in description:
        repair = "Build the model and call model.load_weights."
        raise ModelFileError(str(path), "a model", "weights without a model", repair)


def _compile(model, description, custom):
    """Compile as the file says, if everything it names is known; a model that is not compiled still predicts."""
    if not isinstance(description, dict):
        return
    try:
        metrics = [custom.get(name, name) for name in description["metrics"]]
        loss = find_loss(description["loss"], custom)
        model.compile(find_optimizer(description["optimizer"], custom), loss, metrics)
    except FAULTS:
        return


def check_custom_objects(custom: Any) -> Mapping[str, Any]:
    """A dictionary from names to classes or functions; None becomes an empty one.

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
