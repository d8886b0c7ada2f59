"""One harness that every layer must pass, then what is particular to each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minicnn as mc
from minicnn import layers
from minicnn.gradient_check import check_layer
from minicnn.kernels import NAMES, kernel_set
from minicnn.layers.chain import walk

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
    (lambda: mc.LeakyReLU(0.1), (6,)),
    (lambda: mc.Sigmoid(), (5,)),
    (lambda: mc.Softmax(), (4,)),
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
def test_shapes_types_and_inputs_are_kept(make, shape, kernels, dtype, batch, rng):
    layer, output_shape = build(make, shape, kernels, dtype)
    x = rng.standard_normal((batch, *shape)).astype(dtype)
    dy = rng.standard_normal((batch, *output_shape)).astype(dtype)
    before = x.copy(), dy.copy()
    for writeable in (True, False):
        x.flags.writeable = dy.flags.writeable = writeable
        y = layer.forward(x, training=True)
        dx = layer.backward(dy)
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


@every_layer
def test_inference_writes_nothing_and_backward_frees_what_forward_kept(make, shape, rng):
    layer, _ = build(make, shape)
    x = rng.standard_normal((2, *shape)).astype("float32")
    things = [*walk([layer]), *layer.parameters]
    before = [dict(vars(thing)) for thing in things]
    weights = [parameter.value.copy() for parameter in layer.parameters]
    layer.forward(x)
    for thing, old in zip(things, before, strict=True):
        new = vars(thing)
        assert old.keys() == new.keys() and all(new[key] is old[key] for key in old)
    for parameter, weight in zip(layer.parameters, weights, strict=True):
        np.testing.assert_array_equal(parameter.value, weight)
    y = layer.forward(x, training=True)
    layer.backward(np.ones_like(y))
    assert all(one._kept is None for one in walk([layer]))
    with pytest.raises(mc.StateError, match="Call forward with training=True first"):
        layer.backward(np.ones_like(y))


@every_layer
@every_set
def test_gradients_agree_with_differences(make, shape, kernels):
    for check in check_layer(make(), shape, batch=2, seed=4, kernels=kernels):
        assert check.passes(1e-6), str(check)
        assert check.kinks == 0


@every_layer
def test_config_makes_the_same_layer_again(make, shape):
    layer = make()
    again = type(layer)(**layer.config)
    assert again.config == layer.config and repr(again) == repr(layer)


@every_layer
def test_the_same_generator_makes_the_same_weights_and_none_makes_shapes_only(make, shape):
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
def test_drawn_windows_have_the_predicted_shape_and_right_gradients(
    layer, shape, window, stride, padding, batch
):
    filters = [2] if layer in (mc.Conv2D, mc.SeparableConv2D) else []
    made = layer(*filters, window, stride, padding)
    try:
        output_shape = made.build(shape, np.random.default_rng(0), "float64")
    except mc.ShapeError:
        assert padding == "valid" and (shape[0] < window[0] or shape[1] < window[1])
        return
    assert made.forward(np.zeros((batch, *shape))).shape == (batch, *output_shape)
    for check in check_layer(made, shape, batch):
        assert check.passes(1e-6), str(check)


def test_every_layer_is_in_the_harness():
    classes = {type(make()) for make, _ in CASES}
    assert classes == {getattr(layers, name) for name in layers.__all__} - {layers.Layer, layers.Parameter}


def test_the_first_layer_of_a_network_computes_no_dx(rng):
    picture, vector = (4, 4, 1), (4,)
    for layer, shape in (
        (mc.Conv2D(2, 3), picture),
        (mc.DepthwiseConv2D(3), picture),
        (mc.SeparableConv2D(2, 3), picture),
        (mc.Dense(2), vector),
        (mc.BatchNormalization(), vector),
        (mc.Residual([mc.Dense(4)], [mc.BatchNormalization()]), vector),
    ):
        layer.needs_dx = False
        layer.build(shape, rng)
        y = layer.forward(rng.standard_normal((2, *shape)), training=True)
        assert layer.backward(y) is None
        assert all(parameter.grad is not None for parameter in layer.parameters if parameter.trainable)


@given(st.sampled_from([0.0, 0.1, 0.5, 0.9]), st.integers(0, 50))
def test_dropout_silences_its_share_and_keeps_the_mean(rate, seed):
    layer = mc.Dropout(rate)
    layer.build((5000,), np.random.default_rng(seed))
    x = np.ones((4, 5000), "float32")
    y = layer.forward(x, training=True)
    assert set(np.unique(y)) <= {np.float32(0), np.float32(1 / (1 - rate))}
    deviation = (rate * (1 - rate) / x.size) ** 0.5
    assert abs((y == 0).mean() - rate) <= 5 * deviation
    np.testing.assert_array_equal(layer.backward(x), y)  # the gradient passes where the value passed
    assert layer.forward(x) is x


@pytest.mark.parametrize("noise_shape", [(None, 1, 1, 1), (None, 1, 1, None), (1, None, None, 1)])
def test_a_noise_shape_silences_together_what_shares_a_mask(noise_shape, rng):
    layer, _ = build(lambda: mc.Dropout(0.5, noise_shape), (8, 9, 10))
    x = rng.uniform(1, 2, (20, 8, 9, 10)).astype("float32")
    mask = layer.forward(x, training=True) / x
    shared = tuple(axis for axis, n in enumerate(noise_shape) if n == 1)
    np.testing.assert_allclose(mask.min(shared), mask.max(shared), rtol=1e-6)
    assert (mask == 0).any() and (mask > 1.9).any()
    np.testing.assert_allclose(layer.backward(x), mask * x, rtol=1e-6)
    with pytest.raises(mc.ShapeError, match="Dropout noise_shape: expected 2 axes"):
        layer.build((5,), None)


def test_dropout_differs_from_step_to_step_and_repeats_with_the_seed():
    outputs = []
    for _ in range(2):
        layer, _ = build(lambda: mc.Dropout(0.5), (100,))
        outputs.append([layer.forward(np.ones((1, 100), "float32"), training=True) for _ in range(2)])
    assert (outputs[0][0] != outputs[0][1]).any()
    np.testing.assert_array_equal(outputs[0], outputs[1])


def test_activations_do_not_overflow():
    x = np.array([[-1e4, -50.0, 0.0, 50.0, 1e4]], "float32")
    assert np.isfinite(mc.Sigmoid().forward(x)).all() and np.isfinite(mc.Softmax().forward(x)).all()
    np.testing.assert_allclose(mc.Softmax().forward(x).sum(), 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mc.Conv2D(0, 3), "Conv2D filters: expected an int of at least 1, received 0"),
        (lambda: mc.Conv2D(2, 0), "Conv2D kernel_size"),
        (lambda: mc.Conv2D(2, 3, strides=0), "Conv2D strides"),
        (lambda: mc.Conv2D(2, 3, padding="full"), "Conv2D padding"),
        (lambda: mc.Conv2D(2, 3, kernel_initializer="magic"), "glorot_uniform, he_normal, zeros"),
        (lambda: mc.Dense(1.5), "Dense units"),
        (lambda: mc.Dropout(1), "Dropout rate"),
        (lambda: mc.Dropout(0.1, (None, 7)), "Dropout noise_shape"),
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
    ],
)
def test_options_out_of_range_are_refused_in_words(make, message):
    with pytest.raises(mc.ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (
            lambda: mc.Dense(2),
            (4, 4, 3),
            r"Dense: expected a vector a sample, received shape \(4, 4, 3\). Put Flatten",
        ),
        (lambda: mc.Conv2D(2, 3), (12,), "Put it before Flatten"),
        (lambda: mc.Conv2D(2, 5), (4, 4, 3), "at least 5x5, received 4x4"),
        (lambda: mc.MaxPool2D(2, padding=2), (4, 4, 3), "A window must touch the picture"),
        (lambda: mc.GlobalAveragePool2D(), (4,), "Put it before Dense"),
        (lambda: mc.Softmax(), (4, 4, 3), "Put Flatten"),
        (lambda: mc.DepthwiseConv2D(5), (4, 4, 3), "at least 5x5, received 4x4"),
        (lambda: mc.SeparableConv2D(2, 3), (12,), "Put it before Flatten"),
        (
            lambda: mc.Residual([mc.Conv2D(2, 3)]),
            (4, 4, 3),
            r"both ways .* received \(2, 2, 2\) from the layers, \(4, 4, 3\) from the shortcut",
        ),
        (lambda: mc.Residual([mc.ReLU(), mc.Conv2D(2, 5)]), (4, 4, 3), "Residual: layer 2: Conv2D: .* 5x5"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_in_words(make, shape, message):
    with pytest.raises(mc.ShapeError, match=message):
        make().build(shape, np.random.default_rng(0))
