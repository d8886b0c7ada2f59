"""The training loop, evaluation and prediction: batches, training steps, validation, callbacks, progress, history.

`Sequential.fit`, `evaluate` and `predict` in model.py forward to the functions here.  One training step (forward, loss,
backward, update) is `Sequential.train_step`.  Arguments are checked in fit_arguments.py; datasets are in batches.py.
The reported numbers are in history.py; progress.py makes the lines to print.
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
from ..runtime.printing import say
from . import fit_arguments, progress
from .batches import Batches, shorten
from .callbacks import Callback
from .callbacks.calling import call_hook, finishing
from .history import History, Totals
from .inputs import as_input


class Run:
    """One call of `fit`: its arguments, and its position between two batches.

    Callbacks access it as `self.run`; a checkpoint (checkpoints.py) saves its position.

    Attributes
    ----------
    model, batches, validation, callbacks, epochs, class_weight, verbose, validation_freq, validation_steps
        The arguments of `fit`.
    steps : int or None
        The number of batches per epoch, if it is known.
    log_names : list of str
        The names that the logs of an epoch can have: "loss", metrics, "val_loss", ..., "learning_rate".
    epoch, batch : int
        The next batch; both are counted from 0.
    offset : int
        The number of epochs in earlier calls of `fit`.  An epoch's order, augmentation and mixup depend only on
        (seed, offset + epoch).
    totals : Totals
        The totals of the batches of this epoch so far.
    seconds : float
        The time that these batches took.
    history : History
        The numbers of the epochs so far.
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
        """Move to the first batch of the epoch."""
        self.batch, self.totals, self.seconds = 0, Totals(self.model.metrics), 0.0

    def end_epoch(self) -> None:
        """Move to the next epoch, and update the model's count of epochs."""
        self.epoch += 1
        self.begin_epoch()
        self.model.epochs_trained = self.offset + self.epoch

    @property
    def settings(self) -> dict:
        """The settings that determine the run, apart from the model and callbacks; to resume, they must be the same."""
        validation = {name: getattr(self, name) for name in ("validation_freq", "validation_steps")}
        return self.batches.settings | validation

    @property
    def state(self) -> dict:
        """The position of the run, as numbers and arrays; settable."""
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
    """Train a model.  Arguments that cannot work are refused before the first step, and the model stays as it was.

    Parameters
    ----------
    model : Sequential
        A compiled model.  If it is not built, it is built for the samples' shape.
    x : array (N, ...), loader or iterable
        An iterable yields batches (x, y) or (x, y, sample_weight); one pass is an epoch.
    y : array (N,), (N, 1) or (N, K)
        Targets, if x is an array.
    batch_size : int, default 32
        Only for arrays, because a loader or an iterable has its own.  The same holds for `shuffle` and `seed`.
    epochs : int
        The number of the last epoch; see `initial_epoch`.
    verbose : "auto", 0, 1 or 2
        0 is silent, 1 shows a progress bar, 2 prints a line per epoch; "auto" is 1 on a terminal and 2 elsewhere.
    callbacks : sequence of Callback, optional
    validation_split : float in [0, 1)
        Validate on this share of the arrays, the last samples before shuffling.
    validation_data : (x, y), (x, y, sample_weight), loader or iterable, optional
        Data to evaluate after each epoch.
    shuffle : bool, default True
        Use a new order each epoch.  With False, arrays that are sorted by class are trained on in that order.
    class_weight : dict from class number to weight, one number per class, or "balanced", optional
        The loss of each sample is multiplied by the weight of its class.  A class that is not in the dictionary has
        weight 1.
    sample_weight : array (N,), optional
    initial_epoch : int, optional
        The number of the first epoch: ``epochs=10, initial_epoch=5`` trains five epochs.
    steps_per_epoch : int, optional
        End an epoch after this many batches; the next one starts where it ended.
    validation_steps : int, optional
        Validate on only this many batches.
    validation_freq : int or sequence of int
        n validates every n epochs; a sequence lists the epochs, counted from 1.
    seed : int, default 0
        Seed of the order of arrays.

    Returns
    -------
    History

    Raises
    ------
    ArgumentError, ShapeError
        If an argument cannot work.
    NonFiniteError
        If a loss or a gradient is NaN or infinite.  The error names the epoch, the batch and its samples, and the
        weights are those before that batch.
    StateError
        If the model is not compiled, or another thread is training it.

    Notes
    -----
    The order of an epoch, its augmentation and its mixup depend only on (seed, number of epochs since `compile`).  So a
    second call of `fit` continues with new orders, as if both were one long call.  `initial_epoch` sets that number:
    ``initial_epoch=0`` repeats the orders of the first call.

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
        # If the model is not built, a built copy is checked, so that a refused call leaves the model as it was.
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
    """The loss and each metric over all samples, by name.  The model does not change.

    Keras returns a list.  Here ``loss, accuracy = model.evaluate(x, y).values()`` unpacks the numbers; without
    ``.values()`` it unpacks the names.

    Parameters
    ----------
    model : Sequential
        A compiled and built model.
    x, y, batch_size, sample_weight : as in `fit`
    steps : int, optional
        Evaluate only this many batches.
    verbose : 0, 1, 2 or "auto"
        1 shows a progress bar, 2 prints a line at the end.

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
        A built model.
    x : array (N, ...), loader or iterable
        An iterable yields batches x, or tuples whose first item is x.
    batch_size : int, default 32
        The number of samples computed at once.  It changes the predictions only by rounding errors.
    steps : int, optional
        Predict only this many batches.
    verbose : as in `evaluate`

    Returns
    -------
    array (N, ...)

    Raises
    ------
    ArgumentError, ShapeError
        If x is not a dataset, is empty, or has another shape than the model was built for.
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
        say(progress.steps_line(len(outputs), time.perf_counter() - start, {}))
    return np.concatenate(outputs)


# --------------------------------------------------------------------------------------- the loop
def _train(run):
    """Run all epochs, between `on_train_begin` and `on_train_end`."""
    model, begun = run.model, []
    model.history = run.history  # set now, so that it is available after an interruption
    model.stop_training = False
    try:
        for callback in run.callbacks:
            callback.run = run
            callback.set_model(model)
            callback.set_params(run.history.params)
            call_hook(callback, "on_train_begin", {})  # a checkpoint resumes the run here
            begun.append(callback)
        # A run that is resumed in the epoch in which stop_training was set still finishes that epoch.
        while run.epoch < run.epochs and (run.batch or not model.stop_training):
            _train_epoch(run)
    finally:
        with ExitStack() as ending:  # calls each callback's hook, also if one of them fails
            for callback in reversed(begun):
                ending.callback(call_hook, callback, "on_train_end", {})
    return run.history


def _train_epoch(run):
    """Train on the remaining batches of the epoch, validate, and print its line."""
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
        say(progress.epoch_line(epoch, run.epochs, steps, seconds, logs))
    run.end_epoch()
    with finishing():  # so that Ctrl-C does not separate a saved model from its row in the log
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
    """One training step; its errors name the batch."""
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
    """The same error with its batch and, if the input is not finite, with the samples that cause it."""
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
        say(progress.steps_line(count, time.perf_counter() - start, logs))
    return logs


def _each_batch(batches, steps, verbose, title, function: Callable) -> int:
    """Call the function with each batch, or with the first `steps`; returns the number of batches.

    This is a plain loop and not a generator, so that an error ends the prefetch thread and frees the batches.
    """
    count, total = 0, batches.steps if steps is None else steps
    with progress.bar(verbose, title, total) as bar:
        for batch in islice(batches.unshuffled(), steps):
            function(*batch)
            count += 1
            bar.update()
    if count < (1 if steps is None else steps):
        raise ArgumentError(title, f"{steps or 'at least 1'} batches", str(count), "Give fewer steps.")
    return count
