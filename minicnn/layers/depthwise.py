"""DepthwiseConv2D, which convolves each channel alone, and SeparableConv2D, which then mixes the channels.

SeparableConv2D is a depthwise convolution and a 1x1 convolution; together they replace an ordinary convolution at a
fraction of its cost.  Here are shapes, weights and the order of the two; the arithmetic is in `kernels/`.  Read
convolution.py first.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import check_int
from ..initializers import check_name
from ..regularizers import find_regularizer
from .base import Generator, Shape
from .cache import Cache, make_cache, open_cache
from .convolution import ONE, Convolution

NO_PADDING = ((0, 0), (0, 0))


class DepthwiseConv2D(Convolution):
    """Convolution of each channel with its own filters; channels do not mix.

    y[n, oh, ow, c*M + m] = bias[c*M + m]
                            + sum over kh, kw of x[n, oh*SH + kh*DH, ow*SW + kw*DW, c] * weight[kh, kw, c, m]

    dx[n, oh*SH + kh*DH, ow*SW + kw*DW, c] += dy[n, oh, ow, c*M + m] * weight[kh, kw, c, m]
    dweight[kh, kw, c, m] = sum over n, oh, ow of x[n, oh*SH + kh*DH, ow*SW + kw*DW, c] * dy[n, oh, ow, c*M + m]

    Parameters
    ----------
    kernel_size : int or (KH, KW)
    strides : int or (SH, SW)
    padding : as in `Conv2D`
    depth_multiplier : int
        M, the number of filters per channel; at least 1.
    activation, use_bias, dilation_rate : as in `Conv2D`
    depthwise_initializer : "glorot_uniform", "he_normal", "zeros" or "ones"
    depthwise_regularizer : as `kernel_regularizer` in `Conv2D`

    Raises
    ------
    ArgumentError
        If an option is outside its range.

    Notes
    -----
    Forward: OH*OW*KH*KW*C*M multiply-adds per image; backward twice that.  The cache holds x.

    Examples
    --------
    >>> layer = DepthwiseConv2D(3, padding="same")
    >>> layer.build((5, 6, 4), np.random.default_rng(0))
    (5, 6, 4)
    >>> layer.weight.shape
    (3, 3, 4, 1)
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str | int | Sequence = "valid",
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: str = "glorot_uniform",
        dilation_rate: int | Sequence[int] = 1,
        depthwise_regularizer: Any = None,
    ):
        super().__init__(
            kernel_size, strides, padding, activation, use_bias, dilation_rate, depthwise_regularizer
        )
        where = "DepthwiseConv2D"
        self.depth_multiplier = check_int(depth_multiplier, f"{where} depth_multiplier")
        self.depthwise_initializer = check_name(depthwise_initializer, f"{where} depthwise_initializer")
        self.depthwise_regularizer = self.kernel_regularizer

    def build(self, input_shape: Shape, rng: Generator | None, dtype: Any = "float32") -> Shape:
        shape = self.compute_output_shape(input_shape)
        self.weight = self.parameter(
            "weight", (*self.kernel_size, input_shape[2], self.depth_multiplier), self.depthwise_initializer, rng,
            dtype, regularizer=self.depthwise_regularizer,
        )  # fmt: skip
        self.make_bias(shape[2], rng, dtype)
        return shape

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return *self.output_size(input_shape), input_shape[2] * self.depth_multiplier

    def weighted_sum(self, x: np.ndarray) -> np.ndarray:
        weight, bias, strides, pads = self.arguments(x)
        if self.dilation_rate != ONE:
            return self.kernels.dilated_depthwise_conv2d_forward(x, weight, bias, pads, self.dilation_rate)
        return self.kernels.depthwise_conv2d_forward(x, weight, bias, strides, pads)

    def weighted_sum_backward(
        self, dz: np.ndarray, x: np.ndarray, need_dx: bool, need_dweight: bool
    ) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
        return depthwise_backward(self, dz, x, self.weight.value, need_dx, need_dweight)

    def multiply_adds(self, input_shape: Shape) -> int:
        return math.prod(self.output_size(input_shape)) * math.prod(self.weight.shape)


class SeparableConv2D(Convolution):
    """A depthwise convolution without bias, then a 1x1 convolution that mixes the channels.

    z = depthwise(x, depthwise_weight);  y = activation(conv(z, pointwise_weight) + bias)
    dz, dpointwise_weight from dy and z as in `Conv2D`;  dx, ddepthwise_weight from dz and x as in `DepthwiseConv2D`

    Parameters
    ----------
    filters : int
        OC, the number of output channels; at least 1.
    kernel_size, strides, padding, depth_multiplier, dilation_rate : as in `DepthwiseConv2D`
        Options of the depthwise convolution.
    activation, use_bias : as in `Conv2D`
        Activation and bias of the 1x1 convolution.
    depthwise_initializer, pointwise_initializer : as in `DepthwiseConv2D`
    depthwise_regularizer, pointwise_regularizer : as `kernel_regularizer` in `Conv2D`

    Raises
    ------
    ArgumentError
        If an option is outside its range.

    Notes
    -----
    Forward: OH*OW*C*M*(KH*KW + OC) multiply-adds per image, compared with Conv2D's OH*OW*C*KH*KW*OC; backward twice
    that.  The cache holds x and z.  A trace shows z as "depthwise".

    References
    ----------
    Chollet 2017, "Xception: Deep Learning with Depthwise Separable Convolutions", section 1.

    Examples
    --------
    >>> layer = SeparableConv2D(8, 3, padding="same")
    >>> layer.build((5, 6, 4), np.random.default_rng(0))
    (5, 6, 8)
    >>> [parameter.shape for parameter in layer.parameters]
    [(3, 3, 4, 1), (1, 1, 4, 8), (8,)]
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str | int | Sequence = "valid",
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: str = "glorot_uniform",
        pointwise_initializer: str = "glorot_uniform",
        dilation_rate: int | Sequence[int] = 1,
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
    ):
        where = "SeparableConv2D"
        super().__init__(
            kernel_size, strides, padding, activation, use_bias, dilation_rate, depthwise_regularizer
        )
        self.filters = check_int(filters, f"{where} filters")
        self.depth_multiplier = check_int(depth_multiplier, f"{where} depth_multiplier")
        self.depthwise_initializer = check_name(depthwise_initializer, f"{where} depthwise_initializer")
        self.pointwise_initializer = check_name(pointwise_initializer, f"{where} pointwise_initializer")
        self.depthwise_regularizer = self.kernel_regularizer
        self.pointwise_regularizer = find_regularizer(pointwise_regularizer)

    def build(self, input_shape: Shape, rng: Generator | None, dtype: Any = "float32") -> Shape:
        shape = self.compute_output_shape(input_shape)
        C, M, OC = input_shape[2], self.depth_multiplier, self.filters
        self.depthwise_weight = self.parameter(
            "depthwise_weight", (*self.kernel_size, C, M), self.depthwise_initializer, rng, dtype,
            regularizer=self.depthwise_regularizer,
        )  # fmt: skip
        self.pointwise_weight = self.parameter(
            "pointwise_weight", (1, 1, C * M, OC), self.pointwise_initializer, rng, dtype,
            regularizer=self.pointwise_regularizer,
        )  # fmt: skip
        self.make_bias(OC, rng, dtype)
        return shape

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return *self.output_size(input_shape), self.filters

    def arguments(self, x: np.ndarray) -> tuple:
        """The arguments of a kernel for both halves after x: weights, bias or None, strides, zeros on each side."""
        pointwise_weight = self.pointwise_weight.value if self.packed is None else self.packed
        return self.depthwise_weight.value, pointwise_weight, self.bias_value, self.strides, self.pads(x)

    def pack(self) -> None:
        self.__dict__["packed"] = self.kernels.pack_weights(self.pointwise_weight.value, self.bias_value)

    def halves(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The outputs of both halves, before the activation."""
        depthwise_weight, pointwise_weight, bias, strides, pads = self.arguments(x)
        if self.dilation_rate != ONE:
            z = self.kernels.dilated_depthwise_conv2d_forward(
                x, depthwise_weight, None, pads, self.dilation_rate
            )
        else:
            z = self.kernels.depthwise_conv2d_forward(x, depthwise_weight, None, strides, pads)
        return z, self.kernels.conv2d_forward(z, pointwise_weight, bias, ONE, NO_PADDING)

    def weighted_sum(self, x: np.ndarray) -> np.ndarray:
        return self.halves(x)[1]

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        self.need_weights()
        x = self.as_input(x, 4, self.depthwise_weight.shape[2])
        z, total = self.halves(x)
        y, of_activation = self.activate(total, training)
        return y, make_cache(self, y, x, z, of_activation)

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray | None:
        dy, x, z, of_activation = open_cache(self, dy, cache)
        need_dweight = need_dweight and self.learns
        dtotal = self.activate_backward(dy, of_activation)
        dz, dpointwise_weight, dbias = self.kernels.conv2d_backward(
            dtotal, z, self.pointwise_weight.value, ONE, NO_PADDING, True, need_dweight
        )
        dx, ddepthwise_weight, _ = depthwise_backward(
            self, dz, x, self.depthwise_weight.value, need_dx, need_dweight
        )
        self.write(self.depthwise_weight, ddepthwise_weight)
        self.write(self.pointwise_weight, dpointwise_weight)
        self.write(self.bias, dbias)
        return dx

    def trace(self, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x = self.as_input(x, 4, self.depthwise_weight.shape[2])
        z, _ = self.halves(x)
        y, outputs = super().trace(x)
        return y, {"depthwise": z} | outputs

    def trace_backward(self, dy: np.ndarray, cache: Cache) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        dx, gradients = super().trace_backward(dy, cache)
        _, z, of_activation = cache[3]
        dtotal = self.activate_backward(dy, of_activation)
        dz, _, _ = self.kernels.conv2d_backward(
            dtotal, z, self.pointwise_weight.value, ONE, NO_PADDING, True, False
        )
        return dx, {"depthwise": dz} | gradients

    def multiply_adds(self, input_shape: Shape) -> int:
        weights = self.depthwise_weight, self.pointwise_weight
        return math.prod(self.output_size(input_shape)) * sum(math.prod(weight.shape) for weight in weights)


def depthwise_backward(
    layer: Convolution, dz: np.ndarray, x: np.ndarray, weight: np.ndarray, need_dx: bool, need_dweight: bool
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """dx, dweight and dbias of a layer's depthwise convolution."""
    pads = layer.pads(x)
    if layer.dilation_rate != ONE:
        return layer.kernels.dilated_depthwise_conv2d_backward(
            dz, x, weight, pads, layer.dilation_rate, need_dx, need_dweight
        )
    return layer.kernels.depthwise_conv2d_backward(dz, x, weight, layer.strides, pads, need_dx, need_dweight)
