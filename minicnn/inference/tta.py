"""Test-time augmentation (TTA): averages the outputs of a model for an image and for its mirror image.

An image and its mirror image have the same class, so both predictions count.  Prediction takes twice as long.  The
mirror image is the only augmentation here; the augmentation of training is in data/augmentation.py.
`model.tta` says whether a model was evaluated with TTA; `Predictor`, the command line and calibration.py follow it.
"""

import copy
from typing import Any

import numpy as np

from ..training.batches import ArrayBatches


def mirrored(x: Any) -> Any:
    """The mirror images of an array (N, H, W, C) or of a loader of images.

    Examples
    --------
    >>> mirrored(np.arange(3).reshape(1, 1, 3, 1)).ravel()
    array([2, 1, 0])
    """
    if not isinstance(x, ArrayBatches):
        return np.asarray(x)[:, :, ::-1]
    loader = copy.copy(x)
    loader.x = mirrored(x.x)
    return loader


def predict_with_tta(
    model: Any, x: Any, tta: bool | None = None, batch_size: int | None = None
) -> np.ndarray:
    """The outputs of the model for images; with TTA, the mean of the outputs for each image and its mirror image.

    Parameters
    ----------
    model : Sequential or Predictor
    x : array (N, H, W, C) or Loader
        The images; those of a loader are taken in order, without shuffling.
    tta : bool, optional
        Whether to use TTA (default: `model.tta`).
    batch_size : int, optional
        As in `Sequential.predict`.

    Examples
    --------
    >>> import minicnn as mc
    >>> model = mc.Sequential([mc.Flatten(), mc.Dense(1)]).build((1, 2, 1))
    >>> model.set_weights([[[1.0], [3.0]], [0.0]])
    >>> predict_with_tta(model, [[[[1.0], [0.0]]]], tta=True)
    array([[2.]], dtype=float32)
    """
    outputs = model.predict(x, batch_size)
    if not (model.tta if tta is None else tta):
        return outputs
    return (outputs + model.predict(mirrored(x), batch_size)) / 2
