"""A program that checks the fast kernels against `reference`, for the vector width that its environment selects.

`conftest.py` starts it with other processor features.  The first time it takes nearly a minute, to compile.
It prints the number of bytes in a vector.
"""

import numpy as np

from minicnn.kernels import fast, reference
from minicnn.kernels.fast.tiles import cpu


def close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def check(dtype, kernel, C, rng):
    """Convolution and the fused conv -> ReLU -> pool, forward and backward."""
    x, weight, bias = (
        rng.standard_normal(shape).astype(dtype) for shape in ((3, 9, 8, C), (*kernel, C, 19), 19)
    )
    strides, pads, none = (1, 1), ((1, 0), (0, 1)), ((0, 0), (0, 0))
    y = reference.conv2d_forward(x, weight, bias, strides, pads)
    dy = rng.standard_normal(y.shape).astype(dtype)
    close(fast.conv2d_forward(x, weight, bias, strides, pads), y)
    for got, expected in zip(
        fast.conv2d_backward(dy, x, weight, strides, pads),
        reference.conv2d_backward(dy, x, weight, strides, pads),
        strict=True,
    ):
        close(got, expected)
    pooled, argmax = fast.conv2d_relu_maxpool2d_forward(x, weight, bias, strides, pads)
    z = np.maximum(y, 0)
    expected, at = reference.maxpool2d_forward(z, (2, 2), (2, 2), none)
    close(pooled, expected)
    dy = rng.standard_normal(expected.shape).astype(dtype)
    dz = np.where(z > 0, reference.maxpool2d_backward(dy, at, z.shape, (2, 2), (2, 2), none), 0)
    for got, expected in zip(
        fast.conv2d_relu_maxpool2d_backward(dy, argmax, x, weight, strides, pads),
        reference.conv2d_backward(dz, x, weight, strides, pads),
        strict=True,
    ):
        close(got, expected)


def check_separable(dtype, strides, rng):
    """Depthwise forward and backward, and the separable convolution after a normalisation."""
    C, pads = 37, ((1, 1), (1, 1))
    shapes = (3, 9, 8, C), (3, 3, C, 1), (1, 1, C, 19), C, C, C
    x, depthwise, weight, gamma, beta, mean = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    z = reference.depthwise_conv2d_forward(x, depthwise, None, strides, pads)
    close(fast.depthwise_conv2d_forward(x, depthwise, None, strides, pads), z)
    dz = rng.standard_normal(z.shape).astype(dtype)
    for got, expected in zip(
        fast.depthwise_conv2d_backward(dz, x, depthwise, strides, pads),
        reference.depthwise_conv2d_backward(dz, x, depthwise, strides, pads),
        strict=True,
    ):
        close(got, expected)
    normalization = gamma, beta, mean, np.ones(C, dtype), 1e-3
    normalized = np.maximum(reference.batchnorm_inference(x, *normalization), 0)
    z = reference.depthwise_conv2d_forward(normalized, depthwise, None, strides, pads)
    y = reference.conv2d_forward(z, weight, None, (1, 1), ((0, 0), (0, 0)))
    close(fast.separable_conv2d_forward(x, depthwise, weight, None, strides, pads, normalization), y)


if __name__ == "__main__":
    for dtype in ("float32", "float64"):
        for kernel, C in (((3, 2), 5), ((3, 3), 17)):  # the second uses Winograd's algorithm
            check(dtype, kernel, C, np.random.default_rng(0))
        for strides in ((1, 1), (2, 1)):
            check_separable(dtype, strides, np.random.default_rng(0))
    print(cpu.VECTOR_BYTES)
