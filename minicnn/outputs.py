"""The meaning of a network's outputs: probabilities, a distribution over classes, independent labels, or numbers.

    "probability"    one Sigmoid: the probability of class 1 of two            targets (N,) or (N, 1)
    "distribution"   a Softmax over K >= 2 classes                             targets (N,), (N, 1) or (N, K)
    "labels"         K Sigmoids: independent labels, each true or not          targets (N, K)
    "numbers"        anything else, such as prices or coordinates              targets (N, K), or (N,) if K = 1

The loss and the last activation decide, not the number of columns.  `Sequential.compile` calls `find_outputs` and
stores the result as `model.outputs`; it determines metrics, predicted classes, class weights and the checks of targets.
No metric is computed here.  Read metrics.py next.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .errors import ArgumentError, ShapeError, check_int, check_number, check_word
from .functions import sigmoid, softmax
from .losses import (
    TOLERANCE,
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    CrossEntropy,
    Loss,
    SparseCategoricalCrossEntropy,
)
from .targets import as_numbers, check_shares, class_numbers, one_hot

KINDS = "probability", "distribution", "labels", "numbers"
# Layers of the library whose output is never a probability, for any input.
UNBOUNDED = {
    "BatchNormalization", "Conv2D", "Dense", "DepthwiseConv2D", "ELU", "GELU", "LeakyReLU", "ReLU", "Rescaling",
    "Residual", "SeparableConv2D", "SiLU", "Tanh",
}  # fmt: skip


@dataclass(frozen=True)
class Outputs:
    """The meaning of a network's outputs.

    Parameters
    ----------
    kind : "probability", "distribution", "labels" or "numbers"
    count : int
        K, the number of output columns.
    logits : bool
        Whether the outputs are logits: the network has no final Sigmoid or Softmax, and the loss is `from_logits`.
    rows : bool or None
        Form of the targets that the loss takes: rows (True), class numbers (False) or either (None).

    Examples
    --------
    >>> outputs = Outputs("distribution", 3)
    >>> outputs.targets([2, 0])
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    >>> outputs.classes(np.array([[0.2, 0.7, 0.1]]))
    array([1])
    """

    kind: str
    count: int
    logits: bool = False
    rows: bool | None = None

    def __post_init__(self):
        check_word(self.kind, "Outputs", KINDS)
        check_int(self.count, "Outputs count", 2 if self.kind == "distribution" else 1)

    @property
    def class_count(self) -> int | None:
        """The number of classes; None for numbers."""
        if self.kind == "numbers":
            return None
        return 2 if self.kind == "probability" else self.count

    # ---------------------------------------------------------------------------- predictions
    def probabilities(self, prediction: np.ndarray) -> np.ndarray:
        """The prediction, with Sigmoid or Softmax applied if it consists of logits.

        Examples
        --------
        >>> Outputs("probability", 1, logits=True).probabilities(np.array([[0.0], [800.0]])).ravel()
        array([0.5, 1. ])
        """
        if not self.logits or self.kind == "numbers":
            return prediction
        return softmax(prediction) if self.kind == "distribution" else sigmoid(prediction)

    def classes(self, prediction: np.ndarray) -> np.ndarray:
        """The predicted class numbers (N,), or 0 and 1 for independent labels (N, K).

        As in Keras, a probability above 0.5 predicts class 1; a distribution predicts the most probable class.

        Raises
        ------
        ArgumentError
            If the outputs are numbers, which have no classes.
        """
        self.need_classes("predict_classes")
        p = self.probabilities(prediction)
        if self.kind == "distribution":
            return p.argmax(1)
        guess = (p > 0.5).astype(np.int64)
        return guess[:, 0] if self.kind == "probability" else guess

    def need_classes(self, where: str) -> None:
        """Raise ArgumentError if the outputs are numbers.

        Raises
        ------
        ArgumentError
        """
        if self.kind == "numbers":
            raise ArgumentError(
                where, "a network that predicts classes", "one that predicts numbers",
                "End the network in Sigmoid with binary_crossentropy, or in Softmax with categorical_crossentropy.",
            )  # fmt: skip

    # -------------------------------------------------------------------------------- targets
    def check_targets(self, y: ArrayLike, where: str = "targets") -> np.ndarray:
        """The targets as numbers in their given form, if the loss and the metrics can use them.

        Class numbers are not expanded to one-hot rows, so all targets can be checked cheaply before training starts.

        Parameters
        ----------
        y : array (N,), (N, 1) or (N, K)
        where : str
            Name of the targets in the message.

        Raises
        ------
        ArgumentError
            If a target is a word, None or an object, is not finite, or is outside [0, 1] where that is the range.
        ShapeError
            If the targets have another shape, or a class number is out of range.
        """
        y, K = as_numbers(y, where), self.count
        if self.kind == "distribution" and self.rows is not True and y.shape[1:] in ((), (1,)) and y.ndim:
            return class_numbers(y, K, where).reshape(y.shape)
        rows_fit = self.rows is not False and y.ndim == 2 and y.shape[1] == K
        if not rows_fit and not (y.ndim == 1 and K == 1):
            raise ShapeError(where, self._targets_wanted(), f"shape {y.shape}", self._repair(y))
        if self.kind == "numbers":
            return y
        if self.kind == "probability" and (y == np.rint(y)).all():
            return class_numbers(y, 2, where).reshape(y.shape)
        return check_shares(y, where, self._repair(y))

    def targets(self, y: ArrayLike) -> np.ndarray:
        """Checked targets in the shape of the predictions (N, K); class numbers become one-hot rows.

        Raises
        ------
        ArgumentError, ShapeError
            For the same reasons as `check_targets`.

        Examples
        --------
        >>> Outputs("probability", 1).targets([True, False])
        array([[1.],
               [0.]], dtype=float32)
        """
        y = self._checked_in_any_form(y)
        if self.kind == "distribution" and y.shape[1:] in ((), (1,)):
            return one_hot(y.reshape(-1), self.count)
        y = y.reshape(len(y), self.count)
        if y.dtype.kind == "f":
            return y
        return y.astype("float64" if self.kind == "numbers" else "float32")

    def true_classes(self, y: ArrayLike) -> np.ndarray:
        """The true classes, in the form in which `classes` returns predicted ones.

        A blended target counts as the class with the larger part.

        Raises
        ------
        ArgumentError, ShapeError
        """
        self.need_classes("classes of targets")
        y = self._checked_in_any_form(y)
        if self.kind == "distribution":
            return y.reshape(-1) if y.shape[1:] in ((), (1,)) else y.argmax(1)
        true = (y > 0.5).astype(np.int64)
        return true.reshape(-1) if self.kind == "probability" else true

    def _checked_in_any_form(self, y) -> np.ndarray:
        """Checked targets as rows or as class numbers: metrics take both, even if the loss takes only one form."""
        return Outputs(self.kind, self.count).check_targets(y)

    def _targets_wanted(self):
        K = self.count
        if self.kind == "distribution":
            numbers, rows = f"class numbers (N,) from 0 to {K - 1}", f"one-hot rows (N, {K})"
            return {True: rows, False: numbers, None: f"{numbers} or {rows}"}[self.rows]
        if K == 1:
            return "one number per sample, (N,) or (N, 1)"
        return f"one row of {K} numbers per sample, (N, {K})"

    def _repair(self, y):
        """The repair sentence for targets of another shape or range."""
        if self.kind == "distribution" and self.rows is not None:
            other = "sparse_categorical_crossentropy" if self.rows else "categorical_crossentropy"
            if y.shape[1:] in ((), (1,)) or y.shape[1:] == (self.count,):
                return f"For these targets use {other}."
        if self.kind == "probability":
            return "Number the classes 0 and 1, or end the network in Softmax over more outputs."
        if self.kind == "labels":
            return "Give 1 where a label is true and 0 elsewhere. For one class per sample, end the network in Softmax."
        return "Give one row per sample, as wide as the network's output."

    # -------------------------------------------------------------------------- class weights
    def check_class_weight(
        self, class_weight: Any, class_names: Sequence[str] | None = None
    ) -> dict | str | None:
        """Class weights as a dictionary from class number to weight; "balanced" and None are returned unchanged.

        Parameters
        ----------
        class_weight : dict, array or list with one number per class, "balanced" or None
            Weight of each class.  A class that is missing in a dictionary has weight 1.
        class_names : sequence of str, optional
            Names of the classes, for the message.

        Raises
        ------
        ArgumentError
            If a class does not exist, a weight is below 0, or the outputs do not have one class per sample.

        Examples
        --------
        >>> Outputs("probability", 1).check_class_weight([1, 2.5])
        {0: 1.0, 1: 2.5}
        """
        if class_weight is None:
            return None
        if self.kind in ("numbers", "labels"):
            found = "numbers" if self.kind == "numbers" else "independent labels"
            raise ArgumentError(
                "class_weight", "outputs with one class per sample", found, "Use sample_weight."
            )
        K: Any = self.class_count  # a number, because the outputs have classes
        meaning = ", ".join(f"{k} is {name}" for k, name in enumerate(class_names or ()))
        classes = f"class numbers from 0 to {K - 1}" + (f" ({meaning})" if meaning else "")
        if isinstance(class_weight, str) and class_weight == "balanced":
            return class_weight
        if isinstance(class_weight, dict):
            unknown = [key for key in class_weight if not _is_class(key, K)]
            if unknown:
                found = ", ".join(map(repr, unknown))
                raise ArgumentError("class_weight", classes, found, "Give for example {0: 1.0, 1: 2.0}.")
            pairs: Any = class_weight.items()
        else:
            several = isinstance(class_weight, (list, tuple)) or (
                isinstance(class_weight, np.ndarray) and class_weight.ndim == 1
            )
            if not several or len(class_weight) != K:
                raise ArgumentError(
                    "class_weight", f'a dictionary, {K} numbers (one per class) or "balanced"',
                    repr(class_weight)[:80], f"The classes are {classes}.",
                )  # fmt: skip
            pairs = enumerate(class_weight)
        return {int(k): check_number(weight, f"class_weight of class {k}", 0) for k, weight in pairs}

    def class_weights(self, y: ArrayLike, class_weight: Any) -> np.ndarray:
        """The weight of each sample (N,), which is the weight of its class.

        Parameters
        ----------
        y : array
            Targets.
        class_weight : dict, array or list
            As for `check_class_weight`, but not "balanced": `balanced` computes numbers for it.

        Raises
        ------
        ArgumentError, ShapeError

        Examples
        --------
        >>> Outputs("distribution", 3).class_weights([0, 2, 1], {2: 5.0})
        array([1., 5., 1.])
        """
        checked = self.check_class_weight(class_weight)
        if not isinstance(checked, dict):
            found = repr(class_weight)
            raise ArgumentError("class_weight", "one number per class", found, "Call balanced(all labels).")
        K: Any = self.class_count
        table = np.ones(K)
        table[list(checked)] = list(checked.values())
        return table[self.true_classes(y)]

    def balanced(self, labels: ArrayLike) -> dict[int, float]:
        """Weights that give every class the same total weight: N / (K * count of the class), as in scikit-learn.

        Parameters
        ----------
        labels : array
            Targets of all samples.  A class that does not occur gets no weight.

        Examples
        --------
        >>> Outputs("probability", 1).balanced([0, 0, 0, 1])
        {0: 0.6666666666666666, 1: 2.0}
        """
        self.check_class_weight("balanced")
        K: Any = self.class_count
        counts = np.bincount(self.true_classes(labels), minlength=K)
        return {k: float(counts.sum() / (len(counts) * n)) for k, n in enumerate(counts) if n}


def find_outputs(loss: Loss | None, activation: str | None, layer: str | None, count: int) -> Outputs:
    """The meaning of the outputs, from the loss and the last layer of the network.

    Parameters
    ----------
    loss : Loss or None
        Loss of the network.  None if it is not compiled; then the last activation alone decides.
    activation : str or None
        Final activation, such as "Sigmoid" or "softmax"; None if there is none or a user wrote it.
    layer : str or None
        Class name of the last layer.  None, or a name that is not the library's, means a layer that a user wrote; its
        outputs are assumed to be what the loss takes.
    count : int
        Number of output columns.

    Raises
    ------
    ArgumentError
        If the loss and the last layer contradict each other, so that training could not work.

    Examples
    --------
    >>> find_outputs(BinaryCrossEntropy(), "Sigmoid", "Dense", 3).kind
    'labels'
    >>> find_outputs(BinaryCrossEntropy(), None, "Dense", 1)
    Traceback (most recent call last):
        ...
    minicnn.errors.ArgumentError: binary_crossentropy: expected probabilities, received the output of Dense. \
End the network in Sigmoid(), or use from_logits=True.
    """
    loss, count, end = loss or Loss(), check_int(count, "outputs"), (activation or "").title()
    binary, categorical = isinstance(loss, BinaryCrossEntropy), isinstance(loss, CategoricalCrossEntropy)
    _check_ends(loss, end, count, binary, categorical)
    wanted = "Sigmoid" if binary else "Softmax" if categorical else None
    if wanted and end != wanted and not loss.from_logits and (end or layer in UNBOUNDED):
        raise ArgumentError(
            loss.name, "probabilities", f"the output of {activation or layer}",
            f"End the network in {wanted}(), or use from_logits=True.",
        )  # fmt: skip
    meaning = end if end in ("Sigmoid", "Softmax") else wanted
    if meaning is None and (loss.from_logits or layer not in UNBOUNDED):
        meaning = loss.activation  # a user's loss may say which activation it belongs to
    if meaning == "Softmax" and count > 1:
        rows: bool | None = not isinstance(loss, SparseCategoricalCrossEntropy)
        if type(loss) in (Loss, CrossEntropy) or not type(loss).__module__.startswith("minicnn."):
            rows = None  # no loss yet, a loss that takes both forms, or a user's loss, which checks its targets itself
        return Outputs("distribution", count, loss.from_logits, rows)
    if meaning == "Sigmoid":
        return Outputs("probability" if count == 1 else "labels", count, loss.from_logits)
    return Outputs("numbers", count)


def guess_outputs(prediction: np.ndarray, where: str = "metrics") -> Outputs:
    """The meaning of probabilities whose network is not known: one column is a sigmoid, more are a distribution.

    Raises
    ------
    ArgumentError
        If a probability is outside [0, 1], or a row of several does not sum to 1.
    ShapeError
        If the probabilities do not have two axes.

    Examples
    --------
    >>> guess_outputs(np.array([[0.2, 0.8]])).kind
    'distribution'
    """
    if prediction.ndim != 2 or prediction.shape[1] == 0:
        raise ShapeError(where, "predictions (N,) or (N, K)", f"shape {prediction.shape}")
    wrong = (prediction < -TOLERANCE) | (prediction > 1 + TOLERANCE)
    if wrong.any():
        raise ArgumentError(
            where, "probabilities in [0, 1]", f"{prediction[wrong][0]:g}",
            "Give the predictions after Sigmoid or Softmax, or pass outputs=model.outputs.",
        )  # fmt: skip
    if prediction.shape[1] == 1:
        return Outputs("probability", 1)
    total = prediction.sum(1, dtype=np.float64)
    if (np.abs(total - 1) > TOLERANCE).any():
        raise ArgumentError(
            where, "rows of probabilities that sum to 1", f"a row that sums to {total[np.abs(total - 1).argmax()]:g}",
            f'For independent labels pass outputs=Outputs("labels", {prediction.shape[1]}).',
        )  # fmt: skip
    return Outputs("distribution", prediction.shape[1])


def _check_ends(loss, end, count, binary, categorical):
    """Refuse a final activation that does not belong to the loss, and a distribution over one value."""
    name = loss.name
    if end == "Softmax" and count == 1:
        raise ArgumentError(
            "Softmax", "at least 2 outputs", "1, which is always 1.0",
            "Use Dense(1) and Sigmoid() for two classes, or Dense(K) with K outputs.",
        )  # fmt: skip
    if categorical and count == 1:
        raise ArgumentError(
            name, "one output per class, at least 2", "1 output",
            "Use binary_crossentropy with Dense(1) and Sigmoid(), or Dense(2) and Softmax().",
        )  # fmt: skip
    if loss.from_logits and end in ("Sigmoid", "Softmax"):
        raise ArgumentError(
            name, "logits, because of from_logits=True", f"the output of {end}",
            f"Remove {end}, or leave out from_logits.",
        )  # fmt: skip
    if binary and end == "Softmax":
        raise ArgumentError(
            name, "independent probabilities, as Sigmoid gives them", "the output of Softmax",
            "Use sparse_categorical_crossentropy for class numbers, or categorical_crossentropy for one-hot rows.",
        )  # fmt: skip
    if categorical and end == "Sigmoid":
        raise ArgumentError(
            name, "one distribution over the classes, as Softmax gives it", "the output of Sigmoid",
            "End the network in Softmax(), or use binary_crossentropy for independent labels.",
        )  # fmt: skip
    if loss.from_logits and loss.activation is None and type(loss).__module__.startswith("minicnn."):
        raise ArgumentError(
            name,
            "from_logits=False, because this loss has no logits",
            "from_logits=True",
            "Leave from_logits out.",
        )


def _is_class(key, count):
    """Whether the key is a class number: a whole number of any type, but not True or a word."""
    try:
        check_number(key, "class")
    except ArgumentError:
        return False
    return key in range(count)
