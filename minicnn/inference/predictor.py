"""Faster repeated prediction, from arrays or from image files: work that depends only on the weights is done once.

`Sequential.predict` takes the weights as they are at that moment, and packs them for its kernels in every call, which
training needs.  A Predictor folds normalisations (folding.py) and packs weights (kernels/fast/convolution/prepared.py)
when it is made.  It also turns an image file into the model's input, and the outputs into labels.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ArgumentError, StateError
from ..fusion import Branches, Fused, Plan
from ..layers import Conv2D, SeparableConv2D
from ..model import Sequential
from ..saving.loading import load_model
from .folding import fold_batchnorm


class Predictor:
    """The same predictions as the model's, to rounding; called with images, labels.

    Parameters
    ----------
    model : Sequential, built, or path of a model file
        Its weights are copied: training it further changes nothing here.
    custom_objects : as in `load_model`

    Raises
    ------
    ArgumentError
        For anything else.
    ModelFileError
        If the file is missing or damaged.

    Notes
    -----
    Holds the weights once more, and those of 3x3 convolutions transformed, at most four times as large.  Any number of
    threads may use one Predictor.

    Examples
    --------
    >>> import minicnn as mc
    >>> model = mc.Sequential([mc.Conv2D(4, 3), mc.Flatten(), mc.Dense(1, "sigmoid")]).build((8, 8, 3))
    >>> model.class_names, model.preprocessing = ["cat", "dog"], {"height": 8, "width": 8}
    >>> predictor = mc.Predictor(model)
    >>> x = np.random.default_rng(0).random((1, 8, 8, 3))
    >>> bool(np.allclose(predictor.predict(x), model.predict(x)))
    True
    >>> sorted(predictor(np.zeros((20, 30, 3), "uint8")))
    ['cat', 'dog']
    """

    def __init__(self, model: Sequential | str | Path, custom_objects: Mapping[str, Any] | None = None):
        if isinstance(model, (str, Path)):
            model = load_model(model, custom_objects=custom_objects)
        if not isinstance(model, Sequential):
            raise ArgumentError("Predictor", "a Sequential or the path of a model file", repr(model))
        self._model = fold_batchnorm(model)
        self._meaning = model.meaning()
        self.class_names, self.preprocessing = model.class_names, model.preprocessing
        for layer in _singles(self._model.plan):
            if type(layer) in (Conv2D, SeparableConv2D) and hasattr(layer.kernels, "prepare"):
                layer.pack()

    def __call__(self, images: Any) -> dict[str, float] | list[dict[str, float]]:
        """The probability of each class, by its name.

        Parameters
        ----------
        images : path, bytes, file object, uint8 array (H, W, 3) or PIL image; or a list of these

        Returns
        -------
        dict from class name to probability, or a list of these
            A model without class names numbers them: "0", "1", ...

        Raises
        ------
        DataError
            If an image cannot be read; it is named.
        StateError
            If the model does not say how a file becomes an input (`model.preprocessing`), or predicts no classes.
        """
        several = isinstance(images, (list, tuple))
        inputs = [self._decode(image) for image in (images if several else [images])]
        if not inputs:
            return []
        answers = [self._label(row) for row in self.probabilities(np.stack(inputs))]
        return answers if several else answers[0]

    def predict(self, x: ArrayLike, batch_size: int | None = None) -> np.ndarray:
        """As `Sequential.predict`."""
        return self._model.predict(x, batch_size)

    def predict_classes(self, x: ArrayLike, batch_size: int | None = None) -> np.ndarray:
        """As `Sequential.predict_classes`."""
        return self._meaning.classes(self.predict(x, batch_size))

    def probabilities(self, x: ArrayLike, batch_size: int | None = None) -> np.ndarray:
        """Each class's probability (N, K), also where the network has one output for two classes."""
        p = self._meaning.probabilities(self.predict(x, batch_size))
        return np.hstack([1 - p, p]) if self._meaning.kind == "probability" else p

    def _decode(self, image):
        from .. import data  # here, because it imports Pillow, which arrays do not need

        if self.preprocessing is None:
            raise StateError(
                "Predictor", "a model that says how a file becomes an input", "one without preprocessing",
                "Set model.preprocessing = data.Preprocessing(height, width) before saving it.",
            )  # fmt: skip
        return data.decode(image, data.Preprocessing.of(self))

    def _label(self, row: Sequence[float]) -> dict[str, float]:
        if self._meaning.kind == "numbers":
            raise StateError(
                "Predictor", "a model that predicts classes", "one that predicts numbers", "Use predict(x)."
            )
        names = self.class_names or [str(number) for number in range(len(row))]
        return {name: float(p) for name, p in zip(names, row, strict=True)}


def _singles(plan: Plan) -> Iterator[Any]:
    """Every single layer that a plan walks through in prediction."""
    for step in plan.prediction:
        for layer in step.layers if isinstance(step, Fused) and not isinstance(step, Branches) else [step]:
            if isinstance(layer, Branches):
                for inner in layer.plans:
                    yield from _singles(inner)
            else:
                yield layer
