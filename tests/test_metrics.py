"""Metrics against counts by hand; the area under the curve against a count over all pairs."""

import copy
import functools
import io
import itertools
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import ArgumentError, ShapeError, metrics
from minicnn.functions import sigmoid, softmax
from minicnn.outputs import Outputs

LABELS = Outputs("labels", 3)
# Three independent labels of four samples.  Correct: 2 + 3 + 1 + 2 of 12.
TRUE = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 0, 0]])
PREDICTED = np.array([[0.9, 0.2, 0.4], [0.1, 0.3, 0.8], [0.2, 0.4, 0.7], [0.6, 0.1, 0.2]])

binary_cases = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 8).map(lambda k: k / 8)), min_size=1, max_size=30
)
cases = st.lists(st.tuples(st.integers(0, 2), st.permutations([0.1, 0.3, 0.6])), min_size=1, max_size=30)


@given(binary_cases)
def test_metrics_of_two_classes_with_one_output(samples):
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
def test_metrics_of_three_classes_in_each_form_of_target(samples):
    labels, prediction = np.array([t for t, _ in samples]), np.array([p for _, p in samples])
    guess = prediction.argmax(1)
    counts = metrics.confusion_matrix(labels, prediction)
    for k in range(3):
        hits = sum((guess == k) & (labels == k))
        for metric, whole in ((metrics.precision, sum(guess == k)), (metrics.recall, sum(labels == k))):
            value = metric(labels, prediction)[k]
            assert value == pytest.approx(hits / whole if whole else 0)
    assert counts.sum() == len(samples)
    for target in (labels[:, None], np.eye(3)[labels]):
        np.testing.assert_array_equal(metrics.confusion_matrix(target, prediction), counts)
        assert metrics.accuracy(target, prediction) == metrics.accuracy(labels, prediction)
    wanted = -np.mean([math.log(p[t]) for t, p in samples])
    assert metrics.log_loss(labels, prediction) == pytest.approx(wanted)


def test_f1_is_the_harmonic_mean_of_precision_and_recall(rng):
    target, prediction = rng.integers(0, 2, 50), rng.random((50, 1))
    p, r = metrics.precision(target, prediction), metrics.recall(target, prediction)
    np.testing.assert_allclose(metrics.f1_score(target, prediction), 2 * p * r / (p + r))


def test_a_probability_of_exactly_one_half_is_class_0_as_in_keras():
    assert metrics.predicted_classes(np.array([[0.5]])).item() == 0


def test_a_confident_mistake_costs_a_finite_amount():
    assert metrics.log_loss([1], np.array([[0.0]])) == pytest.approx(-math.log(1e-7))


def test_a_proportion_survives_copying():
    again = pickle.loads(pickle.dumps(metrics.Proportion(3, 4)))
    assert again == 0.75 and again.count == 4


def test_unknown_metrics_and_different_lengths_are_refused():
    with pytest.raises(ArgumentError, match="accuracy, auc, log_loss"):
        metrics.find_metrics(["speed"])
    with pytest.raises(ShapeError, match="3 targets"):
        metrics.accuracy([0, 1], np.zeros((3, 1)))


@pytest.mark.parametrize("wrong", [-1, 2])
@pytest.mark.parametrize(
    "metric", [metrics.accuracy, metrics.log_loss, metrics.roc_auc, metrics.confusion_matrix]
)
def test_a_class_number_out_of_range_is_refused(metric, wrong):
    with pytest.raises(ShapeError, match="class numbers from 0 to 1"):
        metric([0, wrong], np.array([[0.2], [0.7]]))


# ------------------------------------------------------------------------------------ independent labels
def test_independent_labels_are_counted_one_by_one():
    accuracy = metrics.accuracy(TRUE, PREDICTED, LABELS)
    assert (accuracy.hits, accuracy.count) == (8, 12)
    # Predicted: label 0 in samples 0 and 3, label 1 never, label 2 in samples 1 and 2.
    np.testing.assert_allclose(metrics.precision(TRUE, PREDICTED, LABELS), [1 / 2, 0, 1])
    np.testing.assert_allclose(metrics.recall(TRUE, PREDICTED, LABELS), [1 / 2, 0, 2 / 3])
    np.testing.assert_allclose(metrics.f1_score(TRUE, PREDICTED, LABELS), [1 / 2, 0, 4 / 5])
    bound = metrics.find_metrics(["precision", "recall", "f1_score", "log_loss", "auc"], LABELS)
    assert bound["precision"](TRUE, PREDICTED) == pytest.approx(0.5)
    assert bound["recall"](TRUE, PREDICTED) == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert bound["f1_score"](TRUE, PREDICTED) == pytest.approx((1 / 2 + 4 / 5) / 3)
    right = np.where(TRUE == 1, PREDICTED, 1 - PREDICTED)
    assert bound["log_loss"](TRUE, PREDICTED) == pytest.approx(-sum(map(math.log, right.ravel())) / 12)
    # Label 0: 0.9 and 0.2 against 0.1 and 0.6; label 1: 0.4 against 0.2, 0.3, 0.1; label 2: 0.2 below all.
    assert bound["auc"](TRUE, PREDICTED) == pytest.approx((3 / 4 + 1 + 1) / 3)


def test_two_independent_labels_are_averaged_and_not_treated_as_two_classes():
    two = Outputs("labels", 2)
    recall = metrics.find_metrics("recall", two)["recall"]
    assert recall([[1, 1]], np.array([[0.9, 0.1]])) == 0.5


def test_independent_labels_without_outputs_are_refused():
    for metric in (
        metrics.accuracy,
        metrics.precision,
        metrics.log_loss,
        metrics.confusion_matrix,
        metrics.roc_auc,
    ):
        with pytest.raises(
            ArgumentError, match=r'sum to 1, received a row that sums to .*Outputs\("labels", 3\)'
        ):
            metric(TRUE, PREDICTED)
    with pytest.raises(ArgumentError, match="independent labels"):
        metrics.confusion_matrix(TRUE, PREDICTED, LABELS)


# ------------------------------------------------------------------------------------ logits, zeros, nan
def test_metrics_of_logits_equal_metrics_of_probabilities(rng):
    z, many, y, k = (
        rng.normal(size=(40, 1)),
        rng.normal(size=(40, 3)),
        rng.integers(0, 2, 40),
        rng.integers(0, 3, 40),
    )
    for logits, target, kind, p in (
        (z, y, "probability", sigmoid(z)),
        (many, k, "distribution", softmax(many)),
    ):
        names = ["accuracy", "log_loss", "auc", "f1_score", "mse"]
        on_logits = metrics.find_metrics(names, Outputs(kind, logits.shape[1], logits=True))
        on_p = metrics.find_metrics(names, Outputs(kind, logits.shape[1]))
        for name in names:
            assert on_logits[name](target, logits) == pytest.approx(float(on_p[name](target, p)))
        np.testing.assert_array_equal(
            metrics.probabilities(logits, Outputs(kind, logits.shape[1], logits=True)),
            metrics.probabilities(p),
        )


def test_a_class_that_is_never_predicted_or_never_true_has_value_0():
    target, prediction = [0, 0, 1], np.array([[0.1], [0.2], [0.3]])
    assert metrics.precision(target, prediction).tolist() == pytest.approx([2 / 3, 0])
    assert metrics.recall([0, 0, 0], prediction).tolist() == [1, 0]
    assert metrics.f1_score([0, 0, 0], prediction).tolist() == [1, 0]
    for name in ("precision", "recall", "f1_score"):
        assert metrics.find_metrics(name)[name](target, prediction) == 0


def test_a_class_without_an_area_is_left_out_of_the_mean():
    prediction = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1]])
    assert metrics.roc_auc([0, 1, 0], prediction) == 1  # classes 0 and 1; class 2 does not occur
    assert math.isnan(metrics.roc_auc([0, 0, 0], prediction))
    assert math.isnan(metrics.roc_auc([0, 1, 1], np.array([[0.1], [np.nan], [0.7]])))


def test_top_5_accuracy_counts_true_classes_among_the_five_most_probable():
    p = softmax(np.arange(8.0)[None].repeat(8, 0))  # class 7 is most probable, then 6, ...
    assert metrics.top_5_accuracy(np.arange(8), p) == 5 / 8
    assert (
        metrics.find_metrics("top_5_accuracy", Outputs("distribution", 8, True))["top_5_accuracy"]([3], p[:1])
        == 1
    )
    with pytest.raises(ArgumentError, match="a softmax over classes"):
        metrics.top_5_accuracy([0], np.array([[0.3]]))


def test_errors_of_numbers_agree_with_results_by_hand():
    outputs = Outputs("numbers", 2)
    found = metrics.find_metrics(["mse", "mean_absolute_error", "MAE", "MeanSquaredError"], outputs)
    assert list(found) == ["mse", "mean_absolute_error", "mae", "mean_squared_error"]
    values = [metric([[1, 2], [3, 4]], np.array([[1.0, 0.0], [3.0, 5.0]])) for metric in found.values()]
    assert values == [1.25, 0.75, 0.75, 1.25] and all(type(value) is float for value in values)
    assert metrics.mean_squared_error([1, 0], np.array([[0.5], [0.5]])) == 0.25
    with pytest.raises(ShapeError):
        metrics.mean_absolute_error([1, 2, 3], np.zeros((2, 1)))


# ------------------------------------------------------------------------------------ direct use
@pytest.mark.parametrize(
    "labels", [["cat", "dog"], ["0", "1"], [None, 1], [0, np.nan], np.ma.array([0, 1], mask=[1, 0])]
)
@pytest.mark.parametrize("metric", [metrics.accuracy, metrics.log_loss, metrics.roc_auc, metrics.f1_score])
def test_labels_that_are_not_numbers_are_refused(metric, labels):
    with pytest.raises(ArgumentError, match="targets: expected"):
        metric(labels, np.array([[0.1], [0.9]]))


@pytest.mark.parametrize(
    "metric", [metrics.accuracy, metrics.log_loss, metrics.roc_auc, metrics.predicted_classes]
)
@pytest.mark.parametrize(
    ("prediction", "message"),
    [
        ([[-3.0], [2.0]], r"probabilities in \[0, 1\], received -3"),
        ([[0.0], [2.0]], r"probabilities in \[0, 1\], received 2"),
        ([0, 2], "received 2"),
        ([["a"], ["b"]], "predictions: expected numbers"),
        (np.zeros((2, 2, 2)), "shape"),
        (0.5, "shape"),
    ],
)
def test_predictions_that_are_not_probabilities_are_refused(metric, prediction, message):
    arguments = (prediction,) if metric is metrics.predicted_classes else ([0, 1], prediction)
    with pytest.raises((ArgumentError, ShapeError), match=message):
        metric(*arguments)


def test_one_column_may_be_given_as_a_vector():
    assert metrics.accuracy([0, 1, 1], [0.2, 0.9, 0.1]) == 2 / 3


# ------------------------------------------------------------------------------------ a proportion as text
def test_a_proportion_is_formatted_as_a_number_in_a_file_name():
    logs = {"val_accuracy": metrics.Proportion(29, 64)}
    assert "{val_accuracy}".format(**logs) == "0.4531" and "{val_accuracy:.2f}".format(**logs) == "0.45"
    assert float("{val_accuracy!r}".format(**logs)) == 29 / 64 == json.loads(json.dumps(logs))["val_accuracy"]
    assert str(logs["val_accuracy"]) == "0.4531 ± 0.0622"
    assert copy.deepcopy(logs["val_accuracy"]).count == 64


@pytest.mark.parametrize("encoding", ["ascii", "cp866", "cp874", "koi8-r", "iso8859-2"])
def test_a_terminal_without_the_plus_minus_sign_gets_ascii(encoding, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    assert metrics.text(metrics.Proportion(29, 64), stream) == "0.4531 +- 0.0622"
    monkeypatch.setattr("sys.stdout", stream)
    print(metrics.text(metrics.Proportion(29, 64)), metrics.text(np.float32(0.5)), flush=True)
    assert stream.buffer.getvalue().strip() == b"0.4531 +- 0.0622 0.5000"
    monkeypatch.setattr("sys.stdout", None)
    assert "±" in metrics.text(metrics.Proportion(29, 64))


# ------------------------------------------------------------------------------------ compile's metrics
def dice(target, prediction):
    return np.mean(target == (prediction > 0.5))


class MeanError:
    def __call__(self, target, prediction):
        return abs(target - prediction).mean()


def test_none_gives_no_metrics_and_a_single_metric_needs_no_list():
    assert metrics.find_metrics(None) == {} == metrics.find_metrics(())
    for one, name in (
        ("accuracy", "accuracy"),
        (dice, "dice"),
        ("Acc", "acc"),
        ("AUC", "auc"),
        ("F1Score", "f1_score"),
    ):
        assert list(metrics.find_metrics(one)) == [name] == list(metrics.find_metrics([one]))


def test_a_metric_without_a_name_is_named_after_its_class_or_refused():
    partial = functools.partial(lambda target, prediction, k: k, k=1)
    for metric in (lambda target, prediction: 1.0, partial):
        with pytest.raises(ArgumentError, match="a function with a name"):
            metrics.find_metrics([metric])
    partial.__name__ = "one"
    found = metrics.find_metrics([partial, functools.partial(dice), MeanError()])
    assert list(found) == ["one", "dice", "mean_error"] and found["one"]([0], [[0.5]]) == 1.0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([["accuracy"]], "not a list in a list"),
        (["accuracy", "accuracy"], "'accuracy' twice"),
        ([dice, functools.partial(dice)], "'dice' twice"),
        ([MeanError], r"Write MeanError\(\), with brackets"),
        ([None], "accuracy, auc, log_loss"),
        ({"a": dice}, "a list of names and functions"),
        (3, "a list of names and functions"),
        ([len], r"metric len: expected a function of \(target, prediction\)"),
    ],
)
def test_arguments_that_are_not_a_list_of_metrics_are_refused(wrong, message):
    with pytest.raises(ArgumentError, match=message):
        metrics.find_metrics(wrong)


@pytest.mark.parametrize("name", ["loss", "learning_rate", "val_dice", "epoch"])
def test_names_that_a_history_already_uses_are_refused(name):
    def own(target, prediction):
        return 1.0

    own.__name__ = name
    with pytest.raises(ArgumentError, match="a name other than"):
        metrics.find_metrics([own])


def test_classification_metrics_of_numbers_are_refused_in_compile():
    for name in ("accuracy", "acc", "auc", "log_loss", "precision", "recall", "f1_score", metrics.accuracy):
        with pytest.raises(ArgumentError, match="one that predicts numbers"):
            metrics.find_metrics([name], Outputs("numbers", 1))
    with pytest.raises(ArgumentError, match="a softmax over classes, received one sigmoid"):
        metrics.find_metrics("top_5_accuracy", Outputs("probability", 1))


@pytest.mark.parametrize(
    ("outputs", "target", "prediction", "wanted"),
    [
        (Outputs("probability", 1), [0, 1, 1], [[0.2], [0.9], [0.1]], 2 / 3),
        (Outputs("probability", 1), [[0], [1], [1]], [[0.2], [0.9], [0.1]], 2 / 3),
        (Outputs("distribution", 3), [0, 2], [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]], 4 / 6),
        (Outputs("distribution", 3), [[1, 0, 0], [0, 0, 1]], [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]], 4 / 6),
        (LABELS, TRUE, PREDICTED, 8 / 12),
    ],
)
def test_a_users_metric_gets_targets_in_the_shape_of_the_predictions(outputs, target, prediction, wanted):
    found = metrics.find_metrics([dice], outputs)["dice"]
    assert found(target, np.array(prediction)) == pytest.approx(wanted)
    assert found(np.array(target), np.array(prediction)) == found(target, np.array(prediction))


@pytest.mark.parametrize(
    "value", [np.float32(0.5), np.array([0.5]), np.array(0.5), np.float64(0.5), [[0.5]], 0.5]
)
def test_the_value_of_a_users_metric_becomes_a_float(value):
    def own(target, prediction):
        return value

    found = metrics.find_metrics(own)["own"]([0], np.array([[0.5]]))
    assert type(found) is float and found == 0.5 and json.dumps(found)


@pytest.mark.parametrize("value", [None, "0.5", np.ones(2), [], 1j, {"a": 1}])
def test_a_users_metric_that_does_not_return_a_number_is_refused(value):
    def own(target, prediction):
        return value

    with pytest.raises(ArgumentError, match="metric own: expected one number"):
        metrics.find_metrics(own)["own"]([0], np.array([[0.5]]))


def test_bound_metrics_can_be_copied_and_bound_again():
    found = metrics.find_metrics(["accuracy", "recall", dice], Outputs("probability", 1))
    assert pickle.loads(pickle.dumps(found)) == found == copy.deepcopy(found)
    again = metrics.find_metrics(list(found.values()), Outputs("probability", 1, logits=True))
    assert list(again) == list(found) and again["dice"]([1], np.array([[0.2]])) == 1
    accuracy = found["accuracy"]([0, 1], np.array([[0.2], [0.4]]))
    assert isinstance(accuracy, metrics.Proportion) and accuracy.count == 2
