"""The arithmetic of the layers: arrays in, arrays out; kernels never see a layer.

Three sets share one contract; a model is built with one of them (`Sequential(layers, kernels="im2col")`):

    reference   the definitions, loops straight from the equation       <- read this one first
    im2col      the textbook route: columns, one matrix product, numba loops
    fast        register tiles and fused blocks: the route that trains at the machine's limit

Axes, everywhere: N batch, H W height and width, C in-channels, OC out-channels, KH KW kernel,
SH SW strides, OH OW output.  Images are NHWC, convolution weights (KH, KW, C, OC), dense weights
(in, out).  `strides` is (SH, SW) and `padding` ((top, bottom), (left, right)): `geometry` resolves
what the user wrote.  Depthwise weights are (KH, KW, C, M), with M filters a channel, and give C*M channels;
batchnorm takes any number of axes, of which the last is the channels.  The contract:

    conv2d_forward(x, weight, bias, strides, padding)                -> y
    conv2d_backward(dy, x, weight, strides, padding, need_dx, need_dweight)     -> dx, dweight, dbias
    depthwise_conv2d_forward(x, weight, bias, strides, padding)      -> y
    depthwise_conv2d_backward(dy, x, weight, strides, padding, need_dx, need_dweight)     -> dx, dweight, dbias
    dilated_conv2d_forward(x, weight, bias, padding, dilation)       -> y, with stride 1
    dilated_conv2d_backward(dy, x, weight, padding, dilation, need_dx, need_dweight)      -> dx, dweight, dbias
    dilated_depthwise_conv2d_forward, dilated_depthwise_conv2d_backward: the same per channel
    maxpool2d_forward(x, pool, strides, padding)                     -> y, winner
    maxpool2d_backward(dy, winner, x_shape, pool, strides, padding)  -> dx
    averagepool2d_forward(x, pool, strides, padding)                 -> y
    averagepool2d_backward(dy, x_shape, pool, strides, padding)      -> dx
    dense_forward(x, weight, bias)                                   -> y
    dense_backward(dy, x, weight, need_dx, need_dweight)             -> dx, dweight, dbias
    batchnorm_forward(x, gamma, beta, epsilon)                       -> y, mean, variance
    batchnorm_backward(dy, x, gamma, mean, variance, epsilon, need_dx)         -> dx or None, dgamma, dbeta
    batchnorm_inference(x, gamma, beta, mean, variance, epsilon)     -> y
    batchnorm_inference_backward(dy, x, gamma, mean, variance, epsilon, need_dx, need_dweight)    -> dx, dgamma, dbeta
    relu_forward(x)                                                  -> y
    relu_backward(dy, y)                                             -> dx
    add(a, b)                                                        -> y
    largest(array)                                                   -> the largest absolute value, or NaN
    sgd_step(weight, grad, velocity, rate, momentum, nesterov)       in place
    adam_step(weight, grad, m, v, rate, beta_1, beta_2, epsilon, decay)   in place

What a set may have beside these, and `fusion.py` then walks through in one step; y is as if each had been done alone,
and the pool is 2x2 with stride 2:

    conv2d_relu_forward(x, weight, bias, strides, padding)           -> y
    conv2d_add_forward, conv2d_add_relu_forward(x, weight, bias, strides, padding, other)    -> y, other added to it
    conv2d_maxpool2d_forward(x, weight, bias, strides, padding)      -> y, winner
    conv2d_maxpool2d_backward(dy, winner, x, weight, strides, padding, need_dx, need_dweight)    -> dx, dweight, dbias
    block_forward, block_backward: convolution, ReLU and pool        as conv2d_maxpool2d
    batchnorm_relu_forward, _backward, _inference: as batchnorm, and backward takes beta behind gamma
    separable_conv2d_forward(x, depthwise_weight, weight, bias, strides, padding, normalization)   -> y, for prediction
        where normalization is None, or what batchnorm_relu_inference takes beside x, which is then done first
    separable_conv2d_relu_forward, separable_conv2d_maxpool2d_forward: the same and a ReLU, or a pool
    prepare(weight, bias)    -> what conv2d and separable_conv2d take in their weight's place, laid out once

`bias` may be None.  Without `need_dx` dx is None; without `need_dweight` the gradients of the parameters are None and
not computed; both are True by default.  No function except the last two changes its inputs; float32 and float64 keep
their type; NaN and infinity travel as in `reference`.

Kernels trust the shapes they are given: compiled loops do not check their indices.  Layers and optimizers check every
array where it enters.  With MINICNN_BOUNDSCHECK=1 (`runtime/compiling.py`) kernels check every index as well.
"""

import sys
from types import ModuleType

from ..errors import ArgumentError, check_word

NAMES = ("reference", "im2col", "fast")


def kernel_set(name: str) -> ModuleType:
    """The kernel set of that name; imported when first asked for.

    Parameters
    ----------
    name : {"reference", "im2col", "fast"}

    Returns
    -------
    module
        It holds the functions of the contract above.

    Raises
    ------
    ArgumentError
        If there is no set of that name, or numba is not allowed to compile the set "fast".

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

    if compiling.numba.config.DISABLE_JIT:
        raise ArgumentError(
            'kernels="fast"',
            "permission to compile",
            f"NUMBA_DISABLE_JIT={compiling.numba.config.DISABLE_JIT}",
            'Unset that variable, or use kernels="im2col" or "reference".',
        )
    from . import fast

    return fast


def release_memory() -> None:
    """Give memory that the fast kernels keep for their next arrays back to the system.

    Kernels recycle the memory of their arrays, up to twice what was in use at once, because new memory is slow.  The
    memory of an earlier large model is given back while other models work.  Call this function if the process
    computes nothing for a while, for example after training; the next prediction is a little slower.

    Examples
    --------
    >>> release_memory()
    """
    if "minicnn.kernels.fast" in sys.modules:
        from .fast.memory import RECYCLER

        RECYCLER.release()
