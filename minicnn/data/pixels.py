"""The pixels of one of Pillow's images as an array, where it can be had without a copy.

Pillow keeps a colour image as words of 32 bits, and from 11.2 on says where they lie, by Arrow's C data interface:
two numbers to follow and no library to import.  Pillow before that, and images that it keeps in several pieces, are
copied.  Called by `modes.py`; the words are what `resizing.py` reads.

References: Apache Arrow, "The Arrow C data interface" (ArrowArray).
"""

import ctypes

import numpy as np
from PIL import Image


def words(image: Image.Image) -> np.ndarray:
    """The pixels of an RGB image.

    Parameters
    ----------
    image : PIL.Image.Image
        Of mode RGB.

    Returns
    -------
    array (H, W), uint32
        Red in the lowest byte, then green and blue; not to be written to.

    Examples
    --------
    >>> [hex(word) for word in words(Image.new("RGB", (2, 1), (1, 2, 3)))[0] & 0xFFFFFF]
    ['0x30201', '0x30201']
    """
    try:
        pixels = _shared(image)
    except (AttributeError, ValueError):
        pixels = image.tobytes("raw", "RGBX")
    pixels = np.frombuffer(pixels, "<u4").reshape(image.height, image.width)
    pixels.flags.writeable = False
    return pixels


class _Array(ctypes.Structure):
    """struct ArrowArray."""


_Array._fields_ = [
    *((name, ctypes.c_int64) for name in ("length", "null_count", "offset", "n_buffers", "n_children")),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_Array))),
    *((name, ctypes.c_void_p) for name in ("dictionary", "release", "private_data")),
]
_content = ctypes.pythonapi.PyCapsule_GetPointer
_content.restype, _content.argtypes = ctypes.POINTER(_Array), (ctypes.py_object, ctypes.c_char_p)


def _shared(image):
    """Pillow's own memory: a list of four bytes per pixel, whose one child is the bytes."""
    _, owner = image.__arrow_c_array__()
    array = _content(owner, b"arrow_array").contents
    if array.n_children != 1 or array.offset or array.length != image.width * image.height:
        raise ValueError("not one word per pixel")
    memory = (ctypes.c_uint32 * array.length).from_address(array.children[0].contents.buffers[1])
    memory.owner = owner  # for as long as the array lives
    return memory
