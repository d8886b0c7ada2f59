"""Random changes that leave a cat a cat: the network sees each picture a little differently every epoch.

One affine map does rotation, shift, shear, zoom, flips, crop and the change of size together, so a picture is
interpolated once.  Meanings and ranges are those of Keras's ImageDataGenerator; those of the crop are also
torchvision's.  The random numbers are in draws.py, the loops over pixels in warp.py, the blending of two pictures
in mixup.py.  Called by `loader.py`.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np

from ..errors import ArgumentError, ShapeError, check_int

ATTEMPTS = 10  # crops that are drawn until one fits into the picture
# The columns of a picture's random numbers; a new one goes to the end, so that the old keep their places.
ROTATION, SHEAR, DOWN, RIGHT, TALL, WIDE, UPSIDE, MIRROR, BRIGHTNESS, CONTRAST, SATURATION = range(11)
HOLE, CROP = slice(11, 13), slice(13, 15)
AREAS, RATIOS = slice(15, 15 + ATTEMPTS), slice(15 + ATTEMPTS, 15 + 2 * ATTEMPTS)
DRAWS = 15 + 2 * ATTEMPTS


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a picture; each value is drawn uniformly, each flip by a coin.

    Parameters
    ----------
    rotation_range : float
        Degrees; the angle is in [-r, r].
    width_shift_range, height_shift_range : float in [0, 1)
        Shares of the picture; the shift is in [-s, s].
    shear_range : float
        Degrees.
    zoom_range : float in [0, 1)
        Each axis is stretched by its own factor in [1 - z, 1 + z] (above 1 shows more, smaller).
    horizontal_flip, vertical_flip : bool
    brightness_range : (low, high), optional
        Pixels are multiplied by a factor between these, and cut at white.
    contrast_range : (low, high), optional
        The distance of each pixel from the picture's mean grey is multiplied by a factor between these.
    saturation_range : (low, high), optional
        The distance of each pixel from its own grey is multiplied by a factor between these; 0 is grey.
    crop_scale : (low, high), optional
        Random resized crop: a part with between these shares of the area is stretched to the whole.
    crop_ratio : (low, high)
        Its width over its height in pixels; drawn so that 3:4 is as likely as 4:3.
    cutout : float in [0, 1)
        A square of this share of the shorter side becomes grey.  Its centre is anywhere, so part of it may lie outside.

    Raises
    ------
    ArgumentError
        For a range outside these.

    Notes
    -----
    Positions outside the picture take the nearest pixel.  A picture's draw depends on (seed, epoch,
    index) alone, not on the batch it is in, nor on the number of threads.

    A pixel of the result is blended from four of the picture: where that is shrunk to less than half, some of its
    pixels are never looked at.  Stored pictures should hardly be more than twice as large as those that come out.

    References
    ----------
    DeVries and Taylor 2017, "Improved Regularization of Convolutional Neural Networks with Cutout".
    Szegedy et al. 2015, "Going Deeper with Convolutions", section 6 (the crop).

    Examples
    --------
    >>> flip = Augmentation(horizontal_flip=True)
    >>> pictures = np.arange(6, dtype=np.uint8).reshape(1, 1, 2, 3)
    >>> [round(255 * flip(pictures, [0], epoch=e)[0, 0, 0, 0].item()) for e in range(4)]
    [0, 3, 3, 0]
    """

    rotation_range: float = 0.0
    width_shift_range: float = 0.0
    height_shift_range: float = 0.0
    shear_range: float = 0.0
    zoom_range: float = 0.0
    horizontal_flip: bool = False
    vertical_flip: bool = False
    brightness_range: tuple[float, float] | None = None
    contrast_range: tuple[float, float] | None = None
    saturation_range: tuple[float, float] | None = None
    crop_scale: tuple[float, float] | None = None
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    cutout: float = 0.0

    def __post_init__(self):
        for name in ("rotation_range", "shear_range"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ArgumentError(
                    name, "finite degrees of at least 0", repr(getattr(self, name)), "Give for example 20."
                )
        for name in ("width_shift_range", "height_shift_range", "zoom_range", "cutout"):
            if not 0 <= getattr(self, name) < 1:
                raise ArgumentError(
                    name, "a number in [0, 1)", repr(getattr(self, name)), "Give for example 0.2."
                )
        for name in ("brightness_range", "contrast_range", "saturation_range"):
            _check_range(
                name,
                getattr(self, name),
                "0 <= low <= high, finite",
                lambda low, high: 0 <= low <= high < math.inf,
            )
        _check_range(
            "crop_scale", self.crop_scale, "0 < low <= high <= 1", lambda low, high: 0 < low <= high <= 1
        )
        _check_range(
            "crop_ratio",
            self.crop_ratio,
            "0 < low <= high, finite",
            lambda low, high: 0 < low <= high < math.inf,
        )

    def __call__(
        self,
        pictures: np.ndarray,
        indices: Sequence[int],
        epoch: int = 0,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        threads: int = 1,
    ) -> np.ndarray:
        """A changed copy of each picture.

        Parameters
        ----------
        pictures : array (N, H, W, C), uint8
        indices : sequence of int (N,)
            Each picture's number in the whole set.
        epoch, seed : int
        size : (height, width), optional
            Of the pictures that come out; else they stay as large as they are.
        threads : int
            How many share the work.  One is enough where batches are made while the network computes.

        Returns
        -------
        array (N, height, width, C), float32 in [0, 1]

        Raises
        ------
        ShapeError
            If these are not uint8 pictures, or have no three colours where contrast or saturation is to change.
        """
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or len(indices) != len(pictures):
            raise ShapeError(
                "Augmentation",
                "uint8 pictures (N, H, W, C) and N indices",
                f"{pictures.dtype} {pictures.shape} and {len(indices)}",
                "Use load_pictures.",
            )
        N, H, W, C = pictures.shape
        if C != 3 and (self.contrast_range or self.saturation_range):
            raise ShapeError(
                "Augmentation", "RGB pictures", f"{C} channels", "Leave out contrast and saturation."
            )
        from .draws import uniforms  # here, so that numba is imported only where it is needed
        from .warp import warp

        draws = uniforms(check_int(seed, "seed", 0), check_int(epoch, "epoch", 0), indices, DRAWS)
        OH, OW = (H, W) if size is None else size
        work = (
            np.require(pictures, requirements="CW"),  # one kind of array, so that one function is compiled
            self.matrices(draws, (H, W), (OH, OW)),
            self.colours(draws),
            self.holes(draws, OH, OW),
            np.empty((N, OH, OW, C), np.float32),
        )
        threads = min(check_int(threads, "threads"), N)
        cuts = [N * k // max(1, threads) for k in range(threads + 1)]
        pieces = [[array[begin:end] for array in work] for begin, end in zip(cuts, cuts[1:], strict=False)]
        waiting = [_workers(threads - 1).submit(warp, *piece) for piece in pieces[1:]]
        for piece in pieces[:1]:
            warp(*piece)
        for other in waiting:
            other.result()
        return work[-1]

    def matrices(
        self, draws: np.ndarray, picture: tuple[int, int], size: tuple[int, int] | None = None
    ) -> np.ndarray:
        """The maps from output to input pixels: (row, column, 1) -> (row, column).

        Parameters
        ----------
        draws : array (N, DRAWS) in [0, 1)
        picture, size : (height, width)
            Of what goes in and of what comes out.

        Returns
        -------
        array (N, 2, 3)
            centre . rotation . shift . shear . zoom . flips . -centre, as Keras multiplies them, . crop.
        """
        (H, W), (OH, OW) = picture, size or picture
        angle, shear = (
            np.radians(_between(draws[:, column], -limit, limit))
            for column, limit in ((ROTATION, self.rotation_range), (SHEAR, self.shear_range))
        )
        down = H * _between(draws[:, DOWN], -self.height_shift_range, self.height_shift_range)
        right = W * _between(draws[:, RIGHT], -self.width_shift_range, self.width_shift_range)
        zoom = _between(draws[:, [TALL, WIDE]], 1 - self.zoom_range, 1 + self.zoom_range)
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
        """Which part of a picture is shown: (top, left) and (height, width), each (N, 2), not in whole pixels."""
        N = len(draws)
        if self.crop_scale is None:
            return np.zeros((N, 2)), np.tile([float(height), float(width)], (N, 1))
        area = height * width * _between(draws[:, AREAS], *self.crop_scale)
        ratio = np.exp(_between(draws[:, RATIOS], *np.log(self.crop_ratio)))
        extents = np.stack([np.sqrt(area / ratio), np.sqrt(area * ratio)], 2)
        fits = (extents <= (height, width)).all(2)
        # Where none of the ten fits: the largest part whose ratio is allowed, as torchvision does.
        ratio = min(max(width / height, self.crop_ratio[0]), self.crop_ratio[1])
        largest = [min(height, width / ratio), min(width, height * ratio)]
        first = extents[np.arange(N), fits.argmax(1)]
        extent = np.where(fits.any(1)[:, None], first, largest)
        corner = np.where(fits.any(1)[:, None], draws[:, CROP], 0.5) * ((height, width) - extent)
        return corner, extent

    def colours(self, draws: np.ndarray) -> np.ndarray:
        """Factors of brightness, contrast and saturation (N, 3)."""
        out = np.ones((len(draws), 3), np.float32)
        ranges = (self.brightness_range, self.contrast_range, self.saturation_range)
        for k, limits in enumerate(ranges):
            if limits is not None:
                out[:, k] = _between(draws[:, BRIGHTNESS + k], *limits)
        return out

    def holes(self, draws: np.ndarray, height: int, width: int) -> np.ndarray:
        """Top, bottom, left and right of the square that is cut out (N, 4); all 0 where there is none."""
        if not self.cutout:
            return np.zeros((len(draws), 4), np.int64)
        side = max(1, round(self.cutout * min(height, width)))
        begin = np.floor(draws[:, HOLE] * (height, width)).astype(np.int64) - side // 2
        corners = np.clip(np.stack([begin, begin + side], 2), 0, np.array([[[height], [width]]]))
        return np.ascontiguousarray(corners.reshape(-1, 4))


@cache
def _workers(count):
    """Threads that wait for pieces of a batch: to start one takes longer than to warp ten small pictures."""
    return ThreadPoolExecutor(count, "augmentation")


def _between(draws, low, high):
    return low + (high - low) * draws


def _stack(rows):
    """(N, 2, 2) from the entries, each (N,)."""
    return np.moveaxis(np.array(rows), -1, 0)


def _check_range(name, value, rule, holds):
    if value is not None and not (len(value) == 2 and holds(*value)):
        raise ArgumentError(name, f"(low, high) with {rule}", repr(value), "Give for example (0.8, 1.0).")
