"""Folding: merges batch normalisation and rescaling into the weights of a neighbouring layer, for faster prediction.

In prediction, BatchNormalization multiplies each channel by a constant and adds another:

    scale = gamma / sqrt(moving_variance + epsilon)        shift = beta - scale * moving_mean
    scale * (x @ weight + bias) + shift  =  x @ (weight * scale) + (bias * scale + shift)

A convolution or dense layer before it can do that at no cost.  Likewise, a Rescaling merges into the layer after it:

    (x * scale + offset) @ weight + bias  =  x @ (scale * weight) + (bias + offset @ weight)

`fold_batchnorm` returns a new model, for prediction; the original is unchanged, and can be trained further and folded
again.  `Predictor` in predictor.py folds by itself; fold a model yourself to export it.
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
    """A model with fewer layers and the same predictions, up to rounding.

    A BatchNormalization is merged into the Conv2D, DepthwiseConv2D, SeparableConv2D or Dense before it, even with a
    pool in between.  Across a MaxPool2D this needs scales of at least 0 in every channel, because a negative scale
    turns the largest value into the smallest.  A Rescaling is merged into the Conv2D or Dense after it.  If the Conv2D
    pads, this needs an offset of 0, because the padding is not shifted.  A layer that cannot be merged stays.

    Parameters
    ----------
    model : Sequential, built
        Model to fold; it is not changed, and shares no array with the result.

    Returns
    -------
    Sequential
        A model for prediction with the current weights.  An activation inside a layer becomes a layer of its own.

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
    folded.tta, folded.temperature = model.tta, model.temperature
    return folded


def _fold(layers: Sequence[Layer]) -> tuple[list[Layer], list[np.ndarray]]:
    """The folded layers for a row of layers, and the values of their parameters in order."""
    made: list[tuple[Layer, list[np.ndarray]]] = []
    for layer in layers:
        values = [parameter.value for parameter in layer.parameters]
        if type(layer) is Residual:
            (main, main_values), (shortcut, shortcut_values) = _fold(layer.layers), _fold(layer.shortcut)
            made.append((Residual(main, shortcut), main_values + shortcut_values))
            continue
        if type(layer) is BatchNormalization:
            scale, shift = _scale_and_shift(layer)
            if (index := _index_of_host(made, scale)) is not None:
                made[index] = _with_scaled_output(*made[index], scale, shift)
                continue
        if not type(layer).__module__.startswith("minicnn."):  # a user's layer may hold more than its config
            made.append((copy.deepcopy(layer), values))
            continue
        linear, activation = _without_activation(layer)
        if made and type(made[-1][0]) is Rescaling and _can_host_rescaling(linear, made[-1][0]):
            linear, values = _with_scaled_input(linear, values, made.pop()[0])
        made.append((linear, values))
        if activation is not None:
            made.append((activation, []))
    return [layer for layer, _ in made], [value for _, values in made for value in values]


def _without_activation(layer):
    """A new layer without the activation, and the activation."""
    if layer.activation is None:
        return type(layer)(**layer.config), None
    return type(layer)(**layer.config | {"activation": None}), copy.deepcopy(layer.activation)


def _scale_and_shift(layer):
    """The scale and the shift that a normalisation applies to each channel, in float64."""
    gamma, beta, mean, variance = (parameter.value.astype("float64") for parameter in layer.parameters)
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return scale, beta - scale * mean


def _index_of_host(made, scale) -> int | None:
    """The index of the layer into which a normalisation with this scale can be merged; None if there is none."""
    for index in reversed(range(len(made))):
        layer = made[index][0]
        if type(layer) in HOSTS:  # not a subclass, which may use its weights in another way
            return index
        if not (type(layer) in AVERAGES or (type(layer) is MaxPool2D and (scale >= 0).all())):
            return None
    return None


def _with_scaled_output(layer, values, scale, shift):
    """The layer with a bias, and its values, such that its outputs are scaled and shifted."""
    *before, weight, bias = values if layer.use_bias else [*values, np.zeros(len(scale))]
    by = scale.reshape(weight.shape[2:]) if isinstance(layer, DepthwiseConv2D) else scale
    return type(layer)(**layer.config | {"use_bias": True}), [*before, weight * by, bias * scale + shift]


def _can_host_rescaling(layer, rescaling):
    """Whether the Rescaling before the layer can be merged into its weights."""
    if type(layer) is Dense:
        return True
    return type(layer) is Conv2D and (layer.padding == "valid" or not np.any(rescaling.offset))


def _with_scaled_input(layer, values, rescaling):
    """The layer with a bias, and its values, such that it takes the input before the Rescaling."""
    weight, bias = values if layer.use_bias else [*values, np.zeros(values[0].shape[-1])]
    C = weight.shape[-2]
    scale, offset = (np.broadcast_to(np.float64(value), C) for value in (rescaling.scale, rescaling.offset))
    shift = offset @ weight.reshape(-1, C, weight.shape[-1]).sum(0)
    return type(layer)(**layer.config | {"use_bias": True}), [weight * scale[:, None], bias + shift]
