"""Is a hand-written backward pass right?  Compare it with differences of the forward pass.

    numeric = (f(x + e d) - f(x - e d)) / 2e          analytic = gradient . d

In float64, with a random upstream gradient (all ones would hide a transposed one).  Small arrays are
checked element by element (`check_layer`, `check_loss`), whole networks along random directions
(`check_model`).  Where the two one-sided differences disagree, the point sits on a kink (a ReLU at 0, a tie
in a pool) and has no gradient to compare with: such elements are counted and left out.  A kink beside the
point is avoided along a direction: by shorter steps, by the slope on its other side, by another direction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .errors import ArgumentError
from .kernels import kernel_set

STEP = 1e-6  # large against rounding (1e-16 / 1e-6), small against curvature (1e-6 squared)
STEPS = (1e-6, 1e-7, 1e-8)  # along a direction of a network, which has a million kinks to avoid
SETTLED = 3e-7  # two steps whose slopes differ by less than this share of the gradient cross no kink
ATTEMPTS = 5  # directions that are drawn until one has no kink on both sides
KINK = 1e-3  # one-sided slopes that differ by more than this share of the gradient are a kink


@dataclass(frozen=True)
class GradientCheck:
    """What one comparison found.

    Attributes
    ----------
    name : str
        ``"dx"``, a parameter's name, or a direction.
    error : float
        The largest difference, over the largest gradient of the array; along a direction, the
        difference over the length of the gradient.
    worst : tuple of int
        Where the largest difference is; () for a direction.
    analytic, numeric : float
        The two values there.
    elements, kinks : int
        How many were compared or left out as kinks.
    """

    name: str
    error: float
    worst: tuple
    analytic: float
    numeric: float
    elements: int
    kinks: int

    def passes(self, tolerance: float = 1e-6) -> bool:
        """Whether something was compared and the error is within `tolerance`."""
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
    """Check dx and every trainable parameter's gradient of one layer, element by element.

    Parameters
    ----------
    layer : Layer
        Not built yet; it is built here, in float64.
    input_shape : tuple of int
        Without the batch; small, since each element costs two forward passes.
    batch : int
    seed : int
        Draws weights, input and upstream gradient.
    kernels : str
    training : bool
        False checks the backward pass of prediction.

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
        parameter.value = rng.standard_normal(parameter.shape)  # a bias of zeros would hide mistakes
    if not training:
        for parameter in layer.parameters:
            if not parameter.learned:  # statistics, of which some must be above 0
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
    """Check a loss's gradient with respect to its prediction, element by element.

    Parameters
    ----------
    loss : Loss
    target, prediction, sample_weight : as the loss takes them; the prediction becomes float64

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
    """Check a whole network along random directions: each trainable parameter by itself, then all together.

    The network is left as it was, except for `.grad`.

    Parameters
    ----------
    model : Sequential, built with dtype="float64" and compiled
    x, y : a batch
    directions : int
        How many for each parameter.
    seed : int

    Returns
    -------
    list of GradientCheck

    Raises
    ------
    ArgumentError
        If the model is not float64: float32 cannot tell a wrong gradient from rounding.
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
    """Check one array's gradient, element by element.

    Parameters
    ----------
    name : str
    f : function of nothing that reads `array`
    array : array, float64
        Changed and put back, an element at a time.
    gradient : array of the same shape
        What is claimed to be df / darray.

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
    """Along a random direction, or the next that has no kinks in the way."""
    for _ in range(ATTEMPTS):
        check = _check_direction(name, f, parameters, [rng.standard_normal(p.shape) for p in parameters])
        if not check.kinks:
            break
    return check


def _check_direction(name, f, parameters, directions):
    """Along one direction, with shorter steps until no ReLU or pool changes its mind within the step."""
    analytic = sum(float(np.vdot(p.grad, d)) for p, d in zip(parameters, directions, strict=True))
    # The gradient's length is the typical slope along a random direction.
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
            # A kink that is nearer still lies on one side: the slope on the other is the gradient's.
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
