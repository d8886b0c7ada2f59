"""Decode one image file into an array; training and prediction use the same function.

The image is turned upright by its EXIF orientation, converted to RGB, put on white where it is transparent, and resized
with an antialiased bilinear filter (resizing.py).  The aspect ratio is not kept.  simplejpeg decodes most JPEG files,
Pillow all others.  A file that cannot be read raises a DataError with its name and the reason.

sources.py reads the bytes, headers.py the metadata.  Called by reading.py, which reads many files, and by
inference/predictor.py.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import simplejpeg
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from ..errors import ArgumentError, MinicnnError, ModelFileError, check_bool, check_int
from . import headers
from .modes import from_array, to_words
from .sources import read_source, refusal

try:
    from PIL.AvifImagePlugin import AvifImageFile
except ImportError:  # Pillow before 11.3
    AvifImageFile = None  # type: ignore[assignment, misc]

# From EXIF's number of an orientation to the function that turns the stored image upright.
EXIF_TRANSFORMS = {
    2: np.fliplr,
    3: lambda image: image[::-1, ::-1],
    4: np.flipud,
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image[::-1].swapaxes(0, 1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: image[:, ::-1].swapaxes(0, 1),
}
TRANSPOSED = {EXIF_TRANSFORMS[number] for number in (5, 6, 7, 8)}  # these swap height and width

# Only these formats are opened.  These classes, unlike Image.open, do not warn about large images.
FORMATS: dict[str, Callable | None] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
    "JPEG 2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
    "AVIF": AvifImageFile,
}
MAX_PIXELS = 80_000_000  # of a JPEG file, four bytes each; a larger one is refused before it is decoded
MAX_OTHER_PIXELS = 40_000_000  # of other formats, which are decoded in full and then converted
MAX_COSTLY_PIXELS = 20_000_000  # of formats whose decoders keep several copies
COSTLY = {"WEBP", "AVIF", "JPEG 2000"}
MAX_SIDE = 65_535
MAX_WORK = 5_000_000_000  # pixels times scans of a progressive JPEG file; each scan goes through all pixels


@dataclass(frozen=True)
class Preprocessing:
    """How an image file becomes a model's input; it is saved with the weights.

    Parameters
    ----------
    height, width : int, 1 to 4096
        Size in pixels after resizing.
    resample : "bilinear"
        The filter; antialiased if the image shrinks.
    draft : int, 0 to 8
        Let the JPEG decoder halve a photo, up to three times, while it stays at least `draft` times as large as
        `height` and `width`.  0 decodes in full, and is assumed for a model that was saved without `draft`.  Files that
        only Pillow can read are always decoded in full.
    scale : bool
        Whether the model's inputs are divided by 255, so that they are in [0, 1].  Use False for a model that begins
        with a Rescaling layer.  `decode` returns whole numbers from 0 to 255 in either case.

    Raises
    ------
    ArgumentError
        For values outside these ranges.

    Notes
    -----
    Measured on photos of 500 pixels that are resized to 64, compared with full decoding: draft 1 takes 60 % of the time
    and changes a pixel by 0.8 of 255 on average; draft 2 takes 70 % and changes it by 0.2.
    """

    height: int
    width: int
    resample: str = "bilinear"
    draft: int = 0
    scale: bool = True

    def __post_init__(self):
        for name, least, most in (("height", 1, 4096), ("width", 1, 4096), ("draft", 0, 8)):
            where = name if name == "draft" else f"image {name}"
            value = check_int(getattr(self, name), where, least)
            if value > most:
                raise ArgumentError(
                    where, f"an int from {least} to {most}", repr(value), "Give a smaller one."
                )
            object.__setattr__(self, name, value)  # a NumPy integer becomes an int, which JSON can hold
        if not isinstance(self.resample, str) or self.resample != "bilinear":
            raise ArgumentError("resample", '"bilinear"', repr(self.resample), "Upgrade minicnn.")
        object.__setattr__(self, "scale", check_bool(self.scale, "scale"))

    @classmethod
    def of(cls, model: Any) -> "Preprocessing":
        """The preprocessing that a loaded model was trained with.

        Raises
        ------
        ModelFileError
            If the model has no preprocessing, or an invalid one.
        """
        saved = model.preprocessing
        try:
            return saved if isinstance(saved, cls) else cls(**saved)
        except (TypeError, ArgumentError) as error:
            raise ModelFileError(
                "model", "preprocessing of images", repr(saved), "Save it again with `preprocessing` set."
            ) from error


def to_preprocessing(value: "Preprocessing | int | Sequence[int] | Mapping") -> Preprocessing:
    """A Preprocessing from any of the forms that a user may give.

    Parameters
    ----------
    value : Preprocessing, int, (height, width) or dict of its settings

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> to_preprocessing(64)
    Preprocessing(height=64, width=64, resample='bilinear', draft=0, scale=True)
    >>> to_preprocessing((48, 64)).height
    48
    """
    if isinstance(value, Preprocessing):
        return value
    if isinstance(value, Mapping):
        try:
            return Preprocessing(**value)
        except TypeError as error:
            raise ArgumentError("preprocessing", "settings of Preprocessing", repr(value)) from error
    if isinstance(value, (tuple, list, np.ndarray)) and np.shape(value) == (2,):
        return Preprocessing(*value)
    if np.ndim(value) == 0 and isinstance(value, (int, np.integer)):
        return Preprocessing(value, value)
    expected = "a Preprocessing, (height, width) or an int"
    raise ArgumentError("preprocessing", expected, repr(value), "Give for example (64, 64).")


def decode(
    source: "str | Path | bytes | BinaryIO | Image.Image | np.ndarray",
    preprocessing: "Preprocessing | int | tuple[int, int]",
) -> np.ndarray:
    """Read one image.

    Parameters
    ----------
    source : path, bytes, binary file object, PIL.Image.Image or array
        A file object is read to its end.  An array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) is grey, RGB or RGB with
        alpha.  It holds whole numbers from 0 to 255 or floats from 0 to 255; if no float is above 1, white is 1.
    preprocessing : Preprocessing, (height, width) or int
        The size of the result.

    Returns
    -------
    array (height, width, 3), uint8

    Raises
    ------
    DataError
        If the source is missing, empty, truncated, not an image, or too large.
    ArgumentError
        If `source` or `preprocessing` is none of these.

    Notes
    -----
    Formats: JPEG, PNG, WEBP, GIF and animated PNG (the first frame), BMP, TIFF, PPM, JPEG 2000, and AVIF if Pillow
    supports it.  Limits, so that no file takes more than a few hundred megabytes or a few seconds: 64 MiB per file;
    65,535 pixels per side; 80 million pixels for JPEG, 20 million for WEBP, AVIF and JPEG 2000, 40 million for all
    others, for progressive JPEG and for arrays.

    Grey images of more than 8 bits: in 16-bit images white is 65,535, so 12 bits that are stored in 16 come out dark,
    as the file says.  In 32-bit images white is 255, 65,535 or 2^31 - 1, and in images of floats 1, 255 or 65,535: the
    smallest of these that at most one pixel in a hundred exceeds (for 1: none).  NaN becomes black, infinity white, and
    minus infinity black.
    """
    from .resizing import resize  # here, so that numba is imported only if it is needed

    preprocessing = to_preprocessing(preprocessing)
    content = read_source(source)
    try:
        if isinstance(content, bytes):
            pixels, transform, extent = _jpeg(content, preprocessing) or _any_format(content)
        else:
            image = content if isinstance(content, Image.Image) else from_array(content)
            pixels, transform, extent = _from_user(image)
    except MinicnnError:
        raise
    except (
        Exception
    ) as error:  # Pillow's decoders raise a dozen kinds of errors, such as OSError and struct.error
        raise refusal(source, _reason(content, error)) from error
    return transform(resize(pixels, *_size_before(preprocessing, transform), extent))


# ------------------------------------------------------------------------------- files
def _jpeg(data, preprocessing):
    """(packed pixels, transform that turns the image upright, extent) of most JPEG files; None for all other files.

    The extent is the height and width of the image in decoded pixels.  It can be fractional, because a decoder that
    halves an image returns whole pixels, and the last one may lie half outside.  Other files are left to Pillow, which
    supports more colour spaces, tolerates more damage and says what is wrong.
    """
    if headers.kind(data) != "JPEG":
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in ("YCbCr", "Gray"):
            return None
        _check_jpeg(data, height, width)
        transform = EXIF_TRANSFORMS.get(headers.jpeg_orientation(data), np.asarray)
        halved = 1
        if preprocessing.draft and max(height, width) > 5:  # for tiny images, the decoder confuses its scales
            down, across = (preprocessing.draft * size for size in _size_before(preprocessing, transform))
            times = max(min(height // down, width // across), 1)
            halved = max(n for n in (1, 2, 4, 8) if n <= times)
        least = {"min_height": -(-height // halved), "min_width": -(-width // halved), "min_factor": halved}
        pixels = simplejpeg.decode_jpeg(data, "RGBX", **least).view("<u4")[..., 0]
    except _TooLarge:
        raise
    except (ValueError, KeyError, RuntimeError):  # KeyError: a subsampling that simplejpeg does not know
        return None
    pixels.flags.writeable = (
        False  # like Pillow's pixels, so that numba compiles `resize` for one kind of array only
    )
    return pixels, transform, (height / halved, width / halved)


def _any_format(data):
    """The same for any format, with Pillow."""
    kind = headers.kind(data) or ""
    opener = FORMATS.get(kind)
    if opener is None:
        raise Image.UnidentifiedImageError
    with opener(io.BytesIO(headers.without_metadata(data, kind))) as image:
        if kind == "JPEG":
            extent = image.height, image.width
            _check_jpeg(data, *extent)
            if image.height * image.width > MAX_OTHER_PIXELS:
                image.draft(image.mode, (image.width // 2, image.height // 2))
                extent = tuple(size / 2 for size in extent)
            pixels, _, _ = _from_pillow(image, kind)
            return pixels, EXIF_TRANSFORMS.get(headers.jpeg_orientation(data), np.asarray), extent
        _check_size(image.height, image.width, kind)
        return _from_pillow(image, kind)


def _size_before(preprocessing, transform) -> tuple[int, int]:
    """The size of the result before the image is turned upright."""
    size = preprocessing.height, preprocessing.width
    return size[::-1] if transform in TRANSPOSED else size


class _TooLarge(ValueError):
    """An image that exceeds the limits."""


def _check_size(height, width, kind):
    limit = MAX_PIXELS if kind == "JPEG" else MAX_COSTLY_PIXELS if kind in COSTLY else MAX_OTHER_PIXELS
    if height * width > limit or max(height, width) > MAX_SIDE:
        most = f"at most {limit / 1e6:g} million, and {MAX_SIDE:,} per side"
        raise _TooLarge(f"{width}x{height} pixels; {most}")


def _check_jpeg(data, height, width):
    progressive = height * width > MAX_OTHER_PIXELS and headers.is_progressive(data)
    _check_size(height, width, "progressive JPEG" if progressive else "JPEG")
    scans = data.count(b"\xff\xda")  # each goes through all pixels, even if it changes none
    if scans * height * width > MAX_WORK:
        raise _TooLarge(f"{scans} scans of {width}x{height} pixels")


# ------------------------------------------------------------------------------- Pillow's images
def _from_user(image):
    """The same for an image that the user has opened."""
    kind = {"JPEG2000": "JPEG 2000", "MPO": "JPEG", None: "array"}.get(image.format, image.format)
    if kind != "array" and FORMATS.get(kind) is None:  # loading an EPS file would start another program
        raise ValueError(f"its format {kind} is not read here")
    _check_size(image.height, image.width, "array")
    return _from_pillow(image, kind)


def _from_pillow(image, kind):
    """(packed pixels, transform that turns the image upright, None) of an image that Pillow has opened."""
    image.load()
    return to_words(image, kind), _exif_transform(image, kind), None


def _exif_transform(image, kind):
    """The transform that turns the image upright, from its EXIF or XMP metadata."""
    exif, profile = image.info.get("exif", b""), image.info.get("Raw profile type exif", "")
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    if kind == "TIFF":  # Pillow has already turned it
        return np.asarray
    if not exif and isinstance(profile, str) and profile:  # a PNG file of an older version of ImageMagick
        with_header = "".join(profile.split("\n")[3:])
        exif = bytes.fromhex(with_header) if set(with_header) <= set("0123456789abcdefABCDEF") else b""
    number = headers.exif_orientation(exif) if isinstance(exif, bytes) else 0
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    number = number or (headers.xmp_orientation(xmp) if isinstance(xmp, bytes) else 0)
    return EXIF_TRANSFORMS.get(number, np.asarray)


def _reason(content, error):
    """The reason why a source is not an image, for the message."""
    if isinstance(error, (_TooLarge, Image.DecompressionBombError)):
        return f"too large an image ({error})"
    if isinstance(error, MemoryError):
        return "an image that claims more memory than there is"
    if not isinstance(content, bytes):
        return f"one that cannot be converted ({error})"
    start = content[:64].lstrip()
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer (the image itself was never fetched)"
    if start[:1] == b"<":
        return "a page of HTML or XML"
    kind = headers.kind(content) or ""
    if FORMATS.get(kind) is None:
        other = "no image format that is known"
        return f"a {kind} file, which cannot be read here" if kind else other
    return f"a damaged {kind} file ({str(error)[:200]})"
