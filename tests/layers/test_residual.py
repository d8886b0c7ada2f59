"""Residual: the sum of two branches, the names, order and state of inner layers, training, saving and loading."""

import numpy as np
import pytest

import minicnn as mc
from minicnn.gradient_check import check_model
from minicnn.kernels import NAMES
from minicnn.layers.chain import named_layers, walk


def network(kernels="im2col", dtype="float32", seed=0):
    main = [mc.Conv2D(6, 3, 2, "same", use_bias=False), mc.BatchNormalization(), mc.ReLU(), mc.Dropout(0.3)]
    layers = [
        mc.Residual(main, shortcut=[mc.Conv2D(6, 1, 2)]),
        mc.Residual([mc.SeparableConv2D(6, 3, padding="same"), mc.Residual([mc.BatchNormalization()])]),
        mc.GlobalAveragePool2D(),
        mc.Dense(1),
        mc.Sigmoid(),
    ]
    model = mc.Sequential(layers, kernels).build((8, 6, 2), seed, dtype)
    model.compile(mc.Adam(0.01))
    return model


def test_the_names_of_weights_are_paths():
    model = network()
    names = [parameter.name for parameter in model.parameters]
    assert names[:7] == [
        "residual_1/conv2d_1/weight",
        "residual_1/batch_normalization_1/gamma",
        "residual_1/batch_normalization_1/beta",
        "residual_1/batch_normalization_1/moving_mean",
        "residual_1/batch_normalization_1/moving_variance",
        "residual_1/shortcut_conv2d_1/weight",
        "residual_1/shortcut_conv2d_1/bias",
    ]
    assert "residual_2/residual_1/batch_normalization_1/gamma" in names and len(set(names)) == len(names)
    model.build((8, 6, 2))
    assert [parameter.name for parameter in model.parameters] == names


def test_settings_are_passed_on_to_the_inner_layers():
    model = network("reference", "float64")
    assert {parameter.value.dtype.name for parameter in model.parameters} == {"float64"}
    assert list(named_layers(model.layers))[:3] == [
        "residual_1",
        "residual_1/conv2d_1",
        "residual_1/batch_normalization_1",
    ]
    assert model.get_layer("residual_2/residual_1") is model.layers[1].layers[1]
    block = model.layers[0]
    block.kernels = "fast"
    assert {layer.kernels.__name__ for layer in walk([block])} == {"minicnn.kernels.fast"}
    model.freeze()
    assert not any(layer.trainable for layer in walk(model.layers))
    assert not any(parameter.trainable for parameter in model.parameters)


def test_the_output_is_the_sum_of_both_branches(rng):
    """The inner layers are called one by one, and their outputs added by hand."""
    model = network(dtype="float64")
    block = model.layers[0]
    x = rng.standard_normal((3, 8, 6, 2))
    y, short = x, block.shortcut[0](x)
    for layer in block.layers:
        y = layer(y)
    np.testing.assert_array_equal(block(x), y + short)


@pytest.mark.parametrize("kernels", NAMES)
def test_the_gradients_of_a_network_with_residuals_are_right(kernels, rng):
    model = network(kernels, "float64")
    before, state = model.get_weights(), [layer.state for layer in model.layers]
    for check in check_model(model, rng.standard_normal((3, 8, 6, 2)), np.array([0, 1, 1])):
        assert check.passes(1e-6), str(check)
        assert "moving" not in check.name
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert [layer.state for layer in model.layers] == state


def test_weights_and_state_resume_training_bit_by_bit(rng):
    """The generator of Dropout and the moving statistics are both inside a Residual."""
    x, y = rng.standard_normal((6, 5, 8, 6, 2)), rng.integers(0, 2, (6, 5))
    whole, first, second = network(), network(), network(seed=5)
    for one, other in zip(x, y, strict=True):
        whole.train_step(one, other)
    for one, other in zip(x[:3], y[:3], strict=True):
        first.train_step(one, other)
    second.set_weights(first.get_weights())
    for old, new in zip(first.layers, second.layers, strict=True):
        new.state = old.state
    second.optimizer.state = first.optimizer.state
    for one, other in zip(x[3:], y[3:], strict=True):
        second.train_step(one, other)
    for one, other in zip(whole.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_network_with_residuals_is_saved_and_loaded(tmp_path, rng):
    model = network()
    x, y = rng.standard_normal((5, 8, 6, 2)), np.array([0, 1, 1, 0, 1])
    model.train_step(x, y)
    model.save(tmp_path / "m")
    again = mc.load_model(tmp_path / "m")
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    assert repr(again.layers) == repr(model.layers)
    again.compile()
    again.train_step(x, y)


def test_a_users_layer_inside_is_saved_and_loaded_with_its_class(tmp_path, rng):
    class Own(mc.ReLU):
        pass

    model = mc.Sequential([mc.Residual([Own()])]).build((2,))
    model.save(tmp_path / "m")
    with pytest.raises(mc.ModelFileError, match="custom_objects={'Own'"):
        mc.load_model(tmp_path / "m")
    again = mc.load_model(tmp_path / "m", custom_objects={"Own": Own})
    x = rng.standard_normal((3, 2))
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


def test_one_object_inside_and_outside_is_refused():
    relu = mc.ReLU()
    with pytest.raises(mc.ArgumentError, match="one object twice"):
        mc.Sequential([relu, mc.Residual([mc.Residual([relu])])])


def test_the_summary_shows_the_inner_layers_and_counts_each_once(capsys):
    network().summary()
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split("(")[0].rstrip(): line for line in lines}
    assert (
        "  batch_normalization_1" in rows
        and "    batch_normalization_1" in rows
        and "  shortcut_conv2d_1" in rows
    )
    trainable = 3 * 3 * 2 * 6 + 2 * 6 + 2 * 6 + 6 + 9 * 6 + 36 + 6 + 2 * 6 + 6 + 1
    assert f"Total params: {trainable + 24} " in "\n".join(lines)
    assert f"Trainable params: {trainable} " in "\n".join(lines)
    assert "Non-trainable params: 24 (96 B)" in lines
    multiply_adds = 4 * 3 * (9 * 2 * 6 + 2 * 6 + 9 * 6 + 36) + 6
    assert f"One image: {multiply_adds:,} multiply-adds" in "\n".join(lines)
