"""A model's answers, sooner: what follows from its weights alone is done once.

`Sequential.predict` takes the weights as they are at that moment, and lays them out for its kernels in every call.
Training needs that; for a single picture it can be half of the time.  A Predictor is for whoever asks one model
many times, such as a web page: normalisations are folded (folding.py) and weights laid out (kernels/fast/prepared.py)
when it is made, and never again.
"""

import numpy as np
from numpy.typing import ArrayLike

from .batches import ArrayBatches
from .folding import fold_batchnorm
from .layers import Conv2D, SeparableConv2D
from .layers.chain import walk
from .model import Sequential


class Predictor:
    """The same predictions as the model's, to rounding.

    Parameters
    ----------
    model : Sequential, built
        Its weights are copied: training it further changes nothing here.

    Notes
    -----
    Holds the weights once more, and those of 3x3 convolutions transformed, at most four times as large.

    Examples
    --------
    >>> import minicnn as mc
    >>> model = mc.Sequential([mc.Conv2D(4, 3), mc.Flatten(), mc.Dense(1), mc.Sigmoid()]).build((8, 8, 3), seed=0)
    >>> x = np.random.default_rng(0).random((1, 8, 8, 3))
    >>> bool(np.allclose(mc.Predictor(model).predict(x), model.predict(x)))
    True
    """

    def __init__(self, model: Sequential):
        self._model = fold_batchnorm(model)
        self.class_names, self.preprocessing = model.class_names, model.preprocessing
        for layer in walk(self._model.layers):
            weight = {Conv2D: "weight", SeparableConv2D: "pointwise_weight"}.get(type(layer))
            if weight and hasattr(layer.kernels, "prepare"):
                bias = layer.bias.value if layer.use_bias else None
                parameter = getattr(layer, weight)
                parameter.value = layer.kernels.prepare(parameter.value, bias)

    def predict(self, x: ArrayLike | ArrayBatches, batch_size: int = 32) -> np.ndarray:
        """As `Sequential.predict`."""
        return self._model.predict(x, batch_size)

    def predict_classes(self, x: ArrayLike | ArrayBatches, batch_size: int = 32) -> np.ndarray:
        """As `Sequential.predict_classes`."""
        return self._model.predict_classes(x, batch_size)
