"""Random changes that leave a cat a cat: the network sees each picture a little differently every epoch.

One affine map does rotation, shift, shear, zoom and flips together, so a picture is interpolated once.
Meanings and ranges are those of Keras's ImageDataGenerator.  Called by `loader.py`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..errors import ArgumentError, ShapeError


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

    Raises
    ------
    ArgumentError
        For a range outside these.

    Notes
    -----
    Positions outside the picture take the nearest pixel.  A picture's draw depends on (seed, epoch,
    index) alone, not on the batch it is in.

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

    def __post_init__(self):
        for name in ("rotation_range", "shear_range"):
            if not getattr(self, name) >= 0:
                raise ArgumentError(
                    name, "degrees of at least 0", repr(getattr(self, name)), "Give for example 20."
                )
        for name in ("width_shift_range", "height_shift_range", "zoom_range"):
            if not 0 <= getattr(self, name) < 1:
                raise ArgumentError(
                    name, "a number in [0, 1)", repr(getattr(self, name)), "Give for example 0.2."
                )
        if self.brightness_range is not None:
            low, high = self.brightness_range
            if not 0 <= low <= high:
                raise ArgumentError(
                    "brightness_range",
                    "(low, high) with 0 <= low <= high",
                    repr(self.brightness_range),
                    "Give (0.8, 1.2).",
                )

    def __call__(
        self, pictures: np.ndarray, indices: Iterable[int], epoch: int = 0, seed: int = 0
    ) -> np.ndarray:
        """A changed copy of each picture.

        Parameters
        ----------
        pictures : array (N, H, W, C), uint8
        indices : sequence of int (N,)
            Each picture's number in the whole set.
        epoch, seed : int

        Returns
        -------
        array (N, H, W, C), float32 in [0, 1]
        """
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or len(indices) != len(pictures):
            raise ShapeError(
                "Augmentation",
                "uint8 pictures (N, H, W, C) and N indices",
                f"{pictures.dtype} {pictures.shape} and {len(indices)}",
                "Use load_pictures.",
            )
        from .warp import warp  # here, so that numba is imported only where it is needed

        N, H, W, _ = pictures.shape
        matrices, brightness = np.empty((N, 2, 3)), np.ones(N, np.float32)
        for n, index in enumerate(indices):
            rng = np.random.default_rng([seed, epoch, int(index)])
            matrices[n] = self.matrix(rng, H, W)
            if self.brightness_range is not None:
                brightness[n] = rng.uniform(*self.brightness_range)
        out = np.empty(pictures.shape, np.float32)
        warp(np.ascontiguousarray(pictures), matrices, brightness, out)
        return out

    def matrix(self, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
        """One random map from output to input pixels: (row, column, 1) -> (row, column).

        Parameters
        ----------
        rng : numpy.random.Generator
        height, width : int

        Returns
        -------
        array (2, 3)
            centre . rotation . shift . shear . zoom . flips . -centre, as Keras multiplies them.
        """
        angle, shear = (math.radians(rng.uniform(-r, r)) for r in (self.rotation_range, self.shear_range))
        down = height * rng.uniform(-self.height_shift_range, self.height_shift_range)
        right = width * rng.uniform(-self.width_shift_range, self.width_shift_range)
        tall, wide = rng.uniform(1 - self.zoom_range, 1 + self.zoom_range, 2)
        upside = -1 if rng.random() < 0.5 and self.vertical_flip else 1
        mirror = -1 if rng.random() < 0.5 and self.horizontal_flip else 1
        cos, sin = math.cos(angle), math.sin(angle)
        rotation_and_shift = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ [
            [1, 0, down],
            [0, 1, right],
            [0, 0, 1],
        ]
        shear_and_zoom = np.array([[1, -math.sin(shear)], [0, math.cos(shear)]]) @ np.diag([tall, wide])
        linear = rotation_and_shift[:2, :2] @ shear_and_zoom @ np.diag([upside, mirror])
        centre = np.array([height / 2 - 0.5, width / 2 - 0.5])
        offset = rotation_and_shift[:2, 2] + centre - linear @ centre
        return np.column_stack([linear, offset])
