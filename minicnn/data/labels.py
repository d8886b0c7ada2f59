"""Check the labels of images and the names of classes when a loader is made.

    (N,)      class numbers 0 ... K - 1, or target values (regression)
    (N, K)    one-hot rows, class probabilities, or K independent labels per image

Called by loader.py and folders.py.  Whether labels fit the model's loss is checked in training/fit_arguments.py.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ArgumentError, ShapeError

NUMBER_THEM = "Number the classes 0 ... K - 1, for example with numpy.unique(labels, return_inverse=True)[1]."


def check_labels(labels: ArrayLike, count: int, classes: int | None) -> np.ndarray:
    """Labels as an array of numbers.

    Parameters
    ----------
    labels : array (N,) or (N, K) of numbers or booleans
    count : int
        N, the number of images.
    classes : int, optional
        The number of classes, if labels are classes.  Whole floats are then class numbers.

    Returns
    -------
    array
        Class numbers (N,), int64, or rows (N, classes), float32.  Without `classes`, the labels unchanged, except that
        booleans become 0 and 1.

    Raises
    ------
    ArgumentError
        For strings, objects, None, NaN, and numbers that are not class numbers.
    ShapeError
        If there is not one label per image.

    Examples
    --------
    >>> check_labels([True, False], 2, None), check_labels([1.0, 0.0], 2, classes=2)
    (array([1, 0]), array([1, 0]))
    """
    labels = _numbers(labels)
    if labels.ndim == 0 or len(labels) != count:
        raise ShapeError(
            "labels",
            f"{count} labels, one per image",
            f"shape {labels.shape}",
            "Check that images and labels belong together.",
        )
    if classes is None:
        return labels
    if labels.ndim == 2 and labels.shape[1] == 1 and classes != 1:
        labels = labels[:, 0]
    if labels.ndim == 1:
        return _class_numbers(labels, classes)
    if labels.ndim != 2 or labels.shape[1] != classes:
        raise ShapeError(
            "labels",
            f"class numbers (N,), or rows (N, {classes}) for {classes} classes",
            f"shape {labels.shape}",
            "Give one column per class.",
        )
    if not ((labels >= 0) & (labels <= 1)).all():
        wrong = labels[(labels < 0) | (labels > 1)][0]
        raise ArgumentError("labels", "rows of numbers in [0, 1]", repr(wrong.item()), NUMBER_THEM)
    return labels.astype(np.float32)


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """Class numbers (N,) as rows (N, classes), float32.

    Examples
    --------
    >>> one_hot(np.array([2, 0]), 3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    rows = np.zeros((len(labels), classes), np.float32)
    rows[np.arange(len(labels)), labels] = 1
    return rows


def check_class_names(names: Any) -> tuple[str, ...]:
    """Class names as a tuple of different strings.  A single string is refused: its letters are not class names.

    Raises
    ------
    ArgumentError
        If they are anything else.

    Examples
    --------
    >>> check_class_names(np.array(["cat", "dog"]))
    ('cat', 'dog')
    """
    unique = () if isinstance(names, (str, bytes)) or not hasattr(names, "__iter__") else tuple(names)
    if unique and len(set(map(str, unique))) == len(unique) and all(isinstance(name, str) for name in unique):
        return tuple(map(str, unique))
    raise ArgumentError("class_names", "different words, one per class", repr(names), 'Give ["cat", "dog"].')


def _numbers(labels: Any) -> np.ndarray:
    try:
        array = np.asarray(labels)
    except ValueError:  # rows of different lengths
        raise ArgumentError("labels", "an array of numbers", "rows of different lengths") from None
    if array.dtype == bool:
        return array.astype(np.int64)
    if array.dtype.kind not in "iuf":
        some = repr(array.tolist()[0]) if array.ndim and array.size else "none"
        raise ArgumentError("labels", "numbers", f"{some} ({array.dtype})", NUMBER_THEM)
    if not np.isfinite(array).all():
        raise ArgumentError("labels", "finite numbers", "NaN or infinity", "Replace or remove them.")
    return array


def _class_numbers(labels, classes):
    numbers = labels.astype(np.int64)
    wrong = labels[(numbers != labels) | (numbers < 0) | (numbers >= classes)]
    if len(wrong):
        expected = f"class numbers 0 ... {classes - 1}"
        raise ArgumentError("labels", expected, repr(wrong[0].item()), NUMBER_THEM)
    return numbers
