"""Optimizers: how weights follow their gradients.

`base.py` has the step and all its checks; read it first.  The equations are in `sgd.py`, `adam.py` and `rmsprop.py`;
what they do to each number is in the kernel sets (`sgd_step` and `adam_step` of kernels/reference.py).  Formulas and
defaults are Keras's.  Rates that change from step to step are in schedules.py.  Called by `Sequential.train_step`.
"""

from .adam import Adam, AdamW
from .base import Optimizer
from .finding import BY_NAME, find_optimizer
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = ["BY_NAME", "SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "find_optimizer"]
