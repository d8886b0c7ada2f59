"""The execution plan: which layers are fused, which are not, and that fused layers compute the same numbers."""

import numpy as np
import pytest

import minicnn as mc
from minicnn import fusion
from minicnn.fusion import Branches, Fused


def layers(pool=None, between=()):
    pool = pool() if pool else mc.MaxPool2D(2)
    return [mc.Conv2D(5, 3), mc.ReLU(), *between, pool, mc.Conv2D(4, 2), mc.ReLU(), mc.MaxPool2D(2), mc.Flatten(),
            mc.Dense(1), mc.Sigmoid()]  # fmt: skip


def compiled(layers, kernels, shape):
    model = mc.Sequential(layers, kernels).build(shape, seed=2, dtype="float64")
    model.compile(mc.Adam(0.01))
    return model


def built(kernels, **settings):
    return compiled(layers(**settings), kernels, (13, 12, 2))


def fused_in_prediction(model):
    return fused(model.plan.prediction)


def fused(steps):
    return [repr(step) for step in steps if isinstance(step, Fused) and not isinstance(step, Branches)]


def test_the_plan_is_made_at_build_and_shown(capsys):
    model = built("fast")
    assert fused_in_prediction(model) == [
        "conv2d_1 + relu_1 + max_pool2d_1",
        "conv2d_2 + relu_2 + max_pool2d_2",
    ]
    model.summary()
    assert "Fused layers: conv2d_1 + relu_1 + max_pool2d_1" in capsys.readouterr().out
    assert fused_in_prediction(built("im2col")) == fused_in_prediction(built("reference")) == []
    assert fused(model.plan.training) == fused_in_prediction(model)


@pytest.mark.parametrize(
    "settings",
    [
        {"pool": lambda: mc.MaxPool2D(3, strides=2)},
        {"pool": lambda: mc.MaxPool2D(2, padding="same")},
        {"between": [mc.Dropout(0.1)]},
    ],
    ids=["3x3 pool", "padded pool", "dropout between"],
)
def test_a_pool_that_does_not_halve_the_image_is_not_fused_but_the_relu_is(settings):
    assert fused_in_prediction(built("fast", **settings)) == [
        "conv2d_1 + relu_1",
        "conv2d_2 + relu_2 + max_pool2d_2",
    ]


def modern(kernels):
    """Convolutions, pools and normalisations in this order, inside a Residual and outside."""
    inside = [mc.Conv2D(5, 3, padding="same"), mc.BatchNormalization(), mc.ReLU()]
    layers = [mc.Conv2D(5, 3), mc.MaxPool2D(2), mc.BatchNormalization(), mc.ReLU()]
    layers += [
        mc.Residual(
            [*inside, mc.Residual([mc.BatchNormalization(), mc.ReLU()])], [mc.Conv2D(5, 1), mc.ReLU()]
        )
    ]
    layers += [
        mc.Conv2D(4, 3, 2),
        mc.MaxPool2D(3, padding="same"),
        mc.GlobalAveragePool2D(),
        mc.Dense(1),
        mc.Sigmoid(),
    ]
    return compiled(layers, kernels, (13, 12, 2))


def test_layers_inside_residuals_are_fused(capsys):
    model = modern("fast")
    assert fused_in_prediction(model) == ["conv2d_1 + max_pool2d_1", "batch_normalization_1 + relu_1"]
    model.summary()
    lines = [
        line.split(": ", 1)[1] for line in capsys.readouterr().out.splitlines() if "Fused layers" in line
    ]
    assert lines == [
        "conv2d_1 + max_pool2d_1",
        "batch_normalization_1 + relu_1",
        "residual_1: batch_normalization_1 + relu_1",
        "residual_1: residual_1: batch_normalization_1 + relu_1",
        "residual_1: shortcut_conv2d_1 + shortcut_relu_1",
    ]
    assert not fused_in_prediction(modern("im2col"))


def train_alike(fused, plain, x, y):
    """Three training steps must give the same losses, weights, moving statistics and predictions."""
    for _ in range(3):
        one, other = fused.train_step(x, y), plain.train_step(x, y)
        assert one[0] == pytest.approx(other[0], rel=1e-12)
    for a, b in zip(fused.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(fused.predict(x), plain.predict(x), rtol=1e-8)


def test_fused_and_unfused_networks_with_residuals_train_alike(rng):
    """Weights and moving statistics agree with im2col, which fuses nothing."""
    x, y = rng.random((5, 13, 12, 2)), np.array([0, 1, 1, 0, 1])
    fused, plain = modern("fast"), modern("im2col")
    train_alike(fused, plain, x, y)


@pytest.mark.parametrize(
    "settings", [{}, {"pool": lambda: mc.MaxPool2D(3, strides=2)}], ids=["block", "no pool"]
)
def test_fused_equals_unfused(settings, rng, monkeypatch):
    x, y = rng.random((5, 13, 12, 2)), np.array([0, 1, 1, 0, 1])
    fused = built("fast", **settings)
    monkeypatch.setattr(fusion, "TRAINING", ())
    monkeypatch.setattr(fusion, "PREDICTION", ())
    plain = built("fast", **settings)
    assert fused_in_prediction(fused) and not fused_in_prediction(plain)
    for _ in range(3):
        one, other = fused.train_step(x, y), plain.train_step(x, y)
        assert one[0] == pytest.approx(other[0], rel=1e-12)
    for a, b in zip(fused.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fused.predict(x), plain.predict(x), rtol=1e-10)


def fused_in_first_branch(step):
    """The fused layers in the first branch of a Residual."""
    return fused((step if isinstance(step, Branches) else step.layers[0]).plans[0].prediction)


def residuals(kernels):
    """Residuals whose first, second or neither branch ends in a convolution, with and without a ReLU after them."""
    inner = mc.Residual([mc.ReLU(), mc.Conv2D(5, 3, padding="same")])
    layers = [
        mc.Residual([mc.Conv2D(4, 3, padding="same"), mc.ReLU(), mc.Conv2D(2, 3, padding="same")]), mc.ReLU(),
        mc.Residual([mc.Conv2D(5, 3, padding="same"), mc.MaxPool2D(2)], [mc.ReLU(), mc.Conv2D(5, 1, 2)]),
        mc.Residual([inner, mc.ReLU()]), mc.ReLU(), mc.GlobalAveragePool2D(), mc.Dense(1), mc.Sigmoid(),
    ]  # fmt: skip
    return compiled(layers, kernels, (12, 14, 2))


def test_the_convolution_at_the_end_of_a_branch_adds_the_other_branch(rng):
    x, y = rng.normal(0, 1, (5, 12, 14, 2)), np.array([0, 1, 1, 0, 1])
    fused, plain = residuals("fast"), residuals("im2col")
    assert fused_in_prediction(fused) == ["residual_1 + relu_1", "residual_2"] and not fused_in_prediction(
        plain
    )
    assert fused_in_first_branch(fused.plan.prediction[2]) == ["residual_1 + relu_1"]
    before = x.copy()
    np.testing.assert_allclose(fused.predict(x), plain.predict(x), rtol=1e-10)
    np.testing.assert_array_equal(x, before)
    train_alike(fused, plain, x, y)


def test_the_summary_shows_fused_layers_inside_fused_residuals(capsys):
    residuals("fast").summary()
    lines = [
        line.split(": ", 1)[1] for line in capsys.readouterr().out.splitlines() if "Fused layers" in line
    ]
    assert lines == [
        "residual_1 + relu_1",
        "residual_1: conv2d_1 + relu_1",
        "residual_2",
        "residual_2: conv2d_1 + max_pool2d_1",
        "residual_3: residual_1 + relu_1",
    ]


def separable(kernels):
    """Separable convolutions with each layer that may be fused with them, also inside a Residual."""
    layers = [
        mc.SeparableConv2D(20, 3, padding="same"),
        mc.ReLU(),
        mc.SeparableConv2D(16, 3),
        mc.MaxPool2D(2),
    ]
    layers += [
        mc.Residual([mc.SeparableConv2D(16, 3, padding="same")]),
        mc.BatchNormalization(),
        mc.ReLU(),
        mc.SeparableConv2D(16, 3, padding="same"),
        mc.ReLU(),
        mc.SeparableConv2D(4, 2),
        mc.MaxPool2D(3),
    ]
    layers += [mc.Flatten(), mc.Dense(1), mc.Sigmoid()]
    return compiled(layers, kernels, (13, 14, 17))


def test_separable_convolutions_are_fused_in_prediction_but_not_in_training(rng):
    x, y = rng.random((5, 13, 14, 17)), np.array([0, 1, 1, 0, 1])
    fused, plain = separable("fast"), separable("im2col")
    one, other = "separable_conv2d_1 + relu_1", "separable_conv2d_2 + max_pool2d_1"
    third = "batch_normalization_1 + relu_2 + separable_conv2d_3 + relu_3"
    assert fused_in_prediction(fused) == [
        one,
        other,
        third,
        "separable_conv2d_4",
    ] and not fused_in_prediction(plain)
    assert fused_in_first_branch(fused.plan.prediction[2]) == ["separable_conv2d_1"]
    steps = [repr(step) if isinstance(step, Fused) else step.name for step in fused.plan.training]
    assert steps[5:8] == ["batch_normalization_1 + relu_2", "separable_conv2d_3", "relu_3"]
    np.testing.assert_allclose(fused.predict(x), plain.predict(x), rtol=1e-10)
    train_alike(fused, plain, x, y)


def test_an_activation_inside_a_layer_is_fused_like_a_separate_layer(rng):
    inside = [mc.Conv2D(5, 3, activation="relu"), mc.MaxPool2D(2), mc.Flatten(), mc.Dense(1, "sigmoid")]
    apart = [mc.Conv2D(5, 3), mc.ReLU(), mc.MaxPool2D(2), mc.Flatten(), mc.Dense(1), mc.Sigmoid()]
    one, other = (compiled(layers, "fast", (13, 12, 2)) for layers in (inside, apart))
    assert fused_in_prediction(one) == ["conv2d_1 + relu + max_pool2d_1"]
    x, y = rng.random((5, 13, 12, 2)), np.array([0, 1, 1, 0, 1])
    for _ in range(3):
        assert one.train_step(x, y)[0] == other.train_step(x, y)[0]
    np.testing.assert_array_equal(one.predict(x), other.predict(x))


@pytest.mark.parametrize(
    "layers",
    [
        [mc.Conv2D(4, 3, dilation_rate=2), mc.ReLU()],
        [mc.Conv2D(4, 3), mc.ReLU(max_value=6)],
        [mc.SeparableConv2D(4, 3, dilation_rate=2)],
        [mc.BatchNormalization(), mc.ReLU(negative_slope=0.1)],
        [mc.Residual([mc.Conv2D(2, 3, padding="same", dilation_rate=2)])],
    ],
    ids=lambda layers: repr(layers[-1]),
)
def test_layers_with_options_that_no_fused_kernel_supports_are_not_fused(layers):
    assert not fused_in_prediction(mc.Sequential(layers, "fast").build((9, 9, 2)))
