"""Tests of check_size: the forms of an image size that are accepted, and those that are refused."""

import numpy as np
import pytest

from minicnn import ArgumentError
from minicnn.data.sizes import check_size


@pytest.mark.parametrize("value", [5, np.int64(5), (5, 5), [5, 5], np.array([5, 5])])
def test_a_size_is_one_number_or_two(value):
    size = check_size(value, "size")
    assert size == (5, 5) and all(type(side) is int for side in size)


@pytest.mark.parametrize(
    "value", [0, -1, 5.0, True, None, "5", "55", b"55", (5,), (5, 0), (5, "5"), (None, 5), {}, 5 + 0j, np.nan]
)
def test_anything_else_is_refused(value):
    with pytest.raises(
        ArgumentError, match=r"image_size: expected an int of at least 1, or \(height, width\)"
    ):
        check_size(value, "image_size")
