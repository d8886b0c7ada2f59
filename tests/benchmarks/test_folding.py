"""The gain of folding and of a Predictor is measured between networks that give the same predictions."""

import numpy as np
import pytest

import minicnn as mc
from minicnn.layers.chain import walk


def network():
    layers = [mc.Conv2D(4, 3, use_bias=False), mc.BatchNormalization(), mc.ReLU(), mc.Flatten(), mc.Dense(1)]
    model = mc.Sequential(layers, kernels="im2col").build((6, 6, 3))
    model.layers[1].moving_variance.value[:] = 4
    return model


def test_all_forms_take_the_same_number_of_turns(programs):
    speeds = programs("folding").measure(network(), 2, rounds=3, turn=1e-4)
    assert list(speeds) == ["as trained", "folded", "Predictor"]
    assert all(len(values) == 3 and min(values) > 0 for values in speeds.values())


@pytest.mark.parametrize("name", ["fold_batchnorm", "Predictor"])
def test_other_predictions_end_the_run(name, programs, monkeypatch):
    folding, other = programs("folding"), network()
    other.layers[1].beta.value[:] = 1
    monkeypatch.setattr(folding.mc, name, lambda model: other)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        folding.measure(network(), 2, rounds=1, turn=1e-4)


def test_the_networks_are_the_bundled_model_and_those_with_normalizations(programs):
    found = dict(programs("folding").models())
    assert list(found) == ["catdog", "residual", "mini-Xception"]
    for model in found.values():
        every = list(walk(model.layers))
        assert any(isinstance(layer, mc.BatchNormalization) for layer in every)
    assert np.prod(found["catdog"].input_shape) == 160 * 160 * 3
