"""Optimiser updates in one pass over memory: weight, gradient and moments are read once and written once.

NumPy makes an array of each term; with millions of weights that is most of the time.  The equations are those of
`reference.sgd_step` and `reference.adam_step`.  `largest`
tells whether a gradient is finite.  Called by optimizers/.
"""

import math

import numpy as np
from numba import prange

from ...runtime.compiling import njit, plain
from .. import reference

BITS = {"f": np.uint32, "d": np.uint64}  # integers of the same size
RUN = 1 << 14  # weights that one thread moves at a time


def sgd_step(
    weight: np.ndarray, grad: np.ndarray, velocity: np.ndarray, rate: float, momentum: float, nesterov: bool
) -> None:
    """v = momentum v - rate g;  w += v, or with Nesterov w += momentum v - rate g."""
    if not (weight.flags.c_contiguous and velocity.flags.c_contiguous):
        reference.sgd_step(weight, grad, velocity, rate, momentum, nesterov)
        return
    number = weight.dtype.type
    _sgd(*_flat(weight, grad, velocity), number(rate), number(momentum), nesterov)


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
    _adam(*_flat(weight, grad, m, v), *settings)


def largest(array: np.ndarray) -> float:
    """The largest absolute value; NaN if any value is NaN, 0 for an empty array.

    Absolute values are compared as unsigned integers, which stand in the same order; NaN is above infinity.  A
    processor does that in vectors, which it may not with floats that may be NaN.
    """
    if array.dtype.char not in BITS:
        return reference.largest(array)
    bits = plain(array).reshape(-1).view(BITS[array.dtype.char])
    found = _largest(bits) if len(bits) <= RUN else _largest_of_runs(bits)
    return float(found.max(keepdims=True).view(array.dtype)[0])


def _flat(*arrays):
    return [array.reshape(-1) for array in arrays]


@njit(cache=True, nogil=True)
def _largest(bits):
    """The largest when the first bit of each, the sign, is cleared; in an array of one element."""
    largest = bits.dtype.type(0)
    for i in range(len(bits)):
        value = bits.dtype.type(bits[i] << 1)
        largest = value if value > largest else largest
    found = np.empty(1, bits.dtype)
    found[0] = largest >> 1
    return found


@njit(cache=True, nogil=True, parallel=True)
def _largest_of_runs(bits):
    """The same of each run, by the thread that moves these weights in a moment."""
    found = np.empty(-(-len(bits) // RUN), bits.dtype)
    for run in prange(len(found)):
        found[run] = _largest(bits[run * RUN : (run + 1) * RUN])[0]
    return found


@njit(cache=True, nogil=True, parallel=True)
def _sgd(weight, grad, velocity, rate, momentum, nesterov):
    for run in prange(-(-len(weight) // RUN)):
        for place in range(run * RUN, min(len(weight), (run + 1) * RUN)):
            i = np.uintp(place)  # unsigned, so that numba need not ask whether it counts from the end
            v = momentum * velocity[i] - rate * grad[i]
            velocity[i] = v
            weight[i] += momentum * v - rate * grad[i] if nesterov else v


@njit(cache=True, nogil=True, parallel=True)
def _adam(weight, grad, m, v, rate, beta_1, beta_2, epsilon, decay):
    """Here beta_1 and beta_2 stand for 1 minus themselves."""
    for run in prange(-(-len(weight) // RUN)):
        for place in range(run * RUN, min(len(weight), (run + 1) * RUN)):
            i = np.uintp(place)
            g = grad[i]
            m_i = m[i] + beta_1 * (g - m[i])
            v_i = v[i] + beta_2 * (g * g - v[i])
            w = weight[i]
            w -= decay * w
            m[i], v[i] = m_i, v_i
            weight[i] = w - rate * m_i / (math.sqrt(v_i) + epsilon)
