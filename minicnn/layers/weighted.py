"""WeightedSum: the base class of Dense and the convolutions, with bias, activation and regularizer, all optional.

It is not a layer by itself: subclasses define the weighted sum.  Read `dense.py`, the smallest subclass, with it.
"""

from typing import Any

import numpy as np

from ..errors import check_bool
from ..regularizers import find_regularizer
from .activations import find_activation
from .base import Generator, Layer
from .cache import Cache, make_cache, open_cache
from .parameter import Parameter


class WeightedSum(Layer):
    """The base class of layers that compute z = weighted sum of x + bias;  y = activation(z).

    A subclass defines `weighted_sum` and its gradients, `weighted_sum_backward`.  Its `build` creates the parameter
    `weight`, whose last axis but one must have the size of the last axis of x.
    """

    axes: int  # number of axes of a batch x
    weight: Parameter  # made by `build`
    bias: Parameter | None = None

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
        """The value of the bias; None without one."""
        return None if self.bias is None else self.bias.value

    def weighted_sum(self, x: np.ndarray) -> np.ndarray:
        """z, the output before the activation."""
        raise NotImplementedError

    def weighted_sum_backward(
        self, dz: np.ndarray, x: np.ndarray, need_dx: bool, need_dweight: bool
    ) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
        """dx, dweight and dbias from dz."""
        raise NotImplementedError

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        self.need_weights()
        x = self.as_input(x, self.axes, self.weight.shape[-2])
        y, of_activation = self.activate(self.weighted_sum(x), training)
        return y, make_cache(self, y, x, of_activation)

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray | None:
        dy, x, of_activation = open_cache(self, dy, cache)
        dz = self.activate_backward(dy, of_activation)
        dx, dweight, dbias = self.weighted_sum_backward(dz, x, need_dx, need_dweight and self.learns)
        self.write(self.weight, dweight)
        self.write(self.bias, dbias)
        return dx

    def activate(self, z: np.ndarray, training: bool) -> tuple[np.ndarray, Cache | None]:
        """y = activation(z) and the cache of the activation; z and None if there is no activation."""
        return (z, None) if self.activation is None else self.activation.forward(z, training)

    def activate_backward(self, dy: np.ndarray, cache: Any) -> Any:
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
            gradients = {"linear": self.activate_backward(dy, cache[3][-1])} | gradients
        return dx, gradients
