"""Tests that every layer must pass, then tests of single layers."""

import copy
import inspect
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minicnn as mc
from minicnn import layers
from minicnn.gradient_check import check_layer
from minicnn.kernels import NAMES, kernel_set
from minicnn.layers.chain import walk
from minicnn.layers.description import describe, make_layer

CASES = [
    (lambda: mc.Conv2D(4, 3), (6, 5, 2)),
    (lambda: mc.Conv2D(3, (2, 4), strides=(2, 1), padding="same"), (5, 7, 1)),
    (lambda: mc.Conv2D(2, (3, 1), strides=2, padding=((0, 1), (2, 0)), use_bias=False), (6, 5, 3)),
    (lambda: mc.Conv2D(5, 1, kernel_initializer="he_normal"), (3, 2, 4)),
    (lambda: mc.MaxPool2D(2), (5, 4, 3)),
    (lambda: mc.MaxPool2D((3, 2), strides=(2, 1), padding="same"), (5, 4, 1)),
    (lambda: mc.AveragePool2D(2), (4, 6, 2)),
    (lambda: mc.AveragePool2D(3, strides=2, padding="same"), (5, 6, 2)),
    (lambda: mc.GlobalAveragePool2D(), (3, 5, 4)),
    (lambda: mc.DepthwiseConv2D(3), (5, 6, 3)),
    (lambda: mc.DepthwiseConv2D((2, 3), strides=(2, 1), padding="same", depth_multiplier=2), (5, 4, 3)),
    (lambda: mc.DepthwiseConv2D(3, 2, ((0, 2), (1, 0)), use_bias=False), (6, 5, 2)),
    (lambda: mc.SeparableConv2D(5, 3, padding="same"), (4, 5, 3)),
    (lambda: mc.SeparableConv2D(2, (2, 3), strides=2, depth_multiplier=2, use_bias=False), (5, 6, 2)),
    (lambda: mc.BatchNormalization(), (3, 2, 4)),
    (lambda: mc.BatchNormalization(0.9, epsilon=0.5), (7,)),
    (lambda: mc.Residual([mc.BatchNormalization(), mc.Conv2D(3, 3, padding="same")]), (4, 5, 3)),
    (lambda: mc.Residual([mc.Residual([mc.Dense(6)]), mc.Dropout(0.4)]), (6,)),
    (
        lambda: mc.Residual(
            [mc.Conv2D(4, 3, 2, "same"), mc.DepthwiseConv2D(3, padding="same")],
            shortcut=[mc.AveragePool2D(2), mc.Conv2D(4, 1, use_bias=False), mc.BatchNormalization()],
        ),
        (4, 6, 2),
    ),
    (lambda: mc.Flatten(), (3, 2, 4)),
    (lambda: mc.Dense(5), (7,)),
    (lambda: mc.Dense(3, use_bias=False), (1,)),
    (lambda: mc.Dropout(0.4), (4, 3, 5)),
    (lambda: mc.Dropout(0.4, (None, 1, 1, None)), (4, 3, 5)),
    (lambda: mc.ReLU(), (3, 4, 2)),
    (lambda: mc.ReLU(max_value=1.0, negative_slope=0.2), (3, 4, 2)),
    (lambda: mc.LeakyReLU(0.1), (6,)),
    (lambda: mc.ELU(0.7), (3, 2, 2)),
    (lambda: mc.SiLU(), (6,)),
    (lambda: mc.GELU(), (2, 3, 2)),
    (lambda: mc.GELU(approximate=True), (6,)),
    (lambda: mc.Tanh(), (6,)),
    (lambda: mc.Sigmoid(), (5,)),
    (lambda: mc.Softmax(), (4,)),
    (lambda: mc.Dense(4, "relu"), (5,)),
    (lambda: mc.Dense(4, mc.LeakyReLU(0.2), use_bias=False, name="head"), (5,)),
    (lambda: mc.Conv2D(3, 3, 1, "same", "relu"), (5, 4, 2)),
    (lambda: mc.Conv2D(3, (2, 3), padding="same", dilation_rate=(2, 1)), (6, 5, 2)),
    (lambda: mc.Conv2D(2, 3, padding=((1, 0), (2, 1)), dilation_rate=2, activation="gelu"), (7, 5, 2)),
    (lambda: mc.DepthwiseConv2D(3, dilation_rate=(1, 2), depth_multiplier=2, activation="tanh"), (5, 6, 2)),
    (lambda: mc.SeparableConv2D(3, 3, padding="same", activation="silu", dilation_rate=2), (5, 4, 2)),
    (lambda: mc.ZeroPadding2D(((1, 0), (2, 3))), (3, 4, 2)),
    (lambda: mc.GlobalMaxPool2D(), (3, 4, 2)),
    (lambda: mc.Rescaling(0.5, offset=(1.0, -2.0, 0.0)), (3, 2, 3)),
]
ReLU_TWICE = mc.ReLU()
every_layer = pytest.mark.parametrize(
    ("make", "shape"), CASES, ids=lambda case: repr(case()) if callable(case) else ""
)
every_set = pytest.mark.parametrize("kernels", NAMES)


def build(make, shape, kernels="im2col", dtype="float32"):
    layer = make()
    layer.kernels = kernel_set(kernels)
    return layer, layer.build(shape, np.random.default_rng(0), dtype)


@every_layer
@every_set
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [1, 3])
def test_shapes_and_types_are_right_and_inputs_are_not_changed(make, shape, kernels, dtype, batch, rng):
    layer, output_shape = build(make, shape, kernels, dtype)
    x = rng.standard_normal((batch, *shape)).astype(dtype)
    dy = rng.standard_normal((batch, *output_shape)).astype(dtype)
    before = x.copy(), dy.copy()
    for writeable in (True, False):
        x.flags.writeable = dy.flags.writeable = writeable
        y, cache = layer.forward(x, training=True)
        dx = layer.backward(dy, cache)
        for array, old in zip((x, dy), before, strict=True):
            np.testing.assert_array_equal(array, old)
    assert y.shape == dy.shape and y.dtype == dtype
    assert dx.shape == x.shape and dx.dtype == dtype
    for parameter in layer.parameters:
        assert parameter.value.shape == parameter.shape and parameter.value.dtype == dtype
        if parameter.trainable:
            assert parameter.grad.shape == parameter.shape and parameter.grad.dtype == dtype
        else:
            assert parameter.grad is None


def snapshot(layer):
    """All attributes of a layer, its inner layers and its parameters, as bytes."""
    things = [*walk([layer]), *layer.parameters]
    return [
        pickle.dumps({key: value for key, value in vars(thing).items() if key != "_kernels"})
        for thing in things
    ]


@every_layer
@pytest.mark.parametrize("training", [False, True])
def test_forward_changes_nothing_and_backward_only_writes_gradients(make, shape, training, rng):
    layer, output_shape = build(make, shape)
    x = rng.standard_normal((2, *shape)).astype("float32")
    before = snapshot(layer)
    y, cache = layer.forward(x, training)
    np.testing.assert_array_equal(layer.forward(x, training)[0], y)  # a second pass gives the same result
    assert snapshot(layer) == before
    dx = layer.backward(np.ones_like(y), cache)
    for parameter in layer.parameters:
        parameter.grad = None
    assert snapshot(layer) == before
    np.testing.assert_array_equal(layer.backward(np.ones_like(y), cache), dx)  # a cache can be used twice


@every_layer
def test_a_cache_of_another_layer_or_a_gradient_of_another_batch_is_refused(make, shape, rng):
    (layer, output_shape), (other, _) = build(make, shape), build(make, shape)
    x = rng.standard_normal((2, *shape)).astype("float32")
    y, cache = layer.forward(x, training=True)
    for wrong in (np.ones((3, *output_shape)), np.ones((1, *output_shape)), y[..., None], np.ones(3)):
        with pytest.raises(mc.ShapeError, match="a gradient of shape"):
            layer.backward(wrong, cache)
    for wrong in (other.forward(x, training=True)[1], None, (), y):
        with pytest.raises(mc.StateError, match="the cache that its own forward pass returned"):
            layer.backward(y, wrong)


@every_layer
@every_set
def test_an_input_of_another_type_or_layout_is_converted_and_a_wrong_input_refused(make, shape, kernels, rng):
    layer, _ = build(make, shape, kernels)
    x = rng.standard_normal((2, *shape)).astype("float32")
    y, _ = layer.forward(x)
    for same in (x.astype("float64"), x[:, ::-1][:, ::-1], np.asfortranarray(x)):
        np.testing.assert_allclose(layer.forward(same)[0], y, rtol=1e-4, atol=1e-5)
    assert layer.forward(x[:0])[0].shape == (0, *y.shape[1:])
    for wrong in (np.array(["a", "b"]), np.array([None, {}]), np.float32(1), x.astype(complex)):
        with pytest.raises(mc.MinicnnError):
            layer.forward(wrong)
    if layer.parameters:
        with pytest.raises(mc.ShapeError):
            layer.forward(np.concatenate([x, x], axis=-1))


@every_layer
def test_layers_can_be_copied_and_pickled(make, shape, rng):
    layer, _ = build(make, shape)
    x = rng.standard_normal((2, *shape)).astype("float32")
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(again(x), layer(x))
        assert again.kernels is layer.kernels and repr(again) == repr(layer)
        for one, other in zip(layer.parameters, again.parameters, strict=True):
            assert one is not other and not np.shares_memory(one.value, other.value)


@every_layer
def test_a_built_layer_keeps_its_weights_and_refuses_inputs_that_do_not_fit(make, shape):
    layer, output_shape = build(make, shape)
    before = [parameter.value for parameter in layer.parameters]
    assert layer.build(shape, np.random.default_rng(5)) == output_shape
    assert all(parameter.value is value for parameter, value in zip(layer.parameters, before, strict=True))
    if before:
        with pytest.raises((mc.ShapeError, mc.ArgumentError)):
            layer.build((*shape[:-1], shape[-1] + 1), np.random.default_rng(5))
        with pytest.raises(mc.ArgumentError, match="a model of float32"):
            layer.build(shape, np.random.default_rng(5), "float64")
        assert all(
            parameter.value is value for parameter, value in zip(layer.parameters, before, strict=True)
        )


@every_layer
def test_frozen_layers_compute_no_gradient_of_weights(make, shape, rng):
    (layer, _), (twin, _) = build(make, shape), build(make, shape)
    layer.trainable = False
    x = rng.standard_normal((2, *shape)).astype("float32")
    y, cache = layer.forward(x, training=not any(isinstance(one, mc.Dropout) for one in walk([layer])))
    assert layer.backward(np.ones_like(y), cache).shape == x.shape
    assert all(parameter.grad is None for parameter in layer.parameters)
    assert all(not one.trainable for one in walk([layer])) and layer.updates(cache) == []
    np.testing.assert_array_equal(y, twin(x))  # batch normalisation behaves as in prediction


@every_layer
@every_set
def test_gradients_agree_with_finite_differences(make, shape, kernels):
    for training in (True, False):
        for check in check_layer(make(), shape, batch=2, seed=4, kernels=kernels, training=training):
            assert check.passes(1e-6), str(check)
            assert check.kinks == 0


@every_layer
def test_the_config_makes_the_same_layer_again(make, shape):
    layer = make()
    again = make_layer(json.loads(json.dumps(describe(layer))))
    assert layer.config.keys() == set(inspect.signature(type(layer).__init__).parameters) - {"self"}
    assert json.dumps(describe(again)) == json.dumps(describe(layer)) and repr(again) == repr(layer)
    for key, argument in inspect.signature(type(layer).__init__).parameters.items():
        if key != "self" and argument.default is not argument.empty:  # every option is restored
            assert getattr(again, key) == getattr(layer, key) or repr(getattr(again, key)) == repr(
                getattr(layer, key)
            )


@every_layer
def test_the_same_seed_makes_the_same_weights_and_no_generator_makes_only_shapes(make, shape):
    one, _ = build(make, shape)
    two, _ = build(make, shape)
    for a, b in zip(one.parameters, two.parameters, strict=True):
        np.testing.assert_array_equal(a.value, b.value)
    bare = make()
    bare.build(shape, None)
    assert [p.shape for p in bare.parameters] == [p.shape for p in one.parameters]
    assert all(p.value is None for p in bare.parameters)


pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))
strides = st.tuples(st.integers(1, 3), st.integers(1, 3))


@given(
    st.sampled_from([mc.Conv2D, mc.MaxPool2D, mc.AveragePool2D, mc.DepthwiseConv2D, mc.SeparableConv2D]),
    st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 3)),
    pairs,
    strides,
    st.sampled_from(["valid", "same"]),
    st.integers(1, 3),
)
def test_random_windows_give_the_computed_shape_and_right_gradients(
    layer, shape, window, stride, padding, batch
):
    filters = [2] if layer in (mc.Conv2D, mc.SeparableConv2D) else []
    made = layer(*filters, window, stride, padding)
    try:
        output_shape = made.build(shape, np.random.default_rng(0), "float64")
    except mc.ShapeError:
        assert padding == "valid" and (shape[0] < window[0] or shape[1] < window[1])
        return
    assert made(np.zeros((batch, *shape))).shape == (batch, *output_shape)
    for check in check_layer(made, shape, batch):
        assert check.passes(1e-6), str(check)


def test_every_layer_is_among_the_cases():
    classes = {type(make()) for make, _ in CASES}
    others = {layers.Layer, layers.Parameter, layers.Activation}
    assert classes == {getattr(layers, name) for name in layers.__all__} - others


def test_dx_and_gradients_of_weights_are_skipped_when_they_are_not_needed(rng):
    image, vector = (4, 4, 1), (4,)
    for layer, shape in (
        (mc.Conv2D(2, 3), image),
        (mc.DepthwiseConv2D(3), image),
        (mc.SeparableConv2D(2, 3), image),
        (mc.Dense(2), vector),
        (mc.BatchNormalization(), vector),
        (mc.Residual([mc.Dense(4)], [mc.BatchNormalization()]), vector),
    ):
        layer.build(shape, rng)
        x = rng.standard_normal((2, *shape))
        y, cache = layer.forward(x, training=True)
        assert layer.backward(y, cache, need_dweight=False).shape == x.shape
        assert all(parameter.grad is None for parameter in layer.parameters)
        assert layer.backward(y, cache, need_dx=False) is None
        assert all(parameter.grad is not None for parameter in layer.parameters if parameter.trainable)


@given(st.sampled_from([0.0, 0.1, 0.5, 0.9]), st.integers(0, 50))
def test_dropout_sets_a_fraction_of_rate_to_zero_and_keeps_the_mean(rate, seed):
    layer = mc.Dropout(rate)
    layer.build((5000,), np.random.default_rng(seed))
    x = np.ones((4, 5000), "float32")
    y, cache = layer.forward(x, training=True)
    assert set(np.unique(y)) <= {np.float32(0), np.float32(1 / (1 - rate))}
    deviation = (rate * (1 - rate) / x.size) ** 0.5
    assert abs((y == 0).mean() - rate) <= 5 * deviation
    np.testing.assert_array_equal(layer.backward(x, cache), y)  # the gradient passes where the value passed
    y, cache = layer.forward(x)
    assert y is x and layer.backward(x, cache) is x


@pytest.mark.parametrize("noise_shape", [(None, 1, 1, 1), (None, 1, 1, None), (1, None, None, 1)])
def test_values_that_share_an_entry_of_the_noise_shape_are_dropped_together(noise_shape, rng):
    layer, _ = build(lambda: mc.Dropout(0.5, noise_shape), (8, 9, 10))
    x = rng.uniform(1, 2, (20, 8, 9, 10)).astype("float32")
    y, cache = layer.forward(x, training=True)
    mask = y / x
    shared = tuple(axis for axis, n in enumerate(noise_shape) if n == 1)
    np.testing.assert_allclose(mask.min(shared), mask.max(shared), rtol=1e-6)
    assert (mask == 0).any() and (mask > 1.9).any()
    np.testing.assert_allclose(layer.backward(x, cache), mask * x, rtol=1e-6)
    for wrong in ((5,), (8, 9, 10, 2)):
        with pytest.raises(mc.ShapeError, match="Dropout noise_shape: expected .* axes, batch axis first"):
            layer.build(wrong, None)


def test_a_noise_shape_may_contain_sizes_as_in_keras(rng):
    layer, _ = build(lambda: mc.Dropout(0.5, (4, 1, 10)), (9, 10))
    x = np.ones((4, 9, 10), "float32")
    y, _ = layer.forward(x, training=True)
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    with pytest.raises(mc.ShapeError, match="a batch that its noise_shape fits"):
        layer.forward(np.ones((3, 9, 10), "float32"), training=True)


def test_dropout_differs_from_step_to_step_and_repeats_with_the_seed():
    outputs = []
    for _ in range(2):
        layer, _ = build(lambda: mc.Dropout(0.5), (100,))
        outputs.append([])
        for _ in range(2):
            y, cache = layer.forward(np.ones((1, 100), "float32"), training=True)
            outputs[-1].append(y)
            for update in layer.updates(cache):  # the end of a training step
                update()
    assert (outputs[0][0] != outputs[0][1]).any()
    np.testing.assert_array_equal(outputs[0], outputs[1])


def test_activations_do_not_overflow():
    x = np.array([[-1e4, -50.0, 0.0, 50.0, 1e4]], "float32")
    for layer in (mc.Sigmoid(), mc.Softmax(), mc.SiLU(), mc.GELU(), mc.ELU(), mc.Tanh()):
        with np.errstate(all="raise"):
            y, cache = layer.forward(x)
            assert np.isfinite(y).all() and np.isfinite(layer.backward(y, cache)).all()
    np.testing.assert_allclose(mc.Softmax()(x).sum(), 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mc.Conv2D(0, 3), "Conv2D filters: expected an int of at least 1, received 0"),
        (lambda: mc.Conv2D(2, 0), "Conv2D kernel_size"),
        (lambda: mc.Conv2D(2, 3, strides=0), "Conv2D strides"),
        (lambda: mc.Conv2D(2, 3, padding="full"), "Conv2D padding"),
        (lambda: mc.Conv2D(2, 3, kernel_initializer="magic"), '"glorot_uniform", "he_normal", "zeros"'),
        (lambda: mc.Dense(1.5), "Dense units"),
        (lambda: mc.Dropout(1), "Dropout rate"),
        (lambda: mc.Dropout(0.1, (None, 0)), "Dropout noise_shape"),
        (lambda: mc.Dropout(0.1, (None, "1")), "Dropout noise_shape"),
        (lambda: mc.Dropout(0.1, 1), "Dropout noise_shape"),
        (lambda: mc.DepthwiseConv2D(3, depth_multiplier=0), "DepthwiseConv2D depth_multiplier"),
        (lambda: mc.SeparableConv2D(0, 3), "SeparableConv2D filters"),
        (lambda: mc.SeparableConv2D(2, 3, pointwise_initializer="magic"), "pointwise_initializer"),
        (lambda: mc.BatchNormalization(1), "BatchNormalization momentum"),
        (lambda: mc.BatchNormalization(epsilon=0), "BatchNormalization epsilon"),
        (lambda: mc.Residual([]), "Residual layers: expected at least one"),
        (lambda: mc.Residual([mc.ReLU]), "Residual layers: .* Write ReLU"),
        (lambda: mc.Residual([ReLU_TWICE], [ReLU_TWICE]), "one object twice"),
        (lambda: mc.LeakyReLU(-1), "LeakyReLU negative_slope"),
        (lambda: mc.MaxPool2D(0), "MaxPool2D pool_size"),
        (lambda: mc.Dense(3, True), "Dense activation: .* write use_bias=True"),
        (lambda: mc.Dense(10, 5), "Dense activation: .* write use_bias=5"),
        (lambda: mc.Dense(3, use_bias="False"), "Dense use_bias: expected True or False"),
        (lambda: mc.Dense(3, "rleu"), "Dense activation: expected linear, relu"),
        (lambda: mc.Dense(3, activation=mc.Dense(2)), "Dense activation: expected an activation layer"),
        (lambda: mc.Dense(3, kernel_regularizer="l3"), "l1"),
        (lambda: mc.Conv2D(3, 3, input_shape=(8, 8, 3)), "Put Input"),
        (lambda: mc.Conv2D(3, 3, groups=2), "Grouped convolutions are not supported"),
        (lambda: mc.Conv2D(3, 3, data_format="channels_first"), "channels last"),
        (lambda: mc.Conv2D(3, 3, strides=2, dilation_rate=2), "not both"),
        (lambda: mc.Conv2D(3, 3, stride=2), "arguments among filters, kernel_size, strides"),
        (lambda: mc.ReLU(max_value=0), "ReLU max_value"),
        (lambda: mc.Rescaling("1/255"), "Rescaling scale"),
        (lambda: mc.Rescaling(float("nan")), "Rescaling scale"),
        (lambda: mc.ZeroPadding2D("same"), "ZeroPadding2D padding"),
        (lambda: mc.Activation("linear"), "Leave out a linear activation"),
        (lambda: mc.GELU("yes"), "GELU approximate"),
        (lambda: mc.Dense(3, name="a/b"), "layer name"),
        (lambda: mc.Dense(3, trainable="no"), "Dense trainable"),
    ],
)
def test_options_out_of_range_are_refused_with_a_message(make, message):
    with pytest.raises(mc.ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (
            lambda: mc.Dense(2),
            (4, 4, 3),
            r"Dense: expected one feature vector per sample, received shape \(4, 4, 3\). Add Flatten",
        ),
        (lambda: mc.Conv2D(2, 3), (12,), "Put it before Flatten"),
        (lambda: mc.Conv2D(2, 5), (4, 4, 3), "at least 5x5, received 4x4"),
        (lambda: mc.MaxPool2D(2, padding=2), (4, 4, 3), "A window must touch the image"),
        (lambda: mc.GlobalAveragePool2D(), (4,), "Put it before Dense"),
        (lambda: mc.Softmax(), (4, 4, 3), "Add Flatten"),
        (lambda: mc.Softmax(), (1,), "at least 2 values, one per class"),
        (lambda: mc.Rescaling((1.0, 2.0)), (4, 4, 3), "3 numbers, one per channel"),
        (lambda: mc.ZeroPadding2D(), (4,), "Put it before Flatten"),
        (lambda: mc.GlobalMaxPool2D(), (4,), "Put it before Dense"),
        (lambda: mc.DepthwiseConv2D(5), (4, 4, 3), "at least 5x5, received 4x4"),
        (lambda: mc.SeparableConv2D(2, 3), (12,), "Put it before Flatten"),
        (
            lambda: mc.Residual([mc.Conv2D(2, 3)]),
            (4, 4, 3),
            r"two branches .* received \(2, 2, 2\) from the layers, \(4, 4, 3\) from the shortcut",
        ),
        (lambda: mc.Residual([mc.ReLU(), mc.Conv2D(2, 5)]), (4, 4, 3), "Residual: layer 2: Conv2D: .* 5x5"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_with_a_message(make, shape, message):
    with pytest.raises(mc.ShapeError, match=message):
        make().build(shape, np.random.default_rng(0))


def test_assigning_unknown_or_fixed_attributes_is_refused():
    layer, _ = build(lambda: mc.Dense(3), (4,))
    for name, value in (("trainabel", False), ("units", 5), ("use_bias", False), ("weight", np.ones((4, 3)))):
        with pytest.raises(mc.UnknownAttributeError, match=name):
            setattr(layer, name, value)
    with pytest.raises(AttributeError):
        layer.kernel = 1
    with pytest.raises(mc.ArgumentError, match="True or False"):
        layer.trainable = 0

    class Own(mc.layers.Layer):
        def forward(self, x, training=False):
            self.calls = 1
            return x, None

    assert Own()(np.ones(2)).tolist() == [1, 1]  # a user's layer may have any attribute


def test_parameters_only_accept_numbers_of_their_shape():
    layer, _ = build(lambda: mc.Dense(3), (4,))
    value = np.arange(12.0).reshape(4, 3)
    layer.weight.value = value
    assert layer.weight.value.dtype == "float32" and layer.weight.value.flags.c_contiguous
    value[:] = 7
    np.testing.assert_array_equal(layer.weight.value, np.arange(12).reshape(4, 3))  # a copy
    for wrong in (np.ones((3, 4)), 1.0, np.ones((4, 3, 1))):
        with pytest.raises(mc.ShapeError, match="weight"):
            layer.weight.value = wrong
    with pytest.raises(mc.ArgumentError, match="an array of numbers"):
        layer.weight.value = np.full((4, 3), "q")
    np.testing.assert_array_equal(layer.weight.value, np.arange(12).reshape(4, 3))


def test_names_and_arguments_of_keras_are_accepted():
    assert type(mc.Activation("relu")) is mc.ReLU and type(mc.Activation("swish")) is mc.SiLU
    assert mc.AveragePooling2D is mc.AveragePool2D and mc.GlobalMaxPooling2D is mc.GlobalMaxPool2D
    conv = mc.Conv2D(4, 3, activation="relu", data_format="channels_last", groups=1, name="first")
    assert conv.name == "first" and type(conv.activation) is mc.ReLU
    assert mc.Dropout(np.float32(0.5)).rate == 0.5 and mc.LeakyReLU(np.int64(1)).negative_slope == 1
    assert mc.BatchNormalization(np.float32(0.5)).momentum == 0.5
    with pytest.raises(mc.ArgumentError):
        mc.Dropout(True)


def test_a_forward_that_does_not_return_a_pair_is_refused(rng):
    class Own(mc.layers.Layer):
        def forward(self, x, training=False):
            return x

    with pytest.raises(mc.StateError, match="a pair"):
        Own()(rng.random((2, 3)))


def test_an_activation_inside_a_layer_equals_an_activation_after_it(rng):
    for make in (
        lambda **k: mc.Conv2D(3, 3, **k), lambda **k: mc.SeparableConv2D(3, 3, **k),
        lambda **k: mc.DepthwiseConv2D(3, **k),
    ):  # fmt: skip
        inside, _ = build(lambda make=make: make(activation="relu"), (6, 5, 2))
        linear, _ = build(make, (6, 5, 2))
        x = rng.standard_normal((2, 6, 5, 2)).astype("float32")
        np.testing.assert_array_equal(inside(x), np.maximum(linear(x), 0))
