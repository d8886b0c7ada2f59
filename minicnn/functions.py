"""The two functions that layers/activations.py, losses.py and outputs.py share, written so that they cannot overflow.

A result too small for its type is 0; that is no error here, even after np.seterr(all="raise").
"""

import numpy as np


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), from exp(-|x|), which never overflows.

    Examples
    --------
    >>> sigmoid(np.array([-800.0, 0.0]))
    array([0. , 0.5])
    """
    with np.errstate(under="ignore"):
        return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))


def softmax(x: np.ndarray) -> np.ndarray:
    """exp(x) / the sum of exp(x) over the last axis, shifted so that the largest exponent is 0.

    Examples
    --------
    >>> softmax(np.array([1000.0, 1000.0]))
    array([0.5, 0.5])
    """
    with np.errstate(under="ignore"):
        exponential = np.exp(x - x.max(-1, keepdims=True))
        return exponential / exponential.sum(-1, keepdims=True)
