"""What optimizers check: settings, gradients and the rates of schedules.  Called by the other files of this folder."""

import math
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import ArgumentError, NonFiniteError, ShapeError, StateError, check_number

# Gradients and rates up to these cannot overflow within a step, not even squared; nor weights up to their square.
LIMITS = {np.dtype("float32"): 1e15, np.dtype("float64"): 1e150}


def fraction(value: Any, where: str) -> float:
    """A number in [0, 1)."""
    return check_number(value, where, 0, below=1)


def positive(value: Any, where: str) -> float:
    """A finite number above 0."""
    return check_number(value, where, above=0)


def positive_or_none(value: Any, where: str) -> float | None:
    """A finite number above 0, or None."""
    return None if value is None else positive(value, where)


def at_least_tiny(value: Any, where: str) -> float:
    """An epsilon that float32 can hold, because 0 / 0 is NaN."""
    return check_number(value, where, 1e-30)


def is_own(cls: type) -> bool:
    """Whether a class is the library's, not a user's."""
    return cls.__module__.startswith("minicnn.")


def by_name(parameters: Iterable | Mapping[str, Any]) -> Mapping[str, Any]:
    """A list of parameters, or a dictionary of them, as a dictionary."""
    if isinstance(parameters, Mapping):
        return parameters
    parameters = list(parameters)
    named = {parameter.name: parameter for parameter in parameters}
    if len(named) < len(parameters):
        names = ", ".join(parameter.name for parameter in parameters)
        raise ArgumentError("step", "parameters of different names", names, "Name them apart.")
    return named


def checked_gradient(name: str, parameter: Any) -> np.ndarray:
    """A parameter's gradient in the parameter's type, if it has one that fits."""
    if parameter.value is None:
        raise StateError(f"step {name}", "a parameter with a value", "none", "Build the model first.")
    value, grad = parameter.value, parameter.grad
    if type(grad) is np.ndarray and grad.shape == value.shape and grad.dtype == value.dtype:
        return grad
    array = None if grad is None else np.asarray(grad)
    if array is None or array.shape != value.shape or array.dtype.kind not in "fiub":
        found = "none" if array is None else f"{array.dtype} of shape {array.shape}"
        wanted = f"a gradient of shape {value.shape}"
        raise ShapeError(name, wanted, found, "Go backward first, with a gradient for each output.")
    if array.dtype == value.dtype:
        return array
    with np.errstate(over="ignore", under="ignore"):
        return array.astype(value.dtype)


def largest_of(name: str, grad: np.ndarray, kernels: ModuleType) -> float:
    """The gradient's largest absolute value; NonFiniteError if it holds NaN or infinity."""
    largest = kernels.largest(grad)
    if not math.isfinite(largest):
        received = "NaN" if math.isnan(largest) else "infinity"
        raise NonFiniteError(f"gradient of {name}", "finite numbers", received, "Lower the learning rate.")
    return largest


def is_large(array: np.ndarray) -> bool:
    """Whether a weight or moment is so large that a step may overflow."""
    return np.abs(array).max(initial=0) > LIMITS[array.dtype] ** 2


def scheduled(schedule: Callable[[int], float], step: int) -> float:
    """The rate that a schedule gives for a step; 0 is allowed, because a cosine ends there."""
    rate = scalar(schedule(step))
    try:
        return check_number(rate, "rate", 0)
    except ArgumentError as error:
        name = getattr(schedule, "__qualname__", None) or repr(schedule)
        raise ArgumentError(
            f"learning rate of {name} at step {step}", "a finite number of at least 0", repr(rate),
            "Correct the schedule.",
        ) from error  # fmt: skip


def scalar(value: Any) -> Any:
    """The number in an array without axes."""
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value


def names_of(value: Any, where: str) -> tuple[str, ...]:
    """One or several parts of parameters' names, as a tuple."""
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) and name for name in names):
        raise ArgumentError(
            where, "parts of parameters' names", repr(value), 'Give for example ("dense_2",).'
        )
    return tuple(names)
