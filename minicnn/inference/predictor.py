"""Predictor: faster repeated prediction for image files and arrays; work that needs only the weights is done once.

A Predictor folds batch normalisation (folding.py) and packs the weights (kernels/fast/convolution/packed_weights.py)
when it is made.  `Sequential.predict` packs the current weights in every call, because training changes them.  A
Predictor also turns an image file into an input of the model, and the outputs into labels.  It does not train.  Used by
the command line and by applications; read folding.py next.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ArgumentError, StateError, check_bool
from ..fusion import Branches, Fused, Plan
from ..layers import Conv2D, SeparableConv2D
from ..model import Sequential
from ..saving.loading import load_model
from .folding import fold_batchnorm
from .tta import predict_with_tta


class Predictor:
    """Makes the predictions of a model, up to rounding, and labels images: ``predictor("cat.jpg")``.

    Parameters
    ----------
    model : Sequential, built, or path of a model file
        Model to predict with.  Its weights are copied, so training it further does not change the Predictor.
    custom_objects : as in `load_model`
    tta : bool, optional
        Whether labels and probabilities are means over each image and its mirror image, at twice the cost (default:
        `model.tta`).

    Raises
    ------
    ArgumentError
        If `model` is neither a Sequential nor a path.
    ModelFileError
        If the file is missing or damaged.

    Notes
    -----
    A Predictor holds a copy of the weights; the packed weights of 3x3 convolutions take at most four times their size.
    Any number of threads may use one Predictor.

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

    def __init__(
        self,
        model: Sequential | str | Path,
        custom_objects: Mapping[str, Any] | None = None,
        tta: bool | None = None,
    ):
        if isinstance(model, (str, Path)):
            model = load_model(model, custom_objects=custom_objects)
        if not isinstance(model, Sequential):
            raise ArgumentError("Predictor", "a Sequential or the path of a model file", repr(model))
        self._model = fold_batchnorm(model)
        self._meaning = model.meaning()
        self.tta = model.tta if tta is None else check_bool(tta, "Predictor tta")
        self.class_names, self.preprocessing = model.class_names, model.preprocessing
        for layer in _single_layers(self._model._ready()):
            if type(layer) in (Conv2D, SeparableConv2D) and hasattr(layer.kernels, "pack_weights"):
                layer.pack()

    def __call__(self, images: Any) -> dict[str, float] | list[dict[str, float]]:
        """The probability of each class, by its name.

        Parameters
        ----------
        images : path, bytes, file object, uint8 array (H, W, 3) or PIL image; or a list of these

        Returns
        -------
        dict from class name to probability, or a list of these
            If the model has no class names, the classes are called "0", "1", ...

        Raises
        ------
        DataError
            If an image cannot be read; the image is named.
        StateError
            If the model has no preprocessing (`model.preprocessing`), or does not predict classes.
        """
        several = isinstance(images, (list, tuple))
        inputs = [self._decode(image) for image in (images if several else [images])]
        if not inputs:
            return []
        labels = [self._label(row) for row in self.probabilities(np.stack(inputs))]
        return labels if several else labels[0]

    def predict(self, x: ArrayLike, batch_size: int | None = None) -> np.ndarray:
        """The same as `Sequential.predict`."""
        return self._model.predict(x, batch_size)

    def predict_classes(self, x: ArrayLike, batch_size: int | None = None) -> np.ndarray:
        """The same as `Sequential.predict_classes`, with test-time augmentation if `tta` is set."""
        return self._meaning.classes(predict_with_tta(self, x, batch_size=batch_size))

    def probabilities(self, x: ArrayLike, batch_size: int | None = None) -> np.ndarray:
        """The probability of each class (N, K), even if the network has one output for two classes."""
        p = self._meaning.probabilities(predict_with_tta(self, x, batch_size=batch_size))
        return np.hstack([1 - p, p]) if self._meaning.kind == "probability" else p

    def _decode(self, image):
        from .. import data  # imported here, because it imports Pillow, which arrays do not need

        if self.preprocessing is None:
            raise StateError(
                "Predictor", "a model with preprocessing", "a model without preprocessing",
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


def _single_layers(plan: Plan) -> Iterator[Any]:
    """Every single layer of a plan for prediction, including those in fused layers and branches."""
    for step in plan.prediction:
        for layer in step.layers if isinstance(step, Fused) and not isinstance(step, Branches) else [step]:
            if isinstance(layer, Branches):
                for inner in layer.plans:
                    yield from _single_layers(inner)
            else:
                yield layer
