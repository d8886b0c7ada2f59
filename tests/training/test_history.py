"""Tests of History and Totals: Python numbers, weighted by samples, and no predictions kept without need."""

import copy
import json
import pickle

import numpy as np
import pytest

import minicnn as mc
from minicnn.training.history import History, Totals


def mean_error(target, prediction):
    return np.abs(target - prediction).mean()  # float32, which json does not know


def test_the_loss_of_an_epoch_is_weighted_by_samples():
    totals = Totals({})
    totals.add(1.0, [0, 0, 0], np.zeros((3, 1)))
    totals.add(5.0, [0], np.zeros((1, 1)))
    assert totals.logs() == {"loss": 2.0} and totals.mean_loss == 2.0


def test_metrics_are_computed_on_all_samples_at_once():
    totals = Totals({"largest": lambda target, prediction: float((target - prediction).max())})
    totals.add(0.0, np.array([1.0, 2.0]), np.array([0.0, 0.0]))
    totals.add(0.0, np.array([7.0]), np.array([1.0]))
    assert totals.logs()["largest"] == 6.0


def test_predictions_are_kept_only_if_a_metric_needs_them():
    with_metric, without = Totals({"mean": lambda target, prediction: 0.0}), Totals({})
    for totals in (with_metric, without):
        totals.add(1.0, np.zeros(2), np.zeros((2, 1)))
    assert len(with_metric.predictions) == len(with_metric.targets) == 1
    assert without.predictions == without.targets == []


def test_a_state_restores_totals_and_history():
    totals = Totals({"mean": lambda target, prediction: float(prediction.mean())})
    totals.add(2.0, np.zeros(2), np.array([1.0, 3.0]))
    other = Totals(totals.metrics)
    other.state = copy.deepcopy(totals.state)
    assert other.logs() == totals.logs() == {"loss": 2.0, "mean": 2.0}
    history = History()
    history.add(3, {"loss": 0.5}, 1.5)
    again = History({"epochs": 9})
    again.state = history.state
    assert (again.history, again.epoch, again.seconds) == ({"loss": [0.5]}, [3], [1.5])
    assert again.params == {"epochs": 9}


def test_history_and_evaluation_are_python_numbers():
    x, y = np.eye(4, dtype="float32"), np.arange(4.0, dtype="float32")
    model = mc.Sequential([mc.Dense(1)], kernels="reference").build((4,))
    model.compile("sgd", "mean_squared_error", [mean_error])
    history = model.fit(x, y, epochs=2, validation_data=(x, y), verbose=0)
    assert json.loads(json.dumps(history.history)) == history.history
    assert json.loads(json.dumps(model.evaluate(x, y))) == model.evaluate(x, y)
    assert history.history.keys() == {"loss", "mean_error", "val_loss", "val_mean_error", "learning_rate"}
    for values in history.history.values():
        assert len(values) == 2 and all(type(value) is float for value in values)
    assert history.epoch == [0, 1] and len(history.seconds) == 2
    assert history.params == {"epochs": 2, "steps": 1, "verbose": 0}
    assert model.history is history
    assert pickle.loads(pickle.dumps(history)).history == history.history


def test_the_repr_shows_the_last_numbers():
    history = History()
    assert repr(history) == "History(0 epochs)"
    history.add(0, {"loss": 0.123456}, 1.0)
    assert repr(history) == "History(1 epochs: loss=0.1235)"


def test_the_history_can_be_plotted(tmp_path):
    history = History()
    for epoch in range(3):
        history.add(epoch, {"loss": 1.0 / (1 + epoch), "val_loss": 1.0, "learning_rate": 0.1}, 1.0)
    history.plot(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("samples", [20, 64])
def test_without_metrics_training_keeps_no_predictions(samples):
    class Look(mc.Callback):
        def on_batch_end(self, batch, logs):
            assert self.run.totals.predictions == [] and self.run.totals.samples > 0

    model = mc.Sequential([mc.Dense(1)], kernels="reference").build((2,))
    model.compile("sgd", "mean_squared_error")
    model.fit(np.zeros((samples, 2)), np.zeros(samples), callbacks=[Look()], verbose=0)
