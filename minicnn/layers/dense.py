"""Dense: every output is a weighted sum of every input.  The smallest layer with weights."""

import numpy as np

from ..errors import ShapeError, check_int
from ..initializers import check_name
from .base import Layer, Shape


class Dense(Layer):
    """y = x @ weight + bias.

    Backward: dx = dy @ weight^T,  dweight = x^T @ dy,  dbias = the sum of dy over the batch.

    Parameters
    ----------
    units : int
        How many values come out; at least 1.
    use_bias : bool
    kernel_initializer : "glorot_uniform", "he_normal" or "zeros"

    Raises
    ------
    ArgumentError
        For an option outside its range.

    Notes
    -----
    in*units multiply-adds a sample forward, twice that backward.  Keeps x for backward.

    Examples
    --------
    >>> layer = Dense(2)
    >>> layer.build((3,), np.random.default_rng(0))
    (2,)
    >>> layer.weight.value[:] = [[1, 0], [0, 1], [1, 1]]
    >>> layer.forward(np.array([[1, 2, 3]], "float32"))
    array([[4., 5.]], dtype=float32)
    """

    def __init__(self, units: int, use_bias: bool = True, kernel_initializer: str = "glorot_uniform"):
        super().__init__()
        self.units, self.use_bias = check_int(units, "Dense units"), bool(use_bias)
        self.kernel_initializer = check_name(kernel_initializer, "Dense kernel_initializer")

    def build(self, input_shape: Shape, rng: np.random.Generator | None, dtype: str = "float32") -> Shape:
        if len(input_shape) != 1:
            raise ShapeError("Dense", "a vector a sample", f"shape {input_shape}", "Put Flatten() before it.")
        self.parameters = []
        self.weight = self.parameter(
            "weight", (input_shape[0], self.units), self.kernel_initializer, rng, dtype
        )
        self.bias = self.parameter("bias", (self.units,), "zeros", rng, dtype) if self.use_bias else None
        self.multiply_adds = input_shape[0] * self.units
        return (self.units,)

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        self.keep(training, x)
        return self.kernels.dense_forward(x, self.weight.value, self.bias.value if self.use_bias else None)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        (x,) = self.kept()
        dx, self.weight.grad, dbias = self.kernels.dense_backward(dy, x, self.weight.value, self.needs_dx)
        if self.use_bias:
            self.bias.grad = dbias
        return dx

    @property
    def config(self) -> dict:
        return {"units": self.units, "use_bias": self.use_bias, "kernel_initializer": self.kernel_initializer}
