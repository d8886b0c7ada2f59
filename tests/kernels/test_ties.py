"""Equal windows give equal outputs, also by Winograd's sums: a pool and a ReLU then do what the definition says."""

import numpy as np
import pytest

from minicnn.kernels import fast, reference

NONE = ((0, 0), (0, 0))


def constant_along(axes, shape, rng):
    """Images whose numbers do not change along these axes."""
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
def test_in_flat_regions_the_first_of_four_wins_as_in_the_definition(C, rng):
    """A drawing of large squares: every 6x6 patch of the first rows is constant, or constant along one axis."""
    x = np.repeat(rng.random((2, 1, 4, C), np.float32), 26, axis=1).repeat(6, axis=2)
    weight, bias = rng.standard_normal((3, 3, C, 20), np.float32), rng.standard_normal(20, np.float32)
    y = np.maximum(reference.conv2d_forward(x, weight, bias, (1, 1), NONE), 0)
    wanted = reference.maxpool2d_forward(y, (2, 2), (2, 2), NONE)[1]
    winner = fast.block_forward(x, weight, bias, (1, 1), NONE)[1]
    # rows tie everywhere: the lower two of the four never win
    assert (winner[winner < 4] < 2).all() and (wanted < 2).all()


def test_zeros_stay_zeros(rng):
    """An image of zeros: every sum is exactly 0, so nothing passes a ReLU."""
    x, weight = np.zeros((2, 10, 10, 16), np.float32), rng.standard_normal((3, 3, 16, 24), np.float32)
    assert (fast.conv2d_forward(x, weight, None, (1, 1), ((1, 1), (1, 1))) == 0).all()
    assert (fast.block_forward(x, weight, None, (1, 1), NONE)[1] == 4).all()
