"""Learning-rate range test: raise the rate from step to step, and see where the loss falls fastest and explodes.

The plot is `plots.learning_rates`.  Called by examples/catdog.py (`--find-rate`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from ..errors import ArgumentError, NonFiniteError, StateError, check_int, check_number
from . import fit_arguments
from .inputs import as_input

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
    model: Any,
    x: Any,
    y: Any = None,
    *,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 100,
    batch_size: int | None = None,
    sample_weight: Any = None,
) -> Finding:
    """Train for `steps` batches while the rate grows from `lowest` to `highest`; then put everything back.

    Parameters
    ----------
    model : Sequential
        Compiled and built; its weights, optimizer and random generators are afterwards as they were.
    x, y, batch_size, sample_weight : as in `fit`
        What it would be trained on: arrays, a loader, or an iterable of batches.
    lowest, highest : float
    steps : int, at least 10

    Returns
    -------
    Finding

    Raises
    ------
    ArgumentError
        For rates that do not rise, and a dataset that does not fit the model.
    StateError
        If the model is not compiled or not built, or another thread is training it.

    References
    ----------
    Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3.

    Examples
    --------
    >>> import minicnn as mc
    >>> x = np.sign(np.random.default_rng(0).standard_normal((64, 1)))
    >>> model = mc.Sequential([mc.Dense(1, use_bias=False)]).build((1,))
    >>> model.compile("sgd", "mean_squared_error")
    >>> 0.001 < find_learning_rate(model, x, x, batch_size=8).suggestion < 1
    True
    """
    where = "find_learning_rate"
    lowest = check_number(lowest, f"{where} lowest", above=0)
    highest = check_number(highest, f"{where} highest", above=0)
    if not lowest < highest:
        raise ArgumentError(where, "lowest < highest", f"{lowest} and {highest}", "Widen the range.")
    steps = check_int(steps, f"{where} steps", least=10)
    fit_arguments.need_compile(model, where)
    fit_arguments.need_build(model, where)
    if np.ndim(y) == 0 and y is not None:
        raise ArgumentError(where, "targets y", repr(y), "Write lowest=... and highest=... by name.")
    batches = fit_arguments.as_batches(where, x, y, sample_weight, batch_size=batch_size)
    if type(batches) is fit_arguments.ArrayBatches and batches is not x:
        batches.shuffle = True
    if not model.training_lock.acquire(blocking=False):
        expected, received = "one training at a time", "another thread that is training this model"
        raise StateError(where, expected, received, "Wait for it, or use a copy: copy.deepcopy(model).")
    try:
        fit_arguments.check_dataset(model, batches, where)
        rates = np.geomspace(lowest, highest, steps)
        losses, smoothed = _range_test(model, batches, rates)
    finally:
        model.training_lock.release()
    if len(losses) < 3:
        raise ArgumentError(
            "find_learning_rate lowest", "a rate that can be trained with", str(lowest), "Lower it."
        )
    rates = rates[: len(losses)]
    slope = np.gradient(smoothed, np.log(rates))
    least = int(np.argmin(smoothed))  # after it the loss rises
    first = min(SETTLING, least)  # before it is noise
    suggestion = float(rates[first + np.argmin(slope[first : least + 1])])
    return Finding(rates, np.array(losses), np.array(smoothed), suggestion)


def _range_test(model, batches, rates):
    """The loss of a step at each rate, and their moving average, until it explodes; the model is then as before."""
    optimizer, losses, smoothed, average = model.optimizer, [], [], 0.0
    state, schedule, rate_before = model.state, optimizer.schedule, optimizer.learning_rate
    gradients = [parameter.grad for parameter in model.parameters]
    try:
        for rate, (inputs, targets, weight) in zip(rates, _endless(batches), strict=False):
            optimizer.learning_rate = float(rate)
            try:
                losses.append(model.train_step(as_input(model, inputs), targets, weight)[0])
            except NonFiniteError:
                break
            average = SMOOTHING * average + (1 - SMOOTHING) * losses[-1]
            smoothed.append(average / (1 - SMOOTHING ** len(losses)))  # without the zero it began with
            if len(losses) > SETTLING and smoothed[-1] > EXPLODED * min(smoothed):
                break
    finally:
        optimizer.learning_rate = rate_before if schedule is None else schedule
        model.state = state
        for parameter, gradient in zip(model.parameters, gradients, strict=True):
            parameter.grad = gradient
    return losses, smoothed


def _endless(batches) -> Iterator[tuple]:
    """The batches of one epoch after the other; a generator ends after one."""
    for epoch in count():
        found = False
        for batch in batches.batches(epoch):
            found = True
            yield batch
        if not found:
            return
