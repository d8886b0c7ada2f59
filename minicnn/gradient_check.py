"""Gradient check: compares a hand-written backward pass with finite differences of the forward pass.

    numeric = (f(x + e d) - f(x - e d)) / 2e          analytic = gradient . d

Called by the tests, by benchmarks/gradients.py, and by users for layers and losses of their own.  It says whether a
gradient is right, not whether the forward pass is.  Read layers/base.py next.

All checks compute in float64, with a random upstream gradient (all ones would hide a transposed gradient).
`check_layer` and `check_loss` check small arrays element by element; `check_model` checks a whole network along random
directions.  Where the two one-sided differences disagree, the point lies on a kink (a ReLU at 0, a tie in a pool) and
has no gradient to compare with: such elements are counted and skipped.  If a kink lies within the step along a
direction, the check retries with a shorter step, then with a one-sided difference, then with a new direction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .errors import ArgumentError
from .kernels import kernel_set

STEP = 1e-6  # step length per element: rounding errors (1e-16 / 1e-6) and curvature (1e-6 squared) stay small
STEPS = (1e-6, 1e-7, 1e-8)  # step lengths along a direction of a network, which has many kinks to avoid
SETTLED = 3e-7  # if halving the step changes the slope by less than this fraction of the gradient, it crosses no kink
ATTEMPTS = 5  # number of directions to try before a direction with a kink on both sides is accepted
KINK = 1e-3  # one-sided slopes that differ by more than this fraction of the gradient are a kink


@dataclass(frozen=True)
class GradientCheck:
    """The result of one comparison.

    Attributes
    ----------
    name : str
        ``"dx"``, the name of a parameter, or ``"all parameters"``.
    error : float
        Largest difference divided by the largest gradient of the array; along a direction, the difference divided by
        the length of the gradient.
    worst : tuple of int
        Index of the largest difference; () for a direction.
    analytic, numeric : float
        The two values at that index.
    elements, kinks : int
        Number of elements, and how many of them were skipped as kinks.
    """

    name: str
    error: float
    worst: tuple
    analytic: float
    numeric: float
    elements: int
    kinks: int

    def passes(self, tolerance: float = 1e-6) -> bool:
        """Whether at least one element was compared and the error is within `tolerance`."""
        return self.kinks < self.elements and self.error <= tolerance

    def __str__(self) -> str:
        kinks = f", {self.kinks} of {self.elements} on a kink" if self.kinks else ""
        where = f" at {self.worst}" if self.worst else ""
        values = f"analytic {self.analytic:.6g}, numeric {self.numeric:.6g}{kinks}"
        return f"{self.name}: error {self.error:.1e}{where} ({values})"


def check_layer(
    layer: Any,
    input_shape: Sequence[int],
    batch: int = 2,
    seed: int = 0,
    kernels: str = "im2col",
    training: bool = True,
) -> list[GradientCheck]:
    """Check dx and the gradient of every trainable parameter of one layer, element by element.

    Parameters
    ----------
    layer : Layer
        A layer that is not built yet; it is built here, in float64.
    input_shape : tuple of int
        Shape of one sample, without the batch axis.  Keep it small: each element costs two forward passes.
    batch : int
        Number of samples.
    seed : int
        Seed of the weights, the input and the upstream gradient.
    kernels : str
        Name of the kernel set.
    training : bool
        Whether to check the backward pass of training (True) or of prediction (False).

    Returns
    -------
    list of GradientCheck

    Examples
    --------
    >>> from minicnn.layers import Dense
    >>> all(check.passes() for check in check_layer(Dense(3), (4,)))
    True
    """
    rng = np.random.default_rng(seed)
    layer.kernels = kernel_set(kernels)
    output_shape = layer.build(tuple(input_shape), rng, "float64")
    parameters = [parameter for parameter in layer.parameters if parameter.trainable]
    for parameter in parameters:
        parameter.value = rng.standard_normal(parameter.shape)  # a bias of zeros would hide errors
    if not training:
        for parameter in layer.parameters:
            if not parameter.learned:  # statistics; a variance must be above 0
                parameter.value = rng.uniform(0.5, 2, parameter.shape)
    x, dy = rng.standard_normal((batch, *input_shape)), rng.standard_normal((batch, *output_shape))
    _, cache = layer.forward(x, training)
    dx = layer.backward(dy, cache)

    def f():
        return float(np.vdot(layer.forward(x, training)[0], dy))

    pairs = [("dx", x, dx)] + [(parameter.name, parameter.value, parameter.grad) for parameter in parameters]
    return [check_array(name, f, array, gradient) for name, array, gradient in pairs]


def check_loss(
    loss: Callable, target: ArrayLike, prediction: ArrayLike, sample_weight: ArrayLike | None = None
) -> GradientCheck:
    """Check the gradient of a loss with respect to the prediction, element by element.

    Parameters
    ----------
    loss : Loss
    target, prediction, sample_weight : array
        Arguments of the loss; the prediction is converted to float64.

    Examples
    --------
    >>> from minicnn.losses import MeanSquaredError
    >>> check_loss(MeanSquaredError(), np.array([1.0, 0.0]), np.array([[0.3], [0.6]])).passes()
    True
    """
    prediction = np.array(prediction, np.float64)
    _, gradient = loss(target, prediction, sample_weight)
    return check_array(
        "dprediction", lambda: loss(target, prediction, sample_weight)[0], prediction, gradient
    )


def check_model(
    model: Any, x: np.ndarray, y: ArrayLike, directions: int = 2, seed: int = 0
) -> list[GradientCheck]:
    """Check a whole network along random directions: each trainable parameter alone, then all of them together.

    The network is unchanged afterwards, except for `.grad`.

    Parameters
    ----------
    model : Sequential, built with dtype="float64" and compiled
    x, y : array
        Inputs and targets of one batch.
    directions : int
        Number of directions per parameter.
    seed : int
        Seed of the directions.

    Returns
    -------
    list of GradientCheck

    Raises
    ------
    ArgumentError
        If the model is not float64: in float32, rounding errors are as large as the errors to be found.
    """
    if model.dtype != np.float64:
        raise ArgumentError(
            "check_model", "a model built with float64", str(model.dtype), 'Call build(..., dtype="float64").'
        )
    rng = np.random.default_rng(seed)
    parameters = [parameter for parameter in model.parameters if parameter.trainable]

    def f():
        return model.test_step(x, y, training=True)[0]

    model.compute_gradients(x, y)
    groups = [[parameter] for parameter in parameters] + [parameters]
    checks = []
    for group in groups:
        name = group[0].name if len(group) == 1 else "all parameters"
        for _ in range(directions):
            checks.append(_check_directions(name, f, group, rng))
    return checks


def check_array(name: str, f: Callable[[], float], array: np.ndarray, gradient: np.ndarray) -> GradientCheck:
    """Check the gradient of one array, element by element.

    Parameters
    ----------
    name : str
        Name of the array in the result.
    f : function without arguments
        It reads `array` and returns a float.
    array : array, float64
        Each element is changed and then restored.
    gradient : array of the same shape
        The gradient to check: supposedly df / darray.

    Examples
    --------
    >>> x = np.array([1.0, 2.0])
    >>> check_array("x", lambda: float((x**3).sum()), x, 3 * x**2).passes()
    True
    >>> print(check_array("x", lambda: float((x**3).sum()), x, 2 * x**2))
    x: error 3.3e-01 at (1,) (analytic 8, numeric 12)
    """
    numeric, jump = np.empty_like(array), np.empty_like(array)
    middle = f()
    for index in np.ndindex(array.shape):
        value = array[index]
        array[index] = value + STEP
        above = f()
        array[index] = value - STEP
        below = f()
        array[index] = value
        numeric[index] = (above - below) / (2 * STEP)
        jump[index] = abs(above - 2 * middle + below) / STEP  # difference of the two one-sided slopes
    return _compare(name, np.asarray(gradient), numeric, jump)


def _check_directions(name, f, parameters, rng):
    """Check along random directions until one of them gives a result without a kink."""
    for _ in range(ATTEMPTS):
        check = _check_direction(name, f, parameters, [rng.standard_normal(p.shape) for p in parameters])
        if not check.kinks:
            break
    return check


def _check_direction(name, f, parameters, directions):
    """Check along one direction, with shorter and shorter steps until no ReLU or pool switches within the step."""
    analytic = sum(float(np.vdot(p.grad, d)) for p, d in zip(parameters, directions, strict=True))
    # The length of the gradient is the typical slope along a random direction.
    length = sum(float(np.vdot(p.grad, p.grad)) for p in parameters) ** 0.5
    values = [p.value for p in parameters]

    def at(step):
        for p, value, d in zip(parameters, values, directions, strict=True):
            p.value = value + step * d
        return f()

    def slopes(step):
        up, down = (at(step) - middle) / step, (middle - at(-step)) / step
        return np.array([(up + down) / 2, up, down])

    middle = f()
    for step in STEPS:
        longer, shorter = slopes(step), slopes(step / 2)
        both, up, down = abs(longer - shorter) <= SETTLED * length
        smooth = abs(shorter[1] - shorter[2]) <= KINK * length
        if both and smooth:
            numeric, settled = shorter[0], True
            break
        if step == STEPS[-1]:
            # A kink that is closer than the shortest step lies on one side; the slope on the other side is valid.
            numeric, settled = shorter[1 if up else 2], up != down and not smooth
    for p, value in zip(parameters, values, strict=True):
        p.value = value
    error = abs(analytic - numeric) / max(abs(analytic), abs(numeric), length, 1e-300)
    return GradientCheck(name, error, (), analytic, float(numeric), 1, 0 if settled else 1)


def _compare(name, analytic, numeric, jump):
    scale = max(np.abs(analytic).max(initial=0), np.abs(numeric).max(initial=0))
    kink = jump > KINK * max(scale, 1e-30)
    difference = np.where(kink, 0, np.abs(analytic - numeric))
    worst = np.unravel_index(difference.argmax(), difference.shape)
    error = float(difference[worst] / scale) if scale else 0.0
    place = tuple(int(i) for i in worst)
    return GradientCheck(
        name, error, place, float(analytic[worst]), float(numeric[worst]), difference.size, int(kink.sum())
    )
