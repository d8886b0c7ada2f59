"""Exponential moving average (EMA) of the weights, a callback; the average is less noisy than any single iteration.

Training continues with the original weights.  At the end of each epoch the averages replace them, so validation,
`ModelCheckpoint` and other callbacks use the averages.  The original weights come back when the next epoch begins.
After training the model keeps the averages.  Called by loop.py, like all callbacks (callbacks/base.py).
"""

import numpy as np

from ..errors import check_number
from .callbacks import Callback
from .callbacks.base import is_count, is_flag, is_weights


class ExponentialMovingAverage(Callback):
    """average = d average + (1 - d) weight after each iteration t, with d = min(decay, (1 + t) / (10 + t)).

    d is smaller in the first iterations, so that the average soon forgets the initial weights.  The moving statistics
    of BatchNormalization are averaged like weights.

    Parameters
    ----------
    decay : float in [0, 1)
        0.999 averages over about 1000 iterations, which should be a small part of the run.

    Attributes
    ----------
    steps : int
        The number of iterations averaged so far.
    shadow : list of arrays
        The averages; while the model has the averages, the weights that training continues with.
    swapped : bool
        Whether the model has the averages.

    Notes
    -----
    It is called before callbacks that save or restore weights, at any place in the list.

    References
    ----------
    Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging"; Tarvainen and Valpola 2017,
    "Mean Teachers are Better Role Models".

    Examples
    --------
    >>> import minicnn as mc
    >>> model = mc.Sequential([mc.Dense(1)]).build((1,))
    >>> model.compile("sgd", "mean_squared_error")
    >>> history = model.fit([[1.0]], [[2.0]], epochs=5, callbacks=[ExponentialMovingAverage(0.9)], verbose=0)
    """

    priority = -10
    state_attributes = {"steps": is_count, "shadow": is_weights, "swapped": is_flag}

    def __init__(self, decay: float = 0.999):
        self.decay = check_number(decay, "ExponentialMovingAverage decay", 0, below=1)
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
        """Give the model the averages (True), or the weights that training continues with (False)."""
        if averages == self.swapped:
            return
        for shadow, parameter in zip(self.shadow, self.model.parameters, strict=True):
            shadow[...], parameter.value[...] = parameter.value.copy(), shadow.copy()
        self.swapped = averages


MovingAverage = ExponentialMovingAverage  # the name of the first version
