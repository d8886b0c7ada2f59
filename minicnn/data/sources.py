"""What a user gives as an image, read safely: a path, bytes, a file object, one of Pillow's images, or an array.

Nothing is decoded here.  A file is read into memory before anyone looks at it, so its kind and its size are checked
first: a named pipe or a device would wait for ever, and a file of hundreds of megabytes is no photo.

Called by `decoding.py`; read that next.
"""

import os
import stat
from typing import Any

import numpy as np
from PIL import Image

from ..errors import ArgumentError, DataError

MAX_BYTES = 64 * 2**20  # of an image as a file
EXPECTED = "an image"


def read_source(source: Any) -> bytes | Image.Image | np.ndarray:
    """The bytes of an image file, or the image itself where it is decoded already.

    Parameters
    ----------
    source : path, bytes, bytearray, memoryview, binary file object, PIL.Image.Image or array
        Of a path, `~` is expanded.  A file object is read from where it stands to its end.

    Raises
    ------
    DataError
        If the file is missing, empty, no regular file, larger than 64 MiB, or cannot be read.
    ArgumentError
        If the source is nothing of these.
    """
    if isinstance(source, (Image.Image, np.ndarray)):
        return source
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _limited(bytes(memoryview(source)[: MAX_BYTES + 1]), source)
    if isinstance(source, (str, os.PathLike)):
        return _read_path(source)
    if callable(getattr(source, "read", None)) and not isinstance(source, type):
        return _read_file(source)
    raise ArgumentError(
        "image", "a path, bytes, a binary file object, an image of Pillow's or an array", type(source).__name__,
        "Give one image; load_pictures takes a list of files.",
    )  # fmt: skip


def name_of(source: Any) -> str:
    """What to call a source in a message.

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
    """The error for a source that gives no image."""
    path = isinstance(source, (str, os.PathLike))
    return DataError(
        name_of(source),
        EXPECTED,
        received,
        repair or ("Replace or remove the file." if path else "Give another."),
    )


def _read_path(source):
    # Without pathlib, in half of its time, for which other threads would wait.
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
    """All that a file object holds, block by block: it may say no length, and a socket gives a part at a time."""
    blocks, have = [], 0
    while have <= MAX_BYTES:
        try:
            block = source.read(MAX_BYTES + 1 - have)
        except Exception as error:  # whatever a file, an upload or a network raises
            raise refusal(source, f"a file object that cannot be read ({error})") from error
        if not isinstance(block, (bytes, bytearray, memoryview)):
            if hasattr(block, "close"):
                block.close()  # a coroutine, which would complain that nobody waited for it
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
