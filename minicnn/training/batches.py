"""Cut samples into batches, in an order that depends on the seed and the epoch alone.

`Batches` is the interface that loop.py draws from.  Arrays become `ArrayBatches`, on which `data.Loader` builds to
augment and scale images; any other iterable of batches becomes `IterableBatches`; `SteppedBatches` gives either
kind of dataset epochs of a chosen number of batches.
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

FINGERPRINT = 64  # samples, spread over all, that are looked at to recognise the rest


class Batches:
    """What a dataset offers to `fit`, `evaluate` and `predict`.

    Attributes
    ----------
    labels : array or None
        The labels of all samples, where they are known before training.
    input_shape : tuple of int or None
        The shape of one sample.
    steps : int or None
        How many batches an epoch has, where that is known.
    class_names : list of str or None
        What the class numbers mean; `fit` puts them into the model.
    preprocessing : Preprocessing, dict or None
        How a file became a sample; `fit` puts it into the model.
    """

    labels: np.ndarray | None = None
    input_shape: tuple[int, ...] | None = None
    steps: int | None = None
    class_names: list[str] | None = None
    preprocessing: Any = None

    @property
    def settings(self) -> dict:
        """What the batches of every epoch follow from; a run is only resumed with the same."""
        return self.fingerprint

    @property
    def fingerprint(self) -> dict:
        """By which other samples are recognised."""
        return {}

    def batches(self, epoch: int = 0, first: int = 0) -> Iterator[tuple]:
        """The epoch's batches from number `first` on: (x, y, sample_weight), the last two None where not given."""
        raise NotImplementedError

    def in_order(self) -> Iterator[tuple]:
        """All samples as they are, neither shuffled nor changed: for evaluation and prediction."""
        raise NotImplementedError

    def example(self) -> tuple:
        """One batch as (x, y, sample_weight), to look at before training; no batch is lost by it."""
        raise NotImplementedError

    def describe(self, epoch: int, batch: int) -> str:
        """A batch's samples in words, for a message."""
        raise NotImplementedError


class ArrayBatches(Batches):
    """Batches of arrays in memory; the last one may be short.

    Parameters
    ----------
    x : array (N, ...)
        Booleans, integers or floats.
    y : array (N, ...), optional
    sample_weight : array (N,) or (N, 1), or one number, optional
        At least 0.
    batch_size : int
    shuffle : bool
        A new order each epoch, drawn from (seed, epoch).
    seed : int

    Raises
    ------
    ShapeError
        If x, y and weights differ in length.
    ArgumentError
        If x is no array of numbers or is empty, or for a batch size below 1.

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
        """How many samples there are."""
        return len(self.x)

    @property
    def steps(self) -> int:
        """How many batches an epoch has."""
        return len(self)

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return -(-self.samples // self.batch_size)

    @property
    def settings(self) -> dict:
        return self.fingerprint | {"batch_size": self.batch_size, "shuffle": self.shuffle, "seed": self.seed}

    @property
    def fingerprint(self) -> dict:
        """By which other samples are recognised: how many, checksums of some of them, of all labels and weights."""
        some = self.x[:: -(-self.samples // FINGERPRINT)]
        arrays = {"samples": some, "labels": self.y, "weights": self.sample_weight}
        return {"number of samples": self.samples} | {
            f"{name}' checksum": None if array is None else zlib.crc32(np.ascontiguousarray(array))
            for name, array in arrays.items()
        }

    def batches(self, epoch: int = 0, first: int = 0) -> Iterator[tuple]:
        order = self.order(epoch)
        for start in range(first * self.batch_size, self.samples, self.batch_size):
            yield self.take(order[start : start + self.batch_size], epoch)

    def in_order(self) -> Iterator[tuple]:
        for start in range(0, self.samples, self.batch_size):
            yield self.take(slice(start, start + self.batch_size), None)  # without a copy

    def order(self, epoch: int) -> np.ndarray:
        """The order of the samples in an epoch."""
        order = np.arange(self.samples)
        if self.shuffle:
            np.random.default_rng([self.seed, epoch]).shuffle(order)
        return order

    def take(self, indices: np.ndarray | slice, epoch: int | None) -> tuple:
        """(x, y, sample_weight) of these samples, for that epoch of training or, with None, as they are."""
        return tuple(
            None if array is None else array[indices] for array in (self.x, self.y, self.sample_weight)
        )

    def example(self) -> tuple:
        return self.take(slice(0, 1), None)

    def split(self, last: int) -> tuple["ArrayBatches", "ArrayBatches"]:
        """Two parts with the same settings; the second has the `last` samples, and is not shuffled."""
        return tuple(
            ArrayBatches(*self.take(part, None), self.batch_size, shuffle, self.seed)
            for part, shuffle in ((slice(-last), self.shuffle), (slice(-last, None), False))
        )

    def indices(self, epoch: int, batch: int) -> np.ndarray:
        """Which samples make up a batch."""
        return self.order(epoch)[batch * self.batch_size : (batch + 1) * self.batch_size]

    def describe(self, epoch: int, batch: int) -> str:
        return "samples " + shorten(map(str, self.indices(epoch, batch).tolist()))


class IterableBatches(Batches):
    """The batches of any iterable, one pass per epoch.

    Parameters
    ----------
    data : iterable
        Of (x, y) or (x, y, sample_weight), or of x alone for prediction; or an object with ``__getitem__`` and
        ``__len__``, such as a Keras Sequence.
    steps : int, optional
        End an epoch after so many batches.  The next epoch then begins where this one ended, and an iterable that has
        ended is begun again.

    Raises
    ------
    ArgumentError
        If `data` cannot be iterated.

    Notes
    -----
    The library cannot know in which order an iterable gives its samples, nor put it into an earlier state.  A run that
    is resumed from a checkpoint passes over the batches of its unfinished epoch, and repeats the bits of an
    uninterrupted one only if every pass gives the same batches.

    Examples
    --------
    >>> batches = IterableBatches([(np.zeros((2, 3)), np.zeros(2))])
    >>> [(x.shape, y.shape, weight) for x, y, weight in batches.batches()]
    [((2, 3), (2,), None)]
    """

    def __init__(self, data: Iterable, steps: int | None = None):
        if not is_iterable(data):
            raise ArgumentError(
                "dataset", "arrays, a loader or an iterable of (x, y) batches", f"a {type(data).__name__}"
            )
        self.data, self.steps_per_epoch = data, steps
        self._ahead: list[tuple] = []
        self._iterator: Iterator | None = None

    @property
    def once(self) -> bool:
        """Whether it can be run through only once, as a generator."""
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
            yield from islice(self.in_order(), first, None)
            return
        for number in range(self.steps_per_epoch):
            batch = self._next()
            if number >= first:
                yield batch

    def in_order(self) -> Iterator[tuple]:
        iterator, self._iterator = self._iterator or self._begin(), None
        while self._ahead:
            yield self._ahead.pop()
        yield from iterator

    def describe(self, epoch: int, batch: int) -> str:
        return "of the iterable that was given"

    def _begin(self):
        """A new pass."""
        data = self.data
        items = iter(data) if hasattr(data, "__iter__") else (data[i] for i in range(len(data)))
        return map(_as_batch, items)

    def _next(self):
        """The next batch of passes without end."""
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
                "The model keeps what it was trained on until here.",
            )  # fmt: skip
        return batch


class SteppedBatches(Batches):
    """Epochs of a chosen number of batches: each begins where the one before ended.

    The batches are those of the wrapped dataset, run through again and again in fresh orders.  So a pass over all
    samples may take several epochs, or an epoch several passes.

    Parameters
    ----------
    dataset : ArrayBatches
    steps : int

    Examples
    --------
    >>> batches = SteppedBatches(ArrayBatches(np.arange(6), batch_size=2), steps=2)
    >>> [[x.tolist() for x, *_ in batches.batches(epoch)] for epoch in range(2)]
    [[[0, 1], [2, 3]], [[4, 5], [0, 1]]]
    """

    def __init__(self, dataset: ArrayBatches, steps: int):
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

    def in_order(self) -> Iterator[tuple]:
        return self.dataset.in_order()

    def example(self) -> tuple:
        return self.dataset.example()

    def describe(self, epoch: int, batch: int) -> str:
        return self.dataset.describe(*divmod(epoch * self.steps + batch, self.dataset.steps))


def is_iterable(data: object) -> bool:
    """Whether `data` can be iterated over for batches; words, paths and dictionaries cannot.

    Examples
    --------
    >>> is_iterable(iter([])), is_iterable("cat.jpg"), is_iterable(0.2)
    (True, False, False)
    """
    if isinstance(data, (str, bytes, os.PathLike, Mapping, Set, type)):
        return False
    return hasattr(data, "__iter__") or (hasattr(data, "__getitem__") and hasattr(data, "__len__"))


def is_array(data: object) -> bool:
    """Whether `data` is one array; a list of (x, y) batches is none.

    Examples
    --------
    >>> is_array(np.zeros(3)), is_array([[0, 1], [1, 1]]), is_array([(np.zeros((2, 3)), np.zeros(2))])
    (True, True, False)
    """
    if isinstance(data, (list, tuple)):
        return not (data and isinstance(data[0], tuple) and any(getattr(part, "ndim", 0) for part in data[0]))
    return isinstance(data, range) or hasattr(data, "__array__") or not is_iterable(data)


def shorten(names: Iterable[str], most: int = 8) -> str:
    """The first names, and how many more there are.

    Examples
    --------
    >>> shorten("abc", most=2)
    'a, b and 1 more'
    """
    names = list(names)
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _as_batch(item):
    """What an iterable gave as (x, y, sample_weight)."""
    parts = item if isinstance(item, tuple) else (item,)
    if isinstance(item, list) and item and all(hasattr(part, "shape") for part in item):
        parts = tuple(item)
    if not 1 <= len(parts) <= 3:
        raise ArgumentError("batch of the dataset", "(x, y) or (x, y, sample_weight)", f"{len(parts)} parts")
    batch = ArrayBatches(*parts)
    return batch.x, batch.y, batch.sample_weight
