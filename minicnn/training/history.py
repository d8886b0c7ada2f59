"""The numbers that training reports: `Totals` collects one epoch, `History` keeps all epochs.

Called by loop.py; `Sequential.fit` returns the History.  The metrics are in metrics.py; how numbers are printed is in
progress.py.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


class History:
    """The numbers of every epoch of one call of `fit`.

    Attributes
    ----------
    history : dict of lists
        "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", ...: one number per epoch.  With
        `validation_freq` above 1, the "val_..." lists have one number per validated epoch.
    epoch : list of int
        The number of each epoch, from `initial_epoch` on.
    seconds : list of float
        The duration of each epoch, including validation.
    params : dict
        "epochs", "steps" (batches per epoch, None if unknown) and "verbose", as in Keras.
    """

    def __init__(self, params: dict | None = None):
        self.history: dict[str, list] = {}
        self.epoch: list[int] = []
        self.seconds: list[float] = []
        self.params = params or {}

    def add(self, epoch: int, logs: dict, seconds: float) -> None:
        """Append an epoch."""
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)
        self.epoch.append(epoch)
        self.seconds.append(seconds)

    @property
    def state(self) -> dict:
        """The part of a checkpoint that belongs to the history; settable."""
        return {"history": self.history, "epoch": self.epoch, "seconds": self.seconds}

    @state.setter
    def state(self, state: dict) -> None:
        self.history, self.epoch, self.seconds = state["history"], state["epoch"], state["seconds"]

    def plot(self, path: str | Path | None = None) -> Any:
        """Draw loss and accuracy over epochs.

        Parameters
        ----------
        path : str or Path, optional
            Write the image to this file.

        Returns
        -------
        matplotlib.figure.Figure
            A notebook displays it.
        """
        from ..reporting import plots  # here, because importing matplotlib is slow

        return plots.curves(path, self.history)

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={float(values[-1]):.4g}" for name, values in self.history.items())
        return f"History({len(self.epoch)} epochs{': ' if last else ''}{last})"


class Totals:
    """The totals of one pass over a dataset: the loss, weighted by samples, and the predictions for the metrics.

    Metrics are computed on all predictions at once, never averaged over batches.  Without metrics, no predictions are
    kept.

    Parameters
    ----------
    metrics : dict from name to function of (target, prediction)
    """

    def __init__(self, metrics: dict[str, Callable]):
        self.metrics = metrics
        self.loss, self.samples = 0.0, 0
        self.targets: list[np.ndarray] = []
        self.predictions: list[np.ndarray] = []

    def add(self, loss: float, target: ArrayLike, prediction: np.ndarray) -> None:
        """Add a batch: its mean loss, its targets and predictions."""
        self.loss += loss * len(prediction)
        self.samples += len(prediction)
        if self.metrics:
            self.targets.append(np.asarray(target))
            self.predictions.append(prediction)

    @property
    def mean_loss(self) -> float:
        """The loss per sample so far."""
        return self.loss / self.samples

    def logs(self) -> dict:
        """The loss and each metric, by name, as Python numbers."""
        logs = {"loss": float(self.mean_loss)}
        if self.metrics:
            target, prediction = np.concatenate(self.targets), np.concatenate(self.predictions)
            logs |= {name: metric(target, prediction) for name, metric in self.metrics.items()}
        return logs

    @property
    def state(self) -> dict:
        """The part of a checkpoint that belongs to these totals; settable."""
        return {name: getattr(self, name) for name in ("loss", "samples", "targets", "predictions")}

    @state.setter
    def state(self, state: dict) -> None:
        self.loss, self.samples = state["loss"], state["samples"]
        self.targets, self.predictions = list(state["targets"]), list(state["predictions"])
