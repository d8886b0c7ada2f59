"""Checks of settings, gradients and scheduled learning rates, called by the other files of this folder.

The checks of a saved state are in base.py; the settings of schedules are checked in schedules.py.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import ArgumentError, NonFiniteError, ShapeError, StateError, check_number

# With gradients and rates up to these limits, and weights up to their square, a step cannot overflow.
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
    """A number of at least 1e-30, which float32 can represent: an epsilon of 0 would allow 0 / 0."""
    return check_number(value, where, 1e-30)


def is_own(cls: type) -> bool:
    """Whether a class belongs to the library and not to a user."""
    return cls.__module__.startswith("minicnn.")


def by_name(parameters: Iterable | Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters as a dictionary by name, from a list or a dictionary."""
    if isinstance(parameters, Mapping):
        return parameters
    parameters = list(parameters)
    named = {parameter.name: parameter for parameter in parameters}
    if len(named) < len(parameters):
        names = ", ".join(parameter.name for parameter in parameters)
        raise ArgumentError(
            "step", "parameters with different names", names, "Give each parameter its own name."
        )
    return named


def checked_gradient(name: str, parameter: Any) -> np.ndarray:
    """The gradient of a parameter, in the type of the parameter, if it exists and fits."""
    if parameter.value is None:
        raise StateError(f"step {name}", "a parameter with a value", "none", "Build the model first.")
    value, grad = parameter.value, parameter.grad
    if type(grad) is np.ndarray and grad.shape == value.shape and grad.dtype == value.dtype:
        return grad
    array = None if grad is None else np.asarray(grad)
    if array is None or array.shape != value.shape or array.dtype.kind not in "fiub":
        found = "none" if array is None else f"{array.dtype} of shape {array.shape}"
        wanted = f"a gradient of shape {value.shape}"
        raise ShapeError(name, wanted, found, "Call backward first, with a gradient for each output.")
    if array.dtype == value.dtype:
        return array
    with np.errstate(over="ignore", under="ignore"):
        return array.astype(value.dtype)


def largest_of(name: str, grad: np.ndarray, kernels: ModuleType) -> float:
    """The largest absolute value of the gradient; raises NonFiniteError if it holds NaN or infinity."""
    largest = kernels.largest(grad)
    if not math.isfinite(largest):
        received = "NaN" if math.isnan(largest) else "infinity"
        raise NonFiniteError(f"gradient of {name}", "finite numbers", received, "Lower the learning rate.")
    return largest


def is_large(array: np.ndarray) -> bool:
    """Whether weights or moments are so large that a step may overflow."""
    return np.abs(array).max(initial=0) > LIMITS[array.dtype] ** 2


def scheduled(schedule: Callable[[int], float], step: int) -> float:
    """The rate of a schedule at a step; 0 is allowed, because a cosine decay ends there."""
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
    """One or several parts of parameter names, as a tuple."""
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) and name for name in names):
        raise ArgumentError(where, "parts of parameter names", repr(value), 'Give for example ("dense_2",).')
    return tuple(names)
