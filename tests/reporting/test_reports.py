"""Tests of reports: metrics computed by hand, as JSON and as a table."""

import json

import numpy as np
import pytest

import minicnn as mc
from minicnn.outputs import Outputs
from minicnn.reporting import reports

TARGET = np.array([0, 1, 1, 0])
PREDICTION = np.array([[0.2], [0.9], [0.4], [0.1]])


def test_the_metrics_of_a_report_computed_by_hand():
    report = json.loads(json.dumps(reports.classification_report(TARGET, PREDICTION, ["cat", "dog"])))
    assert report["confusion_matrix"] == [[2, 0], [1, 1]] and report["accuracy"] == 0.75
    assert report["accuracy_standard_error"] == pytest.approx((0.75 * 0.25 / 4) ** 0.5)
    assert report["precision"] == pytest.approx([2 / 3, 1]) and report["recall"] == [1, 0.5]
    assert report["f1"] == pytest.approx([0.8, 2 / 3]) and report["auc"] == 1
    assert report["log_loss"] == pytest.approx(-np.log([0.8, 0.9, 0.4, 0.9]).mean())


def test_logits_give_the_same_report_as_probabilities():
    logits = np.log(PREDICTION / (1 - PREDICTION))
    report = reports.classification_report(
        TARGET, logits, ["cat", "dog"], Outputs("probability", 1, logits=True)
    )
    wanted = reports.classification_report(TARGET, PREDICTION, ["cat", "dog"])
    for name in ("log_loss", "expected_calibration_error"):
        assert report.pop(name) == pytest.approx(wanted.pop(name))
    assert report == wanted


def test_a_class_that_is_never_predicted_has_precision_0():
    report = reports.classification_report(np.array([0, 0, 1]), np.full((3, 1), 0.1), ["cat", "dog"])
    assert report["precision"] == pytest.approx([2 / 3, 0]) and report["recall"] == [1, 0]
    assert "true dog           1        0       0.000    0.000" in reports.table(report)
    report = reports.classification_report(np.array([0, 0]), np.full((2, 1), 0.1), ["cat", "dog"])
    assert report["auc"] is None and "AUC undefined" in reports.table(report)


def test_a_report_of_many_classes_lists_those_with_the_lowest_recall():
    names = [f"norwegian_elkhound_{'x' * 40}_{n:03}" for n in range(100)]
    target = np.repeat(np.arange(100), 2)
    prediction = np.eye(100)[target]
    prediction[[14, 15, 30]] = np.eye(100)[[9, 9, 9]]  # both samples of class 7, and one of class 15
    lines = reports.table(reports.classification_report(target, prediction, names)).splitlines()
    assert len(lines) == 23 and max(map(len, lines)) <= 110
    assert [line.split()[1:4] for line in lines[2:5]] == [
        ["2", "0.000", "0.000"], ["2", "1.000", "0.500"], ["2", "1.000", "1.000"],
    ]  # fmt: skip
    assert lines[2].endswith("(2)") and lines[3].endswith("(1)") and lines[4].endswith("none")
    assert lines[-1] == "and 80 more classes, with a recall of at least 1.000"


def test_predictions_that_have_no_report_are_refused():
    with pytest.raises(mc.ShapeError, match="classification_report: expected 2 class names, received 3"):
        reports.classification_report(TARGET, PREDICTION, ["cat", "dog", "bird"])
    with pytest.raises(mc.ArgumentError, match="independent labels"):
        reports.classification_report(np.eye(2), np.eye(2), ["cat", "dog"], Outputs("labels", 2))
    with pytest.raises(mc.ArgumentError, match="predicts numbers"):
        reports.classification_report(TARGET, PREDICTION, ["cat", "dog"], Outputs("numbers", 1))
