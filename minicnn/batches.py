"""Cut samples into batches, in an order that depends on the seed and the epoch alone.

`fit`, `evaluate` and `predict` wrap arrays in `ArrayBatches`; `data.Loader` builds on it to augment
and scale pictures.
"""

import zlib
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from .errors import ArgumentError, ShapeError, check_int

FINGERPRINT = 64  # samples, spread over all, that are looked at to recognise the rest


class ArrayBatches:
    """Batches of arrays in memory; the last one may be short.

    Parameters
    ----------
    x : array (N, ...)
    y : array (N, ...), optional
    sample_weight : array (N,), optional
    batch_size : int
    shuffle : bool
        A new order each epoch, drawn from (seed, epoch).
    seed : int

    Raises
    ------
    ShapeError
        If x, y and weights differ in length.
    ArgumentError
        If there is nothing to batch, or the batch size is below 1.

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
        self.x, self.y = np.asarray(x), None if y is None else np.asarray(y)
        self.sample_weight = None if sample_weight is None else np.asarray(sample_weight)
        self.batch_size, self.shuffle = check_int(batch_size, "batch_size"), shuffle
        self.seed = check_int(seed, "seed", least=0)
        if self.x.ndim == 0 or len(self.x) == 0:
            raise ArgumentError("batches", "at least one sample", "none", "Give a non-empty array.")
        for name, array in (("y", self.y), ("sample_weight", self.sample_weight)):
            if array is not None and (array.ndim == 0 or len(array) != len(self.x)):
                raise ShapeError(
                    name,
                    f"{len(self.x)} values, one a sample",
                    f"shape {array.shape}",
                    "Check that x and y belong together.",
                )

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return len(self.x)

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return -(-self.samples // self.batch_size)

    @property
    def settings(self) -> dict:
        """What the batches of every epoch follow from; a run is only resumed with the same."""
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
        """The epoch's batches from number `first` on: (x, y, sample_weight), the last two None where not given."""
        order = self.order(epoch)
        for start in range(first * self.batch_size, self.samples, self.batch_size):
            yield self.take(order[start : start + self.batch_size], epoch)

    def in_order(self) -> Iterator[tuple]:
        """All samples as they are, neither shuffled nor changed: what is judged and predicted."""
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

    def indices(self, epoch: int, batch: int) -> np.ndarray:
        """Which samples make up a batch."""
        return self.order(epoch)[batch * self.batch_size : (batch + 1) * self.batch_size]

    def describe(self, epoch: int, batch: int) -> str:
        """A batch's samples in words, for a message."""
        return "samples " + shorten(map(str, self.indices(epoch, batch).tolist()))


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
