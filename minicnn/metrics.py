"""How good predictions are, in numbers a person can use.  Each function takes (target, prediction).

Targets are class numbers (N,), a column (N, 1), or one-hot rows (N, K); predictions are probabilities:
(N, 1) for one sigmoid, where class 1 is predicted when p > 0.5, or (N, K) for a softmax.  Metrics are
computed on all samples at once, never averaged over batches.  Called by `training.py` and the examples.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from .errors import ArgumentError, ShapeError


class Proportion(float):
    """A share of samples, together with how sure one may be of it.

    A float in every use; `standard_error` = sqrt(p (1 - p) / n) tells how far another sample of the
    same size would typically lie.

    Examples
    --------
    >>> accuracy = Proportion(640, 800)
    >>> accuracy, accuracy > 0.79, str(accuracy)
    (Proportion(640, 800), True, '0.8000 ± 0.0141')
    """

    def __new__(cls, hits: int, count: int):
        self = super().__new__(cls, hits / count if count else math.nan)
        self.hits, self.count = hits, count
        return self

    def __getnewargs__(self):
        return self.hits, self.count

    @property
    def standard_error(self) -> float:
        return math.sqrt(self * (1 - self) / self.count) if self.count else math.nan

    def __repr__(self) -> str:
        return f"Proportion({self.hits}, {self.count})"

    def __str__(self) -> str:
        return f"{float(self):.4f} ± {self.standard_error:.4f}"


def classes(prediction: np.ndarray) -> np.ndarray:
    """The predicted class numbers (N,): p > 0.5 for one column, else the largest.

    Examples
    --------
    >>> classes(np.array([[0.5], [0.6]])), classes(np.array([[0.2, 0.8]]))
    (array([0, 1]), array([1]))
    """
    if prediction.ndim == 2 and prediction.shape[1] > 1:
        return prediction.argmax(1)
    return (prediction.reshape(len(prediction)) > 0.5).astype(np.int64)


def probabilities(prediction: ArrayLike) -> np.ndarray:
    """Each class's probability (N, K); one sigmoid p becomes two columns, 1 - p and p.

    Examples
    --------
    >>> probabilities(np.array([[0.25]]))
    array([[0.75, 0.25]])
    """
    prediction = np.asarray(prediction).reshape(len(prediction), -1)
    return np.hstack([1 - prediction, prediction]) if prediction.shape[1] == 1 else prediction


def labels(target: ArrayLike, prediction: ArrayLike) -> np.ndarray:
    """The true class numbers (N,), whichever form the targets have; of a blended target, the larger part's.

    Raises
    ------
    ShapeError
        If there are not as many targets as predictions, or a class has no prediction.
    """
    target, prediction = np.asarray(target), np.asarray(prediction)
    if len(target) != len(prediction):
        raise ShapeError(
            "metrics", f"{len(prediction)} targets", f"{len(target)}", "Give one target for each prediction."
        )
    one_hot = target.ndim == 2 and target.shape[1] > 1
    true = target.argmax(1) if one_hot else np.rint(target.reshape(-1)).astype(np.int64)
    K = _count(prediction)
    if len(true) and not 0 <= true.min() <= true.max() < K:
        found = f"{true.min()} to {true.max()}"
        raise ShapeError("metrics", f"class numbers from 0 to {K - 1}", found, "Check the labels.")
    return true


def _count(prediction):
    """Of classes: one output tells two apart."""
    return max(2, prediction.shape[1] if prediction.ndim == 2 else 2)


def accuracy(target: ArrayLike, prediction: ArrayLike) -> Proportion:
    """The share of samples whose predicted class is the true one, with its standard error.

    Examples
    --------
    >>> str(accuracy([0, 1, 1, 1], np.array([[0.1], [0.9], [0.8], [0.2]])))
    '0.7500 ± 0.2165'
    """
    right = classes(np.asarray(prediction)) == labels(target, prediction)
    return Proportion(int(right.sum()), len(right))


def confusion_matrix(target: ArrayLike, prediction: ArrayLike) -> np.ndarray:
    """counts[i, j]: samples of true class i that were predicted as class j.

    Examples
    --------
    >>> confusion_matrix([0, 1, 1, 1], np.array([[0.1], [0.9], [0.8], [0.2]]))
    array([[1, 0],
           [1, 2]])
    """
    K = _count(prediction := np.asarray(prediction))
    counts = np.zeros((K, K), np.int64)
    np.add.at(counts, (labels(target, prediction), classes(prediction)), 1)
    return counts


def precision(target: ArrayLike, prediction: ArrayLike) -> np.ndarray:
    """Of the samples predicted as a class, the share that is of it; one value a class, NaN where none was predicted.

    Examples
    --------
    >>> precision([0, 1, 1, 1], np.array([[0.1], [0.9], [0.8], [0.2]]))
    array([0.5, 1. ])
    """
    counts = confusion_matrix(target, prediction)
    return _ratio(counts.diagonal(), counts.sum(0))


def recall(target: ArrayLike, prediction: ArrayLike) -> np.ndarray:
    """Of the samples of a class, the share that was found; one value a class, NaN where there is none.

    Examples
    --------
    >>> recall([0, 1, 1, 1], np.array([[0.1], [0.9], [0.8], [0.2]])).round(3)
    array([1.   , 0.667])
    """
    counts = confusion_matrix(target, prediction)
    return _ratio(counts.diagonal(), counts.sum(1))


def f1_score(target: ArrayLike, prediction: ArrayLike) -> np.ndarray:
    """The harmonic mean of precision and recall, 2 hits / (predicted + true); one value a class.

    Examples
    --------
    >>> f1_score([0, 1, 1, 1], np.array([[0.1], [0.9], [0.8], [0.2]])).round(3)
    array([0.667, 0.8  ])
    """
    counts = confusion_matrix(target, prediction)
    return _ratio(2 * counts.diagonal(), counts.sum(0) + counts.sum(1))


def roc_auc(target: ArrayLike, prediction: ArrayLike) -> float:
    """The probability that a random sample of a class scores above a random sample outside it.

    Ties count half.  More than two classes: the mean over classes, each against the rest.  NaN where a
    class, or all other classes, are missing.

    References
    ----------
    Hanley and McNeil 1982, "The meaning and use of the area under a ROC curve".

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], np.array([[0.1], [0.4], [0.35], [0.8]]))
    0.75
    """
    prediction = np.asarray(prediction).reshape(len(prediction), -1)
    true = labels(target, prediction)
    if prediction.shape[1] == 1:
        return _area(true == 1, prediction[:, 0])
    return float(np.mean([_area(true == k, prediction[:, k]) for k in range(prediction.shape[1])]))


def log_loss(target: ArrayLike, prediction: ArrayLike) -> float:
    """The mean of -log p(true class), with p kept 1e-7 away from 0: a confident mistake costs most.

    Examples
    --------
    >>> round(log_loss([1, 0], np.array([[0.5], [0.5]])), 6)
    0.693147
    """
    p = probabilities(np.asarray(prediction, np.float64))
    of_truth = np.take_along_axis(p, labels(target, prediction)[:, None], 1)
    return float(-np.log(np.clip(of_truth, 1e-7, 1)).mean())


def _ratio(part, whole):
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _area(positive, score):
    """The rank-sum form of the area: average ranks for ties, less the least rank sum possible."""
    n1 = np.count_nonzero(positive)
    n0 = len(positive) - n1
    if n0 == 0 or n1 == 0 or np.isnan(score).any():
        return math.nan
    _, which, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2  # the mean rank of each distinct score, from 1
    return float((rank[which][positive].sum() - n1 * (n1 + 1) / 2) / (n0 * n1))


def _one_number(metric):
    """A metric of one value a class as one number: class 1 of two, as in Keras; the mean of more."""

    def one_number(target: ArrayLike, prediction: ArrayLike) -> float:
        values = metric(target, prediction)
        return float(values[1] if len(values) == 2 else values.mean())

    return one_number


BY_NAME = {
    "accuracy": accuracy,
    "auc": roc_auc,
    "log_loss": log_loss,
    "precision": _one_number(precision),
    "recall": _one_number(recall),
    "f1_score": _one_number(f1_score),
}


def find_metrics(metrics: Sequence[str | Callable]) -> dict[str, Callable]:
    """Names or functions as a dictionary from name to function.

    Raises
    ------
    ArgumentError
        For a name that is not a metric's.

    Examples
    --------
    >>> list(find_metrics(["accuracy", log_loss]))
    ['accuracy', 'log_loss']
    """
    found = {}
    for metric in metrics:
        if not callable(metric) and metric not in BY_NAME:
            raise ArgumentError(
                "metrics",
                "one of " + ", ".join(BY_NAME) + ", or a function of (target, prediction)",
                repr(metric),
                "Choose one.",
            )
        found[metric.__name__ if callable(metric) else metric] = (
            metric if callable(metric) else BY_NAME[metric]
        )
    return found
