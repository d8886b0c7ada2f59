"""Predictor: the predictions of the model from a copy of its weights, and labels for image files."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import minicnn as mc
from minicnn.kernels import NAMES


def model(kernels, seed=0):
    """A network with every kind of layer that is folded, fused or packed."""
    layers = [
        mc.Conv2D(20, 3, padding="same", use_bias=False), mc.BatchNormalization(), mc.ReLU(),
        mc.Residual([mc.Conv2D(20, 3, padding="same"), mc.ReLU(), mc.Conv2D(20, 3, padding="same")]), mc.ReLU(),
        mc.Residual(
            [mc.BatchNormalization(), mc.ReLU(), mc.SeparableConv2D(24, 3, padding="same"), mc.MaxPool2D(2)],
            [mc.Conv2D(24, 1, strides=2)],
        ),
        mc.GlobalAveragePool2D(), mc.Dense(3), mc.Softmax(),
    ]  # fmt: skip
    built = mc.Sequential(layers, kernels).build((12, 12, 3), seed=seed)
    built.compile("adam", "sparse_categorical_crossentropy")
    built.class_names = ("cats", "dogs", "others")
    return built


@pytest.mark.parametrize("kernels", NAMES)
def test_the_predictions_are_those_of_the_model_for_any_batch_size(kernels, rng):
    trained = model(kernels)
    x, y = rng.random((7, 12, 12, 3), np.float32), rng.integers(0, 3, 7)
    trained.train_step(x, y)
    wanted, predictor = trained.predict(x), mc.Predictor(trained)
    for batch_size in (1, 3, 7):
        np.testing.assert_allclose(predictor.predict(x, batch_size), wanted, rtol=2e-5)
    assert (predictor.predict_classes(x) == trained.predict_classes(x)).all()
    assert predictor.class_names == ["cats", "dogs", "others"]


def test_training_the_model_does_not_change_the_predictor(rng):
    trained = model("fast")
    x, y = rng.random((7, 12, 12, 3), np.float32), rng.integers(0, 3, 7)
    predictor, other = mc.Predictor(trained), model("fast", seed=1)
    before = predictor.predict(x)
    for _ in range(3):
        trained.train_step(x, y)
    trained.set_weights(other.get_weights())
    np.testing.assert_array_equal(predictor.predict(x), before)
    assert np.abs(trained.predict(x) - before).max() > 1e-3


def test_arguments_that_are_not_a_model_are_refused(tmp_path):
    with pytest.raises(mc.StateError, match="Predictor|fold_batchnorm"):
        mc.Predictor(mc.Sequential([mc.Dense(1)]))
    with pytest.raises(mc.ArgumentError, match="a Sequential or the path"):
        mc.Predictor(7)
    with pytest.raises(mc.ModelFileError, match="nothing there"):
        mc.Predictor(tmp_path / "missing.safetensors")


@pytest.fixture
def file(tmp_path):
    """The file of a model that classifies images as dark or bright."""
    network = mc.Sequential([mc.GlobalAveragePool2D(), mc.Dense(1, "sigmoid")], "im2col").build((8, 6, 3))
    network.set_weights([np.full((3, 1), 4.0), [-6.0]])  # the mean of three channels against one half
    network.class_names, network.preprocessing = ["dark", "bright"], mc.data.Preprocessing(8, 6)
    network.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_image_files_bytes_and_arrays_get_labels(file, tmp_path):
    from PIL import Image

    white, black = (np.full((20, 30, 3), value, np.uint8) for value in (255, 0))
    Image.fromarray(white).save(tmp_path / "white.png")
    content = (tmp_path / "white.png").read_bytes()
    predictor = mc.Predictor(file)
    p = 1 / (1 + np.exp(-6))
    for source in (
        tmp_path / "white.png", str(tmp_path / "white.png"), content, io.BytesIO(content), white, Image.fromarray(white)
    ):  # fmt: skip
        assert predictor(source) == pytest.approx({"dark": 1 - p, "bright": p}, abs=1e-6)
    labels = predictor([white, black])
    assert [max(label, key=label.get) for label in labels] == ["bright", "dark"]
    assert predictor([]) == []


def test_files_that_are_not_images_are_refused(file, tmp_path):
    predictor = mc.Predictor(file)
    (tmp_path / "text.jpg").write_text("no image")
    for wrong in (tmp_path / "missing.jpg", tmp_path / "text.jpg", b"no image", b""):
        with pytest.raises(mc.DataError):
            predictor(wrong)
    for wrong in (None, 7, {"a": 1}):
        with pytest.raises(mc.MinicnnError):
            predictor(wrong)
    with pytest.raises(mc.StateError, match="without preprocessing"):
        mc.Predictor(model("im2col"))(np.zeros((8, 8, 3), np.uint8))


def test_classes_without_names_get_numbers(file):
    network = mc.load_model(file)
    network.class_names = None
    assert list(mc.Predictor(network)(np.zeros((9, 9, 3), np.uint8))) == ["0", "1"]


def test_many_threads_may_use_one_predictor(rng):
    predictor = mc.Predictor(model("fast"))
    inputs = list(rng.random((16, 2, 12, 12, 3), np.float32))
    wanted = [predictor.predict(x) for x in inputs]
    with ThreadPoolExecutor(16) as threads:
        for got, one in zip(threads.map(predictor.predict, inputs * 3), wanted * 3, strict=True):
            np.testing.assert_array_equal(got, one)
