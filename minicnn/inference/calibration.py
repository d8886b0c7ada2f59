"""Confidence that means something: one temperature, fitted on images that the network did not learn from.

    p = sigmoid(z / T)   or   p = softmax(z / T)

A network is often too sure of its answers, or, after label smoothing, not sure enough; T above 1 lowers every
confidence, T below 1 raises it.  The class that is predicted for one view stays the same.  `calibrate` divides
the weights and the bias of the last layer by T, so every later user of the model gets calibrated probabilities without
knowing of it.  Called by the main job after training.
How well calibrated a model is: `metrics.expected_calibration_error`.
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

RANGE = 0.05, 20.0  # temperatures that are tried
BATCH = 32  # images
GOLDEN = (5**0.5 - 1) / 2


def calibrate(model: Any, views: Sequence[ArrayLike], y: ArrayLike) -> float:
    """Fit the temperature that makes the log-loss smallest, and put it into the model's last weights.

    T = argmin of the sum over n, k of -t[n, k] log p[n, k],   p the mean over the views of sigmoid or softmax(z / T)

    The target t of the true class is (m + 1) / (m + 2), where m samples are of that class; the others share the rest.
    So a few images that are all answered rightly do not make the network certain.

    Parameters
    ----------
    model : Sequential, built
        Ends in Dense or Conv2D and Sigmoid or Softmax.
    views : sequence of arrays (N, H, W, C)
        The same images, each as it will be asked about: one array, or the images and their mirror images where the
        answer will be the mean over both.
    y : array of int (N,)
        The true classes.

    Returns
    -------
    float
        T, from 0.05 to 20; 1 leaves the model as it was.

    Raises
    ------
    ArgumentError
        If the model does not end in a weighted sum and a Sigmoid with one output or a Softmax.
    ShapeError
        If the views and the classes do not fit together.
    NonFiniteError
        If an output is NaN or infinite.

    Notes
    -----
    The log-loss has one minimum in T when there is one view: it is convex in 1 / T.  Cost: one forward pass per view,
    then some sixty evaluations of the loss on the logits.

    References
    ----------
    Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2.
    Platt 1999, "Probabilistic Outputs for Support Vector Machines", section 2.2, for the targets.

    Examples
    --------
    >>> import minicnn as mc
    >>> model = mc.Sequential([mc.Dense(1, "sigmoid", use_bias=False)]).build((1,))
    >>> model.set_weights([[[8.0]]])  # as sure as 0.9997, and wrong one time in four
    >>> T = calibrate(model, [np.ones((400, 1))], [1, 1, 1, 0] * 100)
    >>> float(model(np.ones((1, 1)))[0, 0].round(2))
    0.75
    """
    model._need_weights("calibrate")
    last_weighted(model)
    y = class_numbers(y, max(2, model.output_shape[-1]), "calibrate y")
    views = [views] if isinstance(views, np.ndarray) else [np.asarray(view) for view in views]
    if not views or not len(y) or any(view.shape[:1] != y.shape for view in views):
        raise ShapeError("calibrate", "views of the same images, and a class for each", f"{len(y)} classes")
    logits = [_logits(model, view) for view in views]
    if not np.isfinite(logits).all():
        raise NonFiniteError("calibrate", "finite outputs", "NaN or infinity", "Look for it in the images.")
    T = fit_temperature(logits, y)
    divide_logits(model, T)
    return T


def divide_logits(model: Any, T: float) -> None:
    """Divide the weights and the bias of the last layer by T, and remember it in ``model.temperature``."""
    for parameter in last_weighted(model).parameters:
        parameter.value = parameter.value / T
    model.temperature *= T


def fit_temperature(logits: Sequence[np.ndarray], y: np.ndarray) -> float:
    """T for logits (N, K) of each view and true classes (N,), by golden-section search over log T.

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
    """The layer whose outputs, but for a Sigmoid or Softmax, are the network's.

    Raises
    ------
    ArgumentError
    """
    layers = [layer for layer in model.layers if type(layer) not in (Sigmoid, Softmax)]
    last = layers[-1] if layers else None
    known = type(model.output_activation) in (Sigmoid, Softmax) and type(last) in (Dense, Conv2D)
    if not known or (type(model.output_activation) is Sigmoid and model.output_shape != (1,)):
        raise ArgumentError(
            "calibrate", "a network that ends in Dense and one Sigmoid or a Softmax", repr(last),
            "Leave calibration out.",
        )  # fmt: skip
    return last


def _logits(model, x):
    """z (N, K) in float64, a few images at a time."""
    steps = model.plan.prediction[:-1]  # all but the Sigmoid or Softmax
    batches = (as_input(model, x[first : first + BATCH]) for first in range(0, len(x), BATCH))
    return np.concatenate([fusion.predict(steps, model._input(batch)) for batch in batches]).astype(
        np.float64
    )


def _targets(y, K):
    """t (N, K): nearly 1 for the true class, the nearer the more samples there are of it."""
    sizes = np.bincount(y, minlength=K)[y][:, None]
    t = np.broadcast_to(1 / (sizes + 2) / (K - 1), (len(y), K)).copy()
    t[np.arange(len(y)), y] = ((sizes + 1) / (sizes + 2))[:, 0]
    return t


def _loss(logits, t, T):
    """The mean of -t log p, where p is the mean over the views."""
    log_p = np.logaddexp.reduce([_log_p(z / T) for z in logits], 0) - np.log(len(logits))
    return -np.mean((t * log_p).sum(1))


def _log_p(z):
    """log p of every class (N, K): of a sigmoid for one column, else of a softmax."""
    if z.shape[1] == 1:
        z = np.hstack([np.zeros_like(z), z])
    return z - np.logaddexp.reduce(z, 1, keepdims=True)
