"""Exponential moving average (EMA) of the weights: it lies nearer the middle of the valley than any single step.

A callback.  Training continues with its own weights; the averages replace them when an epoch has been trained, so
that validation, `ModelCheckpoint` and whatever else runs at the end of an epoch see them, and the weights come back
when the next epoch begins.  After training the model keeps the averages.  Called by loop.py.
"""

import numpy as np

from ..errors import check_number
from .callbacks import Callback
from .callbacks.base import is_count, is_flag, is_weights


class MovingAverage(Callback):
    """average = d average + (1 - d) weight after every step, with d = min(decay, (1 + t) / (10 + t)) at step t.

    The smaller d of the first steps lets the average forget where it began.  Numbers that a layer keeps beside its
    weights, such as the moving statistics of BatchNormalization, are averaged like weights.

    Parameters
    ----------
    decay : float in [0, 1)
        0.999 looks back over some 1000 steps; it should be a small part of the run.

    Attributes
    ----------
    steps : int
        How many were averaged.
    shadow : list of arrays
        The averages, or while these are in the model the weights that training continues with.
    swapped : bool
        Whether the averages are in the model.

    Notes
    -----
    It is called before callbacks that save or restore weights, wherever it stands in the list.

    References
    ----------
    Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging"; Tarvainen and Valpola 2017,
    "Mean Teachers are Better Role Models".

    Examples
    --------
    >>> import minicnn as mc
    >>> model = mc.Sequential([mc.Dense(1)]).build((1,))
    >>> model.compile("sgd", "mean_squared_error")
    >>> history = model.fit([[1.0]], [[2.0]], epochs=5, callbacks=[MovingAverage(0.9)], verbose=0)
    """

    priority = -10
    state_attributes = {"steps": is_count, "shadow": is_weights, "swapped": is_flag}

    def __init__(self, decay: float = 0.999):
        self.decay = check_number(decay, "MovingAverage decay", 0, below=1)
        self.steps, self.swapped = 0, False
        self.shadow: list[np.ndarray] = []

    def get_config(self) -> dict:
        return super().get_config() | {"decay": self.decay}

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.steps, self.swapped, self.shadow = 0, False, self.model.get_weights()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.swap(False)

    def on_batch_end(self, batch: int, logs: dict | None = None) -> None:
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        for average, parameter in zip(self.shadow, self.model.parameters, strict=True):
            average += (1 - decay) * (parameter.value - average)

    def on_test_begin(self, logs: dict | None = None) -> None:
        self.swap(True)

    def on_train_end(self, logs: dict | None = None) -> None:
        self.swap(True)

    def swap(self, averages: bool) -> None:
        """Let the model have the averages, or the weights that training continues with."""
        if averages == self.swapped:
            return
        for shadow, parameter in zip(self.shadow, self.model.parameters, strict=True):
            shadow[...], parameter.value[...] = parameter.value.copy(), shadow.copy()
        self.swapped = averages


ExponentialMovingAverage = MovingAverage
