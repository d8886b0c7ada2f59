"""Save a model: its layers, weights, class names, preprocessing, loss, metrics and optimizer settings.

`Sequential.save` calls this file, and loading.py reads the model back.  The format, one safetensors file, is in
serialization.py; the description of a layer is in layers/description.py.  The optimizer's state is not saved here:
training/checkpoints.py saves it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArgumentError, MinicnnError, NonFiniteError
from ..layers.description import describe
from ..losses import describe_loss
from . import serialization


def save(model: Any, path: str | Path, dtype: Any = None) -> None:
    """Write a model to one safetensors file; an old file is replaced in one step.

    Parameters
    ----------
    model : Sequential, built
    path : str or Path
    dtype : "float16", "float32" or "float64", optional
        The type in which weights are stored (default: the model's own).  float16 halves the file and keeps three
        decimal digits of each weight.  The loaded model computes in its original type.

    Raises
    ------
    ArgumentError
        If the model could not be loaded again, because of a layer without a `config` or a weight too large for `dtype`.
    NonFiniteError
        If a weight is NaN or infinite; the error names it.
    """
    model._need_weights("save")
    check_finite(model)
    description = {
        "name": model.name,
        "input_shape": model.input_shape,
        "dtype": str(model.dtype),
        "kernels": model.kernels_name,
        "layers": [describe(layer) for layer in model.layers],
        "class_names": check_names(model.class_names, model.output_shape),
        "preprocessing": model.preprocessing,
        "temperature": model.temperature,
        "tta": bool(model.tta),
        "frozen": [name for name, p in model.named_parameters.items() if p.learned and not p.trainable],
        "compile": describe_training(model),
    }
    serialization.write(path, _weights(model, dtype), description)


def save_weights(model: Any, path: str | Path) -> None:
    """Write the weights only."""
    model._need_weights("save_weights")
    check_finite(model)
    serialization.write(path, _weights(model, None), {"weights of": model.name})


def load_weights(model: Any, path: str | Path) -> None:
    """Read weights into a built model.  If they do not fit, ModelFileError is raised and the model stays as it was."""
    model._need_build("load_weights")
    tensors, _ = serialization.read(path)
    set_tensors(model, path, tensors)


def describe_training(model: Any) -> dict | None:
    """The arguments of `compile` as JSON can hold them; None if one of them has no description."""
    if model.optimizer is None:
        return None
    try:
        return {
            "optimizer": model.optimizer.get_config(),
            "loss": describe_loss(model.loss),
            "metrics": list(model.metrics),
        }
    except MinicnnError:
        return None


def _weights(model, dtype):
    weights = {name: parameter.value for name, parameter in model.named_parameters.items()}
    return serialization.stored_as(weights, dtype or model.dtype.name)


def set_tensors(model: Any, path: str | Path, tensors: dict[str, np.ndarray]) -> None:
    """Set each parameter to the tensor of its name, if all of them fit."""
    parameters = model.named_parameters
    expected = {name: parameter.shape for name, parameter in parameters.items()}
    serialization.check_shapes(path, expected, {name: value.shape for name, value in tensors.items()})
    for name, parameter in parameters.items():
        parameter.value = tensors[name]


def check_finite(model: Any) -> None:
    """Raise NonFiniteError, naming the parameter, if a weight is NaN or infinite."""
    for name, parameter in model.named_parameters.items():
        if not np.isfinite(parameter.value).all():
            raise NonFiniteError(
                name,
                "finite weights",
                "NaN or infinity",
                "Load an earlier model, and lower the learning rate.",
            )


def check_names(names: Sequence[str] | None, output_shape: tuple[int, ...] | None) -> list[str] | None:
    """None, or a list with one name per class; a single output has two classes.

    Raises
    ------
    ArgumentError
    """
    if names is None:
        return None
    if isinstance(names, np.ndarray):
        names = names.tolist()
    count = None if output_shape is None else max(2, output_shape[-1])
    if (
        not isinstance(names, (list, tuple))
        or count not in (None, len(names))
        or not all(isinstance(name, str) for name in names)
        or len(set(names)) < len(names)
    ):
        expected = f"{count} different names" if count else "different names"
        raise ArgumentError("class_names", expected, repr(names), "Give a list of as many strings.")
    return [str(name) for name in names]


def check_preprocessing(preprocessing: Any) -> dict | None:
    """None, or the settings of a Preprocessing as a dictionary.

    Raises
    ------
    ArgumentError
    """
    if preprocessing is None:
        return None
    if hasattr(preprocessing, "__dataclass_fields__"):
        preprocessing = {name: getattr(preprocessing, name) for name in preprocessing.__dataclass_fields__}
    if not isinstance(preprocessing, dict) or not all(isinstance(key, str) for key in preprocessing):
        raise ArgumentError(
            "preprocessing", "a Preprocessing, or a dictionary of its settings", repr(preprocessing),
            "Give for example data.Preprocessing(64, 64).",
        )  # fmt: skip
    return {key: _plain(value) for key, value in preprocessing.items()}


def _plain(value):
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    raise ArgumentError("preprocessing", "numbers, strings and lists of these", repr(value))
