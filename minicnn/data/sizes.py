"""Check an argument that is an image size: one number for square images, or (height, width).

Called by loader.py, augmentation.py, reading.py and directory.py.  `Preprocessing` in decoding.py also limits the size.
"""

from typing import Any

from ..errors import ArgumentError, check_int


def check_size(value: Any, where: str) -> tuple[int, int]:
    """`value` as (height, width).

    Parameters
    ----------
    value : int or pair of int, each at least 1
    where : str
        The name of the argument, for the message.

    Raises
    ------
    ArgumentError
        If it is anything else.

    Examples
    --------
    >>> check_size(64, "size"), check_size([48, 64], "size")
    ((64, 64), (48, 64))
    """
    try:
        sides = (value, value) if not hasattr(value, "__len__") else tuple(value)
        if isinstance(value, (str, bytes)) or len(sides) != 2:
            raise ArgumentError(where)
        return check_int(sides[0], where), check_int(sides[1], where)
    except (ArgumentError, TypeError):
        expected = "an int of at least 1, or (height, width)"
        raise ArgumentError(where, expected, repr(value), "Give for example 64, or (48, 64).") from None
