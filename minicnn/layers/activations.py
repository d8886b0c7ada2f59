"""Activation layers: ReLU and its relatives, which act on every value, and Softmax, which acts on every row.

Without activations, a network would be one linear function.  ReLU calls its kernels (kernels/), because large arrays
pass through it; the others are written here in NumPy.  `find_activation` turns the names that other layers take
(`Dense(8, "relu")`) into these layers; weighted.py calls it.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError, check_bool, check_number
from ..functions import sigmoid, softmax
from .base import Layer, Shape
from .cache import Cache, make_cache, open_cache


class Elementwise(Layer):
    """The base class of y = f(x) for every value; a subclass defines `function` and `slope`."""

    def function(self, x: np.ndarray) -> np.ndarray:
        """f(x)."""
        raise NotImplementedError

    def slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """f'(x)."""
        raise NotImplementedError

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        x = self.as_input(x)
        with np.errstate(under="ignore"):
            y = self.function(x)
        return y, make_cache(self, y, x, y)

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray:
        dy, x, y = open_cache(self, dy, cache)
        with np.errstate(under="ignore"):
            return dy * self.slope(x, y)


class ReLU(Layer):
    """y = max(x, 0);  dx = dy where y > 0, else 0.

    With the options, x below 0 becomes negative_slope * x, and y is limited to max_value, above which the slope is 0.

    The slope at 0 is 0, as in Keras.  The cache holds y, which costs no memory because the next layer holds it anyway.

    Parameters
    ----------
    max_value : float above 0, optional
        The largest output (default: no limit).  ``ReLU(max_value=6)`` is ReLU6.
    negative_slope : float, at least 0
        The slope for x below 0.

    Raises
    ------
    ArgumentError
        If an option is outside its range.

    Examples
    --------
    >>> ReLU()(np.array([-1.0, 0.0, 2.0])), ReLU(max_value=6)(np.array([-1.0, 7.0]))
    (array([0., 0., 2.]), array([0., 6.]))
    """

    def __init__(self, max_value: float | None = None, negative_slope: float = 0.0):
        super().__init__()
        self.max_value = None if max_value is None else check_number(max_value, "ReLU max_value", above=0)
        self.negative_slope = check_number(negative_slope, "ReLU negative_slope", least=0)

    @property
    def plain(self) -> bool:
        """Whether the layer is exactly max(x, 0)."""
        return self.max_value is None and self.negative_slope == 0

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        x = self.as_input(x)
        if self.plain:
            y = self.kernels.relu_forward(x)
            return y, make_cache(self, y, y)
        y = (
            np.where(x > 0, x, x * np.asarray(self.negative_slope, x.dtype))
            if self.negative_slope
            else x.clip(0)
        )
        if self.max_value is not None:
            y = np.minimum(y, np.asarray(self.max_value, x.dtype))
        return y, make_cache(self, y, x)

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray:
        dy, cached = open_cache(self, dy, cache)
        if self.plain:
            return self.kernels.relu_backward(dy, cached)
        dx = np.where(cached > 0, dy, dy * np.asarray(self.negative_slope, dy.dtype))
        return dx if self.max_value is None else np.where(cached < self.max_value, dx, np.zeros((), dy.dtype))


class LeakyReLU(Elementwise):
    """y = x where x > 0, else negative_slope * x;  dx = dy or negative_slope * dy.

    Parameters
    ----------
    negative_slope : float, at least 0

    Raises
    ------
    ArgumentError
        If the negative slope is below 0.

    Examples
    --------
    >>> LeakyReLU(0.1)(np.array([-1.0, 2.0]))
    array([-0.1,  2. ])
    """

    def __init__(self, negative_slope: float = 0.3):
        super().__init__()
        self.negative_slope = check_number(negative_slope, "LeakyReLU negative_slope", least=0)

    def function(self, x: np.ndarray) -> np.ndarray:
        return np.where(x > 0, x, x * np.asarray(self.negative_slope, x.dtype))

    def slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.where(x > 0, np.ones((), x.dtype), np.asarray(self.negative_slope, x.dtype))


class ELU(Elementwise):
    """y = x where x > 0, else alpha * (exp(x) - 1);  dx = dy or dy * (y + alpha).

    Parameters
    ----------
    alpha : float, at least 0

    References
    ----------
    Clevert et al. 2016, "Fast and Accurate Deep Network Learning by Exponential Linear Units (ELUs)", section 3.

    Examples
    --------
    >>> ELU()(np.array([-1.0, 2.0])).round(3)
    array([-0.632,  2.   ])
    """

    def __init__(self, alpha: float = 1.0):
        super().__init__()
        self.alpha = check_number(alpha, "ELU alpha", least=0)

    def function(self, x: np.ndarray) -> np.ndarray:
        return np.where(x > 0, x, np.asarray(self.alpha, x.dtype) * np.expm1(np.minimum(x, 0)))

    def slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.where(x > 0, np.ones((), x.dtype), y + np.asarray(self.alpha, x.dtype))


class SiLU(Elementwise):
    """y = x * s with s = sigmoid(x), also called swish;  dx = dy * (s + y * (1 - s)).

    References
    ----------
    Ramachandran et al. 2017, "Searching for Activation Functions", section 4.

    Examples
    --------
    >>> SiLU()(np.array([-1.0, 0.0, 2.0])).round(3)
    array([-0.269,  0.   ,  1.762])
    """

    def function(self, x: np.ndarray) -> np.ndarray:
        return x * sigmoid(x)

    def slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        s = sigmoid(x)
        return s + y * (1 - s)


class GELU(Elementwise):
    """y = x * P(x), where P is the normal distribution function and p its density;  dx = dy * (P(x) + x p(x)).

    P(x) = (1 + erf(x / sqrt 2)) / 2.  With `approximate`, P(x) = (1 + tanh u) / 2, u = sqrt(2/pi) (x + 0.044715 x^3).

    Parameters
    ----------
    approximate : bool
        Whether to use the approximation with tanh.

    References
    ----------
    Hendrycks and Gimpel 2016, "Gaussian Error Linear Units (GELUs)", section 2.

    Examples
    --------
    >>> GELU()(np.array([-1.0, 0.0, 2.0])).round(4)
    array([-0.1587,  0.    ,  1.9545])
    """

    def __init__(self, approximate: bool = False):
        super().__init__()
        self.approximate = check_bool(approximate, "GELU approximate")

    def function(self, x: np.ndarray) -> np.ndarray:
        return x * self._distribution(x)

    def slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        if self.approximate:
            P, du = self._distribution(x), math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
            return P + x * 2 * P * (1 - P) * du  # tanh' = 1 - tanh^2 = 4 P (1 - P)
        return self._distribution(x) + x * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)

    def _distribution(self, x):
        if self.approximate:
            return (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
        from ..kernels.erf import erf  # imported here, because importing numba takes a second

        return (1 + erf(x / math.sqrt(2))) / 2


class Tanh(Elementwise):
    """y = tanh(x);  dx = dy * (1 - y^2).

    Examples
    --------
    >>> Tanh()(np.array([-1.0, 0.0, 1.0])).round(3)
    array([-0.762,  0.   ,  0.762])
    """

    def function(self, x: np.ndarray) -> np.ndarray:
        return np.tanh(x)

    def slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 1 - y**2


class Sigmoid(Elementwise):
    """y = 1 / (1 + exp(-x));  dx = dy * y * (1 - y).

    Examples
    --------
    >>> Sigmoid()(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """

    def function(self, x: np.ndarray) -> np.ndarray:
        return sigmoid(x)

    def slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return y * (1 - y)


class Softmax(Layer):
    """y[n, k] = exp(x[n, k]) / sum over j of exp(x[n, j]);  dx = y * (dy - sum over k of dy*y).

    Raises
    ------
    ShapeError
        If it is built for fewer than two values: the softmax of one value is always 1.

    Examples
    --------
    >>> Softmax()(np.array([[0.0, np.log(3.0)]])).round(6)
    array([[0.25, 0.75]])
    """

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 1:
            raise ShapeError(
                "Softmax", "one feature vector per sample", f"shape {input_shape}",
                "Add Flatten() and Dense(classes) before it.",
            )  # fmt: skip
        if input_shape[0] < 2:
            raise ShapeError(
                "Softmax", "at least 2 values, one per class", "1, whose softmax is always 1",
                "Use Dense(2) before it, or replace it by Sigmoid().",
            )  # fmt: skip
        return input_shape

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        x = self.as_input(x, 2)
        y = softmax(x)
        return y, make_cache(self, y, y)

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray:
        dy, y = open_cache(self, dy, cache)
        with np.errstate(under="ignore"):
            return y * (dy - (dy * y).sum(-1, keepdims=True))


BY_NAME: dict[str, Callable[[], Layer]] = {
    "relu": ReLU,
    "relu6": lambda: ReLU(max_value=6),
    "leaky_relu": LeakyReLU,
    "elu": ELU,
    "silu": SiLU,
    "swish": SiLU,
    "gelu": GELU,
    "tanh": Tanh,
    "sigmoid": Sigmoid,
    "softmax": Softmax,
}


def find_activation(activation: Any, where: str) -> Layer | None:
    """The activation layer for a name or a layer; None for None and "linear".

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> find_activation("relu", "Dense"), find_activation("linear", "Dense")
    (ReLU(max_value=None, negative_slope=0.0), None)
    """
    if activation is None or (isinstance(activation, str) and activation == "linear"):
        return None
    if isinstance(activation, str) and activation.lower() in BY_NAME:
        return BY_NAME[activation.lower()]()
    if isinstance(activation, Layer):
        own = type(activation).__module__.startswith("minicnn.")
        if own and not isinstance(activation, (Elementwise, ReLU, Softmax)):
            raise ArgumentError(f"{where} activation", "an activation layer", repr(activation))
        return activation
    repair = "Give one of these names, or the layer itself, such as ReLU(max_value=6)."
    if isinstance(activation, (bool, int)):
        repair = f"The second argument is the activation. For the bias, write use_bias={activation!r}."
    raise ArgumentError(f"{where} activation", f"linear, {', '.join(BY_NAME)}", repr(activation), repair)


def Activation(activation: str | Layer) -> Layer:  # noqa: N802 - Keras's name
    """The activation layer of that name, as in Keras: ``Activation("relu")`` is ``ReLU()``.

    Parameters
    ----------
    activation : str
        relu, relu6, leaky_relu, elu, silu (swish), gelu, tanh, sigmoid or softmax.

    Raises
    ------
    ArgumentError
        If the name is unknown.

    Examples
    --------
    >>> Activation("sigmoid")
    Sigmoid()
    """
    layer = find_activation(activation, "Activation")
    if layer is None:
        raise ArgumentError(
            "Activation",
            ", ".join(BY_NAME),
            repr(activation),
            "Leave out a linear activation: it does nothing.",
        )
    return layer
