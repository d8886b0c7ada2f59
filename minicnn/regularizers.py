"""Regularizers: penalties on large weights, which training adds to the loss (L1, L2 or both).

A layer takes a regularizer as `kernel_regularizer="l2"` or `kernel_regularizer=L2(1e-4)` and attaches it to its weight
(`Parameter.regularizer`).  `Sequential.compute_gradients` adds each penalty to the loss, and its gradient to the
gradient of the weight.  Names, defaults and formulas are Keras's; the penalty is not divided by the batch size.  Weight
decay, which changes the weights but not the loss, is in optimizers/adam.py.
"""

import inspect
from typing import Any

import numpy as np

from .errors import ArgumentError, check_number


class Regularizer:
    """The base class of regularizers: a penalty on one array of weights, and its gradient.

    Parameters
    ----------
    l1, l2 : float, at least 0

    Examples
    --------
    >>> penalty = L1L2(l1=1.0, l2=0.5)
    >>> penalty.penalty(np.array([-2.0, 4.0])), penalty.gradient(np.array([-2.0, 4.0]))
    (16.0, array([-3.,  5.]))
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0):
        where = type(self).__name__
        self.l1, self.l2 = check_number(l1, f"{where} l1", 0), check_number(l2, f"{where} l2", 0)

    def penalty(self, value: np.ndarray) -> float:
        """l1 * sum |w| + l2 * sum w^2."""
        with np.errstate(under="ignore", over="ignore"):
            wide = value.astype(np.float64, copy=False)
            return float(self.l1 * np.abs(wide).sum() + self.l2 * (wide**2).sum())

    def gradient(self, value: np.ndarray) -> np.ndarray:
        """l1 * sign(w) + 2 l2 * w, in the type of `value`; the sign of 0 is 0."""
        with np.errstate(under="ignore", over="ignore"):
            return self.l1 * np.sign(value) + 2 * self.l2 * value

    @property
    def config(self) -> dict:
        """The settings for a model file: {"l1": float, "l2": float}."""
        return {"l1": self.l1, "l2": self.l2}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Regularizer) and self.config == other.config

    def __hash__(self) -> int:
        return hash((self.l1, self.l2))

    def __repr__(self) -> str:
        arguments = ", ".join(
            f"{name}={getattr(self, name)}" for name in inspect.signature(type(self)).parameters
        )
        return f"{type(self).__name__}({arguments})"


class L1L2(Regularizer):
    """l1 * sum |w| + l2 * sum w^2.

    Parameters
    ----------
    l1, l2 : float, at least 0
    """


class L1(Regularizer):
    """l1 * sum |w|: pulls every weight towards 0 with the same force, so that many become 0.

    Parameters
    ----------
    l1 : float, at least 0
    """

    def __init__(self, l1: float = 0.01):
        super().__init__(l1=l1)


class L2(Regularizer):
    """l2 * sum w^2: pulls each weight towards 0 in proportion to its size.

    Parameters
    ----------
    l2 : float, at least 0
    """

    def __init__(self, l2: float = 0.01):
        super().__init__(l2=l2)


BY_NAME = {"l1": L1, "l2": L2}


def find_regularizer(value: Any, where: str = "regularizer") -> Regularizer | None:
    """The regularizer for None, a name, a Regularizer, or the dictionary from a model file.

    Raises
    ------
    ArgumentError
        If `value` is none of these.

    Examples
    --------
    >>> find_regularizer("l2"), find_regularizer({"l1": 0.1, "l2": 0.0}), find_regularizer(None)
    (L2(l2=0.01), L1(l1=0.1), None)
    """
    if value is None or isinstance(value, Regularizer):
        return value
    if isinstance(value, str) and value.lower() in BY_NAME:
        return BY_NAME[value.lower()]()
    if isinstance(value, dict) and value.keys() == {"l1", "l2"}:
        both = L1L2(**value)
        if both.l1 and both.l2:
            return both
        return L1(both.l1) if both.l1 else L2(both.l2)
    repair = "Give for example L2(1e-4)."
    if inspect.isclass(value) and issubclass(value, Regularizer):
        repair = f"Write {value.__name__}(), with brackets."
    raise ArgumentError(where, '"l1", "l2", a Regularizer or None', repr(value), repair)
