"""fold_batchnorm: a new model with fewer layers and the same predictions up to rounding."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import minicnn as mc
from minicnn.kernels import NAMES
from minicnn.layers.chain import walk


def layers():
    """BatchNormalization after every layer that it can be merged into, with and without a bias and a pool between."""
    return [
        mc.Conv2D(6, 3, use_bias=False), mc.BatchNormalization(), mc.ReLU(),
        mc.Conv2D(6, 3, padding="same"), mc.MaxPool2D(2), mc.BatchNormalization(), mc.ReLU(),
        mc.Residual(
            [mc.SeparableConv2D(8, 3, padding="same", use_bias=False), mc.BatchNormalization(), mc.ReLU(),
             mc.DepthwiseConv2D(3, 2, "same", depth_multiplier=2), mc.BatchNormalization()],
            shortcut=[mc.Conv2D(16, 1), mc.AveragePool2D(2, padding="same"), mc.BatchNormalization()],
        ),
        mc.GlobalAveragePool2D(), mc.Dense(5, use_bias=False), mc.BatchNormalization(), mc.Dense(1), mc.Sigmoid(),
    ]  # fmt: skip


def trained(made, rng, kernels="im2col", dtype="float64", shape=(12, 11, 2)):
    """A built model in which no parameter has its initial value."""
    model = mc.Sequential(made, kernels, "cats").build(shape, dtype=dtype)
    if model.output_activation:
        model.compile(mc.Adam(0.01))
    for parameter in model.parameters:
        positive = parameter.name.endswith(("gamma", "variance"))
        value = rng.uniform(0.3, 0.9, parameter.shape) if positive else rng.normal(0, 0.4, parameter.shape)
        parameter.value = value.astype(dtype)
    return model


def normalizations(model):
    return sum(isinstance(layer, mc.BatchNormalization) for layer in walk(model.layers))


@pytest.mark.parametrize("kernels", NAMES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-4)])
def test_the_folded_model_makes_the_same_predictions(kernels, dtype, tolerance, rng):
    model = trained(layers(), rng, kernels, dtype)
    x = rng.normal(0, 0.3, (5, 12, 11, 2))
    folded = mc.fold_batchnorm(model)
    assert normalizations(model) == 6 and normalizations(folded) == 0
    end = model.predict(x)
    assert end.std() > 1e-3  # the predictions differ, so the comparison means something
    np.testing.assert_allclose(folded.predict(x), end, rtol=tolerance)
    assert folded.kernels_name == kernels and folded.name == "cats" and folded.dtype == dtype


def test_across_a_max_pool_only_scales_of_at_least_0_are_folded(rng):
    made = [mc.Conv2D(3, 3), mc.MaxPool2D(2), mc.BatchNormalization()]
    model = trained(made, rng, shape=(8, 8, 2))
    x = rng.normal(0, 1, (4, 8, 8, 2))
    assert normalizations(mc.fold_batchnorm(model)) == 0
    for gamma, left in (([0.5, 0.0, 0.2], 0), ([0.5, -0.1, 0.2], 1)):
        made[2].gamma.value = np.array(gamma)
        folded = mc.fold_batchnorm(model)
        assert normalizations(folded) == left
        np.testing.assert_allclose(folded.predict(x), model.predict(x), rtol=1e-10, atol=1e-12)


def test_a_normalization_that_cannot_be_merged_stays(rng):
    model = trained(
        [mc.BatchNormalization(), mc.Conv2D(3, 3), mc.ReLU(), mc.BatchNormalization(), mc.Flatten()], rng
    )
    x = rng.normal(0, 1, (4, 12, 11, 2))
    folded = mc.fold_batchnorm(model)
    assert normalizations(folded) == 2
    np.testing.assert_allclose(folded.predict(x), model.predict(x), rtol=1e-12)


def test_two_normalizations_in_a_row_are_folded(rng):
    model = trained([mc.Dense(3), mc.BatchNormalization(), mc.BatchNormalization()], rng, shape=(4,))
    x = rng.normal(0, 1, (4, 4))
    assert len(mc.fold_batchnorm(model).layers) == 1
    np.testing.assert_allclose(mc.fold_batchnorm(model).predict(x), model.predict(x), rtol=1e-12)


def test_training_the_model_does_not_change_the_folded_model(rng):
    model = trained(layers(), rng)
    x, y = rng.normal(0, 0.3, (5, 12, 11, 2)), np.array([0, 1, 1, 0, 1])
    before, weights = model.predict(x), model.get_weights()
    folded = mc.fold_batchnorm(model)
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    for _ in range(3):
        model.train_step(x, y)
    np.testing.assert_allclose(folded.predict(x), before, rtol=1e-9)
    after = model.predict(x)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(mc.fold_batchnorm(model).predict(x), after, rtol=1e-9)


def test_sixteen_threads_may_predict_with_a_folded_model(rng):
    folded = mc.fold_batchnorm(trained(layers(), rng))
    inputs = list(rng.normal(0, 0.3, (16, 3, 12, 11, 2)))
    wanted = [folded.predict(x) for x in inputs]
    with ThreadPoolExecutor(16) as threads:
        for got, one in zip(threads.map(folded.predict, inputs * 4), wanted * 4, strict=True):
            np.testing.assert_array_equal(got, one)


def test_a_folded_model_is_saved_like_any_other(tmp_path, rng):
    model = trained(layers(), rng, dtype="float32")
    model.class_names, model.preprocessing = ["cat", "dog"], {"height": 12}
    folded = mc.fold_batchnorm(model)
    folded.save(tmp_path / "m")
    again = mc.load_model(tmp_path / "m")
    x = rng.normal(0, 0.3, (5, 12, 11, 2))
    np.testing.assert_array_equal(again.predict(x), folded.predict(x))
    assert (again.class_names, again.preprocessing) == (["cat", "dog"], {"height": 12})


def test_a_model_that_is_not_built_is_refused():
    model = mc.Sequential([mc.Dense(2), mc.BatchNormalization()])
    with pytest.raises(mc.StateError, match="Call build"):
        mc.fold_batchnorm(model)


def test_subclasses_of_batch_normalization_and_residual_are_not_folded(rng):
    class Doubled(mc.BatchNormalization):
        def forward(self, x, training=False):
            y, cache = super().forward(x, training)
            return 2 * y, cache

    class Negative(mc.Residual):
        def forward(self, x, training=False):
            y, cache = super().forward(x, training)
            return -y, cache

    inner = [mc.Dense(3), mc.BatchNormalization()]
    model = mc.Sequential([mc.Dense(3), Doubled(), Negative(inner)]).build((3,), dtype="float64")
    model.set_weights([rng.random(parameter.shape) for parameter in model.parameters])
    folded = mc.fold_batchnorm(model)
    assert [type(layer) for layer in folded.layers] == [mc.Dense, Doubled, Negative]
    assert folded.layers[2] is not model.layers[2]
    x = rng.random((4, 3))
    np.testing.assert_allclose(folded.predict(x), model.predict(x), rtol=1e-12)


def test_nothing_is_merged_into_a_subclass_of_a_convolution(rng):
    class Doubled(mc.Conv2D):
        def forward(self, x, training=False):
            y, cache = super().forward(x, training)
            return 2 * y, cache

    model = mc.Sequential([Doubled(3, 3), mc.BatchNormalization()]).build((6, 6, 2))
    model.set_weights([rng.random(parameter.shape) for parameter in model.parameters])
    x = rng.random((2, 6, 6, 2))
    assert len(mc.fold_batchnorm(model).layers) == 2
    np.testing.assert_array_equal(mc.fold_batchnorm(model).predict(x), model.predict(x))


def test_a_users_layer_is_copied_with_all_its_attributes(rng):
    class Scale(mc.layers.Layer):
        def __init__(self, by=1.0):
            super().__init__()
            self.amount = by  # not stored as `by`, so the layer cannot be made again from its config

        def forward(self, x, training=False):
            return x * self.amount, None

    model = mc.Sequential([mc.Dense(4), Scale(3.0), mc.Dense(1), mc.Sigmoid()]).build((4,))
    x = rng.random((5, 4))
    for other in (mc.fold_batchnorm(model), mc.Predictor(model)):
        np.testing.assert_array_equal(other.predict(x), model.predict(x))


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("offset", [0.0, (-1.0, 0.5, 2.0)])
@pytest.mark.parametrize("use_bias", [True, False])
def test_a_rescaling_is_merged_into_the_convolution_after_it(padding, offset, use_bias, rng):
    rescaling = mc.Rescaling((0.1, 0.2, 0.3), offset)
    model = trained(
        [rescaling, mc.Conv2D(4, 3, 1, padding, use_bias=use_bias), mc.ReLU()], rng, shape=(8, 7, 3)
    )
    folded, x = mc.fold_batchnorm(model), rng.normal(0, 50, (4, 8, 7, 3))
    stays = padding == "same" and offset != 0.0  # the padding is not shifted
    assert isinstance(folded.layers[0], mc.Rescaling) == stays
    np.testing.assert_allclose(folded.predict(x), model.predict(x), rtol=1e-10, atol=1e-12)


def test_a_rescaling_is_merged_into_a_dense_layer_with_an_activation(rng):
    model = trained([mc.Rescaling(2.0, -1.0), mc.Dense(3, "tanh"), mc.BatchNormalization()], rng, shape=(4,))
    folded, x = mc.fold_batchnorm(model), rng.normal(0, 1, (4, 4))
    assert [type(layer) for layer in folded.layers] == [mc.Dense, mc.Tanh, mc.BatchNormalization]
    np.testing.assert_allclose(folded.predict(x), model.predict(x), rtol=1e-12)
