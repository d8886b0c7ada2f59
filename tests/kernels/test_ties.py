"""Equal windows give equal outputs, even with Winograd's algorithm, so that pool and ReLU behave as defined."""

import numpy as np
import pytest

from minicnn.kernels import fast, reference

NONE = ((0, 0), (0, 0))


def constant_along(axes, shape, rng):
    """Images whose values are constant along these axes."""
    return np.broadcast_to(rng.random([1 if i in axes else n for i, n in enumerate(shape)]), shape)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("C", [1, 3, 16, 33])
@pytest.mark.parametrize("axes", [(1, 2), (1,), (2,)], ids=["constant", "columns", "rows"])
@pytest.mark.parametrize("side", [12, 19])
def test_outputs_of_equal_windows_are_equal(dtype, C, axes, side, rng):
    x = np.ascontiguousarray(constant_along(axes, (2, side, side + 5, C), rng), dtype)
    weight = rng.standard_normal((3, 3, C, 33)).astype(dtype)
    y = fast.conv2d_forward(x, weight, None, (1, 1), NONE)
    for axis in axes:
        assert (np.diff(y, axis=axis) == 0).all()


@pytest.mark.parametrize("C", [3, 16])
def test_in_flat_regions_the_first_of_four_is_taken_as_in_the_definition(C, rng):
    """Vertical stripes: every 6x6 patch is constant, or constant along one axis."""
    x = np.repeat(rng.random((2, 1, 4, C), np.float32), 26, axis=1).repeat(6, axis=2)
    weight, bias = rng.standard_normal((3, 3, C, 20), np.float32), rng.standard_normal(20, np.float32)
    y = np.maximum(reference.conv2d_forward(x, weight, bias, (1, 1), NONE), 0)
    expected = reference.maxpool2d_forward(y, (2, 2), (2, 2), NONE)[1]
    argmax = fast.conv2d_relu_maxpool2d_forward(x, weight, bias, (1, 1), NONE)[1]
    # rows tie everywhere, so the lower two of the four are never taken
    assert (argmax[argmax < 4] < 2).all() and (expected < 2).all()


def test_zeros_stay_zeros(rng):
    """With an image of zeros every sum is exactly 0, so no output is active after a ReLU."""
    x, weight = np.zeros((2, 10, 10, 16), np.float32), rng.standard_normal((3, 3, 16, 24), np.float32)
    assert (fast.conv2d_forward(x, weight, None, (1, 1), ((1, 1), (1, 1))) == 0).all()
    assert (fast.conv2d_relu_maxpool2d_forward(x, weight, None, (1, 1), NONE)[1] == 4).all()
