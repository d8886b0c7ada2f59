"""Divide samples into batches, in an order that depends only on the seed and the epoch.

`Batches` is the interface that loop.py uses.  Arrays become `ArrayBatches`, of which `data.Loader` is a subclass that
augments and scales images.  Any other iterable of batches becomes `IterableBatches`.  `SteppedBatches` gives a dataset
epochs of a chosen number of batches.  Arguments are checked in fit_arguments.py, labels in targets.py.
"""

import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ArgumentError, ShapeError, check_bool, check_int
from ..targets import check_weights
from .inputs import as_array, as_samples

FINGERPRINT = 64  # samples, evenly spread over the dataset, that the fingerprint includes


class Batches:
    """The interface of a dataset for `fit`, `evaluate` and `predict`.

    Attributes
    ----------
    preprocessing : Preprocessing, dict or None
        How a file becomes a sample; `fit` sets it on the model.
    """

    preprocessing: Any = None

    @property
    def labels(self) -> np.ndarray | None:
        """The labels of all samples, if they are known before training."""
        return None

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """The shape of one sample."""
        return None

    @property
    def steps(self) -> int | None:
        """The number of batches per epoch, if it is known."""
        return None

    @property
    def class_names(self) -> list[str] | None:
        """The names of the classes; `fit` sets them on the model."""
        return None

    @property
    def settings(self) -> dict:
        """Everything that determines the batches; a run can only be resumed with the same settings."""
        return self.fingerprint

    @property
    def fingerprint(self) -> dict:
        """Values that differ if the samples differ."""
        return {}

    def batches(self, epoch: int = 0, first: int = 0) -> Iterator[tuple]:
        """The epoch's batches from index `first` on, each (x, y, sample_weight); y and sample_weight may be None."""
        raise NotImplementedError

    def unshuffled(self) -> Iterator[tuple]:
        """All samples in their original order, without augmentation, for evaluation and prediction."""
        raise NotImplementedError

    def example(self) -> tuple:
        """One batch (x, y, sample_weight), for checks before training.  The next pass still has all batches."""
        raise NotImplementedError

    def describe(self, epoch: int, batch: int) -> str:
        """A description of the samples in a batch, for a message."""
        raise NotImplementedError


class ArrayBatches(Batches):
    """Batches of arrays in memory; the last one may be short.

    Parameters
    ----------
    x : array (N, ...)
        Booleans, integers or floats.
    y : array (N, ...), optional
    sample_weight : array (N,) or (N, 1), or one number, optional
        Weights of at least 0.
    batch_size : int
    shuffle : bool
        Use a new order each epoch; it depends only on (seed, epoch).
    seed : int

    Raises
    ------
    ShapeError
        If x, y and the weights differ in length.
    ArgumentError
        If x is not an array of numbers or is empty, or for a batch size below 1.

    Examples
    --------
    >>> batches = ArrayBatches(np.arange(5), np.arange(5), batch_size=2)
    >>> [x.tolist() for x, y, weight in batches.batches(epoch=0)]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        batch_size: int = 32,
        shuffle: bool = False,
        seed: int = 0,
    ):
        self.x, self.y = as_samples(x), None if y is None else as_array(y, "y")
        self.batch_size, self.shuffle = check_int(batch_size, "batch_size"), check_bool(shuffle, "shuffle")
        self.seed = check_int(seed, "seed", least=0)
        if len(self.x) == 0:
            raise ArgumentError("x", "at least one sample", "none", "Give a non-empty array.")
        if self.y is not None and len(self.y) != len(self.x):
            expected = f"{len(self.x)} values, one per sample"
            repair = "Check that x and y belong together."
            raise ShapeError("y", expected, f"shape {self.y.shape}", repair)
        self.sample_weight = None if sample_weight is None else check_weights(sample_weight, len(self.x))

    @property
    def labels(self) -> np.ndarray | None:
        """The labels of all samples."""
        return self.y

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return self.x.shape[1:]

    @property
    def samples(self) -> int:
        """The number of samples."""
        return len(self.x)

    @property
    def steps(self) -> int:
        """The number of batches per epoch."""
        return len(self)

    def __len__(self) -> int:
        """The number of batches per epoch."""
        return -(-self.samples // self.batch_size)

    @property
    def settings(self) -> dict:
        return self.fingerprint | {"batch_size": self.batch_size, "shuffle": self.shuffle, "seed": self.seed}

    @property
    def fingerprint(self) -> dict:
        """The number of samples, and checksums of some samples, of all labels and of all weights."""
        some = self.x[:: -(-self.samples // FINGERPRINT)]
        arrays = {"samples": some, "labels": self.y, "weights": self.sample_weight}
        return {"number of samples": self.samples} | {
            f"{name}' checksum": None if array is None else _checksum(array) for name, array in arrays.items()
        }

    def batches(self, epoch: int = 0, first: int = 0) -> Iterator[tuple]:
        order = self.order(epoch)
        for start in range(first * self.batch_size, self.samples, self.batch_size):
            yield self.take(order[start : start + self.batch_size], epoch)

    def unshuffled(self) -> Iterator[tuple]:
        for start in range(0, self.samples, self.batch_size):
            yield self.take(slice(start, start + self.batch_size), None)  # a slice makes no copy

    def order(self, epoch: int) -> np.ndarray:
        """The order of the samples in an epoch."""
        order = np.arange(self.samples)
        if self.shuffle:
            np.random.default_rng([self.seed, epoch]).shuffle(order)
        return order

    def take(self, indices: Any, epoch: int | None) -> tuple[Any, Any, Any]:
        """(x, y, sample_weight) of these samples: for an epoch of training or, with None, without augmentation."""
        x, y, weight = (
            None if array is None else array[indices] for array in (self.x, self.y, self.sample_weight)
        )
        return x, y, weight

    def example(self) -> tuple:
        return self.take(slice(0, 1), None)

    def split(self, last: int) -> tuple["ArrayBatches", "ArrayBatches"]:
        """Split off the `last` samples.  Both parts have the same settings, but the second is not shuffled."""
        first, second = self.take(slice(-last), None), self.take(slice(-last, None), None)
        return (
            ArrayBatches(*first, self.batch_size, self.shuffle, self.seed),
            ArrayBatches(*second, self.batch_size, False, self.seed),
        )

    def indices(self, epoch: int, batch: int) -> np.ndarray:
        """The indices of the samples in a batch."""
        return self.order(epoch)[batch * self.batch_size : (batch + 1) * self.batch_size]

    def describe(self, epoch: int, batch: int) -> str:
        return "samples " + shorten(map(str, self.indices(epoch, batch).tolist()))


class IterableBatches(Batches):
    """The batches of any iterable, one pass per epoch.

    Parameters
    ----------
    data : iterable
        An iterable of (x, y), of (x, y, sample_weight) or, for prediction, of x; or an object with ``__getitem__`` and
        ``__len__``, such as a Keras Sequence.
    steps : int, optional
        End an epoch after this many batches.  The next epoch then starts where this one ended.  When the iterable ends,
        a new pass begins.

    Raises
    ------
    ArgumentError
        If `data` cannot be iterated over.

    Notes
    -----
    The library does not know the order of an iterable and cannot restore an earlier state of it.  A run that is resumed
    from a checkpoint skips the batches that its unfinished epoch has already seen.  The result is bit-identical to an
    uninterrupted run only if every pass gives the same batches.

    Examples
    --------
    >>> batches = IterableBatches([(np.zeros((2, 3)), np.zeros(2))])
    >>> [(x.shape, y.shape, weight) for x, y, weight in batches.batches()]
    [((2, 3), (2,), None)]
    """

    def __init__(self, data: Any, steps: int | None = None):
        if not is_iterable(data):
            raise ArgumentError(
                "dataset", "arrays, a loader or an iterable of (x, y) batches", f"a {type(data).__name__}"
            )
        self.data, self.steps_per_epoch = data, steps
        self._ahead: list[tuple] = []
        self._iterator: Iterator | None = None

    @property
    def once(self) -> bool:
        """Whether only one pass is possible, as over a generator."""
        return isinstance(self.data, Iterator)

    @property
    def steps(self) -> int | None:
        if self.steps_per_epoch is not None or not hasattr(self.data, "__len__"):
            return self.steps_per_epoch
        return len(self.data)

    @property
    def settings(self) -> dict:
        return {"samples": "an iterable of batches", "steps_per_epoch": self.steps_per_epoch}

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.example()[0].shape[1:]

    def example(self) -> tuple:
        if not self._ahead:
            self._iterator = self._begin()
            batch = next(self._iterator, None)
            if batch is None:
                raise ArgumentError("dataset", "at least one batch", "an iterable without any")
            self._ahead = [batch]
        return self._ahead[0]

    def batches(self, epoch: int = 0, first: int = 0) -> Iterator[tuple]:
        if self.steps_per_epoch is None:
            yield from islice(self.unshuffled(), first, None)
            return
        for number in range(self.steps_per_epoch):
            batch = self._next()
            if number >= first:
                yield batch

    def unshuffled(self) -> Iterator[tuple]:
        iterator, self._iterator = self._iterator or self._begin(), None
        while self._ahead:
            yield self._ahead.pop()
        yield from iterator

    def describe(self, epoch: int, batch: int) -> str:
        return "of the iterable that was given"

    def _begin(self):
        """Begin a new pass."""
        data = self.data
        items = iter(data) if hasattr(data, "__iter__") else (data[i] for i in range(len(data)))
        return map(_as_batch, items)

    def _next(self):
        """The next batch; at the end of a pass, a new one begins."""
        if self._ahead:
            return self._ahead.pop()
        if self._iterator is None:
            self._iterator = self._begin()
        batch = next(self._iterator, None)
        if batch is None and not self.once:
            self._iterator = self._begin()
            batch = next(self._iterator, None)
        if batch is None:
            raise ArgumentError(
                "dataset", f"{self.steps_per_epoch} batches per epoch (steps_per_epoch)",
                "an iterable that ended before",
                "Give fewer steps or epochs, or an object that can be iterated again. "
                "The model keeps the training up to here.",
            )  # fmt: skip
        return batch


class SteppedBatches(Batches):
    """Epochs of a chosen number of batches; each starts where the one before ended.

    The batches are those of repeated passes over the wrapped dataset, each in a new order.  So one pass over all
    samples may take several epochs, or one epoch several passes.

    Parameters
    ----------
    dataset : ArrayBatches, or other Batches whose number of batches is known
    steps : int

    Examples
    --------
    >>> batches = SteppedBatches(ArrayBatches(np.arange(6), batch_size=2), steps=2)
    >>> [[x.tolist() for x, *_ in batches.batches(epoch)] for epoch in range(2)]
    [[[0, 1], [2, 3]], [[4, 5], [0, 1]]]
    """

    # Properties of other datasets; here they are set once.
    labels: np.ndarray | None = None
    input_shape: tuple[int, ...] | None = None
    steps: int = 0
    class_names: list[str] | None = None

    def __init__(self, dataset: Any, steps: int):
        self.dataset, self.steps = dataset, steps
        self.labels, self.input_shape = dataset.labels, dataset.input_shape
        self.class_names, self.preprocessing = dataset.class_names, dataset.preprocessing

    @property
    def settings(self) -> dict:
        return self.dataset.settings | {"steps_per_epoch": self.steps}

    @property
    def fingerprint(self) -> dict:
        return self.dataset.fingerprint

    def batches(self, epoch: int = 0, first: int = 0) -> Iterator[tuple]:
        number, end = epoch * self.steps + first, (epoch + 1) * self.steps
        while number < end:
            whole, batch = divmod(number, self.dataset.steps)
            for item in islice(self.dataset.batches(whole, batch), end - number):
                yield item
                number += 1

    def unshuffled(self) -> Iterator[tuple]:
        return self.dataset.unshuffled()

    def example(self) -> tuple:
        return self.dataset.example()

    def describe(self, epoch: int, batch: int) -> str:
        return self.dataset.describe(*divmod(epoch * self.steps + batch, self.dataset.steps))


def is_iterable(data: object) -> bool:
    """Whether `data` can be an iterable of batches; strings, paths and dictionaries cannot.

    Examples
    --------
    >>> is_iterable(iter([])), is_iterable("cat.jpg"), is_iterable(0.2)
    (True, False, False)
    """
    if isinstance(data, (str, bytes, os.PathLike, Mapping, Set, type)):
        return False
    return hasattr(data, "__iter__") or (hasattr(data, "__getitem__") and hasattr(data, "__len__"))


def is_array(data: object) -> bool:
    """Whether `data` is one array; a list of (x, y) batches is not.

    Examples
    --------
    >>> is_array(np.zeros(3)), is_array([[0, 1], [1, 1]]), is_array([(np.zeros((2, 3)), np.zeros(2))])
    (True, True, False)
    """
    if isinstance(data, (list, tuple)):
        return not (data and isinstance(data[0], tuple) and any(getattr(part, "ndim", 0) for part in data[0]))
    return isinstance(data, range) or hasattr(data, "__array__") or not is_iterable(data)


def shorten(names: Iterable[str], most: int = 8) -> str:
    """The first names, and the number of the others.

    Examples
    --------
    >>> shorten("abc", most=2)
    'a, b and 1 more'
    """
    names = list(names)
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _checksum(array):
    return zlib.crc32(np.ascontiguousarray(array))  # type: ignore[arg-type]  # numpy's stubs


def _as_batch(item):
    """An item of an iterable as (x, y, sample_weight)."""
    parts = item if isinstance(item, tuple) else (item,)
    if isinstance(item, list) and item and all(hasattr(part, "shape") for part in item):
        parts = tuple(item)
    if not 1 <= len(parts) <= 3:
        raise ArgumentError("batch of the dataset", "(x, y) or (x, y, sample_weight)", f"{len(parts)} parts")
    batch = ArrayBatches(*parts)
    return batch.x, batch.y, batch.sample_weight
