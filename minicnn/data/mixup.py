"""Mixup: blend each image of a batch, and its label, with the image and label before it.

Training on blends of two images and their labels makes predictions less over-confident.  Called by loader.py; other
random changes of images are in augmentation.py.
"""

from collections.abc import Sequence

import numpy as np

from ..errors import ArgumentError


def mix(
    x: np.ndarray,
    y: np.ndarray,
    indices: Sequence[int] | np.ndarray,
    epoch: int,
    seed: int,
    alpha: float,
) -> tuple[np.ndarray, np.ndarray]:
    """x[n] = share[n] x[n] + (1 - share[n]) x[n - 1], and likewise y, with share[n] from Beta(alpha, alpha).

    The first image is blended with the last one.  The share depends only on (seed, epoch, index).  The partner depends
    on the order of the epoch, and so on (seed, epoch).

    Parameters
    ----------
    x : array (N, H, W, C), float32
        Blended in place, because a batch is large; the caller must not use it again.
    y : array (N,) of 0 and 1, or (N, K)
    indices : sequence of int (N,)
        Each image's index in the data set.
    epoch, seed : int
    alpha : float, above 0
        The smaller it is, the less most images change.  0.2 is common.

    Returns
    -------
    (x, y)
        y is a new float32 array.

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
    """Blend each row with the row before it, in place.

    The loop runs from the last row to the first, so that the row before is still unblended.
    """
    last = values[-1:].copy()
    for n in range(len(values) - 1, -1, -1):  # one image at a time fits into the processor's cache
        before = values[n - 1 : n] if n else last
        values[n] *= share[n]
        values[n] += (1 - share[n]) * before[0]
    return values
