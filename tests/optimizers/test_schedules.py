"""Schedules against their equations, against numbers of PyTorch and Keras, and in an optimizer."""

import math

import numpy as np
import pytest

import minicnn as mc

# torch.optim.lr_scheduler.OneCycleLR(max_lr=2.0, total_steps=10) of PyTorch 2.13.
TORCH_ONE_CYCLE = [
    0.08,
    1.04,
    2.0,
    1.9009693,
    1.6234913,
    1.222524,
    0.77748396,
    0.37651669,
    0.099038736,
    8e-06,
]
# keras.optimizers.schedules.CosineDecay(0.5, 8, alpha=0.1) of Keras 3.15 at steps 0 to 9.
KERAS_COSINE = [
    0.5,
    0.4828729,
    0.43409905,
    0.36110377,
    0.27499998,
    0.18889621,
    0.11590098,
    0.067127086,
    0.050000001,
    0.050000001,
]
# keras.optimizers.schedules.ExponentialDecay(0.5, 3, 0.2, staircase=...) of Keras 3.15 at steps 0 to 6.
KERAS_DECAY = {
    False: [0.5, 0.29240176, 0.17099759, 0.1, 0.058480352, 0.034199521, 0.020000001],
    True: [0.5, 0.5, 0.5, 0.1, 0.1, 0.1, 0.020000001],
}


def values(schedule, steps):
    return [schedule(step) for step in range(steps)]


def test_one_cycle_agrees_with_pytorch():
    np.testing.assert_allclose(values(mc.OneCycle(2.0, 10), 10), TORCH_ONE_CYCLE, rtol=1e-6)


@pytest.mark.parametrize(("steps", "counts"), [(100, [34, 34, 32]), (9, [3, 3, 3]), (4, [2, 2]), (1, [1])])
def test_the_step_schedule_has_at_most_three_rates(steps, counts):
    wanted = np.repeat(0.5 * 0.1 ** np.arange(len(counts)), counts)
    np.testing.assert_allclose(values(mc.schedules.BY_NAME["step"](0.5, steps), steps), wanted, rtol=1e-12)


def test_cosine_and_exponential_decay_agree_with_keras():
    np.testing.assert_allclose(values(mc.CosineDecay(0.5, 8, alpha=0.1), 10), KERAS_COSINE, rtol=1e-6)
    for staircase, wanted in KERAS_DECAY.items():
        np.testing.assert_allclose(values(mc.ExponentialDecay(0.5, 3, 0.2, staircase), 7), wanted, rtol=1e-6)


def test_cosine_decay_follows_its_equation():
    for step in (0, 3, 50, 99, 100):
        wanted = 0.2 * (1 + math.cos(math.pi * step / 100)) / 2
        assert mc.CosineDecay(0.2, 100)(step) == pytest.approx(wanted, abs=1e-15)


def test_warm_up_rises_linearly_to_the_first_rate_of_the_schedule_after_it():
    schedule = mc.WarmUp(mc.CosineDecay(0.8, 4), 4)
    np.testing.assert_allclose(values(schedule, 4), [0.2, 0.4, 0.6, 0.8])
    assert values(schedule, 9)[4:] == values(mc.CosineDecay(0.8, 4), 5)
    np.testing.assert_allclose(values(mc.WarmUp(0.3, 2), 4), [0.15, 0.3, 0.3, 0.3])


@pytest.mark.parametrize("schedule", [mc.OneCycle(1.0, n) for n in (1, 2, 3, 4, 7, 100)], ids=str)
def test_one_cycle_stays_within_its_limits_and_is_constant_afterwards(schedule):
    rates = values(schedule, schedule.total_steps + 5)
    assert all(1 / 250_000 * (1 - 1e-9) <= rate <= 1 for rate in rates)
    assert max(rates) > 0.5 or schedule.total_steps < 3
    if schedule.total_steps > 1:
        assert rates[schedule.total_steps - 1 :] == pytest.approx([1 / 250_000] * 6)


def test_training_follows_the_schedule_and_the_history_shows_it(rng):
    model = mc.Sequential([mc.Dense(1)]).build((2,))
    model.compile(mc.SGD(mc.ExponentialDecay(0.1, 2, 0.5, staircase=True)), "mean_squared_error")
    x = rng.standard_normal((8, 2))
    history = model.fit(x, x[:, 0], epochs=3, batch_size=4, verbose=0)
    assert history.history["learning_rate"] == [0.05, 0.025, 0.0125]  # the rate of the next step


def test_reduce_lr_on_plateau_refuses_a_schedule():
    model = mc.Sequential([mc.Dense(1)]).build((1,))
    model.compile(mc.SGD(mc.CosineDecay(0.1, 10)), "mean_squared_error")
    with pytest.raises(mc.ArgumentError, match="a schedule"):
        model.fit([[1.0]], [[1.0]], callbacks=[mc.ReduceLROnPlateau("loss")], verbose=0)


@pytest.mark.parametrize(
    "make",
    [lambda: mc.CosineDecay(0, 5), lambda: mc.CosineDecay(0.1, 0), lambda: mc.CosineDecay(0.1, 5, 2.0),
     lambda: mc.ExponentialDecay(0.1, 5, math.nan), lambda: mc.OneCycle(0.1, 5, rising=1.0),
     lambda: mc.OneCycle(0.1, 2.5), lambda: mc.WarmUp(0.1, 0), lambda: mc.CosineDecay("0.1", 5),
     lambda: mc.CosineDecay(0.1, "5"), lambda: mc.CosineDecay(0.1, 5, "a"), lambda: mc.CosineDecay(0.1, 5, None),
     lambda: mc.CosineDecay(True, 5), lambda: mc.ExponentialDecay(0.1, 5, 0.5, "no"),
     lambda: mc.ExponentialDecay(0.1, 5, 0.5, 1), lambda: mc.OneCycle(0.1, 5, "a"),
     lambda: mc.OneCycle(0.1, 5, start=0), lambda: mc.OneCycle(0.1, 5, end=None),
     lambda: mc.WarmUp("0.1", 3), lambda: mc.WarmUp(-1.0, 3),
     lambda: mc.WarmUp(0.0, 3), lambda: mc.WarmUp(mc.CosineDecay, 3)],
)  # fmt: skip
def test_settings_out_of_range_are_refused(make):
    with pytest.raises(mc.ArgumentError):
        make()


def test_numpy_numbers_are_accepted():
    schedule = mc.CosineDecay(np.float32(0.5), np.int64(8), np.float64(0.25))
    assert repr(schedule) == "CosineDecay(initial_learning_rate=0.5, decay_steps=8, alpha=0.25)"
    assert mc.ExponentialDecay(np.float32(0.5), 2, 1, np.bool_(True)).staircase is True


def test_an_infinite_rate_is_refused_by_the_optimizer():
    schedule = mc.ExponentialDecay(1.0, 1, 10.0)
    assert schedule(5) == 1e5 and schedule(400) == math.inf
    optimizer = mc.SGD(schedule)
    optimizer.state = optimizer.state | {"iterations": np.asarray(400)}
    with pytest.raises(mc.ArgumentError, match=r"ExponentialDecay\(.*at step 400"):
        _ = optimizer.learning_rate


@pytest.mark.parametrize("schedule", [mc.CosineDecay(0.1, 5, 0.5), mc.ExponentialDecay(0.1, 5, 0.5, True),
                                      mc.WarmUp(0.1, 3),
                                      mc.WarmUp(mc.WarmUp(mc.OneCycle(0.1, 9, 0.4, 3, 7), 2), 4)], ids=str)  # fmt: skip
def test_the_config_makes_the_same_schedule(schedule):
    assert mc.schedules.find_schedule(schedule.get_config()) == schedule


@pytest.mark.parametrize("config", [{}, {"class": "Cosine"}, {"class": "CosineDecay"}, {"class": None},
                                    {"class": "WarmUp", "after": {}, "steps": 3},
                                    {"class": "WarmUp", "after": {"class": "Thing"}, "steps": 3}])  # fmt: skip
def test_an_invalid_config_is_refused(config):
    with pytest.raises(mc.ArgumentError):
        mc.schedules.find_schedule(config)


def test_a_users_schedule_is_found_in_custom():
    class Half:
        def __init__(self, rate):
            self.rate = rate

        def __call__(self, step):
            return self.rate / (1 + step)

        def get_config(self):
            return {"rate": self.rate}

    config = mc.SGD(mc.WarmUp(Half(0.5), 2)).get_config()
    assert mc.optimizers.find_optimizer(config, {"Half": Half}).schedule.after.rate == 0.5
