"""SGD: stochastic gradient descent, with or without momentum.

Checks, clipping and state are in base.py: read it first.  The loop is `sgd_step` of the kernel sets.
"""

from types import ModuleType

import numpy as np

from ..errors import check_bool
from .base import Optimizer, Rate
from .checks import fraction


class SGD(Optimizer):
    """Stochastic gradient descent:  v = momentum v - lr g;  w += v, or with Nesterov w += momentum v - lr g.

    Parameters
    ----------
    learning_rate : float or schedule
    momentum : float in [0, 1)
    nesterov : bool
        Whether to use Nesterov momentum.
    global_clipnorm : float, optional
        As in `Optimizer`.

    References
    ----------
    Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning", section 2.

    Examples
    --------
    >>> from minicnn.layers import Parameter
    >>> w = Parameter("w", (1,), np.array([1.0]))
    >>> w.grad = np.array([2.0])
    >>> SGD(0.1).step([w])
    >>> w.value
    array([0.8])
    """

    moments = ("velocity",)
    checks = Optimizer.checks | {"momentum": fraction, "nesterov": check_bool}

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        global_clipnorm: float | None = None,
    ):
        super().__init__(learning_rate, global_clipnorm)
        self.momentum = momentum
        self.nesterov = nesterov

    def update(
        self,
        name: str,
        value: np.ndarray,
        grad: np.ndarray,
        rate: float,
        kernels: ModuleType,
        *moments: np.ndarray,
    ) -> None:
        kernels.sgd_step(value, grad, *moments, rate, self.momentum, self.nesterov)
