"""Dense: every output is a weighted sum of all inputs.

The smallest layer with weights.  Bias, activation, forward and backward are in weighted.py, which it derives from; the
arithmetic is in kernels/.  Read weighted.py next, then convolution.py.
"""

from typing import Any

import numpy as np

from ..errors import ShapeError, check_int
from ..initializers import check_name
from .base import Generator, Shape
from .weighted import WeightedSum


class Dense(WeightedSum):
    """z = x @ weight + bias;  y = activation(z).

    Backward, with dz from the activation:  dx = dz @ weight^T,  dweight = x^T @ dz,  dbias = the sum of dz over N.

    Parameters
    ----------
    units : int
        Number of outputs; at least 1.
    activation : str or Layer, optional
        Activation of the sum, such as "relu"; `Activation` lists the names.
    use_bias : bool
        Whether the layer has a bias.
    kernel_initializer : "glorot_uniform", "he_normal", "zeros" or "ones"
        Initial values of the weight.
    kernel_regularizer : "l1", "l2", L1, L2 or L1L2, optional
        Penalty on large weights, added to the loss.

    Raises
    ------
    ArgumentError
        If an option is outside its range.

    Notes
    -----
    Forward: features*units multiply-adds per sample; backward twice that.  The cache holds x.

    Examples
    --------
    >>> layer = Dense(2)
    >>> layer.build((3,), np.random.default_rng(0))
    (2,)
    >>> layer.weight.value = [[1, 0], [0, 1], [1, 1]]
    >>> x, dy = np.array([[1, 2, 3]], "float32"), np.array([[1, 0]], "float32")
    >>> y, cache = layer.forward(x)
    >>> y, layer.backward(dy, cache)
    (array([[4., 5.]], dtype=float32), array([[1., 0., 1.]], dtype=float32))
    """

    axes = 2

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: str = "glorot_uniform",
        kernel_regularizer: Any = None,
    ):
        super().__init__(activation, use_bias, kernel_regularizer)
        self.units = check_int(units, "Dense units")
        self.kernel_initializer = check_name(kernel_initializer, "Dense kernel_initializer")

    def build(self, input_shape: Shape, rng: Generator | None, dtype: Any = "float32") -> Shape:
        shape = self.compute_output_shape(input_shape)
        self.weight = self.parameter(
            "weight", (*input_shape, self.units), self.kernel_initializer, rng, dtype,
            regularizer=self.kernel_regularizer,
        )  # fmt: skip
        self.make_bias(self.units, rng, dtype)
        return shape

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 1:
            raise ShapeError(
                "Dense", "one feature vector per sample", f"shape {input_shape}", "Add Flatten() before it."
            )
        return (self.units,)

    def weighted_sum(self, x: np.ndarray) -> np.ndarray:
        return self.kernels.dense_forward(x, self.weight.value, self.bias_value)

    def weighted_sum_backward(
        self, dz: np.ndarray, x: np.ndarray, need_dx: bool, need_dweight: bool
    ) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
        return self.kernels.dense_backward(dz, x, self.weight.value, need_dx, need_dweight)

    def multiply_adds(self, input_shape: Shape) -> int:
        return input_shape[0] * self.units
