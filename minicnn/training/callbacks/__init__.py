"""Callbacks: code that runs between batches and epochs, such as early stopping, saving models, and logging.

    base.py         the class Callback, and two callbacks that call functions     <- read first
    monitoring.py   EarlyStopping, ModelCheckpoint and ReduceLROnPlateau, which follow one number
    csv_logger.py   CSVLogger
    calling.py      how loop.py calls a hook

Names, defaults and rules are those of Keras, with one exception: if EarlyStopping has restore_best_weights, it restores
the best weights however training ended.  Elsewhere: saving a whole run (training/checkpoints.py), averaging weights
(training/ema.py) and progressive resizing (training/progressive_resizing.py).  Called by training/loop.py.
"""

from .base import Callback, LambdaCallback, LearningRateScheduler
from .csv_logger import CSVLogger
from .monitoring import EarlyStopping, ModelCheckpoint, Monitor, MonitorCallback, ReduceLROnPlateau

__all__ = [
    "CSVLogger", "Callback", "EarlyStopping", "LambdaCallback", "LearningRateScheduler", "ModelCheckpoint", "Monitor",
    "MonitorCallback", "ReduceLROnPlateau",
]  # fmt: skip
