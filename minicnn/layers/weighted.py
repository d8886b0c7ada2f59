"""What Dense and the convolutions share: a weighted sum, a bias and an activation that may be missing, a regularizer.

Not a layer by itself.  Read `dense.py` next, the smallest of its subclasses.
"""

from typing import Any

import numpy as np

from ..errors import check_bool
from ..regularizers import find_regularizer
from .activations import find_activation
from .base import Generator, Layer
from .cache import Cache


class WeightedSum(Layer):
    """The base of layers that compute y = activation(weighted sum of x + bias).

    A subclass defines `weighted_sum` and, in build, the parameter `weight`.
    """

    bias = None

    def __init__(self, activation: Any, use_bias: bool, kernel_regularizer: Any):
        super().__init__()
        where = type(self).__name__
        self.activation = find_activation(activation, where)
        self.use_bias = check_bool(use_bias, f"{where} use_bias")
        self.kernel_regularizer = find_regularizer(kernel_regularizer)

    def make_bias(self, size: int, rng: Generator | None, dtype: Any) -> None:
        """Create the bias, if there is one."""
        if self.use_bias:
            self.bias = self.parameter("bias", (size,), "zeros", rng, dtype)

    @property
    def bias_value(self) -> np.ndarray | None:
        """The bias as kernels take it."""
        return None if self.bias is None else self.bias.value

    def weighted_sum(self, x: np.ndarray) -> np.ndarray:
        """z, the output before the activation."""
        raise NotImplementedError

    def activate(self, z: np.ndarray, training: bool) -> tuple[np.ndarray, Cache | None]:
        """y = activation(z) and the activation's cache; z itself where there is no activation."""
        return (z, None) if self.activation is None else self.activation.forward(z, training)

    def activate_backward(self, dy: np.ndarray, cache: Cache | None) -> np.ndarray:
        """dz from dy."""
        return dy if self.activation is None else self.activation.backward(dy, cache)

    def trace(self, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        if self.activation is None:
            return super().trace(x)
        z = self.weighted_sum(x)
        y = self.activation(z)
        return y, {"linear": z, "": y}

    def trace_backward(self, dy: np.ndarray, cache: Cache) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        dx, gradients = super().trace_backward(dy, cache)
        if self.activation is not None:
            of_activation = cache[3][-1]
            gradients = {"linear": self.activation.backward(dy, of_activation)} | gradients
        return dx, gradients
