"""Conv2D: slide small filters over the picture; each output is one filter's match at one place.

The arithmetic is in `kernels/` (start with `kernels/reference.py`); here are its shapes and weights.  `Convolution` is
what it shares with its relatives in depthwise.py.
"""

import math
from collections.abc import Sequence

import numpy as np

from ..errors import check_int
from ..initializers import check_name
from ..kernels.geometry import check_padding, pair, place_windows
from .base import Layer, Shape


class Convolution(Layer):
    """Where a window stands, and a bias that may be missing; a subclass adds its sum.

    `arguments` and `keep_gradients` are for those with one `weight`.
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int],
        padding: str | int | Sequence,
        use_bias: bool,
    ):
        super().__init__()
        where = type(self).__name__
        self.kernel_size = pair(kernel_size, f"{where} kernel_size")
        self.strides = pair(strides, f"{where} strides")
        self.padding = check_padding(padding, f"{where} padding")
        self.use_bias = bool(use_bias)

    def place_windows(self, input_shape: Shape) -> tuple[int, int]:
        """Output height and width; keeps the zeros to add on each side as `pads`."""
        where = type(self).__name__
        self.pads, sizes = place_windows(input_shape, self.kernel_size, self.strides, self.padding, where)
        return sizes

    @property
    def arguments(self) -> tuple:
        """What the forward kernels take beside x: weight, bias or None, strides, zeros on each side."""
        return self.weight.value, self.bias.value if self.use_bias else None, self.strides, self.pads

    def keep_gradients(self, dweight: np.ndarray, dbias: np.ndarray) -> None:
        """Write what the backward kernels found to the parameters."""
        self.weight.grad = dweight
        if self.use_bias:
            self.bias.grad = dbias


class Conv2D(Convolution):
    """Two-dimensional convolution (cross-correlation) over NHWC pictures.

    y[n, oh, ow, oc] = sum over kh, kw, c of x[n, oh*SH + kh, ow*SW + kw, c] * weight[kh, kw, c, oc] + bias[oc]

    Backward, each product above asked for its other factors:

    dx[n, oh*SH + kh, ow*SW + kw, c] += dy[n, oh, ow, oc] * weight[kh, kw, c, oc]
    dweight[kh, kw, c, oc] = sum over n, oh, ow of x[n, oh*SH + kh, ow*SW + kw, c] * dy[n, oh, ow, oc]
    dbias[oc] = sum over n, oh, ow of dy[n, oh, ow, oc]

    Parameters
    ----------
    filters : int
        OC, the number of filters and of channels that come out; at least 1.
    kernel_size : int or (KH, KW)
    strides : int or (SH, SW)
    padding : "valid", "same", int, (height, width) or ((top, bottom), (left, right))
        "valid" adds nothing, "same" keeps ceil(size / stride) outputs, numbers are zeros added on each side.
    use_bias : bool
    kernel_initializer : "glorot_uniform", "he_normal" or "zeros"

    Raises
    ------
    ArgumentError
        For an option outside its range.

    Notes
    -----
    Forward: OH*OW*KH*KW*C*OC multiply-adds a picture; backward twice that.  Keeps x for backward.

    References
    ----------
    LeCun et al. 1998, "Gradient-based learning applied to document recognition", section II.

    Examples
    --------
    >>> layer = Conv2D(8, 3, padding="same")
    >>> layer.build((5, 6, 3), np.random.default_rng(0))
    (5, 6, 8)
    >>> layer.forward(np.ones((2, 5, 6, 3), "float32")).shape
    (2, 5, 6, 8)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str | int | Sequence = "valid",
        use_bias: bool = True,
        kernel_initializer: str = "glorot_uniform",
    ):
        self.filters = check_int(filters, "Conv2D filters")
        super().__init__(kernel_size, strides, padding, use_bias)
        self.kernel_initializer = check_name(kernel_initializer, "Conv2D kernel_initializer")

    def build(self, input_shape: Shape, rng: np.random.Generator | None, dtype: str = "float32") -> Shape:
        OH, OW = self.place_windows(input_shape)
        C, OC = input_shape[2], self.filters
        self.parameters = []
        self.weight = self.parameter(
            "weight", (*self.kernel_size, C, OC), self.kernel_initializer, rng, dtype
        )
        self.bias = self.parameter("bias", (OC,), "zeros", rng, dtype) if self.use_bias else None
        self.multiply_adds = OH * OW * math.prod(self.weight.shape)
        return OH, OW, OC

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        self.keep(training, x)
        return self.kernels.conv2d_forward(x, *self.arguments)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        (x,) = self.kept()
        dx, dweight, dbias = self.kernels.conv2d_backward(
            dy, x, self.weight.value, self.strides, self.pads, self.needs_dx
        )
        self.keep_gradients(dweight, dbias)
        return dx

    @property
    def config(self) -> dict:
        return {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer,
        }
