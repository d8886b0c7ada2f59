"""Tests of the learning-rate range test: on a parabola with a known stable rate, and that the model is restored."""

import threading

import numpy as np
import pytest

import minicnn as mc
from minicnn.training.batches import ArrayBatches


def problem(rng):
    x = np.sign(rng.standard_normal((64, 1)))
    model = mc.Sequential([mc.Dense(1, use_bias=False), mc.Dropout(0.0)]).build((1,), dtype="float64")
    model.set_weights([np.array([[5.0]])])
    model.compile(mc.SGD(0.01, momentum=0.5), "mean_squared_error")
    return model, ArrayBatches(x, x, batch_size=8)


def test_the_loss_of_a_parabola_explodes_above_rate_1(rng):
    """loss = (w - 1)^2.  Gradient descent is stable up to rate 1, because it multiplies w - 1 by 1 - 2 rate."""
    model, batches = problem(rng)
    model.compile(mc.SGD(0.01), "mean_squared_error")
    finding = mc.find_learning_rate(model, batches, lowest=1e-4, highest=100, steps=60)
    assert 1 < finding.rates[-1] < 20 and len(finding.rates) < 60
    assert 1e-3 < finding.suggestion < 1
    error = 4.0
    for rate, loss in zip(finding.rates, finding.losses, strict=True):
        assert loss == pytest.approx(error**2, rel=1e-6, abs=1e-12)
        error *= 1 - 2 * rate


def test_noise_at_the_lowest_rates_is_not_suggested():
    """The loss varies by 2 % at low rates, and later falls by 90 %."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = np.sign(rng.standard_normal((1024, 1)))
        model = mc.Sequential([mc.Dense(1, use_bias=False)]).build((1,), dtype="float64")
        model.set_weights([np.array([[5.0]])])
        model.compile(mc.SGD(0.01), "mean_squared_error")
        weight = np.repeat(rng.uniform(0.9, 1.1, 128), 8)
        finding = mc.find_learning_rate(
            model, x, x, sample_weight=weight, batch_size=8, lowest=1e-6, highest=10, steps=100
        )
        assert 1e-3 < finding.suggestion < 1, seed


def test_one_bad_batch_does_not_end_the_test(rng):
    model, batches = problem(rng)
    model.compile(mc.SGD(0.01), "mean_squared_error")
    weight = np.ones(64)
    weight[24:32] = 10
    noisy = ArrayBatches(batches.x, batches.y, weight, batch_size=8)
    assert len(mc.find_learning_rate(model, noisy, lowest=1e-4, highest=0.02, steps=60).rates) == 60


def test_a_loss_that_never_falls_gives_no_suggestion(rng):
    x = rng.standard_normal((64, 1))
    model = mc.Sequential([mc.Dense(1, use_bias=False)]).build((1,))
    model.set_weights([[[1.0]]])  # as good as it gets
    model.compile("sgd", "mean_squared_error")
    with pytest.raises(mc.StateError, match="a loss that falls while the rate grows"):
        mc.find_learning_rate(model, x, x, batch_size=8)


def test_the_model_is_restored(rng):
    model, batches = problem(rng)
    for x, y, _ in batches.batches():
        model.train_step(x, y)
    weights, state, schedule = model.get_weights(), model.optimizer.state, mc.CosineDecay(0.1, 100)
    generators = repr([layer.state for layer in model.layers])
    model.optimizer.learning_rate = schedule
    mc.find_learning_rate(model, batches, steps=20)
    assert model.optimizer.schedule is schedule and model.optimizer.steps == state["iterations"]
    np.testing.assert_array_equal(model.get_weights()[0], weights[0])
    after = model.optimizer.state
    assert after.keys() == state.keys() and repr([layer.state for layer in model.layers]) == generators
    for name in set(state) - {"learning_rate"}:
        np.testing.assert_array_equal(after[name], state[name])


def test_invalid_rates_and_uncompiled_models_are_refused(rng):
    model, batches = problem(rng)
    with pytest.raises(mc.ArgumentError, match="lowest"):
        mc.find_learning_rate(model, batches, lowest=1.0, highest=0.1)
    model.optimizer = None
    with pytest.raises(mc.StateError):
        mc.find_learning_rate(model, batches)


def test_arrays_are_accepted_as_in_fit(rng):
    model, batches = problem(rng)
    found = mc.find_learning_rate(model, batches.x, batches.y, batch_size=8, steps=20)
    assert len(found.rates) == 20
    with pytest.raises(mc.ArgumentError, match="by name"):
        mc.find_learning_rate(model, batches, 1e-4)
    with pytest.raises(mc.ShapeError, match="samples of shape"):
        mc.find_learning_rate(model, np.ones((8, 3)), np.ones(8))


def test_gradients_are_restored_and_a_generator_ends_the_test(rng):
    model, batches = problem(rng)
    model.compute_gradients(batches.x, batches.y)
    before = [parameter.grad for parameter in model.parameters]
    found = mc.find_learning_rate(
        model, (batch for batch in list(batches.batches())[:4] for _ in "abc"), steps=50
    )
    assert len(found.rates) == 12
    assert all(parameter.grad is grad for parameter, grad in zip(model.parameters, before, strict=True))


def test_a_second_thread_is_refused(rng):
    model, batches = problem(rng)
    thread = threading.Thread(target=model.training_lock.acquire)
    thread.start()
    thread.join()
    with pytest.raises(mc.StateError, match="another thread"):
        mc.find_learning_rate(model, batches)
