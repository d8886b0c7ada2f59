"""Adam and AdamW: a step is the mean gradient divided by the root mean square gradient.

Checks, clipping and state are in base.py: read it first.  The loop is `adam_step` of the kernel sets.
"""

import math
from collections.abc import Sequence
from types import ModuleType

import numpy as np

from ..errors import check_number
from .base import Optimizer, Rate
from .checks import at_least_tiny, fraction, names_of


class Adam(Optimizer):
    """Adaptive moments: each weight changes by its mean gradient divided by its root mean square gradient.

    m += (1 - beta_1) (g - m);  v += (1 - beta_2) (g^2 - v)
    w -= lr sqrt(1 - beta_2^t) / (1 - beta_1^t)  m / (sqrt(v) + epsilon)

    Parameters
    ----------
    learning_rate : float or schedule
    beta_1, beta_2 : float in [0, 1)
        Decay rates of the moments m and v.
    epsilon : float
        The paper's "epsilon hat": it is added to sqrt(v), and the bias correction is part of the rate.
    global_clipnorm : float, optional
        As in `Optimizer`.

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
        decay = rate * self.weight_decay_for(name, value)
        kernels.adam_step(value, grad, *moments, corrected, self.beta_1, self.beta_2, self.epsilon, decay)

    def _may_overflow(self, largest, rate, limit):
        v_decays_faster = self.beta_2 < self.beta_1**2  # then v may be 0 while m is not
        return v_decays_faster or super()._may_overflow(largest, rate, limit)

    def weight_decay_for(self, name: str, value: np.ndarray) -> float:
        """The weight decay of a parameter: 0 in Adam."""
        return 0.0


class AdamW(Adam):
    """Adam with weight decay:  w -= lr weight_decay w, before Adam's step.

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon, global_clipnorm : as in `Adam`
    weight_decay : float, at least 0
        Strength of the decay: in each step, a weight loses the fraction learning_rate * weight_decay.
    exclude_from_weight_decay : str or sequence of str
        Parts of names, for example ("dense_2",); parameters whose names contain one of them do not decay.

    Notes
    -----
    Only parameters with two or more axes decay: the weights of convolutions and dense layers.  Biases, and gamma and
    beta of BatchNormalization, have one axis and do not decay: decaying them limits what the layer can express without
    regularizing it.  In Keras's AdamW, all parameters decay that are not excluded by name.

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

    def weight_decay_for(self, name: str, value: np.ndarray) -> float:
        """`weight_decay`, or 0 for a parameter that has one axis or is excluded."""
        excluded = any(part in name for part in self.exclude_from_weight_decay)
        return self.weight_decay if value.ndim > 1 and not excluded else 0.0

    def _may_overflow(self, largest, rate, limit):
        return rate * self.weight_decay > 1 or super()._may_overflow(largest, rate, limit)
