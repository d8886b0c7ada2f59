"""Each optimizer against its published equation, computed by hand; state, settings and refused arguments."""

import copy
import json
import math
import pickle

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
def test_sgd_with_momentum_follows_its_equation(nesterov):
    w, v = 1.0, 0.0
    for g in GRADIENTS:
        v = 0.9 * v - 0.1 * g
        w += 0.9 * v - 0.1 * g if nesterov else v
    assert run(mc.SGD(0.1, momentum=0.9, nesterov=nesterov)) == pytest.approx(w, rel=1e-12)


@pytest.mark.parametrize("decay", [None, 0.02])
def test_adam_and_adamw_follow_their_equations(decay):
    w, m, v = 1.0, 0.0, 0.0
    for t, g in enumerate(GRADIENTS, 1):
        w -= 0.1 * (decay or 0) * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w -= 0.1 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (math.sqrt(v) + 1e-7)
    assert run(mc.Adam(0.1) if decay is None else mc.AdamW(0.1, weight_decay=decay)) == pytest.approx(
        w, rel=1e-12
    )


@pytest.mark.parametrize("make", [mc.SGD, mc.Adam, lambda: mc.AdamW(weight_decay=0.5)])
def test_parameters_that_are_not_trainable_are_ignored(make):
    """Even with a gradient, they are not updated, do not decay, and do not count in the norm of the gradients."""
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
                                  lambda: mc.AdamW(0.1, weight_decay=0.02),
                                  lambda: mc.RMSprop(0.1, momentum=0.5, centered=True)])  # fmt: skip
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_kernel_set_makes_the_same_step_as_reference(kernels, dtype, tolerance, make, order, rng):
    """With more weights than one thread updates at a time, and gradients in either memory order."""
    start = rng.standard_normal((150, 301)).astype(dtype)
    gradients = rng.standard_normal((3, 150, 301)).astype(dtype)
    values = []
    for name in ("reference", kernels):
        parameter, optimizer = Parameter("w", start.shape, start), make()
        for gradient in gradients:
            parameter.grad = np.asarray(gradient, order=order)
            optimizer.step([parameter], kernel_set(name))
        values.append(parameter.value)
    assert np.abs(values[0] - start).min() > 0
    np.testing.assert_allclose(values[1], values[0], rtol=tolerance, atol=tolerance)


def test_adamw_does_not_decay_parameters_of_one_axis_or_excluded_ones():
    plain = run(mc.Adam(0.1))
    assert run(mc.AdamW(0.1, weight_decay=0.5), "dense_1/bias", shape=(1,)) == plain
    spare = mc.AdamW(0.1, weight_decay=0.5, exclude_from_weight_decay=("dense_2",))
    assert run(spare, "dense_2/weight") == plain
    assert run(mc.AdamW(0.1, weight_decay=0.5)) != pytest.approx(plain)


def test_a_schedule_sets_the_rate_of_each_step():
    rates = [0.5, 0.25, 0.125, 0.0625, 0.03125]
    w = 1.0 - sum(rate * gradient for rate, gradient in zip(rates, GRADIENTS, strict=True))
    optimizer = mc.SGD(lambda step: 0.5 ** (step + 1))
    assert run(optimizer) == pytest.approx(w, rel=1e-12)
    assert optimizer.steps == 5 and optimizer.learning_rate == 0.5**6


def test_with_a_schedule_the_rate_is_restored_from_the_iterations():
    one, two = (mc.Adam(mc.ExponentialDecay(0.1, 2, 0.5)) for _ in "ab")
    run(one)
    two.state = one.state
    assert two.schedule is not None and two.learning_rate == one.learning_rate == 0.1 * 0.5**2.5


def test_assigning_a_number_replaces_the_schedule():
    optimizer = mc.SGD(mc.CosineDecay(0.1, 5))
    optimizer.learning_rate = 0.2
    assert optimizer.schedule is None and run(optimizer) == run(mc.SGD(0.2))


def test_clipping_uses_the_norm_of_all_gradients_together():
    parameters = [Parameter(name, (1,), np.zeros(1)) for name in "ab"]
    for parameter, gradient in zip(parameters, (3.0, 4.0), strict=True):
        parameter.grad = np.array([gradient])
    mc.SGD(1.0, global_clipnorm=1.0).step(parameters)
    np.testing.assert_allclose([p.value.item() for p in parameters], [-0.6, -0.8])
    mc.SGD(1.0, global_clipnorm=100.0).step(parameters)  # below the limit: not scaled
    np.testing.assert_allclose([p.value.item() for p in parameters], [-3.6, -4.8])
    assert parameters[0].grad.item() == 3.0


@pytest.mark.parametrize("make", [lambda: mc.SGD(0.1, 0.9), lambda: mc.Adam(0.1), lambda: mc.AdamW(0.1),
                                  lambda: mc.RMSprop(0.1, momentum=0.5, centered=True)])  # fmt: skip
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


def test_two_parameters_with_the_same_name_are_refused():
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
    assert state["iterations"] == 1 and state["w/m"] != optimizer.state["w/m"]


@pytest.mark.parametrize(
    "make",
    [lambda: mc.Adam(0), lambda: mc.SGD(math.nan), lambda: mc.SGD(0.1, momentum=1), lambda: mc.Adam(beta_1=-0.1),
     lambda: mc.Adam(global_clipnorm=-1), lambda: mc.AdamW(weight_decay=-1),
     lambda: mc.SGD(global_clipnorm=0), lambda: mc.Adam("fast"), lambda: mc.Adam(True), lambda: mc.Adam(None),
     lambda: mc.SGD(nesterov="False"), lambda: mc.SGD(nesterov=1), lambda: mc.AdamW(weight_decay=None),
     lambda: mc.AdamW(weight_decay="0.1"), lambda: mc.AdamW(exclude_from_weight_decay=3),
     lambda: mc.AdamW(exclude_from_weight_decay=("",)), lambda: mc.Adam(epsilon=0), lambda: mc.Adam(epsilon=1e-50),
     lambda: mc.RMSprop(rho=1), lambda: mc.RMSprop(centered="no"), lambda: mc.SGD(mc.CosineDecay),
     lambda: mc.SGD(lambda step: -0.1), lambda: mc.SGD(lambda step: math.nan), lambda: mc.SGD(lambda step: "0.1"),
     lambda: mc.Adam(lr=0.1), lambda: mc.SGD(0.1, clipvalue=1.0)],
)  # fmt: skip
def test_settings_out_of_range_are_refused(make):
    with pytest.raises(mc.ArgumentError):
        make()


@pytest.mark.parametrize("grad", [None, np.ones(2), np.ones((3, 2))])
def test_a_missing_gradient_or_one_of_another_shape_is_refused_and_changes_nothing(grad):
    good, bad = Parameter("good", (2,), np.zeros(2)), Parameter("bad", (2, 3), np.zeros((2, 3)))
    good.grad, bad.grad = np.ones(2), grad
    with pytest.raises(mc.ShapeError, match=r"bad: expected a gradient of shape \(2, 3\)"):
        mc.Adam(0.1).step([good, bad])
    assert not good.value.any()


def weight(value=1.0, grad=0.5, name="w", dtype="float64"):
    parameter = Parameter(name, np.shape(value), np.asarray(value, dtype))
    parameter.grad = None if grad is None else np.asarray(grad, dtype)
    return parameter


@pytest.mark.parametrize(
    "settings", [{}, {"momentum": 0.9}, {"centered": True}, {"momentum": 0.5, "centered": True}]
)
def test_rmsprop_follows_its_equation(settings):
    momentum, centered = settings.get("momentum", 0.0), settings.get("centered", False)
    w, v, a, b = 1.0, 0.0, 0.0, 0.0
    for g in GRADIENTS:
        v, a = 0.8 * v + 0.2 * g * g, 0.8 * a + 0.2 * g
        b = momentum * b + 0.1 * g / math.sqrt(v - centered * a * a + 1e-7)
        w -= b
    assert run(mc.RMSprop(0.1, rho=0.8, **settings)) == pytest.approx(w, rel=1e-12)


def test_rmsprop_agrees_with_keras():
    """One step of keras.optimizers.RMSprop(0.1) from 10 with gradient 10 gives 9.683772, according to its docs."""
    parameter = weight(10.0, 10.0)
    mc.RMSprop(0.1).step([parameter])
    assert parameter.value == pytest.approx(9.683772, abs=1e-6)


def test_a_centered_variance_never_falls_below_0():
    """With the same large gradient in each step, rounding makes v - a^2 less than -epsilon, whose root is NaN."""
    parameter, optimizer = (
        weight(np.ones(1000), np.linspace(1e3, 1e4, 1000), dtype="float32"),
        mc.RMSprop(0.1, centered=True),
    )
    for _ in range(300):
        optimizer.step([parameter])
    assert np.isfinite(parameter.value).all()


# -------------------------------------------------------------------------- owner and state
def test_the_state_is_reset_for_another_owner_and_stays_for_the_same():
    optimizer, one, other = mc.Adam(), ["one"], ["one"]  # equal, but not the same
    optimizer.bind(one)
    optimizer.step([weight()])
    optimizer.bind(one)
    assert optimizer.iterations == optimizer.steps == 1 and "w/m" in optimizer.state
    optimizer.bind(other)
    assert optimizer.owner is other and optimizer.iterations == 0 and "w/m" not in optimizer.state


@pytest.mark.parametrize("kernels", NAMES)
@pytest.mark.parametrize("value", [np.ones(4096), np.ones((3, 3)), np.ones(2, "float32")])
def test_moments_that_do_not_fit_a_weight_are_refused_in_the_step(value, kernels):
    one, two = mc.Adam(), mc.Adam()
    one.step([weight(np.ones(2), np.ones(2))])
    two.state = one.state  # accepted, because the parameters are not known yet
    parameter = weight(value, np.ones_like(value), dtype=value.dtype)
    with pytest.raises(mc.ShapeError, match="Adam w/m: expected .* like its weight"):
        two.step([parameter], kernel_set(kernels))
    assert (parameter.value == 1).all() and two.iterations == 1


def changed(**changes):
    state = {
        "iterations": np.asarray(3),
        "learning_rate": np.asarray(0.5),
        "w/m": np.ones(2),
        "w/v": np.ones(2),
    }
    return {name: value for name, value in (state | changes).items() if value is not None}


@pytest.mark.parametrize("state", [
    None, [], {}, changed(iterations=None), changed(iterations=-1), changed(iterations=1.5), changed(iterations="3"),
    changed(iterations=np.ones(2)), changed(learning_rate=None), changed(learning_rate=0),
    changed(learning_rate=math.nan), changed(learning_rate="fast"), changed(**{"w/velocity": np.ones(2)}),
    changed(w=np.ones(2)), changed(**{"/m": np.ones(2)}),
    changed(**{"w/m": None}), changed(**{"w/m": [1.0, 1.0]}), changed(**{"w/m": np.ones(2, int)}),
    changed(**{"w/m": np.array(["a", "b"])}), changed(**{"w/m": np.array([1.0, math.nan])}),
    changed(**{"w/v": np.array([1.0, -1.0])}), changed(**{"w/v": np.ones(3)}),
    changed(**{"w/v": np.ones(2, "float32")}),
])  # fmt: skip
def test_an_invalid_state_is_refused_and_changes_nothing(state):
    optimizer = mc.Adam(0.25)
    optimizer.step([weight(np.ones(2), np.ones(2))])
    before = optimizer.state
    with pytest.raises((mc.ArgumentError, mc.ShapeError)):
        optimizer.state = state
    assert optimizer.state.keys() == before.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(optimizer.state[name], value)


def test_an_assigned_state_is_copied():
    optimizer, state = mc.Adam(), changed()
    optimizer.state = state
    state["w/m"][...] = 7
    assert (
        optimizer.iterations == 3 and optimizer.learning_rate == 0.5 and (optimizer.state["w/m"] == 1).all()
    )


@pytest.mark.parametrize(
    "make", [lambda: mc.SGD(0.1, 0.9), lambda: mc.Adam(mc.CosineDecay(0.1, 9)), mc.RMSprop]
)
def test_optimizers_can_be_copied_and_pickled(make):
    optimizer = make()
    optimizer.bind(["token"])
    optimizer.step([weight()])
    for other in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        parameters = weight(0.5, 0.25), weight(0.5, 0.25)
        for each, parameter in zip((optimizer, other), parameters, strict=True):
            copy.deepcopy(each).step(
                [parameter]
            )  # on a copy, so that the next round starts from the same state
        assert parameters[0].value == parameters[1].value != 0.5
        assert repr(other) == repr(optimizer) and other.iterations == 1


def test_the_keys_of_a_dictionary_are_the_names_in_the_state():
    optimizer = mc.SGD(0.1, 0.9)
    optimizer.step({"block/one": weight(name="weight"), "block/two": weight(name="weight")})
    assert {"block/one/velocity", "block/two/velocity"} < set(optimizer.state)


# -------------------------------------------------------------------------------- not finite
@pytest.mark.parametrize("kernels", NAMES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "make", [lambda: mc.SGD(0.1), lambda: mc.SGD(0.1, global_clipnorm=1.0), mc.Adam, mc.RMSprop]
)
def test_a_gradient_that_is_not_finite_is_named_and_no_weight_changes(make, bad, kernels):
    optimizer, good, broken = (
        make(),
        weight(np.ones(2), np.ones(2), "good"),
        weight([1.0, 1.0], [0.5, bad], "broken"),
    )
    with pytest.raises(mc.NonFiniteError, match="gradient of broken"):
        optimizer.step([good, broken], kernel_set(kernels))
    assert (good.value == 1).all() and (broken.value == 1).all()
    assert optimizer.iterations == 0 and set(optimizer.state) == {"iterations", "learning_rate"}


@pytest.mark.parametrize("kernels", NAMES)
@pytest.mark.parametrize("optimizer, grad", [
    (mc.SGD(1e30), 1e20), (mc.SGD(3e38, 0.9), 2.0), (mc.SGD(1e39), 1.0), (mc.Adam(0.1), 1e20), (mc.Adam(1e39), 1e-3),
    (mc.RMSprop(0.1), 1e20), (mc.AdamW(1e10, weight_decay=1e30), 1.0),
], ids=repr)  # fmt: skip
def test_a_step_that_overflows_is_undone(optimizer, grad, kernels):
    optimizer = copy.deepcopy(optimizer)
    good, large = (
        weight([[1.0, -1.0]], [[g, 0.0]], n, "float32") for g, n in ((0.5, "good"), (grad, "large"))
    )
    with np.errstate(all="raise"), pytest.raises(mc.NonFiniteError, match=r"large|good") as caught:
        optimizer.step([good, large], kernel_set(kernels))
    assert "overflows" in str(caught.value)
    np.testing.assert_array_equal(good.value, [[1, -1]])
    np.testing.assert_array_equal(large.value, [[1, -1]])
    assert optimizer.iterations == 0 and set(optimizer.state) == {"iterations", "learning_rate"}


def test_a_large_step_that_does_not_overflow_is_made():
    parameter = weight(1.0, 1e20, dtype="float32")
    mc.SGD(1e10).step([parameter])
    assert parameter.value == np.float32(-1e30)


def test_an_overflow_from_the_momentum_of_an_earlier_step_is_detected():
    """The later gradients are 0; the velocity from the first step makes the weight overflow."""
    parameter, optimizer = weight(0.0, 2e38, dtype="float32"), mc.SGD(1.0, momentum=0.9)
    optimizer.step([parameter])
    parameter.grad = np.zeros((), "float32")
    with pytest.raises(mc.NonFiniteError, match="w: expected a step"):
        optimizer.step([parameter])
    assert parameter.value == np.float32(-2e38)
    other = mc.SGD(1.0, momentum=0.9)
    other.state = optimizer.state
    with pytest.raises(mc.NonFiniteError):
        other.step([parameter])


@pytest.mark.parametrize(
    "dtype, size", [("float32", 3e38), ("float32", 1e19), ("float64", 1e300), ("float64", 1.0)]
)
def test_gradients_whose_squares_overflow_are_clipped_to_the_right_norm(dtype, size):
    parameters = [weight(0.0, 0.6 * size, "a", dtype), weight(0.0, 0.8 * size, "b", dtype)]
    with np.errstate(all="raise", under="ignore"):
        mc.SGD(1.0, global_clipnorm=0.5).step(parameters)
    np.testing.assert_allclose([p.value for p in parameters], [-0.3, -0.4], rtol=1e-6)


def test_a_gradient_of_another_type_is_cast_and_one_without_numbers_is_refused():
    parameter = weight(1.0, None, dtype="float32")
    parameter.grad = np.asarray(2)
    mc.SGD(0.25).step([parameter])
    assert parameter.value == 0.5 and parameter.value.dtype == "float32"
    parameter.grad = np.asarray("2")
    with pytest.raises(mc.ShapeError, match="w: expected a gradient"):
        mc.SGD(0.25).step([parameter])


# -------------------------------------------------------------------------------- settings
def test_a_refused_rate_does_not_change_the_schedule():
    optimizer = mc.SGD(mc.CosineDecay(0.1, 10))
    for rate in (0, -1, "0.1", None, math.inf, True, lambda step: None, mc.CosineDecay):
        with pytest.raises(mc.ArgumentError):
            optimizer.learning_rate = rate
        assert optimizer.schedule == mc.CosineDecay(0.1, 10) and optimizer.learning_rate == 0.1


@pytest.mark.parametrize("rate", [-0.1, math.nan, math.inf, "0.1", None])
def test_the_message_for_a_wrong_rate_names_the_schedule_and_the_step(rate):
    def falling(step):
        return 0.1 if step < 2 else rate

    optimizer, parameter = mc.SGD(falling), weight()
    for _ in range(2):
        optimizer.step([parameter])
    before = parameter.value.copy()
    with pytest.raises(mc.ArgumentError, match="falling at step 2"):
        optimizer.step([parameter])
    assert parameter.value == before and optimizer.iterations == 2


def test_a_schedule_may_end_at_0_and_return_numpy_numbers():
    optimizer, parameter = mc.SGD(mc.CosineDecay(0.1, 1)), weight()
    for _ in range(3):
        optimizer.step([parameter])
    assert optimizer.learning_rate == 0 and parameter.value == 0.95
    assert mc.SGD(lambda step: np.asarray(np.float32(0.5))).learning_rate == 0.5


@pytest.mark.parametrize("name", ["lr", "learningrate", "betta_1", "weight_decay"])
def test_assigning_unknown_attributes_is_refused(name):
    with pytest.raises(mc.UnknownAttributeError, match="learning_rate") as caught:
        setattr(mc.Adam(), name, 0.1)
    assert isinstance(caught.value, AttributeError)


def test_settings_are_also_checked_when_they_are_assigned():
    optimizer = mc.SGD(0.1)
    for name, value in (("momentum", 1), ("nesterov", "no"), ("global_clipnorm", 0)):
        with pytest.raises(mc.ArgumentError):
            setattr(optimizer, name, value)
    assert (optimizer.momentum, optimizer.nesterov, optimizer.global_clipnorm) == (0.0, False, None)
    optimizer.momentum = np.float32(0.5)
    assert type(optimizer.momentum) is float


def test_a_users_optimizer_may_have_any_attributes_and_moments():
    class Halving(mc.optimizers.Optimizer):
        moments = ("count",)

        def __init__(self, learning_rate=1.0, note=None):
            super().__init__(learning_rate)
            self.note, self.other = note, 3

        def update(self, name, value, grad, rate, kernels, *moments):
            (count,) = moments
            count += 1
            value -= rate * grad / 2**count

    optimizer, parameter = Halving(note="mine"), weight(1.0, 1.0)
    optimizer.extra = 5
    for _ in range(2):
        optimizer.step([parameter])
    assert parameter.value == 0.25 and optimizer.state["w/count"] == 2
    config = optimizer.get_config()
    assert config == {"class": "Halving", "learning_rate": 1.0, "note": "mine"}
    assert mc.optimizers.find_optimizer(config, {"Halving": Halving}).note == "mine"
    with pytest.raises(mc.ArgumentError, match="Halving"):
        mc.optimizers.find_optimizer(config)


@pytest.mark.parametrize("name, made", [("Adam", mc.Adam), ("SGD", mc.SGD), ("adamw", mc.AdamW),
                                        ("rmsprop", mc.RMSprop), ("RMSProp", mc.RMSprop),
                                        ("ADAM_W", mc.AdamW)])  # fmt: skip
def test_optimizers_are_found_by_name(name, made):
    assert type(mc.optimizers.find_optimizer(name)) is made


@pytest.mark.parametrize("value, words", [("adm", 'Did you mean "adam"'), (mc.Adam, r"Write Adam\(\)"), (None, "None"),
                                          (0.1, "0.1"), ({"class": "Thing"}, "Thing"), ({}, "None"),
                                          ({"class": "Adam", "speed": 3}, "speed=3")])  # fmt: skip
def test_arguments_that_are_not_an_optimizer_are_refused(value, words):
    with pytest.raises(mc.ArgumentError, match=words):
        mc.optimizers.find_optimizer(value)


@pytest.mark.parametrize("optimizer", [
    mc.SGD(0.1, 0.9, True, 1.0), mc.Adam(beta_1=0.5), mc.AdamW(exclude_from_weight_decay="bias"),
    mc.RMSprop(centered=True), mc.Adam(mc.WarmUp(mc.OneCycle(0.1, 9), 3)), mc.SGD(mc.WarmUp(0.1, 3)),
    mc.SGD(mc.ExponentialDecay(0.1, 9, 0.5, True)),
], ids=repr)  # fmt: skip
def test_the_config_makes_the_same_optimizer(optimizer):
    again = mc.optimizers.find_optimizer(json.loads(json.dumps(optimizer.get_config())))
    assert repr(again) == repr(optimizer) and type(again) is type(optimizer)


def test_a_function_as_a_schedule_has_no_config():
    with pytest.raises(mc.ArgumentError, match="get_config"):
        mc.SGD(lambda step: 0.1).get_config()


def test_the_repr_shows_all_settings():
    assert repr(mc.SGD(mc.CosineDecay(0.1, 5), 0.9)) == (
        "SGD(learning_rate=CosineDecay(initial_learning_rate=0.1, decay_steps=5, alpha=0.0), momentum=0.9, "
        "nesterov=False, global_clipnorm=None)"
    )
