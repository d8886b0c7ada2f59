"""Batches of pictures for `Sequential.fit`: shuffled, augmented, scaled to [0, 1].

The pictures wait as uint8, in memory or in a mapped file of `cache.py`; a batch becomes float32 only when it is taken,
on a thread of its own while the network works on the one before (`background.py`).  The order and the cutting into
batches is `ArrayBatches` in batches.py.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..batches import ArrayBatches, shorten
from ..errors import ArgumentError, DataError
from .augmentation import Augmentation
from .background import in_background
from .cache import PictureCache
from .decoding import Preprocessing
from .folders import PictureFiles
from .mixup import mix
from .reading import load_pictures


class Loader(ArrayBatches):
    """Batches of decoded pictures with their labels.

    Parameters
    ----------
    pictures : array (N, H, W, C), uint8
        As `load_pictures` returns them.
    labels : array of int (N,)
    batch_size : int
    shuffle : bool
    seed : int
        Order and augmentation come from (seed, epoch) and (seed, epoch, index).
    augmentation : Augmentation, optional
    mixup : float
        Above 0, training pictures and their targets are blended in pairs, by shares from Beta(mixup, mixup).
    size : (height, width), optional
        Of the batches; else the pictures stay as large as they are.  It may be changed between epochs.
    classes : int, optional
        Give one-hot labels of that many classes.
    names : sequence, optional
        What to call each picture in a message, for example its path.

    Attributes
    ----------
    bad : list of DataError
        The files that `from_files` left out.

    Raises
    ------
    ArgumentError
        If the pictures are not uint8.

    Examples
    --------
    >>> loader = Loader(np.full((3, 2, 2, 3), 255, np.uint8), np.array([0, 1, 1]), batch_size=2, classes=2)
    >>> [(x.shape, float(x.max()), y.tolist()) for x, y, _ in loader.batches(0)]
    [((2, 2, 2, 3), 1.0, [[1.0, 0.0], [0.0, 1.0]]), ((1, 2, 2, 3), 1.0, [[0.0, 1.0]])]
    """

    def __init__(
        self,
        pictures: np.ndarray,
        labels: ArrayLike,
        batch_size: int = 32,
        shuffle: bool = False,
        seed: int = 0,
        augmentation: Augmentation | None = None,
        classes: int | None = None,
        names: Sequence | None = None,
        mixup: float = 0.0,
        size: tuple[int, int] | None = None,
    ):
        labels = np.asarray(labels)
        if classes is not None:
            if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
                raise ArgumentError(
                    "Loader labels", f"numbers from 0 to {classes - 1}", f"{labels.min()} to {labels.max()}"
                )
            labels = np.eye(classes, dtype=np.float32)[labels]
        super().__init__(pictures, labels, None, batch_size, shuffle, seed)
        if self.x.dtype != np.uint8 or self.x.ndim != 4:
            raise ArgumentError(
                "Loader pictures",
                "uint8 of shape (N, H, W, C)",
                f"{self.x.dtype} {self.x.shape}",
                "Use load_pictures.",
            )
        if not 0 <= mixup < math.inf:
            raise ArgumentError(
                "Loader mixup", "a number of at least 0", repr(mixup), "Give for example 0.2."
            )
        self.augmentation, self.names, self.mixup, self.size = augmentation, names, mixup, size
        self.bad: list[DataError] = []

    @classmethod
    def from_files(
        cls,
        files: PictureFiles,
        preprocessing: Preprocessing,
        *,
        cache: PictureCache | bool = True,
        skip_bad: bool = True,
        progress: bool = True,
        **settings: Any,
    ) -> "Loader":
        """Batches of the pictures in files, which are decoded once and found in a cache ever after.

        Parameters
        ----------
        files : PictureFiles
        preprocessing : Preprocessing
        cache : PictureCache or bool
            Where decoded pictures are kept: True in the user's cache, False in memory alone.
        skip_bad, progress : as in `load_pictures`
            What was left out is in `bad`.
        batch_size, shuffle, ... : as above

        Raises
        ------
        DataError
            If no file can be read, or, unless they are skipped, if one cannot.
        """
        if isinstance(cache, bool):
            cache = PictureCache() if cache else None
        pictures, kept, bad = load_pictures(files.paths, preprocessing, skip_bad, progress, cache)
        files = files.take(kept)
        loader = cls(pictures, files.labels, names=files.paths, **settings)
        loader.bad = bad
        return loader

    def batches(self, epoch: int = 0, first: int = 0) -> Iterator[tuple]:
        return in_background(super().batches(epoch, first))

    def in_order(self) -> Iterator[tuple]:
        return in_background(super().in_order())

    @property
    def settings(self) -> dict:
        return super().settings | {
            "augmentation": repr(self.augmentation),
            "mixup": self.mixup,
            "size": self.size or self.x.shape[1:3],
        }

    def take(self, indices: np.ndarray | slice, epoch: int | None) -> tuple:
        pictures, y, weight = super().take(indices, epoch)
        if self.augmentation is not None and epoch is not None:
            x = self.augmentation(pictures, indices, epoch, self.seed, self.size)
        elif self.size in (None, pictures.shape[1:3]):
            x = to_float(pictures)
        else:
            x = Augmentation()(pictures, range(len(pictures)), size=self.size)  # nothing but the size changes
        if self.mixup and epoch is not None:
            x, y = mix(x, y, indices, epoch, self.seed, self.mixup)
        return x, y, weight

    def describe(self, epoch: int, batch: int) -> str:
        if self.names is None:
            return super().describe(epoch, batch)
        return shorten(str(self.names[i]) for i in self.indices(epoch, batch))


def to_float(pictures: np.ndarray) -> np.ndarray:
    """Bytes 0 ... 255 as float32 in [0, 1].

    Examples
    --------
    >>> to_float(np.array([0, 255], np.uint8))
    array([0., 1.], dtype=float32)
    """
    return pictures.astype(np.float32) / np.float32(255)
