"""Test-time augmentation: the mean over both views, remembered by the model, followed by Predictor and calibration."""

import copy

import numpy as np
import pytest

import minicnn as mc
from minicnn.data import Loader, Preprocessing
from minicnn.inference.tta import mirrored, predict_with_tta


@pytest.fixture
def model():
    layers = [mc.Conv2D(3, 3), mc.ReLU(), mc.Flatten(), mc.Dense(1, "sigmoid")]
    model = mc.Sequential(layers, kernels="im2col").build((6, 7, 3), seed=1)
    model.class_names, model.preprocessing = ["cat", "dog"], Preprocessing(6, 7)
    return model


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)


def test_it_is_the_mean_over_the_images_and_their_mirror_images(model, images):
    x = images / np.float32(255)
    wanted = (model.predict(x) + model.predict(x[:, :, ::-1])) / 2
    np.testing.assert_allclose(predict_with_tta(model, x, tta=True), wanted, rtol=1e-6)
    assert (predict_with_tta(model, x) == model.predict(x)).all()
    model.tta = True
    np.testing.assert_allclose(predict_with_tta(model, x), wanted, rtol=1e-6)
    assert abs(wanted - model.predict(x)).max() > 1e-4


def test_a_loaders_images_are_mirrored_and_the_loader_stays(model, images):
    loader = Loader(images, [0, 1, 0, 1, 1], batch_size=2, preprocessing=Preprocessing(6, 7))
    got = predict_with_tta(model, loader, tta=True)
    np.testing.assert_allclose(got, predict_with_tta(model, images / np.float32(255), tta=True), rtol=1e-5)
    assert loader.x is not mirrored(loader).x and (loader.x == images).all()


def test_the_model_file_and_the_predictor_remember_it(model, images, tmp_path):
    model.tta = True
    model.save(tmp_path / "m.safetensors")
    assert mc.load_model(tmp_path / "m.safetensors").tta is True
    p = predict_with_tta(model, images / np.float32(255))[:, 0]
    for predictor, wanted in (
        (mc.Predictor(model), p),
        (mc.Predictor(model, tta=False), model.predict(images)[:, 0]),
    ):
        assert [answer["dog"] for answer in predictor(list(images))] == pytest.approx(wanted, abs=1e-6)
        assert (predictor.predict_classes(images)[:] == (wanted > 0.5)).all()
    with pytest.raises(mc.ArgumentError, match="Predictor tta: expected True or False"):
        mc.Predictor(model, tta="flip")


def test_calibration_fits_the_mean_over_both_views(model, images):
    x, y = images / np.float32(255), [0, 1, 0, 1, 1]
    model.tta = True
    one, other = copy.deepcopy(model), copy.deepcopy(model)
    other.tta = False
    assert mc.calibrate(one, x, y) == mc.calibrate(other, [x, mirrored(x)], y)
