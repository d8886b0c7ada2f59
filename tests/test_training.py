"""The loop: what an epoch reports, weights, stopping on a loss that is not finite, ten known losses."""

import numpy as np
import pytest

import minicnn as mc
from minicnn import networks

# A float64 run of two_block on 32 pictures of noise, one class darker, seed 5, Adam; both kernel sets gave it.
KNOWN_LOSSES = [
    0.692223997,
    0.695301334,
    0.683217205,
    0.681589395,
    0.649832931,
    0.65690515,
    0.651458824,
    0.65628209,
    0.622020271,
    0.622780003,
]


def small_model(seed=0, dropout=0.0):
    layers = [mc.Dense(6), mc.ReLU(), mc.Dropout(dropout), mc.Dense(1), mc.Sigmoid()]
    model = mc.Sequential(layers).build((3,), seed)
    model.compile(metrics=["accuracy"])
    return model


def problem(N=20, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((N, 3)).astype("float32")
    return x, (x.sum(1) > 0).astype(int)


def test_the_epoch_loss_is_weighted_by_samples_also_with_a_short_last_batch():
    """With a rate too small to move the weights, the epoch's loss is that of the whole set."""
    model, (x, y) = small_model(), problem(7)
    model.compile(mc.SGD(1e-30), metrics=["accuracy"])
    history = model.fit(x, y, epochs=1, batch_size=3, verbose=0)
    assert history.history["loss"][0] == pytest.approx(model.evaluate(x, y)["loss"], rel=1e-6)
    assert history.history["accuracy"][0] == model.evaluate(x, y)["accuracy"]
    assert history.history["accuracy"][0].count == 7


def test_evaluate_does_not_depend_on_the_batch_size():
    model, (x, y) = small_model(), problem(11)
    whole = model.evaluate(x, y, batch_size=11)
    for size in (1, 4):
        parts = model.evaluate(x, y, batch_size=size)
        assert (
            parts["loss"] == pytest.approx(whole["loss"], rel=1e-6) and parts["accuracy"] == whole["accuracy"]
        )


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    runs = []
    for seed in (0, 0, 1):
        model, (x, y) = small_model(dropout=0.3), problem()
        history = model.fit(x, y, epochs=3, batch_size=6, seed=seed, verbose=0)
        runs.append((history.history["loss"], model.get_weights()))
    assert runs[0][0] == runs[1][0] != runs[2][0]
    for one, other in zip(runs[0][1], runs[1][1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_class_weights_are_sample_weights():
    x, y = problem()
    results = []
    for settings in ({"class_weight": {0: 3.0}}, {"sample_weight": np.where(y == 0, 3.0, 1.0)}, {}):
        model = small_model()
        model.fit(x, y, epochs=2, batch_size=5, verbose=0, **settings)
        results.append(model.get_weights()[0])
    np.testing.assert_allclose(results[0], results[1])
    assert not np.allclose(results[0], results[2])


def test_class_weights_work_with_one_hot_labels():
    x, y = problem()
    model = mc.Sequential([mc.Dense(2), mc.Softmax()]).build((3,))
    model.compile("adam", "categorical_crossentropy")
    model.fit(x, np.eye(2)[y], class_weight={1: 2.0}, verbose=0)


@pytest.mark.parametrize("weights", [{"dog": 2.0}, {0: 1.0, 2: 2.0}, {-1: 2.0}, {0.5: 2.0}, {None: 1.0}])
def test_weights_of_unknown_classes_are_refused_before_anything_is_trained(weights):
    x, y = problem()
    model = small_model()
    model.class_names, before = ["cat", "dog"], model.get_weights()
    with pytest.raises(mc.ArgumentError, match="from 0 to 1 .0 is cat, 1 is dog., received") as caught:
        model.fit(x, y, class_weight=weights, verbose=0)
    assert repr(list(weights)[-1]) in str(caught.value)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    model.fit(x, y, class_weight={np.int64(0): 2.0, 1.0: 3.0}, verbose=0)  # whole numbers of any type


@pytest.mark.parametrize("kernels", ["im2col", "reference", "fast"])
def test_ten_known_losses(kernels):
    y = np.arange(32) % 2
    x = np.random.default_rng(9).random((32, 24, 24, 3)) * np.where(y, 0.8, 1.0)[:, None, None, None]
    model = networks.two_block(kernels=kernels).build((24, 24, 3), seed=5, dtype="float64")
    model.compile(mc.Adam(1e-3), "binary_crossentropy")
    losses = [
        model.train_step(x[k % 4 * 8 : k % 4 * 8 + 8], y[k % 4 * 8 : k % 4 * 8 + 8])[0] for k in range(10)
    ]
    np.testing.assert_allclose(losses, KNOWN_LOSSES, rtol=1e-6)


def test_a_loss_that_is_not_finite_stops_training_and_names_the_batch(tmp_path):
    x, y = problem()
    x[13] = np.nan
    model = small_model()
    before = model.get_weights()
    with pytest.raises(
        mc.NonFiniteError,
        match=r"epoch 1, batch 3 \(samples 10, 11, 12, 13, 14\).*input of its samples at 3 holds NaN",
    ):
        model.fit(x, y, epochs=2, batch_size=5, shuffle=False, verbose=0)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert any((one != other).any() for one, other in zip(before, model.get_weights(), strict=True))


def test_a_rate_far_too_high_is_told_apart_from_bad_data():
    x, y = problem()
    model = mc.Sequential([mc.Dense(1)]).build((3,))
    model.compile(mc.SGD(1e30), "mean_squared_error", [])
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.raises(mc.NonFiniteError, match="Lower the learning rate"),
    ):
        model.fit(x, y, epochs=9, verbose=0)


def test_callbacks_end_and_history_stays_when_training_is_interrupted():
    class Interrupt(mc.Callback):
        ended = False

        def on_epoch_begin(self, epoch):
            if epoch == 2:
                raise KeyboardInterrupt

        def on_train_end(self):
            self.ended = True

    model, (x, y), callback = small_model(), problem(), Interrupt()
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, epochs=5, callbacks=[callback], verbose=0)
    assert callback.ended and len(model.history.history["loss"]) == 2


@pytest.mark.parametrize(("verbose", "lines"), [(0, 0), (2, 2), ("auto", 2)])
def test_a_line_an_epoch_where_there_is_no_terminal(verbose, lines, capsys):
    model, (x, y) = small_model(), problem()
    model.fit(x, y, validation_data=(x, y), epochs=2, verbose=verbose)
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == lines and not err
    if lines:
        assert out.startswith("Epoch 1/2 - ") and "val_accuracy: " in out and " ± " in out


def test_metrics_by_name_and_one_number_each():
    model, (x, y) = small_model(), problem()
    model.compile(metrics=["precision", "recall", "f1_score", "log_loss"])
    logs, prediction = model.evaluate(x, y), model.predict(x)
    for name in ("precision", "recall", "f1_score"):
        assert logs[name] == pytest.approx(getattr(mc.metrics, name)(y, prediction)[1], nan_ok=True)
    assert logs["log_loss"] == pytest.approx(logs["loss"], rel=1e-5)
    model.compile(metrics=[mc.metrics.recall])
    with pytest.raises(mc.ArgumentError, match="metric recall: expected one number"):
        model.evaluate(x, y)


def test_metrics_may_be_functions():
    def mean_target(target, prediction):
        return float(np.mean(target))

    model, (x, y) = small_model(), problem()
    model.compile(metrics=["auc", mean_target])
    logs = model.evaluate(x, y)
    assert logs["mean_target"] == pytest.approx(y.mean()) and 0 <= logs["auc"] <= 1


def test_calls_that_cannot_work_are_refused():
    model, (x, y) = small_model(), problem()
    for call in (
        lambda: model.fit(x),
        lambda: model.fit(x, y, epochs=0),
        lambda: model.fit(x, y, verbose=3),
        lambda: model.evaluate(x),
    ):
        with pytest.raises(mc.ArgumentError):
            call()
    with pytest.raises(mc.StateError, match="Call compile"):
        mc.Sequential([mc.Dense(1)]).build((3,)).fit(x, y)
