"""Each optimiser against its published equation, stepped by hand in plain numbers."""

import math

import numpy as np
import pytest

import minicnn as mc
from minicnn.kernels import NAMES, kernel_set
from minicnn.layers import Parameter

GRADIENTS = [0.5, -1.0, 0.25, 2.0, -0.125]


def run(optimizer, name="dense_1/weight", shape=(1, 1)):
    parameter = Parameter(name, shape, np.ones(shape))
    for gradient in GRADIENTS:
        parameter.grad = np.full(shape, gradient)
        optimizer.step([parameter])
    return parameter.value.item()


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_with_momentum(nesterov):
    w, v = 1.0, 0.0
    for g in GRADIENTS:
        v = 0.9 * v - 0.1 * g
        w += 0.9 * v - 0.1 * g if nesterov else v
    assert run(mc.SGD(0.1, momentum=0.9, nesterov=nesterov)) == pytest.approx(w, rel=1e-12)


@pytest.mark.parametrize("decay", [None, 0.02])
def test_adam_and_adamw(decay):
    w, m, v = 1.0, 0.0, 0.0
    for t, g in enumerate(GRADIENTS, 1):
        w -= 0.1 * (decay or 0) * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w -= 0.1 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (math.sqrt(v) + 1e-7)
    assert run(mc.Adam(0.1) if decay is None else mc.AdamW(0.1, weight_decay=decay)) == pytest.approx(
        w, rel=1e-12
    )


@pytest.mark.parametrize("make", [mc.SGD, mc.Adam, lambda: mc.AdamW(weight_decay=0.5)])
def test_what_is_not_trainable_is_passed_by(make):
    """Whatever its grad is: neither moved, nor decayed, nor counted into the gradients' length."""
    optimizer = make()
    optimizer.global_clipnorm = 1.0
    weights = [Parameter(name, (1,), np.array([1.0])) for name in "ab"]
    weights[0].grad = np.array([0.5])
    fixed = Parameter("moving_mean", (2,), np.array([3.0, 4.0]), trainable=False)
    optimizer.step([weights[0], fixed])
    np.testing.assert_array_equal(fixed.value, [3.0, 4.0])
    assert not any("moving" in name for name in optimizer.state)
    fixed.grad, weights[1].grad = np.array([1e6, 1e6]), np.array([0.5])
    again = make()
    again.global_clipnorm = 1.0
    again.step([fixed, weights[1]])
    np.testing.assert_array_equal(fixed.value, [3.0, 4.0])
    assert weights[0].value == weights[1].value != 1


@pytest.mark.parametrize("kernels", NAMES[1:])
@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-6), ("float64", 1e-12)])
@pytest.mark.parametrize("make", [lambda: mc.SGD(0.1, 0.9), lambda: mc.SGD(0.1, 0.9, nesterov=True),
                                  lambda: mc.AdamW(0.1, weight_decay=0.02)])  # fmt: skip
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_kernel_set_steps_as_reference(kernels, dtype, tolerance, make, order, rng):
    """More weights than one thread moves at a time, in either order of memory."""
    start = np.asarray(rng.standard_normal((150, 301)), dtype, order=order)
    gradients = rng.standard_normal((3, 150, 301)).astype(dtype)
    values = []
    for name in ("reference", kernels):
        parameter, optimizer = Parameter("w", start.shape, start.copy(order="K")), make()
        parameter.kernels = kernel_set(name)
        for gradient in gradients:
            parameter.grad = gradient
            optimizer.step([parameter])
        values.append(parameter.value)
    assert np.abs(values[0] - start).min() > 0
    np.testing.assert_allclose(values[1], values[0], rtol=tolerance, atol=tolerance)


def test_adamw_spares_what_has_one_axis_and_what_is_excluded():
    plain = run(mc.Adam(0.1))
    assert run(mc.AdamW(0.1, weight_decay=0.5), "dense_1/bias", shape=(1,)) == plain
    spare = mc.AdamW(0.1, weight_decay=0.5, exclude_from_weight_decay=("dense_2",))
    assert run(spare, "dense_2/weight") == plain
    assert run(mc.AdamW(0.1, weight_decay=0.5)) != pytest.approx(plain)


def test_a_schedule_gives_each_step_its_rate():
    rates = [0.5, 0.25, 0.125, 0.0625, 0.03125]
    w = 1.0 - sum(rate * gradient for rate, gradient in zip(rates, GRADIENTS, strict=True))
    optimizer = mc.SGD(lambda step: 0.5 ** (step + 1))
    assert run(optimizer) == pytest.approx(w, rel=1e-12)
    assert optimizer.steps == 5 and optimizer.learning_rate == 0.5**6


def test_with_a_schedule_the_rate_is_restored_from_the_steps():
    one, two = (mc.Adam(mc.ExponentialDecay(0.1, 2, 0.5)) for _ in "ab")
    run(one)
    two.state = one.state
    assert two.schedule is not None and two.learning_rate == one.learning_rate == 0.1 * 0.5**2.5


def test_a_number_takes_the_place_of_a_schedule():
    optimizer = mc.SGD(mc.CosineDecay(0.1, 5))
    optimizer.learning_rate = 0.2
    assert optimizer.schedule is None and run(optimizer) == run(mc.SGD(0.2))


def test_clipping_is_by_the_length_of_all_gradients_together():
    parameters = [Parameter(name, (1,), np.zeros(1)) for name in "ab"]
    for parameter, gradient in zip(parameters, (3.0, 4.0), strict=True):
        parameter.grad = np.array([gradient])
    mc.SGD(1.0, global_clipnorm=1.0).step(parameters)
    np.testing.assert_allclose([p.value.item() for p in parameters], [-0.6, -0.8])
    mc.SGD(1.0, global_clipnorm=100.0).step(parameters)  # short enough: untouched
    np.testing.assert_allclose([p.value.item() for p in parameters], [-3.6, -4.8])
    assert parameters[0].grad.item() == 3.0


@pytest.mark.parametrize("make", [lambda: mc.SGD(0.1, 0.9), lambda: mc.Adam(0.1), lambda: mc.AdamW(0.1)])
def test_state_can_be_saved_and_restored(make):
    parameter, other = (Parameter("w", (1,), np.array([1.0])) for _ in "ab")
    one, two = make(), make()
    for step, gradient in enumerate(GRADIENTS):
        if step == 2:
            two.state, other.value = one.state, parameter.value.copy()
        parameter.grad = other.grad = np.array([gradient])
        one.step([parameter])
        if step >= 2:
            two.step([other])
    np.testing.assert_array_equal(parameter.value, other.value)


def test_parameters_of_one_name_are_refused_since_state_is_kept_by_name():
    twins = [Parameter("weight", (1,), np.zeros(1)) for _ in "ab"]
    with pytest.raises(mc.ArgumentError, match="different names"):
        mc.Adam().step(twins)


def test_state_is_a_copy():
    optimizer = mc.Adam()
    parameter = Parameter("w", (1,), np.array([1.0]))
    parameter.grad = np.array([1.0])
    optimizer.step([parameter])
    state = optimizer.state
    optimizer.step([parameter])
    assert state["steps"] == 1 and state["w/m"] != optimizer.state["w/m"]


@pytest.mark.parametrize(
    "make",
    [lambda: mc.Adam(0), lambda: mc.SGD(math.nan), lambda: mc.SGD(0.1, momentum=1), lambda: mc.Adam(beta_1=-0.1),
     lambda: mc.Adam(global_clipnorm=-1), lambda: mc.AdamW(weight_decay=-1),
     lambda: mc.SGD(global_clipnorm=0), lambda: mc.Adam("fast")],
)  # fmt: skip
def test_settings_out_of_range_are_refused(make):
    with pytest.raises(mc.ArgumentError):
        make()


@pytest.mark.parametrize("grad", [None, np.ones(2), np.ones((3, 2))])
def test_a_gradient_that_is_missing_or_of_another_shape_moves_nothing(grad):
    good, bad = Parameter("good", (2,), np.zeros(2)), Parameter("bad", (2, 3), np.zeros((2, 3)))
    good.grad, bad.grad = np.ones(2), grad
    with pytest.raises(mc.ShapeError, match=r"bad: expected a gradient of shape \(2, 3\)"):
        mc.Adam(0.1).step([good, bad])
    assert not good.value.any()
