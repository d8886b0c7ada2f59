"""Random changes that keep the class of an image: the network sees each image a little differently every epoch.

Rotation, shift, shear, zoom, flips, crop and resizing are one affine map, so an image is interpolated only once.
Names and ranges are those of Keras's ImageDataGenerator, and those of torchvision for the crop.  The random numbers are
in augmentation_random.py and the loops over pixels in warp.py.  Two images are blended in mixup.py, not here.

Called by loader.py.
"""

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError, check_bool, check_int, check_number
from .sizes import check_size

ATTEMPTS = 10  # random crops per image; the first that fits into the image is used
# The columns of an image's random numbers; add new ones at the end, so that the others stay what they are.
ROTATION, SHEAR, DOWN, RIGHT, TALL, WIDE, UPSIDE, MIRROR, BRIGHTNESS, CONTRAST, SATURATION = range(11)
HOLE, CROP = slice(11, 13), slice(13, 15)
AREAS, RATIOS = slice(15, 15 + ATTEMPTS), slice(15 + ATTEMPTS, 15 + 2 * ATTEMPTS)
DRAWS = 15 + 2 * ATTEMPTS


@dataclass(frozen=True)
class Augmentation:
    """The random changes of an image.  Each value is uniformly distributed; each flip has probability 1/2.

    Parameters
    ----------
    rotation_range : float
        Largest angle r in degrees; the angle is in [-r, r].
    width_shift_range, height_shift_range : float in [0, 1)
        Largest shift s as a share of the image; the shift is in [-s, s].
    shear_range : float
        Largest angle of the shear, in degrees.
    zoom_range : float in [0, 1), or (low, high)
        Each axis is scaled by its own factor in [1 - z, 1 + z], or [low, high].  A factor above 1 zooms out.
    horizontal_flip, vertical_flip : bool
    brightness_range : float in [0, 1), or (low, high), optional
        Pixels are multiplied by a factor in [1 - b, 1 + b], or [low, high], and clipped to white.
    contrast_range : float in [0, 1), or (low, high), optional
        The difference between each pixel and the image's mean grey is multiplied by such a factor.
    saturation_range : float in [0, 1), or (low, high), optional
        The difference between each pixel and its own grey is multiplied by such a factor; 0 gives a grey image.
    crop_scale : float in (0, 1], or (low, high), optional
        Random resized crop: a part of the image is enlarged to the whole.  Its share of the area is in [s, 1], or
        [low, high].
    crop_ratio : (low, high)
        Range of the crop's width over its height.  The logarithm is uniform, so 3:4 is as likely as 4:3.
    cutout : float in [0, 1)
        Side of a grey square, as a share of the shorter side.  Its centre can be any pixel, so a part of the square may
        lie outside the image.

    Raises
    ------
    ArgumentError
        For a value outside these ranges.

    Notes
    -----
    Positions outside the image take the nearest pixel.  The changes of an image depend only on (seed, epoch, index),
    not on its batch or the number of threads.

    Each output pixel is interpolated from four input pixels.  If an image shrinks to less than half, some input pixels
    have no influence, so stored images should be at most about twice as large as the output.

    References
    ----------
    DeVries and Taylor 2017, "Improved Regularization of Convolutional Neural Networks with Cutout".
    Szegedy et al. 2015, "Going Deeper with Convolutions", section 6 (the crop).

    Examples
    --------
    >>> flip = Augmentation(horizontal_flip=True)
    >>> images = np.arange(6, dtype=np.uint8).reshape(1, 1, 2, 3)
    >>> [round(255 * flip(images, [0], epoch=e)[0, 0, 0, 0].item()) for e in range(4)]
    [0, 3, 3, 0]
    """

    rotation_range: float = 0.0
    width_shift_range: float = 0.0
    height_shift_range: float = 0.0
    shear_range: float = 0.0
    zoom_range: float | tuple[float, float] = 0.0
    horizontal_flip: bool = False
    vertical_flip: bool = False
    brightness_range: float | tuple[float, float] | None = None
    contrast_range: float | tuple[float, float] | None = None
    saturation_range: float | tuple[float, float] | None = None
    crop_scale: float | tuple[float, float] | None = None
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    cutout: float = 0.0

    def __post_init__(self):
        checked = {
            name: check_number(getattr(self, name), name, 0) for name in ("rotation_range", "shear_range")
        }
        for name in ("width_shift_range", "height_shift_range", "cutout"):
            checked[name] = check_number(getattr(self, name), name, 0, below=1)
        for name in ("horizontal_flip", "vertical_flip"):
            checked[name] = check_bool(getattr(self, name), name)
        for name in ("zoom_range", "brightness_range", "contrast_range", "saturation_range"):
            checked[name] = _check_factors(getattr(self, name), name)
        checked["crop_scale"] = _check_crop_scale(self.crop_scale)
        checked["crop_ratio"] = _check_pair(self.crop_ratio, "crop_ratio", above=0)
        for name, value in checked.items():
            object.__setattr__(self, name, value)  # a frozen dataclass allows no other assignment

    def __call__(
        self,
        images: np.ndarray,
        indices: Sequence[int] | np.ndarray,
        epoch: int = 0,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        threads: int = 1,
    ) -> np.ndarray:
        """Return a changed copy of each image.

        Parameters
        ----------
        images : array (N, H, W, C), uint8
        indices : sequence of int (N,)
            Each image's index in the data set.
        epoch, seed : int
        size : int or (height, width), optional
            Size of the output images (default: that of the input).
        threads : int
            Number of threads.  One is enough if batches are prepared while the network computes.

        Returns
        -------
        array (N, height, width, C), float32 in [0, 1]

        Raises
        ------
        ShapeError
            If the images are not uint8, or if contrast or saturation changes and they are not RGB.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or len(indices) != len(images):
            raise ShapeError(
                "Augmentation",
                "uint8 images (N, H, W, C) and N indices",
                f"{images.dtype} {images.shape} and {len(indices)}",
                "Use load_images.",
            )
        N, H, W, C = images.shape
        if C != 3 and (self.contrast_range or self.saturation_range):
            raise ShapeError(
                "Augmentation", "RGB images", f"{C} channels", "Leave out contrast and saturation."
            )
        from .augmentation_random import uniforms  # here, so that numba is imported only if it is needed
        from .warp import warp

        draws = uniforms(check_int(seed, "seed", 0), check_int(epoch, "epoch", 0), indices, DRAWS)
        OH, OW = (H, W) if size is None else check_size(size, "size")
        work = (
            np.require(images, requirements=["C", "W"]),  # one kind of array, so that `warp` is compiled once
            self.matrices(draws, (H, W), (OH, OW)),
            self.colours(draws),
            self.holes(draws, OH, OW),
            np.empty((N, OH, OW, C), np.float32),
        )
        threads = min(check_int(threads, "threads"), N)
        cuts = [N * k // max(1, threads) for k in range(threads + 1)]
        parts = [[array[begin:end] for array in work] for begin, end in zip(cuts, cuts[1:], strict=False)]
        waiting = [_workers(threads - 1, os.getpid()).submit(warp, *part) for part in parts[1:]]
        for part in parts[:1]:
            warp(*part)
        for other in waiting:
            other.result()
        return work[-1]

    def matrices(
        self, draws: np.ndarray, image: tuple[int, int], size: tuple[int, int] | None = None
    ) -> np.ndarray:
        """The affine maps from output pixels (row, column, 1) to input pixels (row, column).

        Parameters
        ----------
        draws : array (N, DRAWS) in [0, 1)
            Uniform random numbers.
        image, size : (height, width)
            Size of the input, and of the output.

        Returns
        -------
        array (N, 2, 3)
            centre . rotation . shift . shear . zoom . flips . -centre, as Keras multiplies them, . crop.
        """
        (H, W), (OH, OW) = image, size or image
        angle, shear = (
            np.radians(_between(draws[:, column], -limit, limit))
            for column, limit in ((ROTATION, self.rotation_range), (SHEAR, self.shear_range))
        )
        down = H * _between(draws[:, DOWN], -self.height_shift_range, self.height_shift_range)
        right = W * _between(draws[:, RIGHT], -self.width_shift_range, self.width_shift_range)
        zoom = _between(draws[:, [TALL, WIDE]], *_factors(self.zoom_range))
        flips = np.where(
            (draws[:, [UPSIDE, MIRROR]] < 0.5) & (self.vertical_flip, self.horizontal_flip), -1, 1
        )
        rotation = _stack([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        slant = _stack([[np.ones_like(shear), -np.sin(shear)], [np.zeros_like(shear), np.cos(shear)]])
        linear = rotation @ slant * (zoom * flips)[:, None]
        centre = np.array([H / 2 - 0.5, W / 2 - 0.5])
        offset = (rotation @ np.stack([down, right], 1)[..., None])[..., 0] + centre - linear @ centre
        if self.crop_scale is None and (OH, OW) == (H, W):
            return np.concatenate([linear, offset[..., None]], 2)
        corner, extent = self.crops(draws, H, W)  # pixel centres lie half a pixel inside
        step = extent / (OH, OW)
        offset += (linear @ (corner + 0.5 * step - 0.5)[..., None])[..., 0]
        return np.concatenate([linear * step[:, None], offset[..., None]], 2)

    def crops(self, draws: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """The part of each image that is shown: (top, left) and (height, width), each (N, 2), in fractional pixels."""
        N = len(draws)
        scale: Any = self.crop_scale  # None, or the pair that __post_init__ made of it
        if scale is None:
            return np.zeros((N, 2)), np.tile([float(height), float(width)], (N, 1))
        area = height * width * _between(draws[:, AREAS], *scale)
        ratio = np.exp(_between(draws[:, RATIOS], *np.log(self.crop_ratio)))
        extents = np.stack([np.sqrt(area / ratio), np.sqrt(area * ratio)], 2)
        fits = np.all(extents <= (height, width), 2)
        # If none of the ten fits: the largest crop of an allowed ratio, as in torchvision.
        ratio = min(max(width / height, self.crop_ratio[0]), self.crop_ratio[1])
        largest = [min(height, width / ratio), min(width, height * ratio)]
        first = extents[np.arange(N), fits.argmax(1)]
        extent = np.where(fits.any(1)[:, None], first, largest)
        corner = np.where(fits.any(1)[:, None], draws[:, CROP], 0.5) * ((height, width) - extent)
        return corner, extent

    def colours(self, draws: np.ndarray) -> np.ndarray:
        """The factors of brightness, contrast and saturation, (N, 3)."""
        out = np.ones((len(draws), 3), np.float32)
        ranges = (self.brightness_range, self.contrast_range, self.saturation_range)
        for k, limits in enumerate(ranges):
            if limits is not None:
                out[:, k] = _between(draws[:, BRIGHTNESS + k], *_factors(limits))
        return out

    def holes(self, draws: np.ndarray, height: int, width: int) -> np.ndarray:
        """Top, bottom, left and right of the cutout square, (N, 4); all 0 without a cutout."""
        if not self.cutout:
            return np.zeros((len(draws), 4), np.int64)
        side = max(1, round(self.cutout * min(height, width)))
        begin = np.floor(draws[:, HOLE] * (height, width)).astype(np.int64) - side // 2
        corners = np.clip(np.stack([begin, begin + side], 2), 0, np.array([[[height], [width]]]))
        return np.ascontiguousarray(corners.reshape(-1, 4))


@cache
def _workers(count, process):
    """A pool of threads that is kept, because starting a thread takes longer than warping ten small images.

    There is one pool per process, because threads do not survive a fork.
    """
    return ThreadPoolExecutor(count, "augmentation")


def _between(draws, low, high):
    return low + (high - low) * draws


def _stack(rows):
    """Matrices (N, 2, 2) from their four entries, each (N,)."""
    return np.moveaxis(np.array(rows), -1, 0)


def _factors(value):
    """(low, high) of a factor; a number v means [1 - v, 1 + v]."""
    return value if isinstance(value, tuple) else (1 - value, 1 + value)


def _check_factors(value, name):
    """None, a number in [0, 1), or a pair of factors."""
    if value is None and name != "zoom_range":
        return None
    if _is_pair(value):
        return _check_pair(value, name, above=0 if name == "zoom_range" else None)
    try:
        return check_number(value, name, 0, below=1)
    except ArgumentError as error:
        expected, repair = "a number in [0, 1), or (low, high)", "Give for example 0.2, or (0.8, 1.2)."
        raise ArgumentError(name, expected, error.received, repair) from None


def _check_crop_scale(value):
    """None, or a pair of shares; a number s means [s, 1]."""
    if value is None:
        return None
    low, high = value if _is_pair(value) else (value, 1.0)
    try:
        return _check_pair((low, high), "crop_scale", above=0, most=1)
    except ArgumentError:
        expected = "a number in (0, 1], or (low, high) with 0 < low <= high <= 1"
        raise ArgumentError("crop_scale", expected, repr(value), "Give for example (0.5, 1.0).") from None


def _is_pair(value):
    return not isinstance(value, (str, bytes)) and hasattr(value, "__len__") and len(value) == 2


def _check_pair(value, name, above=None, most=math.inf):
    """`value` as (low, high): two numbers of at least 0, above `above` and at most `most`."""
    try:
        if _is_pair(value):
            low, high = (check_number(number, name, 0, most, above=above) for number in value)
            if low <= high:
                return low, high
    except ArgumentError:
        pass
    rule = f"0 {'<=' if above is None else '<'} low <= high" + (" <= 1" if most == 1 else ", finite")
    raise ArgumentError(name, f"(low, high) with {rule}", repr(value), "Give for example (0.8, 1.0).")
