"""The epoch loop: batches in, steps, validation, one line of progress, callbacks, a history.

`Sequential.fit` and `Sequential.evaluate` in model.py call this with their batches; the step itself
(forward, loss, backward, update) is `Sequential.train_step`.  Batches: batches.py.
"""

import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

from .batches import ArrayBatches, shorten
from .callbacks import Callback
from .errors import ArgumentError, NonFiniteError
from .metrics import Proportion, labels


class Run:
    """One call of `fit`: what it works on, and where it stands between two batches.

    Callbacks find it as `self.run`; a checkpoint (checkpoints.py) holds where it stands.

    Attributes
    ----------
    model, batches, validation, callbacks, epochs, class_weight, verbose
        What it works on, as `fit` was given it.
    epoch, batch : int
        The next batch, both counted from 0.
    totals : Totals
        What the batches before it in the epoch gave.
    seconds : float
        How long they took.
    history : History
        What the epochs before it gave.
    """

    def __init__(
        self,
        model: Any,
        batches: ArrayBatches,
        validation: ArrayBatches | None,
        callbacks: Sequence[Callback],
        epochs: int,
        class_weight: dict[int, float] | None,
        verbose: int,
    ):
        self.model, self.batches, self.validation, self.epochs = model, batches, validation, epochs
        self.class_weight, self.verbose = class_weight, verbose
        self.callbacks = sorted(callbacks, key=lambda callback: callback.last)
        self.history, self.epoch = History(), 0
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Stand before the epoch's first batch."""
        self.batch, self.totals, self.seconds = 0, Totals(), 0.0

    @property
    def state(self) -> dict:
        """Where it stands, as numbers and arrays."""
        position = {"epoch": self.epoch, "batch": self.batch, "seconds": self.seconds}
        return position | {"totals": vars(self.totals), "history": vars(self.history)}

    @state.setter
    def state(self, state: dict) -> None:
        self.epoch, self.batch, self.seconds = state["epoch"], state["batch"], state["seconds"]
        vars(self.totals).update(state["totals"])
        vars(self.history).update(state["history"])


class History:
    """What every epoch gave.

    Attributes
    ----------
    history : dict of lists
        "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", ...: one value an epoch.
    seconds : list of float
        How long each epoch took, validation included.
    """

    def __init__(self):
        self.history: dict[str, list] = {}
        self.seconds: list[float] = []

    def add(self, logs: dict, seconds: float) -> None:
        """Append an epoch."""
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)
        self.seconds.append(seconds)


class Totals:
    """An epoch's loss, weighted by samples, and its predictions, on which metrics are computed whole."""

    def __init__(self):
        self.loss, self.samples, self.targets, self.predictions = 0.0, 0, [], []

    def add(self, loss: float, target: ArrayLike, prediction: np.ndarray) -> None:
        self.loss += loss * len(prediction)
        self.samples += len(prediction)
        self.targets.append(np.asarray(target))
        self.predictions.append(prediction)

    def logs(self, metrics: dict) -> dict:
        target, prediction = np.concatenate(self.targets), np.concatenate(self.predictions)
        logs = {"loss": self.loss / self.samples}
        for name, metric in metrics.items():
            logs[name] = metric(target, prediction)
            if np.ndim(logs[name]):
                raise ArgumentError(
                    f"metric {name}",
                    "one number",
                    f"an array of shape {np.shape(logs[name])}",
                    "Choose one of its values.",
                )
        return logs


def fit(
    model: Any,
    batches: ArrayBatches,
    validation: ArrayBatches | None,
    epochs: int,
    callbacks: Sequence[Callback],
    class_weight: dict[int, float] | None,
    verbose: int | str,
) -> History:
    """Train `model` for `epochs`; see `Sequential.fit` for the meaning of each argument.

    Raises
    ------
    NonFiniteError
        When a batch's loss is NaN or infinite: epoch, batch and samples are named and the weights are
        those before that batch.
    ArgumentError
        If a class is weighted that the network does not know.
    """
    _check_class_weight(model, class_weight or {})
    run = Run(model, batches, validation, callbacks, epochs, class_weight, _resolve(verbose))
    model.history = run.history  # there too, for who interrupts training and wants to see it
    model.stop_training = False
    for callback in run.callbacks:
        callback.model, callback.run = model, run
        callback.on_train_begin()  # that of a checkpoint may set the run forward
    try:
        while run.epoch < epochs and not model.stop_training:
            epoch, start = run.epoch, time.perf_counter() - run.seconds
            for callback in run.callbacks:
                callback.on_epoch_begin(epoch)
            _train_epoch(run, start)
            for callback in run.callbacks:
                callback.on_test_begin()
            logs = run.totals.logs(model.metrics)
            if validation is not None:
                logs |= {f"val_{name}": value for name, value in evaluate(model, validation).items()}
            logs["learning_rate"] = model.optimizer.learning_rate
            seconds = time.perf_counter() - start
            run.history.add(logs, seconds)
            if run.verbose:
                print(progress_line(epoch, epochs, len(batches), seconds, logs), flush=True)
            run.epoch += 1
            run.begin_epoch()
            for callback in run.callbacks:
                callback.on_epoch_end(epoch, logs)
    finally:
        for callback in run.callbacks:
            callback.on_train_end()
    return run.history


def evaluate(model: Any, batches: ArrayBatches) -> dict:
    """The loss and the model's metrics over all batches; nothing is changed."""
    totals = Totals()
    for x, y, sample_weight in batches.in_order():
        if y is None:
            raise ArgumentError("evaluate", "targets y", "none", "Give y, or a loader with labels.")
        loss, prediction = model.test_step(x, y, sample_weight)
        totals.add(loss, y, prediction)
    return totals.logs(model.metrics)


def progress_line(epoch: int, epochs: int, steps: int, seconds: float, logs: dict) -> str:
    """One epoch in one line.

    Examples
    --------
    >>> progress_line(2, 25, 12, 0.6, {"loss": 0.4121, "accuracy": Proportion(13, 16)})
    'Epoch 3/25 - 12/12 - 1s - 50ms/step - accuracy: 0.8125 ± 0.0976 - loss: 0.4121'
    """
    numbers = " - ".join(
        f"{name}: {number(logs[name])}"
        for name in sorted(logs, key=lambda n: (n.startswith("val_"), n))
        if name != "learning_rate"
    )
    speed = f"{seconds:.0f}s - {1000 * seconds / steps:.0f}ms/step"
    return f"Epoch {epoch + 1}/{epochs} - {steps}/{steps} - {speed} - {numbers}"


def number(value: float) -> str:
    """Four decimals, with the standard error where there is one."""
    return str(value) if isinstance(value, Proportion) else f"{float(value):.4f}"


def _train_epoch(run, start):
    """Train on the batches of the epoch that are still to come."""
    batches, epoch, totals, class_weight = run.batches, run.epoch, run.totals, run.class_weight
    bar = tqdm(
        initial=run.batch,
        total=len(batches),
        desc=f"Epoch {epoch + 1}/{run.epochs}",
        unit="batch",
        leave=False,
        disable=run.verbose != 1,
    )
    with bar:
        for batch, (x, y, sample_weight) in enumerate(batches.batches(epoch, run.batch), run.batch):
            weight = sample_weight if class_weight is None else _class_weights(y, sample_weight, class_weight)
            try:
                loss, prediction = run.model.train_step(x, y, weight)
            except NonFiniteError as error:
                raise _name_batch(error, batches, epoch, batch, (x, y, weight)) from error
            totals.add(loss, y, prediction)
            run.batch, run.seconds = batch + 1, time.perf_counter() - start
            bar.update()
            bar.set_postfix(loss=f"{totals.loss / totals.samples:.4f}", refresh=False)
            for callback in run.callbacks:
                callback.on_batch_end(batch, {"loss": loss})


def _check_class_weight(model, class_weight):
    """Its keys are class numbers, of which a network with one output has two."""
    count = max(2, model.output_shapes[-1][-1])
    if unknown := [label for label in class_weight if label not in range(count)]:
        names = model.class_names or []
        meaning = ", ".join(f"{number} is {name}" for number, name in enumerate(names))
        raise ArgumentError(
            "class_weight",
            f"class numbers from 0 to {count - 1}" + (f" ({meaning})" if meaning else ""),
            ", ".join(map(repr, unknown)),
            "Give for example {0: 1.0, 1: 2.0}.",
        )


def _class_weights(y, sample_weight, class_weight):
    """Each sample's weight times its class's; a class that is not named weighs 1."""
    weight = np.array([class_weight.get(int(label), 1.0) for label in labels(y, y)])
    return weight if sample_weight is None else weight * sample_weight


def _name_batch(error, batches, epoch, batch, arrays):
    """The same error with its batch, and with the samples to blame where the data itself is not finite."""
    cause = "Lower the learning rate, or clip gradients (global_clipnorm=1.0)."
    for name, array in zip(("input", "target", "weight"), arrays, strict=True):
        if array is not None and not np.isfinite(array).all():
            bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(1)).tolist()
            cause = f"The {name} of its samples at {shorten(map(str, bad))} holds NaN or infinity: repair the data."
            break
    return NonFiniteError(
        f"epoch {epoch + 1}, batch {batch + 1} ({batches.describe(epoch, batch)})", error.expected, error.received,
        f"Training stopped; the weights are those before this batch. {cause}",
    )  # fmt: skip


def _resolve(verbose):
    """ "auto" is a bar on a terminal and a line an epoch elsewhere."""
    if verbose == "auto":
        return 1 if sys.stderr.isatty() else 2
    if verbose not in (0, 1, 2):
        raise ArgumentError(
            "verbose", '"auto", 0 (silent), 1 (bar) or 2 (a line an epoch)', repr(verbose), "Choose one."
        )
    return verbose
