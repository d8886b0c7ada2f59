"""The gradient check fails on wrong gradients, says where, and recognises kinks; then it checks the networks."""

import numpy as np
import pytest

import minicnn as mc
from minicnn import networks
from minicnn.gradient_check import check_array, check_layer, check_model
from minicnn.kernels import NAMES


class Wrong(mc.Dense):
    """A dense layer with one error in its backward pass."""

    def __init__(self, units, mistake="none"):
        super().__init__(units)
        self.mistake = mistake

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if self.mistake == "transposed":
            self.weight.grad = self.weight.grad.T.copy()
        if self.mistake == "bias":
            self.bias.grad = self.bias.grad * 1.001
        if self.mistake == "dx":
            dx = dx + 1e-4
        return dx


@pytest.mark.parametrize(
    ("mistake", "fails"), [("none", None), ("transposed", "weight"), ("bias", "bias"), ("dx", "dx")]
)
def test_an_error_is_reported_for_the_right_array(mistake, fails):
    checks = check_layer(Wrong(4, mistake), (4,))
    assert [check.name for check in checks if not check.passes()] == ([fails] if fails else [])


def test_the_worst_element_is_named():
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    gradient = 2 * x
    gradient[1, 0] += 0.5
    check = check_array("x", lambda: float((x**2).sum()), x, gradient)
    assert check.worst == (1, 0) and check.analytic == 6.5 and check.numeric == pytest.approx(6)
    assert check.error == pytest.approx(0.5 / 8) and "at (1, 0)" in str(check)


def test_a_kink_is_counted_and_skipped():
    x = np.array([-1.0, 0.0, 2.0])
    check = check_array("x", lambda: float(np.maximum(x, 0).sum()), x, np.array([0.0, 0.0, 1.0]))
    assert check.kinks == 1 and check.passes() and "1 of 3 on a kink" in str(check)
    only = np.zeros(1)
    assert not check_array("x", lambda: float(np.abs(only).sum()), only, np.zeros(1)).passes()


@pytest.mark.parametrize(("weight", "kinks"), [(5e-10, 0), (-5e-10, 0), (0.0, 1), (0.5, 0)])
@pytest.mark.parametrize("seed", [0, 3])  # directions of both signs
def test_next_to_a_kink_the_slope_on_the_other_side_is_compared(weight, kinks, seed, monkeypatch):
    model = mc.Sequential([mc.Dense(2, use_bias=False), mc.ReLU()]).build((1,), dtype="float64")
    model.compile("sgd", "mean_squared_error")
    model.set_weights([np.array([[weight, 0.3]])])

    def check():
        return check_model(model, np.ones((1, 1)), np.ones((1, 2)), directions=1, seed=seed)[0]

    assert check().kinks == kinks and check().passes() == (not kinks)
    right = mc.Dense.backward
    monkeypatch.setattr(mc.Dense, "backward", lambda self, dy, *others: right(self, 0.999 * dy, *others))
    assert not check().passes()


def test_the_array_is_restored():
    x = np.array([0.1, 0.2])
    check_array("x", lambda: float(x.sum()), x, np.ones(2))
    np.testing.assert_array_equal(x, [0.1, 0.2])


@pytest.mark.parametrize("kernels", NAMES)
@pytest.mark.parametrize(
    ("network", "size"), [(networks.two_block, 22), (networks.four_block, 48), (networks.catdog, 32)]
)
def test_the_gradients_of_each_network_are_right(network, size, kernels, rng):
    """At a small image size; benchmarks/gradients.py checks them at full size."""
    model = network(kernels=kernels, dropout=0.3).build((size, size, 3), dtype="float64")
    model.compile("adam", "binary_crossentropy")
    for check in check_model(model, rng.random((2, size, size, 3)), np.array([0, 1]), directions=1):
        assert check.passes(1e-6), str(check)


def test_a_network_with_a_wrong_layer_fails(rng):
    model = mc.Sequential([Wrong(3, "bias"), mc.ReLU(), mc.Dense(1), mc.Sigmoid()]).build(
        (4,), dtype="float64"
    )
    model.compile()
    checks = check_model(model, rng.standard_normal((3, 4)), np.array([0, 1, 1]))
    assert {check.name for check in checks if not check.passes()} >= {"wrong_1/bias"}
    assert all(check.passes() for check in checks if check.name.startswith("dense"))
    before = model.get_weights()
    check_model(model, rng.standard_normal((3, 4)), np.array([0, 1, 1]))
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_float32_is_refused():
    model = mc.Sequential([mc.Dense(1), mc.Sigmoid()]).build((2,))
    model.compile()
    with pytest.raises(mc.ArgumentError, match="float64"):
        check_model(model, np.ones((1, 2)), np.array([1]))
