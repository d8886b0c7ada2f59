"""One function from a file to an array, used in training and in prediction alike.

Orientation as the camera noted it, colours as RGB, transparent parts on white, resized with Pillow's
antialiased bilinear filter, whole picture squashed to the size asked.  A file that cannot be read gives a
DataError with its name and the reason.  Batches: `loader.py`.
"""

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from ..errors import ArgumentError, DataError, ModelFileError

# Pillow's warnings name no file: sizes are judged here, and a broken EXIF block only loses the orientation.
warnings.filterwarnings("ignore", module=r"PIL\.")

MAX_PIXELS = 80_000_000  # a decoded RGB picture of 240 MB; refused by its header, before decoding


@dataclass(frozen=True)
class Preprocessing:
    """How a file becomes an input; saved with the weights.

    Parameters
    ----------
    height, width : int, 1 to 4096
        Pixels.
    resample : "bilinear"
        Pillow's filter, with antialiasing when it shrinks.

    Raises
    ------
    ArgumentError
        For values outside these.
    """

    height: int
    width: int
    resample: str = "bilinear"

    def __post_init__(self):
        for name in ("height", "width"):
            size = getattr(self, name)
            if not isinstance(size, int) or not 1 <= size <= 4096:
                raise ArgumentError(
                    f"picture {name}", "an int from 1 to 4096", repr(size), "Give for example 64."
                )
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
    size = (preprocessing.width, preprocessing.height)
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError(f"{image.width}x{image.height} pixels")
            image.load()
            picture = _rgb(ImageOps.exif_transpose(image))
        return np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen kinds, from OSError to struct.error
        raise DataError(
            str(path), "a picture", _reason(Path(path), error), "Replace or remove the file."
        ) from error


def load_pictures(
    paths: Sequence[str | Path], preprocessing: Preprocessing, skip_bad: bool = False, progress: bool = False
) -> tuple[np.ndarray, np.ndarray, list[DataError]]:
    """Read many pictures, with threads.

    Parameters
    ----------
    paths : sequence of path
    preprocessing : Preprocessing
    skip_bad : bool
        Leave out files that cannot be read, and report them, rather than raise at the first.
    progress : bool
        Show a bar, on a terminal only.

    Returns
    -------
    pictures : array (N, height, width, 3), uint8
    kept : array of int (N,)
        The place in `paths` of each picture.
    bad : list of DataError
        One for each file left out.

    Raises
    ------
    DataError
        For the first bad file, unless they are skipped; or if no file at all can be read.
    """
    pictures = np.empty((len(paths), preprocessing.height, preprocessing.width, 3), np.uint8)

    def read(place):
        try:
            pictures[place] = decode(paths[place], preprocessing)
        except DataError as error:
            if not skip_bad:
                raise
            return error
        return None

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        # disable=None: a bar where there is a terminal, nothing elsewhere.
        bar = tqdm(
            threads.map(read, range(len(paths))),
            "Reading",
            len(paths),
            unit="picture",
            leave=False,
            disable=None if progress else True,
        )
        errors = list(bar)
    kept = np.array([place for place, error in enumerate(errors) if error is None], np.int64)
    bad = [error for error in errors if error is not None]
    if not len(kept):
        raise DataError(
            "pictures",
            "at least one that can be read",
            f"none of {len(paths)}",
            str(bad[0]) if bad else "Add pictures.",
        )
    for place, old in enumerate(kept):  # in place: a copy would double the memory
        if place != old:
            pictures[place] = pictures[old]
    return pictures[: len(kept)], kept, bad


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
    return image.convert("RGB")


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
