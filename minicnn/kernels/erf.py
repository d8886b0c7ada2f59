"""The error function, which NumPy does not have.  Called by GELU in layers/activations.py."""

import math

import numpy as np

from ..runtime.compiling import as_contiguous, njit


def erf(x: np.ndarray) -> np.ndarray:
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x, element by element.

    Examples
    --------
    >>> erf(np.array([0.0, 1.0])).round(6)
    array([0.      , 0.842701])
    """
    y = np.empty_like(x, order="C")
    _erf(as_contiguous(x).reshape(-1), y.reshape(-1))
    return y


@njit(cache=True, nogil=True)
def _erf(x, y):
    for i in range(x.size):
        y[i] = math.erf(x[i])
