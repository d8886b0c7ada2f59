"""Dilated convolutions on generated shapes: `reference` against loops over elements, other sets against `reference`."""

import itertools

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from minicnn import ShapeError
from minicnn.kernels import kernel_set, reference
from minicnn.kernels.geometry import place_windows

OTHERS = [kernel_set("im2col"), kernel_set("fast")]


@st.composite
def dilated_windows(draw):
    """An image shape with a dilated window that fits; some dilations are larger than the image."""
    H, W, C = draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.sampled_from([1, 3, 17]))
    kernel, dilation = ((draw(st.integers(1, 3)), draw(st.integers(1, 3))) for _ in range(2))
    sides = st.tuples(st.integers(0, 4), st.integers(0, 4))
    padding = draw(st.one_of(st.sampled_from(["valid", "same"]), st.tuples(sides, sides)))
    try:
        pads, size = place_windows((H, W, C), kernel, (1, 1), padding, "test", dilation)
    except ShapeError:
        reject()
    return (H, W, C), kernel, dilation, pads, size


def close(got, expected):
    for actual, wanted in zip(got, expected, strict=True):
        assert actual.shape == wanted.shape and actual.dtype == wanted.dtype
        np.testing.assert_allclose(actual, wanted, rtol=1e-11, atol=1e-11)


@given(dilated_windows(), st.integers(1, 2), st.integers(0, 99))
def test_reference_matches_its_equation_element_by_element(window, batch, seed):
    (H, W, C), (KH, KW), (DH, DW), pads, (OH, OW) = window
    C, OC, rng = min(C, 3), 2, np.random.default_rng(seed)
    x, weight, bias = rng.random((batch, H, W, C)), rng.random((KH, KW, C, OC)), rng.random(OC)
    dy = rng.random((batch, OH, OW, OC))
    y, dx, dweight = np.zeros_like(dy) + bias, np.zeros_like(x), np.zeros_like(weight)
    for n, oh, ow, oc in np.ndindex(dy.shape):
        for kh, kw, c in itertools.product(range(KH), range(KW), range(C)):
            h, w = oh + kh * DH - pads[0][0], ow + kw * DW - pads[1][0]
            if 0 <= h < H and 0 <= w < W:
                y[n, oh, ow, oc] += x[n, h, w, c] * weight[kh, kw, c, oc]
                dx[n, h, w, c] += weight[kh, kw, c, oc] * dy[n, oh, ow, oc]
                dweight[kh, kw, c, oc] += x[n, h, w, c] * dy[n, oh, ow, oc]
    close([reference.dilated_conv2d_forward(x, weight, bias, pads, (DH, DW))], [y])
    got = reference.dilated_conv2d_backward(dy, x, weight, pads, (DH, DW))
    close(got, (dx, dweight, dy.sum((0, 1, 2))))


@pytest.mark.parametrize("kernels", OTHERS, ids=["im2col", "fast"])
@pytest.mark.parametrize("name", ["dilated_conv2d", "dilated_depthwise_conv2d"])
@given(
    window=dilated_windows(),
    batch=st.integers(1, 3),
    filters=st.sampled_from([1, 2, 18]),
    seed=st.integers(0, 99),
)
def test_the_other_sets_agree_with_reference(kernels, name, window, batch, filters, seed):
    (H, W, C), kernel, dilation, pads, size = window
    filters, rng = filters if name == "dilated_conv2d" else min(filters, 2), np.random.default_rng(seed)
    OC = filters if name == "dilated_conv2d" else C * filters
    x, weight, bias = rng.random((batch, H, W, C)) - 0.5, rng.random((*kernel, C, filters)), rng.random(OC)
    dy = rng.random((batch, *size, OC)) - 0.5
    forward, backward = (
        [getattr(k, f"{name}_{direction}") for k in (kernels, reference)]
        for direction in ("forward", "backward")
    )
    for with_bias in (bias, None):
        close(*([function(x, weight, with_bias, pads, dilation)] for function in forward))
    gradients, expected = (function(dy, x, weight, pads, dilation) for function in backward)
    close(gradients, expected)
    for need_dx, need_dweight in ((False, True), (True, False)):
        got = backward[0](dy, x, weight, pads, dilation, need_dx, need_dweight)
        needed = need_dx, need_dweight, need_dweight
        assert [part is not None for part in got] == list(needed)
        close([part for part in got if part is not None], list(itertools.compress(gradients, needed)))


@pytest.mark.parametrize("kernels", OTHERS, ids=["im2col", "fast"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", ["x", "weight", "dy"])
def test_nan_and_infinity_propagate_as_in_reference(kernels, bad, place, rng):
    """A kernel filled up with zeros would spread NaN and infinity to other outputs."""
    pads, dilation = ((2, 1), (0, 2)), (2, 3)
    arrays = {"x": rng.random((2, 9, 11, 17)), "weight": rng.random((3, 3, 17, 18))}
    arrays["dy"] = np.ones_like(reference.dilated_conv2d_forward(*arrays.values(), None, pads, dilation))
    arrays[place][1, 2, 3 if place != "weight" else 2, 5] = bad
    x, weight, dy = arrays.values()
    with np.errstate(invalid="ignore"):
        y, expected = (
            k.dilated_conv2d_forward(x, weight, None, pads, dilation) for k in (kernels, reference)
        )
        close([y], [expected])
        got, expected = (
            k.dilated_conv2d_backward(dy, x, weight, pads, dilation) for k in (kernels, reference)
        )
        close(got, expected)
    assert not all(np.isfinite(array).all() for array in (y, *got))


def test_a_dilation_of_one_is_an_ordinary_convolution(rng):
    x, weight, pads = rng.random((2, 7, 6, 3)), rng.random((3, 2, 3, 4)), ((1, 1), (0, 1))
    for kernels in (reference, *OTHERS):
        actual = kernels.dilated_conv2d_forward(x, weight, None, pads, (1, 1))
        close([actual], [kernels.conv2d_forward(x, weight, None, (1, 1), pads)])
