"""Mixup: each image of a batch is blended with the one before it, and so are their labels.

Training on blends of two images and their labels makes predictions less over-confident.  Called by `loader.py`.
"""

from collections.abc import Sequence

import numpy as np

from ..errors import ArgumentError


def mix(
    x: np.ndarray, y: np.ndarray, indices: Sequence[int], epoch: int, seed: int, alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """x[n] = share[n] x[n] + (1 - share[n]) x[n - 1], and y alike; share[n] is drawn from Beta(alpha, alpha).

    The first image is blended with the last.  A share depends on (seed, epoch, index) alone; the partner follows from
    the order of the epoch, which (seed, epoch) decides.

    Parameters
    ----------
    x : array (N, H, W, C), float32
        Blended in place, because a batch is large; the caller does not use it again.
    y : array (N,) of 0 and 1, or (N, K)
    indices : sequence of int (N,)
        Each image's number in the whole set.
    epoch, seed : int
    alpha : float, above 0
        If small, most images are left almost as they are.  0.2 is usual.

    Returns
    -------
    (x, y) : y is a new array, float32

    Raises
    ------
    ArgumentError
        If targets are class numbers above 1, which cannot be blended.

    References
    ----------
    Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization".

    Examples
    --------
    >>> x, y = np.zeros((2, 1, 1, 1), np.float32), np.array([0, 1])
    >>> x[1] = 1
    >>> mixed, targets = mix(x, y, [0, 1], epoch=0, seed=0, alpha=0.2)
    >>> (mixed.ravel() == targets).tolist(), (0 < targets).tolist()
    ([True, True], [True, True])
    """
    if y.ndim == 1 and not np.isin(y, (0, 1)).all():
        raise ArgumentError(
            "mixup", "labels 0 and 1, or one-hot", f"class {y.max()}", "Give the Loader classes=."
        )
    share = np.array(
        [np.random.default_rng([seed, epoch, int(index), 1]).beta(alpha, alpha) for index in indices],
        np.float32,
    )
    return _blend(x, share), _blend(y.astype(np.float32), share)


def _blend(values, share):
    """Each row with the one before it, in place: from the last to the first, so that each meets the other unblended."""
    last = values[-1:].copy()
    for n in range(len(values) - 1, -1, -1):  # one image at a time stays in the cache
        before = values[n - 1 : n] if n else last
        values[n] *= share[n]
        values[n] += (1 - share[n]) * before[0]
    return values
