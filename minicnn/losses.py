"""How wrong a prediction is, as one number, and in which direction each output should move.

A loss is called with targets and predictions and returns (value, gradient).  The loss alone divides by
the batch size N; layers never do.  `from_logits=True` means that the predictions have not been through
Sigmoid or Softmax yet: the two together are simpler and exact where the pair in sequence overflows
(logit -50 with label 1 costs 50 with gradient -1; through a clipped probability it costs 16.1 and teaches
nothing).  `Sequential.compile` uses that form by itself when the network ends in the right activation.
Formulas are Keras's.  Called by `Sequential.compute_gradients`; nothing here knows of layers.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from .errors import ArgumentError, ShapeError
from .functions import sigmoid, softmax

EPSILON = 1e-7  # probabilities are kept this far from 0 and 1 where a logarithm is taken


@dataclass(frozen=True)
class Loss:
    """The base: check shapes, weigh samples, average.

    Subclasses write `terms`, which gives each sample's loss and its own gradient.

    Parameters
    ----------
    from_logits : bool
        Whether predictions still lack their final activation.
    """

    from_logits: bool = False
    activation: ClassVar[str | None] = None  # the layer whose logits this loss can take
    name: ClassVar[str] = "loss"

    def __call__(
        self, target: ArrayLike, prediction: np.ndarray, sample_weight: ArrayLike | None = None
    ) -> tuple[float, np.ndarray]:
        """The batch's loss and its gradient with respect to `prediction`.

        Parameters
        ----------
        target : array (N,), (N, 1) or (N, K)
        prediction : array (N, K)
        sample_weight : array (N,), optional
            Each sample's loss and gradient are multiplied by it; the sum is still divided by N.

        Returns
        -------
        value : float
        gradient : array like `prediction`

        Raises
        ------
        ShapeError
            If targets, predictions and weights do not fit together.
        """
        if prediction.ndim != 2:
            raise ShapeError(
                self.name, "predictions (N, K)", f"shape {prediction.shape}", "End in Flatten() and Dense."
            )
        target = self.prepare(np.asarray(target), prediction)
        each, gradient = self.terms(target, prediction)  # (N,), (N, K)
        if sample_weight is not None:
            weight = np.asarray(sample_weight, prediction.dtype)
            if weight.shape != each.shape:
                raise ShapeError(
                    self.name,
                    f"{len(each)} sample weights",
                    f"shape {weight.shape}",
                    "Give one weight a sample.",
                )
            each, gradient = each * weight, gradient * weight[:, None]
        N = len(prediction)
        return float(each.sum(dtype=np.float64) / N), gradient / np.asarray(N, prediction.dtype)

    def prepare(self, target: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        """The target in the prediction's shape and type."""
        if target.ndim == 1 and prediction.shape == (len(target), 1):
            target = target[:, None]
        if target.shape != prediction.shape:
            raise ShapeError(
                self.name, f"targets of shape {prediction.shape}, like the predictions", f"shape {target.shape}",
                "Check the number of classes, and whether labels are numbers or one-hot.",
            )  # fmt: skip
        return target.astype(prediction.dtype, copy=False)

    def terms(self, target: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each sample's loss (N,) and its gradient (N, K), not yet divided by N."""
        raise NotImplementedError


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """The mean over outputs of (p - t)^2;  gradient 2 (p - t) / K.

    Examples
    --------
    >>> value, gradient = MeanSquaredError()([1.0, 0.0], np.array([[0.5], [0.0]]))
    >>> value, gradient.ravel()
    (0.125, array([-0.5,  0. ]))
    """

    name: ClassVar[str] = "mean_squared_error"

    def terms(self, target: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        difference = prediction - target
        K = prediction.shape[1]
        return (difference**2).mean(1), 2 * difference / K


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """-(t log p + (1 - t) log(1 - p)), the mean over outputs; for one sigmoid, or several independent ones.

    From a logit z, where p = 1 / (1 + exp(-z)):  max(z, 0) - z t + log(1 + exp(-|z|)),  gradient p - t.

    Parameters
    ----------
    from_logits : bool
    label_smoothing : float in [0, 1)
        Targets become t (1 - s) + s / 2.

    Examples
    --------
    >>> value, gradient = BinaryCrossEntropy(from_logits=True)([1], np.array([[-50.0]]))
    >>> value, gradient.item()
    (50.0, -1.0)
    """

    label_smoothing: float = 0.0
    activation: ClassVar[str] = "Sigmoid"
    name: ClassVar[str] = "binary_crossentropy"

    def __post_init__(self):
        _check_smoothing(self)

    def prepare(self, target: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        return _check_shares(self, super().prepare(target, prediction))

    def terms(self, target: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        K = prediction.shape[1]
        target = target * (1 - self.label_smoothing) + self.label_smoothing / 2
        if self.from_logits:
            z = prediction
            each = np.maximum(z, 0) - z * target + np.log1p(np.exp(-np.abs(z)))
            return each.mean(1), (sigmoid(z) - target) / K
        p, inside = _clipped(prediction)
        each = -(target * np.log(p) + (1 - target) * np.log(1 - p))
        return each.mean(1), np.where(inside, (p - target) / (p * (1 - p)), 0) / K


@dataclass(frozen=True)
class CategoricalCrossEntropy(Loss):
    """-sum over k of t[k] log p[k], for one-hot targets and a softmax.

    Probabilities are taken as they are; Keras divides them by their sum first, which a softmax has done.

    From logits z, where p = softmax(z): the gradient is p sum(t) - t.

    Parameters
    ----------
    from_logits : bool
    label_smoothing : float in [0, 1)
        Targets become t (1 - s) + s / K.

    Examples
    --------
    >>> value, gradient = CategoricalCrossEntropy(from_logits=True)([[0, 1]], np.array([[0.0, 0.0]]))
    >>> round(value, 6), gradient
    (0.693147, array([[ 0.5, -0.5]]))
    """

    label_smoothing: float = 0.0
    activation: ClassVar[str] = "Softmax"
    name: ClassVar[str] = "categorical_crossentropy"

    def __post_init__(self):
        _check_smoothing(self)

    def prepare(self, target: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        return _check_shares(self, super().prepare(target, prediction))

    def terms(self, target: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        K = prediction.shape[1]
        target = target * (1 - self.label_smoothing) + self.label_smoothing / K
        if self.from_logits:
            z = prediction - prediction.max(1, keepdims=True)
            log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
            return -(target * log_p).sum(1), softmax(prediction) * target.sum(1, keepdims=True) - target
        p, inside = _clipped(prediction)
        return -(target * np.log(p)).sum(1), np.where(inside, -target / p, 0)


@dataclass(frozen=True)
class SparseCategoricalCrossEntropy(CategoricalCrossEntropy):
    """`CategoricalCrossEntropy` for targets that are class numbers 0 ... K-1.

    Examples
    --------
    >>> value, _ = SparseCategoricalCrossEntropy()([1], np.array([[0.25, 0.75]]))
    >>> round(value, 6)  # -log 0.75
    0.287682
    """

    name: ClassVar[str] = "sparse_categorical_crossentropy"

    def prepare(self, target: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        labels, K = target.reshape(-1), prediction.shape[1]
        whole = labels.astype(np.int64)
        if (
            len(labels) != len(prediction)
            or (whole != labels).any()
            or whole.min(initial=0) < 0
            or whole.max(initial=0) >= K
        ):
            raise ShapeError(
                self.name, f"{len(prediction)} class numbers from 0 to {K - 1}",
                f"shape {target.shape} with values {np.unique(target)[:5].tolist()}",
                "For one-hot targets use categorical_crossentropy.",
            )  # fmt: skip
        return np.eye(K, dtype=prediction.dtype)[whole]


def _clipped(p):
    """Probabilities inside [epsilon, 1 - epsilon], and where they were inside before."""
    inside = (p > EPSILON) & (p < 1 - EPSILON) | np.isnan(p)
    return np.clip(p, EPSILON, 1 - EPSILON), inside


def _check_shares(loss, target):
    """Targets, if they are in [0, 1]; beyond, the loss has no least value."""
    if (target < 0).any() or (target > 1).any():
        found = f"{target.min():g} to {target.max():g}"
        raise ArgumentError(f"{loss.name} targets", "numbers in [0, 1]", found, "Number the classes 0 and 1.")
    return target


def _check_smoothing(loss):
    if not 0 <= loss.label_smoothing < 1:
        raise ArgumentError(
            f"{loss.name} label_smoothing",
            "a number in [0, 1)",
            repr(loss.label_smoothing),
            "Give for example 0.1.",
        )


BY_NAME = {
    loss.name: loss
    for loss in (BinaryCrossEntropy, CategoricalCrossEntropy, MeanSquaredError, SparseCategoricalCrossEntropy)
}


def with_logits(loss: Loss) -> Loss:
    """The same loss, for predictions that still lack their final activation."""
    return replace(loss, from_logits=True)
