"""What happens between epochs: stop early, keep the best, lower the rate, write a log.

A callback is called by `training.py` with `logs`, the epoch's numbers by name ("loss", "val_accuracy",
...).  Write your own by subclassing `Callback`; set `self.model.stop_training = True` to end training.
Names, defaults and rules are Keras's, save that EarlyStopping restores the best weights whenever it was
asked to, not only when it was the one that stopped.  The callback that saves a whole run is in checkpoints.py.
"""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from . import files
from .errors import ArgumentError


class Callback:
    """The base: every method does nothing.  `self.model` and `self.run` are set when training begins.

    Attributes
    ----------
    run : Run
        Where training stands (training.py).
    last : bool
        Whether it is called after all callbacks that are not.
    remembers : tuple of str
        The attributes, set by `on_train_begin`, that a run needs to go on as if it had not been broken off:
        numbers, strings, arrays, and lists and dictionaries (keys: strings) of these.

    Examples
    --------
    >>> class PrintLoss(Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         print(epoch, logs["loss"])
    >>> PrintLoss().on_epoch_end(0, {"loss": 0.5})
    0 0.5
    """

    model: Any = None
    run: Any = None
    last = False
    remembers: tuple[str, ...] = ()

    @property
    def state(self) -> dict:
        """What a checkpoint holds of this callback; when training is resumed it is set after `on_train_begin`."""
        return {name: getattr(self, name) for name in self.remembers}

    @state.setter
    def state(self, state: dict) -> None:
        for name in self.remembers:
            setattr(self, name, state[name])

    def __repr__(self) -> str:
        """The name, with what the course of training depends on: a run is only resumed with the same callbacks."""
        return type(self).__name__

    def on_train_begin(self) -> None:
        """Before the first epoch, or before training is resumed."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Before an epoch; the first is 0.  Called again, before `state` is set, when training is resumed in it."""

    def on_batch_end(self, batch: int, logs: dict) -> None:
        """After a training step."""

    def on_test_begin(self) -> None:
        """After an epoch's training, before its validation; also where there is none."""

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        """After an epoch and its validation."""

    def on_train_end(self) -> None:
        """After the last epoch, also when Ctrl-C or an error ended training."""


class Monitor:
    """Follow one number and say when it improves.

    Parameters
    ----------
    name : str
        A name of the logs, for example ``"val_loss"``.
    min_delta : float
        Changes up to this do not count.
    mode : "auto", "min" or "max"
        "auto" takes the largest accuracy, AUC, precision, recall or F1, and the least of anything else.

    Examples
    --------
    >>> monitor = Monitor("val_loss")
    >>> [monitor.improves({"val_loss": loss}) for loss in (0.7, 0.6, 0.65)], monitor.best
    ([True, True, False], 0.6)
    """

    def __init__(self, name: str, min_delta: float = 0.0, mode: str = "auto"):
        if mode not in ("auto", "min", "max"):
            raise ArgumentError("mode", '"auto", "min" or "max"', repr(mode), "Choose one of these.")
        self.name, self.min_delta = name, abs(min_delta)
        rises = any(part in name for part in ("acc", "auc", "precision", "recall", "f1"))
        self.sign = 1 if mode == "max" or mode == "auto" and rises else -1
        self.best = -self.sign * np.inf

    def improves(self, logs: dict) -> bool:
        """Whether this epoch is the best so far; if so it is remembered."""
        if self.name not in logs:
            raise ArgumentError(
                "monitor",
                "one of " + ", ".join(logs),
                repr(self.name),
                "Give validation_data or another metric, or monitor one of these.",
            )
        better = self.sign * (logs[self.name] - self.best) > self.min_delta
        if better:
            self.best = logs[self.name]
        return bool(better)


class Monitoring(Callback):
    """The base of those that follow one number."""

    settings: tuple = ()
    remembers = ("best",)

    def __repr__(self) -> str:
        """With all that decides on the course of training; where something is saved does not."""
        hidden = ("model", "run", "monitor", "path", *self.remembers)
        chosen = (f"{name}={value!r}" for name, value in vars(self).items() if name not in hidden)
        return f"{type(self).__name__}({', '.join(chosen)})"

    def on_train_begin(self) -> None:
        self.monitor = Monitor(*self.settings)

    @property
    def best(self) -> float:
        """The best that the monitored number has been."""
        return self.monitor.best

    @best.setter
    def best(self, best: float) -> None:
        self.monitor.best = best


class EarlyStopping(Monitoring):
    """Stop when the monitored number has not improved for `patience` epochs.

    Parameters
    ----------
    monitor, min_delta, mode : as in `Monitor`
    patience : int
        0 stops at the first epoch that is no improvement.
    restore_best_weights : bool
        Put the best epoch's weights back at the end, however training ended.
    start_from_epoch : int
        Epochs before this one are not judged.

    Attributes
    ----------
    best_epoch, stopped_epoch : int or None
    """

    remembers = ("best", "wait", "best_epoch", "stopped_epoch", "best_weights")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        mode: str = "auto",
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ):
        self.settings = (monitor, min_delta, mode)
        self.patience, self.restore_best_weights, self.start_from_epoch = (
            patience,
            restore_best_weights,
            start_from_epoch,
        )

    def on_train_begin(self) -> None:
        super().on_train_begin()
        self.wait, self.best_epoch, self.stopped_epoch, self.best_weights = 0, None, None, None

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        if epoch < self.start_from_epoch:
            return
        if self.monitor.improves(logs):
            self.wait, self.best_epoch = 0, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            return
        self.wait += 1
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self) -> None:
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(Monitoring):
    """Save the model after each epoch, or after each that is the best so far.

    Parameters
    ----------
    path : str or Path
        May hold fields such as ``{epoch:02d}`` (from 1) and ``{val_loss:.2f}``.
    monitor, mode : as in `Monitor`; only used by `save_best_only`
    save_best_only : bool

    Attributes
    ----------
    saved_epoch : int or None
        The last epoch that was saved, from 0.
    """

    saved_epoch: int | None = None
    remembers = ("best", "saved_epoch")

    def __init__(
        self,
        path: str | Path,
        monitor: str = "val_loss",
        save_best_only: bool = False,
        mode: str = "auto",
    ):
        self.path, self.settings, self.save_best_only = str(path), (monitor, 0.0, mode), save_best_only

    def on_train_begin(self) -> None:
        super().on_train_begin()
        self.saved_epoch = None

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        if not self.save_best_only or self.monitor.improves(logs):
            try:
                path = self.path.format(epoch=epoch + 1, **logs)
            except (KeyError, IndexError, ValueError) as error:
                raise ArgumentError(
                    "ModelCheckpoint path",
                    "fields among epoch, " + ", ".join(logs),
                    self.path,
                    "Rename the field.",
                ) from error
            self.model.save(path)
            self.saved_epoch = epoch


class ReduceLROnPlateau(Monitoring):
    """Multiply the learning rate by `factor` when the monitored number has stood still.

    Parameters
    ----------
    monitor, min_delta, mode : as in `Monitor`
    factor : float in (0, 1)
    patience : int
        Epochs without improvement before the rate falls.
    cooldown : int
        Epochs after a fall in which nothing is counted.
    min_lr : float
        The rate never falls below this.
    """

    remembers = ("best", "wait", "resting")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        mode: str = "auto",
    ):
        if not 0 < factor < 1:
            raise ArgumentError(
                "ReduceLROnPlateau factor", "a number in (0, 1)", repr(factor), "Give for example 0.1."
            )
        self.settings, self.factor, self.patience = (monitor, min_delta, mode), factor, patience
        self.cooldown, self.min_lr = cooldown, min_lr

    def on_train_begin(self) -> None:
        super().on_train_begin()
        if self.model.optimizer.schedule is not None:
            raise ArgumentError(
                "ReduceLROnPlateau", "an optimiser with a fixed rate", "a schedule", "Choose one of the two."
            )
        self.wait = self.resting = 0

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        if self.resting > 0:
            self.resting -= 1
            self.wait = 0
        if self.monitor.improves(logs):
            self.wait = 0
        elif self.resting == 0:
            self.wait += 1
            optimizer = self.model.optimizer
            if self.wait >= self.patience and optimizer.learning_rate > self.min_lr:
                optimizer.learning_rate = max(optimizer.learning_rate * self.factor, self.min_lr)
                self.resting, self.wait = self.cooldown, 0


class CSVLogger(Callback):
    """Write one row an epoch; the file on the disk has at every moment all epochs that have ended, and no torn row.

    A run that is resumed goes on with the rows of its checkpoint, and has the later ones again.

    Parameters
    ----------
    path : str or Path
        Overwritten when the first epoch ends.
    """

    remembers = ("rows",)

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def on_train_begin(self) -> None:
        self.rows: list[dict] = []

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        self.rows.append({"epoch": epoch} | {name: repr(float(value)) for name, value in logs.items()})
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.rows[0])
        writer.writeheader()
        writer.writerows(self.rows)
        files.replace(self.path, text.getvalue().encode())
