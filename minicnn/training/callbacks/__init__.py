"""What happens between batches and epochs: stop early, keep the best, lower the rate, write a log.

`base.py` says what a callback is; read it first.  Those that follow one number are in `monitoring.py`.  Names, defaults
and rules are Keras's, except that EarlyStopping restores the best weights whenever it was asked to, not only when it
was the one that stopped.  Called by training/loop.py.  The callback that saves a whole run is in
training/checkpoints.py, the one that averages weights in training/averaging.py.
"""

from .base import Callback, LambdaCallback, LearningRateScheduler
from .csv_logger import CSVLogger
from .monitoring import EarlyStopping, ModelCheckpoint, Monitor, MonitorCallback, ReduceLROnPlateau

__all__ = [
    "CSVLogger", "Callback", "EarlyStopping", "LambdaCallback", "LearningRateScheduler", "ModelCheckpoint", "Monitor",
    "MonitorCallback", "ReduceLROnPlateau",
]  # fmt: skip
