"""Convolutions a channel at a time, and the pair that stands in for a whole one at a fraction of its cost.

DepthwiseConv2D looks at each channel alone; SeparableConv2D lets a 1x1 convolution mix the channels afterwards.
The arithmetic is in `kernels/`; read convolution.py first.
"""

import math
from collections.abc import Sequence

import numpy as np

from ..errors import check_int
from ..initializers import check_name
from .base import Shape
from .convolution import Convolution

NO_PADDING = ((0, 0), (0, 0))


class DepthwiseConv2D(Convolution):
    """Convolution of each channel with filters of its own; channels do not mix.

    y[n, oh, ow, c*M + m] = sum over kh, kw of x[n, oh*SH + kh, ow*SW + kw, c] * weight[kh, kw, c, m] + bias[c*M + m]

    dx[n, oh*SH + kh, ow*SW + kw, c] += dy[n, oh, ow, c*M + m] * weight[kh, kw, c, m]
    dweight[kh, kw, c, m] = sum over n, oh, ow of x[n, oh*SH + kh, ow*SW + kw, c] * dy[n, oh, ow, c*M + m]

    Parameters
    ----------
    kernel_size : int or (KH, KW)
    strides : int or (SH, SW)
    padding : as in `Conv2D`
    depth_multiplier : int
        M, how many filters each channel has; at least 1.
    use_bias : bool
    depthwise_initializer : "glorot_uniform", "he_normal", "zeros" or "ones"

    Raises
    ------
    ArgumentError
        For an option outside its range.

    Notes
    -----
    Forward: OH*OW*KH*KW*C*M multiply-adds a picture; backward twice that.  Keeps x for backward.

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
        use_bias: bool = True,
        depthwise_initializer: str = "glorot_uniform",
    ):
        super().__init__(kernel_size, strides, padding, use_bias)
        where = "DepthwiseConv2D"
        self.depth_multiplier = check_int(depth_multiplier, f"{where} depth_multiplier")
        self.depthwise_initializer = check_name(depthwise_initializer, f"{where} depthwise_initializer")

    def build(self, input_shape: Shape, rng: np.random.Generator | None, dtype: str = "float32") -> Shape:
        OH, OW = self.place_windows(input_shape)
        C, M = input_shape[2], self.depth_multiplier
        self.parameters = []
        self.weight = self.parameter(
            "weight", (*self.kernel_size, C, M), self.depthwise_initializer, rng, dtype
        )
        self.bias = self.parameter("bias", (C * M,), "zeros", rng, dtype) if self.use_bias else None
        self.multiply_adds = OH * OW * math.prod(self.weight.shape)
        return OH, OW, C * M

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        self.keep(training, x)
        return self.kernels.depthwise_conv2d_forward(x, *self.arguments)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        (x,) = self.kept()
        dx, dweight, dbias = self.kernels.depthwise_conv2d_backward(
            dy, x, self.weight.value, self.strides, self.pads, self.needs_dx
        )
        self.keep_gradients(dweight, dbias)
        return dx

    @property
    def config(self) -> dict:
        return {
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "depth_multiplier": self.depth_multiplier,
            "use_bias": self.use_bias,
            "depthwise_initializer": self.depthwise_initializer,
        }


class SeparableConv2D(Convolution):
    """A depthwise convolution without bias, then a 1x1 convolution: first where, then what.

    z = depthwise(x, depthwise_weight);  y = conv(z, pointwise_weight) + bias
    dz, dpointwise_weight from dy and z as in `Conv2D`;  dx, ddepthwise_weight from dz and x as in `DepthwiseConv2D`

    Parameters
    ----------
    filters : int
        OC, how many channels come out; at least 1.
    kernel_size, strides, padding, depth_multiplier : of the depthwise convolution
    use_bias : bool
    depthwise_initializer, pointwise_initializer : as in `DepthwiseConv2D`

    Raises
    ------
    ArgumentError
        For an option outside its range.

    Notes
    -----
    Forward: OH*OW*C*M*(KH*KW + OC) multiply-adds a picture, in place of Conv2D's OH*OW*C*KH*KW*OC; backward twice
    that.  Keeps x and z for backward.

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
        use_bias: bool = True,
        depthwise_initializer: str = "glorot_uniform",
        pointwise_initializer: str = "glorot_uniform",
    ):
        where = "SeparableConv2D"
        self.filters = check_int(filters, f"{where} filters")
        super().__init__(kernel_size, strides, padding, use_bias)
        self.depth_multiplier = check_int(depth_multiplier, f"{where} depth_multiplier")
        self.depthwise_initializer = check_name(depthwise_initializer, f"{where} depthwise_initializer")
        self.pointwise_initializer = check_name(pointwise_initializer, f"{where} pointwise_initializer")

    def build(self, input_shape: Shape, rng: np.random.Generator | None, dtype: str = "float32") -> Shape:
        OH, OW = self.place_windows(input_shape)
        C, M, OC = input_shape[2], self.depth_multiplier, self.filters
        self.parameters = []
        self.depthwise_weight = self.parameter(
            "depthwise_weight", (*self.kernel_size, C, M), self.depthwise_initializer, rng, dtype
        )
        self.pointwise_weight = self.parameter(
            "pointwise_weight", (1, 1, C * M, OC), self.pointwise_initializer, rng, dtype
        )
        self.bias = self.parameter("bias", (OC,), "zeros", rng, dtype) if self.use_bias else None
        weights = self.depthwise_weight, self.pointwise_weight
        self.multiply_adds = OH * OW * sum(math.prod(weight.shape) for weight in weights)
        return OH, OW, OC

    @property
    def arguments(self) -> tuple:
        """What a kernel for both halves takes beside x: their weights, bias or None, strides, zeros on each side."""
        weights = self.depthwise_weight.value, self.pointwise_weight.value
        return *weights, self.bias.value if self.use_bias else None, self.strides, self.pads

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        depthwise_weight, pointwise_weight, bias, strides, pads = self.arguments
        z = self.kernels.depthwise_conv2d_forward(x, depthwise_weight, None, strides, pads)
        self.keep(training, x, z)
        return self.kernels.conv2d_forward(z, pointwise_weight, bias, (1, 1), NO_PADDING)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        x, z = self.kept()
        dz, self.pointwise_weight.grad, dbias = self.kernels.conv2d_backward(
            dy, z, self.pointwise_weight.value, (1, 1), NO_PADDING, True
        )
        if self.use_bias:
            self.bias.grad = dbias
        dx, self.depthwise_weight.grad, _ = self.kernels.depthwise_conv2d_backward(
            dz, x, self.depthwise_weight.value, self.strides, self.pads, self.needs_dx
        )
        return dx

    @property
    def config(self) -> dict:
        return {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "depth_multiplier": self.depth_multiplier,
            "use_bias": self.use_bias,
            "depthwise_initializer": self.depthwise_initializer,
            "pointwise_initializer": self.pointwise_initializer,
        }
