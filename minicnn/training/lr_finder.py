"""Learning-rate range test: raise the learning rate in each iteration, and find where the loss falls fastest.

Users call `find_learning_rate`; the command line calls it for `minicnn train --lr-find`.  The plot is
`plots.learning_rates` in reporting/plots.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from ..errors import ArgumentError, NonFiniteError, StateError, check_int, check_number
from . import fit_arguments
from .inputs import as_input

SMOOTHING = 0.9  # decay of the exponential moving average of the losses, the usual value
SETTLING = 10  # iterations before which the average is noisy, because it includes only a few batches
EXPLODED = 4.0  # the test ends when the average exceeds its minimum by this factor


@dataclass(frozen=True)
class Finding:
    """The result of a learning-rate range test.

    Attributes
    ----------
    rates, losses, smoothed : array (steps,)
        The rate of each iteration, the loss of its batch, and the exponential moving average of the losses.
    suggestion : float
        The rate at which the average falls fastest over the logarithm of the rate.  It is well below the rate at which
        the loss explodes.
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
    """Train for `steps` batches while the rate grows from `lowest` to `highest`, then restore the model.

    Parameters
    ----------
    model : Sequential
        A compiled and built model.  Afterwards its weights, optimizer and random generators are as they were.
    x, y, batch_size, sample_weight : as in `fit`
        The training data: arrays, a loader, or an iterable of batches.
    lowest, highest : float
        The range of rates, which grow by a constant factor.
    steps : int, at least 10
        The number of batches, if the loss does not explode before.

    Returns
    -------
    Finding

    Raises
    ------
    ArgumentError
        If `lowest` is not below `highest`, or if the dataset does not fit the model.
    StateError
        If the model is not compiled or not built, if another thread is training it, or if the loss does not fall.

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
    least = int(np.argmin(smoothed))  # after this iteration the loss rises
    if least <= SETTLING:  # until this iteration the average is noisy
        raise StateError(
            where, "a loss that falls while the rate grows", f"one that is lowest in iteration {least + 1}",
            "Give more images or steps, or a model that is not yet trained.",
        )  # fmt: skip
    suggestion = float(rates[SETTLING + np.argmin(slope[SETTLING : least + 1])])
    return Finding(rates, np.array(losses), np.array(smoothed), suggestion)


def _range_test(model, batches, rates):
    """The loss at each rate and their moving average, until it explodes; then the model is restored."""
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
            smoothed.append(
                average / (1 - SMOOTHING ** len(losses))
            )  # bias correction: the average starts at zero
            if len(losses) > SETTLING and smoothed[-1] > EXPLODED * min(smoothed):
                break
    finally:
        optimizer.learning_rate = rate_before if schedule is None else schedule
        model.state = state
        for parameter, gradient in zip(model.parameters, gradients, strict=True):
            parameter.grad = gradient
    return losses, smoothed


def _endless(batches) -> Iterator[tuple]:
    """The batches of one epoch after the other; a generator ends after one pass."""
    for epoch in count():
        found = False
        for batch in batches.batches(epoch):
            found = True
            yield batch
        if not found:
            return
