"""Checks of labels and weights: only numbers are accepted, and the message names the first wrong one."""

import numpy as np
import pytest

from minicnn import ArgumentError, ShapeError
from minicnn.targets import as_numbers, check_shares, check_weights, class_numbers, numeric, one_hot


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["cat"], "received words such as 'cat'"),
        (np.array([b"x"]), "received words such as b'x'"),
        ([object()], "received objects such as <object"),
        ([None], "received objects such as None"),
        ([1, None], "received objects such as None"),
        (None, "received objects such as None"),
        ([1j], "received complex numbers such as 1j"),
        (np.array(["2020-01-01"], "M8[D]"), r"received dates such as datetime.date\(2020"),
        ([[1], [1, 2]], "received rows of different lengths"),
        ([0.0, np.nan], "received nan in sample 1"),
        ([[0.0, 1.0], [-np.inf, 1.0]], "received -inf in sample 1"),
        (np.ma.array([1]), "received a masked array"),
        ("3", "received words such as '3'"),
        (float("nan"), "received nan"),
    ],
)
def test_values_that_are_not_numbers_are_refused_and_named(values, message):
    with pytest.raises(ArgumentError, match="labels: expected .*" + message):
        as_numbers(values, "labels")


def test_numbers_of_every_type_are_accepted():
    for dtype in ("bool", "uint8", "int64", "float16", "float32", "float64"):
        values = as_numbers(np.array([0, 1], dtype), "labels")
        assert values.tolist() == [0, 1] and values.dtype == (dtype if dtype != "bool" else "int8")
    assert np.isnan(numeric([np.nan], "predictions")).all()
    assert as_numbers([], "labels").shape == (0,)


def test_class_numbers_must_be_whole_and_in_range():
    assert class_numbers([[1.0], [0.0]], 2, "labels").tolist() == [1, 0]
    assert class_numbers(np.array([255], np.uint8), 256, "labels").dtype == np.int64
    for wrong in ([0, 0.5], [2], [-1], [2**63], [1e30]):
        with pytest.raises(ShapeError, match="labels: expected class numbers from 0 to 1, received"):
            class_numbers(wrong, 2, "labels")
    with pytest.raises(ShapeError, match=r"one per sample, received shape \(1, 2\)"):
        class_numbers([[0, 1]], 2, "labels")


def test_one_hot_rows_have_a_single_1():
    np.testing.assert_array_equal(one_hot(np.array([2, 0]), 3), [[0, 0, 1], [1, 0, 0]])
    assert one_hot(np.array([], int), 3, "float64").shape == (0, 3)


def test_shares_must_be_between_0_and_1():
    assert check_shares(np.array([0, 0.5, 1]), "labels").tolist() == [0, 0.5, 1]
    with pytest.raises(ArgumentError, match=r"received -1 in sample 1"):
        check_shares(np.array([[0, 1], [1, -1]]), "labels")


def test_sample_weights_are_accepted_in_each_form():
    for weight in (2, np.float32(2), [2, 2, 2], [[2], [2], [2]], np.full(3, 2, np.uint8)):
        assert check_weights(weight, 3).tolist() == [2, 2, 2]
    assert check_weights([True, False, True], 3).tolist() == [1, 0, 1]
    for wrong in ([1, -1, 1], [1, np.nan, 1], "abc", [None] * 3):
        with pytest.raises(ArgumentError, match="sample_weight: expected"):
            check_weights(wrong, 3)
    with pytest.raises(ShapeError, match="3 sample weights, received shape"):
        check_weights([[1, 2, 3]], 3)
