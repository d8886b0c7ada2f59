"""Tests of Loader: the content of a batch, invalid settings, and training on it compared with training on arrays."""

import threading
import tracemalloc

import numpy as np
import pytest

import minicnn as mc
from minicnn.data import Augmentation, ImageFiles, Loader, Preprocessing, to_float


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (10, 6, 5, 3), dtype=np.uint8)


def test_a_batch_is_float32_nhwc_in_0_to_1(images):
    loader = Loader(images, np.arange(10) % 2, batch_size=4, shuffle=False)
    batches = list(loader.batches(0))
    assert [x.shape for x, _, _ in batches] == [(4, 6, 5, 3), (4, 6, 5, 3), (2, 6, 5, 3)]
    x = np.concatenate([x for x, _, _ in batches])
    assert x.dtype == np.float32 and x.min() >= 0 and x.max() <= 1
    np.testing.assert_allclose(x * 255, images, atol=1e-4)


def test_labels_follow_their_images_when_shuffled(images):
    loader = Loader(images, np.arange(10) % 3, batch_size=3, shuffle=True, seed=4, classes=3)
    for x, y, _ in loader.batches(2):
        for image, label in zip(x, y, strict=True):
            place = np.flatnonzero((to_float(images) == image).all((1, 2, 3))).item()
            assert label.tolist() == np.eye(3)[place % 3].tolist()


def test_augmentation_does_not_depend_on_the_batch_size_or_the_order(images):
    augmentation = Augmentation(horizontal_flip=True, rotation_range=15)
    seen = []
    for size, shuffle in ((3, True), (10, False)):
        loader = Loader(images, np.arange(10), size, shuffle, seed=1, augmentation=augmentation)
        by_label = {}
        for x, y, _ in loader.batches(5):
            by_label |= dict(zip(y.tolist(), x, strict=True))
        seen.append(np.stack([by_label[k] for k in range(10)]))
    np.testing.assert_array_equal(*seen)


def test_another_thread_prepares_the_next_batches_before_they_are_requested(images):
    made, one_more = [], threading.Semaphore(0)

    class Telling(Augmentation):
        def __call__(self, *arguments):
            made.append(threading.current_thread())
            one_more.release()
            return super().__call__(*arguments)

    batches = Loader(images, np.arange(10), 2, augmentation=Telling(horizontal_flip=True)).batches(0)
    next(batches)
    assert all(one_more.acquire(timeout=30) for _ in range(3)), "one was requested, and two are prepared"
    assert set(made).isdisjoint({threading.current_thread()})
    batches.close()


def test_training_on_a_loader_is_the_same_as_on_its_arrays(images):
    labels, weights = np.arange(10) % 2, []
    for source in ("loader", "arrays"):
        model = mc.Sequential([mc.Flatten(), mc.Dense(1), mc.Sigmoid()]).build((6, 5, 3))
        model.compile(metrics=["accuracy"])
        if source == "loader":
            model.fit(Loader(images, labels, 4, shuffle=True, seed=2), epochs=2, verbose=0)
            assert model.predict(Loader(images, labels)).shape == (10, 1)
        else:
            model.fit(to_float(images), labels, batch_size=4, seed=2, epochs=2, verbose=0)
        weights.append(model.get_weights()[0])
    np.testing.assert_array_equal(*weights)


def test_evaluate_and_predict_use_a_training_loader_in_order_without_augmentation(images):
    model = mc.Sequential([mc.Flatten(), mc.Dense(1), mc.Sigmoid()]).build((6, 5, 3))
    model.compile(metrics=["accuracy"])
    training = Loader(
        images, np.arange(10) % 2, 4, shuffle=True, augmentation=Augmentation(rotation_range=90)
    )
    np.testing.assert_array_equal(model.predict(training), model.predict(to_float(images), batch_size=4))
    assert model.evaluate(training) == model.evaluate(to_float(images), np.arange(10) % 2, batch_size=4)
    with pytest.raises(mc.ArgumentError, match="no y next to a loader, which decides that itself"):
        model.fit(training, np.zeros(10))


def test_a_batch_is_described_by_its_file_names(images):
    loader = Loader(images, np.arange(10), 4, False, names=[f"cat.{n}.jpg" for n in range(10)])
    assert loader.describe(0, 2) == "cat.8.jpg, cat.9.jpg"
    assert Loader(images, np.arange(10), 4, False).describe(0, 2) == "samples 8, 9"


def test_only_uint8_images_are_accepted(images):
    for wrong in (to_float(images), images[0]):
        with pytest.raises(mc.ArgumentError, match="uint8"):
            Loader(wrong, np.zeros(len(wrong), int))


def test_training_is_shuffled_by_default_and_validation_never(images):
    loader = Loader(images, np.arange(10), 4, seed=3)
    orders = [np.concatenate([y for _, y, _ in loader.batches(epoch)]).tolist() for epoch in (0, 1)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(10))
    assert orders[0] != orders[1] != list(range(10)) != orders[0]
    assert np.concatenate([y for _, y, _ in loader.unshuffled()]).tolist() == list(range(10))
    still = Loader(images, np.arange(10), 4, shuffle=False)
    assert np.concatenate([y for _, y, _ in still.batches(0)]).tolist() == list(range(10))


def test_a_loader_with_sorted_labels_can_be_trained_on(rng):
    """All images of class 0 come first.  Without shuffling, the accuracy would stay at chance."""
    labels = np.repeat([0, 1], 100)
    images = (rng.integers(0, 60, (200, 4, 4, 3)) + 60 * labels[:, None, None, None]).astype(np.uint8)
    model = mc.Sequential([mc.Flatten(), mc.Dense(1), mc.Sigmoid()]).build((4, 4, 3), seed=0)
    model.compile(mc.SGD(0.5), metrics=["accuracy"])
    model.fit(Loader(images, labels, 20), epochs=10, verbose=0)
    assert model.evaluate(Loader(images, labels))["accuracy"] == 1


def test_each_pass_of_a_for_loop_is_a_new_epoch(images):
    loader = Loader(images, np.arange(10), 4, seed=1)
    passes = [list(loader) for _ in range(2)]
    for epoch, batches in enumerate(passes):
        assert len(batches) == len(loader) == 3
        for (x, y), (wanted_x, wanted_y, _) in zip(batches, loader.batches(epoch), strict=True):
            np.testing.assert_array_equal(x, wanted_x)
            np.testing.assert_array_equal(y, wanted_y)
    assert [x.shape for (x,) in Loader(images, batch_size=8)] == [(8, 6, 5, 3), (2, 6, 5, 3)]


def test_seed_none_draws_a_seed_that_can_be_read(images):
    seeds = {Loader(images, np.arange(10), seed=None).seed for _ in range(4)}
    assert len(seeds) == 4 and all(isinstance(seed, int) for seed in seeds)
    loader = Loader(images, np.arange(10), seed=None)
    again = Loader(images, np.arange(10), seed=loader.seed)
    np.testing.assert_array_equal(loader.order(0), again.order(0))


def test_one_hot_rows_take_memory_for_one_batch_only(images):
    tracemalloc.start()
    loader = Loader(images, np.arange(10) * 2000, 5, False, classes=20_000)
    y = next(loader.batches(0))[1]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert y.shape == (5, 20_000) and y.sum() == 5 and y[3, 6000] == 1
    assert peak < 20e6, "an identity matrix takes 1.6 GB"


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ({"size": (0, 0)}, "size"),
        ({"size": "16"}, "size"),
        ({"size": True}, "size"),
        ({"size": 16.0}, "size"),
        ({"size": (1, 2, 3)}, "size"),
        ({"size": (8, None)}, "size"),
        ({"augmentation": True}, "augmentation"),
        ({"augmentation": Augmentation}, "augmentation"),
        ({"mixup": None}, "mixup"),
        ({"mixup": "0.2"}, "mixup"),
        ({"mixup": True}, "mixup"),
        ({"classes": "2"}, "classes"),
        ({"classes": 0}, "classes"),
        ({"classes": True}, "classes"),
        ({"classes": 3, "class_names": ["cat", "dog"]}, "classes"),
        ({"shuffle": "False"}, "shuffle"),
        ({"shuffle": 1}, "shuffle"),
        ({"batch_size": 0}, "batch_size"),
        ({"seed": -1}, "seed"),
        ({"names": ["a.jpg"]}, "names"),
        ({"class_names": "cat"}, "class_names"),
        ({"class_names": ["cat", "cat"]}, "class_names"),
        ({"class_names": ["cat", 1]}, "class_names"),
        ({"class_names": 2}, "class_names"),
        ({"scale": "yes"}, "scale"),
        ({"scale": 255}, "scale"),
        ({"preprocessing": {"height": 6, "width": 5}}, "preprocessing"),
    ],
)
def test_invalid_settings_are_refused_when_the_loader_is_made(images, setting, name):
    with pytest.raises(mc.ArgumentError, match=name):
        Loader(images, np.arange(10) % 2, **setting)


@pytest.mark.parametrize("known", [{"classes": 2}, {"class_names": ["cat", "dog"]}])
def test_labels_of_any_form_are_accepted_and_invalid_ones_refused(images, known):
    numbers = np.arange(10) % 2
    for labels in (numbers, numbers == 1, numbers * 1.0, np.eye(2, dtype=int)[numbers], np.eye(2)[numbers]):
        loader = Loader(images, labels, 10, False, **known)
        rows = "classes" in known or labels.ndim == 2
        assert next(loader.batches(0))[1].tolist() == (np.eye(2)[numbers] if rows else numbers).tolist()
    for labels in (
        ["cat", "dog"] * 5,
        [None] * 10,
        numbers + 1,
        numbers + 0.5,
        numbers[:9],
        np.eye(3)[numbers],
    ):
        with pytest.raises(mc.MinicnnError, match="labels: expected"):
            Loader(images, labels, **known)
    with pytest.raises(mc.ArgumentError, match="Number the classes"):
        Loader(images, ["cat", "dog"] * 5)


def test_the_size_of_a_batch_is_one_number_or_two(images):
    loader = Loader(images, np.arange(10) % 2, size=16)
    assert loader.size == (16, 16) and loader.input_shape == (16, 16, 3)
    assert next(iter(loader))[0].shape == (10, 16, 16, 3)
    loader.size = np.array([4, 7])
    assert next(loader.unshuffled())[0].shape == (10, 4, 7, 3)
    loader.size = None
    assert loader.input_shape == (6, 5, 3) == next(loader.unshuffled())[0].shape[1:]
    with pytest.raises(mc.ArgumentError, match="size"):
        loader.size = 0
    assert loader.size is None


def test_numpy_numbers_are_accepted_as_settings(images):
    loader = Loader(
        images,
        np.arange(10) % 2,
        np.int64(4),
        np.True_,
        np.int32(7),
        classes=np.int8(2),
        mixup=np.float32(0.5),
    )
    same = Loader(images, np.arange(10) % 2, 4, True, 7, classes=2, mixup=0.5)
    for one, other in zip(loader.batches(0), same.batches(0), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize(
    "augmentation", [None, Augmentation(horizontal_flip=True), Augmentation(zoom_range=0.2)]
)
def test_without_scaling_images_are_floats_up_to_255(images, augmentation):
    settings = {"augmentation": augmentation, "seed": 1}
    unit, bytes_ = (Loader(images, np.arange(10), scale=scale, **settings) for scale in (True, False))
    for (x, y), (large, y_large) in zip(unit, bytes_, strict=True):
        assert large.dtype == np.float32 and large.max() > 200 and y.tolist() == y_large.tolist()
        np.testing.assert_allclose(large, 255 * x, rtol=1e-6)
    x, *_ = next(bytes_.unshuffled())
    np.testing.assert_array_equal(x, images)  # bit-identical, because nothing was divided


def test_to_float_refuses_images_that_are_not_uint8(images):
    for wrong in (to_float(images), images.astype(np.uint16), images > 5):
        with pytest.raises(mc.ArgumentError, match="to_float: expected uint8"):
            to_float(wrong)
    np.testing.assert_array_equal(to_float(images, scale=False), images)


def test_from_files_sets_class_names_and_preprocessing(drawn):
    paths = sorted(drawn.glob("*.png"))[:6]
    files = ImageFiles(paths, np.array([2, 1, 0, 2, 1, 0]), ["a", "b", "c"])
    loader = Loader.from_files(files, Preprocessing(8, 6), cache=False, progress=False)
    assert loader.class_names == ["a", "b", "c"] and loader.preprocessing == Preprocessing(8, 6)
    assert loader.names == paths and loader.input_shape == (8, 6, 3)
    loader.class_names.append("d")
    assert loader.class_names == ["a", "b", "c"], "a copy was given"
    smaller = Loader.from_files(files, (8, 6), cache=False, progress=False, size=(4, 3))
    assert smaller.preprocessing == Preprocessing(4, 3), "the size of the images in a batch"
    none = Loader(loader.x, loader.y)
    assert none.class_names is None and none.preprocessing is None


def test_from_files_refuses_invalid_settings_before_it_reads_files(tmp_path):
    files = ImageFiles([tmp_path / "missing.jpg"] * 2, np.array([0, 1]), ["a", "b"])
    for wrong in ({"batch_size": 0}, {"augmentation": True}, {"size": 0}, {"cache": "yes"}, {"mixup": None}):
        with pytest.raises(mc.ArgumentError):
            Loader.from_files(files, Preprocessing(8, 6), **({"cache": False} | wrong))
    with pytest.raises(mc.ArgumentError, match="from_directory"):
        Loader.from_files("photos", Preprocessing(8, 6))
    with pytest.raises(mc.ArgumentError, match="preprocessing"):
        Loader.from_files(files, "64")


def test_scale_is_saved_with_the_preprocessing(images):
    numbers = np.arange(10) % 2
    raw = Loader(images, numbers, preprocessing=Preprocessing(6, 5), scale=False)
    assert raw.preprocessing == Preprocessing(6, 5, scale=False) and not raw.scale
    assert Loader(images, numbers, preprocessing=raw.preprocessing).scale is False
    again = Loader(images, numbers, preprocessing=raw.preprocessing, scale=True)
    assert again.scale is again.preprocessing.scale is True
