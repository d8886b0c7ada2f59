"""Checkpoints: save everything that a run needs to resume, so that a killed run loses at most a minute of work.

A checkpoint is written between two batches.  It is a tree of dictionaries, lists, numbers and arrays: the `state` of
the model (weights, the optimizer's moments, the layers' random generators), of each callback and of the run (loop.py).
The order of the samples, augmentation and mixup are not saved, because they depend only on the seed and the epoch.

`Checkpoint` is the callback for `fit`.  The file is written atomically (saving/files.py) in the format of
saving/serialization.py; checkpoint_schema.py checks it when a run is resumed.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArgumentError, MinicnnError, ModelFileError, check_bool, check_int, check_number
from ..losses import describe_loss
from ..metrics import Proportion
from ..runtime.printing import say, warn
from ..saving import files, serialization
from .callbacks import Callback
from .checkpoint_schema import check_state

ARRAY, PROPORTION = "an array", "a proportion"  # the keys that represent these in JSON


class Checkpoint(Callback):
    """Save the whole run at intervals, and resume it: the result is bit-identical to an uninterrupted run.

    Parameters
    ----------
    path : str or Path
        The path of the newest checkpoint.  The one before it is kept next to it as ``NAME-previous.SUFFIX``.
    seconds : float, at least 0
        The time between two checkpoints.  One is also written after the first epoch and at the end of training.  0
        writes one after every batch.
    resume : bool
        Resume from the newest undamaged checkpoint; if there is no checkpoint, start from the beginning.

    Attributes
    ----------
    resumed : (epoch, batch) or None
        Where the last `fit` resumed, both counted from 0; None if it started from the beginning.
    saved : bool
        Whether the file belongs to this run.  Before its first checkpoint, it may belong to an earlier one.

    Raises
    ------
    ArgumentError
        For seconds below 0; in `fit`, if the checkpoint belongs to a run with other settings.  The number of epochs may
        be increased if the learning rate does not depend on it.  If no epoch is left, a line on standard error says so.
    ModelFileError
        In `fit`, if there are checkpoints but all are damaged.
    DiskFullError
        In `fit`, if there is no room for a checkpoint; the one before is kept.

    Examples
    --------
    >>> import tempfile
    >>> from minicnn import Dense, Sequential
    >>> def train(epochs):
    ...     model = Sequential([Dense(1)]).build((2,))
    ...     model.compile("adam", "mean_squared_error")
    ...     checkpoint = Checkpoint(Path(folder, "checkpoint.safetensors"), resume=True)
    ...     history = model.fit(np.eye(2), np.eye(2)[:1].T, epochs=epochs, callbacks=[checkpoint], verbose=0)
    ...     return history.history["loss"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     train(epochs=2) == train(epochs=3)[:2]  # the second run only adds an epoch
    True
    """

    priority = 100  # called last, so that the checkpoint includes the work of the other callbacks
    resumed: tuple[int, int] | None = None
    saved = False

    def __init__(self, path: str | Path, seconds: float = 60.0, resume: bool = False):
        self.path = files.to_path(path, "Checkpoint path")
        self.seconds = check_number(seconds, "Checkpoint seconds", least=0)
        self.resume = check_bool(resume, "Checkpoint resume")
        self.previous = self.path.with_stem(f"{self.path.stem}-previous")

    def check(self, run: Any) -> None:
        super().check(run)
        for path in (self.path, self.previous):
            files.check_target(path)

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.settings = settings(self.run)
        _pack(
            {"callbacks": [callback.state for callback in self.run.callbacks]}, "", {}
        )  # refuses what cannot be saved
        self.resumed, state = None, self._read() if self.resume else None
        if state is not None:
            self._check(state)
            self._restore(state)
            self.resumed = self.run.epoch, self.run.batch
            if self.run.epoch >= self.run.epochs and not self.run.batch:
                done = f"all {self.run.epoch} epochs of this run are done, so nothing is trained"
                warn(f"{self.path}: {done}. Give more epochs, or another path for a new run.")
        self.within, self.saved = state if self.run.batch else None, state is not None
        if self.resume and self.run.verbose:
            place = f"{self.run.epoch} epochs and {self.run.batch} batches"
            found = "No checkpoint yet" if state is None else f"Resumed after {place}"
            say(f"{found} ({self.path})")
        self.written = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        if self.within is not None:  # the epoch is resumed, so undo what callbacks did at its beginning
            self._restore(self.within)
            self.within = None

    def on_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if time.monotonic() - self.written >= self.seconds:
            self.write()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        ended = self.run.epoch == self.run.epochs or self.model.stop_training
        if ended or not self.saved or time.monotonic() - self.written >= self.seconds:
            self.write()

    def write(self) -> None:
        """Write a checkpoint now.  The one before is kept under its other name if it belongs to the same run."""
        state = {"settings": self.settings} | _state(self.run)
        write(self.path, state, self.previous if self.saved else None)
        if not self.saved:
            self.previous.unlink(missing_ok=True)
        self.saved, self.written = True, time.monotonic()

    def _read(self):
        """The state of the newest undamaged checkpoint, or None if there is no file."""
        faults = []
        for path in (self.path, self.previous):
            if path.exists():
                try:
                    state = read(path)
                except ModelFileError as error:
                    faults.append(error)
                    continue
                if path == self.previous:
                    fault = faults[0] if faults else f"{self.path}: not there."
                    warn(f"{fault} Resuming from the one before, {path}")
                    path.replace(self.path)  # otherwise the next write would replace it by the damaged one
                return state
        if len(faults) == 1:
            raise faults[0]
        if faults:
            raise _unusable(self.path, " and ".join(f"{fault.received} ({fault.where})" for fault in faults))
        return None

    def _restore(self, state):
        """Restore the state of the run from the checkpoint; if that fails, undo it."""
        before = _state(self.run)
        try:
            _restore(self.run, state)
        except Exception as error:  # a fault that `_check` did not find
            _restore(self.run, before)
            raise _unusable(self.path, f"another ({error})") from error

    def _check(self, state):
        ours, theirs = self.settings, state.get("settings")
        if not isinstance(theirs, dict) or not all(isinstance(value, str) for value in theirs.values()):
            raise _unusable(self.path, "another (its settings)")
        optimizer = self.model.optimizer
        if optimizer.schedule is None and theirs.get("learning_rate") == str(optimizer.bound_rate):
            theirs = theirs | {
                "learning_rate": ours["learning_rate"]
            }  # a callback has changed it since `compile`
        changed = [
            f"{name} {ours.get(name)} in place of {theirs.get(name)}"
            for name in ours | theirs
            if ours.get(name) != theirs.get(name)
        ]
        if changed:
            raise ArgumentError(
                str(self.path),
                "the settings of the run that wrote it",
                "; ".join(changed),
                "Give the same, or start again without resuming.",
            )
        try:
            check_state(state, self.run)
        except MinicnnError as error:
            raise _unusable(self.path, f"another ({error})") from error


class BackupAndRestore(Checkpoint):
    """Keras's name for `Checkpoint(path, resume=True)`.

    Parameters
    ----------
    backup_dir : str or Path
        The folder of the checkpoint, which is ``checkpoint.safetensors``.
    save_freq : "epoch" or int
        "epoch" writes after each epoch; n writes after every n batches and after each epoch.
    delete_checkpoint : bool
        Delete the checkpoint when training is complete.
    """

    def __init__(
        self, backup_dir: str | Path, save_freq: str | int = "epoch", delete_checkpoint: bool = True
    ):
        folder = files.to_path(backup_dir, "BackupAndRestore backup_dir")
        super().__init__(folder / "checkpoint.safetensors", resume=True)
        if save_freq != "epoch":
            save_freq = check_int(save_freq, 'BackupAndRestore save_freq, if not "epoch"')
        self.save_freq = save_freq
        self.delete_checkpoint = check_bool(delete_checkpoint, "BackupAndRestore delete_checkpoint")

    def on_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if isinstance(self.save_freq, int) and (batch + 1) % self.save_freq == 0:
            self.write()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.write()

    def on_train_end(self, logs: dict | None = None) -> None:
        complete = self.run.batch == 0 and (self.run.epoch >= self.run.epochs or self.model.stop_training)
        if complete and self.delete_checkpoint:
            self.path.unlink(missing_ok=True)
            self.previous.unlink(missing_ok=True)


def settings(run: Any) -> dict:
    """The settings that must be the same when a run is resumed, as text."""
    model, validation = run.model, None if run.validation is None else run.validation.fingerprint
    optimizer, learning_rate = _describe_optimizer(model.optimizer)
    return {
        "layers": ", ".join(map(repr, model.layers)),
        "input_shape": str(model.input_shape),
        "dtype": str(model.dtype),
        "kernels": model.kernels_name,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "loss": _describe_loss(model.loss),
        "metrics": ", ".join(model.metrics),
        "class_weight": str(run.class_weight),
        "callbacks": ", ".join(
            _text(callback.get_config()) for callback in run.callbacks if not _saves(callback)
        ),
        "validation": str(validation),
    } | {name: str(value) for name, value in run.settings.items()}


def _describe_optimizer(optimizer):
    """The optimizer's settings without the learning rate, then the rate or schedule, as text."""
    try:
        config = optimizer.get_config()
    except MinicnnError:  # a function as schedule
        fixed = type(optimizer).__name__
        return (
            fixed,
            f"function {getattr(optimizer.schedule, '__qualname__', type(optimizer.schedule).__name__)}",
        )
    rate = config.pop("learning_rate", None)
    return _text(config), _text(rate) if isinstance(rate, dict) else str(rate)


def _describe_loss(loss):
    try:
        return _text(describe_loss(loss))
    except MinicnnError:
        return type(loss).__name__


def _text(config):
    """A dictionary of settings, written as a call: Adam(beta_1=0.9)."""
    settings = [f"{name}={value!r}" for name, value in config.items() if name not in ("class", "config")]
    settings += [f"{name}={value!r}" for name, value in config.get("config", {}).items()]
    return f"{config['class']}({', '.join(settings)})"


def _saves(callback):
    """Whether the callback is a checkpoint; its settings do not change the result."""
    return isinstance(callback, Checkpoint)


def write(path: Path, state: dict, previous: Path | None = None) -> None:
    """Write a tree to a file.

    Parameters
    ----------
    path : Path
    state : dict
        Dictionaries, lists, strings, numbers and arrays.
    previous : Path, optional
        The new path of the file that was at `path`.
    """
    tensors: dict[str, np.ndarray] = {}
    tree = _pack(state, "", tensors)
    serialization.write(path, tensors, {"checkpoint": tree}, previous)


def read(path: Path) -> dict:
    """Read what `write` wrote.

    Raises
    ------
    ModelFileError
        If the file is damaged, or is not a checkpoint.
    """
    tensors, description = serialization.read(path, serialization.NUMBERS)
    if description.keys() != {"checkpoint"}:
        raise _unusable(path, "a file of something else, or of an older version")
    try:
        return _unpack(description["checkpoint"], tensors)
    except (LookupError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise _unusable(path, f"another ({type(error).__name__}: {error})") from error


def _unusable(path, received):
    repair = "Start again without resuming."
    return ModelFileError(str(path), "a checkpoint that this version wrote", received, repair)


# ------------------------------------------------------------------------------- a run as a tree
def _state(run):
    return run.model.state | {
        "run": run.state,
        "stop_training": run.model.stop_training,
        "callbacks": [callback.state for callback in run.callbacks],
    }


def _restore(run, state):
    run.model.state = state
    for callback, remembered in zip(run.callbacks, state["callbacks"], strict=True):
        callback.state = remembered
    run.model.stop_training = state["stop_training"]
    run.state = state["run"]


# ------------------------------------------------------------------------------- a tree as JSON
def _pack(value, name, tensors):
    """The tree as JSON can hold it.  Arrays are moved to `tensors`, each under its path in the tree."""
    if isinstance(value, np.ndarray) and value.ndim:
        tensors[name] = value
        return {ARRAY: name}
    if isinstance(value, (np.ndarray, np.generic)):
        return value.item()
    if isinstance(value, Proportion):
        return {PROPORTION: [value.hits, value.count]}
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value) or value.keys() in ({ARRAY}, {PROPORTION}):
            raise ArgumentError(f"checkpoint{name}", "dictionaries whose keys are strings", repr(value)[:80])
        return {str(key): _pack(part, f"{name}/{key}", tensors) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_pack(part, f"{name}/{number}", tensors) for number, part in enumerate(value)]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ArgumentError(
        f"checkpoint{name}", "numbers, strings, arrays, and lists and dictionaries of these", repr(value)
    )


def _unpack(value, tensors):
    if isinstance(value, list):
        return [_unpack(part, tensors) for part in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {ARRAY}:
        return tensors[value[ARRAY]]
    if value.keys() == {PROPORTION}:
        return Proportion(*value[PROPORTION])
    return {key: _unpack(part, tensors) for key, part in value.items()}
