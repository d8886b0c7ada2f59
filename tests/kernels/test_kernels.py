"""Kernels on generated shapes: `reference` against loops over elements, the other sets against `reference`."""

import itertools
import sys

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from numba.extending import is_jitted

from minicnn import ArgumentError, ShapeError
from minicnn.kernels import NAMES, fast, im2col, kernel_set, reference
from minicnn.kernels.geometry import place_windows

SETS = [kernel_set(name) for name in NAMES]
OTHERS = [kernels for kernels in SETS if kernels is not reference]
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


@st.composite
def windows(draw, most=8):
    """An image shape with a window that fits, including non-square images, even kernels and uneven strides."""
    H, W, C = draw(st.integers(1, most)), draw(st.integers(1, most)), draw(st.integers(1, 4))
    KH, KW = kernel = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    strides = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    sides = (
        st.tuples(st.integers(0, KH - 1), st.integers(0, KH - 1)),
        st.tuples(st.integers(0, KW - 1), st.just(0)),
    )
    padding = draw(st.one_of(st.sampled_from(["valid", "same"]), st.tuples(*sides)))
    try:
        pads, size = place_windows((H, W, C), kernel, strides, padding, "test")
    except ShapeError:
        reject()
    return (H, W, C), kernel, strides, pads, size


@st.composite
def deep_windows(draw):
    """3x3 with stride 1 over many channels: here the fast set uses Winograd's algorithm, and lists of maxima."""
    H, W, C = draw(st.integers(2, 11)), draw(st.integers(2, 11)), draw(st.sampled_from([16, 17, 24, 33]))
    padding = draw(st.one_of(st.sampled_from(["valid", "same"]), st.just(((2, 0), (1, 2)))))
    try:
        pads, size = place_windows((H, W, C), (3, 3), (1, 1), padding, "test")
    except ShapeError:
        reject()
    return (H, W, C), (3, 3), (1, 1), pads, size


cases = dict(
    window=st.one_of(windows(), deep_windows()),
    batch=st.integers(1, 3),
    filters=st.one_of(st.integers(1, 4), st.sampled_from([16, 37])),
    seed=st.integers(0, 999),
    dtype=st.sampled_from(list(TOLERANCE)),
)


def close(got, expected, dtype):
    assert got.dtype == np.dtype(dtype) and got.shape == expected.shape
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(got, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * scale)


def draw_arrays(seed, dtype, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


# ------------------------------------------------------------------------------- convolution
@given(windows(most=5), st.integers(1, 2), st.integers(1, 3), st.integers(0, 99))
def test_reference_convolution_matches_its_equation_element_by_element(window, batch, filters, seed):
    (H, W, C), (KH, KW), (SH, SW), pads, (OH, OW) = window
    x, weight, bias, dy = draw_arrays(
        seed, "float64", (batch, H, W, C), (KH, KW, C, filters), filters, (batch, OH, OW, filters)
    )
    y, dx, dweight = np.zeros_like(dy), np.zeros_like(x), np.zeros_like(weight)
    for n, oh, ow, oc in np.ndindex(dy.shape):
        y[n, oh, ow, oc] = bias[oc]
        for kh, kw, c in itertools.product(range(KH), range(KW), range(C)):
            h, w = oh * SH + kh - pads[0][0], ow * SW + kw - pads[1][0]
            if 0 <= h < H and 0 <= w < W:
                y[n, oh, ow, oc] += x[n, h, w, c] * weight[kh, kw, c, oc]
                dx[n, h, w, c] += weight[kh, kw, c, oc] * dy[n, oh, ow, oc]
                dweight[kh, kw, c, oc] += x[n, h, w, c] * dy[n, oh, ow, oc]
    close(reference.conv2d_forward(x, weight, bias, (SH, SW), pads), y, "float64")
    got = reference.conv2d_backward(dy, x, weight, (SH, SW), pads)
    for value, expected in zip(got, (dx, dweight, dy.sum((0, 1, 2))), strict=True):
        close(value, expected, "float64")


@given(**cases)
def test_convolution_agrees_with_reference(window, batch, filters, seed, dtype):
    shape, kernel, strides, pads, size = window
    x, weight, bias, dy = draw_arrays(
        seed, dtype, (batch, *shape), (*kernel, shape[2], filters), filters, (batch, *size, filters)
    )
    check_convolution("conv2d", (x, weight, bias, dy), strides, pads, dtype)


def check_convolution(name, arrays, strides, pads, dtype):
    """Compare all sets with `reference`: with and without a bias, with and without each gradient."""
    x, weight, bias, dy = arrays
    for with_bias in (bias, None):
        expected, *others = (getattr(k, f"{name}_forward")(x, weight, with_bias, strides, pads) for k in SETS)
        for got in others:
            close(got, expected, dtype)
    backward = [getattr(kernels, f"{name}_backward") for kernels in SETS]
    expected, *others = (function(dy, x, weight, strides, pads) for function in backward)
    for got in others:
        for value, other in zip(got, expected, strict=True):
            close(value, other, dtype)
    for function in backward:
        whole = function(dy, x, weight, strides, pads)
        check_needed_gradients(function, (dy, x, weight, strides, pads), whole)


def check_needed_gradients(function, arguments, whole):
    """A gradient that is not needed is None; a gradient that is needed has the same bits."""
    none, *gradients = function(*arguments, need_dx=False)
    assert none is None
    for one, other in zip(gradients, whole[1:], strict=True):
        np.testing.assert_array_equal(one, other)
    dx, *nones = function(*arguments, need_dweight=False)
    np.testing.assert_array_equal(dx, whole[0])
    assert nones == [None, None]
    assert function(*arguments, need_dx=False, need_dweight=False) == (None, None, None)


@pytest.mark.parametrize("C", [3, 24])
@pytest.mark.parametrize("function", ["conv2d_forward", "conv2d_relu_maxpool2d_forward", "conv2d_backward"])
def test_arrays_of_different_float_types_raise_a_clear_error(function, C, rng):
    """Without the check, a float64 array among float32 arrays would be read as twice as many values."""
    x, dy = rng.random((2, 8, 8, C), np.float32), rng.random((2, 6, 6, 20), np.float32)
    weight, bias = rng.random((3, 3, C, 20)), np.zeros(20, np.float32)
    arrays = (dy, x, weight) if function == "conv2d_backward" else (x, weight, bias)
    with pytest.raises(ArgumentError, match=r"arrays of one type.*float32, float64"):
        getattr(fast, function)(*arrays, (1, 1), ((0, 0), (0, 0)))


# --------------------------------------------------------------------- depthwise convolution
@given(windows(most=5), st.integers(1, 2), st.integers(1, 3), st.integers(0, 99))
def test_depthwise_equals_a_convolution_whose_weights_do_not_mix_channels(window, batch, multiplier, seed):
    """`reference` against its conv2d, tested above, with weight[.., c, c*M + m] and 0 elsewhere."""
    (H, W, C), kernel, strides, pads, size = window
    O = C * multiplier  # noqa: E741
    x, weight, bias, dy = draw_arrays(
        seed, "float64", (batch, H, W, C), (*kernel, C, multiplier), O, (batch, *size, O)
    )
    c, m = np.divmod(np.arange(O), multiplier)
    whole = np.zeros((*kernel, C, O))
    whole[:, :, c, np.arange(O)] = weight[:, :, c, m]
    close(
        reference.depthwise_conv2d_forward(x, weight, bias, strides, pads),
        reference.conv2d_forward(x, whole, bias, strides, pads),
        "float64",
    )
    dx, dweight, dbias = reference.depthwise_conv2d_backward(dy, x, weight, strides, pads)
    expected_dx, dwhole, expected_dbias = reference.conv2d_backward(dy, x, whole, strides, pads)
    close(dx, expected_dx, "float64")
    close(dweight, dwhole[:, :, c, np.arange(O)].reshape(weight.shape), "float64")
    close(dbias, expected_dbias, "float64")


@given(
    st.one_of(windows(), deep_windows()),
    st.integers(1, 9),
    st.integers(1, 3),
    st.integers(0, 999),
    st.sampled_from(list(TOLERANCE)),
)
def test_depthwise_agrees_with_reference(window, batch, multiplier, seed, dtype):
    (H, W, C), kernel, strides, pads, size = window
    x, weight, bias, dy = draw_arrays(
        seed,
        dtype,
        (batch, H, W, C),
        (*kernel, C, multiplier),
        C * multiplier,
        (batch, *size, C * multiplier),
    )
    check_convolution("depthwise_conv2d", (x, weight, bias, dy), strides, pads, dtype)


@pytest.mark.parametrize("C", [8, 16, 19, 40])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_depthwise_on_vectors_of_channels(C, strides, dtype, rng):
    """3x3 kernels: channels that fill vectors, that make the last one overlap, or that are too few; several strides."""
    pads = ((1, 1), (0, 1))
    x, weight, bias = (rng.standard_normal(shape).astype(dtype) for shape in ((3, 7, 6, C), (3, 3, C, 1), C))
    dy = rng.standard_normal(reference.depthwise_conv2d_forward(x, weight, bias, strides, pads).shape)
    check_convolution("depthwise_conv2d", (x, weight, bias, dy.astype(dtype)), strides, pads, dtype)


# ----------------------------------------------------------------------- batch normalisation
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 4), st.integers(0, 99))
def test_reference_batchnorm_matches_its_equation_element_by_element(N, H, C, seed):
    """dx by the chain rule through mean and variance, with each derivative written out."""
    x, dy, gamma, beta = draw_arrays(seed, "float64", (N, H, 2, C), (N, H, 2, C), C, C)
    epsilon, n = 0.1, N * H * 2
    y, mean, variance = reference.batchnorm_forward(x, gamma, beta, epsilon)
    dx, dgamma, dbeta = reference.batchnorm_backward(dy, x, gamma, mean, variance, epsilon)
    for c in range(C):
        values, gradients = x[..., c].ravel().tolist(), dy[..., c].ravel().tolist()
        m = sum(values) / n
        v = sum((value - m) ** 2 for value in values) / n
        z = [(value - m) / (v + epsilon) ** 0.5 for value in values]
        close(np.array([mean[c], variance[c]]), np.array([m, v]), "float64")
        close(y[..., c].ravel(), np.array([gamma[c] * a + beta[c] for a in z]), "float64")
        close(dbeta[c : c + 1], np.array([sum(gradients)]), "float64")
        close(dgamma[c : c + 1], np.array([sum(g * a for g, a in zip(gradients, z, strict=True))]), "float64")
        expected = []
        for i in range(n):
            total = 0.0
            for j in range(n):
                dm, dv = 1 / n, 2 * (values[i] - m) / n
                dz = ((i == j) - dm) / (v + epsilon) ** 0.5 - (values[j] - m) / 2 * (v + epsilon) ** -1.5 * dv
                total += gradients[j] * gamma[c] * dz
            expected.append(total)
        close(dx[..., c].ravel(), np.array(expected), "float64")


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
    st.sampled_from([1, 2, 3, 16, 37]),
    st.sampled_from([0.0, 5.0, -100.0]),
    st.integers(0, 999),
    st.sampled_from(list(TOLERANCE)),
)
def test_batchnorm_agrees_with_reference(axes, C, mean, seed, dtype):
    x, dy, gamma, beta = draw_arrays(seed, dtype, (*axes, C), (*axes, C), C, C)
    check_batchnorm(x + np.asarray(mean, dtype), dy, gamma, beta, dtype)


@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_batchnorm_of_more_rows_than_the_cache_holds(dtype, rng):
    """Many partial sums of values that drift: tests that they are merged correctly."""
    x = (rng.standard_normal((9, 31, 70, 5)) + np.linspace(-30, 30, 9)[:, None, None, None]).astype(dtype)
    dy = rng.standard_normal(x.shape).astype(dtype)
    check_batchnorm(x, dy, *rng.standard_normal((2, 5)).astype(dtype), dtype)


def check_batchnorm(x, dy, gamma, beta, dtype):
    epsilon = 1e-3
    for kernels in OTHERS:
        expected = reference.batchnorm_forward(x, gamma, beta, epsilon)
        got = kernels.batchnorm_forward(x, gamma, beta, epsilon)
        for value, other in zip(got, expected, strict=True):
            # rounding of the mean matters more if the values are far from zero
            np.testing.assert_allclose(
                value, other, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * (10 + 40 * np.abs(x).max())
            )
            assert value.dtype == dtype
        _, mean, variance = expected
        close(
            kernels.batchnorm_inference(x, gamma, beta, mean, variance, epsilon),
            reference.batchnorm_inference(x, gamma, beta, mean, variance, epsilon),
            dtype,
        )
        arguments = dy, x, gamma, mean, variance, epsilon
        for value, other in zip(
            kernels.batchnorm_backward(*arguments), reference.batchnorm_backward(*arguments), strict=True
        ):
            close(value, other, dtype)
        assert kernels.batchnorm_backward(*arguments, need_dx=False)[0] is None


@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 40), st.integers(0, 99))
def test_batchnorm_inference_backward_is_the_gradient_with_constant_statistics(N, H, C, seed):
    """`reference` against finite differences, the other sets against `reference`."""
    x, dy = draw_arrays(seed, "float64", (N, H, C), (N, H, C))
    gamma, beta, mean, variance = np.random.default_rng(seed).uniform(0.5, 2, (4, C))

    def loss(x, gamma, beta):
        return float((dy * reference.batchnorm_inference(x, gamma, beta, mean, variance, 1e-3)).sum())

    known = dy, x, gamma, mean, variance, 1e-3
    expected = reference.batchnorm_inference_backward(*known)
    for i, (gradient, values) in enumerate(zip(expected, (x, gamma, beta), strict=True)):
        direction = np.random.default_rng(seed + 1).standard_normal(values.shape)
        sides = [[x, gamma, beta] for _ in range(2)]
        for side, sign in zip(sides, (1e-3, -1e-3), strict=True):
            side[i] = values + sign * direction
        slope = (
            loss(*sides[0]) - loss(*sides[1])
        ) / 2e-3  # exact except for rounding, because the loss is linear
        assert slope == pytest.approx((gradient * direction).sum(), rel=1e-7, abs=1e-7)
    for kernels in SETS:
        whole = kernels.batchnorm_inference_backward(*known)
        for got, other in zip(whole, expected, strict=True):
            close(got, other, "float64")
        check_needed_gradients(kernels.batchnorm_inference_backward, known, whole)


@pytest.mark.parametrize(("dtype", "large"), [("float32", 1e30), ("float64", 1e184)])
@pytest.mark.parametrize("kernels", SETS, ids=NAMES)
def test_a_variance_that_overflows_is_infinite_and_not_nan(kernels, dtype, large):
    x, one = np.full((6, 3), large, dtype), np.ones(3, dtype)
    x[0, 0] *= -1
    with np.errstate(over="ignore"):
        y, mean, variance = kernels.batchnorm_forward(x, one, one, 1e-3)
    assert np.isinf(variance[0]) and np.isfinite(mean).all()
    np.testing.assert_array_equal(y[:, 0], 1)


def test_a_channel_far_from_zero_keeps_its_digits():
    """Values near 10,000 that differ by 1: a sum of squares in float32 would lose the variance."""
    x = (10_000 + np.arange(4000) % 3).astype("float32").reshape(-1, 1)
    for kernels in SETS:
        _, mean, variance = kernels.batchnorm_forward(x, np.ones(1, "f"), np.zeros(1, "f"), 1e-3)
        assert mean[0] == pytest.approx(x.mean(dtype="float64"), rel=1e-7)
        assert variance[0] == pytest.approx(x.var(dtype="float64"), rel=1e-3)


@given(windows(), st.integers(1, 3), st.integers(0, 999))
def test_col2im_is_the_exact_transpose_of_im2col(window, batch, seed):
    """<im2col(x), c> = <x, col2im(c)>; small integers are computed without rounding."""
    shape, kernel, strides, pads, size = window
    rng = np.random.default_rng(seed)
    x = rng.integers(-9, 10, (batch, *shape)).astype("float64")
    c = rng.integers(-9, 10, (batch, *size, *kernel, shape[2])).astype("float64")
    columns, dx = np.empty_like(c), np.zeros_like(x)
    im2col.im2col(x, columns, strides, pads)
    im2col.col2im(c, dx, strides, pads)
    assert np.vdot(columns, c) == np.vdot(x, dx)


def test_blocks_of_images_do_not_change_the_result(monkeypatch, rng):
    x, weight = rng.standard_normal((7, 9, 8, 3)), rng.standard_normal((3, 3, 3, 5))
    dy, pads = rng.standard_normal((7, 7, 6, 5)), ((0, 0), (0, 0))
    whole = (
        im2col.conv2d_forward(x, weight, None, (1, 1), pads),
        *im2col.conv2d_backward(dy, x, weight, (1, 1), pads),
    )
    monkeypatch.setattr(im2col, "COLUMN_BYTES", 3 * 7 * 6 * 27 * 8)  # three images at a time, then one
    parts = (
        im2col.conv2d_forward(x, weight, None, (1, 1), pads),
        *im2col.conv2d_backward(dy, x, weight, (1, 1), pads),
    )
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


# ----------------------------------------------------------------------------------- pooling
@given(windows(most=6), st.integers(1, 2), st.integers(0, 99))
def test_reference_pools_match_their_definitions_element_by_element(window, batch, seed):
    (H, W, C), pool, (SH, SW), pads, (OH, OW) = window
    x = np.random.default_rng(seed).integers(0, 5, (batch, H, W, C)).astype("float64")  # many ties
    largest, argmax = reference.maxpool2d_forward(x, pool, (SH, SW), pads)
    mean = reference.averagepool2d_forward(x, pool, (SH, SW), pads)
    for n, oh, ow, c in np.ndindex(largest.shape):
        window_values = {}
        for kh, kw in np.ndindex(pool):
            h, w = oh * SH + kh - pads[0][0], ow * SW + kw - pads[1][0]
            if 0 <= h < H and 0 <= w < W:
                window_values[kh * pool[1] + kw] = x[n, h, w, c]
        assert largest[n, oh, ow, c] == max(window_values.values())
        assert argmax[n, oh, ow, c] == min(
            at for at, value in window_values.items() if value == max(window_values.values())
        )
        assert mean[n, oh, ow, c] == pytest.approx(sum(window_values.values()) / len(window_values))


@given(windows(), st.integers(1, 3), st.integers(0, 999), st.sampled_from(list(TOLERANCE)))
def test_pools_agree_with_reference(window, batch, seed, dtype):
    shape, pool, strides, pads, size = window
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 4, (batch, *shape)).astype(dtype)
    dy = rng.standard_normal((batch, *size, shape[2])).astype(dtype)
    y, argmax = reference.maxpool2d_forward(x, pool, strides, pads)
    for kernels in OTHERS:
        for one, other in zip(kernels.maxpool2d_forward(x, pool, strides, pads), (y, argmax), strict=True):
            np.testing.assert_array_equal(one, other)
    for name, arguments in (
        ("maxpool2d_backward", (dy, argmax, x.shape)),
        ("averagepool2d_forward", (x,)),
        ("averagepool2d_backward", (dy, x.shape)),
    ):
        expected, *others = (getattr(kernels, name)(*arguments, pool, strides, pads) for kernels in SETS)
        for got in others:
            close(got, expected, dtype)


@given(**cases)
def test_the_fused_block_equals_its_three_layers(window, batch, filters, seed, dtype):
    """Compare outputs, inactive maxima and gradients with those of `reference`, layer by layer."""
    shape, kernel, strides, pads, size = window
    PH, PW, none = size[0] // 2, size[1] // 2, ((0, 0), (0, 0))
    if min(PH, PW) == 0:
        reject()
    x, weight, bias, dy = draw_arrays(
        seed, dtype, (batch, *shape), (*kernel, shape[2], filters), filters, (batch, PH, PW, filters)
    )
    z = reference.relu_forward(reference.conv2d_forward(x, weight, bias, strides, pads))
    y, at = reference.maxpool2d_forward(z, (2, 2), (2, 2), none)
    dz = reference.relu_backward(reference.maxpool2d_backward(dy, at, z.shape, (2, 2), (2, 2), none), z)
    got, argmax = fast.conv2d_relu_maxpool2d_forward(x, weight, bias, strides, pads)
    close(got, y, dtype)
    np.testing.assert_array_equal(argmax == fast.convolution.epilogue.INACTIVE, y == 0)
    for value, expected in zip(
        fast.conv2d_relu_maxpool2d_backward(dy, argmax, x, weight, strides, pads),
        reference.conv2d_backward(dz, x, weight, strides, pads),
        strict=True,
    ):
        close(value, expected, dtype)
    assert fast.conv2d_relu_maxpool2d_backward(dy, argmax, x, weight, strides, pads, need_dx=False)[0] is None


def test_ties_in_the_block_take_the_first_as_in_the_pool(rng):
    """Small integers give ties in most windows and are computed exactly, so the max indices must be equal."""
    x, weight, bias = (
        rng.integers(-1, 2, shape).astype("float64") for shape in ((2, 9, 8, 2), (2, 2, 2, 3), 3)
    )
    none = ((0, 0), (0, 0))
    z = reference.relu_forward(reference.conv2d_forward(x, weight, bias, (1, 1), none))
    y, at = reference.maxpool2d_forward(z, (2, 2), (2, 2), none)
    got, argmax = fast.conv2d_relu_maxpool2d_forward(x, weight, bias, (1, 1), none)
    np.testing.assert_array_equal(got, y)
    np.testing.assert_array_equal(argmax, np.where(y > 0, at, fast.convolution.epilogue.INACTIVE))
    assert len(set(at[y > 0])) == 4  # every place is the maximum somewhere


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", ["x", "odd edge", "bias", "weight", "dy"])
@pytest.mark.parametrize("C", [3, 16, 32])
def test_nan_and_infinity_propagate_through_the_block_as_through_its_layers(bad, place, C, rng):
    shapes = (2, 9, 9, C), (3, 3, C, 4), 4, (2, 3, 3, 4)
    x, weight, bias, dy = (rng.standard_normal(shape) for shape in shapes)
    if place == "x":
        x[0, 2, 3, 1] = x[1, 6, 7, 2] = bad
    elif place == "odd edge":  # read only by outputs that the pool leaves out
        x[0, 8, 8, 1] = bad
    elif place == "bias":
        bias[0] = bad
    elif place == "weight":
        weight[1, 2, 0, 3] = bad
    else:
        dy[1, 1, 2, :] = bad
    none = ((0, 0), (0, 0))
    with np.errstate(invalid="ignore"):
        z = reference.relu_forward(reference.conv2d_forward(x, weight, bias, (1, 1), none))
    y, at = reference.maxpool2d_forward(z, (2, 2), (2, 2), none)
    got, argmax = fast.conv2d_relu_maxpool2d_forward(x, weight, bias, (1, 1), none)
    np.testing.assert_allclose(got, y, rtol=1e-11, atol=1e-12)
    with np.errstate(invalid="ignore"):
        dz = reference.relu_backward(reference.maxpool2d_backward(dy, at, z.shape, (2, 2), (2, 2), none), z)
        expected = reference.conv2d_backward(dz, x, weight, (1, 1), none)
        for one, other in zip(
            fast.conv2d_relu_maxpool2d_backward(dy, argmax, x, weight, (1, 1), none), expected, strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-12)


def test_an_argmax_in_a_large_window_needs_more_than_a_byte(rng):
    x = np.zeros((1, 20, 20, 1), "float32")
    x[0, 19, 19, 0] = 1
    for kernels in SETS:
        _, argmax = kernels.maxpool2d_forward(x, (20, 20), (1, 1), ((0, 0), (0, 0)))
        assert argmax.item() == 399


# ---------------------------------------------------------------------------- every function
def test_nan_and_infinity_in_reference_on_a_hand_worked_example():
    x = np.array([1.0, np.nan, 2.0, np.inf]).reshape(1, 2, 2, 1)
    pads, weight = ((0, 0), (0, 0)), np.ones((1, 2, 1, 1))
    assert np.isnan(reference.conv2d_forward(x, weight, None, (1, 1), pads)[0, 0]).item()
    assert reference.conv2d_forward(x, weight, None, (1, 1), pads)[0, 1].item() == np.inf
    y, argmax = reference.maxpool2d_forward(x, (2, 2), (2, 2), pads)
    assert np.isnan(y).item() and argmax.item() == 1
    np.testing.assert_array_equal(
        reference.relu_forward(np.array([np.nan, -np.inf, np.inf])), [np.nan, 0, np.inf]
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kernels", OTHERS, ids=NAMES[1:])
def test_nan_and_infinity_propagate_as_in_reference(kernels, bad, rng):
    x, weight, bias = (
        rng.standard_normal((2, 6, 7, 3)),
        rng.standard_normal((3, 2, 3, 4)),
        rng.standard_normal(4),
    )
    x[0, 2, 3, 1] = x[1, 5, 6, 2] = x[1, 5, 5, 2] = bad
    pads, infinite = ((1, 1), (0, 1)), weight[..., :1].copy()
    infinite[0, 0, 0] = np.inf  # it is multiplied with the zeros of the padding
    with np.errstate(invalid="ignore"):
        pairs = [
            (
                k.conv2d_forward(x, weight, bias, (1, 2), pads),
                *k.maxpool2d_forward(x, (3, 2), (2, 1), pads),
                k.averagepool2d_forward(x, (3, 2), (2, 1), pads),
                k.relu_forward(x),
                k.relu_backward(x, x),
                *k.conv2d_backward(x[:, :4, :, :], x, weight[:, :1, :, :3], (1, 1), ((0, 0), (0, 0))),
                k.averagepool2d_backward(x, (2, 12, 14, 3), (2, 2), (2, 2), ((0, 0), (0, 0))),
                *k.dense_backward(x[0, :, 0], x[0, :, :, 0], weight[:1, 0, 0, :3].repeat(7, 0)),
                k.depthwise_conv2d_forward(x, weight, None, (1, 2), pads),
                *k.depthwise_conv2d_backward(x, x, infinite, (1, 1), ((1, 1), (0, 1))),
                *k.batchnorm_forward(x, bias[:3], bias[1:], 1e-3),
                k.batchnorm_inference(x, bias[:3], bias[1:], bias[:3], bias[1:] ** 2, 1e-3),
                *k.batchnorm_backward(x, x[::-1], bias[:3], bias[1:], bias[1:] ** 2, 1e-3),
                k.add(x, x[::-1]),
            )
            for k in (reference, kernels)
        ]
    for expected, got in zip(*pairs, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert not np.isfinite(pairs[1][0]).all()
    if np.isnan(bad):
        assert np.isnan(pairs[1][1]).any() and np.isnan(pairs[1][4]).sum() == 3


def results(k, x, weight, dy, one):
    """The results of every kernel of a set on these arrays."""
    pads, pair = ((0, 0), (0, 0)), (2, 2)
    yield k.conv2d_forward(x, weight, one, (1, 1), pads)
    yield from k.conv2d_backward(dy, x, weight, (1, 1), pads)
    largest, argmax = k.maxpool2d_forward(x, pair, pair, pads)
    yield from (largest, argmax, k.maxpool2d_backward(x[:, :3, :2], argmax, x.shape, pair, pair, pads))
    yield k.averagepool2d_forward(x, pair, pair, pads)
    yield k.averagepool2d_backward(x[:, :3, :2], x.shape, pair, pair, pads)
    yield from (k.relu_forward(x), k.relu_backward(x, x), k.add(x, x))
    yield k.depthwise_conv2d_forward(x, weight[..., :1], one, (1, 1), pads)
    yield from k.depthwise_conv2d_backward(dy, x, weight[..., :1], (1, 1), pads)
    y, mean, variance = k.batchnorm_forward(x, one, one, 1e-3)
    yield from (y, mean, variance, *k.batchnorm_backward(x, x, one, mean, variance, 1e-3))
    yield k.dense_forward(x.reshape(90, 2), weight.reshape(2, 8)[:, ::2], None)
    rows, matrix = np.broadcast_to(x.reshape(90, 2)[:, :1], (90, 64)), np.broadcast_to(one[:1], (64, 2))
    yield from (k.dense_forward(rows, matrix, one), *k.dense_backward(x.reshape(90, 2), rows, matrix))


@pytest.mark.parametrize("kernels", SETS, ids=NAMES)
def test_kernels_keep_their_inputs_and_accept_any_memory_layout_without_recompiling(kernels, rng):
    def compiled():
        modules = [module for name, module in sys.modules.items() if name.startswith("minicnn.kernels")]
        functions = [thing for module in modules for thing in vars(module).values() if is_jitted(thing)]
        return sum(len(function.signatures) for function in functions)

    arrays = [rng.standard_normal(shape) for shape in ((3, 6, 5, 2), (2, 2, 2, 2), (3, 5, 4, 2), 2)]
    before = [array.copy() for array in arrays]
    expected = list(results(kernels, *arrays))
    for array, old in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, old)
    count = compiled()
    fortran_ordered = [np.asfortranarray(array) for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    for others in (fortran_ordered, arrays):
        for one, other in zip(results(kernels, *others), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
        for array, old in zip(others, before, strict=True):
            np.testing.assert_array_equal(array, old)
    assert compiled() == count


def test_dense_and_relu_match_their_equations(rng):
    x, weight, bias, dy = (
        rng.standard_normal((3, 4)),
        rng.standard_normal((4, 2)),
        rng.standard_normal(2),
        rng.standard_normal((3, 2)),
    )
    y = [[sum(x[n, i] * weight[i, o] for i in range(4)) + bias[o] for o in range(2)] for n in range(3)]
    dx = [[sum(dy[n, o] * weight[i, o] for o in range(2)) for i in range(4)] for n in range(3)]
    dweight = [[sum(x[n, i] * dy[n, o] for n in range(3)) for o in range(2)] for i in range(4)]
    for kernels in SETS:
        np.testing.assert_allclose(kernels.dense_forward(x, weight, bias), y)
        for got, expected in zip(
            kernels.dense_backward(dy, x, weight), (dx, dweight, dy.sum(0)), strict=True
        ):
            np.testing.assert_allclose(got, expected)
        zero = np.array([-1.0, 0.0, 2.0])
        np.testing.assert_array_equal(
            kernels.relu_backward(np.array([5.0, 6.0, 7.0]), kernels.relu_forward(zero)), [0, 0, 7]
        )


@pytest.mark.parametrize(
    ("N", "K", "O"), [(1, 70, 300), (1, 5, 2100), (1, 600, 33), (3, 70, 131), (40, 300, 9), (33, 2600, 130)]
)
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_dense_layers_on_tiles_agree_with_reference(N, K, O, dtype, rng):  # noqa: E741
    """One sample and many; fewer rows of weights than chunks, and more than are processed at once."""
    assert N * K * O > fast.dense.TINY
    x, weight, bias, dy = (
        rng.standard_normal(shape).astype(dtype) for shape in ((N, K), (K, O), (O,), (N, O))
    )
    for with_bias in (bias, None):
        close(fast.dense_forward(x, weight, with_bias), reference.dense_forward(x, weight, with_bias), dtype)
    expected = reference.dense_backward(dy, x, weight)
    for got, other in zip(fast.dense_backward(dy, x, weight), expected, strict=True):
        close(got, other, dtype)
    for kernels in SETS:
        whole = kernels.dense_backward(dy, x, weight)
        check_needed_gradients(kernels.dense_backward, (dy, x, weight), whole)


@pytest.mark.parametrize("kernels", SETS, ids=NAMES)
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_largest_is_the_largest_absolute_value_or_nan(kernels, dtype, rng):
    x = rng.standard_normal((3, 70)).astype(dtype)
    assert kernels.largest(x) == float(np.abs(x).max())
    assert kernels.largest(x[:, ::2]) == float(np.abs(x[:, ::2]).max())
    assert kernels.largest(x[:0]) == kernels.largest(np.full(3, -0.0, dtype)) == 0
    for value in (-np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal, -np.inf):
        assert kernels.largest(np.array([0, value], dtype)) == abs(float(value))
    for place in ((0, 0), (1, 35), (2, 69)):
        for nan in (np.nan, -np.nan):
            x[:] = np.inf
            x[place] = nan
            assert np.isnan(kernels.largest(x))


def test_the_fast_set_refuses_shapes_that_do_not_fit():
    x, weight = np.zeros((2, 5, 5, 3), np.float32), np.zeros((3, 3, 4, 6), np.float32)
    with pytest.raises(ShapeError, match=r"weights \(3, 3, 4, 6\) fit on, received shape \(5, 5, 3\)"):
        fast.conv2d_forward(x, weight, None, (1, 1), ((0, 0), (0, 0)))
    with pytest.raises(ShapeError, match=r"received shape \(2, 5, 4\)"):
        fast.conv2d_forward(np.zeros((2, 2, 5, 4), np.float32), weight, None, (1, 1), ((0, 0), (0, 0)))


@pytest.mark.parametrize("kernels", SETS, ids=NAMES)
def test_underflow_is_not_an_error(kernels):
    """Under np.seterr(all="raise"), small gradients must not raise."""
    small, none = np.full((2, 6, 6, 3), 1e-30, "float32"), ((0, 0), (0, 0))
    tiny = np.full((2, 3, 3, 3), 1e-40, "float32")
    weight, terms = small[:1, :3].transpose(1, 2, 3, 0)[:, :3] * np.ones(4, "float32"), small[0, 0, 0]
    dy = np.full((2, 4, 4, 4), 1e-30, "float32")
    with np.errstate(all="raise"):
        kernels.conv2d_backward(dy, small, weight, (1, 1), none)
        kernels.conv2d_forward(small, weight, None, (1, 1), none)
        kernels.depthwise_conv2d_backward(dy[..., :3], small, weight[..., :1], (1, 1), none)
        kernels.dense_backward(dy[:, 0, 0], small[:, 0, 0], weight[0, 0])
        kernels.dense_forward(small[:, 0, 0], weight[0, 0], None)
        y, mean, variance = kernels.batchnorm_forward(small, terms, terms, 1e-3)
        kernels.batchnorm_backward(small, small, terms, mean, variance, 1e-3)
        kernels.batchnorm_inference_backward(small, small, terms, mean, variance, 1e-3)
        kernels.averagepool2d_backward(tiny, small.shape, (2, 2), (2, 2), none)
        kernels.sgd_step(weight.copy(), weight, np.zeros_like(weight), 1e-20, 0.9, True)
        kernels.adam_step(
            weight.copy(), weight, *np.zeros((2, *weight.shape), "float32"), 0.1, 0.9, 0.99, 1e-7, 0.0
        )


def test_an_unknown_set_raises_an_error_that_lists_the_sets():
    with pytest.raises(ArgumentError, match='"im2col" or "fast", received .turbo.'):
        kernel_set("turbo")
