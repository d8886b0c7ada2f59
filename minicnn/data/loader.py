"""Batches of images for `Sequential.fit`: shuffled, augmented and scaled.

Images are stored as uint8, in memory or in a mapped file of the cache (cache.py).  A batch becomes float32 only when it
is requested, on another thread while the network computes (prefetch.py).  `ArrayBatches` in training/batches.py orders
the samples and divides them into batches.  Files are found and decoded elsewhere: folders.py, reading.py.

Called by directory.py; training/loop.py draws the batches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ArgumentError, DataError, check_bool, check_int, check_number
from ..training.batches import ArrayBatches, shorten
from .augmentation import Augmentation
from .cache import ImageCache, as_cache
from .decoding import Preprocessing
from .folders import ImageFiles
from .labels import check_class_names, check_labels, one_hot
from .mixup import mix
from .prefetch import prefetch
from .reading import as_preprocessing, load_images
from .sizes import check_size

WHITE = np.float32(255)


class Loader(ArrayBatches):
    """Batches of decoded images with their labels.

    Parameters
    ----------
    images : array (N, H, W, C), uint8
        As `load_images` returns them.
    labels : array (N,) of class numbers, or (N, K) of rows, optional
        A loader without labels can be used for prediction only.
    batch_size : int
    shuffle : bool
        Train in a new order each epoch.  `evaluate` and `predict` always take the images in their original order.
    seed : int or None
        The order depends on (seed, epoch), augmentation on (seed, epoch, index).  None draws a random seed, which is
        then the attribute `seed`.
    augmentation : Augmentation, optional
    classes : int, optional
        The number of classes; the labels of a batch are then one-hot rows.
    names : sequence, optional
        The name of each image for error messages, for example its path.
    mixup : float
        Above 0, training images and their labels are blended in pairs, with weights drawn from Beta(mixup, mixup).
        Labels of more than two classes become rows.
    size : int or (height, width), optional
        Size of the images in a batch (default: that of `images`).  It may be changed between epochs.
    class_names : sequence of str, optional
        Class k is ``class_names[k]``.  `fit` sets them on the model.
    preprocessing : Preprocessing, optional
        How the images were read from their files.  `fit` sets it on the model, so that prediction reads images in the
        same way.
    scale : bool, optional
        True gives float32 images in [0, 1].  False gives float32 images in 0 ... 255, for a model that begins with a
        Rescaling layer.  Default: the setting in `preprocessing`, or True.

    Attributes
    ----------
    bad : list of DataError
        The files that `from_files` left out.

    Raises
    ------
    ArgumentError, ShapeError
        If the images are not uint8, if there is not one label per image, if a label is not a class, or for a value
        outside its range.

    Examples
    --------
    >>> images = np.full((3, 2, 2, 3), 255, np.uint8)
    >>> loader = Loader(images, [0, 1, 1], batch_size=2, shuffle=False, class_names=["cat", "dog"])
    >>> [(x.shape, float(x.max()), y.tolist()) for x, y in loader]
    [((2, 2, 2, 3), 1.0, [0, 1]), ((1, 2, 2, 3), 1.0, [1])]
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: ArrayLike | None = None,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = 0,
        augmentation: Augmentation | None = None,
        classes: int | None = None,
        names: Sequence | None = None,
        mixup: float = 0.0,
        size: int | tuple[int, int] | None = None,
        *,
        class_names: Sequence[str] | None = None,
        preprocessing: Preprocessing | None = None,
        scale: bool | None = None,
    ):
        images = _check_images(images)
        self._class_names = None if class_names is None else check_class_names(class_names)
        self.mixup = check_number(mixup, "Loader mixup", 0)
        self.classes = None if classes is None else check_int(classes, "Loader classes")
        known = None if self._class_names is None else len(self._class_names)
        if self.classes is not None and known is not None and self.classes != known:
            found = f"{self.classes} and {known} class names"
            raise ArgumentError("Loader classes", "the number of class names", found, "Leave out classes.")
        if labels is not None:
            labels = check_labels(labels, len(images), self.classes if known is None else known)
        self._check_mixup(labels)
        if not isinstance(augmentation, (Augmentation, type(None))):
            received = repr(augmentation)
            raise ArgumentError("Loader augmentation", "an Augmentation", received, "Give Augmentation(...).")
        if names is not None and (not hasattr(names, "__iter__") or len(names := list(names)) != len(images)):
            found = f"{len(names)}" if isinstance(names, list) else repr(names)
            raise ArgumentError("Loader names", f"{len(images)} names, one per image", found)
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        super().__init__(
            images, labels, batch_size=batch_size, shuffle=check_bool(shuffle, "shuffle"), seed=seed
        )
        self.augmentation, self.names, self.size = augmentation, names, size
        self._set_preprocessing(preprocessing, scale)
        self.bad: list[DataError] = []
        self._passes = 0

    @classmethod
    def from_files(
        cls,
        files: ImageFiles,
        preprocessing: Preprocessing | int | tuple[int, int],
        *,
        cache: ImageCache | bool | None = True,
        skip_bad: bool = True,
        progress: bool = True,
        **settings: Any,
    ) -> "Loader":
        """Make a loader of image files.  They are decoded once; later calls find them in the cache.

        Parameters
        ----------
        files : ImageFiles
        preprocessing : Preprocessing
            A size, int or (height, width), means Preprocessing(height, width).
        cache : ImageCache or bool
            Where to keep decoded images: True in the user's cache, False only in memory.
        skip_bad, progress : as in `load_images`
            Files that were left out are listed in `bad`.
        batch_size, shuffle, ... : as above

        Raises
        ------
        DataError
            If no file can be read; with ``skip_bad=False``, if one file cannot be read.
        """
        if not isinstance(files, ImageFiles):
            repair = "Give find_images(folder), or call from_directory(folder)."
            raise ArgumentError("Loader.from_files", "ImageFiles", repr(files), repair)
        cache = as_cache(cache)
        preprocessing = as_preprocessing(preprocessing)
        settings = {"class_names": files.class_names, **settings}
        # A loader of one black image checks the settings before thousands of files are decoded.
        cls(np.zeros((1, 1, 1, 3), np.uint8), [0], preprocessing=preprocessing, **settings)
        images, kept, bad = load_images(files.paths, preprocessing, skip_bad, progress, cache)
        files = files.take(kept)
        loader = cls(images, files.labels, names=files.paths, preprocessing=preprocessing, **settings)
        loader.bad = bad
        return loader

    @property
    def class_names(self) -> list[str] | None:
        """Class k is ``class_names[k]``; None if the names are not known."""
        return None if self._class_names is None else list(self._class_names)

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) of the images in a batch; None means their stored size."""
        return self._size

    @size.setter
    def size(self, size: int | tuple[int, int] | None) -> None:
        self._size = None if size is None else check_size(size, "Loader size")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the images in a batch."""
        return *(self.size or self.x.shape[1:3]), self.x.shape[3]

    def __iter__(self) -> Iterator[tuple]:
        """The batches (x, y) of one epoch; each pass over the loader is a new epoch."""
        epoch, self._passes = self._passes, self._passes + 1
        for x, y, _ in self.batches(epoch):
            yield (x,) if y is None else (x, y)

    def batches(self, epoch: int = 0, first: int = 0) -> Iterator[tuple]:
        return prefetch(super().batches(epoch, first))

    def unshuffled(self) -> Iterator[tuple]:
        return prefetch(super().unshuffled())

    @property
    def settings(self) -> dict:
        return super().settings | {
            "augmentation": repr(self.augmentation),
            "mixup": self.mixup,
            "classes": self.classes,
            "scale": self.scale,
            "size": self.size or self.x.shape[1:3],
        }

    def take(self, indices: Any, epoch: int | None) -> tuple[Any, Any, Any]:
        images, y, weight = super().take(indices, epoch)
        if self.classes is not None and y is not None and y.ndim == 1:
            y = one_hot(y, self.classes)
        if self.augmentation is not None and epoch is not None:
            x = self.augmentation(images, indices, epoch, self.seed, self.size)
        elif self.size in (None, images.shape[1:3]):
            return self._mixed(to_float(images, self.scale), y, weight, indices, epoch)
        else:
            x = Augmentation()(images, range(len(images)), size=self.size)  # only the size changes
        if not self.scale:
            x *= WHITE
        return self._mixed(x, y, weight, indices, epoch)

    def describe(self, epoch: int, batch: int) -> str:
        if self.names is None:
            return super().describe(epoch, batch)
        return shorten(str(self.names[i]) for i in self.indices(epoch, batch))

    def _mixed(self, x, y, weight, indices, epoch):
        if self.mixup and epoch is not None:
            x, y = mix(x, y, indices, epoch, self.seed, self.mixup)
        return x, y, weight

    def _check_mixup(self, labels):
        """Refuse mixup if the labels cannot be blended; class numbers above 1 become rows if the classes are known."""
        if not self.mixup or self.classes is not None:
            return
        if labels is None:
            raise ArgumentError("Loader mixup", "labels to blend", "none", "Give labels, or leave out mixup.")
        if labels.ndim == 1 and not np.isin(labels, (0, 1)).all():
            if self._class_names is None:
                found = f"class {labels.max()}"
                raise ArgumentError(
                    "Loader mixup", "labels 0 and 1, or one-hot", found, "Give the Loader classes=."
                )
            self.classes = len(self._class_names)

    def _set_preprocessing(self, preprocessing, scale):
        """Set `preprocessing` and `scale`; each completes the other, and `size` completes `preprocessing`."""
        if not isinstance(preprocessing, (Preprocessing, type(None))):
            received = repr(preprocessing)
            raise ArgumentError(
                "Loader preprocessing", "a Preprocessing", received, "Give Preprocessing(64, 64)."
            )
        if scale is None:
            scale = getattr(preprocessing, "scale", True)
        self.scale = check_bool(scale, "Loader scale")
        if preprocessing is not None:
            height, width = self.size or (preprocessing.height, preprocessing.width)
            preprocessing = replace(preprocessing, height=height, width=width)
            if hasattr(preprocessing, "scale"):
                preprocessing = replace(preprocessing, scale=self.scale)
        self.preprocessing = preprocessing


def to_float(images: np.ndarray, scale: bool = True) -> np.ndarray:
    """uint8 images as float32: in [0, 1], or with ``scale=False`` in 0 ... 255.

    Raises
    ------
    ArgumentError
        If the images are not uint8; images that are already floats are not scaled again.

    Examples
    --------
    >>> to_float(np.array([0, 255], np.uint8))
    array([0., 1.], dtype=float32)
    """
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise ArgumentError(
            "to_float", "uint8 images", str(images.dtype), "Give images as they were decoded."
        )
    images = images.astype(np.float32)
    return images / WHITE if check_bool(scale, "scale") else images


def _check_images(images):
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4:
        found = f"{images.dtype} {images.shape}"
        raise ArgumentError("Loader images", "uint8 of shape (N, H, W, C)", found, "Use load_images.")
    return images
