"""Tests of the exponential moving average: its formula, when the model has it, and its state in a checkpoint."""

import numpy as np
import pytest

import minicnn as mc


class Watch(mc.Callback):
    """Record the weight after every iteration and at the end of every epoch."""

    def on_train_begin(self):
        self.steps, self.epochs = [self.weight()], []

    def on_batch_end(self, batch, logs):
        self.steps.append(self.weight())

    def on_epoch_end(self, epoch, logs):
        self.epochs.append((self.weight(), logs["val_loss"]))

    def weight(self):
        return self.model.parameters[0].value.item()


def train(average, epochs=3):
    model = mc.Sequential([mc.Dense(1, use_bias=False)]).build((1,), dtype="float64")
    model.set_weights([np.array([[0.0]])])
    model.compile(mc.SGD(0.1), "mean_squared_error")
    watch = Watch()
    x = np.array([[1.0], [0.5], [2.0], [1.0]])
    model.fit(x, 3 * x, epochs=epochs, batch_size=2, shuffle=False, callbacks=[average, watch],
              validation_data=([[1.0]], [[0.0]]), verbose=0)  # fmt: skip
    return model, watch


def test_the_averages_are_validated_and_kept_and_do_not_affect_training():
    model, watch = train(mc.ExponentialMovingAverage(0.4))
    plain, alone = train(mc.Callback())
    np.testing.assert_allclose(watch.steps, alone.steps)  # training itself does not change
    average, averages = 0.0, []
    for t, weight in enumerate(watch.steps[1:]):
        d = min(0.4, (1 + t) / (10 + t))
        average = d * average + (1 - d) * weight
        averages.append(average)
    for (weight, loss), wanted in zip(watch.epochs, averages[1::2], strict=True):
        assert weight == pytest.approx(wanted, rel=1e-12) and loss == pytest.approx(wanted**2, rel=1e-12)
    assert watch.weight() == pytest.approx(averages[-1], rel=1e-12) != plain.parameters[0].value.item()


def test_the_state_and_the_weights_restore_the_callback():
    average = mc.ExponentialMovingAverage(0.9)
    model, watch = train(average)
    other = mc.ExponentialMovingAverage(0.9)
    other.model = mc.Sequential([mc.Dense(1, use_bias=False)]).build((1,), dtype="float64")
    other.on_train_begin()
    other.model.set_weights(model.get_weights())
    other.state = average.state
    other.on_epoch_begin(3)
    assert other.model.parameters[0].value.item() == watch.steps[-1]
    other.swap(True)
    assert other.model.parameters[0].value.item() == watch.weight()


def test_a_decay_out_of_range_is_refused():
    with pytest.raises(mc.ArgumentError, match="decay"):
        mc.ExponentialMovingAverage(1.0)
