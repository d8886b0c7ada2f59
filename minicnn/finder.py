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
EXPLODED = 4.0  # times the least loss: then nothing more is learned


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
    rates, losses = np.geomspace(lowest, highest, steps), []
    try:
        for rate, (x, y, weight) in zip(rates, _endless(batches), strict=False):
            optimizer.learning_rate = float(rate)
            try:
                losses.append(model.train_step(x, y, weight)[0])
            except NonFiniteError:
                break
            if losses[-1] > EXPLODED * min(losses):
                break
    finally:
        optimizer.schedule, model.state = schedule, state
    if len(losses) < 3:
        raise ArgumentError(
            "find_learning_rate lowest", "a rate that can be trained with", str(lowest), "Lower it."
        )
    smoothed = _smooth(losses)
    rates = rates[: len(losses)]
    slope = np.gradient(smoothed, np.log(rates))
    usable = slice(
        0, max(2, int(np.argmin(smoothed)) + 1)
    )  # what comes after the least loss is on its way up
    return Finding(rates, np.array(losses), smoothed, float(rates[usable][np.argmin(slope[usable])]))


def _endless(batches) -> Iterator[tuple]:
    for epoch in count():
        yield from batches.batches(epoch)


def _smooth(losses):
    """The moving average, without the weight of the zero that it begins with."""
    average, smoothed = 0.0, []
    for number, loss in enumerate(losses, 1):
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        smoothed.append(average / (1 - SMOOTHING**number))
    return np.array(smoothed)
