"""Prediction without batch normalisation: its scale and shift go into the layer before it.

When a network only predicts, BatchNormalization multiplies each channel by a fixed number and adds another:

    scale = gamma / sqrt(moving_variance + epsilon)        shift = beta - scale * moving_mean
    scale * (x @ weight + bias) + shift  =  x @ (weight * scale) + (bias * scale + shift)

So a convolution or dense layer can do it at no cost.  `fold_batchnorm` gives a new model; the one it was made from
stays as it is, can be trained further and folded again.  For whoever takes a model elsewhere; `Predictor` in
predictor.py folds too, and lays the weights out.  `catdog` gains next to nothing, for its normalisations and ReLUs are
one pass over pooled values.
"""

from collections.abc import Sequence

import numpy as np

from .layers import (
    AveragePool2D,
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    GlobalAveragePool2D,
    Layer,
    MaxPool2D,
    Residual,
    SeparableConv2D,
)
from .model import Sequential

HOSTS = (Conv2D, DepthwiseConv2D, SeparableConv2D, Dense)
AVERAGES = (AveragePool2D, GlobalAveragePool2D)


def fold_batchnorm(model: Sequential) -> Sequential:
    """The same predictions to rounding, with fewer layers.

    A BatchNormalization goes into the Conv2D, DepthwiseConv2D, SeparableConv2D or Dense before it, also when
    pooling stands between them; past a MaxPool2D only if no channel's scale is below 0, which would turn
    the largest value into the smallest.  Where there is no such layer it stays.

    Parameters
    ----------
    model : Sequential, built
        It is not changed, and shares no array with the result.

    Returns
    -------
    Sequential
        Built with the weights of now, for prediction: `predict` and `save` it.

    Examples
    --------
    >>> model = Sequential([Conv2D(4, 3, use_bias=False), BatchNormalization()]).build((8, 8, 3))
    >>> fold_batchnorm(model).layers[0].use_bias, len(fold_batchnorm(model).layers)
    (True, 1)
    """
    model._need_weights("fold_batchnorm")
    layers, weights = _fold(model.layers)
    folded = Sequential(layers, model.kernels_name, model.name)
    folded.build(model.input_shape, seed=None, dtype=model.dtype)
    folded.set_weights(weights)
    folded.class_names, folded.preprocessing = model.class_names, model.preprocessing
    return folded


def _fold(layers: Sequence[Layer]) -> tuple[list[Layer], list[np.ndarray]]:
    """New layers for a chain, not built, and the values of their parameters in order."""
    made: list[tuple[Layer, list[np.ndarray]]] = []
    for layer in layers:
        values = [parameter.value for parameter in layer.parameters]
        if isinstance(layer, Residual):
            (chain, inside), (shortcut, beside) = _fold(layer.layers), _fold(layer.shortcut)
            config = layer.config | {"layers": chain, "shortcut": shortcut}
            made.append((type(layer)(**config), inside + beside))
            continue
        if type(layer) is BatchNormalization:  # a subclass may do something else, as below
            scale, shift = _scale_and_shift(layer)
            if (place := _host(made, scale)) is not None:
                made[place] = _scaled(*made[place], scale, shift)
                continue
        made.append((type(layer)(**layer.config), values))
    return [layer for layer, _ in made], [value for _, values in made for value in values]


def _scale_and_shift(layer):
    """What the layer does to each channel, in float64."""
    gamma, beta, mean, variance = (parameter.value.astype("float64") for parameter in layer.parameters)
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return scale, beta - scale * mean


def _host(made, scale):
    """The place of the layer that can scale its outputs instead; None if there is none."""
    for place in reversed(range(len(made))):
        layer = made[place][0]
        if type(layer) in HOSTS:  # not a subclass, which may do something else with its weights
            return place
        if not (type(layer) in AVERAGES or (type(layer) is MaxPool2D and (scale >= 0).all())):
            return None
    return None


def _scaled(layer, values, scale, shift):
    """The layer with a bias, and its values: those of the last weights and the bias are new."""
    *before, weight, bias = values if layer.use_bias else [*values, np.zeros(len(scale))]
    by = scale.reshape(weight.shape[2:]) if isinstance(layer, DepthwiseConv2D) else scale
    return type(layer)(**layer.config | {"use_bias": True}), [*before, weight * by, bias * scale + shift]
