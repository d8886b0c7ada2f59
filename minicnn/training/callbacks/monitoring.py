"""Callbacks that follow one number of the logs: EarlyStopping, ModelCheckpoint and ReduceLROnPlateau.

`Monitor` decides whether the number improves; the three classes act on it.  A whole run, which can be resumed, is saved
in training/checkpoints.py.  Called by training/loop.py, like all callbacks (base.py).
"""

import math
import string
from pathlib import Path
from typing import Any

from ...errors import ArgumentError, check_bool, check_int, check_number, check_word
from ...runtime.printing import say
from ...saving import files
from .base import (
    Callback,
    is_count,
    is_count_or_none,
    is_number,
    is_weights_or_none,
    need_fixed_rate,
)  # fmt: skip

# The library's own numbers: those to maximize, and those to minimize.
RISING = {"accuracy", "acc", "auc", "precision", "recall", "f1_score", "top_5_accuracy"}
FALLING = {"loss", "log_loss", "mean_squared_error", "mse", "mean_absolute_error", "mae", "learning_rate"}


class Monitor:
    """Follow one number and say when it improves.

    Parameters
    ----------
    name : str
        A name in the logs, for example ``"val_loss"``.
    min_delta : float
        The number must improve by more than this.
    mode : "auto", "min" or "max"
        "auto" knows the loss and the library's own metrics; a metric of your own needs "min" or "max".
    baseline : float, optional
        The value that the first improvement must exceed (or, for "min", be below).

    Raises
    ------
    ArgumentError
        For another mode, or for "auto" if the number is not known.

    Notes
    -----
    NaN is never an improvement.

    Examples
    --------
    >>> monitor = Monitor("val_loss")
    >>> [monitor.improves({"val_loss": loss}) for loss in (0.7, 0.6, 0.65)], monitor.best
    ([True, True, False], 0.6)
    """

    def __init__(self, name: str, min_delta: float = 0.0, mode: str = "auto", baseline: float | None = None):
        check_word(mode, "mode", ("auto", "min", "max"))
        if not isinstance(name, str) or not name:
            raise ArgumentError("monitor", 'the name of a number, such as "val_loss"', repr(name))
        known = name.removeprefix("val_")
        if mode == "auto" and known not in RISING | FALLING:
            raise ArgumentError(
                f"monitor {name}", 'mode="min" or mode="max"', 'mode="auto"',
                "Say whether less or more of it is better.",
            )  # fmt: skip
        self.name = name
        self.min_delta = abs(check_number(min_delta, "min_delta"))
        self.sign = 1 if mode == "max" or (mode == "auto" and known in RISING) else -1
        self.best = -self.sign * math.inf if baseline is None else check_number(baseline, "baseline")

    def improves(self, logs: dict) -> bool:
        """Whether this epoch is the best so far; if so, update `best`."""
        if self.name not in logs:
            raise ArgumentError(
                "monitor", "one of " + ", ".join(logs), repr(self.name),
                "Give validation_data or another metric, or monitor one of these.",
            )  # fmt: skip
        better = self.is_better(logs[self.name], self.best)
        if better:
            self.best = logs[self.name]
        return better

    def is_better(self, value: float, reference: float) -> bool:
        """Whether a value is better than another by more than `min_delta`."""
        return bool(self.sign * value - self.min_delta > self.sign * reference)


class MonitorCallback(Callback):
    """The base class of callbacks that follow one number.  Each `fit` starts again from the beginning."""

    state_attributes = {"best": is_number}

    def __init__(
        self, monitor: str, min_delta: float, mode: str, verbose: int, baseline: float | None = None
    ):
        self._settings = monitor, min_delta, mode, baseline
        self.monitor = Monitor(*self._settings)
        self.verbose = check_int(verbose, f"{type(self).__name__} verbose", least=0)

    def check(self, run: Any) -> None:
        super().check(run)
        if self.monitor.name not in run.log_names:
            raise ArgumentError(
                f"{type(self).__name__} monitor", "one of " + ", ".join(run.log_names), repr(self.monitor.name),
                "Give validation_data or another metric, or monitor one of these.",
            )  # fmt: skip

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.monitor = Monitor(*self._settings)

    def has_number(self, logs: dict | None) -> bool:
        """Whether the epoch has the number and it is not NaN; with validation_freq, some epochs lack it."""
        return logs is not None and self.monitor.name in logs and not math.isnan(logs[self.monitor.name])

    def say(self, text: str) -> None:
        """Print a line, if `verbose`."""
        if self.verbose:
            say(text)

    @property
    def best(self) -> float:
        """The best value of the number so far."""
        return self.monitor.best

    @best.setter
    def best(self, best: float) -> None:
        self.monitor.best = best

    def get_config(self) -> dict:
        monitor, min_delta, mode, baseline = self._settings
        return super().get_config() | {
            "monitor": monitor, "min_delta": min_delta, "mode": mode, "baseline": baseline,
        }  # fmt: skip


class EarlyStopping(MonitorCallback):
    """Stop when the monitored number has not improved for `patience` epochs.

    Parameters
    ----------
    monitor, min_delta, mode : as in `Monitor`
    patience : int
        0 stops at the first epoch without an improvement.
    restore_best_weights : bool
        Restore the weights of the best epoch at the end, however training ended.
    start_from_epoch : int
        Epochs before this one are ignored.
    verbose : 0 or 1
        1 prints when training was stopped and which weights were restored.
    baseline : float, optional
        Also stop if the number has not become better than this within `patience` epochs.  The best epoch is restored
        even if it is not better than the baseline.

    Attributes
    ----------
    best_epoch, stopped_epoch : int or None

    Notes
    -----
    An epoch whose number is NaN does not use up patience and is never the best.  In Keras, a NaN in the first epoch
    becomes the best value, which no later epoch can improve: training stops after `patience` epochs and restores the
    weights of that first epoch.
    """

    state_attributes = {
        "best": is_number, "wait": is_count, "best_epoch": is_count_or_none, "stopped_epoch": is_count_or_none,
        "best_weights": is_weights_or_none,
    }  # fmt: skip

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ):
        super().__init__(monitor, min_delta, mode, verbose)
        self.baseline = None if baseline is None else check_number(baseline, "EarlyStopping baseline")
        self.patience = check_int(patience, "EarlyStopping patience", least=0)
        self.restore_best_weights = check_bool(restore_best_weights, "EarlyStopping restore_best_weights")
        self.start_from_epoch = check_int(start_from_epoch, "EarlyStopping start_from_epoch", least=0)
        self.wait = 0
        self.best_epoch: Any = None
        self.stopped_epoch: int | None = None
        self.best_weights: list | None = None

    def get_config(self) -> dict:
        return super().get_config() | {
            "patience": self.patience, "restore_best_weights": self.restore_best_weights,
            "start_from_epoch": self.start_from_epoch, "baseline": self.baseline,
        }  # fmt: skip

    def on_train_begin(self, logs: dict | None = None) -> None:
        super().on_train_begin()
        self.wait, self.best_epoch, self.stopped_epoch, self.best_weights = 0, None, None, None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch < self.start_from_epoch or not self.has_number(logs):
            return
        self.wait += 1
        if self.monitor.improves(logs):
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.monitor.is_better(self.best, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True
            self.say(
                f"Epoch {epoch + 1}: stopped, {self.monitor.name} has not improved for {self.wait} epochs"
            )

    def on_train_end(self, logs: dict | None = None) -> None:
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)
            self.say(f"Restored the weights of epoch {self.best_epoch + 1}")


class ModelCheckpoint(MonitorCallback):
    """Save the model after each epoch, or after each epoch that is the best so far.

    Parameters
    ----------
    filepath : str or Path
        It may have fields such as ``{epoch:02d}`` (counted from 1) and ``{val_loss:.2f}``.
    monitor, mode : as in `Monitor`
        Used only with `save_best_only`.
    save_best_only : bool
        Save only the best epoch of all `fit` calls with this object; a worse epoch never replaces the file.
    verbose : 0 or 1
        1 prints when a file was saved.
    save_weights_only : bool
    save_freq : "epoch" or int
        n saves after every n batches; the only number known then is the batch's loss.
    initial_value_threshold : float, optional
        Save only if the number is better than this.

    Attributes
    ----------
    saved_epoch : int or None
        The last epoch that was saved, from 0.
    """

    state_attributes = {"best": is_number, "saved_epoch": is_count_or_none, "batches": is_count}

    def __init__(
        self,
        filepath: str | Path,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ):
        self.path = str(files.to_path(filepath, "ModelCheckpoint filepath"))
        if not isinstance(save_freq, str) or save_freq != "epoch":
            save_freq = check_int(save_freq, 'ModelCheckpoint save_freq, if not "epoch"')
        self.save_freq, self.batches = save_freq, 0
        self.save_best_only = check_bool(save_best_only, "ModelCheckpoint save_best_only")
        self.save_weights_only = check_bool(save_weights_only, "ModelCheckpoint save_weights_only")
        check_word(mode, "mode", ("auto", "min", "max"))
        mode = mode if self.save_best_only or mode != "auto" else "min"  # nothing is compared
        super().__init__(monitor, 0.0, mode, verbose, initial_value_threshold)
        self.saved_epoch: int | None = None

    def check(self, run: Any) -> None:
        names = run.log_names if self.save_freq == "epoch" else ["loss"]
        if self.save_best_only:
            super().check(run)
            if self.monitor.name not in names:
                expected = "the loss, the only number after a batch"
                raise ArgumentError("ModelCheckpoint monitor", expected, repr(self.monitor.name))
        else:
            Callback.check(self, run)
        files.check_target(Path(self._format(1, dict.fromkeys(names, 0.5))))
        if not self.save_weights_only:
            for layer in run.model.layers:
                _ = layer.config  # raises for a layer that could not be loaded again

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.saved_epoch, self.batches = None, 0  # `best` stays

    def on_batch_end(self, batch: int, logs: dict | None = None) -> None:
        super().on_batch_end(batch, logs)
        if isinstance(self.save_freq, int):
            self.batches += 1
            if self.batches % self.save_freq == 0:
                self._save(self.run.epoch, logs, batch=batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, logs)

    def _save(self, epoch, logs, **place):
        if self.save_best_only and not (self.has_number(logs) and self.monitor.improves(logs)):
            return
        path = self._format(epoch + 1, place | logs)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        self.saved_epoch = epoch
        self.say(f"Epoch {epoch + 1}: saved {path}")

    def get_config(self) -> dict:
        return super().get_config() | {"save_best_only": self.save_best_only}

    def _format(self, epoch, logs):
        """The path with its fields filled in; a number that the epoch lacks becomes nan."""
        values = {"epoch": epoch} | ({"batch": 1} if self.save_freq != "epoch" else {}) | logs
        try:
            fields = [
                field.split(".")[0].split("[")[0]
                for _, field, _, _ in string.Formatter().parse(self.path)
                if field
            ]
            missing = {field: math.nan for field in fields if self.run and field in self.run.log_names}
            return self.path.format(**(missing | values))
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise ArgumentError(
                "ModelCheckpoint filepath",
                "fields among " + ", ".join(values),
                self.path,
                "Rename the field.",
            ) from error


class ReduceLROnPlateau(MonitorCallback):
    """Multiply the learning rate by `factor` when the monitored number has not improved for `patience` epochs.

    Parameters
    ----------
    monitor, min_delta, mode : as in `Monitor`
    factor : float in (0, 1)
    patience : int
        Epochs without improvement before the rate falls.
    cooldown : int
        The number of epochs after a reduction in which epochs without improvement are not counted.
    min_lr : float
        The lowest rate.
    verbose : 0 or 1
        1 prints when the rate is reduced.
    """

    state_attributes = {"best": is_number, "wait": is_count, "resting": is_count}

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ):
        super().__init__(monitor, min_delta, mode, verbose)
        self.factor = check_number(factor, "ReduceLROnPlateau factor", above=0, below=1)
        self.patience = check_int(patience, "ReduceLROnPlateau patience", least=0)
        self.cooldown = check_int(cooldown, "ReduceLROnPlateau cooldown", least=0)
        self.min_lr = check_number(min_lr, "ReduceLROnPlateau min_lr", least=0)
        self.wait = self.resting = 0

    def check(self, run: Any) -> None:
        super().check(run)
        need_fixed_rate(type(self).__name__, run)

    def get_config(self) -> dict:
        return super().get_config() | {
            "factor": self.factor, "patience": self.patience, "cooldown": self.cooldown, "min_lr": self.min_lr,
        }  # fmt: skip

    def on_train_begin(self, logs: dict | None = None) -> None:
        super().on_train_begin()
        self.wait = self.resting = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.resting > 0:
            self.resting -= 1
            self.wait = 0
        if not self.has_number(logs):
            return
        if self.monitor.improves(logs):
            self.wait = 0
        elif self.resting == 0:
            self.wait += 1
            optimizer = self.model.optimizer
            lower = max(optimizer.learning_rate * self.factor, self.min_lr)
            if (
                self.wait >= self.patience and 0 < lower < optimizer.learning_rate
            ):  # a tiny rate underflows to 0
                optimizer.learning_rate = lower
                self.resting, self.wait = self.cooldown, 0
                self.say(f"Epoch {epoch + 1}: learning rate lowered to {optimizer.learning_rate:.4g}")
