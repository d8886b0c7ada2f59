"""Batches of images for `Sequential.fit`: shuffled, augmented, scaled.

Images are held as uint8, in memory or in a mapped file of `cache.py`.  A batch becomes float32 only when it is
requested, on a thread of its own while the network computes (`background.py`).  `ArrayBatches` in training/batches.py
decides the order of the samples and cuts it into batches.  From a folder to loaders in one call: `directory.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ArgumentError, DataError, check_bool, check_int, check_number
from ..training.batches import ArrayBatches, shorten
from .augmentation import Augmentation
from .background import in_background
from .cache import PictureCache, as_cache
from .decoding import Preprocessing
from .folders import PictureFiles
from .labels import check_class_names, check_labels, one_hot
from .mixup import mix
from .reading import as_preprocessing, load_pictures
from .sizes import check_size

WHITE = np.float32(255)


class Loader(ArrayBatches):
    """Batches of decoded images with their labels.

    Parameters
    ----------
    pictures : array (N, H, W, C), uint8
        As `load_pictures` returns them.
    labels : array (N,) of class numbers, or (N, K) of rows, optional
        Without them the loader can only be predicted.
    batch_size : int
    shuffle : bool
        Train in a new order each epoch.  `evaluate` and `predict` always take the images in their own order.
    seed : int or None
        The order comes from (seed, epoch), augmentation from (seed, epoch, index).  None draws a seed at random;
        `seed` is then that number.
    augmentation : Augmentation, optional
    classes : int, optional
        Give the labels of a batch as one-hot rows of so many classes.
    names : sequence, optional
        What to call each image in a message, for example its path.
    mixup : float
        Above 0, training images and their labels are blended in pairs, with shares drawn from Beta(mixup, mixup).
        Labels of more than two classes become rows.
    size : int or (height, width), optional
        Size of the images in a batch (default: that of the images held).  It may be changed between epochs.
    class_names : sequence of str, optional
        Class k is ``class_names[k]``.  `fit` hands them to the model.
    preprocessing : Preprocessing, optional
        How the images were read from their files.  `fit` hands it to the model, so that prediction does the same.
    scale : bool, optional
        True: images leave as float32 in [0, 1].  False: as float32 in 0 ... 255, for a model that begins with a
        Rescaling layer.  Default: what `preprocessing` says, or True.

    Attributes
    ----------
    bad : list of DataError
        The files that `from_files` left out.

    Raises
    ------
    ArgumentError, ShapeError
        If the images are not uint8, if there is not one label per image, if labels name no class, or for a setting
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
        pictures: np.ndarray,
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
        images = _check_images(pictures)
        self._class_names = None if class_names is None else check_class_names(class_names)
        self.mixup = check_number(mixup, "Loader mixup", 0)
        self.classes = None if classes is None else check_int(classes, "Loader classes")
        if self.classes is not None and class_names is not None and self.classes != len(self._class_names):
            found = f"{self.classes} and {len(self._class_names)} class names"
            raise ArgumentError("Loader classes", "the number of class names", found, "Leave out classes.")
        if labels is not None:
            known = self.classes if class_names is None else len(self._class_names)
            labels = check_labels(labels, len(images), known)
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
        files: PictureFiles,
        preprocessing: Preprocessing | int | tuple[int, int],
        *,
        cache: PictureCache | bool = True,
        skip_bad: bool = True,
        progress: bool = True,
        **settings: Any,
    ) -> "Loader":
        """Batches of the images in files, which are decoded once and found in a cache ever after.

        Parameters
        ----------
        files : PictureFiles
        preprocessing : Preprocessing
            A size alone, int or (height, width), is Preprocessing(height, width).
        cache : PictureCache or bool
            Where decoded images are kept: True in the user's cache, False in memory alone.
        skip_bad, progress : as in `load_pictures`
            What was left out is in `bad`.
        batch_size, shuffle, ... : as above

        Raises
        ------
        DataError
            If no file can be read, or, unless they are skipped, if one cannot.
        """
        if not isinstance(files, PictureFiles):
            repair = "Give find_pictures(folder), or call from_directory(folder)."
            raise ArgumentError("Loader.from_files", "PictureFiles", repr(files), repair)
        cache = as_cache(cache)
        preprocessing = as_preprocessing(preprocessing)
        settings = {"class_names": files.class_names, **settings}
        # Settings are checked with a loader of one black image, before thousands are decoded.
        cls(np.zeros((1, 1, 1, 3), np.uint8), [0], preprocessing=preprocessing, **settings)
        pictures, kept, bad = load_pictures(files.paths, preprocessing, skip_bad, progress, cache)
        files = files.take(kept)
        loader = cls(pictures, files.labels, names=files.paths, preprocessing=preprocessing, **settings)
        loader.bad = bad
        return loader

    @property
    def class_names(self) -> list[str] | None:
        """Class k is ``class_names[k]``; None where nobody said."""
        return None if self._class_names is None else list(self._class_names)

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) of the images in a batch; None: as large as they are held."""
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
        return in_background(super().batches(epoch, first))

    def in_order(self) -> Iterator[tuple]:
        return in_background(super().in_order())

    @property
    def settings(self) -> dict:
        return super().settings | {
            "augmentation": repr(self.augmentation),
            "mixup": self.mixup,
            "classes": self.classes,
            "scale": self.scale,
            "size": self.size or self.x.shape[1:3],
        }

    def take(self, indices: np.ndarray | slice, epoch: int | None) -> tuple:
        pictures, y, weight = super().take(indices, epoch)
        if self.classes is not None and y is not None and y.ndim == 1:
            y = one_hot(y, self.classes)
        if self.augmentation is not None and epoch is not None:
            x = self.augmentation(pictures, indices, epoch, self.seed, self.size)
        elif self.size in (None, pictures.shape[1:3]):
            return self._mixed(to_float(pictures, self.scale), y, weight, indices, epoch)
        else:
            x = Augmentation()(pictures, range(len(pictures)), size=self.size)  # nothing but the size changes
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
        """Refuse mixup where labels cannot be blended; class numbers above 1 become rows if the classes are known."""
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
        """`preprocessing` and `scale`, each completed by the other and by the size of the batches."""
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


def to_float(pictures: np.ndarray, scale: bool = True) -> np.ndarray:
    """uint8 images as float32: in [0, 1], or with ``scale=False`` in 0 ... 255.

    Raises
    ------
    ArgumentError
        If the images are not uint8; those that are floats already are not scaled twice.

    Examples
    --------
    >>> to_float(np.array([0, 255], np.uint8))
    array([0., 1.], dtype=float32)
    """
    pictures = np.asarray(pictures)
    if pictures.dtype != np.uint8:
        raise ArgumentError(
            "to_float", "uint8 images", str(pictures.dtype), "Give images as they were decoded."
        )
    images = pictures.astype(np.float32)
    return images / WHITE if check_bool(scale, "scale") else images


def _check_images(images):
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4:
        found = f"{images.dtype} {images.shape}"
        raise ArgumentError("Loader pictures", "uint8 of shape (N, H, W, C)", found, "Use load_pictures.")
    return images
