"""Fused kernels, and algorithms that process several images at once, against `reference` layer by layer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn.kernels import fast, im2col, reference
from minicnn.kernels.fast import memory
from minicnn.kernels.fast.winograd import dweight as winograd_dweight

HALVES, NONE, ONE = (2, 2), ((0, 0), (0, 0)), ((1, 1), (1, 1))
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
# H, W, C, kernel, strides, pads, filters
WINDOWS = [
    (8, 7, 3, (3, 3), (1, 1), ONE, 16),
    (9, 9, 1, (2, 4), (2, 1), NONE, 3),
    (12, 11, 5, (1, 1), (1, 1), NONE, 37),
    (11, 8, 24, (3, 3), (1, 1), ONE, 37),
    (9, 6, 16, (3, 3), (1, 1), ((2, 0), (1, 2)), 4),
    (11, 13, 4, (3, 3), (2, 2), ((1, 1), (0, 1)), 40),
]


def close(got, expected, dtype):
    assert got.dtype == np.dtype(dtype) and got.shape == expected.shape
    scale = max(1.0, float(np.abs(expected[np.isfinite(expected)]).max(initial=0)))
    np.testing.assert_allclose(got, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * scale)


def conv_pool(x, weight, bias, strides, pads):
    """y, argmax, and a function from dy to the gradients."""
    z = reference.conv2d_forward(x, weight, bias, strides, pads)
    y, argmax = reference.maxpool2d_forward(z, HALVES, HALVES, NONE)

    def back(dy):
        dz = reference.maxpool2d_backward(dy, argmax, z.shape, HALVES, HALVES, NONE)
        return reference.conv2d_backward(dz, x, weight, strides, pads)

    return y, argmax, back


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_fused_convolution_and_pool_equal_their_two_layers(window, batch, dtype, rng):
    H, W, C, kernel, strides, pads, filters = window
    shapes = (batch, H, W, C), (*kernel, C, filters), filters
    x, weight, bias = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    y, argmax, back = conv_pool(x, weight, bias, strides, pads)
    dy = rng.standard_normal(y.shape).astype(dtype)
    got, got_argmax = fast.conv2d_maxpool2d_forward(x, weight, bias, strides, pads)
    close(got, y, dtype)
    expected = back(dy)
    for value, other in zip(
        fast.conv2d_maxpool2d_backward(dy, argmax.astype("uint8"), x, weight, strides, pads),
        expected,
        strict=True,
    ):
        close(value, other, dtype)
    dx, *others = fast.conv2d_maxpool2d_backward(dy, got_argmax, x, weight, strides, pads, need_dx=False)
    assert dx is None and (got_argmax < 4).all()
    for value, other in zip(others, expected[1:], strict=True):
        close(value, other, dtype)


SEPARABLES = [  # H, W, C, depth multiplier, filters, kernel, strides, padding
    (9, 8, 16, 1, 40, (3, 3), (1, 1), ONE),
    (11, 7, 19, 1, 5, (3, 3), (2, 1), ((1, 0), (0, 2))),
    (70, 6, 33, 1, 35, (3, 3), (1, 1), NONE),
    (70, 6, 33, 1, 35, (3, 3), (1, 1), ONE),
    (6, 9, 9, 2, 32, (3, 3), (1, 1), ONE),
    (8, 8, 3, 1, 4, (3, 3), (1, 1), ONE),
    (7, 9, 20, 1, 6, (2, 5), (1, 1), NONE),
]


@pytest.mark.parametrize("case", SEPARABLES)
@pytest.mark.parametrize("batch", [1, 3, 11])
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_a_separable_convolution_equals_its_two_convolutions_and_epilogue(case, batch, dtype, rng):
    H, W, C, multiplier, filters, kernel, strides, pads = case
    shapes = (batch, H, W, C), (*kernel, C, multiplier), (1, 1, C * multiplier, filters), filters
    x, depthwise, weight, bias = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    z = reference.depthwise_conv2d_forward(x, depthwise, None, strides, pads)
    y = reference.conv2d_forward(z, weight, bias, (1, 1), NONE)
    arguments = x, depthwise, weight, bias, strides, pads
    close(fast.separable_conv2d_forward(*arguments), y, dtype)
    close(fast.separable_conv2d_relu_forward(*arguments), reference.relu_forward(y), dtype)
    pooled, _ = reference.maxpool2d_forward(y, HALVES, HALVES, NONE)
    close(fast.separable_conv2d_maxpool2d_forward(*arguments), pooled, dtype)
    close(fast.separable_conv2d_forward(x, depthwise, weight, None, strides, pads), y - bias, dtype)


@pytest.mark.parametrize("case", SEPARABLES)
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_a_separable_convolution_normalises_its_input_but_not_the_border(case, dtype, rng):
    H, W, C, multiplier, filters, kernel, strides, pads = case
    shapes = (11, H, W, C), (*kernel, C, multiplier), (1, 1, C * multiplier, filters), filters
    x, depthwise, weight, bias = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    *terms, variance = (rng.uniform(0.5, 2, C).astype(dtype) for _ in range(4))
    normalization = *terms, variance, 1e-3
    normalized = reference.relu_forward(reference.batchnorm_inference(x, *normalization))
    z = reference.depthwise_conv2d_forward(normalized, depthwise, None, strides, pads)
    y = reference.conv2d_forward(z, weight, bias, (1, 1), NONE)
    arguments = x, depthwise, weight, bias, strides, pads, normalization
    close(fast.separable_conv2d_forward(*arguments), y, dtype)
    close(fast.separable_conv2d_relu_forward(*arguments), reference.relu_forward(y), dtype)
    pooled, _ = reference.maxpool2d_forward(y, HALVES, HALVES, NONE)
    close(fast.separable_conv2d_maxpool2d_forward(*arguments), pooled, dtype)


@pytest.mark.parametrize("filters", [64, 48], ids=["whole vectors", "half a block"])
@pytest.mark.parametrize("kernel", [3, 5])
def test_outputs_larger_than_the_caches_are_correct(filters, kernel, rng):
    """Compared with im2col, because `reference` would take minutes."""
    x = rng.standard_normal((3, 110, 120, 16), np.float32)
    weight, bias = rng.standard_normal((kernel, kernel, 16, filters), np.float32), np.ones(filters, "float32")
    y = im2col.conv2d_forward(x, weight, bias, (1, 1), ONE)
    assert y.nbytes >= memory.LARGE
    close(fast.conv2d_forward(x, weight, bias, (1, 1), ONE), y, "float32")
    close(fast.conv2d_relu_forward(x, weight, bias, (1, 1), ONE), np.maximum(y, 0), "float32")
    other = rng.standard_normal(y.shape, np.float32)
    close(fast.conv2d_add_forward(x, weight, bias, (1, 1), ONE, other), y + other, "float32")
    got = fast.conv2d_add_relu_forward(x, weight, bias, (1, 1), ONE, other)
    close(got, np.maximum(y + other, 0), "float32")


@pytest.mark.parametrize("C", [32, 35], ids=["whole vectors", "an overlapping one"])
def test_depthwise_outputs_larger_than_the_caches_are_correct(C, rng):
    x = rng.standard_normal((3, 110, 120, C), np.float32)
    weight, bias = rng.standard_normal((3, 3, C, 1), np.float32), rng.standard_normal(C).astype("float32")
    y = im2col.depthwise_conv2d_forward(x, weight, bias, (1, 1), ONE)
    assert y.nbytes >= memory.LARGE
    close(fast.depthwise_conv2d_forward(x, weight, bias, (1, 1), ONE), y, "float32")


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_a_convolution_adds_a_shortcut(window, batch, dtype, rng):
    H, W, C, kernel, strides, pads, filters = window
    shapes = (batch, H, W, C), (*kernel, C, filters), filters
    x, weight, bias = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    y = reference.conv2d_forward(x, weight, bias, strides, pads)
    other = rng.standard_normal(y.shape).astype(dtype)
    other[0, 0, 0], other[-1, -1, -1] = np.nan, -np.inf
    arguments, before = (x, weight, bias, strides, pads, other), other.copy()
    close(fast.conv2d_add_forward(*arguments), y + other, dtype)
    close(fast.conv2d_add_relu_forward(*arguments), reference.relu_forward(y + other), dtype)
    np.testing.assert_array_equal(other, before)


@pytest.mark.parametrize("window", WINDOWS)
def test_packed_weights_give_the_same_bits(window, rng):
    """Also for a second batch of another size, for which another algorithm may be chosen."""
    H, W, C, kernel, strides, pads, filters = window
    weight, bias = rng.standard_normal((*kernel, C, filters)), rng.standard_normal(filters)
    packed = fast.pack_weights(weight, bias)
    for batch in (1, 9):
        x = rng.standard_normal((batch, H, W, C))
        for function in (
            fast.conv2d_forward,
            fast.conv2d_relu_forward,
            fast.conv2d_maxpool2d_forward,
            fast.conv2d_relu_maxpool2d_forward,
        ):
            for got, expected in zip(
                function(x, packed, None, strides, pads),
                function(x, weight, bias, strides, pads),
                strict=True,
            ):
                np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_nan_and_infinity_propagate_through_both_convolutions(bad, place, rng):
    arrays = [rng.standard_normal(s) for s in ((2, 7, 7, 16), (3, 3, 16, 1), (1, 1, 16, 5))]
    arrays[place][0, 0, 3 if place == 0 else 2, 0 if place == 1 else 2] = bad
    with np.errstate(invalid="ignore"):
        z = reference.depthwise_conv2d_forward(arrays[0], arrays[1], None, (1, 1), ONE)
        expected = reference.conv2d_forward(z, arrays[2], None, (1, 1), NONE)
    got = fast.separable_conv2d_forward(*arrays, None, (1, 1), ONE)
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-12)
    assert not np.isfinite(expected).all()


def test_ties_take_the_first(rng):
    """Small integers give ties in most windows, and are computed exactly."""
    shapes = (2, 9, 8, 2), (2, 2, 2, 3), 3
    x, weight, bias = (rng.integers(-1, 2, shape).astype("float64") for shape in shapes)
    y, argmax, _ = conv_pool(x, weight, bias, (1, 1), NONE)
    got, got_argmax = fast.conv2d_maxpool2d_forward(x, weight, bias, (1, 1), NONE)
    np.testing.assert_array_equal(got, y)
    np.testing.assert_array_equal(got_argmax, argmax)
    assert len(set(argmax.ravel())) == 4


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", ["x", "bias", "weight", "dy"])
@pytest.mark.parametrize("C", [3, 16])
def test_nan_and_infinity_propagate_through_a_convolution_with_its_pool(bad, place, C, rng):
    x, weight, bias, dy = (rng.standard_normal(s) for s in ((2, 9, 9, C), (3, 3, C, 16), 16, (2, 3, 3, 16)))
    array, where = {
        "x": (x, (0, 2, 3, 1)), "bias": (bias, 0), "weight": (weight, (1, 2, 0, 3)), "dy": (dy, (1, 1, 2))
    }[place]  # fmt: skip
    array[where] = bad
    with np.errstate(invalid="ignore"):
        y, argmax, back = conv_pool(x, weight, bias, (1, 1), NONE)
        expected = back(dy)
    got, got_argmax = fast.conv2d_maxpool2d_forward(x, weight, bias, (1, 1), NONE)
    np.testing.assert_allclose(got, y, rtol=1e-11, atol=1e-12)
    np.testing.assert_array_equal(got_argmax, argmax)
    for need_dx in (True, False):
        gradients = fast.conv2d_maxpool2d_backward(dy, got_argmax, x, weight, (1, 1), NONE, need_dx)
        for one, other in zip(gradients, expected, strict=True):
            if one is not None:
                np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-12)


# ---------------------------------------------------------------- several patches and images
@pytest.mark.parametrize("side", [2, 3, 4, 7, (3, 9)])
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_small_images_that_are_grouped(side, dtype, rng, monkeypatch):
    """More images than one work unit holds; backward, in one group of patches and in many."""
    H, W = side if isinstance(side, tuple) else (side, side)
    x, weight, dy = (
        rng.standard_normal(s).astype(dtype) for s in ((37, H, W, 17), (3, 3, 17, 35), (37, H, W, 35))
    )
    close(
        fast.conv2d_forward(x, weight, None, (1, 1), ONE),
        reference.conv2d_forward(x, weight, None, (1, 1), ONE),
        dtype,
    )
    expected = reference.conv2d_backward(dy, x, weight, (1, 1), ONE)
    for group in (winograd_dweight.GROUP, 1):
        monkeypatch.setattr(winograd_dweight, "GROUP", group)
        for got, other in zip(fast.conv2d_backward(dy, x, weight, (1, 1), ONE), expected, strict=True):
            close(got, other, dtype)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", ["x", "dy"])
def test_nan_and_infinity_do_not_spread_over_the_nine_weights(bad, place, rng):
    arrays = {"x": rng.standard_normal((3, 6, 6, 16)), "dy": rng.standard_normal((3, 4, 4, 16))}
    arrays[place][1, 0, 0, 5] = bad  # only one of the nine weights is multiplied with this x
    weight = rng.standard_normal((3, 3, 16, 16))
    arguments = arrays["dy"], arrays["x"], weight, (1, 1), NONE
    expected = reference.conv2d_backward(*arguments)
    for got, other in zip(fast.conv2d_backward(*arguments), expected, strict=True):
        np.testing.assert_allclose(got, other, rtol=1e-11, atol=1e-11)
    assert np.isfinite(expected[1]).any() and not np.isfinite(expected[1]).all()


# ----------------------------------------------------------------------- normalisation and ReLU
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
    st.sampled_from([1, 2, 3, 16, 37]),
    st.integers(0, 999),
    st.sampled_from(list(TOLERANCE)),
)
def test_a_normalisation_with_its_relu_equals_its_two_layers(axes, C, seed, dtype):
    rng = np.random.default_rng(seed)
    x, dy, gamma, beta = (rng.standard_normal(s).astype(dtype) for s in ((*axes, C), (*axes, C), C, C))
    z, mean, variance = reference.batchnorm_forward(x, gamma, beta, 0.1)
    got = fast.batchnorm_relu_forward(x, gamma, beta, 0.1)
    for value, other in zip(got, (reference.relu_forward(z), mean, variance), strict=True):
        np.testing.assert_allclose(value, other, rtol=TOLERANCE[dtype], atol=50 * TOLERANCE[dtype])
    _, mean, variance = got
    z = reference.batchnorm_inference(x, gamma, beta, mean, variance, 0.1)
    y = reference.relu_forward(z)
    close(fast.batchnorm_relu_inference(x, gamma, beta, mean, variance, 0.1), y, dtype)
    expected = reference.batchnorm_backward(reference.relu_backward(dy, y), x, gamma, mean, variance, 0.1)
    arguments = dy, x, gamma, beta, mean, variance, 0.1
    for value, other in zip(fast.batchnorm_relu_backward(*arguments), expected, strict=True):
        close(value, other, dtype)
    assert fast.batchnorm_relu_backward(*arguments, need_dx=False)[0] is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_propagate_through_a_normalisation_with_its_relu(bad, rng):
    x, dy = rng.standard_normal((2, 3, 8, 4))
    gamma, beta, mean = rng.standard_normal((3, 4))
    x[1, 2, 0] = bad
    with np.errstate(invalid="ignore"):
        y, *statistics = fast.batchnorm_relu_forward(x, gamma, beta, 0.1)
        z, *expected = reference.batchnorm_forward(x, gamma, beta, 0.1)
        np.testing.assert_allclose(y, reference.relu_forward(z), rtol=1e-11)
        np.testing.assert_allclose(statistics, expected, rtol=1e-11)
        known = gamma, beta, mean, np.ones(4)
        y = reference.relu_forward(reference.batchnorm_inference(x, *known, 0.1))
        np.testing.assert_allclose(fast.batchnorm_relu_inference(x, *known, 0.1), y, rtol=1e-11)
        got = fast.batchnorm_relu_backward(dy, x, *known, 0.1)
        expected = reference.batchnorm_backward(reference.relu_backward(dy, y), x, gamma, *known[2:], 0.1)
    for value, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-11)
