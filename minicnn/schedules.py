"""How large a step is, from the number of steps that were done: functions from a whole number to a learning rate.

    steps = len(loader)  # of an epoch
    optimizer = AdamW(WarmUp(CosineDecay(2e-3, 23 * steps), steps))

A schedule remembers nothing.  What an optimiser saves is the number of its steps, and the rate follows from that, so a
run that is resumed goes on where it was.  Names and formulas
are Keras's where Keras has one.  Any function of the step will do; these four are the usual ones.
Called by `optimizers.py` through the optimiser's `learning_rate`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from .errors import ArgumentError, check_int


@dataclass(frozen=True)
class CosineDecay:
    """Half a cosine from the initial rate down to `alpha` of it:  rate (alpha + (1 - alpha)(1 + cos(pi t)) / 2).

    t goes from 0 to 1 in `decay_steps`; afterwards the rate stays.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
    alpha : float in [0, 1]

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
        _check(self, ["initial_learning_rate"], ["decay_steps"])
        if not 0 <= self.alpha <= 1:
            raise ArgumentError(
                "CosineDecay alpha", "a number in [0, 1]", repr(self.alpha), "Give for example 0.01."
            )

    def __call__(self, step: int) -> float:
        share = min(step / self.decay_steps, 1.0)
        return self.initial_learning_rate * _cosine(1.0, self.alpha, share)


@dataclass(frozen=True)
class ExponentialDecay:
    """rate * decay_rate ^ (step / decay_steps); with `staircase` the exponent is cut to a whole number.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
    decay_rate : float
    staircase : bool

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
        _check(self, ["initial_learning_rate", "decay_rate"], ["decay_steps"])

    def __call__(self, step: int) -> float:
        exponent = step // self.decay_steps if self.staircase else step / self.decay_steps
        return self.initial_learning_rate * self.decay_rate**exponent


@dataclass(frozen=True)
class OneCycle:
    """Up along half a cosine, then down along another to almost nothing.

    Parameters
    ----------
    max_learning_rate : float
    total_steps : int
    rising : float in (0, 1)
        The share of the steps in which the rate rises.
    start, end : float
        The first and the last rate are the largest divided by these.

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
        _check(self, ["max_learning_rate", "start", "end"], ["total_steps"])
        if not 0 < self.rising < 1:
            raise ArgumentError(
                "OneCycle rising", "a number in (0, 1)", repr(self.rising), "Give for example 0.3."
            )

    def __call__(self, step: int) -> float:
        top, last = self.rising * self.total_steps - 1, self.total_steps - 1
        low, high, final = (
            self.max_learning_rate / self.start,
            self.max_learning_rate,
            self.max_learning_rate / self.end,
        )
        if step <= top:
            return _cosine(low, high, step / top if top else 1.0)
        return _cosine(high, final, min((step - max(top, 0)) / max(last - max(top, 0), 1e-9), 1.0))


@dataclass(frozen=True)
class WarmUp:
    """Another schedule, or one rate, whose first steps are shorter: step k of the first `steps` takes (k + 1) / steps.

    Parameters
    ----------
    after : schedule or float
        What follows; its own steps are counted from the end of the warm-up.
    steps : int

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
        check_int(self.steps, "WarmUp steps")

    def __call__(self, step: int) -> float:
        following = self.after if callable(self.after) else lambda _: self.after
        return following(0) * (step + 1) / self.steps if step < self.steps else following(step - self.steps)


# For commands: from the largest rate and the number of steps to what an optimiser takes.
BY_NAME = {
    "constant": lambda rate, steps: rate,
    "cosine": CosineDecay,
    "one-cycle": OneCycle,
    "step": lambda rate, steps: ExponentialDecay(rate, math.ceil(steps / 3), 0.1, staircase=True),
}


def _cosine(begin, end, share):
    return end + (begin - end) * (1 + math.cos(math.pi * share)) / 2


def _check(schedule, numbers, counts):
    name = type(schedule).__name__
    for field in numbers:
        value = getattr(schedule, field)
        if not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ArgumentError(
                f"{name} {field}", "a finite number above 0", repr(value), "Give for example 0.001."
            )
    for field in counts:
        check_int(getattr(schedule, field), f"{name} {field}")
