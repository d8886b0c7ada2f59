"""Check input arrays, and convert uint8 images to the floats that a model expects.

All samples pass through `as_samples`, which refuses strings, dates, masked and ragged arrays.  Targets pass through
`as_array` and then through targets.py.  `as_input` is the last step before a network gets a batch.  Image files are
read in data/, not here.

Called by batches.py, loop.py and inference/predictor.py.
"""

import os
from collections.abc import Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ArgumentError
from ..targets import check_unmasked, numeric

LARGEST = 2.0  # images in [0, 1] stay below this even where resizing overshoots; images in 0 ... 255 do not


def as_array(value: ArrayLike, where: str) -> np.ndarray:
    """`value` as an array with one row per sample, of any type.

    Raises
    ------
    ArgumentError
        For None, strings, paths, dictionaries and single numbers, for rows of different lengths, and for masked arrays.

    Examples
    --------
    >>> as_array([[1, 2], [3, 4]], "x").shape
    (2, 2)
    >>> as_array({"a": 1}, "x")
    Traceback (most recent call last):
        ...
    minicnn.errors.ArgumentError: x: expected an array with one row per sample, received a dict.
    """
    expected = "an array with one row per sample"
    if value is None:
        raise ArgumentError(where, expected, "None")
    if isinstance(value, (str, bytes, os.PathLike)):
        raise ArgumentError(
            where,
            expected,
            repr(value),
            "To predict image files, use minicnn.Predictor; to train, minicnn.data.",
        )
    if isinstance(value, (Mapping, Set)):
        raise ArgumentError(where, expected, f"a {type(value).__name__}")
    parts = value if isinstance(value, (list, tuple)) else (value,)
    check_unmasked(parts, where)
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ArgumentError(where, expected, f"a {type(value).__name__} that is none ({error})") from error
    if array.ndim == 0:
        received = type(value).__name__ if array.dtype == object else repr(value)
        raise ArgumentError(where, expected, received)
    return array


def as_samples(value: ArrayLike, where: str = "x") -> np.ndarray:
    """`value` as an array of numbers with one row per sample; booleans become 0 and 1.

    Raises
    ------
    ArgumentError
        As in `as_array`, and for arrays of strings, dates, complex numbers or objects.

    Examples
    --------
    >>> as_samples(["1", "2"])
    Traceback (most recent call last):
        ...
    minicnn.errors.ArgumentError: x: expected numbers, received words such as '1'. Convert it to numbers first.
    """
    return numeric(as_array(value, where), where, "Convert it to numbers first.")


def as_input(model: Any, x: np.ndarray) -> np.ndarray:
    """A batch in the range that the model was trained on.

    Parameters
    ----------
    model : Sequential
    x : array (N, ...)

    Returns
    -------
    array
        If the model has `preprocessing`, it was trained on image files, and uint8 images become float32, divided by 255
        unless the preprocessing has ``scale`` False.  In all other cases `x` itself.

    Raises
    ------
    ArgumentError
        If the model has `preprocessing`: for images of another integer type or of booleans, whose range is not known,
        and for floats above 2 if [0, 1] is expected.  A model without `preprocessing` takes any range.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> as_input(SimpleNamespace(preprocessing={"height": 1, "width": 1}), np.full((1, 1, 1, 1), 255, np.uint8))
    array([[[[1.]]]], dtype=float32)
    """
    if model.preprocessing is None or x.ndim != 4:
        return x
    scale = model.preprocessing.get("scale", True)
    if x.dtype == np.uint8:
        x = x.astype(np.float32)
        return x / np.float32(255) if scale else x
    expected = f"uint8, or floats in {'[0, 1]' if scale else '0 ... 255'}"
    if x.dtype.kind != "f":
        raise ArgumentError("images", expected, str(x.dtype), "Convert them to one of these.")
    if scale and x.size and x.max() > LARGEST:
        raise ArgumentError("images", expected, f"floats up to {x.max():g}", "Divide by 255, or give uint8.")
    return x
