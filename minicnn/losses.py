"""Loss functions: how wrong the predictions are, as one number, and its gradient with respect to each output.

A loss is called with targets and predictions and returns (value, gradient).  `Sequential.compute_gradients` calls it.
Penalties on weights are in regularizers.py; metrics, which have no gradient, in metrics.py.  Read targets.py next.

The loss divides by the batch size N; layers never do.  With `from_logits=True` the predictions are logits, which have
not passed through Sigmoid or Softmax.  Loss and activation together are then one formula, which is simpler, and exact
where the two in sequence overflow: logit -50 with label 1 costs 50 with gradient -1, but through a clipped probability
it costs 16.1 and the gradient is 0.  `Sequential` uses this form by itself when the network ends in the matching
activation.  Formulas and names are Keras's.

To write a loss, subclass `Loss` and define the method `terms`, or write a function (target, prediction) ->
(value, gradient).  Both always receive the predictions as the network gives them, never logits in their place.
"""

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from .errors import ArgumentError, ShapeError, check_bool, check_number
from .functions import sigmoid, softmax
from .targets import as_numbers, check_shares, check_weights, class_numbers, numeric, one_hot

EPSILON = 1e-7  # before a logarithm, probabilities are clipped to [EPSILON, 1 - EPSILON]
TOLERANCE = 1e-3  # how far rounding may move a probability out of [0, 1]


@dataclass(frozen=True)
class Loss:
    """The base class of losses: checks the arrays, weights the samples and averages over the batch.

    A subclass defines `terms`, which returns the loss of each sample and its gradient.

    Parameters
    ----------
    from_logits : bool
        Whether the predictions are logits, without the final activation.

    Attributes
    ----------
    activation : "Sigmoid", "Softmax" or None
        The activation that the network ends in with this loss; it says what the predictions mean.

    Examples
    --------
    >>> class Cubed(Loss):
    ...     def terms(self, target, prediction):
    ...         difference = prediction - target
    ...         return abs(difference**3).sum(1), 3 * difference * abs(difference)
    >>> value, gradient = Cubed()([[0.0]], np.array([[2.0]]))
    >>> value, gradient
    (8.0, array([[12.]]))
    """

    from_logits: bool = False
    activation: ClassVar[str | None] = None
    name: ClassVar[str] = "loss"

    def __post_init__(self):
        object.__setattr__(self, "from_logits", check_bool(self.from_logits, f"{self.name} from_logits"))

    def __call__(
        self, target: ArrayLike, prediction: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float, np.ndarray]:
        """The loss of the batch and its gradient with respect to `prediction`.

        Parameters
        ----------
        target : array (N,), (N, 1) or (N, K)
        prediction : array (N, K)
        sample_weight : number or array (N,) or (N, 1), optional
            Weights by which the loss and the gradient of each sample are multiplied; the sum is still divided by N.

        Returns
        -------
        value : float
            The loss; NaN or infinite if a prediction is.
        gradient : array like `prediction`

        Raises
        ------
        ArgumentError
            If targets or weights are not finite numbers, or the predictions are outside the range of this loss.
        ShapeError
            If targets, predictions and weights do not fit together.
        """
        prediction = check_prediction(self.name, prediction)
        with np.errstate(all="ignore"):  # NaN and infinity reach the value, and training stops there
            target = self.prepare(target, prediction)
            each, gradient = _checked(self, self.terms(target, prediction), prediction)  # (N,), (N, K)
            N = len(prediction)
            if sample_weight is not None:
                weight = check_weights(sample_weight, N, f"{self.name} sample_weight").astype(
                    prediction.dtype
                )
                each, gradient = each * weight, gradient * weight[:, None]
            gradient = (gradient / np.asarray(N, prediction.dtype)).astype(prediction.dtype, copy=False)
            return float(each.sum(dtype=np.float64) / N), gradient

    def prepare(self, target: ArrayLike, prediction: np.ndarray) -> np.ndarray:
        """The target in the shape and type of the prediction."""
        target = as_numbers(target, f"{self.name} targets")
        if target.ndim == 1 and prediction.shape == (len(target), 1):
            target = target[:, None]
        if target.shape != prediction.shape:
            raise ShapeError(
                self.name, f"targets of shape {prediction.shape}, like the predictions",
                f"shape {target.shape}", self.explain(target, prediction),
            )  # fmt: skip
        return target.astype(prediction.dtype, copy=False)

    def explain(self, target: np.ndarray, prediction: np.ndarray) -> str:
        """The repair sentence for a target of the wrong shape."""
        return "Give one row of targets per sample, as wide as the network's output."

    def terms(self, target: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The loss of each sample (N,) and its gradient (N, K), not divided by N."""
        raise NotImplementedError

    @property
    def config(self) -> dict:
        """The constructor's arguments, by name.

        Raises
        ------
        ArgumentError
            If an argument is not stored under its name.
        """
        names = list(inspect.signature(type(self)).parameters)
        if missing := [name for name in names if not hasattr(self, name)]:
            raise ArgumentError(type(self).__name__, f"its argument {missing[0]} stored as self.{missing[0]}")
        return {name: getattr(self, name) for name in names}

    def get_config(self) -> dict:
        """`config`, under Keras's name."""
        return self.config


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """The mean over the outputs of (p - t)^2;  gradient 2 (p - t) / K.

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
class MeanAbsoluteError(Loss):
    """The mean over the outputs of |p - t|;  gradient sign(p - t) / K, which is 0 where p = t.

    Examples
    --------
    >>> value, gradient = MeanAbsoluteError()([1.0, 0.0], np.array([[0.5], [0.0]]))
    >>> value, gradient.ravel()
    (0.25, array([-0.5,  0. ]))
    """

    name: ClassVar[str] = "mean_absolute_error"

    def terms(self, target: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        difference = prediction - target
        return np.abs(difference).mean(1), np.sign(difference) / prediction.shape[1]


@dataclass(frozen=True)
class Huber(Loss):
    """With d = p - t, the mean over the outputs of d^2 / 2 where |d| <= delta, and delta |d| - delta^2 / 2 elsewhere.

    The gradient is clip(d, -delta, delta) / K, so an outlier has no more weight than an error of delta.

    Parameters
    ----------
    from_logits : bool
        Must be False.
    delta : float, above 0
        The error above which the loss grows linearly.

    Examples
    --------
    >>> value, gradient = Huber()([0.0, 0.0], np.array([[0.5], [3.0]]))
    >>> value, gradient.ravel()  # (0.125 + 2.5) / 2
    (1.3125, array([0.25, 0.5 ]))
    """

    delta: float = 1.0
    name: ClassVar[str] = "huber"

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "delta", check_number(self.delta, "huber delta", above=0))

    def terms(self, target: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        difference = prediction - target
        inner = np.clip(difference, -self.delta, self.delta)
        each = inner * (difference - inner / 2)
        return each.mean(1), inner / prediction.shape[1]


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """The mean over the outputs of -(t log p + (1 - t) log(1 - p)); for one sigmoid or several independent ones.

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
        super().__post_init__()
        _check_smoothing(self)

    def prepare(self, target: ArrayLike, prediction: np.ndarray) -> np.ndarray:
        if not self.from_logits:
            _check_probabilities(self, prediction, 1 + TOLERANCE)
        return check_shares(super().prepare(target, prediction), f"{self.name} targets")

    def explain(self, target: np.ndarray, prediction: np.ndarray) -> str:
        K = prediction.shape[1]
        if K == 1:
            return "Give one number per sample: 0 or 1."
        return f"Give one row of {K} zeros and ones per sample."

    def terms(self, target: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        K = prediction.shape[1]
        if self.label_smoothing:
            target = target * (1 - self.label_smoothing) + self.label_smoothing / 2
        if self.from_logits:
            z = prediction
            each = np.maximum(z, 0) - z * target + np.log1p(np.exp(-np.abs(z)))
            return each.sum(1) / K, (sigmoid(z) - target) / K
        p, inside = _clipped(prediction)
        each = -(target * np.log(p) + (1 - target) * np.log(1 - p))
        return each.mean(1), np.where(inside, (p - target) / (p * (1 - p)), 0) / K


@dataclass(frozen=True)
class CategoricalCrossEntropy(Loss):
    """-sum over k of t[k] log q[k], with q = p / sum(p), for one-hot targets and a softmax.

    As in Keras, rows that do not sum to 1 are divided by their sum first; the rows of a softmax sum to 1, so there
    q = p.  The gradient with respect to p[j] is (sum(t) - t[j] / q[j]) / sum(p).

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
        super().__post_init__()
        _check_smoothing(self)

    def prepare(self, target: ArrayLike, prediction: np.ndarray) -> np.ndarray:
        if not self.from_logits:
            _check_probabilities(self, prediction, np.inf)
        repair = "Give one-hot rows, or use sparse_categorical_crossentropy for class numbers."
        return check_shares(super().prepare(target, prediction), f"{self.name} targets", repair)

    def explain(self, target: np.ndarray, prediction: np.ndarray) -> str:
        if target.ndim == 1 or target.shape[1:] == (1,):
            return "For class numbers use sparse_categorical_crossentropy."
        return f"Give one row of {prediction.shape[1]} numbers per sample, one per class."

    def terms(self, target: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        K = prediction.shape[1]
        if self.label_smoothing:
            target = target * (1 - self.label_smoothing) + self.label_smoothing / K
        if self.from_logits:
            z = prediction - prediction.max(1, keepdims=True)
            log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
            return -(target * log_p).sum(1), softmax(prediction) * target.sum(1, keepdims=True) - target
        total = prediction.sum(1, keepdims=True)
        q, inside = _clipped(prediction / total)
        pull = np.where(inside, target, 0)
        return -(target * np.log(q)).sum(1), (pull.sum(1, keepdims=True) - pull / q) / total


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

    def prepare(self, target: ArrayLike, prediction: np.ndarray) -> np.ndarray:
        target, (N, K) = as_numbers(target, f"{self.name} targets"), prediction.shape
        if target.shape not in ((N,), (N, 1)):
            one_row_each = target.ndim == 2 and target.shape[1] == K
            raise ShapeError(
                self.name, f"{N} class numbers from 0 to {K - 1}", f"shape {target.shape}",
                "For one-hot targets use categorical_crossentropy." if one_row_each
                else "Give one class number per sample.",
            )  # fmt: skip
        rows = one_hot(class_numbers(target, K, self.name), K, prediction.dtype)
        return super().prepare(rows, prediction)


@dataclass(frozen=True)
class CrossEntropy(CategoricalCrossEntropy):
    """`CategoricalCrossEntropy` for both class numbers and one-hot rows; the default after a Softmax.

    Examples
    --------
    >>> p = np.array([[0.25, 0.75]])
    >>> CrossEntropy()([1], p)[0] == CrossEntropy()([[0, 1]], p)[0]
    True
    """

    name: ClassVar[str] = "crossentropy"

    def prepare(self, target: ArrayLike, prediction: np.ndarray) -> np.ndarray:
        target, (N, K) = as_numbers(target, f"{self.name} targets"), prediction.shape
        if K > 1 and target.shape in ((N,), (N, 1)):
            target = one_hot(class_numbers(target, K, self.name), K, prediction.dtype)
        return super().prepare(target, prediction)


@dataclass(frozen=True)
class FunctionLoss(Loss):
    """A loss from a user's function (target, prediction) -> (value, gradient); made by `find_loss`.

    The function receives the targets in the shape of the predictions, and must average over the batch itself.

    Examples
    --------
    >>> def cubed(target, prediction):
    ...     difference = prediction - target
    ...     return abs(difference**3).mean(), 3 * difference * abs(difference) / difference.size
    >>> find_loss(cubed)([[0.0]], np.array([[2.0]]))
    (8.0, array([[12.]]))
    """

    function: Any = None

    def __call__(
        self, target: ArrayLike, prediction: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float, np.ndarray]:
        where = getattr(self.function, "__name__", type(self.function).__name__)
        if sample_weight is not None:
            raise ArgumentError(
                f"loss {where}", "no weights, because a function cannot weight samples", "sample or class weights",
                "Subclass minicnn.losses.Loss and write its method terms.",
            )  # fmt: skip
        prediction = check_prediction(f"loss {where}", prediction)
        result = self.function(self.prepare(target, prediction), prediction)
        if not isinstance(result, tuple) or len(result) != 2 or np.ndim(result[0]):
            raise ArgumentError(f"loss {where}", "a pair (value, gradient)", type(result).__name__)
        gradient = numeric(result[1], f"loss {where} gradient")
        if gradient.shape != prediction.shape:
            raise ShapeError(
                f"loss {where}", f"a gradient of shape {prediction.shape}", f"shape {gradient.shape}"
            )
        return float(numeric(result[0], f"loss {where} value")), gradient.astype(prediction.dtype, copy=False)


BinaryCrossentropy = BinaryCrossEntropy  # Keras's spelling
CategoricalCrossentropy = CategoricalCrossEntropy
SparseCategoricalCrossentropy = SparseCategoricalCrossEntropy

OWN = (
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    CrossEntropy,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossEntropy,
)
BY_NAME = {loss.name: loss for loss in OWN}
SHORT = {"mse": MeanSquaredError, "mae": MeanAbsoluteError, "bce": BinaryCrossEntropy}


def find_loss(loss: Any, custom: Mapping[str, Any] | None = None) -> Loss:
    """The loss for a name, a Loss, a user's function, or a dictionary from `describe_loss`.

    Names are Keras's, in any of its spellings: "binary_crossentropy", "BinaryCrossentropy", "mse".

    Parameters
    ----------
    loss : str, Loss, function of (target, prediction) that returns (value, gradient), or dict
    custom : dict from name to class or function, optional
        The user's own losses; they take precedence over the library's.

    Raises
    ------
    ArgumentError
        If `loss` is none of these.

    Examples
    --------
    >>> find_loss("mse")
    MeanSquaredError(from_logits=False)
    >>> find_loss("SparseCategoricalCrossentropy").name
    'sparse_categorical_crossentropy'
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, dict) and loss.keys() == {"class", "config"}:
        return _from_description(loss["class"], loss["config"], custom or {})
    repair = "Choose one."
    if isinstance(loss, str):
        if custom and loss in custom:
            return _from_description(loss, {}, custom)
        known = {_simplified(name): found for name, found in (BY_NAME | SHORT).items()}
        if _simplified(loss) in known:
            return known[_simplified(loss)]()
        if close := get_close_matches(_simplified(loss), known, 1):
            repair = f'Did you mean "{known[close[0]].name}"?'
    elif inspect.isclass(loss):
        repair = f"Write {loss.__name__}(), with brackets."
    elif callable(loss):
        check_arguments(loss, "loss")
        return FunctionLoss(function=loss)
    names = ", ".join([*BY_NAME, *SHORT])
    raise ArgumentError("loss", f"one of {names}, a Loss or a function", repr(loss), repair)


def describe_loss(loss: Loss) -> dict:
    """The loss as a dictionary for a model file: {"class": its name, "config": its arguments}.

    Raises
    ------
    ArgumentError
        If the loss has no name, or has arguments that JSON cannot represent.

    Examples
    --------
    >>> describe_loss(BinaryCrossEntropy(label_smoothing=0.1))
    {'class': 'BinaryCrossEntropy', 'config': {'from_logits': False, 'label_smoothing': 0.1}}
    """
    if isinstance(loss, FunctionLoss):
        name, config = getattr(loss.function, "__name__", "<lambda>"), {}
    else:
        name, config = type(loss).__name__, loss.config
    try:
        json.dumps(config)
    except (TypeError, ValueError):
        raise ArgumentError(f"loss {name}", "arguments that JSON can represent", repr(config)) from None
    if name == "<lambda>":
        repair = "Define it with def."
        raise ArgumentError("loss", "a function with a name", repr(getattr(loss, "function", loss)), repair)
    return {"class": name, "config": config}


def _from_description(name, config, custom):
    """The loss that `describe_loss` described."""
    found = custom.get(name) or {own.__name__: own for own in OWN}.get(name)
    if found is None or not isinstance(config, dict):
        repair = f'Pass custom_objects={{"{name}": {name}}}.'
        raise ArgumentError("loss", "a loss of minicnn or of custom_objects", repr(name), repair)
    if inspect.isclass(found):
        try:
            found = found(**config)
        except TypeError as error:
            raise ArgumentError(
                f"loss {name}", "arguments of its constructor", f"{config} ({error})"
            ) from None
    return find_loss(found)


def takes_logits(loss: Loss) -> bool:
    """Whether `with_logits(loss)` can replace the loss and the activation before it.

    True only for the library's own cross-entropies: the `terms` of a user's subclass expects probabilities.

    Examples
    --------
    >>> takes_logits(BinaryCrossEntropy()), takes_logits(MeanSquaredError())
    (True, False)
    """
    return type(loss) in OWN and loss.activation is not None and not loss.from_logits


@functools.lru_cache(maxsize=16)  # called in every training step
def with_logits(loss: Loss) -> Loss:
    """The same loss for logits: predictions without their final activation."""
    return replace(loss, from_logits=True)


def check_arguments(function: Callable, where: str) -> None:
    """Raise ArgumentError for a function that cannot be called with (target, prediction).

    Raises
    ------
    ArgumentError
    """
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):  # some compiled functions have no signature
        return
    try:
        signature.bind(None, None)
    except TypeError:
        name = getattr(function, "__name__", type(function).__name__)
        raise ArgumentError(where, "a function of (target, prediction)", f"{name}{signature}") from None


def check_prediction(where: str, prediction: ArrayLike) -> np.ndarray:
    """The predictions as a floating-point array (N, K), with N of at least 1.

    Raises
    ------
    ArgumentError, ShapeError
    """
    prediction = numeric(prediction, f"{where} predictions")
    if prediction.ndim != 2 or not prediction.size:
        found = f"shape {prediction.shape}"
        raise ShapeError(where, "predictions (N, K)", found, "End the network in Flatten() and Dense.")
    return prediction if prediction.dtype.kind == "f" else prediction.astype(np.float64)


def _checked(loss, terms, prediction):
    """The result of `terms`, if it is one loss per sample and one gradient per output."""
    if not isinstance(terms, tuple) or len(terms) != 2:
        raise _wrong_terms(loss, prediction, type(terms).__name__)
    each, gradient = map(np.asarray, terms)
    if each.shape != prediction.shape[:1] or gradient.shape != prediction.shape:
        raise _wrong_terms(loss, prediction, f"shapes {each.shape} and {gradient.shape}")
    return each, gradient


def _wrong_terms(loss, prediction, found):
    wanted = f"a pair of shapes {prediction.shape[:1]} and {prediction.shape}"
    repair = "Return the loss of each sample and its gradient."
    return ShapeError(f"{type(loss).__name__}.terms", wanted, found, repair)


def _clipped(p):
    """The probabilities clipped to [epsilon, 1 - epsilon], and a mask of those that were inside before."""
    inside = (p > EPSILON) & (p < 1 - EPSILON) | np.isnan(p)
    return np.clip(p, EPSILON, 1 - EPSILON), inside


def _check_probabilities(loss, prediction, most):
    """Refuse logits in place of probabilities: clipped, they would have gradient 0, and training would stall."""
    wrong = (prediction < -TOLERANCE) | (prediction > most)
    if wrong.any() and np.isfinite(prediction).all():
        end = loss.activation
        raise ArgumentError(
            loss.name, f"probabilities, as {end} gives them", f"{prediction[wrong][0]:g}",
            f"End the network in {end}(), or use from_logits=True.",
        )  # fmt: skip


def _check_smoothing(loss):
    smoothing = check_number(loss.label_smoothing, f"{loss.name} label_smoothing", 0, below=1)
    object.__setattr__(loss, "label_smoothing", smoothing)


def _simplified(name):
    """The name in lower case without separators, so that all spellings match."""
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")
