"""RMSprop: steps by the gradient over its root mean square."""

from types import ModuleType

import numpy as np

from ..errors import check_bool
from .base import Optimizer, Rate
from .checks import at_least_tiny, fraction


class RMSprop(Optimizer):
    """Each weight moves by its gradient over the root of a moving average of the gradient's square.

    v = rho v + (1 - rho) g^2;  w -= lr g / sqrt(v + epsilon)

    With momentum, b = momentum b + lr g / sqrt(v + epsilon) is what w moves by.  When centered, v - a^2 stands in the
    place of v, where a = rho a + (1 - rho) g.

    Parameters
    ----------
    learning_rate : float or schedule
    rho, momentum : float in [0, 1)
    epsilon : float
        Added under the root, as in Keras; PyTorch adds it to the root.
    centered : bool
    global_clipnorm : float, optional

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
        """ "v", "a" if centered, "b" with momentum."""
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
                square = np.maximum(v - a * a, 0)  # which rounding can take below 0
            move = rate * grad / np.sqrt(square + self.epsilon)
            if self.momentum > 0:
                found["b"] *= self.momentum
                found["b"] += move
                move = found["b"]
            value -= move
