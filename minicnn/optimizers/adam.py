"""Adam and AdamW: steps by the mean gradient over its root mean square."""

import math
from collections.abc import Sequence
from types import ModuleType

import numpy as np

from ..errors import check_number
from .base import Optimizer, Rate
from .checks import at_least_tiny, fraction, names_of


class Adam(Optimizer):
    """Adaptive moments: each weight moves by its mean gradient over its root mean square gradient.

    m += (1 - beta_1) (g - m);  v += (1 - beta_2) (g^2 - v)
    w -= lr sqrt(1 - beta_2^t) / (1 - beta_1^t)  m / (sqrt(v) + epsilon)

    Parameters
    ----------
    learning_rate : float or schedule
    beta_1, beta_2 : float in [0, 1)
    epsilon : float
        The paper's "epsilon hat", added after the bias correction has moved into the rate.
    global_clipnorm : float, optional

    References
    ----------
    Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", section 2, last paragraph.

    Examples
    --------
    >>> from minicnn.layers import Parameter
    >>> w = Parameter("w", (1,), np.array([1.0]))
    >>> w.grad = np.array([2.0])
    >>> Adam(0.1).step([w])
    >>> w.value.round(6)
    array([0.9])
    """

    moments = ("m", "v")
    squares = ("v",)
    checks = Optimizer.checks | {"beta_1": fraction, "beta_2": fraction, "epsilon": at_least_tiny}

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        global_clipnorm: float | None = None,
    ):
        super().__init__(learning_rate, global_clipnorm)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def update(
        self,
        name: str,
        value: np.ndarray,
        grad: np.ndarray,
        rate: float,
        kernels: ModuleType,
        *moments: np.ndarray,
    ) -> None:
        t = self.iterations + 1
        corrected = rate * math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        decay = rate * self.shrink(name, value)
        kernels.adam_step(value, grad, *moments, corrected, self.beta_1, self.beta_2, self.epsilon, decay)

    def _may_overflow(self, largest, rate, limit):
        forgets = self.beta_2 < self.beta_1**2  # v may be 0 while m is not
        return forgets or super()._may_overflow(largest, rate, limit)

    def shrink(self, name: str, value: np.ndarray) -> float:
        """The share of a weight by which it shrinks in a step, before the rate: none."""
        return 0.0


class AdamW(Adam):
    """Adam, with weights that also shrink:  w -= lr weight_decay w, before Adam's step.

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon, global_clipnorm : as in `Adam`
    weight_decay : float, at least 0
    exclude_from_weight_decay : str or sequence of str
        Parameters whose name contains one of these do not shrink either, for example ("dense_2",).

    Notes
    -----
    Only parameters of two axes or more shrink: the weights of convolutions and dense layers.  Biases, and the scales
    and shifts of BatchNormalization, have one axis and do not: decaying them limits what the layer can express without
    regularizing it.  Keras's AdamW lets all shrink that are not excluded by name.

    References
    ----------
    Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2.

    Examples
    --------
    >>> from minicnn.layers import Parameter
    >>> w = Parameter("w", (1, 1), np.array([[1.0]]))
    >>> w.grad = np.array([[0.0]])
    >>> AdamW(0.1, weight_decay=0.5).step([w])
    >>> w.value
    array([[0.95]])
    """

    checks = Adam.checks | {
        "weight_decay": lambda value, where: check_number(value, where, 0),
        "exclude_from_weight_decay": names_of,
    }

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        global_clipnorm: float | None = None,
        exclude_from_weight_decay: str | Sequence[str] = (),
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, global_clipnorm)
        self.weight_decay = weight_decay
        self.exclude_from_weight_decay = exclude_from_weight_decay

    def shrink(self, name: str, value: np.ndarray) -> float:
        """`weight_decay`; 0 for a parameter of one axis, or one that is excluded."""
        excluded = any(part in name for part in self.exclude_from_weight_decay)
        return self.weight_decay if value.ndim > 1 and not excluded else 0.0

    def _may_overflow(self, largest, rate, limit):
        return rate * self.weight_decay > 1 or super()._may_overflow(largest, rate, limit)
