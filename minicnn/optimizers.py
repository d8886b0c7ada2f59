"""How weights follow their gradients.  An optimiser steps a list of parameters and owns their state.

State is kept by parameter name and can be saved and restored.  Formulas and defaults are Keras's; what they do to
each number is in the kernel sets (`sgd_step` and `adam_step` of kernels/reference.py).
Called by `Sequential.train_step`; nothing here knows of layers.  Rates that change from step to step: schedules.py.
"""

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np

from .errors import ArgumentError, ShapeError

Rate = float | Callable[[int], float]  # a number, or a schedule


class Optimizer:
    """The base: clip, count the step, then let each parameter move.

    Parameters
    ----------
    learning_rate : float, above 0, or schedule
        A number may be changed between steps.  A schedule (schedules.py) is a function from the number of steps
        that were done to the rate of the next; a number that is set afterwards takes its place.
    global_clipnorm : float, optional
        If all gradients together are longer than this, they are scaled to this length.

    Attributes
    ----------
    steps : int
        How many were done.
    schedule : callable or None
        What the rate follows from, if it does.

    Raises
    ------
    ArgumentError
        For a rate or norm that is not above 0.
    """

    moments: tuple[str, ...] = ()  # the arrays kept for each parameter, each starting at 0

    def __init__(self, learning_rate: Rate, global_clipnorm: float | None = None):
        self.steps = 0
        self.learning_rate = learning_rate
        self.global_clipnorm = (
            None if global_clipnorm is None else _positive(global_clipnorm, "global_clipnorm")
        )
        self._arrays: dict[str, np.ndarray] = {}

    @property
    def learning_rate(self) -> float:
        """The rate of the next step; during one, of that step."""
        return self._rate if self.schedule is None else float(self.schedule(self.steps))

    @learning_rate.setter
    def learning_rate(self, rate: Rate) -> None:
        self.schedule = rate if callable(rate) else None
        if self.schedule is None:
            self._rate = _positive(rate, f"{type(self).__name__} learning_rate")

    def step(self, parameters: Sequence) -> None:
        """Move every trainable parameter once, in place, by its grad.

        Raises
        ------
        ArgumentError
            If two parameters have one name: their state is kept by name.
        ShapeError
            If a gradient is missing or does not have the shape of what it moves; then nothing is moved.
        """
        names = [parameter.name for parameter in parameters]
        if len(set(names)) < len(names):
            raise ArgumentError("step", "parameters of different names", ", ".join(names), "Name them apart.")
        parameters = [parameter for parameter in parameters if parameter.trainable]
        for parameter in parameters:
            if np.shape(parameter.grad) != parameter.value.shape:
                found = "none" if parameter.grad is None else str(np.shape(parameter.grad))
                wanted = f"a gradient of shape {parameter.value.shape}"
                raise ShapeError(
                    parameter.name, wanted, found, "Go backward first, with a gradient for each output."
                )
        scale = self._clip_scale(parameters)
        for parameter in parameters:
            grad = parameter.grad if scale == 1 else parameter.grad * np.asarray(scale, parameter.grad.dtype)
            self.update(parameter, grad, *(self._moment(parameter, name) for name in self.moments))
        self.steps += 1

    def update(self, parameter: Any, grad: np.ndarray, *moments: np.ndarray) -> None:
        """Move one parameter; subclasses write their equation here."""
        raise NotImplementedError

    @property
    def state(self) -> dict[str, np.ndarray]:
        """Everything but the settings, as named arrays: copies, ready to save."""
        return {"steps": np.asarray(self.steps), "learning_rate": np.asarray(self.learning_rate)} | {
            name: array.copy() for name, array in self._arrays.items()
        }

    @state.setter
    def state(self, state: dict[str, np.ndarray]) -> None:
        self.steps = int(state["steps"])
        if self.schedule is None:  # a schedule gives the rate again from the steps
            self.learning_rate = float(state["learning_rate"])
        self._arrays = {
            name: array.copy() for name, array in state.items() if name not in ("steps", "learning_rate")
        }

    def _moment(self, parameter, name):
        key = f"{parameter.name}/{name}"
        if key not in self._arrays:
            self._arrays[key] = np.zeros_like(parameter.value)
        return self._arrays[key]

    def _clip_scale(self, parameters):
        if self.global_clipnorm is None:
            return 1
        norm = math.sqrt(sum(float(np.square(p.grad).sum(dtype="float64")) for p in parameters))
        return 1 if norm <= self.global_clipnorm else self.global_clipnorm / norm


class SGD(Optimizer):
    """Stochastic gradient descent:  v = momentum v - lr g;  w += v, or with Nesterov w += momentum v - lr g.

    Parameters
    ----------
    learning_rate : float or schedule
    momentum : float in [0, 1)
    nesterov : bool
    global_clipnorm : float, optional

    References
    ----------
    Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning", section 2.

    Examples
    --------
    >>> from minicnn.layers import Parameter
    >>> w = Parameter("w", (1,), np.array([1.0]))
    >>> w.grad = np.array([2.0])
    >>> SGD(0.1).step([w])
    >>> w.value
    array([0.8])
    """

    moments = ("velocity",)

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        global_clipnorm: float | None = None,
    ):
        super().__init__(learning_rate, global_clipnorm)
        self.momentum, self.nesterov = _fraction(momentum, "SGD momentum"), bool(nesterov)

    def update(self, parameter: Any, grad: np.ndarray, velocity: np.ndarray) -> None:
        parameter.kernels.sgd_step(
            parameter.value, grad, velocity, self.learning_rate, self.momentum, self.nesterov
        )


class Adam(Optimizer):
    """Adaptive moments: each weight moves by its mean gradient over its root mean square gradient.

    m += (1 - beta_1) (g - m);  v += (1 - beta_2) (g^2 - v)
    w -= lr sqrt(1 - beta_2^t) / (1 - beta_1^t)  m / (sqrt(v) + epsilon)

    Parameters
    ----------
    learning_rate : float or schedule
    beta_1, beta_2 : float in [0, 1)
    epsilon : float
        The paper's "epsilon hat", added after the bias correction has moved into the rate.
    global_clipnorm : float, optional

    References
    ----------
    Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", section 2, last paragraph.

    Examples
    --------
    >>> from minicnn.layers import Parameter
    >>> w = Parameter("w", (1,), np.array([1.0]))
    >>> w.grad = np.array([2.0])
    >>> Adam(0.1).step([w])
    >>> w.value.round(6)
    array([0.9])
    """

    moments = ("m", "v")

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        global_clipnorm: float | None = None,
    ):
        super().__init__(learning_rate, global_clipnorm)
        self.beta_1, self.beta_2 = _fraction(beta_1, "beta_1"), _fraction(beta_2, "beta_2")
        self.epsilon = _positive(epsilon, "epsilon")

    def update(self, parameter: Any, grad: np.ndarray, m: np.ndarray, v: np.ndarray) -> None:
        t = self.steps + 1
        rate = self.learning_rate * math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        decay = self.learning_rate * self.shrink(parameter)
        parameter.kernels.adam_step(
            parameter.value, grad, m, v, rate, self.beta_1, self.beta_2, self.epsilon, decay
        )

    def shrink(self, parameter: Any) -> float:
        """The share of a weight that goes by itself in a step, before the rate: none."""
        return 0.0


class AdamW(Adam):
    """Adam, with weights that also shrink by themselves:  w -= lr weight_decay w, before Adam's step.

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon, global_clipnorm : as in `Adam`
    weight_decay : float, at least 0
    exclude_from_weight_decay : str or sequence of str
        Parameters whose name contains one of these do not shrink either, for example ("dense_2",).

    Notes
    -----
    Only parameters of two axes or more shrink: the weights of convolutions and dense layers.  Biases, and the
    scales and shifts of BatchNormalization, have one axis and stay: to pull them to zero changes what a layer can
    say, not how strongly it listens.  Keras's AdamW lets all shrink that are not excluded by name.

    References
    ----------
    Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2.

    Examples
    --------
    >>> from minicnn.layers import Parameter
    >>> w = Parameter("w", (1, 1), np.array([[1.0]]))
    >>> w.grad = np.array([[0.0]])
    >>> AdamW(0.1, weight_decay=0.5).step([w])
    >>> w.value
    array([[0.95]])
    """

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        global_clipnorm: float | None = None,
        exclude_from_weight_decay: str | Sequence[str] = (),
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, global_clipnorm)
        self.weight_decay = weight_decay and _positive(weight_decay, "AdamW weight_decay")
        excluded = exclude_from_weight_decay
        self.exclude_from_weight_decay = (excluded,) if isinstance(excluded, str) else tuple(excluded)

    def shrink(self, parameter: Any) -> float:
        """`weight_decay`; 0 for a parameter of one axis, or one that is excluded."""
        excluded = any(part in parameter.name for part in self.exclude_from_weight_decay)
        return self.weight_decay if parameter.value.ndim > 1 and not excluded else 0.0


def _positive(value, where):
    if not isinstance(value, Real) or not 0 < value < math.inf:
        raise ArgumentError(where, "a finite number above 0", repr(value), "Give for example 0.001.")
    return float(value)


def _fraction(value, where):
    if not isinstance(value, Real) or not 0 <= value < 1:
        raise ArgumentError(where, "a number in [0, 1)", repr(value), "Give for example 0.9.")
    return float(value)


BY_NAME = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
