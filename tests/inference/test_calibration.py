"""Calibration: the temperature has the smallest loss, predicted classes stay, and confidences match the accuracy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minicnn as mc
from minicnn.inference.calibration import fit_temperature


def scanned(logits, y):
    """The temperature with the smallest loss among 700, from the definition of the loss."""
    grid = np.exp(np.linspace(np.log(0.05), np.log(20), 700))
    losses = []
    for T in grid:
        z = logits / T if logits.shape[1] > 1 else np.hstack([0 * logits, logits]) / T
        e = np.exp(z - z.max(1, keepdims=True))
        log_p = np.log(np.maximum(e / e.sum(1, keepdims=True), 1e-300))
        total = 0
        for n, k in enumerate(y):
            m = np.sum(y == k)
            others = np.delete(log_p[n], k)
            total -= (m + 1) / (m + 2) * log_p[n, k] + others.mean() / (m + 2)
        losses.append(total)
    return grid[np.argmin(losses)]


@settings(max_examples=5)
@given(seed=st.integers(0, 99), K=st.sampled_from([1, 2, 5]), scale=st.sampled_from([0.3, 1.0, 4.0]))
def test_the_temperature_has_the_smallest_loss(seed, K, scale):
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.5, (60, K))
    p = 1 / (1 + np.exp(-z[:, 0])) if K == 1 else None
    y = (rng.random(60) < p).astype(int) if K == 1 else np.argmax(z + rng.gumbel(size=z.shape), 1)
    T = fit_temperature([scale * z], y)
    assert pytest.approx(scanned(scale * z, y), rel=0.01) == T


def overconfident_model(outputs, kernels="fast"):
    """A network whose logits are nine times too large."""
    last = mc.Dense(1, "sigmoid") if outputs == 1 else mc.Dense(outputs, "softmax")
    model = mc.Sequential([mc.Dense(8, "relu"), last], kernels).build((4,), seed=1)
    model.layers[-1].weight.value = 9 * model.layers[-1].weight.value
    return model


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_classes_stay_and_the_confidences_match_the_accuracy(outputs, tmp_path):
    rng = np.random.default_rng(0)
    model, x = overconfident_model(outputs), rng.normal(size=(3000, 4)).astype("float32")
    truth = overconfident_model(outputs)
    truth.layers[-1].weight.value = truth.layers[-1].weight.value / 9
    p = truth.predict(x).astype(float)
    y = (
        (rng.random(3000) < p[:, 0]).astype(int)
        if outputs == 1
        else (p.cumsum(1) > rng.random((3000, 1))).argmax(1)
    )
    before, classes = model.predict(x), model.predict_classes(x)
    T = mc.calibrate(model, [x[:1500]], y[:1500])
    assert 7 < T < 12 and model.temperature == T
    after = model.predict(x)
    assert (model.predict_classes(x) == classes).all()
    error = mc.metrics.expected_calibration_error
    assert error(y[1500:], after[1500:]) < 0.04 < 0.15 < error(y[1500:], before[1500:])
    assert mc.metrics.log_loss(y[1500:], after[1500:]) < mc.metrics.log_loss(y[1500:], before[1500:])
    model.save(tmp_path / "m.safetensors")
    loaded = mc.load_model(tmp_path / "m.safetensors")
    assert loaded.temperature == T and (loaded.predict(x) == after).all()
    assert mc.calibrate(model, [x[:1500]], y[:1500]) == pytest.approx(1, abs=1e-3)  # already calibrated
    assert model.temperature == pytest.approx(T, rel=1e-3)


def test_the_mean_over_two_views_is_calibrated():
    rng = np.random.default_rng(1)
    z = [rng.normal(0, 4, (400, 1)) for _ in range(2)]
    y = (rng.random(400) < np.mean([1 / (1 + np.exp(-view[:, 0] / 2)) for view in z], 0)).astype(int)
    T = fit_temperature(z, y)

    def loss(T):
        p = np.mean([1 / (1 + np.exp(-view / T)) for view in z], 0)[:, 0]
        return -np.log(np.where(y == 1, p, 1 - p)).mean()

    assert loss(T) <= min(loss(0.9 * T), loss(1.1 * T), loss(0.5 * T), loss(2 * T))


def test_a_few_correct_predictions_do_not_make_the_network_certain():
    T = fit_temperature([np.array([[-2.0], [-1.0], [1.0], [3.0]])], np.array([0, 0, 1, 1]))
    p = 1 / (1 + np.exp(-1.75 / T))  # of the mean logit
    assert 0.6 < p < 0.9


def test_the_calibration_error_follows_the_equation_of_guo():
    rng = np.random.default_rng(2)
    p, y = rng.random((500, 1)), rng.integers(0, 2, 500)
    confidence, right = np.maximum(p, 1 - p)[:, 0], (p[:, 0] > 0.5) == y
    expected = 0
    for b in range(15):
        inside = (confidence >= b / 15) & (confidence < (b + 1) / 15)
        if inside.any():
            expected += inside.sum() / 500 * abs(right[inside].mean() - confidence[inside].mean())
    assert mc.metrics.expected_calibration_error(y, p) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([mc.Dense(2)], "ends in Dense"),
        ([mc.Dense(2, "sigmoid")], "one Sigmoid"),
        ([mc.Flatten()], "ends in Dense"),
    ],
)
def test_networks_that_cannot_be_calibrated_are_refused(layers, message):
    model = mc.Sequential(layers).build((3,))
    with pytest.raises(mc.ArgumentError, match=message):
        mc.calibrate(model, [np.ones((2, 3))], [0, 1])


def test_views_that_do_not_fit_are_refused():
    model = overconfident_model(1)
    weights = model.get_weights()
    x = np.ones((2, 4))
    with pytest.raises(mc.NonFiniteError):
        mc.calibrate(model, [np.full((2, 4), np.nan)], [0, 1])
    for views, y in (([x], [0]), ([x], [0, 2]), ([], [0]), ([x, np.ones((3, 4))], [0, 1]), ([x[:0]], [])):
        with pytest.raises(mc.ShapeError):
            mc.calibrate(model, views, y)
    assert all((a == b).all() for a, b in zip(weights, model.get_weights(), strict=True))
