"""Read what a user gives as an image: a path, bytes, a file object, a Pillow image, or an array.

A file is read into memory as a whole, so its kind and size are checked first: reading a named pipe or a device could
block forever, and a file of hundreds of megabytes is not a photo.  Nothing is decoded here.

Called by decoding.py; read that next.
"""

import os
import stat
from typing import Any

import numpy as np
from PIL import Image

from ..errors import ArgumentError, DataError

MAX_BYTES = 64 * 2**20  # of an image file
EXPECTED = "an image"


def read_source(source: Any) -> bytes | Image.Image | np.ndarray:
    """The bytes of an image file; a Pillow image or an array is returned as it is.

    Parameters
    ----------
    source : path, bytes, bytearray, memoryview, binary file object, PIL.Image.Image or array
        In a path, `~` is expanded; a zipfile.Path is a path, too.  A file object is read from its position to its end.

    Raises
    ------
    DataError
        If the file is missing, empty, not a regular file, larger than 64 MiB, or cannot be read.
    ArgumentError
        If the source is none of these.
    """
    if isinstance(source, (Image.Image, np.ndarray)):
        return source
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _limited(bytes(memoryview(source)[: MAX_BYTES + 1]), source)
    if isinstance(source, (str, os.PathLike)):
        return _read_path(source)
    if callable(getattr(source, "read", None)) and not isinstance(source, type):
        return _read_file(source)
    if callable(getattr(source, "read_bytes", None)) and not isinstance(source, type):  # a zipfile.Path
        try:
            with source.open("rb") as file:
                return _read_file(file)
        except DataError:
            raise
        except Exception as error:  # open raises any kind of error
            raise refusal(source, f"a file that cannot be opened ({error})", "Check the path.") from error
    raise ArgumentError(
        "image", "a path, bytes, a binary file object, a Pillow image or an array", type(source).__name__,
        "Give one image; load_images takes a list of files.",
    )  # fmt: skip


def name_of(source: Any) -> str:
    """The name of a source, for a message.

    Examples
    --------
    >>> name_of("photos/cat.jpg"), name_of(b"...")
    ('photos/cat.jpg', 'the bytes')
    """
    if isinstance(source, (str, os.PathLike)):
        return str(source) or "''"
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "the bytes"
    if isinstance(source, np.ndarray):
        return "the array"
    name = getattr(source, "filename", None) or getattr(source, "name", None)
    if isinstance(name, str):
        return name
    return "the image" if isinstance(source, Image.Image) else "the file object"


def refusal(source: Any, received: str, repair: str = "") -> DataError:
    """The error for a source that is not an image."""
    path = isinstance(source, (str, os.PathLike))
    return DataError(
        name_of(source),
        EXPECTED,
        received,
        repair or ("Replace or remove the file." if path else "Give another."),
    )


def _read_path(source):
    # Without pathlib: it takes twice as long, and other threads wait for Python's global lock.
    try:
        path = os.fsdecode(source)
        if path.startswith("~"):
            path = os.path.expanduser(path)  # noqa: PTH111
        status = os.stat(path)  # noqa: PTH116
        if not stat.S_ISREG(status.st_mode):
            if stat.S_ISDIR(status.st_mode):
                raise refusal(source, "a folder", "Give a file in it.")
            raise refusal(source, "a named pipe or a device", "Give a regular file, or an open file object.")
        if status.st_size > MAX_BYTES:
            raise refusal(source, _too_many(status.st_size), "Save it smaller, for example as JPEG.")
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            return _limited(file.read(status.st_size), source)
    except (FileNotFoundError, NotADirectoryError):
        if path.startswith(("http://", "https://")):
            raise refusal(source, "an address on the web", "Download it first.") from None
        raise refusal(source, "no such file" if path else "an empty path", "Check the path.") from None
    except OSError as error:
        raise refusal(
            source, f"a file that cannot be opened ({error.strerror})", "Check the path."
        ) from error
    except DataError:
        raise
    except ValueError as error:  # a NUL in the path
        raise refusal(source, f"a path that cannot be used ({error})", "Check the path.") from error


def _read_file(source):
    """Read a file object to its end, block by block: its length may be unknown, and a socket returns parts."""
    blocks, have = [], 0
    while have <= MAX_BYTES:
        try:
            block = source.read(MAX_BYTES + 1 - have)
        except Exception as error:  # a file, an upload or a network can raise any kind of error
            raise refusal(source, f"a file object that cannot be read ({error})") from error
        if not isinstance(block, (bytes, bytearray, memoryview)):
            if hasattr(block, "close"):
                block.close()  # a coroutine, which would warn that it was never awaited
            raise ArgumentError(
                name_of(source), "a binary file object", f"one whose read() gives {type(block).__name__}",
                'Open the file with "rb", or give the bytes.',
            )  # fmt: skip
        if not block:
            break
        blocks.append(bytes(block))
        have += len(block)
    if not have:
        received = "nothing: the file object is empty, or was read to its end before"
        raise refusal(source, received, "Call seek(0) first.")
    return _limited(b"".join(blocks), source)


def _limited(data, source):
    if not data:
        raise refusal(source, "an empty file" if name_of(source) != "the bytes" else "no bytes")
    if len(data) > MAX_BYTES:
        size = len(source) if isinstance(source, (bytes, bytearray)) else len(data)
        raise refusal(source, _too_many(size), "Save it smaller, for example as JPEG.")
    return data


def _too_many(size):
    return f"{size / 2**20:,.0f} MiB or more, where at most {MAX_BYTES // 2**20} are read"
