"""Optimizer updates in one pass over memory: weight, gradient and moments are read once and written once.

NumPy would allocate an array for each term, which takes most of the time with millions of weights.  The equations are
those of `reference.sgd_step` and `reference.adam_step`.  `largest` lets the optimizer check that gradients are finite.
Called by `optimizers/` through the contract.
"""

import math

import numpy as np
from numba import prange

from ...runtime.compiling import as_contiguous, njit
from .. import reference

BITS = {"f": np.uint32, "d": np.uint64}  # integers of the same size
RUN = 1 << 14  # weights that one thread updates at a time
SMALL = 1024  # weights that are updated on this thread alone: waking the others would take longer


def sgd_step(
    weight: np.ndarray, grad: np.ndarray, velocity: np.ndarray, rate: float, momentum: float, nesterov: bool
) -> None:
    """v = momentum v - rate g;  w += v, or with Nesterov w += momentum v - rate g."""
    if not (weight.flags.c_contiguous and velocity.flags.c_contiguous):
        reference.sgd_step(weight, grad, velocity, rate, momentum, nesterov)
        return
    number, kernel = weight.dtype.type, _sgd if weight.size > SMALL else _sgd_small
    kernel(*_flat(weight, grad, velocity), number(rate), number(momentum), nesterov)


def adam_step(
    weight: np.ndarray,
    grad: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    decay: float,
) -> None:
    """w -= decay w;  m += (1 - beta_1)(g - m);  v += (1 - beta_2)(g^2 - v);  w -= rate m / (sqrt(v) + epsilon)."""
    if not (weight.flags.c_contiguous and m.flags.c_contiguous and v.flags.c_contiguous):
        reference.adam_step(weight, grad, m, v, rate, beta_1, beta_2, epsilon, decay)
        return
    settings = map(weight.dtype.type, (rate, 1 - beta_1, 1 - beta_2, epsilon, decay))
    kernel = _adam if weight.size > SMALL else _adam_small
    kernel(*_flat(weight, grad, m, v), *settings)


def largest(array: np.ndarray) -> float:
    """The largest absolute value; NaN if any value is NaN, 0 for an empty array.

    Absolute values are compared by their bits, as unsigned integers, which have the same order; NaN is above
    infinity.  This comparison is vectorised; a comparison of floats that may be NaN is not.
    """
    if array.dtype.char not in BITS:
        return reference.largest(array)
    bits = as_contiguous(array).reshape(-1).view(BITS[array.dtype.char])
    result = _largest(bits) if len(bits) <= RUN else _largest_of_runs(bits)
    return float(result.max(keepdims=True).view(array.dtype)[0])


def _flat(*arrays):
    return [array.reshape(-1) for array in arrays]


@njit(cache=True, nogil=True)
def _largest(bits):
    """The largest value after clearing the sign bit, as an array of one element."""
    largest = bits.dtype.type(0)
    for i in range(len(bits)):
        value = bits.dtype.type(bits[i] << 1)
        largest = value if value > largest else largest
    result = np.empty(1, bits.dtype)
    result[0] = largest >> 1
    return result


@njit(cache=True, nogil=True, parallel=True)
def _largest_of_runs(bits):
    """`_largest` of each run; the same threads then find these values in their caches for the update."""
    result = np.empty(-(-len(bits) // RUN), bits.dtype)
    for run in prange(len(result)):
        result[run] = _largest(bits[run * RUN : (run + 1) * RUN])[0]
    return result


@njit(cache=False, inline="always")
def _sgd_weight(weight, grad, velocity, place, rate, momentum, nesterov):
    i = np.uintp(place)  # unsigned: numba checks signed indices for negative values
    v = momentum * velocity[i] - rate * grad[i]
    velocity[i] = v
    weight[i] += momentum * v - rate * grad[i] if nesterov else v


@njit(cache=True, nogil=True)
def _sgd_small(weight, grad, velocity, rate, momentum, nesterov):
    for place in range(len(weight)):
        _sgd_weight(weight, grad, velocity, place, rate, momentum, nesterov)


@njit(cache=True, nogil=True, parallel=True)
def _sgd(weight, grad, velocity, rate, momentum, nesterov):
    for run in prange(-(-len(weight) // RUN)):
        for place in range(run * RUN, min(len(weight), (run + 1) * RUN)):
            _sgd_weight(weight, grad, velocity, place, rate, momentum, nesterov)


@njit(cache=False, inline="always")
def _adam_weight(weight, grad, m, v, place, rate, beta_1, beta_2, epsilon, decay):
    """beta_1 and beta_2 are passed as 1 - beta_1 and 1 - beta_2."""
    i = np.uintp(place)
    g = grad[i]
    m_i = m[i] + beta_1 * (g - m[i])
    v_i = v[i] + beta_2 * (g * g - v[i])
    w = weight[i]
    w -= decay * w
    m[i], v[i] = m_i, v_i
    weight[i] = w - rate * m_i / (math.sqrt(v_i) + epsilon)


@njit(cache=True, nogil=True)
def _adam_small(weight, grad, m, v, rate, beta_1, beta_2, epsilon, decay):
    for place in range(len(weight)):
        _adam_weight(weight, grad, m, v, place, rate, beta_1, beta_2, epsilon, decay)


@njit(cache=True, nogil=True, parallel=True)
def _adam(weight, grad, m, v, rate, beta_1, beta_2, epsilon, decay):
    for run in prange(-(-len(weight) // RUN)):
        for place in range(run * RUN, min(len(weight), (run + 1) * RUN)):
            _adam_weight(weight, grad, m, v, place, rate, beta_1, beta_2, epsilon, decay)
