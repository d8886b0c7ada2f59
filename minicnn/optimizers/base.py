"""Optimizer: the base class, which checks and clips gradients, updates each parameter, and owns the state.

The state consists of the moments (velocities, averages of gradients) by parameter name.  The equations are in the
subclasses; read sgd.py next.  Nothing here depends on layers, and every array is checked before a kernel receives it.
Called by `Sequential.train_step`.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import ArgumentError, NonFiniteError, ShapeError, UnknownAttributeError, check_int, check_number
from ..kernels import kernel_set
from . import schedules
from .checks import (
    LIMITS,
    by_name,
    checked_gradient,
    is_large,
    is_own,
    largest_of,
    positive,
    positive_or_none,
    scalar,
    scheduled,
)

Rate = float | Callable[[int], float]  # a number, or a schedule
HINTS = {
    "lr": "It is called learning_rate.",
    "decay": "Give a schedule as learning_rate, for example ExponentialDecay(0.1, 1000, 0.9).",
    "clipnorm": "All gradients are clipped together: use global_clipnorm=1.0.",
    "clipvalue": "All gradients are clipped together: use global_clipnorm=1.0.",
    "weight_decay": "Use AdamW, which has weight decay.",
    "use_ema": "Pass the callback ExponentialMovingAverage() to fit.",
}


class Optimizer:
    """The base class of optimizers: a step checks and clips the gradients, and updates each parameter.

    Parameters
    ----------
    learning_rate : float, above 0, or schedule
        A number, which may be changed between steps, or a schedule (schedules.py): a function from the number of
        finished steps to the rate of the next step.  Assigning a number replaces a schedule.
    global_clipnorm : float, optional
        Largest norm of all gradients together; longer gradients are scaled to this norm (default: no clipping).

    Attributes
    ----------
    iterations : int
        Number of finished steps.
    schedule : callable or None
        Schedule of the learning rate, if there is one.
    owner : object or None
        Token of the model to which the state belongs; see `bind`.
    bound_rate : float or None
        Learning rate at the last `bind`, before callbacks changed it.

    Raises
    ------
    ArgumentError
        If a setting is out of range, in the constructor or when it is assigned.
    UnknownAttributeError
        If an attribute is assigned that the optimizer does not have, such as `lr`.

    Notes
    -----
    To write an optimizer, subclass this class: list the names of its moments in `moments`, and write its equation in
    `update`.

    Examples
    --------
    >>> class SignSGD(Optimizer):
    ...     def update(self, name, value, grad, rate, kernels):
    ...         value -= rate * np.sign(grad)
    >>> from minicnn.layers import Parameter
    >>> w = Parameter("w", (2,), np.array([1.0, 1.0]))
    >>> w.grad = np.array([5.0, -0.1])
    >>> SignSGD(0.5).step([w])
    >>> w.value
    array([0.5, 1.5])
    """

    moments: tuple[str, ...] = ()  # names of the arrays that each parameter has as state; they start at 0
    squares: tuple[str, ...] = ()  # names of the moments that are never below 0
    checks: dict[str, Callable] = {"global_clipnorm": positive_or_none}  # check of each setting
    schedule: Callable[[int], float] | None

    def __new__(cls, *arguments: Any, **settings: Any):
        """Refuse unknown settings with a message; pickle calls this without settings."""
        known = list(inspect.signature(cls.__init__).parameters)[1:]
        unknown = [name for name in settings if name not in known]
        if unknown and is_own(cls):
            given = f"{unknown[0]}={settings[unknown[0]]!r}"
            repair = HINTS.get(unknown[0], "Leave it out, or check its spelling.")
            raise ArgumentError(cls.__name__, "settings among " + ", ".join(known), given, repair)
        return super().__new__(cls)

    def __init__(self, learning_rate: Rate, global_clipnorm: float | None = None):
        self.owner: Any = None
        self.bound_rate: float | None = None
        self._iterations = 0
        self._moments: dict[str, tuple[np.ndarray, ...]] = {}  # by parameter, in the order of `moments`
        self._large = False  # whether weights or moments are so large that the next step may overflow
        self.learning_rate = learning_rate
        self.global_clipnorm = global_clipnorm

    # ------------------------------------------------------------------------------- settings
    @property
    def learning_rate(self) -> float:
        """The rate of the next step; during a step, the rate of that step."""
        return self._rate if self.schedule is None else scheduled(self.schedule, self._iterations)

    @learning_rate.setter
    def learning_rate(self, rate: Rate) -> None:
        where = f"{type(self).__name__} learning_rate"
        if inspect.isclass(rate):
            expected = "a number or a schedule"
            raise ArgumentError(
                where, expected, f"the class {rate.__name__}", f"Make a schedule: {rate.__name__}(...)."
            )
        if callable(rate):
            scheduled(rate, self._iterations)
            self.schedule = rate
        else:
            self._rate = positive(rate, where)
            self.schedule = None

    @property
    def iterations(self) -> int:
        return self._iterations

    @property
    def steps(self) -> int:
        """`iterations`, under its earlier name."""
        return self._iterations

    def bind(self, owner: Any) -> None:
        """Assign the optimizer to a model; `compile` calls this.

        Parameters
        ----------
        owner : object
            Token of the model, compared by identity.  With the same token the state stays; with another token it is
            reset: 0 iterations, no moments.  To restore a state, set it after `compile`.
        """
        if owner is not self.owner:
            self.owner, self._iterations, self._moments, self._large = owner, 0, {}, False
        self.bound_rate = self.learning_rate

    def get_config(self) -> dict:
        """The class and its settings as a dictionary for JSON; `find_optimizer` makes the optimizer from it.

        Raises
        ------
        ArgumentError
            If the schedule is a user's function, which has no description.
        """
        config: dict[str, Any] = {"class": type(self).__name__}
        for name in list(inspect.signature(type(self).__init__).parameters)[1:]:
            if not hasattr(self, name):
                raise ArgumentError(type(self).__name__, f"its setting {name} stored as self.{name}")
            value = getattr(self, name)
            if name == "learning_rate" and self.schedule is not None:
                value = schedules.describe_schedule(self.schedule)
            config[name] = list(value) if isinstance(value, tuple) else value
        return config

    def __repr__(self) -> str:
        names = list(inspect.signature(type(self).__init__).parameters)[1:]
        settings = {name: getattr(self, name) for name in names if hasattr(self, name)}
        if self.schedule is not None:
            settings["learning_rate"] = self.schedule
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in settings.items())})"

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.checks:
            value = self.checks[name](value, f"{type(self).__name__} {name}")
        elif not name.startswith("_") and is_own(type(self)) and not self._has(name):
            settings = list(inspect.signature(type(self).__init__).parameters)[1:]
            received = repr(name)
            raise UnknownAttributeError(
                type(self).__name__,
                "one of its settings " + ", ".join(settings),
                received,
                HINTS.get(name, ""),
            )
        super().__setattr__(name, value)

    def _has(self, name):
        return name in ("owner", "bound_rate", "schedule") or hasattr(type(self), name)

    # ------------------------------------------------------------------------------- the step
    def step(self, parameters: Iterable | Mapping[str, Any], kernels: ModuleType | None = None) -> None:
        """Update every trainable parameter once, in place, from its gradient.

        Parameters
        ----------
        parameters : list of Parameter, or dict from name to Parameter
            Parameters to update; the state is stored under their names.
        kernels : module, optional
            Kernel set that does the arithmetic (default: reference).

        Raises
        ------
        ArgumentError
            If two parameters have the same name, or the schedule returns a rate that is negative or not a number.
        ShapeError
            If a gradient is missing or differs in shape from its parameter, or the state belongs to other parameters.
        NonFiniteError
            If a gradient holds NaN or infinity, or a weight or a moment would after the step.  The parameter is named.

        In all these cases nothing has been changed.
        """
        kernels = kernel_set("reference") if kernels is None else kernels
        rate, largest, limit, moving = self.learning_rate, 0.0, math.inf, []
        for name, parameter in by_name(parameters).items():
            if parameter.trainable:
                grad = checked_gradient(name, parameter)
                largest = max(largest, largest_of(name, grad, kernels))
                limit = min(limit, LIMITS[grad.dtype])
                moving.append((name, parameter.value, grad, self._moments_of(name, parameter.value)))
        if self.global_clipnorm is not None and largest > 0:
            moving, largest = self._clipped(moving, largest)
        if self._large or self._may_overflow(largest, rate, limit):
            self._move_or_restore(moving, rate, kernels)
        else:
            self._move(moving, rate, kernels)
        for name, _, _, moments in moving:
            self._moments[name] = moments
        self._iterations += 1

    def update(
        self,
        name: str,
        value: np.ndarray,
        grad: np.ndarray,
        rate: float,
        kernels: ModuleType,
        *moments: np.ndarray,
    ) -> None:
        """Update the value of one parameter in place; subclasses write their equation here.

        Parameters
        ----------
        name : str
            Name of the parameter.
        value, grad : array
            Its value and its gradient.
        rate : float
            Learning rate of this step, which is step number `iterations` + 1.
        kernels : module
            Kernel set that does the arithmetic.
        moments : arrays like value
            Moments of the parameter, in the order of `moments`; they are updated in place, too.
        """
        raise NotImplementedError

    def _move(self, moving, rate, kernels):
        for name, value, grad, moments in moving:
            self.update(name, value, grad, rate, kernels, *moments)

    def _may_overflow(self, largest, rate, limit):
        """Whether a step may overflow, given the largest gradient and the rate."""
        return not max(1.0, largest) * max(1.0, rate) <= limit

    def _move_or_restore(self, moving, rate, kernels):
        """Update all parameters; if a number overflows, restore everything and raise NonFiniteError."""
        arrays = [(name, array) for name, value, _, moments in moving for array in (value, *moments)]
        before = [array.copy() for _, array in arrays]
        with np.errstate(all="ignore"):
            self._move(moving, rate, kernels)
        lost = next((name for name, array in arrays if not np.isfinite(array).all()), None)
        if lost is not None:
            for (_, array), old in zip(arrays, before, strict=True):
                array[...] = old
            raise NonFiniteError(
                lost,
                "a step whose result its type can represent",
                "a step that overflows",
                "Lower the learning rate.",
            )
        self._large = any(is_large(array) for _, array in arrays)

    def _moments_of(self, name, value):
        """The moments of the parameter, with checks of type and shape; new moments are 0."""
        found = self._moments.get(name)
        if found is None:
            return tuple([np.zeros_like(value) for _ in self.moments])
        for moment, array in zip(self.moments, found, strict=True):
            if array.shape != value.shape or array.dtype != value.dtype:
                raise ShapeError(
                    f"{type(self).__name__} {name}/{moment}", f"{value.dtype} of shape {value.shape}, like its weight",
                    f"{array.dtype} of shape {array.shape}",
                    "The optimizer holds the state of another model: compile with a new optimizer.",
                )  # fmt: skip
        return found

    def _clipped(self, moving, largest):
        """The parameters to update, with clipped gradients, and the largest gradient after clipping."""
        gradients = [grad for _, _, grad, _ in moving]
        most: Any = self.global_clipnorm  # a number here
        wide = largest > min(LIMITS.values())  # squares may overflow
        with np.errstate(under="ignore"):
            if wide:
                total = sum(float(np.square(np.divide(g, largest, dtype="float64")).sum()) for g in gradients)
                scale = most / largest / math.sqrt(total)
            else:
                total = sum(float(np.square(g).sum(dtype="float64")) for g in gradients)
                norm = math.sqrt(total)
                scale = 1 if norm <= most else most / norm
            if scale >= 1:
                return moving, largest
            kind = "float64" if wide else None
            scaled = [
                np.multiply(grad, np.asarray(scale, kind or grad.dtype)).astype(grad.dtype, copy=False)
                for grad in gradients
            ]
        moving = [
            (name, value, grad, moments)
            for (name, value, _, moments), grad in zip(moving, scaled, strict=True)
        ]
        return moving, scale * largest

    # ------------------------------------------------------------------------------- state
    @property
    def state(self) -> dict[str, np.ndarray]:
        """Iterations, learning rate and moments as named arrays, which are copies; the settings are in `get_config`.

        Assign a state to resume from it.  An invalid state is refused and changes nothing: unknown names, numbers that
        are not finite, or moments whose shapes differ from the present ones.
        """
        return {
            "iterations": np.asarray(self._iterations),
            "learning_rate": np.asarray(self.learning_rate),
        } | {key: array.copy() for key, array in self._named_moments().items()}

    @state.setter
    def state(self, state: Mapping[str, np.ndarray]) -> None:
        where = f"{type(self).__name__}.state"
        if not isinstance(state, Mapping) or not {"iterations", "learning_rate"} <= set(state):
            expected = "a dictionary with iterations, learning_rate and moments"
            raise ArgumentError(where, expected, type(state).__name__, "Assign a value of optimizer.state.")
        iterations = check_int(scalar(state["iterations"]), f"{where} iterations", least=0)
        rate = check_number(scalar(state["learning_rate"]), f"{where} learning_rate", 0)
        if self.schedule is None:  # with a schedule, the rate follows from the iterations
            rate = positive(rate, f"{where} learning_rate")
        moments = {
            name: self._checked_moment(name, array, where)
            for name, array in state.items()
            if name not in ("iterations", "learning_rate")
        }
        names = dict.fromkeys(name.rpartition("/")[0] for name in moments)
        for name in names:
            if missing := [moment for moment in self.moments if f"{name}/{moment}" not in moments]:
                raise ArgumentError(where, f"all moments of {name}", f"none named {name}/{missing[0]}")
        self._iterations = iterations
        self._moments = {
            name: tuple(moments[f"{name}/{moment}"] for moment in self.moments) for name in names
        }
        self._large = any(map(is_large, moments.values()))
        if self.schedule is None:
            self._rate = rate

    def _named_moments(self):
        return {
            f"{name}/{moment}": array
            for name, arrays in self._moments.items()
            for moment, array in zip(self.moments, arrays, strict=True)
        }

    def _checked_moment(self, name, array, where):
        """A copy of a moment in a state, after checks."""
        parameter, _, moment = name.rpartition("/") if isinstance(name, str) else ("", "", name)
        if not parameter or moment not in self.moments:
            known = ", ".join(f"NAME/{moment}" for moment in self.moments) or "none"
            raise ArgumentError(
                where,
                f"moments among {known}",
                repr(name),
                f"Take the state of another {type(self).__name__}.",
            )
        if not isinstance(array, np.ndarray) or array.dtype not in LIMITS:
            received = f"dtype {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
            raise ArgumentError(f"{where} {name}", "an array of float32 or float64", received)
        if not np.isfinite(array).all() or (moment in self.squares and (array < 0).any()):
            if moment in self.squares:
                expected, received = "finite numbers of at least 0", "negative numbers, NaN or infinity"
            else:
                expected, received = "finite numbers", "NaN or infinity"
            raise ArgumentError(f"{where} {name}", expected, received)
        present = self._named_moments().get(name)
        if present is not None and (present.shape, present.dtype) != (array.shape, array.dtype):
            raise ShapeError(
                f"{where} {name}", f"{present.dtype} of shape {present.shape}", f"{array.dtype} of shape {array.shape}",
                "Take the state of an optimizer of the same model.",
            )  # fmt: skip
        return np.array(array, order="C")
