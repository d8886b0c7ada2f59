"""The loader: what a batch holds, and that it trains like the arrays it stands for."""

import threading

import numpy as np
import pytest

import minicnn as mc
from minicnn.data import Augmentation, Loader, to_float


@pytest.fixture
def pictures(rng):
    return rng.integers(0, 256, (10, 6, 5, 3), dtype=np.uint8)


def test_a_batch_is_nhwc_float32_between_0_and_1(pictures):
    loader = Loader(pictures, np.arange(10) % 2, batch_size=4)
    batches = list(loader.batches(0))
    assert [x.shape for x, _, _ in batches] == [(4, 6, 5, 3), (4, 6, 5, 3), (2, 6, 5, 3)]
    x = np.concatenate([x for x, _, _ in batches])
    assert x.dtype == np.float32 and x.min() >= 0 and x.max() <= 1
    np.testing.assert_allclose(x * 255, pictures, atol=1e-4)


def test_labels_follow_their_pictures_when_shuffled(pictures):
    loader = Loader(pictures, np.arange(10) % 3, batch_size=3, shuffle=True, seed=4, classes=3)
    for x, y, _ in loader.batches(2):
        for picture, label in zip(x, y, strict=True):
            place = np.flatnonzero((to_float(pictures) == picture).all((1, 2, 3))).item()
            assert label.tolist() == np.eye(3)[place % 3].tolist()


def test_augmentation_does_not_depend_on_batch_size_or_order(pictures):
    augmentation = Augmentation(horizontal_flip=True, rotation_range=15)
    seen = []
    for size, shuffle in ((3, True), (10, False)):
        loader = Loader(pictures, np.arange(10), size, shuffle, seed=1, augmentation=augmentation)
        by_label = {}
        for x, y, _ in loader.batches(5):
            by_label |= dict(zip(y.tolist(), x, strict=True))
        seen.append(np.stack([by_label[k] for k in range(10)]))
    np.testing.assert_array_equal(*seen)


def test_the_next_batches_are_made_by_another_thread_before_they_are_asked_for(pictures):
    made, one_more = [], threading.Semaphore(0)

    class Telling(Augmentation):
        def __call__(self, *arguments):
            made.append(threading.current_thread())
            one_more.release()
            return super().__call__(*arguments)

    batches = Loader(pictures, np.arange(10), 2, augmentation=Telling(horizontal_flip=True)).batches(0)
    next(batches)
    assert all(one_more.acquire(timeout=30) for _ in range(3)), "one was asked for, and two are ahead of it"
    assert set(made).isdisjoint({threading.current_thread()})
    batches.close()


def test_training_on_a_loader_is_training_on_its_arrays(pictures):
    labels, weights = np.arange(10) % 2, []
    for source in ("loader", "arrays"):
        model = mc.Sequential([mc.Flatten(), mc.Dense(1), mc.Sigmoid()]).build((6, 5, 3))
        model.compile(metrics=["accuracy"])
        if source == "loader":
            model.fit(Loader(pictures, labels, 4, shuffle=True, seed=2), epochs=2, verbose=0)
            assert model.predict(Loader(pictures, labels)).shape == (10, 1)
        else:
            model.fit(to_float(pictures), labels, batch_size=4, seed=2, epochs=2, verbose=0)
        weights.append(model.get_weights()[0])
    np.testing.assert_array_equal(*weights)


def test_a_training_loader_is_judged_and_predicted_in_order_and_unchanged(pictures):
    model = mc.Sequential([mc.Flatten(), mc.Dense(1), mc.Sigmoid()]).build((6, 5, 3))
    model.compile(metrics=["accuracy"])
    training = Loader(
        pictures, np.arange(10) % 2, 4, shuffle=True, augmentation=Augmentation(rotation_range=90)
    )
    np.testing.assert_array_equal(model.predict(training), model.predict(to_float(pictures), batch_size=4))
    assert model.evaluate(training) == model.evaluate(to_float(pictures), np.arange(10) % 2, batch_size=4)
    with pytest.raises(mc.ArgumentError, match="Leave them out"):
        model.fit(training, np.zeros(10))


def test_a_bad_batch_is_described_by_file_names(pictures):
    loader = Loader(pictures, np.arange(10), 4, names=[f"cat.{n}.jpg" for n in range(10)])
    assert loader.describe(0, 2) == "cat.8.jpg, cat.9.jpg"
    assert Loader(pictures, np.arange(10), 4).describe(0, 2) == "samples 8, 9"


def test_only_uint8_pictures_are_taken(pictures):
    for wrong in (to_float(pictures), pictures[0]):
        with pytest.raises(mc.ArgumentError, match="uint8"):
            Loader(wrong, np.zeros(len(wrong), int))
