"""The errors that this library raises, and checks of single arguments that raise them.

An error says where it happened, what was expected, what was received and how to repair it.  Each class also derives
from the built-in error that Python users would catch (`ValueError`, `RuntimeError`).  Checks of arrays are in
targets.py and in the layers.  Nothing of the package is imported here; every other module may import this one.
"""

import errno
import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any


class MinicnnError(Exception):
    """The base class of all errors of this library: where, expected, received, repair.

    Parameters
    ----------
    where : str
        The layer, argument or file that is at fault: ``"Conv2D"``, ``"cat.7.jpg"``.
    expected, received : str
        What is needed, and what was given; either may be empty.
    repair : str
        One sentence that tells the user what to do next.

    Examples
    --------
    >>> print(ShapeError("Dense", "one vector per sample", "shape (8, 8, 3)", "Add Flatten() before it."))
    Dense: expected one vector per sample, received shape (8, 8, 3). Add Flatten() before it.
    """

    def __init__(self, where: str, expected: str = "", received: str = "", repair: str = ""):
        super().__init__(where, expected, received, repair)
        self.where, self.expected, self.received, self.repair = where, expected, received, repair

    def __str__(self) -> str:
        facts = ", ".join(
            f"{word} {fact}"
            for word, fact in (("expected", self.expected), ("received", self.received))
            if fact
        )
        return " ".join(
            part for part in (f"{self.where}: {facts}." if facts else f"{self.where}:", self.repair) if part
        )

    def within(self, outer: str) -> "MinicnnError":
        """The same error with `outer` in front of `where`, such as the layer that contains it."""
        return type(self)(f"{outer} {self.where}", self.expected, self.received, self.repair)


class ShapeError(MinicnnError, ValueError):
    """Arrays or layers that do not fit together."""


class ArgumentError(MinicnnError, ValueError):
    """An option outside its range or an unknown name."""


class UnknownAttributeError(ArgumentError, AttributeError):
    """An attribute that an object does not have, or that cannot be set."""


class StateError(MinicnnError, RuntimeError):
    """Calls in an order that cannot work, such as fit before compile."""


class DataError(MinicnnError, ValueError):
    """An image or folder that cannot be used; the file is named."""


class ModelFileError(MinicnnError, ValueError):
    """A model file that is damaged, was not written by minicnn, or contradicts its own description."""


class DiskFullError(MinicnnError, OSError):
    """A disk without space for a file; the earlier version of the file stays."""

    def __init__(self, where: str, expected: str = "", received: str = "", repair: str = ""):
        super().__init__(where, expected, received, repair)
        self.errno = errno.ENOSPC


class NonFiniteError(MinicnnError, ArithmeticError):
    """A loss, a gradient or a weight that is NaN or infinite; the batch and the parameter are named."""


def check_int(value: object, where: str, least: int = 1) -> int:
    """`value` as an int, if it is a whole number of at least `least`.

    Raises
    ------
    ArgumentError
        If it is anything else; True is not a number here.

    Examples
    --------
    >>> check_int(32, "filters")
    32
    >>> check_int(1.5, "filters")
    Traceback (most recent call last):
        ...
    minicnn.errors.ArgumentError: filters: expected an int of at least 1, received 1.5. Give a whole number.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ArgumentError(where, f"an int of at least {least}", repr(value), "Give a whole number.")
    return int(value)


def check_number(
    value: Any,
    where: str,
    least: float = -math.inf,
    most: float = math.inf,
    *,
    above: float | None = None,
    below: float | None = None,
) -> float:
    """`value` as a float, if it is a finite number from `least` to `most`, more than `above` and less than `below`.

    NumPy's numbers are numbers; True, None and "0.5" are not.

    Raises
    ------
    ArgumentError
        If it is anything else.

    Examples
    --------
    >>> check_number(0.5, "rate", 0, below=1)
    0.5
    >>> check_number("0.5", "rate", 0, below=1)
    Traceback (most recent call last):
        ...
    minicnn.errors.ArgumentError: rate: expected a number of at least 0 and below 1, received '0.5'.
    """
    number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if (
        number
        and least <= value <= most
        and (above is None or value > above)
        and (below is None or value < below)
    ):
        return float(value)
    bounds = [
        f"{word} {bound:g}"
        for word, bound in (("of at least", least), ("above", above), ("of at most", most), ("below", below))
        if bound is not None and math.isfinite(bound)
    ]
    expected = " ".join(["a number", " and ".join(bounds)]).strip() if bounds else "a finite number"
    raise ArgumentError(where, expected, repr(value))


def check_bool(value: Any, where: str) -> bool:
    """`value` as a bool, if it is True or False; a word, a number or None is refused, not converted.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> check_bool(True, "use_bias")
    True
    >>> check_bool("no", "use_bias")
    Traceback (most recent call last):
        ...
    minicnn.errors.ArgumentError: use_bias: expected True or False, received 'no'.
    """
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):  # NumPy's, without importing it
        return bool(value)
    raise ArgumentError(where, "True or False", repr(value))


def check_word(value: Any, where: str, words: Iterable[str]) -> str:
    """`value`, if it is one of the words; an array or a list never is.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> check_word("min", "mode", ("min", "max"))
    'min'
    >>> check_word(["min"], "mode", ("min", "max"))
    Traceback (most recent call last):
        ...
    minicnn.errors.ArgumentError: mode: expected "min" or "max", received ['min'].
    """
    words = tuple(words)
    if isinstance(value, str) and value in words:
        return value
    *first, last = [f'"{word}"' for word in words]
    raise ArgumentError(where, f"{', '.join(first)} or {last}", repr(value))
