"""A moving average of the weights: it lies nearer the middle of the valley than any single step, and judges better.

A callback.  Training goes on with its own weights; the averages take their place when an epoch has been trained, so
that validation, `ModelCheckpoint` and whoever else comes at the end of an epoch see them, and give it back when the
next begins.  After training the model keeps the averages.  Give it before callbacks that save or restore weights.
Called by `training.py`.
"""

from .callbacks import Callback
from .errors import ArgumentError


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
    held : list of arrays
        The averages, or while these are in the model the weights that training goes on with.
    exchanged : bool
        Whether the averages are in the model.

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

    remembers = ("steps", "held", "exchanged")

    def __init__(self, decay: float = 0.999):
        if not isinstance(decay, int | float) or not 0 <= decay < 1:
            raise ArgumentError(
                "MovingAverage decay", "a number in [0, 1)", repr(decay), "Give for example 0.999."
            )
        self.decay = float(decay)

    def __repr__(self) -> str:
        return f"MovingAverage({self.decay})"

    def on_train_begin(self) -> None:
        self.steps, self.exchanged, self.held = 0, False, self.model.get_weights()

    def on_epoch_begin(self, epoch: int) -> None:
        self.show(False)

    def on_batch_end(self, batch: int, logs: dict) -> None:
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        for average, parameter in zip(self.held, self.model.parameters, strict=True):
            average += (1 - decay) * (parameter.value - average)

    def on_test_begin(self) -> None:
        self.show(True)

    def on_train_end(self) -> None:
        self.show(True)

    def show(self, averages: bool) -> None:
        """Let the model have the averages, or the weights that training goes on with."""
        if averages == self.exchanged:
            return
        for held, parameter in zip(self.held, self.model.parameters, strict=True):
            # In place, for a layer sees by the array whether somebody has given it other statistics.
            held[...], parameter.value[...] = parameter.value.copy(), held.copy()
        self.exchanged = averages
