"""Prediction without batch normalisation and input scaling: both go into the weights of a neighbouring layer.

When a network only predicts, BatchNormalization multiplies each channel by a fixed number and adds another:

    scale = gamma / sqrt(moving_variance + epsilon)        shift = beta - scale * moving_mean
    scale * (x @ weight + bias) + shift  =  x @ (weight * scale) + (bias * scale + shift)

A convolution or dense layer before it can do that at no cost.  In the same way a Rescaling goes into the layer after:

    (x * scale + offset) @ weight + bias  =  x @ (scale * weight) + (bias + offset @ weight)

`fold_batchnorm` gives a new model; the one it was made from stays as it is, can be trained further and folded again.
Use it to take a model elsewhere; `Predictor` in predictor.py folds, too.
"""

import copy
from collections.abc import Sequence

import numpy as np

from ..layers import (
    AveragePool2D,
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    GlobalAveragePool2D,
    Layer,
    MaxPool2D,
    Rescaling,
    Residual,
    SeparableConv2D,
)
from ..model import Sequential

HOSTS = (Conv2D, DepthwiseConv2D, SeparableConv2D, Dense)
AVERAGES = (AveragePool2D, GlobalAveragePool2D)


def fold_batchnorm(model: Sequential) -> Sequential:
    """A model with the same predictions to rounding, and fewer layers.

    A BatchNormalization goes into the Conv2D, DepthwiseConv2D, SeparableConv2D or Dense before it, also when
    pooling stands between them; past a MaxPool2D only if no channel's scale is below 0, which would turn
    the largest value into the smallest.  A Rescaling goes into the Conv2D or Dense after it; past padding only without
    an offset, because the padding is not shifted.  Where there is no such layer, they stay.

    Parameters
    ----------
    model : Sequential, built
        It is not changed, and shares no array with the result.

    Returns
    -------
    Sequential
        Built with the present weights, for prediction.  An activation inside a layer becomes a layer of its own.

    Examples
    --------
    >>> model = Sequential([Conv2D(4, 3, use_bias=False), BatchNormalization()]).build((8, 8, 3))
    >>> fold_batchnorm(model).layers[0].use_bias, len(fold_batchnorm(model).layers)
    (True, 1)
    """
    model._need_weights("fold_batchnorm")
    layers, weights = _fold(model.layers)
    folded = Sequential(layers, model.kernels_name, model.name)
    folded._build(model.input_shape, None, model.dtype)
    folded.set_weights(weights)
    folded.class_names, folded.preprocessing = model.class_names, model.preprocessing
    return folded


def _fold(layers: Sequence[Layer]) -> tuple[list[Layer], list[np.ndarray]]:
    """New layers for a chain, and the values of their parameters in order."""
    made: list[tuple[Layer, list[np.ndarray]]] = []
    for layer in layers:
        values = [parameter.value for parameter in layer.parameters]
        if type(layer) is Residual:
            (chain, inside), (shortcut, beside) = _fold(layer.layers), _fold(layer.shortcut)
            made.append((Residual(chain, shortcut), inside + beside))
            continue
        if type(layer) is BatchNormalization:
            scale, shift = _scale_and_shift(layer)
            if (place := _host(made, scale)) is not None:
                made[place] = _scaled(*made[place], scale, shift)
                continue
        if not type(layer).__module__.startswith("minicnn."):  # a user's own may keep more than its config
            made.append((copy.deepcopy(layer), values))
            continue
        linear, activation = _apart(layer)
        if made and type(made[-1][0]) is Rescaling and _takes_scaling(linear, made[-1][0]):
            linear, values = _rescaled(linear, values, made.pop()[0])
        made.append((linear, values))
        if activation is not None:
            made.append((activation, []))
    return [layer for layer, _ in made], [value for _, values in made for value in values]


def _apart(layer):
    """A new layer without its activation, and the activation."""
    if layer.activation is None:
        return type(layer)(**layer.config), None
    return type(layer)(**layer.config | {"activation": None}), copy.deepcopy(layer.activation)


def _scale_and_shift(layer):
    """What a normalisation does to each channel, in float64."""
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


def _takes_scaling(layer, rescaling):
    """Whether the layer can scale and shift its input by its weights."""
    if type(layer) is Dense:
        return True
    return type(layer) is Conv2D and (layer.padding == "valid" or not np.any(rescaling.offset))


def _rescaled(layer, values, rescaling):
    """The layer with a bias, and its values, behind an input that is not rescaled any more."""
    weight, bias = values if layer.use_bias else [*values, np.zeros(values[0].shape[-1])]
    C = weight.shape[-2]
    scale, offset = (np.broadcast_to(np.float64(value), C) for value in (rescaling.scale, rescaling.offset))
    shift = offset @ weight.reshape(-1, C, weight.shape[-1]).sum(0)
    return type(layer)(**layer.config | {"use_bias": True}), [weight * scale[:, None], bias + shift]
