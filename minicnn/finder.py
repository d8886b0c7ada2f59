"""Which learning rate?  Let it grow from step to step, and look where the loss falls fastest and where it explodes.

The plot is `plots.learning_rates`.  Called by examples/catdog.py (`--find-rate`).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from .batches import ArrayBatches
from .errors import ArgumentError, NonFiniteError, StateError, check_int

SMOOTHING = 0.9  # of the losses' moving average, as in Smith's and others' finders
SETTLING = 10  # steps until that average stands on more than a few batches
EXPLODED = 4.0  # times the least average: then nothing more is learned


@dataclass(frozen=True)
class Finding:
    """What the search saw.

    Attributes
    ----------
    rates, losses, smoothed : array (steps,)
        The loss of each batch at its rate, and their moving average.
    suggestion : float
        Where the average falls fastest, for each factor by which the rate grows: a rate that learns well and lies a
        safe way below the explosion.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float


def find_learning_rate(
    model: Any, batches: ArrayBatches, lowest: float = 1e-6, highest: float = 1.0, steps: int = 100
) -> Finding:
    """Train for `steps` batches while the rate grows from `lowest` to `highest`; then put everything back.

    Parameters
    ----------
    model : Sequential
        Compiled; its weights, optimiser and random generators are afterwards as they were.
    batches : Loader or ArrayBatches
        What it would be trained on.
    lowest, highest : float
    steps : int, at least 10

    Returns
    -------
    Finding

    Raises
    ------
    ArgumentError
        For rates that do not rise.

    References
    ----------
    Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3.

    Examples
    --------
    >>> import minicnn as mc
    >>> x = np.sign(np.random.default_rng(0).standard_normal((64, 1)))
    >>> model = mc.Sequential([mc.Dense(1, use_bias=False)]).build((1,))
    >>> model.compile("sgd", "mean_squared_error")
    >>> 0.001 < find_learning_rate(model, ArrayBatches(x, x, batch_size=8)).suggestion < 1
    True
    """
    if not 0 < lowest < highest < math.inf:
        raise ArgumentError(
            "find_learning_rate", "0 < lowest < highest", f"{lowest} and {highest}", "Widen it."
        )
    check_int(steps, "find_learning_rate steps", least=10)
    if model.optimizer is None:
        raise StateError("find_learning_rate", "a compiled model", "one that is not", "Call compile first.")
    optimizer = model.optimizer
    state, schedule = model.state, optimizer.schedule
    rates, losses, smoothed, average = np.geomspace(lowest, highest, steps), [], [], 0.0
    try:
        for rate, (x, y, weight) in zip(rates, _endless(batches), strict=False):
            optimizer.learning_rate = float(rate)
            try:
                losses.append(model.train_step(x, y, weight)[0])
            except NonFiniteError:
                break
            average = SMOOTHING * average + (1 - SMOOTHING) * losses[-1]
            smoothed.append(average / (1 - SMOOTHING ** len(losses)))  # the zero it began with weighs nothing
            if len(losses) > SETTLING and smoothed[-1] > EXPLODED * min(smoothed):
                break
    finally:
        optimizer.schedule, model.state = schedule, state
    if len(losses) < 3:
        raise ArgumentError(
            "find_learning_rate lowest", "a rate that can be trained with", str(lowest), "Lower it."
        )
    rates = rates[: len(losses)]
    slope = np.gradient(smoothed, np.log(rates))
    least = int(np.argmin(smoothed))  # what comes after it is on its way up
    first = min(SETTLING, least)  # what comes before it is noise
    suggestion = float(rates[first + np.argmin(slope[first : least + 1])])
    return Finding(rates, np.array(losses), np.array(smoothed), suggestion)


def _endless(batches) -> Iterator[tuple]:
    for epoch in count():
        yield from batches.batches(epoch)
