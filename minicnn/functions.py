"""The two functions that layers/activations.py and losses.py share, each written so that it cannot overflow."""

import numpy as np


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), from exp(-|x|), which never overflows.

    Examples
    --------
    >>> sigmoid(np.array([-800.0, 0.0]))
    array([0. , 0.5])
    """
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def softmax(x: np.ndarray) -> np.ndarray:
    """exp(x) / the sum of exp(x) over the last axis, shifted so that the largest exponent is 0.

    Examples
    --------
    >>> softmax(np.array([1000.0, 1000.0]))
    array([0.5, 0.5])
    """
    exponential = np.exp(x - x.max(-1, keepdims=True))
    return exponential / exponential.sum(-1, keepdims=True)
