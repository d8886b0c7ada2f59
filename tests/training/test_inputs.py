"""Tests of input arrays: accepted and refused values, and the scaling of uint8 images."""

from pathlib import Path

import numpy as np
import pytest

import minicnn as mc
from minicnn.data import to_float
from minicnn.training.inputs import as_array, as_input, as_samples

SIZE = {"height": 4, "width": 4}


def image_model(preprocessing=SIZE):
    model = mc.Sequential([mc.Flatten(), mc.Dense(1), mc.Sigmoid()], kernels="reference").build(
        (4, 4, 3), seed=1
    )
    model.compile("sgd")
    model.preprocessing = preprocessing
    return model


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "received None"),
        ("cat.jpg", "received 'cat.jpg'. To predict image files, use minicnn.Predictor"),
        (b"bytes", "image files"),
        (Path("cat.jpg"), "image files"),
        ({"a": [1.0]}, "received a dict"),
        ({1.0, 2.0}, "received a set"),
        (3.0, "received 3.0"),
        (np.float32(3), "received"),
        (object(), "received object"),
        (iter([1]), "received list_iterator"),
        ([[1.0], [1.0, 2.0]], "a list that is none"),
        (np.ma.masked_array([1.0, 2.0], [False, True]), "a masked array"),
        ([np.ma.masked_array([1.0]), np.ma.masked_array([1.0])], "a masked array"),
    ],
)
def test_values_that_are_not_arrays_are_refused(value, words):
    with pytest.raises(mc.ArgumentError, match="^x: expected an array") as caught:
        as_array(value, "x")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        ["a", "b"],
        np.array(["2020-01-01"], "datetime64[D]"),
        np.array([1 + 2j]),
        np.array([1.0, 2.0], object),
        np.zeros(2, [("a", "f4")]),
    ],
)
def test_arrays_without_numbers_are_refused(value):
    with pytest.raises(mc.ArgumentError, match="^x: expected numbers, received"):
        as_samples(value)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "float16", "float32", "float64"])
def test_numbers_of_any_type_are_accepted_unchanged(dtype):
    value = np.ones((2, 3), dtype)
    assert as_samples(value) is value
    assert as_samples([[True, False]]).tolist() == [[1, 0]]


def test_uint8_images_are_scaled_as_in_a_loader():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), np.uint8)
    np.testing.assert_array_equal(as_input(image_model(), images), to_float(images))
    np.testing.assert_array_equal(as_input(image_model(), to_float(images)), to_float(images))
    without = as_input(image_model(SIZE | {"scale": False}), images)
    np.testing.assert_array_equal(without, images.astype(np.float32))
    assert without.dtype == np.float32


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.ones((1, 4, 4, 3), np.int16), "uint8, or floats in .0, 1., received int16"),
        (np.ones((1, 4, 4, 3), np.int64), "received int64"),
        (np.ones((1, 4, 4, 3), bool), "received bool"),
        (np.full((1, 4, 4, 3), 200.0), "floats up to 200. Divide by 255"),
    ],
)
def test_a_model_with_preprocessing_refuses_images_of_unknown_range(images, words):
    model, y = image_model(), np.array([1])
    if images.dtype == bool:
        images = as_samples(images)  # as predict, fit and evaluate do
        words = "received int8"
    for call in (
        lambda: as_input(model, images),
        lambda: model.predict(images),
        lambda: model.fit(images, y, verbose=0),
        lambda: model.evaluate(images, y),
    ):
        with pytest.raises(mc.ArgumentError, match=words):
            call()


def test_values_out_of_range_in_the_last_batch_are_refused_before_the_first():
    images = np.zeros((6, 4, 4, 3), "float32")
    images[-1] = 255
    model = image_model()
    with pytest.raises(
        mc.ArgumentError, match="^images: expected uint8, or floats in .0, 1., received floats up to 255"
    ):
        model.fit(images, np.arange(6) % 2, batch_size=2, shuffle=False, verbose=0)


def test_a_model_without_preprocessing_gets_its_inputs_unchanged():
    model = image_model(None)
    images = np.full((2, 4, 4, 3), 200, np.uint8)
    assert as_input(model, images) is images
    np.testing.assert_array_equal(model.predict(images), model.predict(images.astype("float32")))


def test_fit_evaluate_and_predict_scale_uint8_images():
    rng = np.random.default_rng(0)
    images, y = rng.integers(0, 256, (6, 4, 4, 3), np.uint8), np.arange(6) % 2
    byte_model, float_model = image_model(), image_model()
    of_bytes = byte_model.fit(images, y, verbose=0).history["loss"]
    assert of_bytes == float_model.fit(to_float(images), y, verbose=0).history["loss"]
    np.testing.assert_array_equal(byte_model.predict(images), byte_model.predict(to_float(images)))
    assert byte_model.evaluate(images, y) == byte_model.evaluate(to_float(images), y)


def test_nan_is_left_to_training_which_names_the_batch():
    images = np.full((1, 4, 4, 3), np.nan)
    assert as_input(image_model(), images) is images
