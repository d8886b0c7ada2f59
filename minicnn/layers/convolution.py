"""Conv2D: two-dimensional convolution; each output says how well one filter matches the image at one position.

Here are its shapes and weights; the arithmetic is in `kernels/`: read `kernels/reference.py` next.  `Convolution` has
what Conv2D shares with the layers of depthwise.py.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import ArgumentError, check_int
from ..initializers import check_name
from ..kernels.geometry import Padding, Pair, check_padding, pair, place_windows
from .base import Generator, Shape
from .weighted import WeightedSum

ONE = (1, 1)


@lru_cache(maxsize=1024)
def padding_of(
    size: Pair, kernel: Pair, strides: Pair, padding: str | Padding, dilation: Pair, where: str
) -> Padding:
    """The numbers of zeros to add on each side of an image of that height and width, ((top, bottom), (left, right))."""
    return place_windows((*size, 1), kernel, strides, padding, where, dilation)[0]


class Convolution(WeightedSum):
    """The base class of convolutions: options and the position of the windows; a subclass adds weights and sums."""

    axes = 4
    packed: Any = None  # packed weights, only in the layers of a Predictor

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int],
        padding: str | int | Sequence,
        activation: Any,
        use_bias: bool,
        dilation_rate: int | Sequence[int],
        kernel_regularizer: Any,
    ):
        super().__init__(activation, use_bias, kernel_regularizer)
        where = type(self).__name__
        self.kernel_size = pair(kernel_size, f"{where} kernel_size")
        self.strides = pair(strides, f"{where} strides")
        self.padding = check_padding(padding, f"{where} padding")
        self.dilation_rate = pair(dilation_rate, f"{where} dilation_rate")
        if self.strides != ONE and self.dilation_rate != ONE:
            raise ArgumentError(
                where, "strides or a dilation_rate above 1, not both",
                f"strides {self.strides} and dilation_rate {self.dilation_rate}", "Set one of them to 1.",
            )  # fmt: skip

    def output_size(self, input_shape: Shape) -> tuple[int, int]:
        """The height and width of the output."""
        return place_windows(
            input_shape, self.kernel_size, self.strides, self.padding, type(self).__name__, self.dilation_rate
        )[1]

    def pads(self, x: np.ndarray) -> Padding:
        """The numbers of zeros to add on each side of a batch x."""
        return padding_of(
            x.shape[1:3], self.kernel_size, self.strides, self.padding, self.dilation_rate, type(self).__name__
        )  # fmt: skip

    def arguments(self, x: np.ndarray) -> tuple:
        """The arguments of the forward kernels after x: weight, bias or None, strides, zeros on each side."""
        weight = self.weight.value if self.packed is None else self.packed
        return weight, self.bias_value, self.strides, self.pads(x)

    def pack(self) -> None:
        """Pack the current weights for the kernels, and use them in prediction; see inference/predictor.py."""
        self.__dict__["packed"] = self.kernels.pack_weights(self.weight.value, self.bias_value)


class Conv2D(Convolution):
    """Two-dimensional convolution (cross-correlation) over NHWC images.

    y[n, oh, ow, oc] = sum over kh, kw, c of x[n, oh*SH + kh*DH, ow*SW + kw*DW, c] * weight[kh, kw, c, oc] + bias[oc]

    Backward, from differentiating each product above with respect to one factor:

    dx[n, oh*SH + kh*DH, ow*SW + kw*DW, c] += dy[n, oh, ow, oc] * weight[kh, kw, c, oc]
    dweight[kh, kw, c, oc] = sum over n, oh, ow of x[n, oh*SH + kh*DH, ow*SW + kw*DW, c] * dy[n, oh, ow, oc]
    dbias[oc] = sum over n, oh, ow of dy[n, oh, ow, oc]

    Parameters
    ----------
    filters : int
        OC, the number of filters and of output channels; at least 1.
    kernel_size : int or (KH, KW)
    strides : int or (SH, SW)
    padding : "valid", "same", int, (height, width) or ((top, bottom), (left, right))
        "valid" adds no zeros, "same" gives ceil(size / stride) outputs, and numbers are the zeros added on each side.
    activation : str or Layer, optional
        Activation of the sum, such as "relu"; `Activation` lists the names.
    use_bias : bool
        Whether the layer has a bias.
    kernel_initializer : "glorot_uniform", "he_normal", "zeros" or "ones"
        Initial values of the weight.
    dilation_rate : int or (DH, DW)
        Distance between neighbouring pixels under a filter; above 1 only with strides of 1.
    kernel_regularizer : "l1", "l2", L1, L2 or L1L2, optional
        Penalty on large weights, added to the loss.

    Raises
    ------
    ArgumentError
        If an option is outside its range.

    Notes
    -----
    Forward: OH*OW*KH*KW*C*OC multiply-adds per image; backward twice that.  The cache holds x.

    The fast kernels use Winograd's algorithm for 3x3 kernels.  In float32, their sums agree with the definition to 4e-6
    of the largest output.  Equal windows give exactly equal outputs inside constant regions; at the edges of such
    regions the outputs may differ in their last bits, and a max pool may then choose another of the equal values.  A
    value of 1e26 rounds away ordinary values in the same 6x6 patch.  kernels="im2col" computes the definition's sums.

    References
    ----------
    LeCun et al. 1998, "Gradient-based learning applied to document recognition", section II.  Dilation: Yu and Koltun
    2016, "Multi-Scale Context Aggregation by Dilated Convolutions", section 2.

    Examples
    --------
    >>> layer = Conv2D(8, 3, padding="same")
    >>> layer.build((5, 6, 3), np.random.default_rng(0))
    (5, 6, 8)
    >>> layer(np.ones((2, 5, 6, 3), "float32")).shape
    (2, 5, 6, 8)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str | int | Sequence = "valid",
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: str = "glorot_uniform",
        dilation_rate: int | Sequence[int] = 1,
        kernel_regularizer: Any = None,
    ):
        super().__init__(
            kernel_size, strides, padding, activation, use_bias, dilation_rate, kernel_regularizer
        )
        self.filters = check_int(filters, "Conv2D filters")
        self.kernel_initializer = check_name(kernel_initializer, "Conv2D kernel_initializer")

    def build(self, input_shape: Shape, rng: Generator | None, dtype: Any = "float32") -> Shape:
        shape = self.compute_output_shape(input_shape)
        self.weight = self.parameter(
            "weight", (*self.kernel_size, input_shape[2], self.filters), self.kernel_initializer, rng, dtype,
            regularizer=self.kernel_regularizer,
        )  # fmt: skip
        self.make_bias(self.filters, rng, dtype)
        return shape

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return *self.output_size(input_shape), self.filters

    def weighted_sum(self, x: np.ndarray) -> np.ndarray:
        weight, bias, strides, pads = self.arguments(x)
        if self.dilation_rate != ONE:
            return self.kernels.dilated_conv2d_forward(x, weight, bias, pads, self.dilation_rate)
        return self.kernels.conv2d_forward(x, weight, bias, strides, pads)

    def weighted_sum_backward(
        self, dz: np.ndarray, x: np.ndarray, need_dx: bool, need_dweight: bool
    ) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
        weight, _, strides, pads = self.arguments(x)
        needs = need_dx, need_dweight
        if self.dilation_rate != ONE:
            return self.kernels.dilated_conv2d_backward(dz, x, weight, pads, self.dilation_rate, *needs)
        return self.kernels.conv2d_backward(dz, x, weight, strides, pads, *needs)

    def multiply_adds(self, input_shape: Shape) -> int:
        return math.prod(self.output_size(input_shape)) * math.prod(self.weight.shape)
