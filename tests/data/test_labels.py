"""Tests of labels and class names: accepted forms, and the messages for invalid ones."""

import numpy as np
import pytest

from minicnn import ArgumentError, MinicnnError
from minicnn.data.labels import check_class_names, check_labels, one_hot

NUMBERS = [0, 1, 1, 0]


@pytest.mark.parametrize(
    "labels",
    [
        NUMBERS,
        np.array(NUMBERS) == 1,
        np.array(NUMBERS, np.float32),
        np.array(NUMBERS, np.uint8)[:, None],
        [False, True, True, False],
    ],
    ids=["ints", "truths", "whole floats", "a column", "a list of truths"],
)
def test_class_numbers_of_any_type_become_integers(labels):
    got = check_labels(labels, 4, 2)
    assert got.dtype == np.int64 and got.tolist() == NUMBERS


@pytest.mark.parametrize("dtype", [bool, int, np.uint8, np.float32])
def test_one_hot_rows_become_float32_rows(dtype):
    rows = np.array([[1, 0], [0, 1], [0, 1], [1, 0]], dtype)
    got = check_labels(rows, 4, 2)
    assert got.dtype == np.float32 and got.tolist() == rows.astype(int).tolist()


def test_without_classes_labels_do_not_change():
    ages = np.array([3.5, -1, 80, 2])
    assert check_labels(ages, 4, None) is ages
    assert check_labels(np.array(NUMBERS) == 1, 4, None).tolist() == NUMBERS


@pytest.mark.parametrize("classes", [None, 2])
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["cat", "dog", "dog", "cat"], "'cat'.*numpy.unique"),
        (np.array(["cat", "dog", "dog", "cat"], object), "'cat'.*Number the classes"),
        (["0", "1", "1", "0"], "Number the classes"),
        ([None] * 4, "None.*Number the classes"),
        ([0, 1, None, 0], "Number the classes"),
        ([0, 1, np.nan, 0], "NaN"),
        ([0, 1, np.inf, 0], "infinity"),
        ([0, 1], "4 labels, one per image"),
        (1, "one per image"),
        ([[0, 1], [1]], "different lengths"),
        (np.array(["2020-01-01"] * 4, "datetime64[D]"), "Number the classes"),
        ([1 + 2j] * 4, "Number the classes"),
    ],
)
def test_labels_that_are_not_numbers_are_refused(labels, message, classes):
    with pytest.raises(MinicnnError, match=message):
        check_labels(labels, 4, classes)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 2, 0], r"class numbers 0 \.\.\. 1, received 2"),
        ([0, 1, -1, 0], "received -1"),
        ([0, 1, 0.5, 0], "received 0.5"),
        (np.eye(4), "rows .N, 2. for 2 classes"),
        (np.zeros((4, 2, 2)), "one column per class"),
        ([[2, 0]] * 4, "rows of numbers in .0, 1., received 2"),
    ],
)
def test_numbers_that_are_not_classes_are_refused(labels, message):
    with pytest.raises(MinicnnError, match=message):
        check_labels(labels, 4, 2)


def test_one_hot_has_a_one_in_the_column_of_the_class():
    np.testing.assert_array_equal(one_hot(np.array([2, 0, 2]), 3), np.eye(3)[[2, 0, 2]])


def test_class_names_must_be_different_strings():
    assert check_class_names(["cat", "dog"]) == check_class_names(np.array(["cat", "dog"])) == ("cat", "dog")
    for wrong in ("cat", b"cat", [], ["cat", "cat"], ["cat", None], [1, 2], None, 3, [["cat"], ["dog"]]):
        with pytest.raises(ArgumentError, match="class_names: expected different words"):
            check_class_names(wrong)
