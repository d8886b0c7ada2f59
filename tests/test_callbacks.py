"""Callbacks on scripted epochs, judged by what Keras does; then in real training."""

import csv

import numpy as np
import pytest

import minicnn as mc
from minicnn.callbacks import Monitor


class ScriptedModel:
    """Has one weight, the number of the epoch, so that what is restored can be told."""

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
def test_the_best_weights_come_back_whether_or_not_it_stopped_early(losses):
    model, _, _ = play(mc.EarlyStopping(patience=3, restore_best_weights=True), losses)
    assert model.weight == 1
    model, epoch, _ = play(mc.EarlyStopping(patience=3), losses)
    assert model.weight == epoch


def test_the_rate_falls_on_a_plateau_rests_and_has_a_floor():
    plateau = mc.ReduceLROnPlateau(factor=0.1, patience=2, cooldown=1, min_lr=0.05)
    _, _, rates = play(plateau, [5, 5, 5, 5, 5, 5, 5, 5])
    assert rates == [1, 1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05]


def test_a_change_below_min_delta_is_no_improvement():
    _, _, rates = play(mc.ReduceLROnPlateau(patience=1, min_delta=0.01), [5, 4.995])
    assert rates == [1, 0.1]


def test_checkpoints_fill_in_the_name_and_keep_the_best():
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


def test_a_number_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(mc.ArgumentError, match="one of loss, accuracy, received 'val_loss'"):
        Monitor("val_loss").improves({"loss": 1, "accuracy": 2})
    with pytest.raises(mc.ArgumentError, match='"auto", "min" or "max"'):
        Monitor("loss", mode="best")
    with pytest.raises(mc.ArgumentError, match="factor"):
        mc.ReduceLROnPlateau(factor=1)


def test_csv_logger_is_complete_after_each_epoch(tmp_path):
    logger = mc.CSVLogger(tmp_path / "deep" / "log.csv")
    logger.on_train_begin()
    for epoch, loss in enumerate((0.5, 0.1 + 0.2)):
        logger.on_epoch_end(epoch, {"loss": loss, "accuracy": mc.metrics.Proportion(3, 4)})
        with logger.path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == epoch + 1 and float(rows[-1]["loss"]) == loss and rows[-1]["accuracy"] == "0.75"
    logger.on_train_begin()
    assert len(logger.path.read_text().splitlines()) == 3  # an earlier log stays until there is a new epoch
    logger.on_epoch_end(0, {"loss": 1.0})
    assert logger.path.read_text().splitlines() == ["epoch,loss", "0,1.0"]


def test_callbacks_run_in_order_in_real_training(rng):
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
