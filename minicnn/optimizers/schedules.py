"""Learning-rate schedules: functions from the number of finished steps to the learning rate of the next step.

    steps = len(loader)  # batches per epoch
    optimizer = AdamW(WarmUp(CosineDecay(2e-3, 23 * steps), steps))

A step is one iteration of the optimizer.  A schedule has no state: the optimizer saves its number of iterations, so a
resumed run continues with the same rates.  Names and formulas are Keras's where Keras has the schedule.  Any function
of the step can be a schedule; these four are the usual ones.  Rates that depend on the validation loss are in
training/callbacks (ReduceLROnPlateau).  Called by base.py through `Optimizer.learning_rate`.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..errors import ArgumentError, MinicnnError, check_bool, check_int, check_number


class Schedule:
    """The base class of these schedules: it checks their settings and describes them for a file."""

    def get_config(self) -> dict:
        """The class and its settings as a dictionary for JSON; `find_schedule` makes the schedule from it."""
        settings = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        described = {
            name: describe_schedule(value) if callable(value) else value for name, value in settings.items()
        }
        return {"class": type(self).__name__} | described

    def _check(self, **checks: Callable[[Any, str], Any]) -> None:
        """Check each setting and replace it by the checked value."""
        for name, check in checks.items():
            value = check(getattr(self, name), f"{type(self).__name__} {name}")
            object.__setattr__(self, name, value)  # the dataclass is frozen


@dataclass(frozen=True)
class CosineDecay(Schedule):
    """Half a cosine from the initial rate down to `alpha` times it:  rate (alpha + (1 - alpha)(1 + cos(pi t)) / 2).

    t goes from 0 to 1 in `decay_steps` steps; then the rate stays constant.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
    alpha : float in [0, 1]
        The final rate as a fraction of the initial rate.

    References
    ----------
    Loshchilov and Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm Restarts", equation 5.

    Examples
    --------
    >>> [round(CosineDecay(1.0, 4)(step), 3) for step in range(6)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """

    initial_learning_rate: float
    decay_steps: int
    alpha: float = 0.0

    def __post_init__(self):
        self._check(initial_learning_rate=_positive, decay_steps=check_int, alpha=_share)

    def __call__(self, step: int) -> float:
        share = min(step / self.decay_steps, 1.0)
        return self.initial_learning_rate * _cosine(1.0, self.alpha, share)


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """rate * decay_rate ^ (step / decay_steps); with `staircase`, the exponent is rounded down to a whole number.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
        Number of steps in which the rate is multiplied by `decay_rate`.
    decay_rate : float
    staircase : bool
        Whether the rate changes only every `decay_steps` steps.

    Examples
    --------
    >>> [round(ExponentialDecay(1.0, 2, 0.1, staircase=True)(step), 3) for step in range(5)]
    [1.0, 1.0, 0.1, 0.1, 0.01]
    """

    initial_learning_rate: float
    decay_steps: int
    decay_rate: float
    staircase: bool = False

    def __post_init__(self):
        self._check(
            initial_learning_rate=_positive, decay_steps=check_int, decay_rate=_positive, staircase=check_bool
        )

    def __call__(self, step: int) -> float:
        exponent = step // self.decay_steps if self.staircase else step / self.decay_steps
        try:
            return self.initial_learning_rate * self.decay_rate**exponent
        except OverflowError:  # a growing rate; the optimizer refuses infinity
            return math.inf


@dataclass(frozen=True)
class OneCycle(Schedule):
    """One cycle: the rate rises along half a cosine, then falls along another to almost 0.

    Parameters
    ----------
    max_learning_rate : float
        The largest rate.
    total_steps : int
    rising : float in (0, 1)
        Fraction of the steps in which the rate rises.
    start, end : float
        Divisors: the first rate is the largest rate divided by `start`, the last is the largest divided by `end`.

    References
    ----------
    Smith and Topin 2018, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates"; the
    cosines and the defaults are PyTorch's.

    Examples
    --------
    >>> [round(OneCycle(1.0, 9, rising=0.5)(step), 3) for step in range(9)]
    [0.04, 0.221, 0.627, 0.952, 0.97, 0.75, 0.413, 0.117, 0.0]
    """

    max_learning_rate: float
    total_steps: int
    rising: float = 0.3
    start: float = 25.0
    end: float = 250_000.0

    def __post_init__(self):
        self._check(
            max_learning_rate=_positive, total_steps=check_int, rising=_inner_share, start=_positive, end=_positive
        )  # fmt: skip

    def __call__(self, step: int) -> float:
        top, last = self.rising * self.total_steps - 1, self.total_steps - 1
        high = self.max_learning_rate
        low, final = high / self.start, high / self.end
        if step <= top:
            return _cosine(low, high, step / top if top else 1.0)
        return _cosine(high, final, min((step - max(top, 0)) / max(last - max(top, 0), 1e-9), 1.0))


@dataclass(frozen=True)
class WarmUp(Schedule):
    """Linear warm-up before another schedule or a constant rate: step k of the first `steps` has (k + 1) / steps of it.

    Parameters
    ----------
    after : schedule or float
        Schedule or rate after the warm-up; the steps of the schedule are counted from the end of the warm-up.
    steps : int
        Number of steps of the warm-up.

    References
    ----------
    Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.2.

    Examples
    --------
    >>> [round(WarmUp(ExponentialDecay(1.0, 1, 0.5), 2)(step), 3) for step in range(5)]
    [0.5, 1.0, 1.0, 0.5, 0.25]
    """

    after: Callable[[int], float] | float
    steps: int

    def __post_init__(self):
        self._check(after=_rate, steps=check_int)

    def __call__(self, step: int) -> float:
        following = self.after(max(step - self.steps, 0)) if callable(self.after) else self.after
        return following * (step + 1) / self.steps if step < self.steps else following


# For the command line: functions from the largest rate and the number of steps to a rate or schedule.
BY_NAME = {
    "constant": lambda rate, steps: rate,
    "cosine": CosineDecay,
    "one-cycle": OneCycle,
    "step": lambda rate, steps: ExponentialDecay(rate, math.ceil(steps / 3), 0.1, staircase=True),
}
CLASSES = {made.__name__: made for made in (CosineDecay, ExponentialDecay, OneCycle, WarmUp)}


def describe_schedule(schedule: Any) -> dict:
    """The class and the settings of a schedule as a dictionary for JSON.

    Raises
    ------
    ArgumentError
        If the schedule is a function, which a file cannot describe.
    """
    if inspect.isclass(schedule) or not callable(getattr(schedule, "get_config", None)):
        expected = "a schedule with get_config"
        raise ArgumentError("learning rate", expected, repr(schedule), "Use one of minicnn.schedules.")
    return {"class": type(schedule).__name__} | schedule.get_config()


def find_schedule(
    config: Mapping[str, Any], custom: Mapping[str, Any] | None = None
) -> Callable[[int], float]:
    """The schedule for a dictionary of `describe_schedule`.

    Parameters
    ----------
    config : dict
    custom : dict from name to class, optional
        The user's own schedules; they take precedence over the library's.

    Raises
    ------
    ArgumentError
        If the class does not exist, or refuses the settings.

    Examples
    --------
    >>> find_schedule(WarmUp(CosineDecay(0.1, 9), 3).get_config())
    WarmUp(after=CosineDecay(initial_learning_rate=0.1, decay_steps=9, alpha=0.0), steps=3)
    """
    known = CLASSES | dict(custom or {})
    name = config.get("class")
    made = known.get(name) if isinstance(name, str) else None
    if made is None:
        raise ArgumentError(
            "schedule",
            f"a class among {', '.join(known)}",
            repr(name),
            "Pass your own class in custom_objects.",
        )
    settings = {
        key: find_schedule(value, custom) if isinstance(value, Mapping) and "class" in value else value
        for key, value in config.items()
        if key != "class"
    }
    try:
        return made(**settings)
    except MinicnnError:
        raise
    except TypeError as error:
        raise ArgumentError(f"schedule {name}", "settings of its constructor", str(error)) from error


def _cosine(begin, end, share):
    return end + (begin - end) * (1 + math.cos(math.pi * share)) / 2


def _positive(value, where):
    return check_number(value, where, above=0)


def _share(value, where):
    return check_number(value, where, 0, 1)


def _inner_share(value, where):
    return check_number(value, where, above=0, below=1)


def _rate(value, where):
    """The value, if it is a schedule or a positive rate."""
    if callable(value) and not inspect.isclass(value):
        return value
    return _positive(value, where)
