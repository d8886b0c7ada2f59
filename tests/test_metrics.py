"""Metrics against counting by hand and, for the area under the curve, against all pairs."""

import itertools
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import ArgumentError, ShapeError, metrics

binary_cases = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 8).map(lambda k: k / 8)), min_size=1, max_size=30
)
cases = st.lists(st.tuples(st.integers(0, 2), st.permutations([0.1, 0.3, 0.6])), min_size=1, max_size=30)


@given(binary_cases)
def test_two_classes_with_one_output(samples):
    target, prediction = np.array([t for t, _ in samples]), np.array([[p] for _, p in samples])
    guess = [int(p > 0.5) for _, p in samples]
    right = sum(g == t for g, (t, _) in zip(guess, samples, strict=True))
    accuracy = metrics.accuracy(target, prediction)
    share = right / len(samples)
    assert accuracy == share and accuracy.standard_error == pytest.approx(
        math.sqrt(share * (1 - share) / len(samples))
    )
    counts = metrics.confusion_matrix(target, prediction)
    for i, j in itertools.product((0, 1), repeat=2):
        assert counts[i, j] == sum(g == j and t == i for g, (t, _) in zip(guess, samples, strict=True))
    pairs = [(a, b) for (t, a), (u, b) in itertools.product(samples, repeat=2) if t == 1 and u == 0]
    area = metrics.roc_auc(target, prediction)
    if pairs:
        assert area == pytest.approx(sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs))
    else:
        assert math.isnan(area)


@given(cases)
def test_three_classes_in_each_form_of_target(samples):
    labels, prediction = np.array([t for t, _ in samples]), np.array([p for _, p in samples])
    guess = prediction.argmax(1)
    counts = metrics.confusion_matrix(labels, prediction)
    for k in range(3):
        hits = sum((guess == k) & (labels == k))
        for metric, whole in ((metrics.precision, sum(guess == k)), (metrics.recall, sum(labels == k))):
            value = metric(labels, prediction)[k]
            assert value == pytest.approx(hits / whole) if whole else math.isnan(value)
    assert counts.sum() == len(samples)
    for target in (labels[:, None], np.eye(3)[labels]):
        np.testing.assert_array_equal(metrics.confusion_matrix(target, prediction), counts)
        assert metrics.accuracy(target, prediction) == metrics.accuracy(labels, prediction)
    wanted = -np.mean([math.log(p[t]) for t, p in samples])
    assert metrics.log_loss(labels, prediction) == pytest.approx(wanted)


def test_f1_is_the_harmonic_mean(rng):
    target, prediction = rng.integers(0, 2, 50), rng.random((50, 1))
    p, r = metrics.precision(target, prediction), metrics.recall(target, prediction)
    np.testing.assert_allclose(metrics.f1_score(target, prediction), 2 * p * r / (p + r))


def test_exactly_one_half_is_class_0_as_in_keras():
    assert metrics.classes(np.array([[0.5]])).item() == 0


def test_a_confident_mistake_costs_a_finite_amount():
    assert metrics.log_loss([1], np.array([[0.0]])) == pytest.approx(-math.log(1e-7))


def test_a_proportion_survives_copying():
    again = pickle.loads(pickle.dumps(metrics.Proportion(3, 4)))
    assert again == 0.75 and again.count == 4


def test_unknown_metrics_and_unequal_lengths_are_refused():
    with pytest.raises(ArgumentError, match="accuracy, auc, log_loss"):
        metrics.find_metrics(["speed"])
    with pytest.raises(ShapeError, match="3 targets"):
        metrics.accuracy([0, 1], np.zeros((3, 1)))


@pytest.mark.parametrize("wrong", [-1, 2])
@pytest.mark.parametrize(
    "metric", [metrics.accuracy, metrics.log_loss, metrics.roc_auc, metrics.confusion_matrix]
)
def test_a_class_that_has_no_prediction_is_refused(metric, wrong):
    with pytest.raises(ShapeError, match="class numbers from 0 to 1"):
        metric([0, wrong], np.array([[0.2], [0.7]]))
