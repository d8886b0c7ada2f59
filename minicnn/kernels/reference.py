"""The definitions: each operation straight from its equation, in plain Python loops and NumPy.

Slow on purpose: the tests check every other kernel set against this one.  Shapes and axis letters are in the
package's docstring.  Read this file first, then `im2col.py`, which computes the same with one matrix product.
"""

import functools
from collections.abc import Callable

import numpy as np

from .geometry import Padding, Pair, effective_kernel


def underflow_is_zero(function: Callable) -> Callable:
    """`function` with NumPy's underflow errors turned off: a product too small for its type becomes 0.

    Such products are ordinary, for example a small gradient times a small weight.  Overflow is still reported as
    `np.seterr` says.
    """

    @functools.wraps(function)
    def wrapper(*arguments, **options):
        with np.errstate(under="ignore"):
            return function(*arguments, **options)

    return wrapper


# ------------------------------------------------------------------------------- convolution
@underflow_is_zero
def conv2d_forward(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    strides: Pair,
    padding: Padding,
    dilation: Pair = (1, 1),
) -> np.ndarray:
    """y[n, oh, ow, oc] = sum over kh, kw, c of x[n, h, w, c] * weight[kh, kw, c, oc] + bias[oc].

    There h = oh*SH + kh*DH and w = ow*SW + kw*DW, where (DH, DW) is the dilation.
    Cross-correlation: the kernel is not flipped.  Outside the image x is 0.
    Cost: N*OH*OW*KH*KW*C*OC multiply-adds.
    """
    x = _pad(x, padding)
    KH, KW, _, OC = weight.shape
    OH, OW = _windows(x, (KH, KW), strides, dilation)
    y = np.empty((len(x), OH, OW, OC), x.dtype)
    for n, oh, ow in np.ndindex(y.shape[:3]):
        window = _window(x[n], oh, ow, (KH, KW), strides, dilation)  # (KH, KW, C)
        y[n, oh, ow] = np.einsum("hwc,hwco->o", window, weight)
    return y if bias is None else y + bias


@underflow_is_zero
def conv2d_backward(
    dy: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    strides: Pair,
    padding: Padding,
    need_dx: bool = True,
    need_dweight: bool = True,
    dilation: Pair = (1, 1),
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Each output passes its gradient to the window it read and to the weights it used.

    dweight[:, :, :, oc] += window * dy[n, oh, ow, oc]
    dx[window]           += sum over oc of weight[:, :, :, oc] * dy[n, oh, ow, oc]
    dbias[oc]             = sum over n, oh, ow of dy[n, oh, ow, oc]

    Cost: that of forward, once for dweight and once for dx.
    """
    x_padded = _pad(x, padding)
    dx_padded = np.zeros_like(x_padded)
    dweight, kernel = np.zeros_like(weight), weight.shape[:2]
    for n, oh, ow in np.ndindex(dy.shape[:3]):
        if need_dweight:
            window = _window(x_padded[n], oh, ow, kernel, strides, dilation)
            dweight += window[..., None] * dy[n, oh, ow]  # (KH, KW, C, 1) * (OC,)
        if need_dx:
            dwindow = _window(dx_padded[n], oh, ow, kernel, strides, dilation)
            dwindow += weight @ dy[n, oh, ow]  # (KH, KW, C, OC) @ (OC,)
    dx = _crop(dx_padded, padding) if need_dx else None
    return (dx, dweight, dy.sum((0, 1, 2))) if need_dweight else (dx, None, None)


@underflow_is_zero
def depthwise_conv2d_forward(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    strides: Pair,
    padding: Padding,
    dilation: Pair = (1, 1),
) -> np.ndarray:
    """y[n, oh, ow, c*M+m] = sum over kh, kw of x[n, h, w, c] * weight[kh, kw, c, m] + bias[c*M+m].

    h and w are those of `conv2d_forward`.  Each channel has M filters of its own; channels do not mix.
    Cost: N*OH*OW*KH*KW*C*M multiply-adds.
    """
    x = _pad(x, padding)
    KH, KW, C, M = weight.shape
    OH, OW = _windows(x, (KH, KW), strides, dilation)
    y = np.empty((len(x), OH, OW, C * M), x.dtype)
    for n, oh, ow in np.ndindex(y.shape[:3]):
        window = _window(x[n], oh, ow, (KH, KW), strides, dilation)  # (KH, KW, C)
        y[n, oh, ow] = np.einsum("hwc,hwcm->cm", window, weight).reshape(C * M)
    return y if bias is None else y + bias


@underflow_is_zero
def depthwise_conv2d_backward(
    dy: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    strides: Pair,
    padding: Padding,
    need_dx: bool = True,
    need_dweight: bool = True,
    dilation: Pair = (1, 1),
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """As `conv2d_backward`, for each channel by itself.

    dweight[:, :, c, m] += window[:, :, c] * dy[n, oh, ow, c*M + m]
    dx[window of c]     += sum over m of weight[:, :, c, m] * dy[n, oh, ow, c*M + m]
    """
    x_padded = _pad(x, padding)
    dx_padded = np.zeros_like(x_padded)
    dweight = np.zeros_like(weight)
    kernel, channels = weight.shape[:2], weight.shape[2:]
    for n, oh, ow in np.ndindex(dy.shape[:3]):
        gradient = dy[n, oh, ow].reshape(channels)  # (C*M,) -> (C, M)
        if need_dweight:
            window = _window(x_padded[n], oh, ow, kernel, strides, dilation)
            dweight += window[..., None] * gradient  # (KH, KW, C, 1) * (C, M)
        if need_dx:
            dwindow = _window(dx_padded[n], oh, ow, kernel, strides, dilation)
            dwindow += (weight * gradient).sum(-1)  # (KH, KW, C, M) -> (KH, KW, C)
    dx = _crop(dx_padded, padding) if need_dx else None
    return (dx, dweight, dy.sum((0, 1, 2))) if need_dweight else (dx, None, None)


def dilated_conv2d_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, padding: Padding, dilation: Pair
) -> np.ndarray:
    """The equation of `conv2d_forward` with stride 1: the window reads every DH-th row and DW-th column."""
    return conv2d_forward(x, weight, bias, (1, 1), padding, dilation)


def dilated_conv2d_backward(
    dy: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    padding: Padding,
    dilation: Pair,
    need_dx: bool = True,
    need_dweight: bool = True,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """The equations of `conv2d_backward`, for the window of `dilated_conv2d_forward`."""
    return conv2d_backward(dy, x, weight, (1, 1), padding, need_dx, need_dweight, dilation)


def dilated_depthwise_conv2d_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, padding: Padding, dilation: Pair
) -> np.ndarray:
    """The equation of `depthwise_conv2d_forward` with stride 1."""
    return depthwise_conv2d_forward(x, weight, bias, (1, 1), padding, dilation)


def dilated_depthwise_conv2d_backward(
    dy: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    padding: Padding,
    dilation: Pair,
    need_dx: bool = True,
    need_dweight: bool = True,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """The equations of `depthwise_conv2d_backward`, for the window of `dilated_depthwise_conv2d_forward`."""
    return depthwise_conv2d_backward(dy, x, weight, (1, 1), padding, need_dx, need_dweight, dilation)


# ----------------------------------------------------------------------------------- pooling
def maxpool2d_forward(
    x: np.ndarray, pool: Pair, strides: Pair, padding: Padding
) -> tuple[np.ndarray, np.ndarray]:
    """y = the largest value of each window and channel; argmax = its position in the window, kh*KW + kw.

    Of equal values the first in row-major order is taken.  NaN counts as larger than any number.  Padding is never
    taken.
    """
    x = _pad(x, padding, value=-np.inf)
    inside = _inside(x.shape, padding)
    OH, OW = _windows(x, pool, strides)
    C = x.shape[3]
    y = np.empty((len(x), OH, OW, C), x.dtype)
    argmax = np.empty(y.shape, argmax_dtype(pool))
    for n, oh, ow in np.ndindex(y.shape[:3]):
        window = _window(x[n], oh, ow, pool, strides).reshape(-1, C)  # (KH, KW, C) -> (KH*KW, C)
        inside_window = np.flatnonzero(_window(inside, oh, ow, pool, strides))
        # np.argmax gives the first maximum, or the first NaN if there is one
        argmax[n, oh, ow] = inside_window[np.argmax(window[inside_window], axis=0)]
        y[n, oh, ow] = window[argmax[n, oh, ow], np.arange(C)]
    return y, argmax


def maxpool2d_backward(
    dy: np.ndarray, argmax: np.ndarray, x_shape: tuple[int, ...], pool: Pair, strides: Pair, padding: Padding
) -> np.ndarray:
    """dx[argmax of the window] += dy; every other position of the window gets nothing."""
    dx = np.zeros(_padded_shape(x_shape, padding), dy.dtype)
    for n, oh, ow, c in np.ndindex(dy.shape):
        kh, kw = divmod(int(argmax[n, oh, ow, c]), pool[1])
        dx[n, oh * strides[0] + kh, ow * strides[1] + kw, c] += dy[n, oh, ow, c]
    return _crop(dx, padding)


@underflow_is_zero
def averagepool2d_forward(x: np.ndarray, pool: Pair, strides: Pair, padding: Padding) -> np.ndarray:
    """y = the mean of each window; positions in the padding are not counted."""
    inside = _inside(_padded_shape(x.shape, padding), padding)
    x = _pad(x, padding)
    OH, OW = _windows(x, pool, strides)
    y = np.empty((len(x), OH, OW, x.shape[3]), x.dtype)
    for n, oh, ow in np.ndindex(y.shape[:3]):
        count = np.count_nonzero(_window(inside, oh, ow, pool, strides))
        y[n, oh, ow] = _window(x[n], oh, ow, pool, strides).sum((0, 1)) / count
    return y


@underflow_is_zero
def averagepool2d_backward(
    dy: np.ndarray, x_shape: tuple[int, ...], pool: Pair, strides: Pair, padding: Padding
) -> np.ndarray:
    """dx[window] += dy / count: each position of the window gets the same share."""
    dx = np.zeros(_padded_shape(x_shape, padding), dy.dtype)
    inside = _inside(dx.shape, padding)
    for n, oh, ow in np.ndindex(dy.shape[:3]):
        count = np.count_nonzero(_window(inside, oh, ow, pool, strides))
        dwindow = _window(dx[n], oh, ow, pool, strides)
        dwindow += dy[n, oh, ow] / count
    return _crop(dx, padding)


def argmax_dtype(pool: Pair) -> type[np.integer]:
    """The integer type of max indices: one byte each if the window has at most 256 positions."""
    return np.uint8 if pool[0] * pool[1] <= 256 else np.int32


# ------------------------------------------------------------------------- dense, activation
@underflow_is_zero
def dense_forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """y[n, o] = sum over i of x[n, i] * weight[i, o] + bias[o]."""
    y = x @ weight
    return y if bias is None else y + bias


@underflow_is_zero
def dense_backward(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray, need_dx: bool = True, need_dweight: bool = True
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """dweight = x^T dy,  dbias = the sum of dy over the batch,  dx = dy weight^T."""
    dx = dy @ weight.T if need_dx else None
    return (dx, x.T @ dy, dy.sum(0)) if need_dweight else (dx, None, None)


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """y = a + b: the sum of a branch and its shortcut."""
    return a + b


def relu_forward(x: np.ndarray) -> np.ndarray:
    """y = max(x, 0)."""
    return np.maximum(x, 0)


def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dx = dy where y > 0, else 0; the slope at 0 itself is taken as 0."""
    return np.where(y > 0, dy, 0).astype(dy.dtype, copy=False)


# ----------------------------------------------------------------------- batch normalisation
@underflow_is_zero
def batchnorm_forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with each channel's mean and variance over the batch.

    The variance is the sum of squares divided by n, not n - 1.  Sums are in float64, because a batch has millions of
    values.
    """
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes, dtype="float64").astype(x.dtype)
    variance = np.square(x - mean).mean(axes, dtype="float64").astype(x.dtype)
    return batchnorm_inference(x, gamma, beta, mean, variance, epsilon), mean, variance


@underflow_is_zero
def batchnorm_inference(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, variance: np.ndarray, epsilon: float
) -> np.ndarray:
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with the given mean and variance."""
    return (x - mean) * (gamma / np.sqrt(variance + epsilon)) + beta


@underflow_is_zero
def batchnorm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    gamma: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    epsilon: float,
    need_dx: bool = True,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """Gradients of `batchnorm_forward`, whose mean and variance depend on x.

    With deviation = sqrt(variance + epsilon), z = (x - mean) / deviation, and n values per channel:

    dbeta  = sum of dy
    dgamma = sum of dy z
    dx     = gamma / deviation (dy - dbeta / n - z dgamma / n)

    The last two terms are the gradient through the mean and the variance.
    """
    axes, n = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    deviation = np.sqrt(variance + epsilon)
    z = (x - mean) / deviation
    dbeta = dy.sum(axes, dtype="float64").astype(x.dtype)
    dgamma = (dy * z).sum(axes, dtype="float64").astype(x.dtype)
    dx = gamma / deviation * (dy - dbeta / n - z * (dgamma / n)) if need_dx else None
    return dx, dgamma, dbeta


@underflow_is_zero
def batchnorm_inference_backward(
    dy: np.ndarray,
    x: np.ndarray,
    gamma: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    epsilon: float,
    need_dx: bool = True,
    need_dweight: bool = True,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Gradients of `batchnorm_inference`, whose mean and variance are constants.

    With deviation = sqrt(variance + epsilon):

    dx     = dy gamma / deviation
    dgamma = sum of dy (x - mean) / deviation
    dbeta  = sum of dy
    """
    deviation = np.sqrt(variance + epsilon)
    dx = dy * (gamma / deviation) if need_dx else None
    if not need_dweight:
        return dx, None, None
    axes = tuple(range(x.ndim - 1))
    dgamma = (dy * ((x - mean) / deviation)).sum(axes, dtype="float64").astype(x.dtype)
    return dx, dgamma, dy.sum(axes, dtype="float64").astype(x.dtype)


# --------------------------------------------------------------------------- optimizer steps
def largest(array: np.ndarray) -> float:
    """The largest absolute value; NaN if any value is NaN, 0 for an empty array."""
    return float(np.abs(array).max(initial=0))


@underflow_is_zero
def sgd_step(
    weight: np.ndarray, grad: np.ndarray, velocity: np.ndarray, rate: float, momentum: float, nesterov: bool
) -> None:
    """v = momentum v - rate g;  w += v, or with Nesterov w += momentum v - rate g."""
    w, g, v = weight, grad, velocity
    v *= momentum
    v -= rate * g
    w += momentum * v - rate * g if nesterov else v


@underflow_is_zero
def adam_step(
    weight: np.ndarray,
    grad: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    decay: float,
) -> None:
    """w -= decay w;  m += (1 - beta_1)(g - m);  v += (1 - beta_2)(g^2 - v);  w -= rate m / (sqrt(v) + epsilon)."""
    w, g = weight, grad
    w -= decay * w
    m += (1 - beta_1) * (g - m)
    v += (1 - beta_2) * (g * g - v)
    w -= rate * m / (np.sqrt(v) + epsilon)


# ----------------------------------------------------------------------------------- windows
def _windows(x_padded, kernel, strides, dilation=(1, 1)):
    """(OH, OW): how many windows fit on an image that is already padded."""
    _, H, W, _ = x_padded.shape
    KH, KW = effective_kernel(kernel, dilation)
    return (H - KH) // strides[0] + 1, (W - KW) // strides[1] + 1


def _window(image, oh, ow, kernel, strides, dilation=(1, 1)):
    """The part of `image` that output (oh, ow) reads, as a view; `dilation` is its step."""
    top, left = oh * strides[0], ow * strides[1]
    KH, KW = effective_kernel(kernel, dilation)
    return image[top : top + KH : dilation[0], left : left + KW : dilation[1]]


def _pad(x, padding, value=0):
    return np.pad(x, ((0, 0), *padding, (0, 0)), constant_values=value)


def _crop(x_padded, padding):
    (top, bottom), (left, right) = padding
    _, H, W, _ = x_padded.shape
    return x_padded[:, top : H - bottom, left : W - right]


def _padded_shape(x_shape, padding):
    N, H, W, C = x_shape
    return N, H + sum(padding[0]), W + sum(padding[1]), C


def _inside(padded_shape, padding):
    """A mask (H, W) of a padded image: True on the image, False on the padding."""
    inside = np.zeros(padded_shape[1:3], bool)
    _crop(inside[None, :, :, None], padding)[:] = True
    return inside
