"""Reports: their metrics against counting by hand, in words and as JSON."""

import json

import numpy as np
import pytest

import minicnn as mc
from minicnn.outputs import Outputs
from minicnn.reporting import reports

TARGET = np.array([0, 1, 1, 0])
PREDICTION = np.array([[0.2], [0.9], [0.4], [0.1]])


def test_the_metrics_of_a_report_worked_by_hand():
    report = json.loads(json.dumps(reports.judge(TARGET, PREDICTION, ["cat", "dog"])))
    assert report["confusion_matrix"] == [[2, 0], [1, 1]] and report["accuracy"] == 0.75
    assert report["accuracy_standard_error"] == pytest.approx((0.75 * 0.25 / 4) ** 0.5)
    assert report["precision"] == pytest.approx([2 / 3, 1]) and report["recall"] == [1, 0.5]
    assert report["f1"] == pytest.approx([0.8, 2 / 3]) and report["auc"] == 1
    assert report["log_loss"] == pytest.approx(-np.log([0.8, 0.9, 0.4, 0.9]).mean())


def test_logits_are_reported_as_their_probabilities():
    logits = np.log(PREDICTION / (1 - PREDICTION))
    report = reports.judge(TARGET, logits, ["cat", "dog"], Outputs("probability", 1, logits=True))
    wanted = reports.judge(TARGET, PREDICTION, ["cat", "dog"])
    for name in ("log_loss", "expected_calibration_error"):
        assert report.pop(name) == pytest.approx(wanted.pop(name))
    assert report == wanted


def test_a_class_that_was_never_predicted_has_zeros_in_json_and_table():
    report = reports.judge(np.array([0, 0, 1]), np.full((3, 1), 0.1), ["cat", "dog"])
    assert report["precision"] == pytest.approx([2 / 3, 0]) and report["recall"] == [1, 0]
    assert "true dog           1        0       0.000    0.000" in reports.table(report)
    report = reports.judge(np.array([0, 0]), np.full((2, 1), 0.1), ["cat", "dog"])
    assert report["auc"] is None and "AUC undefined" in reports.table(report)


def test_what_has_no_report_is_refused():
    with pytest.raises(mc.ShapeError, match="judge: expected 2 class names, received 3"):
        reports.judge(TARGET, PREDICTION, ["cat", "dog", "bird"])
    with pytest.raises(mc.ArgumentError, match="independent labels"):
        reports.judge(np.eye(2), np.eye(2), ["cat", "dog"], Outputs("labels", 2))
    with pytest.raises(mc.ArgumentError, match="predicts numbers"):
        reports.judge(TARGET, PREDICTION, ["cat", "dog"], Outputs("numbers", 1))
