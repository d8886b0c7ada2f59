"""Sigmoid and softmax, written so that they cannot overflow.

Only the forward functions are here; layers/activations.py has the layers and their gradients.  losses.py and outputs.py
call these functions, too.  A result too small for its type becomes 0 without an error, even after
np.seterr(all="raise").
"""

import numpy as np


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), computed from exp(-|x|), which never overflows.

    Examples
    --------
    >>> sigmoid(np.array([-800.0, 0.0]))
    array([0. , 0.5])
    """
    with np.errstate(under="ignore"):
        return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))


def softmax(x: np.ndarray) -> np.ndarray:
    """exp(x) divided by the sum of exp(x) over the last axis, with x shifted so that the largest exponent is 0.

    Examples
    --------
    >>> softmax(np.array([1000.0, 1000.0]))
    array([0.5, 0.5])
    """
    with np.errstate(under="ignore"):
        exponential = np.exp(x - x.max(-1, keepdims=True))
        return exponential / exponential.sum(-1, keepdims=True)
