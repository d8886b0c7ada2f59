"""Predictor: the model's answers, from weights that it keeps to itself."""

import numpy as np
import pytest

import minicnn as mc
from minicnn.kernels import NAMES


def model(kernels, seed=0):
    """Every kind of layer that is folded, fused or laid out."""
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
def test_the_same_predictions_for_any_batch(kernels, rng):
    trained = model(kernels)
    x, y = rng.random((7, 12, 12, 3), np.float32), rng.integers(0, 3, 7)
    trained.train_step(x, y)
    wanted, predictor = trained.predict(x), mc.Predictor(trained)
    for batch_size in (1, 3, 7):
        np.testing.assert_allclose(predictor.predict(x, batch_size), wanted, rtol=2e-5)
    assert (predictor.predict_classes(x) == trained.predict_classes(x)).all()
    assert predictor.class_names == ("cats", "dogs", "others")


def test_training_the_model_on_changes_no_answer_of_its_predictor(rng):
    trained = model("fast")
    x, y = rng.random((7, 12, 12, 3), np.float32), rng.integers(0, 3, 7)
    predictor, other = mc.Predictor(trained), model("fast", seed=1)
    before = predictor.predict(x)
    for _ in range(3):
        trained.train_step(x, y)
    trained.set_weights(other.get_weights())
    np.testing.assert_array_equal(predictor.predict(x), before)
    assert np.abs(trained.predict(x) - before).max() > 1e-3


def test_a_model_without_weights_is_refused():
    with pytest.raises(mc.StateError, match="Predictor|fold_batchnorm"):
        mc.Predictor(mc.Sequential([mc.Dense(1)]))
