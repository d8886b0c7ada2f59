"""Penalties on weights against sums computed by hand, and their gradients against finite differences."""

import copy
import pickle

import numpy as np
import pytest

from minicnn import ArgumentError
from minicnn.gradient_check import check_array
from minicnn.regularizers import L1, L1L2, L2, Regularizer, find_regularizer

# -1, 2, 0 and 3: sum |w| = 6, sum w^2 = 14.
WEIGHT = np.array([[-1.0, 2.0], [0.0, 3.0]])


@pytest.mark.parametrize(
    ("regularizer", "penalty", "gradient"),
    [
        (L1(0.5), 3.0, [[-0.5, 0.5], [0, 0.5]]),
        (L2(0.5), 7.0, [[-1, 2], [0, 3]]),
        (L1L2(0.5, 0.5), 10.0, [[-1.5, 2.5], [0, 3.5]]),
        (L1(), 0.06, [[-0.01, 0.01], [0, 0.01]]),
        (L2(), 0.14, [[-0.02, 0.04], [0, 0.06]]),
        (L1L2(), 0.0, [[0, 0], [0, 0]]),
    ],
)
def test_penalty_and_gradient_follow_the_formulas_of_keras(regularizer, penalty, gradient):
    assert (
        regularizer.penalty(WEIGHT) == pytest.approx(penalty) and type(regularizer.penalty(WEIGHT)) is float
    )
    np.testing.assert_allclose(regularizer.gradient(WEIGHT), gradient)


@pytest.mark.parametrize("regularizer", [L1(0.3), L2(0.3), L1L2(0.1, 0.2)])
def test_the_gradient_agrees_with_finite_differences(regularizer, rng):
    weight = rng.standard_normal((3, 4))
    check = check_array("w", lambda: regularizer.penalty(weight), weight, regularizer.gradient(weight))
    assert check.passes(1e-6), str(check)


def test_the_gradient_has_the_type_of_the_weights_and_underflow_is_not_an_error():
    with np.errstate(all="raise"):
        weight = np.full(3, 1e-30, "float32")
        assert L1L2(0.1, 1e-20).gradient(weight).dtype == np.float32
        assert L1L2(0.1, 1e-20).penalty(np.full(3, 1e-200)) >= 0
        assert L2(1.0).penalty(np.full(2, 1e30, "float32")) == pytest.approx(2e60)  # beyond float32


@pytest.mark.parametrize("regularizer", [L1(0.3), L2(0.2), L1L2(0.1, 0.2)])
def test_a_config_a_copy_and_a_pickle_give_the_same_regularizer(regularizer):
    again = find_regularizer(regularizer.config)
    assert again == regularizer and repr(again) == repr(regularizer)
    assert regularizer.config == {"l1": regularizer.l1, "l2": regularizer.l2}
    assert copy.deepcopy(regularizer) == pickle.loads(pickle.dumps(regularizer)) == regularizer
    assert hash(again) == hash(regularizer) and regularizer != L2(9)


def test_find_regularizer_accepts_names_objects_and_none():
    assert find_regularizer("L2") == L2(0.01) and find_regularizer("l1") == L1(0.01)
    assert find_regularizer(None) is None
    own = type("Own", (Regularizer,), {})(0.1)
    assert find_regularizer(own) is own


@pytest.mark.parametrize("wrong", ["l3", 0.01, L2, True, {"l2": 0.1}, ["l2"], {"l1": 0.1, "l2": "a"}])
def test_arguments_that_are_not_a_regularizer_are_refused(wrong):
    with pytest.raises(ArgumentError, match="kernel_regularizer|L1L2 l2"):
        find_regularizer(wrong, "kernel_regularizer")


@pytest.mark.parametrize("wrong", [-0.1, "0.1", None, True, float("nan")])
def test_strengths_below_0_or_not_numbers_are_refused(wrong):
    with pytest.raises(ArgumentError, match="L2 l2: expected a number"):
        L2(wrong)
