"""Tests of callbacks: on scripted epochs compared with Keras, then in real training."""

import copy
import csv
import os
import pickle

import numpy as np
import pytest

import minicnn as mc
from minicnn.training.callbacks import Monitor


class ScriptedModel:
    """Its only weight is the number of the epoch, so that restored weights can be recognised."""

    def __init__(self):
        self.stop_training, self.weight, self.saved = False, None, []
        self.optimizer = mc.SGD(1.0)

    def get_weights(self):
        return [np.array(self.weight)]

    def set_weights(self, weights):
        self.weight = weights[0].item()

    def save(self, path):
        self.saved.append((path, self.weight))


def play(callback, losses, name="val_loss"):
    model = ScriptedModel()
    callback.model = model
    callback.on_train_begin()
    rates, epoch = [], 0
    for epoch, loss in enumerate(losses):  # noqa: B007
        model.weight = epoch
        callback.on_epoch_end(epoch, {"loss": 0.0, name: loss})
        rates.append(model.optimizer.learning_rate)
        if model.stop_training:
            break
    callback.on_train_end()
    return model, epoch, rates


@pytest.mark.parametrize(
    ("settings", "losses", "last_epoch"),
    [
        ({"patience": 2}, [5, 4, 4.5, 4.2, 3], 3),
        ({"patience": 0}, [5, 4, 4.5, 1], 2),
        ({"patience": 2}, [5, 4, 3, 2], 3),
        ({"patience": 1, "min_delta": 0.5}, [5, 4.8, 1], 1),
        ({"patience": 1, "start_from_epoch": 2}, [1, 9, 8, 7, 9, 1], 4),
        ({"patience": 1, "monitor": "val_accuracy"}, [0.5, 0.6, 0.55, 0.9], 2),
        ({"patience": 1, "monitor": "val_accuracy", "mode": "min"}, [0.5, 0.6, 0.1], 1),
    ],
)
def test_early_stopping_stops_where_keras_would(settings, losses, last_epoch):
    stopping = mc.EarlyStopping(**settings)
    _, epoch, _ = play(stopping, losses, settings.get("monitor", "val_loss"))
    assert epoch == last_epoch
    assert stopping.stopped_epoch == (
        last_epoch if last_epoch < len(losses) - 1 or settings["patience"] < 2 else None
    )


@pytest.mark.parametrize("losses", [[3, 1, 2, 2, 2], [3, 1, 2]])
def test_the_best_weights_are_restored_whether_or_not_training_stopped_early(losses):
    model, _, _ = play(mc.EarlyStopping(patience=3, restore_best_weights=True), losses)
    assert model.weight == 1
    model, epoch, _ = play(mc.EarlyStopping(patience=3), losses)
    assert model.weight == epoch


def test_the_rate_falls_on_a_plateau_with_a_cooldown_and_a_minimum():
    plateau = mc.ReduceLROnPlateau(factor=0.1, patience=2, cooldown=1, min_lr=0.05)
    _, _, rates = play(plateau, [5, 5, 5, 5, 5, 5, 5, 5])
    assert rates == [1, 1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05]


def test_a_change_below_min_delta_is_not_an_improvement():
    _, _, rates = play(mc.ReduceLROnPlateau(patience=1, min_delta=0.01), [5, 4.995])
    assert rates == [1, 0.1]


def test_model_checkpoint_fills_in_the_name_and_saves_the_best():
    model, _, _ = play(mc.ModelCheckpoint("e{epoch:02d}-{val_loss:.2f}"), [3, 1, 2])
    assert [path for path, _ in model.saved] == ["e01-3.00", "e02-1.00", "e03-2.00"]
    best = mc.ModelCheckpoint("best", save_best_only=True)
    model, _, _ = play(best, [3, 1, 2])
    assert [weight for _, weight in model.saved] == [0, 1] and best.saved_epoch == 1
    with pytest.raises(mc.ArgumentError, match="fields among epoch, loss, val_loss"):
        play(mc.ModelCheckpoint("{speed}"), [1])


def test_nan_is_never_an_improvement():
    monitor = Monitor("loss")
    assert (
        not monitor.improves({"loss": np.nan})
        and monitor.improves({"loss": 1.0})
        and not monitor.improves({"loss": np.nan})
    )


def test_an_unknown_number_is_refused_with_the_known_ones():
    with pytest.raises(mc.ArgumentError, match="one of loss, accuracy, received 'val_loss'"):
        Monitor("val_loss").improves({"loss": 1, "accuracy": 2})
    with pytest.raises(mc.ArgumentError, match='"auto", "min" or "max"'):
        Monitor("loss", mode="best")
    with pytest.raises(mc.ArgumentError, match="factor"):
        mc.ReduceLROnPlateau(factor=1)


def test_the_csv_file_is_complete_after_each_epoch(tmp_path):
    logger = mc.CSVLogger(tmp_path / "deep" / "log.csv")
    logger.on_train_begin()
    for epoch, loss in enumerate((0.5, 0.1 + 0.2)):
        logger.on_epoch_end(epoch, {"loss": loss, "accuracy": mc.metrics.Proportion(3, 4)})
        with logger.path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == epoch + 1 and float(rows[-1]["loss"]) == loss and rows[-1]["accuracy"] == "0.75"
    logger.on_train_begin()
    assert len(logger.path.read_text().splitlines()) == 3  # the old log stays until the first epoch ends
    logger.on_epoch_end(0, {"loss": 1.0})
    assert logger.path.read_text().splitlines() == ["epoch,loss", "0,1.0"]


def test_hooks_are_called_in_order_in_real_training(rng):
    calls = []

    class Watch(mc.Callback):
        def on_train_begin(self):
            calls.append("begin")

        def on_epoch_begin(self, epoch):
            calls.append(f"epoch {epoch}")

        def on_batch_end(self, batch, logs):
            calls.append(f"batch {batch}")

        def on_epoch_end(self, epoch, logs):
            calls.append(sorted(logs))
            self.model.stop_training = True

        def on_train_end(self):
            calls.append("end")

    model = mc.Sequential([mc.Dense(1), mc.Sigmoid()]).build((2,))
    model.compile(metrics=["accuracy"])
    x, y = rng.standard_normal((5, 2)), np.array([0, 1, 0, 1, 1])
    model.fit(x, y, validation_data=(x, y), epochs=3, batch_size=3, callbacks=[Watch()], verbose=0)
    names = ["accuracy", "learning_rate", "loss", "val_accuracy", "val_loss"]
    assert calls == ["begin", "epoch 0", "batch 0", "batch 1", names, "end"]


# ------------------------------------------------------------------------------------ in real training
def data():
    rng = np.random.default_rng(0)
    return rng.random((64, 4)), np.arange(64) % 2


def model_with(metrics=("accuracy",), optimizer="adam"):
    model = mc.Sequential([mc.Dense(8, "relu"), mc.Dense(1, "sigmoid")], kernels="reference").build(
        (4,), seed=0
    )
    model.compile(optimizer, metrics=list(metrics))
    return model


def fit(*callbacks, metrics=("accuracy",), epochs=3, **settings):
    model = model_with(metrics)
    model.fit(*data(), epochs=epochs, callbacks=list(callbacks), verbose=0, **settings)
    return model


def dice(target, prediction):
    return 0.5


@pytest.mark.parametrize(
    "name", ["dice", "iou", "r2", "val_dice", "inaccuracy", "vaccination_error", "val_loss_sum"]
)
def test_unknown_numbers_need_a_mode(name):
    with pytest.raises(mc.ArgumentError, match='mode="min" or mode="max"'):
        Monitor(name)
    assert Monitor(name, mode="max").sign == 1 and Monitor(name, mode="min").sign == -1


def test_the_mode_of_every_metric_of_the_library_is_known():
    for name in mc.metrics.BY_NAME:
        error = any(word in name for word in ("error", "loss", "mse", "mae"))
        assert Monitor(f"val_{name}").sign == (-1 if error else 1), name


def test_the_best_value_of_model_checkpoint_is_kept_in_a_second_fit():
    saved = mc.ModelCheckpoint("best", save_best_only=True)
    first, _, _ = play(saved, [3, 1])
    second, _, _ = play(saved, [2, 1.5, 0.5])
    assert len(first.saved) == 2 and len(second.saved) == 1 and saved.best == 0.5


def test_nan_does_not_use_up_patience():
    stopping = mc.EarlyStopping(patience=2, restore_best_weights=True)
    model, epoch, _ = play(stopping, [np.nan, 3, np.nan, np.nan, np.nan, 4, np.nan, 5, 1])
    assert epoch == 7 and stopping.best == 3 and model.weight == 1
    _, _, rates = play(mc.ReduceLROnPlateau(patience=1), [5, np.nan, np.nan, 5])
    assert rates == [1, 1, 1, 0.1]


@pytest.mark.parametrize(
    ("baseline", "losses", "last_epoch", "best"),
    [
        (2.0, [5, 4, 3, 1], 3, 3),
        (2.0, [5, 4, 4.5, 1], 2, 1),
        (0.5, [5, 4, 3, 2, 3], 4, 3),
        (6.0, [5, 5, 5], 2, 0),
    ],
)
def test_a_baseline_works_as_in_keras(baseline, losses, last_epoch, best):
    """Improvements that do not reach the baseline use up patience; the best epoch is still restored."""
    stopping = mc.EarlyStopping(patience=2, baseline=baseline, restore_best_weights=True)
    model, epoch, _ = play(stopping, losses)
    assert (epoch, model.weight) == (last_epoch, best)


def test_a_rate_that_underflows_does_not_end_training():
    _, _, rates = play(mc.ReduceLROnPlateau(factor=1e-200, patience=1), [5, 5, 5, 5])
    assert rates == [1, 1e-200, 1e-200, 1e-200]


@pytest.mark.parametrize(
    "make",
    [lambda: mc.EarlyStopping("val_acc"), lambda: mc.EarlyStopping("dice", mode="max"), mc.ReduceLROnPlateau,
     lambda: mc.ModelCheckpoint("m-{val_acc}"), lambda: mc.ModelCheckpoint("m-{epoch:q}"),
     lambda: mc.ModelCheckpoint("m-{}"), lambda: mc.ModelCheckpoint("m-{accuracy}", save_freq=2),
     lambda: mc.ModelCheckpoint("m", "accuracy", save_best_only=True, save_freq=2)],
)  # fmt: skip
def test_callbacks_that_cannot_work_are_refused_before_the_first_step(make):
    steps = []
    count = mc.LambdaCallback(on_train_batch_end=lambda batch: steps.append(batch))
    with pytest.raises(mc.ArgumentError):
        fit(count, make())
    assert not steps


def test_paths_that_cannot_be_written_are_refused_before_the_first_step(tmp_path):
    paths = {tmp_path: "a folder", tmp_path / ("x" * 300): "too long"}
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        paths[tmp_path / "pipe"] = "a named pipe"
    for path, message in paths.items():
        for callback in (mc.CSVLogger(path), mc.ModelCheckpoint(path), mc.Checkpoint(path)):
            steps = []
            count = mc.LambdaCallback(on_train_batch_end=lambda batch, steps=steps: steps.append(batch))
            with pytest.raises(mc.ArgumentError, match=message):
                fit(count, callback)
            assert not steps
    with pytest.raises(mc.ArgumentError, match="too long"):
        fit(mc.Checkpoint(tmp_path / ("x" * 250)))  # the name of the previous checkpoint has a suffix


@pytest.mark.parametrize(
    "make",
    [lambda: mc.EarlyStopping(patience="2"), lambda: mc.EarlyStopping(None), lambda: mc.EarlyStopping(min_delta="a"),
     lambda: mc.EarlyStopping(restore_best_weights="no"), lambda: mc.EarlyStopping(start_from_epoch=-1),
     lambda: mc.EarlyStopping(baseline="a"), lambda: mc.ReduceLROnPlateau(patience="3"),
     lambda: mc.ReduceLROnPlateau(min_lr=-1), lambda: mc.ModelCheckpoint(None), lambda: mc.ModelCheckpoint(""),
     lambda: mc.ModelCheckpoint("a", save_freq=0), lambda: mc.ModelCheckpoint("a", save_freq="batch"),
     lambda: mc.ModelCheckpoint("a", save_best_only=1), lambda: mc.CSVLogger(None), lambda: mc.CSVLogger("a", ";;"),
     lambda: mc.CSVLogger("a", append="no"), lambda: mc.LearningRateScheduler(0.1),
     lambda: mc.LambdaCallback(on_epoch_ends=print), lambda: mc.LambdaCallback(on_epoch_end=3)],
)  # fmt: skip
def test_invalid_settings_are_refused_when_the_callback_is_made(make):
    with pytest.raises(mc.ArgumentError):
        make()


def test_arguments_have_the_order_of_keras():
    stopping = mc.EarlyStopping("loss", 0.1, 3, 0, "min", 2.0, True, 1)
    assert (stopping.patience, stopping.baseline, stopping.restore_best_weights) == (3, 2.0, True)
    plateau = mc.ReduceLROnPlateau("loss", 0.5, 3, 0, "min", 0.1, 2, 1e-5)
    assert (plateau.factor, plateau.patience, plateau.cooldown, plateau.min_lr) == (0.5, 3, 2, 1e-5)
    saved = mc.ModelCheckpoint("p", "loss", 0, True, True, "min")
    assert saved.save_best_only is saved.save_weights_only is True


def test_an_unknown_hook_is_refused_with_a_similar_name():
    class Late(mc.Callback):
        def on_epoch_ends(self, epoch, logs):
            raise AssertionError

    with pytest.raises(mc.ArgumentError, match="Call it on_epoch_end"):
        fit(Late())
    callback = mc.Callback()
    callback.on_batch_ends = print
    with pytest.raises(mc.ArgumentError, match="Call it on_batch_end"):
        fit(callback)


def test_hooks_may_leave_out_logs():
    calls = []

    class Keras(mc.Callback):
        def on_train_begin(self, logs):
            calls.append("begin")

        def on_train_batch_end(self, batch, logs=None):
            calls.append(batch)

        def on_predict_begin(self, logs=None):  # Keras's, never called by fit
            raise AssertionError

    class Short(mc.Callback):
        def on_train_batch_end(self, batch):
            calls.append(-batch)

        def on_epoch_end(self, epoch):
            calls.append("end")

    fit(Keras(), Short(), epochs=1)
    assert calls == ["begin", 0, 0, 1, -1, "end"]


def test_model_checkpoint_saves_after_batches_and_only_weights(tmp_path):
    pattern = str(tmp_path / "{epoch}-{batch}")
    fit(mc.ModelCheckpoint(pattern, save_freq=3, save_weights_only=True), epochs=3)  # two batches per epoch
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2-1", "3-2"]
    model_with().load_weights(tmp_path / "3-2")


def test_numbers_in_the_file_name_are_formatted(tmp_path):
    fit(mc.ModelCheckpoint(tmp_path / "m-{accuracy}-{accuracy!r}"), epochs=1)
    _, one, two = next(tmp_path.iterdir()).name.split("-")
    assert 0 <= float(one) <= 1 and 0 <= float(two) <= 1


def test_the_csv_file_gets_new_columns_and_strings(tmp_path):
    class Extra(mc.Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch:
                logs["later"], logs["word"] = 1.0, "a, b"

    path = tmp_path / "log.csv"
    fit(Extra(), mc.CSVLogger(path, separator=";"))
    fit(mc.CSVLogger(path, ";", append=True), epochs=1)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    assert [row["later"] for row in rows] == ["", "1.0", "1.0", ""] and rows[1]["word"] == "a, b"
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "0"]


@pytest.mark.parametrize("make", [
    lambda: mc.EarlyStopping("loss", restore_best_weights=True), lambda: mc.ExponentialMovingAverage(0.9),
    lambda: mc.ReduceLROnPlateau("loss"), lambda: mc.ModelCheckpoint("m", "loss", save_best_only=True),
])  # fmt: skip
def test_callbacks_can_be_copied_and_pickled_after_a_fit(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    callback = make()
    fit(callback)
    for other in (copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))):
        assert other.model is other.run is None and repr(other) == repr(callback)
        fit(other)


@pytest.mark.parametrize("first", [True, False])
def test_early_stopping_restores_after_the_averages_in_any_order(first):
    class Interrupt(mc.Callback):
        def on_batch_end(self, batch, logs=None):
            if (self.run.epoch, batch) == (3, 1):
                raise KeyboardInterrupt

    x, y = data()
    model = model_with(optimizer=mc.Adam(0.5))
    stopping, average = (
        mc.EarlyStopping(patience=9, restore_best_weights=True),
        mc.ExponentialMovingAverage(0.9),
    )
    callbacks = [average, stopping] if first else [stopping, average]
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, 8, 9, validation_data=(x, y), callbacks=[*callbacks, Interrupt()], verbose=0)
    assert model.evaluate(x, y)["loss"] == pytest.approx(stopping.best, rel=1e-6)


def test_epochs_without_validation_are_ignored():
    x, y = data()
    stopping = mc.EarlyStopping(patience=9)
    model = fit(stopping, validation_data=(x, y), validation_freq=2, epochs=4)
    assert stopping.best == min(model.history.history["val_loss"]) and stopping.best_epoch in (1, 3)


def test_learning_rate_scheduler_sets_the_rate_of_each_epoch():
    first = mc.LearningRateScheduler(lambda epoch: 0.1 / (1 + epoch))
    schedulers = first, mc.LearningRateScheduler(lambda epoch, rate: rate / 2)
    rates = [fit(scheduler).history.history["learning_rate"] for scheduler in schedulers]
    np.testing.assert_allclose(rates, [[0.1, 0.05, 0.1 / 3], [0.0005, 0.00025, 0.000125]])
    with pytest.raises(mc.ArgumentError, match="epoch 0"):
        fit(mc.LearningRateScheduler(lambda epoch: -1))


def test_verbose_prints_what_happened(capsys, tmp_path):
    play(mc.EarlyStopping(patience=1, verbose=1, restore_best_weights=True), [1, 2])
    play(mc.ReduceLROnPlateau(patience=1, verbose=1), [1, 2])
    play(mc.ModelCheckpoint("p", verbose=1), [1])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and "Epoch 2: stopped" in lines[0] and "epoch 1" in lines[1] and "0.1" in lines[2]


@pytest.mark.parametrize("make", [mc.EarlyStopping, mc.ReduceLROnPlateau])
def test_an_epoch_without_logs_changes_nothing(make):
    callback = make("loss")
    callback.on_epoch_end(0)
    assert callback.wait == 0
