"""The pixels of one of Pillow's pictures as an array, where it can be had without a copy.

Pillow keeps a colour picture as words of 32 bits, and from 11.2 on says where they lie, by Arrow's C data interface:
two numbers to follow and no library to import.  Pillow before that, and pictures that it keeps in several pieces, are
copied.  Called by `decoding.py`; the words are what `resizing.py` reads.

References: Apache Arrow, "The Arrow C data interface" (ArrowArray).
"""

import ctypes

import numpy as np
from PIL import Image


def words(picture: Image.Image) -> np.ndarray:
    """The pixels of an RGB picture.

    Parameters
    ----------
    picture : PIL.Image.Image
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
        pixels = _shared(picture)
    except (AttributeError, ValueError):
        pixels = picture.tobytes("raw", "RGBX")
    pixels = np.frombuffer(pixels, "<u4").reshape(picture.height, picture.width)
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


def _shared(picture):
    """Pillow's own memory: a list of four bytes a pixel, whose one child is the bytes."""
    _, owner = picture.__arrow_c_array__()
    array = _content(owner, b"arrow_array").contents
    if array.n_children != 1 or array.offset or array.length != picture.width * picture.height:
        raise ValueError("not a word a pixel")
    memory = (ctypes.c_uint32 * array.length).from_address(array.children[0].contents.buffers[1])
    memory.owner = owner  # for as long as the array lives
    return memory
