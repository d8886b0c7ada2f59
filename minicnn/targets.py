"""Checks of targets, labels and sample weights, shared by losses.py, metrics.py and outputs.py.

Only numbers are accepted.  Words, None, objects, dates, masked arrays, NaN and infinity are refused with a message that
names the first wrong value.  True and False count as 1 and 0; whole floats count as class numbers.  How many columns a
target must have depends on the loss and is checked in outputs.py and losses.py; read outputs.py next.
"""

from collections.abc import Iterable
from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .errors import ArgumentError, ShapeError

NUMBER_THEM = "Number the classes 0 ... K - 1, for example with np.unique(labels, return_inverse=True)[1]."
WORDS = {"U": "words", "S": "words", "O": "objects", "M": "dates", "m": "time spans", "c": "complex numbers"}


def as_numbers(values: ArrayLike, where: str, repair: str = NUMBER_THEM) -> np.ndarray:
    """`values` as an array of finite numbers of the same type; True and False become 1 and 0.

    Parameters
    ----------
    values : array-like
    where : str
        Name of the values in the message.
    repair : str
        Repair sentence for values that are not numbers.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> as_numbers([True, False], "labels")
    array([1, 0], dtype=int8)
    >>> as_numbers(["cat", "dog"], "labels", "Number the classes.")
    Traceback (most recent call last):
        ...
    minicnn.errors.ArgumentError: labels: expected numbers, received words such as 'cat'. Number the classes.
    """
    array = numeric(values, where, repair)
    if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
        place = np.argwhere(~finite)[0].tolist()
        sample = f" in sample {place[0]}" if place else ""
        raise ArgumentError(
            where, "finite numbers", f"{array[~finite][0]:g}{sample}", "Repair or remove the samples."
        )
    return array


def check_unmasked(arrays: Iterable, where: str) -> None:
    """Raise ArgumentError if one of the arrays has a mask, because the mask would be ignored."""
    if any(isinstance(array, np.ma.MaskedArray) for array in arrays):
        raise ArgumentError(
            where,
            "an array without a mask",
            "a masked array",
            "Remove the masked samples, or call .filled().",
        )


def numeric(values: ArrayLike, where: str, repair: str = "") -> np.ndarray:
    """The same as `as_numbers`, but NaN and infinity are accepted.

    Raises
    ------
    ArgumentError
    """
    check_unmasked((values,), where)
    try:
        array = np.asarray(values)
    except (ValueError, TypeError):
        raise ArgumentError(where, "an array of numbers", "rows of different lengths") from None
    if array.dtype.kind == "b":
        return array.astype(np.int8)
    if array.dtype.kind not in "iuf":
        found = WORDS.get(array.dtype.kind, str(array.dtype))
        others = [value for value in array.ravel().tolist() if not isinstance(value, Number)]
        if array.size:
            found += f" such as {repr((others or array.ravel().tolist())[0])[:40]}"
        raise ArgumentError(where, "numbers", found, repair)
    return array


def class_numbers(labels: ArrayLike, count: int, where: str) -> np.ndarray:
    """Labels (N,) or (N, 1) as class numbers (N,), if each is a whole number from 0 to `count` - 1.

    Raises
    ------
    ArgumentError
        If the labels are not numbers.
    ShapeError
        If they have another shape, or a number is not a class.

    Examples
    --------
    >>> class_numbers([[2.0], [0.0]], 3, "labels")
    array([2, 0])
    >>> class_numbers([1, 2, 3], 3, "labels")
    Traceback (most recent call last):
        ...
    minicnn.errors.ShapeError: labels: expected class numbers from 0 to 2, received 3 in sample 2. \
Number the classes 0 ... 2, or give the network more outputs.
    """
    labels = as_numbers(labels, where)
    expected = f"class numbers from 0 to {count - 1}"
    if labels.ndim != 1 and (labels.ndim != 2 or labels.shape[1] != 1):
        raise ShapeError(where, f"{expected}, one per sample", f"shape {labels.shape}")
    labels = labels.reshape(-1)
    wrong = (labels < 0) | (labels >= count) | (labels != np.floor(labels))
    if wrong.any():
        n = int(wrong.argmax())
        found = f"{labels[n].item():g} in sample {n}"
        repair = f"Number the classes 0 ... {count - 1}, or give the network more outputs."
        raise ShapeError(where, expected, found, repair)
    return labels.astype(np.int64)


def one_hot(labels: np.ndarray, count: int, dtype: Any = "float32") -> np.ndarray:
    """Class numbers (N,) as rows (N, count) with a single 1.

    Examples
    --------
    >>> one_hot(np.array([1, 0]), 2)
    array([[0., 1.],
           [1., 0.]], dtype=float32)
    """
    rows = np.zeros((len(labels), count), dtype)
    rows[np.arange(len(labels)), labels] = 1
    return rows


def check_shares(target: np.ndarray, where: str, repair: str = "Number the classes 0 and 1.") -> np.ndarray:
    """Numeric targets, if all are in [0, 1].

    Raises
    ------
    ArgumentError
        If a target is outside [0, 1]; the message names the first one.
    """
    wrong = (target < 0) | (target > 1)
    if wrong.any():
        place = np.argwhere(wrong)[0]
        found = f"{target[tuple(place)].item():g} in sample {place[0]}"
        raise ArgumentError(where, "numbers in [0, 1]", found, repair)
    return target


def check_weights(weight: ArrayLike, count: int, where: str = "sample_weight") -> np.ndarray:
    """Sample weights (count,), from one number, an array (count,) or a column (count, 1), as in Keras.

    A negative weight is refused: training would increase the loss of that sample without bound.

    Raises
    ------
    ArgumentError
        If a weight is not a number, not finite or negative.
    ShapeError
        If there is not one weight per sample.

    Examples
    --------
    >>> check_weights(2.0, 3), check_weights([[1], [3]], 2)
    (array([2., 2., 2.]), array([1, 3]))
    """
    weight = as_numbers(weight, where, "Give one number per sample.")
    if weight.ndim == 0:
        weight = np.full(count, weight)
    if weight.ndim == 2 and weight.shape[1] == 1:
        weight = weight[:, 0]
    if weight.shape != (count,):
        raise ShapeError(
            where, f"{count} sample weights", f"shape {weight.shape}", "Give one weight per sample."
        )
    if (weight < 0).any():
        n = int((weight < 0).argmax())
        raise ArgumentError(
            where, "weights of at least 0", f"{weight[n].item():g} in sample {n}",
            "A weight of 0 leaves a sample out.",
        )  # fmt: skip
    return weight
