"""Losses against their textbook sums, written number by number, and their gradients against differences."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minicnn as mc
from minicnn.functions import sigmoid, softmax
from minicnn.gradient_check import check_loss
from minicnn.losses import with_logits

seeds = st.integers(0, 999)


def problem(seed, N=4, K=1):
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((N, K)) * 3
    labels = rng.integers(0, max(K, 2), N)
    return logits, labels, rng.uniform(0.2, 2, N)


def binary(target, p):
    return -(target * math.log(p) + (1 - target) * math.log(1 - p))


@given(seeds, st.sampled_from([0.0, 0.2]))
def test_binary_cross_entropy_is_its_sum(seed, smoothing):
    logits, labels, weight = problem(seed)
    smooth = labels * (1 - smoothing) + smoothing / 2
    wanted = sum(
        w * binary(t, p) for w, t, p in zip(weight, smooth, sigmoid(logits[:, 0]), strict=True)
    ) / len(labels)
    assert mc.BinaryCrossEntropy(False, smoothing)(labels, sigmoid(logits), weight)[0] == pytest.approx(
        wanted, rel=1e-6
    )
    assert mc.BinaryCrossEntropy(True, smoothing)(labels, logits, weight)[0] == pytest.approx(
        wanted, rel=1e-12
    )


@given(seeds, st.integers(2, 5), st.sampled_from([0.0, 0.1]))
def test_categorical_cross_entropy_is_its_sum_and_sparse_is_the_same(seed, K, smoothing):
    logits, labels, weight = problem(seed, K=K)
    one_hot = np.eye(K)[labels]
    smooth = one_hot * (1 - smoothing) + smoothing / K
    wanted = (
        -sum(
            w * math.log(p) * t
            for w, row, targets in zip(weight, softmax(logits), smooth, strict=True)
            for p, t in zip(row, targets, strict=True)
        )
        / 4
    )
    for loss, target in ((mc.CategoricalCrossEntropy, one_hot), (mc.SparseCategoricalCrossEntropy, labels)):
        assert loss(True, smoothing)(target, logits, weight)[0] == pytest.approx(wanted, rel=1e-10)
        assert loss(False, smoothing)(target, softmax(logits), weight)[0] == pytest.approx(wanted, rel=1e-5)


@given(seeds)
def test_gradients_agree_with_differences(seed):
    logits, labels, weight = problem(seed)
    many, classes, _ = problem(seed, K=3)
    one_hot = np.eye(3)[classes]
    checks = [
        check_loss(mc.BinaryCrossEntropy(True, 0.1), labels, logits, weight),
        check_loss(mc.BinaryCrossEntropy(), labels, np.clip(sigmoid(logits), 0.05, 0.95), weight),
        check_loss(mc.BinaryCrossEntropy(True), one_hot, many),
        check_loss(mc.CategoricalCrossEntropy(True, 0.1), one_hot, many, weight),
        check_loss(mc.CategoricalCrossEntropy(), one_hot, np.clip(softmax(many), 0.05, 0.95)),
        check_loss(mc.SparseCategoricalCrossEntropy(True), classes, many, weight),
        check_loss(mc.MeanSquaredError(), one_hot, many, weight),
    ]
    for check in checks:
        assert check.passes(1e-6), str(check)


def test_a_hopeless_logit_costs_its_size_and_keeps_its_gradient():
    value, gradient = mc.BinaryCrossEntropy(from_logits=True)([1], np.array([[-50.0]], "float32"))
    assert value == 50.0 and gradient.item() == -1.0
    value, gradient = mc.BinaryCrossEntropy()([1], np.array([[0.0]]))
    assert value == pytest.approx(16.118, abs=1e-3) and gradient.item() == 0


def test_a_network_that_ends_in_sigmoid_or_softmax_trains_from_the_logit():
    for last, loss, target in (
        (mc.Sigmoid(), "binary_crossentropy", [[1.0]]),
        (mc.Softmax(), "categorical_crossentropy", [[1.0, 0.0]]),
    ):
        model = mc.Sequential([mc.Dense(len(target[0])), last]).build((1,))
        model.compile("sgd", loss)
        model.set_weights([np.array([[-50.0, 50.0][: len(target[0])]]), np.zeros(len(target[0]))])
        value, _ = model.compute_gradients(np.ones((1, 1)), np.array(target))
        assert value == pytest.approx(50 if len(target[0]) == 1 else 100, rel=1e-6)
        assert abs(model.parameters[1].grad[0]) == pytest.approx(1)


def test_label_smoothing_is_keras_and_pytorchs():
    """Numbers of Keras 3.15 (both losses) and PyTorch 2.13 (the second, and its gradient), label_smoothing=0.1."""
    value, _ = mc.BinaryCrossEntropy(True, 0.1)([1, 1, 0], np.array([[2.0], [-1.0], [0.5]]))
    assert value == pytest.approx(0.8130888938903809, rel=1e-6)
    logits = np.array([[1.0, 2.0, -1.0], [0.3, -0.2, 0.9]])
    wanted = [
        [0.1130815635045429, 0.33602558968245394, -0.4491071531869968],
        [-0.32083665230732217, 0.07178370814860936, 0.24905294415871282],
    ]
    for loss, target in (
        (mc.SparseCategoricalCrossEntropy, [2, 0]),
        (mc.CategoricalCrossEntropy, np.eye(3)[[2, 0]]),
    ):
        value, gradient = loss(True, 0.1)(target, logits)
        assert value == pytest.approx(2.2055893284992907, rel=1e-6)
        np.testing.assert_allclose(gradient, wanted, rtol=1e-6)


def test_the_loss_divides_by_the_batch():
    logits, labels, _ = problem(1, N=3)
    loss = mc.BinaryCrossEntropy(from_logits=True)
    one, gradient = loss(labels, logits)
    two, doubled = loss(np.tile(labels, 2), np.tile(logits, (2, 1)))
    assert one == pytest.approx(two)
    np.testing.assert_allclose(doubled[:3], gradient / 2)


def test_nan_is_not_hidden_by_clipping():
    for loss, target in (
        (mc.BinaryCrossEntropy(), [[1.0]]),
        (mc.CategoricalCrossEntropy(), [[1.0]]),
        (mc.MeanSquaredError(), [[1.0]]),
    ):
        assert math.isnan(loss(target, np.array([[np.nan]]))[0])
        assert math.isnan(with_logits(loss)(target, np.array([[np.nan]]))[0])


@pytest.mark.parametrize(
    ("loss", "target", "shape"),
    [
        (mc.BinaryCrossEntropy(), np.zeros(3), (4, 1)),
        (mc.BinaryCrossEntropy(), np.zeros((4, 2, 2, 1)), (4, 2, 2, 1)),
        (mc.BinaryCrossEntropy(), np.zeros((4, 2)), (4, 1)),
        (mc.CategoricalCrossEntropy(), np.zeros(4), (4, 3)),
        (mc.SparseCategoricalCrossEntropy(), np.array([0, 1, 2, 3]), (4, 3)),
        (mc.SparseCategoricalCrossEntropy(), np.array([0, 1, 2, -1]), (4, 3)),
        (mc.SparseCategoricalCrossEntropy(), np.array([0.5, 1, 2, 2]), (4, 3)),
        (mc.SparseCategoricalCrossEntropy(), np.eye(3)[[0, 1, 2, 2]], (4, 3)),
    ],
)
def test_targets_that_do_not_fit_are_refused(loss, target, shape):
    with pytest.raises(mc.ShapeError, match=loss.name):
        loss(target, np.full(shape, 0.3))


def test_bad_weights_and_smoothing_are_refused():
    with pytest.raises(mc.ShapeError, match="4 sample weights"):
        mc.MeanSquaredError()(np.zeros(4), np.zeros((4, 1)), np.ones((4, 1)))
    with pytest.raises(mc.ArgumentError, match="label_smoothing"):
        mc.BinaryCrossEntropy(label_smoothing=1.0)


@pytest.mark.parametrize("loss", [mc.BinaryCrossEntropy(), mc.CategoricalCrossEntropy(label_smoothing=0.1)])
@pytest.mark.parametrize("target", [[[-1.0, 1.0]], [[0.0, 2.0]]])
def test_targets_that_are_no_shares_are_refused(loss, target):
    with pytest.raises(mc.ArgumentError, match=r"expected numbers in \[0, 1\]"):
        loss(target, np.array([[0.4, 0.6]]))
