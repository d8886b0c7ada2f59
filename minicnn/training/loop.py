"""The epoch loop: batches in, training steps, validation, one line of progress, callbacks, a history.

`Sequential.fit`, `evaluate` and `predict` in model.py only forward to the functions here.  The step itself (forward,
loss, backward, update) is `Sequential.train_step`.  Arguments are checked in fit_arguments.py, datasets are in
batches.py, what is reported in history.py, how it is shown in progress.py.
"""

import copy
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ArgumentError, MinicnnError, NonFiniteError, StateError
from . import fit_arguments, progress
from .batches import Batches, shorten
from .callbacks import Callback
from .callbacks.calling import call_hook, finishing
from .history import History, Totals
from .inputs import as_input


class Run:
    """One call of `fit`: what it works on, and where it stands between two batches.

    Callbacks find it as `self.run`; a checkpoint (checkpoints.py) holds where it stands.

    Attributes
    ----------
    model, batches, validation, callbacks, epochs, class_weight, verbose, validation_freq, validation_steps
        What it works on, as `fit` was given it.
    steps : int or None
        How many batches an epoch has, where that is known.
    log_names : list of str
        The names that the logs of an epoch can have: "loss", metrics, "val_loss", ..., "learning_rate".
    epoch, batch : int
        The next batch, both counted from 0.
    offset : int
        An epoch's order, augmentation and mixup come from (seed, offset + epoch).  It counts the epochs of earlier
        calls of `fit`.
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
        batches: Batches,
        validation: Batches | None,
        epochs: int,
        first: int,
        offset: int,
        class_weight: dict[int, float] | None,
        verbose: int,
        validation_freq: int | Sequence[int],
        validation_steps: int | None,
    ):
        self.model, self.batches, self.validation, self.epochs = model, batches, validation, epochs
        self.class_weight, self.verbose, self.steps = class_weight, verbose, batches.steps
        self.validation_freq, self.validation_steps = validation_freq, validation_steps
        self.validated = fit_arguments.validated_epochs(validation_freq, first, epochs)
        self.callbacks: list[Callback] = []
        names = ["loss", *model.metrics]
        self.log_names = (
            names + [f"val_{name}" for name in names if validation is not None] + ["learning_rate"]
        )
        self.history = History({"epochs": epochs, "steps": self.steps, "verbose": verbose})
        self.epoch, self.offset = first, offset
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Stand before the epoch's first batch."""
        self.batch, self.totals, self.seconds = 0, Totals(self.model.metrics), 0.0

    def end_epoch(self) -> None:
        """Stand before the next epoch; the model counts the one that has ended."""
        self.epoch += 1
        self.begin_epoch()
        self.model.epochs_trained = self.offset + self.epoch

    @property
    def settings(self) -> dict:
        """What its course follows from, apart from the model and the callbacks: a run is only resumed with the same."""
        validation = {name: getattr(self, name) for name in ("validation_freq", "validation_steps")}
        return self.batches.settings | validation

    @property
    def state(self) -> dict:
        """Where it stands, as numbers and arrays."""
        position = {name: getattr(self, name) for name in ("epoch", "batch", "seconds", "offset")}
        return position | {"totals": self.totals.state, "history": self.history.state}

    @state.setter
    def state(self, state: dict) -> None:
        self.totals.state, self.history.state = state["totals"], state["history"]
        self.epoch, self.batch, self.seconds = state["epoch"], state["batch"], state["seconds"]
        self.offset = state["offset"]
        self.model.epochs_trained = self.offset + self.epoch


def fit(
    model: Any,
    x: Any,
    y: ArrayLike | None = None,
    batch_size: int | None = None,
    epochs: int = 1,
    *,
    verbose: str | int = "auto",
    callbacks: Sequence[Callback] | Callback | None = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool | None = None,
    class_weight: Any = None,
    sample_weight: ArrayLike | None = None,
    initial_epoch: int | None = None,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_freq: int | Sequence[int] = 1,
    seed: int | None = None,
) -> History:
    """Train.  Everything that cannot work is refused before the first step, and then nothing is changed.

    Parameters
    ----------
    model : Sequential
        Compiled.  If it is not built, it is built for the samples' shape.
    x : array (N, ...), loader or iterable
        An iterable gives batches (x, y) or (x, y, sample_weight); one pass is an epoch.
    y : array (N,), (N, 1) or (N, K)
        Targets, if x is an array.
    batch_size : int, default 32
        Only with arrays: a loader or an iterable has its own.  The same holds for `shuffle` and `seed`.
    epochs : int
        The number of the last epoch; see `initial_epoch`.
    verbose : "auto", 0, 1 or 2
        0 is silent, 1 a progress bar, 2 a line per epoch; "auto" is a bar on a terminal and lines elsewhere.
    callbacks : sequence of Callback, optional
    validation_split : float in [0, 1)
        Validate on this share of the arrays, the last samples before shuffling.
    validation_data : (x, y), (x, y, sample_weight), loader or iterable, optional
        Evaluated after each epoch.
    shuffle : bool, default True
        A new order each epoch.  With False, arrays that are sorted by class are trained on in that order.
    class_weight : dict from class number to weight, one number per class, or "balanced", optional
        The loss of each sample is multiplied by its class's weight.  A class that is not in a dictionary weighs 1.
    sample_weight : array (N,), optional
    initial_epoch : int, optional
        The number of the first epoch: ``epochs=10, initial_epoch=5`` trains five.
    steps_per_epoch : int, optional
        End an epoch after so many batches; the next one begins where it ended.
    validation_steps : int, optional
        Evaluate only so many batches.
    validation_freq : int or sequence of int
        Validate every so many epochs, or after these (counted from 1).
    seed : int, default 0

    Returns
    -------
    History

    Raises
    ------
    ArgumentError, ShapeError
        If something cannot work, in words.
    NonFiniteError
        When a loss or a gradient is NaN or infinite: the epoch, the batch and its samples are named, and the weights
        are those before that batch.
    StateError
        If the model is not compiled, or another thread is training it.

    Notes
    -----
    The order of an epoch, its augmentation and its mixup come from (seed, number of epochs trained since `compile`).
    So a second call of `fit` continues with fresh orders, as if it were one long call.  With `initial_epoch` that
    number is given: ``initial_epoch=0`` repeats the orders of the first call.

    Images of type uint8 are scaled as the model's `preprocessing` says; see `inputs.as_input`.
    """
    if not model.training_lock.acquire(blocking=False):
        raise StateError(
            "fit", "one training at a time", "a second: fit is under way in another thread",
            "Wait for it, or train a copy: copy.deepcopy(model).",
        )  # fmt: skip
    try:
        fit_arguments.need_compile(model, "fit")
        verbose = progress.check_verbose(verbose)
        first, end = fit_arguments.epoch_range(epochs, initial_epoch)
        validations = len(fit_arguments.validated_epochs(validation_freq, first, end))
        batches = fit_arguments.as_batches(
            "fit", x, y, sample_weight, batch_size=batch_size, shuffle=shuffle, seed=seed
        )
        batches, validation = fit_arguments.training_and_validation(
            batches, validation_split, validation_data, batch_size
        )
        if validation_steps is not None and validation is None:
            raise ArgumentError("validation_steps", "validation_data to take them from", "none")
        batches = fit_arguments.with_steps(batches, steps_per_epoch)
        fit_arguments.check_passes(batches, end - first, steps_per_epoch, "steps_per_epoch")
        if validation is not None:
            validation_steps = fit_arguments.check_steps(validation, validation_steps, "validation_steps")
            fit_arguments.check_passes(validation, validations, validation_steps, "validation_steps")
        # A model that is not built is checked as a copy that is, so that a refused call leaves it as it was.
        unbuilt = model.input_shape is None
        checked = copy.deepcopy(model).build(batches.input_shape) if unbuilt else model
        class_weight = fit_arguments.check_training(checked, batches, validation, class_weight)
        offset = model.epochs_trained if initial_epoch is None else 0
        run = Run(
            checked, batches, validation, end, first, offset, class_weight, verbose, validation_freq, validation_steps
        )  # fmt: skip
        run.callbacks = fit_arguments.check_callbacks(callbacks, run)
        if unbuilt:
            run.model = model.build(batches.input_shape)
            run.begin_epoch()
        fit_arguments.adopt(model, batches)
        return _train(run)
    finally:
        model.training_lock.release()


def evaluate(
    model: Any,
    x: Any,
    y: ArrayLike | None = None,
    batch_size: int | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    steps: int | None = None,
    verbose: str | int = 0,
) -> dict:
    """The loss and each metric over all samples, by name; nothing is changed.

    Keras returns a list.  Here ``loss, accuracy = model.evaluate(x, y).values()`` unpacks the numbers; without
    ``.values()`` it unpacks the names.

    Parameters
    ----------
    model : Sequential
        Compiled and built.
    x, y, batch_size, sample_weight : as in `fit`
    steps : int, optional
        Evaluate only so many batches.
    verbose : 0, 1, 2 or "auto"
        1 is a progress bar, 2 a line at the end.

    Returns
    -------
    dict
        "loss", then the metrics.

    Raises
    ------
    ArgumentError, ShapeError
        If the dataset does not fit the model.
    StateError
        If the model is not compiled or not built.
    """
    fit_arguments.need_compile(model, "evaluate")
    fit_arguments.need_build(model, "evaluate")
    verbose = progress.check_verbose(verbose)
    batches = fit_arguments.as_batches("evaluate", x, y, sample_weight, batch_size=batch_size)
    steps = fit_arguments.check_steps(batches, steps, "steps")
    fit_arguments.check_dataset(model, batches, "evaluate")
    return _evaluate(model, batches, steps, verbose)


def predict(
    model: Any, x: Any, batch_size: int | None = None, steps: int | None = None, verbose: str | int = 0
) -> np.ndarray:
    """The outputs for all samples, in order.

    Parameters
    ----------
    model : Sequential
        Built.
    x : array (N, ...), loader or iterable
        An iterable gives batches x, or tuples that begin with x.
    batch_size : int, default 32
        How many are computed at once; the predictions do not depend on it beyond rounding.
    steps : int, optional
        Predict only so many batches.
    verbose : as in `evaluate`

    Returns
    -------
    array (N, ...)

    Raises
    ------
    ArgumentError, ShapeError
        If x is no dataset, is empty, or has another shape than the model was built for.
    StateError
        If the model is not built.
    """
    fit_arguments.need_build(model, "predict")
    verbose = progress.check_verbose(verbose)
    batches = fit_arguments.as_batches("predict", x, batch_size=batch_size)
    steps = fit_arguments.check_steps(batches, steps, "steps")
    fit_arguments.check_shape(model, batches, "predict")
    fit_arguments.check_origin(batches, None, model.preprocessing, "predict", "the model")
    outputs, start = [], time.perf_counter()

    def predict_batch(x, *_):
        outputs.append(model(as_input(model, x)))

    _each_batch(batches, steps, verbose, "predict", predict_batch)
    if verbose == 2:
        progress.say(progress.steps_line(len(outputs), time.perf_counter() - start, {}))
    return np.concatenate(outputs)


# --------------------------------------------------------------------------------------- the loop
def _train(run):
    """All epochs, between `on_train_begin` and `on_train_end`."""
    model, begun = run.model, []
    model.history = run.history  # there too, for who interrupts training and wants to see it
    model.stop_training = False
    try:
        for callback in run.callbacks:
            callback.run = run
            callback.set_model(model)
            callback.set_params(run.history.params)
            call_hook(callback, "on_train_begin", {})  # that of a checkpoint may set the run forward
            begun.append(callback)
        # A run that is resumed within its last epoch, after stop_training was set, still ends that epoch.
        while run.epoch < run.epochs and (run.batch or not model.stop_training):
            _train_epoch(run)
    finally:
        with ExitStack() as ending:  # each callback's, also if one before it fails
            for callback in reversed(begun):
                ending.callback(call_hook, callback, "on_train_end", {})
    return run.history


def _train_epoch(run):
    """The batches of the epoch that are still to come, its validation and its line."""
    model, epoch, start = run.model, run.epoch, time.perf_counter() - run.seconds
    _call_all(run, "on_epoch_begin", epoch, {})
    _train_batches(run, start)
    _call_all(run, "on_test_begin", {})
    logs = run.totals.logs()
    if run.validation is not None and epoch in run.validated:
        values = _evaluate(model, run.validation, run.validation_steps, 0)
        logs |= {f"val_{name}": value for name, value in values.items()}
        _call_all(run, "on_test_end", values)
    logs["learning_rate"] = float(model.optimizer.learning_rate)
    seconds, steps = time.perf_counter() - start, run.batch
    run.history.add(epoch, logs, seconds)
    if run.verbose:
        progress.say(progress.epoch_line(epoch, run.epochs, steps, seconds, logs))
    run.end_epoch()
    with finishing():  # a saved model and its row in the log belong together
        _call_all(run, "on_epoch_end", epoch, logs)


def _train_batches(run, start):
    model, totals, order = run.model, run.totals, run.offset + run.epoch
    if run.batch and model.stop_training:
        return
    title = f"Epoch {run.epoch + 1}/{run.epochs}"
    with progress.bar(run.verbose, title, run.steps, run.batch) as bar:
        for batch, (x, y, sample_weight) in enumerate(run.batches.batches(order, run.batch), run.batch):
            _call_all(run, "on_batch_begin", batch, {})
            loss, prediction = _train_step(run, batch, x, y, sample_weight)
            totals.add(loss, y, prediction)
            run.batch, run.seconds = batch + 1, time.perf_counter() - start
            bar.update()
            bar.set_postfix(loss=f"{totals.mean_loss:.4f}", refresh=False)
            _call_all(run, "on_batch_end", batch, {"loss": float(loss)})
            if model.stop_training:
                break
    if run.batch == 0:
        repair = "Give a dataset that can be iterated again."
        raise ArgumentError(title, "at least one batch", "none", repair)


def _call_all(run, hook, *arguments):
    for callback in run.callbacks:
        call_hook(callback, hook, *arguments)


def _train_step(run, batch, x, y, weight):
    """One step; what it raises names the batch."""
    model = run.model
    try:
        x = as_input(model, x)
        if run.class_weight is not None:
            weights = model.outputs.class_weights(y, run.class_weight)
            weight = weights if weight is None else weights * weight
        return model.train_step(x, y, weight)
    except MinicnnError as error:
        samples = run.batches.describe(run.offset + run.epoch, batch)
        place = f"epoch {run.epoch + 1}, batch {batch + 1} ({samples})"
        if isinstance(error, NonFiniteError):
            raise _name_batch(error, place, x) from error
        raise error.within(f"{place}:") from error


def _name_batch(error, place, x):
    """The same error with its batch, and with the samples to blame where the input itself is not finite."""
    cause = "Lower the learning rate, or clip gradients (global_clipnorm=1.0)."
    finite = np.isfinite(x).reshape(len(x), -1).all(1)
    if not finite.all():
        bad = shorten(map(str, np.flatnonzero(~finite).tolist()))
        cause = f"The input of its samples at {bad} holds NaN or infinity: repair the data."
    return NonFiniteError(
        f"{place}, {error.where}", error.expected, error.received,
        f"Training stopped; the weights are those before this batch. {cause}",
    )  # fmt: skip


def _evaluate(model, batches, steps, verbose):
    totals, start, count = Totals(model.metrics), time.perf_counter(), 0

    def evaluate_batch(x, y, sample_weight):
        loss, prediction = model.test_step(as_input(model, x), y, sample_weight)
        totals.add(loss, y, prediction)

    count = _each_batch(batches, steps, verbose, "evaluate", evaluate_batch)
    logs = totals.logs()
    if verbose == 2:
        progress.say(progress.steps_line(count, time.perf_counter() - start, logs))
    return logs


def _each_batch(batches, steps, verbose, title, function: Callable) -> int:
    """Call the function with each batch, or the first `steps`; returns how many there were.

    In a plain loop, which when it fails lets go of its batches and of the thread they come from.
    """
    count, total = 0, batches.steps if steps is None else steps
    with progress.bar(verbose, title, total) as bar:
        for batch in islice(batches.in_order(), steps):
            function(*batch)
            count += 1
            bar.update()
    if count < (1 if steps is None else steps):
        raise ArgumentError(title, f"{steps or 'at least 1'} batches", str(count), "Give fewer steps.")
    return count
