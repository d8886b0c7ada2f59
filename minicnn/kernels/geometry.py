"""Window geometry: int-or-pair options, padding, and the output-size formula.

Convolution and pooling layers call this once, when they are built; kernels receive only the resulting numbers.
Read `reference.py` next.
"""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from ..errors import ArgumentError, ShapeError, check_int

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]


def pair(value: Any, where: str, least: int = 1) -> Pair:
    """An int or a pair of ints as (height, width).

    Parameters
    ----------
    value : int or two ints, each at least `least`
    where : str
        Name of the option, for the error message.
    least : int
        The smallest value allowed.

    Raises
    ------
    ArgumentError
        If `value` is anything else.

    Examples
    --------
    >>> pair(3, "kernel_size"), pair((2, 5), "kernel_size")
    ((3, 3), (2, 5))
    """
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else (value, value)
    if len(values) != 2:
        raise ArgumentError(where, "an int or a pair of ints", repr(value), "Give for example 3 or (3, 5).")
    return check_int(values[0], where, least), check_int(values[1], where, least)


def check_padding(padding: str | int | Sequence, where: str) -> str | Padding:
    """`padding` in canonical form: "valid", "same" or ((top, bottom), (left, right)).

    Parameters
    ----------
    padding : "valid", "same", an int, (height, width), or ((top, bottom), (left, right))
    where : str
        Name of the option, for the error message.

    Raises
    ------
    ArgumentError
        If `padding` is none of these.

    Examples
    --------
    >>> check_padding("same", "Conv2D padding"), check_padding((1, 2), "Conv2D padding")
    ('same', ((1, 1), (2, 2)))
    """
    if isinstance(padding, str) and padding in ("valid", "same"):
        return padding
    if isinstance(padding, Sequence) and not isinstance(padding, str) and len(padding) == 2:
        sides = [pair(side, where, least=0) for side in padding]
        return sides[0], sides[1]
    if isinstance(padding, Integral):
        return (pair(padding, where, least=0),) * 2
    raise ArgumentError(
        where,
        '"valid", "same", an int, a pair or two pairs',
        repr(padding),
        'Give for example "same", 1 or ((0, 1), (0, 1)).',
    )


def effective_kernel(kernel: Pair, dilation: Pair) -> Pair:
    """The height and width that a dilated kernel covers: (k - 1) * d + 1.

    Examples
    --------
    >>> effective_kernel((3, 3), (1, 1)), effective_kernel((3, 2), (2, 4))
    ((3, 3), (5, 5))
    """
    return (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1


def output_size(size: int, kernel: int, stride: int, before: int, after: int) -> int:
    """How many windows fit: floor((size + before + after - kernel) / stride) + 1.

    Examples
    --------
    >>> output_size(64, kernel=3, stride=1, before=0, after=0)
    62
    >>> output_size(8, kernel=3, stride=2, before=0, after=1)
    4
    """
    return (size + before + after - kernel) // stride + 1


def output_sizes(x_shape: tuple[int, ...], kernel: Pair, strides: Pair, padding: Padding) -> Pair:
    """(OH, OW) for a batch (N, H, W, C), with the padding given in numbers.

    Examples
    --------
    >>> output_sizes((2, 64, 32, 3), (3, 3), (1, 2), ((0, 0), (0, 1)))
    (62, 16)
    """
    (top, bottom), (left, right) = padding
    return (
        output_size(x_shape[1], kernel[0], strides[0], top, bottom),
        output_size(x_shape[2], kernel[1], strides[1], left, right),
    )


def same_padding(size: int, kernel: int, stride: int) -> Pair:
    """The padding (before, after) that gives ceil(size / stride) windows; if the total is odd, `after` is larger by 1.

    Examples
    --------
    >>> same_padding(8, kernel=3, stride=1), same_padding(8, kernel=3, stride=2)
    ((1, 1), (0, 1))
    """
    windows = -(-size // stride)
    total = max((windows - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def place_windows(
    input_shape: tuple[int, ...],
    kernel: Pair,
    strides: Pair,
    padding: Any,
    where: str,
    dilation: Pair = (1, 1),
) -> tuple[Padding, Pair]:
    """The padding in numbers, and the height and width of the output.

    As in Keras, both follow from the effective kernel: a dilated kernel counts with the size that it covers.

    Parameters
    ----------
    input_shape : (H, W, C)
    kernel, strides : pairs, at least 1
    padding : as `check_padding` returns it
    where : str
        Name of the layer, for the error message.
    dilation : pair, at least 1
        Distance between the values that a window reads.

    Returns
    -------
    padding : ((top, bottom), (left, right))
    size : (OH, OW)

    Raises
    ------
    ShapeError
        If the input is not an image, or is smaller than the window.

    Examples
    --------
    >>> place_windows((8, 8, 3), (3, 3), (2, 2), "same", "Conv2D")
    (((0, 1), (0, 1)), (4, 4))
    >>> place_windows((8, 8, 3), (3, 3), (1, 1), "same", "Conv2D", dilation=(2, 2))
    (((2, 2), (2, 2)), (8, 8))
    """
    if len(input_shape) != 3:
        raise ShapeError(
            where,
            "images (height, width, channels)",
            f"shape {input_shape}",
            "Put it before Flatten and Dense.",
        )
    kernel, pads = effective_kernel(kernel, dilation), []
    for axis in (0, 1):
        size, k, s = input_shape[axis], kernel[axis], strides[axis]
        before, after = (
            same_padding(size, k, s) if padding == "same" else (0, 0) if padding == "valid" else padding[axis]
        )
        if size + before + after < k:
            raise ShapeError(
                where,
                f"images of at least {kernel[0]}x{kernel[1]}",
                f"{input_shape[0]}x{input_shape[1]}",
                'Use larger images, fewer layers or padding="same".',
            )
        pads.append((before, after))
    resolved = pads[0], pads[1]
    return resolved, output_sizes((1, *input_shape), kernel, strides, resolved)
