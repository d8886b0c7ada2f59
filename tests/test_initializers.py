"""Initialisers: the measured spread agrees with the formula, and fans are counted as in Keras."""

import math

import numpy as np
import pytest

from minicnn.initializers import fans, glorot_uniform, he_normal, zeros


@pytest.mark.parametrize(("shape", "wanted"), [((100, 50), (100, 50)), ((3, 5, 7, 11), (105, 165))])
def test_fans_are_counted_as_in_keras(shape, wanted):
    assert fans(shape) == wanted


@pytest.mark.parametrize("shape", [(400, 300), (3, 3, 64, 128)])
def test_the_spread_agrees_with_the_formula(shape, rng):
    fan_in, fan_out = fans(shape)
    uniform = glorot_uniform(shape, rng)
    limit = math.sqrt(6 / (fan_in + fan_out))
    assert np.abs(uniform).max() <= limit and uniform.std() == pytest.approx(limit / math.sqrt(3), rel=0.01)
    normal = he_normal(shape, rng)
    assert normal.std() == pytest.approx(math.sqrt(2 / fan_in), rel=0.01)
    assert (
        np.abs(normal).max() <= 2 * math.sqrt(2 / fan_in) / 0.8796
        and abs(normal.mean()) < 0.01 * normal.std() + 1e-3
    )


def test_the_type_is_as_requested_and_a_seed_repeats_the_values():
    for initializer in (glorot_uniform, he_normal, zeros):
        one, two = (initializer((4, 5), np.random.default_rng(3), "float64") for _ in "ab")
        assert one.dtype == np.float64
        np.testing.assert_array_equal(one, two)
