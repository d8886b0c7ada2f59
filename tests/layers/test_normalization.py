"""Moving statistics of BatchNormalization: valid after one step, Keras's rule after assignment, never NaN."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minicnn as mc


def built(momentum=0.99, channels=3, dtype="float64"):
    layer = mc.BatchNormalization(momentum)
    layer.build((channels,), np.random.default_rng(0), dtype)
    return layer


def step(layer, x):
    """One training step of the layer, like that of a model."""
    y, cache = layer.forward(x, training=True)
    layer.backward(np.ones_like(y), cache)
    for update in layer.updates(cache):
        update()


def moving(layer):
    return layer.moving_mean.value, layer.moving_variance.value


@given(st.sampled_from([0.0, 0.5, 0.9, 0.99]), st.integers(1, 12), st.integers(0, 99))
def test_moving_statistics_are_the_weighted_mean_of_the_batches(momentum, steps, seed):
    """The batch of k steps ago has weight momentum^k; the arbitrary initial values have weight 0."""
    layer, batches = built(momentum), np.random.default_rng(seed).normal(5, 3, (steps, 7, 3))
    for x in batches:
        step(layer, x)
    weights = momentum ** np.arange(steps)[::-1] if momentum else np.eye(steps)[-1]
    for got, each in zip(moving(layer), (batches.mean(1), batches.var(1)), strict=True):
        np.testing.assert_allclose(got, np.average(each, axis=0, weights=weights), rtol=1e-10)


def test_assigned_statistics_move_as_in_keras(rng):
    model = mc.Sequential([mc.BatchNormalization()]).build((3,), dtype="float64")
    mean, variance = rng.random((2, 3))
    model.set_weights([np.ones(3), np.zeros(3), mean, variance])
    layer, x = model.layers[0], rng.normal(5, 3, (7, 3))
    step(layer, x)
    np.testing.assert_allclose(layer.moving_mean.value, 0.99 * mean + 0.01 * x.mean(0))
    np.testing.assert_allclose(layer.moving_variance.value, 0.99 * variance + 0.01 * x.var(0))


def test_loaded_statistics_are_taken_as_valid(tmp_path, rng):
    model = mc.Sequential([mc.BatchNormalization()]).build((3,))
    step(model.layers[0], rng.random((7, 3)).astype("float32"))
    model.save(tmp_path / "m")
    again = mc.load_model(tmp_path / "m")
    before = moving(again.layers[0])
    x = rng.normal(5, 3, (7, 3)).astype("float32")
    step(again.layers[0], x)
    np.testing.assert_allclose(moving(again.layers[0])[0], 0.99 * before[0] + 0.01 * x.mean(0), rtol=1e-6)


def test_state_and_weights_together_resume_bit_by_bit(rng):
    """The state is converted to JSON and back, as in a checkpoint."""
    x = rng.normal(2, 3, (6, 7, 3))
    whole, first, second = built(), built(), built()
    for batch in x:
        step(whole, batch)
    for batch in x[:2]:
        step(first, batch)
    for old, new in zip(first.parameters, second.parameters, strict=True):
        new.value = old.value.copy()
    second.state = json.loads(json.dumps(first.state))
    for batch in x[2:]:
        step(second, batch)
    for one, other in zip(moving(whole), moving(second), strict=True):
        np.testing.assert_array_equal(one, other)


def small_network(momentum=0.99):
    return [
        mc.Conv2D(6, 3, use_bias=False), mc.BatchNormalization(momentum), mc.ReLU(), mc.MaxPool2D(2),
        mc.Conv2D(8, 3, use_bias=False), mc.BatchNormalization(momentum), mc.ReLU(), mc.GlobalAveragePool2D(),
        mc.Dense(1), mc.Sigmoid(),
    ]  # fmt: skip


def test_prediction_is_reliable_after_the_first_epoch(rng):
    """After 20 steps with Keras's momentum, moving statistics give the same loss as the statistics of the batch.

    In Keras, four fifths of the averages would still be the initial values 0 and 1.  A fifth of the labels is wrong, so
    that over-confident predictions cost.
    """
    y = rng.integers(0, 2, 320)
    x = rng.normal(0, 1, (320, 10, 10, 3))
    x[..., 0] += np.where(y, 1.5, -1.5)[:, None, None] * np.sin(np.arange(10))
    x, y = (20 + 5 * x).astype("float32"), np.where(np.arange(320) % 5, y, 1 - y)
    gaps = []
    for keras in (False, True):
        model = mc.Sequential(small_network()).build((10, 10, 3))
        for layer in model.layers if keras else ():
            layer.state = layer.state | ({"unmeasured": 0.0} if layer.state else {})
        model.compile(mc.Adam(0.01))
        model.fit(x, y, batch_size=16, epochs=1, verbose=0)
        own = model.test_step(x, y, training=True)[0]
        gaps.append(model.evaluate(x, y)["loss"] - own)
    assert abs(gaps[0]) < 0.02 and gaps[1] > 0.3


def test_assigning_the_initial_statistics_does_not_make_them_valid(rng):
    """As in a hyperparameter search that calls set_weights with the initial weights before each trial."""
    x = rng.normal(5, 3, (8, 4))
    plain, put_back = built(channels=4), built(channels=4)
    for parameter in put_back.parameters:
        parameter.value = parameter.value.copy()
    for layer in (plain, put_back):
        step(layer, x)
    for one, other in zip(moving(plain), moving(put_back), strict=True):
        np.testing.assert_array_equal(one, other)


def test_statistics_written_in_place_before_the_first_step_are_taken_as_valid(rng):
    layer, x = built(channels=4), rng.normal(5, 3, (8, 4))
    layer.moving_mean.value[:] = 100
    step(layer, x)
    np.testing.assert_allclose(layer.moving_mean.value, 0.99 * 100 + 0.01 * x.mean(0), rtol=1e-6)


def test_a_prediction_does_not_depend_on_its_batch(rng):
    model = mc.Sequential(small_network()).build((10, 10, 3))
    model.compile()
    x = rng.normal(3, 2, (16, 10, 10, 3))
    model.fit(x, rng.integers(0, 2, 16), verbose=0)
    np.testing.assert_allclose(model.predict(x, batch_size=16), model.predict(x, batch_size=1), rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_batch_whose_loss_is_not_finite_changes_nothing(bad, rng):
    model = mc.Sequential(small_network()).build((10, 10, 3))
    model.compile()
    x, y = rng.random((4, 10, 10, 3)), np.array([0, 1, 1, 0])
    model.train_step(x, y)
    before = model.get_weights()
    x[2, 3, 4, 0] = bad
    with np.errstate(invalid="ignore"), pytest.raises(mc.NonFiniteError):
        model.train_step(x, y)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    model.test_step(np.ones_like(x), y, training=True)  # computing a loss changes nothing either
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_backward_pass_alone_does_not_update_the_statistics(rng):
    layer, x = built(), rng.normal(5, 3, (7, 3))
    y, cache = layer.forward(x, training=True)
    layer.backward(y, cache)
    assert not layer.moving_mean.value.any() and (layer.moving_variance.value == 1).all()


def test_the_gradient_in_prediction_treats_the_averages_as_constants(rng):
    layer, x, dy = built(), rng.normal(5, 3, (7, 3)), rng.normal(0, 1, (7, 3))
    layer.set_weights(rng.uniform(0.5, 2, (4, 3)))
    gamma, beta, mean, variance = layer.get_weights()
    y, cache = layer.forward(x)
    scale = gamma / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(layer.backward(dy, cache), dy * scale)
    np.testing.assert_allclose(layer.gamma.grad, (dy * (y - beta) / gamma).sum(0))
    np.testing.assert_allclose(layer.beta.grad, dy.sum(0))


def test_a_frozen_layer_behaves_as_in_prediction_and_its_averages_do_not_change(rng):
    for frozen in (False, True):
        model = mc.Sequential([mc.BatchNormalization(), mc.Dense(1, "sigmoid")]).build((3,))
        model.compile("sgd")
        if frozen:
            model.layers[0].trainable = False
        before = model.layers[0].get_weights()
        x = rng.normal(5, 3, (8, 3))
        assert (model.train_step(x, np.arange(8) % 2)[1].shape) == (8, 1)
        moved = [not np.array_equal(a, b) for a, b in zip(before, model.layers[0].get_weights(), strict=True)]
        assert moved == [not frozen] * 4


def test_statistics_are_never_trainable(rng):
    model = mc.Sequential([mc.BatchNormalization(), mc.Dense(1, "sigmoid")]).build((3,))
    model.compile("sgd")
    for parameter in model.parameters:
        parameter.trainable = True  # as a user may unfreeze every parameter
    assert [parameter.trainable for parameter in model.layers[0].parameters] == [True, True, False, False]
    model.train_step(rng.random((8, 3)), np.arange(8) % 2)
