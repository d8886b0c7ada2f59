"""Window geometry against a direct count of the places where a window fits."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from minicnn import ArgumentError, ShapeError
from minicnn.kernels.geometry import (
    check_padding,
    effective_kernel,
    output_size,
    pair,
    place_windows,
    same_padding,
)

small = st.integers(1, 12)


@given(small, small, st.integers(1, 5), st.integers(0, 4), st.integers(0, 4))
def test_output_size_counts_the_places_where_a_window_fits(size, kernel, stride, before, after):
    length = size + before + after
    assume(length >= kernel)
    places = [start for start in range(0, length, stride) if start + kernel <= length]
    assert output_size(size, kernel, stride, before, after) == len(places)


@given(small, small, st.integers(1, 5))
def test_same_padding_gives_ceil_of_size_over_stride_with_minimal_padding(size, kernel, stride):
    before, after = same_padding(size, kernel, stride)
    expected = -(-size // stride)
    assert output_size(size, kernel, stride, before, after) == expected
    assert after - before in (0, 1)
    if before + after > 0:
        assert output_size(size, kernel, stride, 0, before + after - 1) < expected


def test_stride_2_on_an_even_size_pads_bottom_and_right_as_keras_does():
    assert place_windows((8, 8, 1), (3, 3), (2, 2), "same", "Conv2D")[0] == ((0, 1), (0, 1))


@given(small, st.integers(1, 4), st.integers(1, 4), st.integers(0, 3))
def test_a_dilated_window_fits_where_all_its_values_fit(size, kernel, dilation, padding):
    places = [
        start for start in range(size + 2 * padding) if start + (kernel - 1) * dilation < size + 2 * padding
    ]
    assume(places)
    pads = ((padding, padding), (0, 0))
    found, (OH, OW) = place_windows((size, 1, 1), (kernel, 1), (1, 1), pads, "test", (dilation, 1))
    assert found == pads and (len(places), 1) == (OH, OW)


@given(small, small, st.integers(1, 4), st.integers(1, 4))
def test_same_padding_keeps_the_size_under_dilation(H, W, kernel, dilation):
    (top, bottom), size = (
        place_windows((H, W, 1), (kernel, 1), (1, 1), "same", "test", (dilation, 1))[0][0],
        (H, W),
    )
    assert place_windows((H, W, 1), (kernel, 1), (1, 1), "same", "test", (dilation, 1))[1] == size
    assert top + bottom == effective_kernel((kernel, 1), (dilation, 1))[0] - 1


def test_a_dilated_window_that_does_not_fit_is_refused_with_its_effective_size():
    with pytest.raises(ShapeError, match="at least 5x5, received 4x9"):
        place_windows((4, 9, 3), (3, 3), (1, 1), "valid", "Conv2D", (2, 2))


@pytest.mark.parametrize("value", [0, -1, 1.5, "3", (1, 2, 3), (1,), (0, 1), True, None])
def test_pair_refuses_invalid_values(value):
    with pytest.raises(ArgumentError, match="kernel_size: expected an int"):
        pair(value, "kernel_size")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (0, ((0, 0), (0, 0))),
        (2, ((2, 2), (2, 2))),
        (((0, 1), 2), ((0, 1), (2, 2))),
        (np.int64(1), ((1, 1), (1, 1))),
    ],
)
def test_check_padding_returns_pairs(written, expected):
    assert check_padding(written, "p") == expected


@pytest.mark.parametrize(
    "padding", ["full", -1, (1,), None, 1.5, True, np.array(["same", "same"]), ((1, 2, 3), 1)]
)
def test_check_padding_refuses_invalid_values(padding):
    with pytest.raises(ArgumentError):
        check_padding(padding, "padding")


def test_an_image_smaller_than_the_window_raises_an_error_that_says_what_to_do():
    with pytest.raises(ShapeError, match=r"at least 5x5, received 4x9. Use larger images"):
        place_windows((4, 9, 3), (5, 5), (1, 1), "valid", "Conv2D")
    with pytest.raises(ShapeError, match="Put it before Flatten"):
        place_windows((12,), (3, 3), (1, 1), "valid", "Conv2D")
