"""Optimizer, the base of all: it checks, clips, lets each parameter move, and owns the state that this takes.

The state is the moments (velocities, averages of gradients), kept by parameter name.  Nothing here knows of layers, and
every array is checked before a kernel sees it.  Called by `Sequential.train_step`.
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
    "clipnorm": "Gradients are clipped together: global_clipnorm=1.0.",
    "clipvalue": "Gradients are clipped together: global_clipnorm=1.0.",
    "weight_decay": "AdamW has it.",
    "use_ema": "Give fit the callback MovingAverage().",
}


class Optimizer:
    """The base: check, clip, let each parameter move, count the step.

    Parameters
    ----------
    learning_rate : float, above 0, or schedule
        A number may be changed between steps.  A schedule (schedules.py) is a function from the number of steps
        done to the rate of the next; a number that is set afterwards takes its place.
    global_clipnorm : float, optional
        If all gradients together are longer than this, they are scaled to this length.

    Attributes
    ----------
    iterations : int
        How many steps were done.
    schedule : callable or None
        What the rate follows from, if it does.
    owner : object or None
        The token of the model whose state this is; see `bind`.
    bound_rate : float or None
        The rate at the last `bind`, before callbacks changed it.

    Raises
    ------
    ArgumentError
        For a setting out of range, when it is given or assigned.
    UnknownAttributeError
        When an attribute is set that the optimizer does not have, such as `lr`.

    Notes
    -----
    To write an optimizer, subclass this class: name its moments in `moments` and write its equation in `update`.

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

    moments: tuple[str, ...] = ()  # the arrays kept for each parameter, each starting at 0
    squares: tuple[str, ...] = ()  # those of them that are never below 0
    checks: Mapping[str, Callable] = {"global_clipnorm": positive_or_none}  # what each setting must be

    def __new__(cls, *arguments: Any, **settings: Any):
        """Refuse unknown settings in words; pickle calls this without any."""
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
        self._large = False  # whether weights or moments have come near the largest numbers
        self.learning_rate = learning_rate
        self.global_clipnorm = global_clipnorm

    # ------------------------------------------------------------------------------- settings
    @property
    def learning_rate(self) -> float:
        """The rate of the next step; during one, of that step."""
        return self._rate if self.schedule is None else scheduled(self.schedule, self._iterations)

    @learning_rate.setter
    def learning_rate(self, rate: Rate) -> None:
        where = f"{type(self).__name__} learning_rate"
        if inspect.isclass(rate):
            expected = "a number or a schedule"
            raise ArgumentError(where, expected, f"the class {rate.__name__}", "Write it with its settings.")
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
        """Belong to a model from now on; `compile` calls this.

        Parameters
        ----------
        owner : object
            The model's token, compared by identity.  With the same token the state is kept; with another one it
            starts afresh: no steps, no moments.  A state that is to be restored is set after `compile`.
        """
        if owner is not self.owner:
            self.owner, self._iterations, self._moments, self._large = owner, 0, {}, False
        self.bound_rate = self.learning_rate

    def get_config(self) -> dict:
        """The class and its settings as plain values, a schedule likewise; `find_optimizer` takes it.

        Raises
        ------
        ArgumentError
            If the rate follows from a function of the user's own.
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
        """Move every trainable parameter once, in place, by its gradient.

        Parameters
        ----------
        parameters : list of Parameter, or dict from name to Parameter
            State is kept by these names.
        kernels : module, optional
            The kernel set that computes (default: reference).

        Raises
        ------
        ArgumentError
            If two parameters have one name, or the schedule gives a rate that is negative or no number.
        ShapeError
            If a gradient is missing or has another shape than what it moves, or the state is of other parameters.
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
            self._move_carefully(moving, rate, kernels)
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
        """Move one parameter's value in place; subclasses write their equation here.

        Parameters
        ----------
        name : str
        value, grad : array
        rate : float
            The learning rate of this step, which is number `iterations` + 1.
        kernels : module
        moments : arrays like value
            In the order of `moments`; they are changed in place too.
        """
        raise NotImplementedError

    def _move(self, moving, rate, kernels):
        for name, value, grad, moments in moving:
            self.update(name, value, grad, rate, kernels, *moments)

    def _may_overflow(self, largest, rate, limit):
        """Whether a step may leave the range of numbers, by the largest gradient and the rate."""
        return not max(1.0, largest) * max(1.0, rate) <= limit

    def _move_carefully(self, moving, rate, kernels):
        """Move; if a number overflows, put everything back and say so."""
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
                "a step that its type of numbers can hold",
                "one that overflows",
                "Lower the learning rate.",
            )
        self._large = any(is_large(array) for _, array in arrays)

    def _moments_of(self, name, value):
        """The parameter's moments, checked against it; new ones are 0."""
        found = self._moments.get(name)
        if found is None:
            return tuple([np.zeros_like(value) for _ in self.moments])
        for moment, array in zip(self.moments, found, strict=True):
            if array.shape != value.shape or array.dtype != value.dtype:
                raise ShapeError(
                    f"{type(self).__name__} {name}/{moment}", f"{value.dtype} of shape {value.shape}, like its weight",
                    f"{array.dtype} of shape {array.shape}",
                    "The optimizer holds the state of another model: compile with a new one.",
                )  # fmt: skip
        return found

    def _clipped(self, moving, largest):
        """What moves and the largest gradient, after `global_clipnorm`."""
        gradients = [grad for _, _, grad, _ in moving]
        wide = largest > min(LIMITS.values())  # squares may overflow
        with np.errstate(under="ignore"):
            if wide:
                total = sum(float(np.square(np.divide(g, largest, dtype="float64")).sum()) for g in gradients)
                scale = self.global_clipnorm / largest / math.sqrt(total)
            else:
                total = sum(float(np.square(g).sum(dtype="float64")) for g in gradients)
                norm = math.sqrt(total)
                scale = 1 if norm <= self.global_clipnorm else self.global_clipnorm / norm
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
        """Everything but the settings, as named arrays: copies, ready to save.

        Set it to go on from there.  What cannot be such a state is refused, and then nothing is changed: unknown
        names, numbers that are not finite, moments of another shape than those that are there.
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
            raise ArgumentError(where, expected, type(state).__name__, "Take optimizer.state.")
        iterations = check_int(scalar(state["iterations"]), f"{where} iterations", least=0)
        rate = check_number(scalar(state["learning_rate"]), f"{where} learning_rate", 0)
        if self.schedule is None:  # a schedule gives the rate again from the iterations
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
        """A copy of a moment that a state holds."""
        parameter, _, moment = name.rpartition("/") if isinstance(name, str) else ("", "", name)
        if not parameter or moment not in self.moments:
            known = ", ".join(f"NAME/{moment}" for moment in self.moments) or "none"
            raise ArgumentError(
                where, f"moments among {known}", repr(name), "Take the state of such an optimizer."
            )
        if not isinstance(array, np.ndarray) or array.dtype not in LIMITS:
            received = f"dtype {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
            raise ArgumentError(f"{where} {name}", "an array of float32 or float64", received)
        if not np.isfinite(array).all() or (moment in self.squares and (array < 0).any()):
            expected = "numbers of at least 0" if moment in self.squares else "finite numbers"
            raise ArgumentError(f"{where} {name}", expected, "others")
        present = self._named_moments().get(name)
        if present is not None and (present.shape, present.dtype) != (array.shape, array.dtype):
            raise ShapeError(
                f"{where} {name}", f"{present.dtype} of shape {present.shape}", f"{array.dtype} of shape {array.shape}",
                "Take the state of the same model's optimizer.",
            )  # fmt: skip
        return np.array(array, order="C")
