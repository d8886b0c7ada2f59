"""Temperature scaling: makes the confidences of a network match its accuracy, with images not used for training.

    p = sigmoid(z / T)   or   p = softmax(z / T)

Many networks are over-confident, or under-confident after label smoothing; T above 1 lowers every confidence, T below 1
raises it.  The class predicted for one view stays the same.  `calibrate` divides the weights and the bias of the last
layer by T, so every later prediction is calibrated.  Call it after training, as benchmarks/release_model.py does.  To
measure the calibration of a model, use `metrics.expected_calibration_error`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import fusion
from ..errors import ArgumentError, NonFiniteError, ShapeError
from ..layers import Conv2D, Dense, Sigmoid, Softmax
from ..layers.base import Layer
from ..targets import class_numbers
from ..training.inputs import as_input
from .tta import mirrored

RANGE = 0.05, 20.0  # smallest and largest temperature
BATCH = 32  # images per forward pass
GOLDEN = (5**0.5 - 1) / 2  # golden section: each iteration of the search keeps this fraction of the interval


def calibrate(model: Any, views: np.ndarray | Sequence[ArrayLike], y: ArrayLike) -> float:
    """Fit the temperature with the smallest log-loss, and divide the last weights of the model by it.

    T = argmin of the sum over n, k of -t[n, k] log p[n, k],   p the mean over the views of sigmoid or softmax(z / T)

    The target t of the true class is (m + 1) / (m + 2), where m is the number of samples of that class; the other
    classes share the rest.  So a few images that are all classified correctly do not make the network certain.

    Parameters
    ----------
    model : Sequential, built
        Model that ends in Dense or Conv2D, and Sigmoid or Softmax.
    views : array (N, H, W, C), or a sequence of such arrays
        The images.  For one array, with test-time augmentation (`model.tta`), their mirror images are a second view.  A
        sequence gives the views themselves: arrays of the same images, over which predictions will be averaged.
    y : array of int (N,)
        The true classes.

    Returns
    -------
    float
        T, from 0.05 to 20; a value of 1 leaves the model unchanged.

    Raises
    ------
    ArgumentError
        If the model does not end in Dense or Conv2D and either a Sigmoid with one output or a Softmax.
    ShapeError
        If the views and the classes do not fit together.
    NonFiniteError
        If an output is NaN or infinite.

    Notes
    -----
    With one view, the log-loss has a single minimum in T, because it is convex in 1 / T.  The cost is one forward pass
    per view, and about sixty evaluations of the loss on the logits.

    References
    ----------
    Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2.
    Platt 1999, "Probabilistic Outputs for Support Vector Machines", section 2.2, for the targets.

    Examples
    --------
    >>> import minicnn as mc
    >>> model = mc.Sequential([mc.Dense(1, "sigmoid", use_bias=False)]).build((1,))
    >>> model.set_weights([[[8.0]]])  # the confidence is 0.9997, the accuracy three in four
    >>> T = calibrate(model, [np.ones((400, 1))], [1, 1, 1, 0] * 100)
    >>> float(model(np.ones((1, 1)))[0, 0].round(2))
    0.75
    """
    model._need_weights("calibrate")
    last_weighted(model)
    y = class_numbers(y, max(2, model.output_shape[-1]), "calibrate y")
    if isinstance(views, np.ndarray):
        views = [views, mirrored(views)] if model.tta else [views]
    arrays = [np.asarray(view) for view in views]
    if not arrays or not len(y) or any(array.shape[:1] != y.shape for array in arrays):
        shapes = ", ".join(str(array.shape) for array in arrays) or "none"
        raise ShapeError(
            "calibrate",
            "views of the same images, and one class per image",
            f"{len(y)} classes, views {shapes}",
        )
    logits = [_logits(model, array) for array in arrays]
    if not np.isfinite(logits).all():
        raise NonFiniteError(
            "calibrate", "finite outputs", "NaN or infinity", "Check the images for NaN and infinity."
        )
    T = fit_temperature(logits, y)
    divide_logits(model, T)
    return T


def divide_logits(model: Any, T: float) -> None:
    """Divide the weights and the bias of the last layer by T, and multiply ``model.temperature`` by T."""
    for parameter in last_weighted(model).parameters:
        parameter.value = parameter.value / T
    model.temperature *= T


def fit_temperature(logits: Sequence[np.ndarray], y: np.ndarray) -> float:
    """The temperature for logits (N, K) of each view and true classes (N,), by golden-section search over log T.

    Examples
    --------
    >>> z, y = np.full((3000, 1), 2.0), np.arange(3000) % 3 > 0  # p = 2 / 3 where z = log 2
    >>> round(fit_temperature([z], y.astype(int)), 2)  # 2 / log 2 = 2.89
    2.89
    """
    t = _targets(y, max(2, logits[0].shape[1]))
    low, high = np.log(RANGE)
    while high - low > 1e-5:
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        if _loss(logits, t, np.exp(left)) < _loss(logits, t, np.exp(right)):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def last_weighted(model: Any) -> Layer:
    """The layer that computes the logits: the last layer before the Sigmoid or Softmax.

    Raises
    ------
    ArgumentError
        If that layer is not Dense or Conv2D, or the network does not end in one Sigmoid or a Softmax.
    """
    layers = [layer for layer in model.layers if type(layer) not in (Sigmoid, Softmax)]
    last: Any = layers[-1] if layers else None
    known = type(model.output_activation) in (Sigmoid, Softmax) and type(last) in (Dense, Conv2D)
    if not known or (type(model.output_activation) is Sigmoid and model.output_shape != (1,)):
        raise ArgumentError(
            "calibrate", "a network that ends in Dense and one Sigmoid or a Softmax", repr(last),
            "Skip calibration for this network.",
        )  # fmt: skip
    return last


def _logits(model, x):
    """The logits (N, K) in float64, computed batch by batch."""
    steps = model.plan.prediction[:-1]  # all steps of the plan except the Sigmoid or Softmax
    batches = (as_input(model, x[first : first + BATCH]) for first in range(0, len(x), BATCH))
    return np.concatenate([fusion.predict(steps, model._input(batch)) for batch in batches]).astype(
        np.float64
    )


def _targets(y, K):
    """The targets t (N, K): nearly 1 for the true class, and closer to 1 the more samples it has."""
    sizes = np.bincount(y, minlength=K)[y][:, None]
    t = np.broadcast_to(1 / (sizes + 2) / (K - 1), (len(y), K)).copy()
    t[np.arange(len(y)), y] = ((sizes + 1) / (sizes + 2))[:, 0]
    return t


def _loss(logits, t, T):
    """The mean of -t log p, where p is the mean over the views."""
    log_p = np.logaddexp.reduce([_log_p(z / T) for z in logits], 0) - np.log(len(logits))
    return -np.mean((t * log_p).sum(1))


def _log_p(z):
    """log p of every class (N, K): of a sigmoid for one column of logits, of a softmax for several."""
    if z.shape[1] == 1:
        z = np.hstack([np.zeros_like(z), z])
    return z - np.logaddexp.reduce(z, 1, keepdims=True)
