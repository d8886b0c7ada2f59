"""RMSprop: a step is the gradient divided by its root mean square.

Checks, clipping and state are in base.py: read it first.  There is no kernel for it; `update` is written in NumPy.
"""

from types import ModuleType

import numpy as np

from ..errors import check_bool
from .base import Optimizer, Rate
from .checks import at_least_tiny, fraction


class RMSprop(Optimizer):
    """Each weight changes by its gradient divided by the root of the moving average of the squared gradient.

    v = rho v + (1 - rho) g^2;  w -= lr g / sqrt(v + epsilon)

    With momentum:  b = momentum b + lr g / sqrt(v + epsilon);  w -= b
    When centered, v - a^2 replaces v in these equations, with a = rho a + (1 - rho) g.

    Parameters
    ----------
    learning_rate : float or schedule
    rho, momentum : float in [0, 1)
    epsilon : float
        Number added under the root, as in Keras; PyTorch adds it to the root.
    centered : bool
        Whether to divide by the standard deviation of the gradient instead of its root mean square.
    global_clipnorm : float, optional
        As in `Optimizer`.

    References
    ----------
    Tieleman and Hinton 2012, "Lecture 6.5: RMSprop", COURSERA: Neural Networks for Machine Learning.

    Examples
    --------
    >>> from minicnn.layers import Parameter
    >>> w = Parameter("w", (1,), np.array([10.0]))
    >>> w.grad = np.array([10.0])
    >>> RMSprop(0.1).step([w])
    >>> w.value.round(6)
    array([9.683772])
    """

    squares = ("v",)
    checks = Optimizer.checks | {
        "rho": fraction, "momentum": fraction, "epsilon": at_least_tiny, "centered": check_bool,
    }  # fmt: skip

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        global_clipnorm: float | None = None,
    ):
        super().__init__(learning_rate, global_clipnorm)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    @property
    def moments(self) -> tuple[str, ...]:  # type: ignore[override]
        """The names of the moments: "v", also "a" if centered, also "b" with momentum."""
        return ("v",) + ("a",) * self.centered + ("b",) * (self.momentum > 0)

    def update(
        self,
        name: str,
        value: np.ndarray,
        grad: np.ndarray,
        rate: float,
        kernels: ModuleType,
        *moments: np.ndarray,
    ) -> None:
        found = dict(zip(self.moments, moments, strict=True))
        with np.errstate(under="ignore"):
            v = found["v"]
            v *= self.rho
            v += (1 - self.rho) * (grad * grad)
            square = v
            if self.centered:
                a = found["a"]
                a *= self.rho
                a += (1 - self.rho) * grad
                square = np.maximum(v - a * a, 0)  # rounding can make v - a^2 negative
            move = rate * grad / np.sqrt(square + self.epsilon)
            if self.momentum > 0:
                found["b"] *= self.momentum
                found["b"] += move
                move = found["b"]
            value -= move
