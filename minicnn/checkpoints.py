"""Runs that survive: all that training needs to go on, in a file, so that a killed run loses a minute at most.

A checkpoint is taken between two batches.  It is a tree of dictionaries, lists, numbers and arrays: the `state` of
the model (weights, the optimiser's moments, the layers' generators) and of each callback, and where the run stands
(training.py).  So the callback that averages weights (averaging.py) is in it without a line here.  The order of the
samples, their augmentation and mixup need no place: they follow from the seed and the epoch.

`Checkpoint` is the callback for `fit`; how a file is made to survive a kill is in files.py, its format in
serialization.py.
"""

import json
import re
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from . import serialization
from .callbacks import Callback
from .errors import ArgumentError, ModelFileError
from .metrics import Proportion

ARRAY, PROPORTION = "an array", "a proportion"  # the keys that stand for these in JSON


class Checkpoint(Callback):
    """Save the whole run again and again, and go on from what was saved: bit by bit as if it had never ended.

    Parameters
    ----------
    path : str or Path
        Of the newest checkpoint; the one before it is kept beside it as ``NAME-previous.SUFFIX``.
    seconds : float, at least 0
        A checkpoint is written after the first batch that ends so many seconds after the one before, after the first
        epoch and at the end of training.  0 writes one after every batch.
    resume : bool
        Go on from the newest checkpoint that is whole; without one, begin at the beginning.

    Attributes
    ----------
    resumed : (epoch, batch) or None
        Where the last `fit` went on, both counted from 0; None if it began at the beginning.
    saved : bool
        Whether the file is of this run; until its first checkpoint it may be of another.

    Raises
    ------
    ArgumentError
        For seconds below 0; in `fit`, if the checkpoint is of a run with other settings; more epochs are allowed
        where the learning rate does not follow from their number.
    ModelFileError
        In `fit`, if there are checkpoints and none is whole.
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

    last = True  # so that what the other callbacks did with a batch or an epoch is in it
    resumed: tuple[int, int] | None = None
    saved = False

    def __init__(self, path: str | Path, seconds: float = 60.0, resume: bool = False):
        if not seconds >= 0:
            raise ArgumentError("Checkpoint seconds", "a number of at least 0", repr(seconds), "Give 60.")
        self.path, self.seconds, self.resume = Path(path), seconds, resume
        self.previous = self.path.with_stem(f"{self.path.stem}-previous")

    def on_train_begin(self) -> None:
        self.settings = settings(self.run)
        self.resumed, state = None, self._read() if self.resume else None
        if state is not None:
            self._check(state)
            self._restore(state)
            self.resumed = self.run.epoch, self.run.batch
        self.within, self.saved = state if self.run.batch else None, state is not None
        if self.resume and self.run.verbose:
            place = f"{self.run.epoch} epochs and {self.run.batch} of {len(self.run.batches)} batches"
            found = "No checkpoint yet" if state is None else f"Resumed after {place}"
            print(f"{found} ({self.path})", flush=True)
        self.written = time.monotonic()

    def on_epoch_begin(self, epoch: int) -> None:
        if self.within is not None:  # the epoch had begun before: what callbacks have just set anew is undone
            self._restore(self.within)
            self.within = None

    def on_batch_end(self, batch: int, logs: dict) -> None:
        if time.monotonic() - self.written >= self.seconds:
            self.write()

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        ended = self.run.epoch == self.run.epochs or self.model.stop_training
        if ended or not self.saved or time.monotonic() - self.written >= self.seconds:
            self.write()

    def write(self) -> None:
        """Save the run as it stands; the checkpoint before takes the other name, if it is of the same run."""
        state = {"settings": self.settings} | _state(self.run)
        write(self.path, state, self.previous if self.saved else None)
        if not self.saved:
            self.previous.unlink(missing_ok=True)
        self.saved, self.written = True, time.monotonic()

    def _read(self):
        """The newest state that is whole, or None where there is no file."""
        faults = []
        for path in (self.path, self.previous):
            if path.exists():
                try:
                    state = read(path)
                except ModelFileError as error:
                    faults.append(str(error))
                    continue
                if path == self.previous:
                    fault = faults[0] if faults else f"{self.path}: not there."
                    tqdm.write(f"minicnn: {fault} Going on from the one before, {path}", file=sys.stderr)
                    path.replace(self.path)  # or the next write would put the damaged one in its place
                return state
        if faults:
            raise _unusable(self.path, " and ".join(faults))
        return None

    def _restore(self, state):
        try:
            _restore(self.run, state)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise _unusable(self.path, f"another ({error})") from error

    def _check(self, state):
        ours, theirs = self.settings, state.get("settings", {})
        changed = [
            f"{name} {ours.get(name)} in place of {theirs.get(name)}"
            for name in ours | theirs
            if ours.get(name) != theirs.get(name)
        ]
        if changed:
            raise ArgumentError(
                str(self.path),
                "the settings that its run was begun with",
                "; ".join(changed),
                "Give the same, or begin anew without resuming.",
            )


def settings(run: Any) -> dict:
    """What must not change when a run is resumed, in words."""
    model, validation = run.model, None if run.validation is None else run.validation.fingerprint
    return {
        "layers": ", ".join(map(repr, model.layers)),
        "input_shape": str(model.input_shape),
        "dtype": str(model.dtype),
        "kernels": model.kernels_name,
        "optimizer": _words(model.optimizer),
        "learning_rate": _without_address(model.optimizer.schedule or model.optimizer.learning_rate),
        "loss": _words(model.loss),
        "metrics": ", ".join(model.metrics),
        "class_weight": str(run.class_weight),
        "callbacks": ", ".join(map(_without_address, run.callbacks)),
        "validation": str(validation),
    } | {name: str(value) for name, value in run.batches.settings.items()}


def write(path: Path, state: dict, previous: Path | None = None) -> None:
    """Write a tree to a file.

    Parameters
    ----------
    path : Path
    state : dict
        Of dictionaries, lists, strings, numbers and arrays.
    previous : Path, optional
        Where the file goes that was at `path`.
    """
    tensors: dict[str, np.ndarray] = {}
    tree = _pack(state, "", tensors)
    serialization.write(path, tensors, {"checkpoint": tree, "checksum": _checksum(tree, tensors)}, previous)


def read(path: Path) -> dict:
    """Read what `write` wrote.

    Raises
    ------
    ModelFileError
        If one bit of it has changed, or it is no checkpoint.
    """
    tensors, description = serialization.read(path, serialization.NUMBERS)
    tree = description.get("checkpoint")
    if not isinstance(tree, dict):
        raise _unusable(path, "a file of something else")
    if description.get("checksum") != _checksum(tree, tensors):
        raise _unusable(path, "a damaged one")
    return _unpack(tree, tensors)


def _unusable(path, received):
    repair = "Begin anew without resuming."
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


def _words(thing):
    """A class with those of its settings that are plain values; how far it has come is no setting."""
    plain = {
        name: value
        for name, value in vars(thing).items()
        if name not in ("steps", "schedule", "_rate")
        and isinstance(value, (bool, int, float, str, tuple, type(None)))
    }
    return f"{type(thing).__name__}({', '.join(f'{name}={value!r}' for name, value in plain.items())})"


def _without_address(thing):
    """In words that are the same in another process, where a function lies elsewhere."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(thing))


# ------------------------------------------------------------------------------- a tree as JSON
def _pack(value, name, tensors):
    """The tree as JSON can hold it; arrays go to `tensors`, each by its path in the tree."""
    if isinstance(value, np.ndarray) and value.ndim:
        tensors[name] = value
        return {ARRAY: name}
    if isinstance(value, (np.ndarray, np.generic)):
        return value.item()
    if isinstance(value, Proportion):
        return {PROPORTION: [value.hits, value.count]}
    if isinstance(value, dict):
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


def _checksum(tree, tensors):
    """Of all bits: safetensors itself notices a file that is cut short, but not a number that has changed."""
    checksum = zlib.crc32(json.dumps(tree, sort_keys=True).encode())
    for name in sorted(tensors):
        checksum = zlib.crc32(np.ascontiguousarray(tensors[name]), zlib.crc32(name.encode(), checksum))
    return checksum
