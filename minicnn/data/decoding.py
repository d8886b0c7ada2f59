"""One function from a file to an array, used in training and in prediction alike.

Orientation as the camera noted it, colours as RGB, transparent parts on white, resized with an antialiased bilinear
filter (`resizing.py`), whole picture squashed to the size asked.  Most JPEG files are decoded by simplejpeg, all other
files by Pillow.  A file that cannot be read gives a DataError with its name and the reason.  Many files: `reading.py`.
Batches: `loader.py`.
"""

import io
import os
import stat
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import ExifTags, Image

from ..errors import ArgumentError, DataError, ModelFileError
from .pixels import words

# Pillow's warnings name no file: sizes are judged here, and a broken EXIF block only loses the orientation.
warnings.filterwarnings("ignore", module=r"PIL\.")

# By EXIF's number: from the picture as it lies in the file to the picture as it was seen.
UPRIGHT = {
    2: np.fliplr,
    3: lambda picture: picture[::-1, ::-1],
    4: np.flipud,
    5: lambda picture: picture.swapaxes(0, 1),
    6: lambda picture: picture[::-1].swapaxes(0, 1),
    7: lambda picture: picture[::-1, ::-1].swapaxes(0, 1),
    8: lambda picture: picture[:, ::-1].swapaxes(0, 1),
}
LYING = {UPRIGHT[number] for number in (5, 6, 7, 8)}  # height and width change places
MAX_PIXELS = 80_000_000  # a decoded picture of 320 MB; refused by its header, before decoding


@dataclass(frozen=True)
class Preprocessing:
    """How a file becomes an input; saved with the weights.

    Parameters
    ----------
    height, width : int, 1 to 4096
        Pixels.
    resample : "bilinear"
        The filter, with antialiasing when it shrinks.
    draft : int, 0 to 8
        Let the JPEG decoder halve a photograph, once or up to three times, as long as it stays `draft` times as
        large as asked.  0, which is what models mean that were saved without it, decodes in full, and so are
        photographs that only Pillow can read.

    Raises
    ------
    ArgumentError
        For values outside these.

    Notes
    -----
    On photographs of 500 pixels brought to 64, against a full decoding: draft 1 takes six tenths of the time and
    changes a pixel by 0.8 of 255 in the mean; draft 2 takes seven tenths, and 0.2.
    """

    height: int
    width: int
    resample: str = "bilinear"
    draft: int = 0

    def __post_init__(self):
        for name in ("height", "width"):
            size = getattr(self, name)
            if not isinstance(size, int) or not 1 <= size <= 4096:
                raise ArgumentError(
                    f"picture {name}", "an int from 1 to 4096", repr(size), "Give for example 64."
                )
        if type(self.draft) is not int or not 0 <= self.draft <= 8:
            raise ArgumentError("draft", "an int from 0 to 8", repr(self.draft), "Give for example 2.")
        if self.resample != "bilinear":
            raise ArgumentError("resample", '"bilinear"', repr(self.resample), "Upgrade minicnn.")

    @classmethod
    def of(cls, model: Any) -> "Preprocessing":
        """What a loaded model was trained with.

        Raises
        ------
        ModelFileError
            If the model says nothing of it, or something that cannot be done.
        """
        saved = model.preprocessing
        try:
            return cls(**saved)
        except (TypeError, ArgumentError) as error:
            raise ModelFileError(
                "model", "preprocessing of pictures", repr(saved), "Save it again with `preprocessing` set."
            ) from error


def decode(path: str | Path, preprocessing: Preprocessing) -> np.ndarray:
    """Read one picture.

    Parameters
    ----------
    path : str or Path
    preprocessing : Preprocessing

    Returns
    -------
    array (height, width, 3), uint8

    Raises
    ------
    DataError
        If the file is missing, empty, truncated, no picture, or larger than 80 million pixels.
    """
    from .resizing import resize  # here, so that numba is imported only where it is needed

    try:
        picture, turn, extent = _jpeg(path, preprocessing) or _any_format(path)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen kinds, from OSError to struct.error
        raise DataError(
            str(path), "a picture", _reason(Path(path), error), "Replace or remove the file."
        ) from error
    return turn(resize(picture, *_lying(preprocessing, turn), extent))


def _any_format(path):
    """(pixels as words, what turns the picture upright, None) by Pillow."""
    with Image.open(path) as image:
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError(f"{image.width}x{image.height} pixels")
        image.load()
        return words(_rgb(image)), _turn(image), None


def _jpeg(path, preprocessing):
    """The same of most JPEG files, sooner, by the library that Pillow asks too; None for any other file.

    Here the last is how far down and across the picture goes: a decoder that halves gives whole pixels, of which the
    last may lie half outside.  What is not decoded here is left to Pillow, which knows more colours, forgives more
    damage and says what is wrong.
    """
    # Without pathlib, in half of its time, for which other threads would wait.
    status = os.stat(path)  # noqa: PTH116
    if not stat.S_ISREG(status.st_mode) or status.st_size > 4 * MAX_PIXELS:
        return None
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        data = file.read(status.st_size)
    if data[:3] != b"\xff\xd8\xff":
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in ("YCbCr", "Gray") or height * width > MAX_PIXELS:
            return None
        turn = np.asarray
        if b"\xff\xe1" in data:  # a segment with EXIF or XMP
            with Image.open(io.BytesIO(data)) as image:
                turn = _turn(image)
        halved = 1
        if preprocessing.draft:
            down, across = (preprocessing.draft * size for size in _lying(preprocessing, turn))
            times = max(min(height // down, width // across), 1)
            halved = max(n for n in (1, 2, 4, 8) if n <= times)
        least = {"min_height": -(-height // halved), "min_width": -(-width // halved), "min_factor": halved}
        pixels = simplejpeg.decode_jpeg(data, "RGBX", **least).view("<u4")[..., 0]
    except (ValueError, KeyError, RuntimeError):  # KeyError: a subsampling that simplejpeg has no name for
        return None
    pixels.flags.writeable = False  # as those of `words`: what is compiled for one serves the other
    return pixels, turn, (height / halved, width / halved)


def _lying(preprocessing, turn):
    """The height and the width asked for, of the picture as it lies in its file."""
    size = preprocessing.height, preprocessing.width
    return size[::-1] if turn in LYING else size


def _turn(image):
    """What undoes the camera's orientation; nothing where its EXIF block is broken."""
    try:
        return UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation), np.asarray)
    except (SyntaxError, ValueError, KeyError, struct.error):
        return np.asarray


def _rgb(image):
    """Any of Pillow's modes as 8-bit RGB."""
    if image.mode.startswith(("I", "F")):  # 16-bit or wider grey
        grey = np.asarray(image, np.float64)
        if image.mode.startswith("I;16") or grey.max(initial=0) > 255:
            grey = grey / 257  # 65535 -> 255
        return Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")  # which would copy it


def _reason(path, error):
    """Why a file is no picture, in words a person would use."""
    if not path.is_file():
        return "no such file" if not path.exists() else "a folder"
    try:
        with path.open("rb") as file:
            start = file.read(64).lstrip()
    except OSError as failure:
        return f"a file that cannot be opened ({failure.strerror})"
    if not start:
        return "an empty file"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer (the picture itself was never fetched)"
    if start[:1] == b"<":
        return "a page of HTML or XML"
    if isinstance(error, Image.DecompressionBombError):
        return f"too large a picture ({error})"
    if isinstance(error, Image.UnidentifiedImageError):
        return "no kind of picture that is known"
    return f"a damaged file ({error})"
