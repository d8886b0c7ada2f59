"""Convert Pillow's images of any mode, and arrays, to RGB with 8 bits per colour.

Transparent parts become white.  The documentation of `decode` in decoding.py explains grey values of more than 8 bits.
Called by decoding.py.  Read next: pixels.py, which gives the pixels of an RGB image as an array.
"""

import numpy as np
from PIL import Image

from ..errors import DataError
from .pixels import packed_rgb

BLOCK = 1 << 20  # pixels that are converted at once


def to_words(image: Image.Image, kind: str) -> np.ndarray:
    """The pixels of an image of any mode as RGB.

    Parameters
    ----------
    image : PIL.Image.Image
        An image whose pixels are loaded.
    kind : str
        Its format.  In PNG, PPM and JPEG 2000 whole numbers of more than 8 bits have 16.

    Returns
    -------
    array (H, W), uint32
        Red in the lowest byte, then green and blue.  It is not writable.
    """
    if image.mode.startswith(("I", "F")):  # grey of 16 bits or more
        image = _eight_bits(image, kind)
    if image.mode == "RGB" and not image.has_transparency_data:
        return packed_rgb(image)
    # A block of rows at a time, because a conversion makes several copies.
    height, width = image.height, image.width
    out = np.empty((height, width), "<u4")
    rows = max(BLOCK // width, 1)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        block = image if rows >= height else image.crop((0, top, width, bottom))
        out[top:bottom] = packed_rgb(_rgb(block))
    out.flags.writeable = False
    return out


def _rgb(image):
    """An image of any mode of 8 bits as RGB."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")  # `convert` always copies


def _eight_bits(image, kind):
    """Grey of 16 bits, 32 bits or floats as grey of 8 bits, with the white that `decode` documents."""
    values = np.asarray(image)
    sixteen = image.mode.startswith("I;16") or (image.mode == "I" and kind in ("PNG", "PPM", "JPEG 2000"))
    white = 65535 if sixteen else _white(values)
    grey = np.empty(values.shape, np.uint8)
    rows = max(BLOCK // values.shape[1], 1)
    for top in range(0, len(values), rows):
        block = values[top : top + rows].astype(np.float64)
        block = np.nan_to_num(block, nan=0.0, posinf=white, neginf=0.0).clip(0, white)
        grey[top : top + rows] = np.rint(block * (255 / white))
    return Image.fromarray(grey)


def _white(values):
    """The value of white in an image whose format does not define it."""
    whole = values.dtype.kind in "iu"
    finite = values if whole else values[np.isfinite(values)]
    if not whole and finite.size and finite.max() <= 1:
        return 1
    for white in (255, 65535):
        if np.count_nonzero(finite > white) <= finite.size / 100:
            return white
    return 2**31 - 1 if whole else 65535


def from_array(array: np.ndarray) -> Image.Image:
    """An array as a Pillow image.

    Parameters
    ----------
    array : array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)
        Whole numbers from 0 to 255, or floats from 0 to 255; if no float is above 1, white is 1.

    Raises
    ------
    DataError
        If it is none of these, or empty.

    Examples
    --------
    >>> from_array(np.array([[0.0, 1.0]])).tobytes()
    b'\\x00\\xff'
    """
    shape, kind = array.shape, array.dtype.kind
    if array.ndim not in (2, 3) or not array.size or (array.ndim == 3 and shape[2] not in (1, 3, 4)):
        repair = (
            "Give one image; of a batch, batch[0]."
            if array.ndim == 4
            else "Move the colours to the last axis."
        )
        raise DataError(
            "the array", "shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)", f"shape {shape}", repair
        )
    if kind == "b":
        array = array * np.uint8(255)
    elif kind == "f":
        low, high = float(array.min()), float(array.max())
        if not 0 <= low <= high <= 255:  # also for NaN
            raise DataError("the array", "finite numbers from 0 to 255", f"{low:g} to {high:g}", "Scale it.")
        array = np.rint(array.astype(np.float32) * (255 if high <= 1 else 1)).astype(np.uint8)
    elif kind not in "iu":
        raise DataError("the array", "uint8 or floats", f"dtype {array.dtype}", "Convert it.")
    elif array.min() < 0 or array.max() > 255:
        received = f"{array.dtype} from {array.min()} to {array.max()}"
        raise DataError("the array", "whole numbers from 0 to 255", received, "Scale it.")
    array = array.astype(np.uint8)
    return Image.fromarray(array[..., 0] if shape[2:] == (1,) else array)
