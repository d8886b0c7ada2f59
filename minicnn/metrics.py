"""Metrics: how good predictions are, as numbers that are easy to interpret, from (target, prediction).

Metrics have no gradient; losses.py has the functions to train with.  Called by training/loop.py, reporting/reports.py
and users.  All samples are evaluated at once; metrics are never averaged over batches.  Read outputs.py first.

Targets are class numbers (N,), a column (N, 1), or one row per sample (N, K).  Predictions are (N, K), as a network
gives them.  The argument `outputs`, an `Outputs`, says what the predictions mean; a compiled model passes its own to
every metric.  Without it, the meaning is guessed: one column is a sigmoid, and class 1 is predicted where p > 0.5; more
columns are a softmax, and every row must sum to 1.

To write a metric, write a function of (target, prediction) that returns one number.  `compile` makes sure that it gets
targets in the shape of the predictions, and probabilities where the network gives logits.
"""

import functools
import inspect
import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .errors import ArgumentError, ShapeError, check_int
from .losses import check_arguments
from .outputs import Outputs, guess_outputs
from .targets import as_numbers, numeric


class Proportion(float):
    """A proportion of samples, with its standard error.

    It behaves as a float.  `standard_error` = sqrt(p (1 - p) / n) says how much the proportion typically varies between
    samples of this size.  `str` shows both numbers; in an f-string or a file name, only the proportion appears.

    Examples
    --------
    >>> accuracy = Proportion(640, 800)
    >>> accuracy, accuracy > 0.79, str(accuracy), f"{accuracy}"
    (0.8, True, '0.8000 ± 0.0141', '0.8000')
    """

    hits: int
    count: int

    def __new__(cls, hits: int, count: int):
        self = super().__new__(cls, hits / count if count else math.nan)
        self.hits, self.count = hits, count
        return self

    def __getnewargs__(self):
        return self.hits, self.count

    @property
    def standard_error(self) -> float:
        return math.sqrt(self * (1 - self) / self.count) if self.count else math.nan

    def __str__(self) -> str:
        return f"{float(self):.4f} ± {self.standard_error:.4f}"

    def __format__(self, specification: str) -> str:
        return format(float(self), specification or ".4f")


def text(value: float, stream: Any = None) -> str:
    """The value of a metric as text: four decimals, and the standard error of a Proportion.

    Parameters
    ----------
    value : float or Proportion
    stream : file, optional
        The file to which the text will be printed (default: standard output).  If its encoding has no "±", the text
        has "+-" instead.

    Examples
    --------
    >>> import io
    >>> text(0.41213, io.StringIO()), text(Proportion(13, 16), io.StringIO())
    ('0.4121', '0.8125 ± 0.0976')
    >>> text(Proportion(13, 16), io.TextIOWrapper(io.BytesIO(), "ascii"))
    '0.8125 +- 0.0976'
    """
    shown = str(value) if isinstance(value, Proportion) else f"{float(value):.4f}"
    try:
        shown.encode(getattr(sys.stdout if stream is None else stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return shown.replace("±", "+-")
    return shown


def predicted_classes(prediction: ArrayLike, outputs: Outputs | None = None) -> np.ndarray:
    """The predicted class numbers (N,), or 0 and 1 for independent labels (N, K).

    One column predicts class 1 where p > 0.5; several columns predict the most probable class.

    Examples
    --------
    >>> predicted_classes(np.array([[0.5], [0.6]])), predicted_classes(np.array([[0.2, 0.8]]))
    (array([0, 1]), array([1]))
    """
    prediction, outputs = _interpreted(prediction, outputs)
    return outputs.classes(prediction)


def probabilities(prediction: ArrayLike, outputs: Outputs | None = None) -> np.ndarray:
    """The probability of each class (N, K); one sigmoid p becomes two columns, 1 - p and p.

    Examples
    --------
    >>> probabilities(np.array([[0.25]]))
    array([[0.75, 0.25]])
    """
    p, outputs = _scores(prediction, outputs)
    return np.hstack([1 - p, p]) if outputs.kind == "probability" else p


def true_classes(target: ArrayLike, prediction: ArrayLike, outputs: Outputs | None = None) -> np.ndarray:
    """The true class numbers (N,) for targets in any form; a blended target counts as the class with the larger part.

    Raises
    ------
    ArgumentError
        If the targets are not numbers.
    ShapeError
        If the numbers of targets and predictions differ, or a class number is out of range.
    """
    prediction, outputs = _interpreted(prediction, outputs)
    true = outputs.true_classes(as_numbers(target, "targets"))
    _check_lengths(true, prediction)
    return true


def accuracy(target: ArrayLike, prediction: ArrayLike, outputs: Outputs | None = None) -> Proportion:
    """The proportion of samples whose predicted class is the true class, with its standard error.

    Independent labels are counted one by one: there are N * K of them.

    Examples
    --------
    >>> str(accuracy([0, 1, 1, 1], np.array([[0.1], [0.9], [0.8], [0.2]])))
    '0.7500 ± 0.2165'
    >>> accuracy([[1, 1]], np.array([[0.9, 0.2]]), Outputs("labels", 2))
    0.5
    """
    guess, true, _ = _classes(target, prediction, outputs)
    return Proportion(int((guess == true).sum()), guess.size)


def top_5_accuracy(target: ArrayLike, prediction: ArrayLike, outputs: Outputs | None = None) -> Proportion:
    """The proportion of samples for which fewer than five classes are more probable than the true class.

    Examples
    --------
    >>> top_5_accuracy([0, 5], np.array([[0.0, 0.2, 0.2, 0.2, 0.2, 0.2], [0.9, 0, 0, 0, 0, 0.1]]))
    0.5
    """
    p, outputs = _scores(prediction, outputs)
    if outputs.kind != "distribution":
        raise ArgumentError(
            "top_5_accuracy", "a softmax over classes", _kind_in_words(outputs), 'Use "accuracy".'
        )
    of_truth = np.take_along_axis(p, true_classes(target, p, Outputs("distribution", p.shape[1]))[:, None], 1)
    return Proportion(int(((p > of_truth).sum(1) < 5).sum()), len(p))


def confusion_matrix(target: ArrayLike, prediction: ArrayLike, outputs: Outputs | None = None) -> np.ndarray:
    """counts[i, j]: the number of samples of true class i that were predicted as class j.

    Examples
    --------
    >>> confusion_matrix([0, 1, 1, 1], np.array([[0.1], [0.9], [0.8], [0.2]]))
    array([[1, 0],
           [1, 2]])
    """
    guess, true, outputs = _classes(target, prediction, outputs)
    if outputs.kind == "labels":
        raise ArgumentError(
            "confusion_matrix", "one class per sample", "independent labels", "Use precision and recall."
        )
    K: Any = outputs.class_count
    counts = np.zeros((K, K), np.int64)
    np.add.at(counts, (true, guess), 1)
    return counts


def precision(target: ArrayLike, prediction: ArrayLike, outputs: Outputs | None = None) -> np.ndarray:
    """Of the samples predicted as a class, the proportion that belong to it; one value per class or label.

    The value is 0 for a class or label that is never predicted.

    Examples
    --------
    >>> precision([0, 1, 1, 1], np.array([[0.1], [0.9], [0.8], [0.2]]))
    array([0.5, 1. ])
    """
    hits, predicted, _ = _counts(target, prediction, outputs)
    return _ratio(hits, predicted)


def recall(target: ArrayLike, prediction: ArrayLike, outputs: Outputs | None = None) -> np.ndarray:
    """Of the samples of a class, the proportion that were predicted as it; one value per class or label.

    The value is 0 for a class or label that does not occur.

    Examples
    --------
    >>> recall([0, 1, 1, 1], np.array([[0.1], [0.9], [0.8], [0.2]])).round(3)
    array([1.   , 0.667])
    """
    hits, _, true = _counts(target, prediction, outputs)
    return _ratio(hits, true)


def f1_score(target: ArrayLike, prediction: ArrayLike, outputs: Outputs | None = None) -> np.ndarray:
    """2 hits / (predicted + true), the harmonic mean of precision and recall; one value per class or label.

    The value is 0 for a class or label that is neither predicted nor true.

    Examples
    --------
    >>> f1_score([0, 1, 1, 1], np.array([[0.1], [0.9], [0.8], [0.2]])).round(3)
    array([0.667, 0.8  ])
    """
    hits, predicted, true = _counts(target, prediction, outputs)
    return _ratio(2 * hits, predicted + true)


def roc_auc(target: ArrayLike, prediction: ArrayLike, outputs: Outputs | None = None) -> float:
    """The area under the ROC curve: the probability that a random positive scores above a random negative.

    Ties count half.  For more than two classes it is the mean over the classes, each against the rest; for independent
    labels, the mean over the labels.  A class to which all samples or none belong has no area and is left out of the
    mean; if no class has an area, the result is NaN.

    References
    ----------
    Hanley and McNeil 1982, "The meaning and use of the area under a ROC curve".

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], np.array([[0.1], [0.4], [0.35], [0.8]]))
    0.75
    """
    p, meaning = _scores(prediction, outputs)
    true = true_classes(target, prediction, outputs)
    if meaning.kind == "distribution":
        areas = [_area(true == k, p[:, k]) for k in range(p.shape[1])]
    else:
        areas = [
            _area(column == 1, score) for column, score in zip(true.reshape(p.shape).T, p.T, strict=True)
        ]
    areas = [area for area in areas if area is not None]
    return float(np.mean(areas)) if areas else math.nan


def log_loss(target: ArrayLike, prediction: ArrayLike, outputs: Outputs | None = None) -> float:
    """The mean of -log p(true class), where p is at least 1e-7; confident mistakes cost most.

    For independent labels: the mean over samples and labels of -log p(true value of the label).

    Examples
    --------
    >>> round(log_loss([1, 0], np.array([[0.5], [0.5]])), 6)
    0.693147
    """
    p, meaning = _scores(prediction, outputs)
    p, true = p.astype(np.float64, copy=False), true_classes(target, prediction, outputs)
    if meaning.kind == "distribution":
        of_truth = np.take_along_axis(p, true[:, None], 1)
    else:
        of_truth = np.where(true.reshape(p.shape) == 1, p, 1 - p)
    return float(-np.log(np.clip(of_truth, 1e-7, 1)).mean()) if p.size else math.nan


def expected_calibration_error(
    target: ArrayLike, prediction: ArrayLike, outputs: Outputs | None = None, bins: int = 15
) -> float:
    """The mean over bins of |accuracy - mean confidence|, weighted by the number of samples in each bin.

    Confidence is the probability of the predicted class; the bins divide [0, 1] evenly.

    References
    ----------
    Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.

    Examples
    --------
    >>> round(expected_calibration_error([1, 1, 0, 1], np.array([[0.75], [0.75], [0.75], [0.75]])), 6)
    0.0
    """
    share, guess = probabilities(prediction, outputs), predicted_classes(prediction, outputs)
    true = true_classes(target, prediction, outputs)
    confidence, right = share[np.arange(len(share)), guess], guess == true
    bins = check_int(bins, "bins")
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(place, right - confidence.astype(np.float64), bins)
    return float(np.abs(gaps).sum() / len(share)) if len(share) else math.nan


def mean_squared_error(target: ArrayLike, prediction: ArrayLike, outputs: Outputs | None = None) -> float:
    """The mean of (p - t)^2 over all samples and outputs.

    Examples
    --------
    >>> mean_squared_error([1.0, 0.0], np.array([[0.5], [0.0]]))
    0.125
    """
    return float(np.mean(_differences(target, prediction, outputs) ** 2))


def mean_absolute_error(target: ArrayLike, prediction: ArrayLike, outputs: Outputs | None = None) -> float:
    """The mean of |p - t| over all samples and outputs.

    Examples
    --------
    >>> mean_absolute_error([1.0, 0.0], np.array([[0.5], [0.0]]))
    0.25
    """
    return float(np.mean(np.abs(_differences(target, prediction, outputs))))


def _interpreted(prediction, outputs) -> tuple[np.ndarray, Outputs]:
    """The predictions as an array (N, K), and what they mean."""
    prediction = numeric(prediction, "predictions", "Give probabilities.")
    if prediction.ndim == 1:
        prediction = prediction[:, None]
    if outputs is None:
        return prediction, guess_outputs(prediction)
    if prediction.ndim != 2 or prediction.shape[1] != outputs.count:
        raise ShapeError("metrics", f"predictions (N, {outputs.count})", f"shape {prediction.shape}")
    return prediction, outputs


def _scores(prediction, outputs) -> tuple[np.ndarray, Outputs]:
    """Probabilities (N, K), also from logits, and what the predictions mean."""
    prediction, outputs = _interpreted(prediction, outputs)
    outputs.need_classes("metrics")
    return outputs.probabilities(prediction), outputs


def _classes(target, prediction, outputs) -> tuple[np.ndarray, np.ndarray, Outputs]:
    """The predicted and the true classes, (N,) or (N, K), and what the predictions mean."""
    true = true_classes(target, prediction, outputs)
    prediction, outputs = _interpreted(prediction, outputs)
    return outputs.classes(prediction), true, outputs


def _counts(target, prediction, outputs):
    """For each class or label: the number of correct predictions, of predictions, and of true samples."""
    guess, true, outputs = _classes(target, prediction, outputs)
    if outputs.kind == "labels":
        return (guess & true).sum(0), guess.sum(0), true.sum(0)
    K: Any = outputs.class_count
    return tuple(np.bincount(some, minlength=K) for some in (true[guess == true], guess, true))


def _differences(target, prediction, outputs):
    """p - t in float64; without `outputs`, the targets must have the shape of the predictions."""
    prediction = numeric(prediction, "predictions")
    if not prediction.ndim or not prediction.size:
        raise ShapeError("metrics", "predictions (N, K)", f"shape {prediction.shape}")
    prediction = prediction.reshape(len(prediction), -1)
    outputs = outputs or Outputs("numbers", prediction.shape[1])
    target = outputs.targets(target)
    _check_lengths(target, prediction)
    return outputs.probabilities(prediction).astype(np.float64) - target


def _check_lengths(target, prediction):
    if len(target) != len(prediction):
        raise ShapeError(
            "metrics", f"{len(prediction)} targets", f"{len(target)}", "Give one target for each prediction."
        )


def _ratio(part, whole):
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _area(positive, score):
    """The area from the rank sum of the positives, less the smallest possible rank sum; ties share their mean rank."""
    n1 = np.count_nonzero(positive)
    n0 = len(positive) - n1
    if n0 == 0 or n1 == 0:
        return None
    if np.isnan(score).any():
        return math.nan
    _, which, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2  # the mean rank of each distinct score, from 1
    return float((rank[which][positive].sum() - n1 * (n1 + 1) / 2) / (n0 * n1))


# ------------------------------------------------------------------------------ metrics of a compiled model
BY_NAME = {
    "accuracy": accuracy,
    "auc": roc_auc,
    "log_loss": log_loss,
    "precision": precision,
    "recall": recall,
    "f1_score": f1_score,
    "mean_squared_error": mean_squared_error,
    "mean_absolute_error": mean_absolute_error,
    "top_5_accuracy": top_5_accuracy,
    "acc": accuracy,
    "mse": mean_squared_error,
    "mae": mean_absolute_error,
}
LIBRARY = tuple(BY_NAME.values())
RESERVED = {
    "loss",
    "learning_rate",
    "epoch",
    "batch",
}  # names that a history or a checkpoint's path already uses


@dataclass(frozen=True)
class Metric:
    """A metric of a compiled model: it has a name, knows what the outputs mean, and returns one number.

    Parameters
    ----------
    name : str
    function : callable
        A metric of this file, or a user's function of (target, prediction).
    outputs : Outputs or None
        What the predictions mean.
    average : bool
        Whether to reduce one value per class to one number: with two classes the value of class 1, as in Keras; with
        more classes, or with independent labels, the mean.

    Examples
    --------
    >>> find_metrics("accuracy")["accuracy"]([0, 1], np.array([[0.2], [0.4]]))
    0.5
    """

    name: str
    function: Callable
    outputs: Outputs | None = None
    average: bool = False

    def __call__(self, target: ArrayLike, prediction: np.ndarray) -> float:
        """The value of the metric on all samples, as a Proportion or a float.

        Raises
        ------
        ArgumentError
            If a user's function does not return one number.
        """
        if self.function in LIBRARY:
            value = self.function(target, prediction, self.outputs)
        elif self.outputs is None:
            value = self.function(target, prediction)
        else:
            value = self.function(self.outputs.targets(target), self.outputs.probabilities(prediction))
        if self.average:
            several = len(value) != 2 or (self.outputs is not None and self.outputs.kind == "labels")
            value = value.mean() if several else value[1]
        if isinstance(value, Proportion):
            return value
        if (
            not isinstance(value, (str, bytes))
            and np.asarray(value).dtype.kind in "biuf"
            and np.size(value) == 1
        ):
            return float(np.asarray(value).item())
        found = f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else repr(value)
        repair = (
            f'Write "{self.name}" in quotes.' if self.function in LIBRARY else "Return one of its values."
        )
        raise ArgumentError(f"metric {self.name}", "one number", found, repair)


def find_metrics(metrics: Any, outputs: Outputs | None = None) -> dict[str, Metric]:
    """The metrics for an argument of `compile`, as a dictionary from name to metric.

    Parameters
    ----------
    metrics : None, a name or function, or a list of them
    outputs : Outputs, optional
        What the predictions mean (default: guessed from the predictions).

    Raises
    ------
    ArgumentError
        If an entry is not a metric, has no name or a name that is taken, or cannot be computed from these outputs.

    Examples
    --------
    >>> list(find_metrics(["accuracy", log_loss])), find_metrics(None)
    (['accuracy', 'log_loss'], {})
    """
    if metrics is None:
        metrics = ()
    if isinstance(metrics, str) or callable(metrics):
        metrics = [metrics]
    if not isinstance(metrics, (list, tuple)):
        raise ArgumentError(
            "metrics", "a list of names and functions", repr(metrics), 'Give for example ["accuracy"].'
        )
    found = {}
    for metric in metrics:
        one = _find(metric, outputs)
        if one.name in found:
            repair = 'Rename one of them: my_metric.__name__ = "another_name".'
            raise ArgumentError("metrics", "a different name for each metric", f"{one.name!r} twice", repair)
        found[one.name] = one
    return found


def _find(metric, outputs):
    """The metric for one entry, bound to the meaning of the outputs."""
    name: Any
    function: Any
    if isinstance(metric, Metric):
        name, function, average = metric.name, metric.function, metric.average
    elif isinstance(metric, str):
        known = {name.replace("_", ""): name for name in BY_NAME}
        name = known.get(metric.lower().replace("_", "").replace(" ", ""))
        function = BY_NAME.get(name)
        average = function in (precision, recall, f1_score)
    else:
        name, function, average = None, metric, False
        if callable(metric) and not inspect.isclass(metric):
            name = _name_of(metric)
            check_arguments(metric, f"metric {name}")
    if name is None:
        repair = "Choose one."
        if inspect.isclass(metric):
            repair = f"Write {metric.__name__}(), with brackets."
        elif isinstance(metric, (list, tuple)):
            repair = "Write one list, not a list in a list."
        expected = "one of " + ", ".join(BY_NAME) + ", or a function of (target, prediction)"
        raise ArgumentError("metrics", expected, repr(metric), repair)
    if (
        outputs is not None
        and function in LIBRARY
        and function not in (mean_squared_error, mean_absolute_error)
    ):
        outputs.need_classes(f"metric {name}")
        if function is top_5_accuracy and outputs.kind != "distribution":
            raise ArgumentError(
                f"metric {name}", "a softmax over classes", _kind_in_words(outputs), 'Use "accuracy".'
            )
    return Metric(name, function, outputs, average)


def _name_of(metric):
    """The name of a user's metric."""
    inner = metric
    while isinstance(inner, functools.partial) and not hasattr(inner, "__name__"):
        inner = inner.func
    made = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(inner).__name__).lower()
    name = getattr(inner, "__name__", None) or getattr(inner, "name", None) or made
    if not isinstance(name, str) or name == "<lambda>":
        repair = 'Define it with def, or set its __name__: my_metric.__name__ = "my_metric".'
        raise ArgumentError("metrics", "a function with a name", repr(metric), repair)
    if name in RESERVED or name.startswith("val_"):
        names = ", ".join(sorted(RESERVED))
        raise ArgumentError(
            "metrics", f"a name other than {names} and val_...", repr(name), "Rename the metric."
        )
    return name


def _kind_in_words(outputs):
    """The meaning of the outputs, for a message."""
    return {
        "probability": "one sigmoid", "distribution": "a softmax", "labels": "independent labels", "numbers": "numbers"
    }[outputs.kind]  # fmt: skip
