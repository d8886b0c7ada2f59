"""The arithmetic of the layers: arrays in, arrays out; kernels never see a layer.

Three sets share one contract; a model is built with one of them (`Sequential(layers, kernels="im2col")`):

    reference   the definitions, loops straight from the equation       <- read this one first
    im2col      the textbook route: columns, one matrix product, numba loops
    fast        register tiles and fused blocks: the route that trains at the machine's limit

Axes, everywhere: N batch, H W height and width, C in-channels, OC out-channels, KH KW kernel,
SH SW strides, OH OW output.  Pictures are NHWC, convolution weights (KH, KW, C, OC), dense weights
(in, out).  `strides` is (SH, SW) and `padding` ((top, bottom), (left, right)): `geometry` resolves
what the user wrote.  Depthwise weights are (KH, KW, C, M), with M filters a channel, and give C*M channels;
batchnorm takes any number of axes, of which the last is the channels.  The contract:

    conv2d_forward(x, weight, bias, strides, padding)                -> y
    conv2d_backward(dy, x, weight, strides, padding, need_dx)        -> dx or None, dweight, dbias
    depthwise_conv2d_forward(x, weight, bias, strides, padding)      -> y
    depthwise_conv2d_backward(dy, x, weight, strides, padding, need_dx)        -> dx or None, dweight, dbias
    maxpool2d_forward(x, pool, strides, padding)                     -> y, winner
    maxpool2d_backward(dy, winner, x_shape, pool, strides, padding)  -> dx
    averagepool2d_forward(x, pool, strides, padding)                 -> y
    averagepool2d_backward(dy, x_shape, pool, strides, padding)      -> dx
    dense_forward(x, weight, bias)                                   -> y
    dense_backward(dy, x, weight, need_dx)                           -> dx or None, dweight, dbias
    batchnorm_forward(x, gamma, beta, epsilon)                       -> y, mean, variance
    batchnorm_backward(dy, x, gamma, mean, variance, epsilon, need_dx)         -> dx or None, dgamma, dbeta
    batchnorm_inference(x, gamma, beta, mean, variance, epsilon)     -> y
    relu_forward(x)                                                  -> y
    relu_backward(dy, y)                                             -> dx
    add(a, b)                                                        -> y
    sgd_step(weight, grad, velocity, rate, momentum, nesterov)       in place
    adam_step(weight, grad, m, v, rate, beta_1, beta_2, epsilon, decay)   in place

What a set may have beside these, and `fusion.py` then walks through in one step; y is as if each had been done alone,
and the pool is 2x2 with stride 2:

    conv2d_relu_forward(x, weight, bias, strides, padding)           -> y
    conv2d_add_forward, conv2d_add_relu_forward(x, weight, bias, strides, padding, other)    -> y, other added to it
    conv2d_maxpool2d_forward(x, weight, bias, strides, padding)      -> y, winner
    conv2d_maxpool2d_backward(dy, winner, x, weight, strides, padding, need_dx)    -> dx or None, dweight, dbias
    block_forward, block_backward: convolution, ReLU and pool        as conv2d_maxpool2d
    batchnorm_relu_forward, _backward, _inference: as batchnorm, and backward takes beta behind gamma
    separable_conv2d_forward(x, depthwise_weight, weight, bias, strides, padding, normalization)   -> y, for prediction
        where normalization is None, or what batchnorm_relu_inference takes beside x, which is then done first
    separable_conv2d_relu_forward, separable_conv2d_maxpool2d_forward: the same and a ReLU, or a pool
    prepare(weight, bias)    -> what conv2d and separable_conv2d take in their weight's place, laid out once

`bias` may be None.  No function but the last two changes its inputs; float32 and float64 keep their type; NaN and
infinity travel as in `reference`.
"""

from types import ModuleType

from ..errors import ArgumentError

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
        If there is no set of that name.

    Examples
    --------
    >>> import numpy as np
    >>> kernel_set("reference").relu_forward(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    if name == "reference":
        from . import reference

        return reference
    if name == "im2col":
        from . import im2col

        return im2col
    if name == "fast":
        from . import fast

        return fast
    raise ArgumentError("kernels", " or ".join(map(repr, NAMES)), repr(name), "Choose one of these names.")
