"""The pixels of a Pillow image as an array, without a copy if possible.

Pillow stores a colour image as 32-bit words.  From version 11.2 on, it gives their address through Arrow's C data
interface, which needs no library.  With an older Pillow, and for large images that Pillow stores in several blocks, the
pixels are copied.

Called by modes.py; resizing.py reads the words.

References: Apache Arrow, "The Arrow C data interface" (ArrowArray).
"""

import ctypes

import numpy as np
from PIL import Image


def packed_rgb(image: Image.Image) -> np.ndarray:
    """The pixels of an RGB image.

    Parameters
    ----------
    image : PIL.Image.Image
        An image of mode RGB.

    Returns
    -------
    array (H, W), uint32
        Red in the lowest byte, then green and blue.  It is not writable.

    Examples
    --------
    >>> [hex(word) for word in packed_rgb(Image.new("RGB", (2, 1), (1, 2, 3)))[0] & 0xFFFFFF]
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
    """Pillow's own memory.  Its Arrow array is a list of four bytes per pixel, and its only child holds the bytes."""
    _, owner = image.__arrow_c_array__()
    array = _content(owner, b"arrow_array").contents
    if array.n_children != 1 or array.offset or array.length != image.width * image.height:
        raise ValueError("not one word per pixel")
    memory = (ctypes.c_uint32 * array.length).from_address(array.children[0].contents.buffers[1])
    memory.owner = owner  # keeps the pixels alive as long as the array
    return memory
