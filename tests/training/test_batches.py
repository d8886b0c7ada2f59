"""Tests of batches: every sample once per epoch, in an order that depends only on the seed and the epoch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minicnn as mc
from minicnn.training.batches import ArrayBatches, IterableBatches, SteppedBatches, is_array


@given(st.integers(1, 40), st.integers(1, 12), st.booleans(), st.integers(0, 5))
def test_each_epoch_has_every_sample_once_and_keeps_the_short_last_batch(samples, size, shuffle, epoch):
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


def test_the_order_depends_only_on_seed_and_epoch():
    def order(seed, epoch, size=7):
        batches = ArrayBatches(np.arange(50), batch_size=size, shuffle=True, seed=seed)
        return np.concatenate([x for x, _, _ in batches.batches(epoch)]).tolist()

    assert order(1, 0) == order(1, 0) == order(1, 0, size=11)
    assert order(1, 0) != order(1, 1) and order(1, 0) != order(2, 0)


def test_describe_names_the_samples_of_the_batch():
    batches = ArrayBatches(np.arange(5), batch_size=2)
    assert batches.describe(0, 2) == "samples 4"


def test_arrays_that_do_not_fit_together_are_refused():
    with pytest.raises(mc.ShapeError, match="y: expected 3 values"):
        ArrayBatches(np.zeros(3), np.zeros(2))
    with pytest.raises(mc.ShapeError, match="sample_weight"):
        ArrayBatches(np.zeros(3), np.zeros(3), np.zeros(4))
    for x, size in ((np.zeros(0), 1), (np.zeros(3), 0), (np.zeros(3), 1.5), (np.float64(3), 1)):
        with pytest.raises(mc.ArgumentError):
            ArrayBatches(x, batch_size=size)
    for settings in ({"shuffle": "False"}, {"shuffle": 1}, {"seed": -1}, {"seed": "a"}, {"seed": None}):
        with pytest.raises(mc.ArgumentError, match=next(iter(settings))):
            ArrayBatches(np.zeros(3), **settings)


@pytest.mark.parametrize("y", [{"a": 1}, "cat", None, 3.0, np.ma.masked_array([1, 2, 3])])
def test_targets_that_are_not_an_array_are_refused(y):
    if y is None:
        assert ArrayBatches(np.zeros(3), y).labels is None
        return
    with pytest.raises(mc.ArgumentError, match="^y: expected an array"):
        ArrayBatches(np.zeros(3), y)


@pytest.mark.parametrize(
    "weight", [[1, 1, -1], [1, 1, np.nan], ["a", "b", "c"], [None] * 3, np.ones((3, 2)), np.ones(2)]
)
def test_invalid_sample_weights_are_refused(weight):
    with pytest.raises((mc.ArgumentError, mc.ShapeError), match="sample_weight"):
        ArrayBatches(np.zeros(3), np.zeros(3), weight)


def test_a_column_of_sample_weights_is_accepted():
    assert ArrayBatches(np.zeros(3), np.zeros(3), [[1], [2], [3]]).sample_weight.tolist() == [1, 2, 3]


def test_the_last_samples_are_split_off():
    batches = ArrayBatches(np.arange(10), -np.arange(10), np.arange(10) / 2, 4, shuffle=True, seed=3)
    first, last = batches.split(3)
    assert (first.x.tolist(), last.x.tolist()) == (list(range(7)), [7, 8, 9])
    assert (first.y.tolist(), last.sample_weight.tolist()) == ([-n for n in range(7)], [3.5, 4.0, 4.5])
    assert (first.shuffle, first.seed, first.batch_size, last.shuffle) == (True, 3, 4, False)


# ------------------------------------------------------------------------ an iterable of batches
class Again:
    """An iterable that can be iterated repeatedly and counts its passes."""

    def __init__(self, *batches):
        self.batches, self.begun = batches, 0

    def __iter__(self):
        self.begun += 1
        return iter(self.batches)


class Indexed:
    """Like a Keras Sequence: it has a length and items, but __getitem__ has no end."""

    def __len__(self):
        return 3

    def __getitem__(self, number):
        return np.full((2, 1), number), np.zeros(2)


def numbers(batches):
    """The first value of each batch."""
    return [x.flat[0].item() for x, *_ in batches]


def pairs(count):
    return [(np.full((2, 1), number), np.zeros(2)) for number in range(count)]


def test_one_pass_over_an_iterable_is_an_epoch():
    batches = IterableBatches(Again(*pairs(3)))
    assert [numbers(batches.batches(epoch)) for epoch in range(2)] == [[0, 1, 2]] * 2
    assert numbers(batches.batches(0, first=2)) == [2] and numbers(batches.unshuffled()) == [0, 1, 2]
    assert (IterableBatches(pairs(3)).steps, batches.steps) == (3, None)


def test_reading_an_example_loses_no_batch():
    data = Again(*pairs(3))
    for source in (data, iter(pairs(3))):
        batches = IterableBatches(source)
        assert batches.input_shape == (1,) and batches.example()[0].tolist() == [[0], [0]]
        assert numbers(batches.batches()) == [0, 1, 2]
    assert data.begun == 1
    stepped = IterableBatches(iter(pairs(5)), steps=2)
    assert stepped.example()[0].flat[0] == 0
    assert [numbers(stepped.batches(epoch)) for epoch in range(2)] == [[0, 1], [2, 3]]


def test_epochs_of_steps_continue_where_the_last_one_ended():
    batches = IterableBatches(Again(*pairs(3)), steps=2)
    assert [numbers(batches.batches(epoch)) for epoch in range(3)] == [[0, 1], [2, 0], [1, 2]]
    assert numbers(IterableBatches(Again(*pairs(3)), steps=3).batches(0, first=1)) == [1, 2]
    assert batches.steps == 2


def test_a_generator_that_ends_too_early_is_an_error():
    batches = IterableBatches(iter(pairs(3)), steps=2)
    assert numbers(batches.batches(0)) == [0, 1]
    with pytest.raises(
        mc.ArgumentError, match="expected 2 batches per epoch .steps_per_epoch., received an iterable that"
    ):
        list(batches.batches(1))


def test_an_indexed_dataset_ends_at_its_length():
    assert numbers(IterableBatches(Indexed()).unshuffled()) == [0, 1, 2]


@pytest.mark.parametrize(
    "batch", [(np.zeros((2, 1)),), np.zeros((2, 1)), [[0.0], [0.0]], [np.zeros((2, 1)), np.ones(2)]]
)
def test_batches_of_an_iterable_may_be_arrays_alone_or_lists_of_arrays(batch):
    x, y, weight = IterableBatches(iter([batch])).example()
    assert x.tolist() == [[0.0], [0.0]] and weight is None
    assert (y is None) == (len(batch) != 2 or not isinstance(batch, list) or isinstance(batch[0], list))


@pytest.mark.parametrize(
    "batch",
    [
        {"x": 1},
        "cat.jpg",
        None,
        (np.zeros((2, 1)), np.zeros(3)),
        (np.zeros((2, 1)), np.zeros(2), np.zeros(3)),
        (np.zeros((2, 1)), np.zeros(2), np.ones(2), 4),
        (),
        np.zeros((0, 1)),
        (np.zeros((2, 1)), np.zeros(2), [-1.0, 1.0]),
    ],
)
def test_invalid_batches_are_refused(batch):
    with pytest.raises((mc.ArgumentError, mc.ShapeError)):
        list(IterableBatches(iter([batch])).batches())


def test_an_iterable_without_batches_is_refused():
    with pytest.raises(mc.ArgumentError, match="at least one batch"):
        IterableBatches(iter([])).example()
    for data in (3, "cat.jpg", {"a": 1}, None):
        with pytest.raises(mc.ArgumentError, match="an iterable of"):
            IterableBatches(data)


def test_is_array_distinguishes_arrays_from_lists_of_batches():
    assert is_array(np.zeros(3)) and is_array([[1, 2]]) and is_array([(0, 1), (1, 1)]) and is_array(range(3))
    assert is_array([np.zeros(2), np.zeros(2)]) and is_array([]) and is_array("cat.jpg") and is_array(None)
    assert not is_array(pairs(2)) and not is_array(iter(pairs(2))) and not is_array(Indexed())


# --------------------------------------------------------------------- epochs of a number of batches
@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 7), st.booleans())
def test_stepped_epochs_divide_the_stream_of_all_passes(samples, size, steps, shuffle):
    whole = ArrayBatches(np.arange(samples), batch_size=size, shuffle=shuffle)
    stream = [x.tolist() for epoch in range(4 * steps) for x, *_ in whole.batches(epoch)]
    batches = SteppedBatches(whole, steps)
    for epoch in range(4):
        wanted = stream[epoch * steps : (epoch + 1) * steps]
        assert [x.tolist() for x, *_ in batches.batches(epoch)] == wanted
        assert [x.tolist() for x, *_ in batches.batches(epoch, first=steps - 1)] == wanted[-1:]
        assert batches.describe(epoch, 0) == "samples " + ", ".join(map(str, wanted[0]))


def test_stepped_batches_forward_everything_else_to_the_dataset():
    whole = ArrayBatches(np.zeros((6, 2)), np.arange(6), batch_size=4)
    batches = SteppedBatches(whole, 5)
    assert (batches.steps, batches.input_shape, batches.labels.tolist()) == (5, (2,), list(range(6)))
    assert batches.fingerprint == whole.fingerprint
    assert batches.settings == whole.settings | {"steps_per_epoch": 5}
    assert len(list(batches.unshuffled())) == 2
