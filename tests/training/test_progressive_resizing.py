"""Tests of progressive resizing: a resized network is the same network, and each epoch has its size."""

import numpy as np
import pytest

import minicnn as mc
from minicnn.data import Augmentation, Loader


def network(size=8):
    layers = [
        mc.Conv2D(4, 3),
        mc.ReLU(),
        mc.MaxPool2D(2),
        mc.GlobalAveragePool2D(),
        mc.Dropout(0.5),
        mc.Dense(1),
    ]
    model = mc.Sequential([*layers, mc.Sigmoid()]).build((size, size, 3))
    model.compile(metrics=["accuracy"])
    return model


def test_a_resized_network_equals_one_that_was_built_at_that_size(rng):
    model, wanted, x = network(8), network(13), rng.random((2, 13, 13, 3)).astype("float32")
    optimizer = model.optimizer
    mc.resize(model, 13, 13)
    np.testing.assert_array_equal(model.predict(x), wanted.predict(x))
    assert model.output_shapes == wanted.output_shapes and model.optimizer is optimizer
    one, two = (m.train_step(x, [0, 1])[0] for m in (model, wanted))
    assert one == two  # dropout draws the same random numbers


def test_resizing_keeps_the_optimizer_and_the_random_generators(rng):
    """Resizing to another size and back between two steps changes nothing."""
    x, y, weights = rng.random((4, 8, 8, 3)).astype("float32"), [0, 1, 1, 0], []
    for detour in (False, True):
        model = network()
        model.train_step(x, y)
        if detour:
            mc.resize(model, 20, 16)
            mc.resize(model, 8, 8)
        model.train_step(x, y)
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_each_epoch_is_trained_at_its_size(rng):
    images = rng.integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    training = Loader(images, np.arange(6) % 2, 3, augmentation=Augmentation(horizontal_flip=True))
    validation, seen, model = Loader(images, np.arange(6) % 2), [], network(16)
    train_step = model.train_step
    model.train_step = lambda x, *rest: seen.append(x.shape[1:3]) or train_step(x, *rest)
    stages = mc.ProgressiveResizing([(8, 1), (12, 2)], training, validation)
    history = model.fit(
        training, validation_data=validation, epochs=stages.epochs, callbacks=[stages], verbose=0
    )
    assert seen == [(8, 8)] * 2 + [(12, 12)] * 4
    assert len(history.history["val_loss"]) == 3
    assert model.input_shape == (16, 16, 3) and training.size is validation.size is None  # as they were


def test_a_model_saved_after_an_epoch_has_its_original_size(rng, tmp_path):
    """It has the weights that were validated, and training may end right after it is saved."""
    images = rng.integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    training, model = Loader(images, np.arange(6) % 2, 3), network(16)
    file, weights = tmp_path / "model.safetensors", []

    class Interrupt(mc.Callback):
        def on_test_begin(self):
            weights[:] = self.model.get_weights()
            assert self.model.input_shape == (8, 8, 3)

        def on_epoch_end(self, epoch, logs):
            raise RuntimeError("killed")

    callbacks = [
        mc.ExponentialMovingAverage(0.9),
        mc.ProgressiveResizing([(8, 2)], training),
        mc.ModelCheckpoint(file),
    ]
    with pytest.raises(RuntimeError, match="killed"):
        model.fit(training, epochs=2, callbacks=[*callbacks, Interrupt()], verbose=0)
    saved = mc.load_model(file)
    assert saved.input_shape == (16, 16, 3) and saved.predict(images / np.float32(255)).shape == (6, 1)
    for one, other in zip(saved.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_network_with_flatten_cannot_be_resized():
    model = mc.Sequential([mc.Flatten(), mc.Dense(1)]).build((4, 4, 1))
    before = model.get_weights()
    with pytest.raises(mc.ShapeError, match="GlobalAveragePool2D"):
        mc.resize(model, 6, 6)
    assert model.input_shape == (4, 4, 1)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_invalid_stages_are_refused():
    for stages in ([], [(0, 3)], [(8, 0)]):
        with pytest.raises(mc.ArgumentError):
            mc.ProgressiveResizing(stages)


def test_frozen_parameters_stay_frozen():
    model = mc.Sequential([mc.Conv2D(4, 3), mc.GlobalAveragePool2D(), mc.Dense(1)]).build((8, 8, 3))
    model.parameters[0].trainable = False
    mc.resize(model, 12, 12)
    assert [parameter.trainable for parameter in model.parameters] == [False, True, True, True]


def test_a_model_that_is_not_built_cannot_be_resized():
    with pytest.raises(mc.StateError, match="a built model"):
        mc.resize(mc.Sequential([mc.GlobalAveragePool2D()]), 12, 12)
