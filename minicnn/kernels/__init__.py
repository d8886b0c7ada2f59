"""The arithmetic of the layers: functions from arrays to arrays, which never see a layer.

Three kernel sets implement one contract. A model uses one of them (`Sequential(layers, kernels="im2col")`):

    reference   the definitions: loops straight from the equations      <- read this one first
    im2col      the textbook algorithm: columns, one matrix product, numba loops
    fast        register tiles, Winograd and fused layers: the algorithms that train near the machine's limit

Axes, everywhere: N batch, H W height and width, C in-channels, OC out-channels, KH KW kernel,
SH SW strides, OH OW output.  Images are NHWC, convolution weights (KH, KW, C, OC), dense weights
(in, out).  `strides` is (SH, SW) and `padding` is ((top, bottom), (left, right)); `geometry` computes these numbers
from the user's options.  Depthwise weights are (KH, KW, C, M), with M filters per channel, and give C*M channels.
batchnorm takes any number of axes; the last is the channels.  The contract:

    conv2d_forward(x, weight, bias, strides, padding)                -> y
    conv2d_backward(dy, x, weight, strides, padding, need_dx, need_dweight)             -> dx, dweight, dbias
    depthwise_conv2d_forward(x, weight, bias, strides, padding)      -> y
    depthwise_conv2d_backward(dy, x, weight, strides, padding, need_dx, need_dweight)   -> dx, dweight, dbias
    dilated_conv2d_forward(x, weight, bias, padding, dilation)       -> y, with stride 1
    dilated_conv2d_backward(dy, x, weight, padding, dilation, need_dx, need_dweight)    -> dx, dweight, dbias
    dilated_depthwise_conv2d_forward, dilated_depthwise_conv2d_backward: the same for each channel by itself
    maxpool2d_forward(x, pool, strides, padding)                     -> y, argmax
    maxpool2d_backward(dy, argmax, x_shape, pool, strides, padding)  -> dx
    averagepool2d_forward(x, pool, strides, padding)                 -> y
    averagepool2d_backward(dy, x_shape, pool, strides, padding)      -> dx
    dense_forward(x, weight, bias)                                   -> y
    dense_backward(dy, x, weight, need_dx, need_dweight)             -> dx, dweight, dbias
    batchnorm_forward(x, gamma, beta, epsilon)                       -> y, mean, variance
    batchnorm_backward(dy, x, gamma, mean, variance, epsilon, need_dx)                  -> dx or None, dgamma, dbeta
    batchnorm_inference(x, gamma, beta, mean, variance, epsilon)     -> y
    batchnorm_inference_backward(dy, x, gamma, mean, variance, epsilon, need_dx, need_dweight)  -> dx, dgamma, dbeta
    relu_forward(x)                                                  -> y
    relu_backward(dy, y)                                             -> dx
    add(a, b)                                                        -> y
    largest(array)                                                   -> the largest absolute value, or NaN
    sgd_step(weight, grad, velocity, rate, momentum, nesterov)       in place
    adam_step(weight, grad, m, v, rate, beta_1, beta_2, epsilon, decay)   in place

A set may also have fused functions; `fusion.py` uses those that exist.  Each returns the same y as its layers one
after the other.  The pool is 2x2 with stride 2:

    conv2d_relu_forward(x, weight, bias, strides, padding)           -> y
    conv2d_add_forward, conv2d_add_relu_forward(x, weight, bias, strides, padding, other)   -> y, with other added
    conv2d_maxpool2d_forward(x, weight, bias, strides, padding)      -> y, argmax
    conv2d_maxpool2d_backward(dy, argmax, x, weight, strides, padding, need_dx, need_dweight)   -> dx, dweight, dbias
    conv2d_relu_maxpool2d_forward, conv2d_relu_maxpool2d_backward: the same with a ReLU before the pool
    batchnorm_relu_forward, _backward, _inference: as batchnorm; backward also takes beta, after gamma
    separable_conv2d_forward(x, depthwise_weight, weight, bias, strides, padding, normalization)   -> y, for prediction
        normalization is None, or the arguments of batchnorm_relu_inference after x, which is then applied first
    separable_conv2d_relu_forward, separable_conv2d_maxpool2d_forward: the same, then a ReLU or a pool
    pack_weights(weight, bias)    -> packed weights, which the forward functions of conv2d and separable_conv2d
        accept in place of the weight

`bias` may be None.  Without `need_dx`, dx is None; without `need_dweight`, the gradients of the parameters are None and
are not computed.  Both are True by default.  Only sgd_step and adam_step change their inputs.  float32 and float64 are
preserved; NaN and infinity propagate as in `reference`.

Kernels trust the shapes they are given, because compiled loops do not check their indices.  Layers and optimizers
check every array before it gets here.  With MINICNN_BOUNDSCHECK=1 (`runtime/compiling.py`) kernels also check every
index.
"""

import sys
from types import ModuleType

from ..errors import ArgumentError, check_word

NAMES = ("reference", "im2col", "fast")


def kernel_set(name: str) -> ModuleType:
    """The kernel set of that name, imported on first use.

    Parameters
    ----------
    name : {"reference", "im2col", "fast"}

    Returns
    -------
    module
        Has the functions of the contract above.

    Raises
    ------
    ArgumentError
        If there is no set of that name, or if `name` is "fast" and numba is not allowed to compile.

    Examples
    --------
    >>> import numpy as np
    >>> kernel_set("reference").relu_forward(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    check_word(name, "kernels", NAMES)
    if name == "reference":
        from . import reference

        return reference
    if name == "im2col":
        from . import im2col

        return im2col
    from ..runtime import compiling

    disabled = compiling.numba.config.DISABLE_JIT  # type: ignore[attr-defined]  # numba's stubs
    if disabled:
        raise ArgumentError(
            'kernels="fast"',
            "permission to compile",
            f"NUMBA_DISABLE_JIT={disabled}",
            'Unset that variable, or use kernels="im2col" or "reference".',
        )
    from . import fast

    return fast


def release_memory() -> None:
    """Return the idle memory of the fast kernels' buffer pool to the system.

    The fast kernels reuse the memory of their arrays, because fresh memory is slow.  The pool holds at most twice the
    peak in use, and returns the memory of an earlier large model while smaller models run.  Call this function when
    the process will compute nothing for a while, for example after training.  The next prediction is a little slower.

    Examples
    --------
    >>> release_memory()
    """
    if "minicnn.kernels.fast" in sys.modules:
        from .fast.memory import BUFFER_POOL

        BUFFER_POOL.release()
