"""Batches: every sample once an epoch, in an order that the seed and the epoch alone decide."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minicnn as mc
from minicnn.batches import ArrayBatches


@given(st.integers(1, 40), st.integers(1, 12), st.booleans(), st.integers(0, 5))
def test_every_sample_comes_once_an_epoch_and_the_short_last_batch_is_kept(samples, size, shuffle, epoch):
    batches = ArrayBatches(
        np.arange(samples), -np.arange(samples), np.arange(samples) / 2, size, shuffle, seed=1
    )
    seen = list(batches.batches(epoch))
    assert len(seen) == len(batches) == -(-samples // size)
    assert all(len(x) == size for x, _, _ in seen[:-1])
    x, y, weight = (np.concatenate(parts) for parts in zip(*seen, strict=True))
    np.testing.assert_array_equal(np.sort(x), np.arange(samples))
    np.testing.assert_array_equal(y, -x)
    np.testing.assert_array_equal(weight, x / 2)
    if not shuffle:
        np.testing.assert_array_equal(x, np.arange(samples))


def test_the_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch, size=7):
        batches = ArrayBatches(np.arange(50), batch_size=size, shuffle=True, seed=seed)
        return np.concatenate([x for x, _, _ in batches.batches(epoch)]).tolist()

    assert order(1, 0) == order(1, 0) == order(1, 0, size=11)
    assert order(1, 0) != order(1, 1) and order(1, 0) != order(2, 0)


def test_describe_names_the_samples_of_the_batch():
    batches = ArrayBatches(np.arange(5), batch_size=2)
    assert batches.describe(0, 2) == "samples 4"


def test_what_does_not_fit_is_refused():
    with pytest.raises(mc.ShapeError, match="y: expected 3 values"):
        ArrayBatches(np.zeros(3), np.zeros(2))
    with pytest.raises(mc.ShapeError, match="sample_weight"):
        ArrayBatches(np.zeros(3), np.zeros(3), np.zeros(4))
    for x, size in ((np.zeros(0), 1), (np.zeros(3), 0), (np.zeros(3), 1.5), (np.float64(3), 1)):
        with pytest.raises(mc.ArgumentError):
            ArrayBatches(x, batch_size=size)
