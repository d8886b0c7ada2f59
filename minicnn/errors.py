"""Every error this library raises on purpose, and the one way its sentence is built.

An error says where it happened, what was expected, what was received and how to repair
it.  Each class is also the built-in error that Python users would catch (`ValueError`,
`RuntimeError`).  Nothing of the package is imported here; every other module may import this one.
"""

import errno
from numbers import Integral


class MinicnnError(Exception):
    """The base of all errors below: where, expected, received, repair.

    Parameters
    ----------
    where : str
        The thing that complains: ``"Conv2D"``, ``"cat.7.jpg"``.
    expected, received : str
        What it needs and what it got; either may be empty.
    repair : str
        One sentence that tells the user what to do next.

    Examples
    --------
    >>> print(ShapeError("Dense", "a vector a sample", "shape (8, 8, 3)", "Put Flatten() before it."))
    Dense: expected a vector a sample, received shape (8, 8, 3). Put Flatten() before it.
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
        """The same error, seen from outside: `outer` comes before where it happened."""
        return type(self)(f"{outer} {self.where}", self.expected, self.received, self.repair)


class ShapeError(MinicnnError, ValueError):
    """Arrays or layers that do not fit together."""


class ArgumentError(MinicnnError, ValueError):
    """An option outside its range or an unknown name."""


class StateError(MinicnnError, RuntimeError):
    """Calls in an order that cannot work, such as fit before compile."""


class DataError(MinicnnError, ValueError):
    """A picture or folder that cannot be used; the file is named."""


class ModelFileError(MinicnnError, ValueError):
    """A model file that is damaged, foreign or does not fit its own description."""


class DiskFullError(MinicnnError, OSError):
    """A file for which there is no room; the one that was there before is kept."""

    def __init__(self, where: str, expected: str = "", received: str = "", repair: str = ""):
        super().__init__(where, expected, received, repair)
        self.errno = errno.ENOSPC


class NonFiniteError(MinicnnError, ArithmeticError):
    """A loss that is NaN or infinite; the batch is named."""


def check_int(value: object, where: str, least: int = 1) -> int:
    """`value` as an int, if it is a whole number of at least `least`.

    Raises
    ------
    ArgumentError
        If it is anything else; True is no number.

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
