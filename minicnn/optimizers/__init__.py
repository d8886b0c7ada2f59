"""Optimizers: they update the weights from their gradients.

`base.py` has the step with all its checks; read it first.  The optimizers are in `sgd.py`, `adam.py` and `rmsprop.py`;
the loops of SGD and Adam are kernels (`sgd_step` and `adam_step` of kernels/reference.py).  Formulas and defaults are
Keras's.  Learning rates that change during training are in schedules.py.  Called by `Sequential.train_step`.
"""

from .adam import Adam, AdamW
from .base import Optimizer
from .finding import BY_NAME, find_optimizer
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = ["BY_NAME", "SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "find_optimizer"]
