"""Sequential: building, training loops by hand, sharing and freezing layers, prediction, saving and loading."""

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import minicnn as mc
from minicnn import networks
from minicnn.kernels import NAMES


def network(**settings):
    layers = [
        mc.Conv2D(4, 3),
        mc.ReLU(),
        mc.MaxPool2D(2),
        mc.Flatten(),
        mc.Dropout(0.2),
        mc.Dense(1),
        mc.Sigmoid(),
    ]
    return mc.Sequential(layers, **settings)


def test_layers_are_named_and_numbered():
    model = networks.two_block().build((64, 64, 3))
    names = [parameter.name for parameter in model.parameters]
    assert names[:4] == ["conv2d_1/weight", "conv2d_1/bias", "conv2d_2/weight", "conv2d_2/bias"]
    assert names[-1] == "dense_2/bias" and len(set(names)) == len(names)
    assert list(model.named_parameters) == names
    assert model.get_layer("conv2d_2") is model.layers[3] and model.get_layer(index=-1) is model.layers[-1]


def test_building_again_keeps_the_weights_and_the_state_of_the_optimizer(rng):
    model = mc.Sequential([mc.Conv2D(4, 3), mc.GlobalAveragePool2D(), mc.Dense(1, "sigmoid")]).build(
        (8, 8, 1), seed=1
    )
    model.compile("adam")
    model.train_step(rng.random((2, 8, 8, 1)), [0, 1])
    first, values = model.get_weights(), [parameter.value for parameter in model.parameters]
    model.build((12, 10, 1), seed=2)
    assert all(parameter.value is value for parameter, value in zip(model.parameters, values, strict=True))
    model.train_step(rng.random((2, 12, 10, 1)), [0, 1])
    assert model.optimizer.iterations == 2
    assert all((a != b).any() for a, b in zip(first, model.get_weights(), strict=True))
    assert model.parameters[0].name == "conv2d_1/weight"


def test_a_seed_repeats_the_weights_and_none_draws_them_at_random():
    def first(seed):
        return network().build((8, 8, 1), seed=seed).get_weights()[0]

    np.testing.assert_array_equal(first(3), first(3))
    assert (first(3) != first(4)).any() and (first(None) != first(None)).any()


def test_a_build_that_fails_leaves_the_model_unchanged(rng):
    model = mc.Sequential([mc.Conv2D(2, 9), mc.Flatten(), mc.Dense(1)])
    with pytest.raises(mc.ShapeError):
        model.build((4, 4, 1))
    with pytest.raises(mc.StateError, match="a built model"):
        model.predict(rng.random((2, 4, 4, 1)))
    x = rng.random((2, 9, 9, 1))
    before = model.build((9, 9, 1)).predict(x)
    for shape in ((4, 4, 1), (20, 20, 1)):  # too small for the convolution; does not fit the dense weights
        with pytest.raises(mc.ShapeError):
            model.build(shape)
        assert model.input_shape == (9, 9, 1)
        np.testing.assert_array_equal(model.predict(x), before)


def test_preprocessing_may_hold_tuples_and_numpy_numbers(tmp_path):
    model = network().build((8, 8, 1))
    model.class_names, model.preprocessing = ("cat", "dog"), {"height": np.int64(8), "scale": np.float32(0.5)}
    model.save(tmp_path / "m.safetensors")
    again = mc.load_model(tmp_path / "m.safetensors")
    assert again.class_names == ["cat", "dog"] and again.preprocessing == {"height": 8, "scale": 0.5}
    with pytest.raises(mc.ArgumentError, match="numbers, strings"):
        model.preprocessing = {"by": object()}
    assert model.preprocessing == {"height": 8, "scale": 0.5}


@pytest.mark.parametrize("kernels", NAMES)
@pytest.mark.parametrize("shape", [(4, 4), (4,), (), (1, 4, 1), (3, 1), (40_000, 1)])
def test_a_gradient_of_another_shape_or_batch_is_refused(kernels, shape, rng):
    """A gradient (N, N) results from p - y with predictions (N, 1) and targets (N,)."""
    model = network(kernels=kernels).build((8, 8, 1))
    _, caches = model.forward(rng.random((4, 8, 8, 1)), training=True)
    with pytest.raises(mc.ShapeError, match=r"a gradient of shape \(4, 1\)"):
        model.backward(np.ones(shape), caches)
    for wrong in (None, [], caches[:-1], network().build((8, 8, 1)).forward(rng.random((4, 8, 8, 1)))[1]):
        with pytest.raises(mc.StateError):
            model.backward(np.ones((4, 1)), wrong)
    assert all(parameter.grad is None for parameter in model.parameters)


@pytest.mark.parametrize("kernels", NAMES)
def test_a_gradient_of_another_type_is_cast(kernels, rng):
    x, dy = rng.random((4, 8, 8, 1)), rng.random((4, 1))
    gradients = []
    for given in (dy, dy.astype("float32")):
        model = network(kernels=kernels).build((8, 8, 1))
        _, caches = model.forward(x, training=True)
        assert model.backward(given, caches).shape == x.shape
        gradients.append([parameter.grad for parameter in model.parameters])
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_training_loop_by_hand_trains_like_fit(rng):
    x, y = rng.random((12, 8, 8, 1)).astype("float32"), rng.integers(0, 2, 12)
    fitted = network().build((8, 8, 1))
    fitted.compile(mc.Adam(0.01))
    fitted.fit(x, y, epochs=2, batch_size=4, shuffle=False, verbose=0)

    model, loss_function, optimizer = network().build((8, 8, 1)), mc.BinaryCrossEntropy(), mc.Adam(0.01)
    for _ in range(2):
        for start in range(0, 12, 4):
            batch = slice(start, start + 4)
            prediction, caches = model.forward(x[batch], training=True)
            _, dprediction = loss_function(y[batch], prediction)
            model.backward(dprediction, caches)
            optimizer.step(model.parameters)
            model.update_state(caches)
    for one, other in zip(fitted.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_predict_keeps_the_order_and_does_not_depend_on_the_batch(classes, rng):
    model = networks.two_block(classes).build((22, 20, 3))
    x = rng.random((7, 22, 20, 3))
    whole = model.predict(x, batch_size=7)
    assert whole.shape == (7, 1 if classes == 2 else 3)
    np.testing.assert_allclose(model.predict(x, batch_size=2), whole, rtol=1e-5, atol=1e-6)
    wanted = whole.argmax(1) if classes == 3 else (whole[:, 0] > 0.5).astype(int)
    np.testing.assert_array_equal(model.predict_classes(x), wanted)


@pytest.mark.parametrize("kernels", ["im2col", "fast"])
def test_many_threads_may_predict_with_one_model(kernels, rng):
    model = networks.two_block(kernels=kernels).build((22, 22, 3))
    inputs = rng.random((16, 3, 22, 22, 3)).astype("float32")
    wanted = [model.predict(x) for x in inputs]
    with ThreadPoolExecutor(16) as threads:
        for got, one in zip(threads.map(model.predict, list(inputs) * 4), wanted * 4, strict=True):
            np.testing.assert_allclose(got, one, rtol=1e-5)


def test_every_kernel_set_trains_the_network_alike(rng):
    x, y = rng.random((4, 22, 22, 3)), np.array([0, 1, 1, 0])
    results = []
    for kernels in NAMES:
        model = networks.two_block(kernels=kernels).build((22, 22, 3), dtype="float64")
        model.compile()
        results.append([model.train_step(x, y)[0] for _ in range(3)])
    for losses in results[1:]:
        np.testing.assert_allclose(losses, results[0], rtol=1e-9)


def test_parameter_counts_agree_with_the_published_ones():
    for make, size, count in ((networks.two_block, 64, 813_217), (networks.four_block, 150, 3_453_121)):
        assert sum(p.value.size for p in make().build((size, size, 3)).parameters) == count


def test_the_summary_shows_the_cost_of_an_image(capsys):
    networks.two_block().build((64, 64, 3)).summary()
    out = capsys.readouterr().out
    assert "Total params: 813,217 (3.10 MB)" in out
    assert f"{62 * 62 * 27 * 32 + 29 * 29 * 288 * 32 + 6272 * 128 + 128:,} multiply-adds" in out
    assert "(None, 62, 62, 32)" in out and "max_pool2d_2 (MaxPool2D)" in out


# ------------------------------------------------------------------------------------- messages
def test_the_message_for_a_layer_that_does_not_fit_has_its_number():
    with pytest.raises(
        mc.ShapeError, match=r"layer 3: Conv2D: expected images of at least 3x3, received 2x2"
    ):
        mc.Sequential([mc.Conv2D(2, 3), mc.MaxPool2D(2), mc.Conv2D(2, 3)]).build((6, 6, 1))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: mc.Sequential([]).build((2,)).predict(np.ones((1, 2))),
            mc.StateError,
            "a model with layers",
        ),
        (lambda: mc.Sequential(mc.Dense(1)), mc.ArgumentError, "Put it into a list"),
        (lambda: mc.Sequential([mc.Sequential([mc.Dense(1)])]), mc.ArgumentError, r"\*model.layers"),
        (
            lambda: mc.Sequential([mc.Dense(1), mc.Input((2,))]),
            mc.ArgumentError,
            "Input only as the first entry",
        ),
        (lambda: mc.Sequential([mc.Dense(1)]).build(4), mc.ArgumentError, "Write it as a tuple"),
        (lambda: mc.Sequential([mc.Dense(1), mc.Softmax()]).build((2,)), mc.ShapeError, "at least 2 values"),
        (lambda: mc.Sequential([mc.Dense(1, "softmax")]).build((2,)), mc.ShapeError, "at least 2 values"),
        (lambda: mc.Sequential([mc.ReLU]), mc.ArgumentError, "Write ReLU"),
        (
            lambda: mc.Sequential([mc.Dense(1)], kernels="cuda"),
            mc.ArgumentError,
            '"reference", "im2col" or "fast"',
        ),
        (lambda: mc.Sequential([mc.Dense(1)]).predict(np.ones((1, 2))), mc.StateError, "Call build"),
        (lambda: mc.Sequential([mc.Dense(1)]).build((0,)), mc.ArgumentError, "at least 1"),
        (lambda: mc.Sequential([mc.Dense(1)]).build(()), mc.ShapeError, "at least one size"),
        (
            lambda: mc.Sequential([mc.Dense(1)]).build((2,), dtype="int32"),
            mc.ArgumentError,
            "float32 or float64",
        ),
        (lambda: mc.Sequential([mc.Dense(1)]).build((2,)).forward(np.ones(2)), mc.ShapeError, r"x\[None\]"),
        (
            lambda: mc.Sequential([mc.Dense(1)]).build((2,)).compile("rocket", "mse"),
            mc.ArgumentError,
            "sgd, adam, adamw",
        ),
        (
            lambda: mc.Sequential([mc.Dense(1)]).build((2,)).compile(loss="hinge"),
            mc.ArgumentError,
            "mean_squared_error",
        ),
        (
            lambda: mc.Sequential([mc.Dense(1)]).build((2,)).compile(loss="mse", metrics=["x"]),
            mc.ArgumentError,
            "accuracy",
        ),
        (
            lambda: mc.Sequential([mc.Dense(1)]).build((2,)).compile(),
            mc.ArgumentError,
            "neither Sigmoid nor Softmax",
        ),
        (
            lambda: mc.Sequential([mc.Dense(1)]).build((2,)).set_weights([np.ones(3)]),
            mc.ShapeError,
            "set_weights",
        ),
    ],
)
def test_wrong_calls_are_refused_with_a_message(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_one_layer_object_may_not_appear_twice():
    relu = mc.ReLU()
    with pytest.raises(mc.ArgumentError, match="one object twice"):
        mc.Sequential([relu, relu])


# --------------------------------------------------------------------------------------- saving
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_loaded_model_equals_the_saved_one(tmp_path, rng, dtype):
    model = network(name="cats").build((8, 7, 2), seed=3, dtype=dtype)
    model.class_names, model.preprocessing = ["cat", "Hündin"], {"height": 8}
    path = tmp_path / "new folder" / "model.safetensors"
    model.save(path)
    again = mc.load_model(path)
    x = rng.random((3, 8, 7, 2))
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    assert (again.class_names, again.preprocessing, again.name, again.dtype) == (
        model.class_names,
        {"height": 8},
        "cats",
        dtype,
    )
    assert [repr(layer) for layer in again.layers] == [repr(layer) for layer in model.layers]
    again.compile()
    again.fit(x, np.array([0, 1, 1]), verbose=0)  # it can be trained further
    assert [item.name for item in path.parent.iterdir()] == ["model.safetensors"]


def test_class_names_and_preprocessing_are_checked_when_they_are_set(tmp_path):
    model = network().build((8, 8, 1))
    for name, wrong in (
        ("class_names", ["dog"]), ("class_names", ["a", "b", "c"]), ("class_names", ["a", "a"]), ("class_names", "ab"),
        ("class_names", [1, 2]), ("preprocessing", 7), ("preprocessing", {1: 2}),
    ):  # fmt: skip
        with pytest.raises(mc.ArgumentError, match=name):
            setattr(model, name, wrong)
    assert model.class_names is model.preprocessing is None
    model.class_names, model.preprocessing = np.array(["cat", "dog"]), mc.data.Preprocessing(8, 8)
    model.save(tmp_path / "m")
    again = mc.load_model(tmp_path / "m")
    assert again.class_names == ["cat", "dog"] and again.preprocessing["height"] == 8
    mc.Sequential([mc.Dense(1)]).build((np.int64(3),)).save(tmp_path / "m")  # NumPy's ints are accepted


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    model = network().build((8, 8, 1))
    for bad in (np.nan, np.inf):
        model.layers[0].bias.value[2] = bad
        for save in (model.save, model.save_weights):
            with pytest.raises(mc.NonFiniteError, match="conv2d_1/bias"):
                save(tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_every_layer_can_be_saved(tmp_path):
    layers = [
        mc.Conv2D(2, (2, 3), strides=(1, 2), padding=((0, 1), (2, 0)), use_bias=False), mc.LeakyReLU(0.2),
        mc.AveragePool2D(2, padding="same"), mc.MaxPool2D(2, strides=1), mc.Conv2D(3, 1, padding="same"), mc.ReLU(),
        mc.BatchNormalization(0.9, 0.01), mc.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
        mc.Residual([mc.Dropout(0.2), mc.SeparableConv2D(5, (1, 2), padding=((0, 0), (1, 0)))], [mc.Conv2D(5, 1)]),
        mc.Dropout(0.1), mc.GlobalAveragePool2D(), mc.Dense(4, kernel_initializer="he_normal"), mc.Softmax(),
    ]  # fmt: skip
    model = mc.Sequential(layers).build((9, 8, 3))
    model.save(tmp_path / "m")
    again = mc.load_model(tmp_path / "m")
    assert repr(again.layers) == repr(tuple(layers))
    other = mc.Sequential([mc.Flatten(), mc.Dense(1), mc.Sigmoid()]).build((2, 2, 1))
    other.save(tmp_path / "o")
    assert mc.load_model(tmp_path / "o", kernels="reference").kernels_name == "reference"


class Scale(mc.layers.Layer):
    """A layer that a user might write."""

    def __init__(self, by=1.0):
        super().__init__()
        self.by = by

    def build(self, input_shape, rng, dtype="float32"):
        self.factor = self.parameter("factor", input_shape[-1:], "ones", rng, dtype)
        return input_shape

    def forward(self, x, training=False):
        return x * self.by * self.factor.value, x

    def backward(self, dy, x):
        self.factor.grad = (dy * x * self.by).sum(0)
        return dy * self.by * self.factor.value


class Squared(mc.losses.Loss):
    """A loss that a user might write."""

    def terms(self, target, prediction):
        return ((prediction - target) ** 2).mean(1), 2 * (prediction - target) / prediction.shape[1]


def worst(target, prediction):
    """A metric that a user might write."""
    return np.abs(target - prediction).max()


def test_a_users_layers_losses_and_metrics_are_saved_loaded_and_trained(tmp_path, rng):
    model = mc.Sequential([mc.Dense(4), Scale(3.0), mc.ReLU(), mc.Dense(2)]).build((3,), dtype="float64")
    model.compile("adam", Squared(), [worst])
    for check in mc.gradient_check.check_model(
        model, rng.standard_normal((5, 3)), rng.standard_normal((5, 2))
    ):
        assert check.passes(), str(check)
    x, y = rng.random((8, 3)), rng.random((8, 2))
    model.fit(x, y, epochs=2, verbose=0)
    model.save(tmp_path / "m")
    with pytest.raises(mc.ModelFileError, match="custom_objects"):
        mc.load_model(tmp_path / "m")
    own = {"Scale": Scale, "Squared": Squared, "worst": worst}
    again = mc.load_model(tmp_path / "m", custom_objects=own)
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    assert again.evaluate(x, y) == model.evaluate(x, y)
    np.testing.assert_allclose(mc.Predictor(again).predict(x), model.predict(x))
    only_layers = mc.load_model(tmp_path / "m", custom_objects={"Scale": Scale})
    np.testing.assert_array_equal(only_layers.predict(x), model.predict(x))
    with pytest.raises(mc.StateError, match="Call compile"):
        only_layers.evaluate(x, y)
    with pytest.raises(mc.ArgumentError, match="a dictionary"):
        mc.load_model(tmp_path / "m", custom_objects=[Scale])


def test_a_loaded_model_is_compiled_like_the_saved_one(tmp_path, rng):
    model = network().build((8, 8, 1))
    model.compile(mc.SGD(0.3, momentum=0.5), mc.BinaryCrossEntropy(label_smoothing=0.1), ["accuracy"])
    model.save(tmp_path / "m")
    again = mc.load_model(tmp_path / "m")
    assert repr(again.optimizer) == repr(model.optimizer) and again.loss == model.loss
    assert list(again.metrics) == ["accuracy"] and again.optimizer.iterations == 0


def test_the_flag_trainable_of_layers_and_parameters_is_saved(tmp_path):
    layers = [mc.Conv2D(2, 3), mc.BatchNormalization(), mc.Residual([mc.ReLU()]), mc.Flatten(), mc.Dense(1)]
    model = mc.Sequential(layers)
    model.build((5, 5, 1))
    model.freeze(until=3)
    model.layers[4].bias.trainable = False
    model.save(tmp_path / "m")
    again = mc.load_model(tmp_path / "m")
    assert [layer.trainable for layer in again.layers] == [False, False, False, True, True]
    assert [p.trainable for p in again.parameters] == [False] * 6 + [True, False]


def test_weights_can_be_saved_and_loaded_without_the_model(tmp_path, rng):
    one, other = network().build((8, 8, 1), seed=1), network().build((8, 8, 1), seed=2)
    one.save_weights(tmp_path / "w")
    other.load_weights(tmp_path / "w")
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    small = mc.Sequential([mc.Dense(1)]).build((2,))
    before = small.get_weights()
    with pytest.raises(mc.ModelFileError, match="unexpected conv2d_1/weight"):
        small.load_weights(tmp_path / "w")
    np.testing.assert_array_equal(small.get_weights()[0], before[0])
    with pytest.raises(mc.ModelFileError):
        mc.load_model(tmp_path / "w")


# ------------------------------------------------------------------------- sharing, changing, freezing
def classifier(**settings):
    layers = [mc.Dense(8), mc.ReLU(), mc.Dense(3, name="head"), mc.Softmax()]
    return mc.Sequential(layers, **{"kernels": "reference", **settings}).build((4,))


def test_a_layer_in_a_second_model_keeps_and_shares_its_weights(rng):
    model, x = classifier(), rng.random((6, 4))
    before, names = model.predict(x), list(model.named_parameters)
    features = mc.Sequential(model.layers[:2], "im2col").build((4,), seed=5)
    np.testing.assert_allclose(features.predict(x), model.trace(x)["relu_1"], rtol=1e-6)
    residual = mc.Sequential([mc.Residual([model.layers[0]], [mc.Dense(8)])], "reference").build((4,), seed=3)
    other = mc.Sequential([mc.Dense(4), *model.layers]).build((7,), seed=4)
    np.testing.assert_array_equal(model.predict(x), before)
    assert list(model.named_parameters) == names and len(set(other.named_parameters)) == 6
    other.compile("sgd", "categorical_crossentropy")
    other.train_step(rng.random((6, 7)), np.eye(3)[[0, 1, 2, 0, 1, 2]])
    assert np.abs(model.predict(x) - before).max() > 1e-6  # shared: training one changes the other
    assert residual.layers[0].layers[0].weight is model.layers[0].weight
    with pytest.raises(mc.ShapeError, match="Make a new layer"):
        mc.Sequential(model.layers[:1]).build((5,))
    with pytest.raises(mc.ArgumentError, match="a model of float32"):
        mc.Sequential([model.layers[0]]).build((4,), dtype="float64")


def test_one_layer_works_in_two_models_with_different_sizes_and_kernels(rng):
    layers = [mc.Conv2D(3, 3, 2, "same", "relu"), mc.GlobalAveragePool2D()]
    small, large = (
        mc.Sequential(layers, "fast").build((6, 6, 2)),
        mc.Sequential(layers, "reference").build((9, 7, 2)),
    )
    x, X = rng.random((2, 6, 6, 2)), rng.random((2, 9, 7, 2))
    alone = mc.Sequential([copy.deepcopy(layer) for layer in layers], "reference").build((6, 6, 2))
    np.testing.assert_allclose(small.predict(x), alone.predict(x), rtol=1e-5)
    assert large.predict(X).shape == (2, 3) and small.output_shapes[0] == (3, 3, 3)


def test_the_layers_of_a_model_can_only_be_changed_by_add_and_pop(rng):
    model = classifier()
    for change in (
        lambda: model.layers.append(mc.ReLU()), lambda: model.layers.pop(),
        lambda: model.layers.__setitem__(0, mc.ReLU()),
        lambda: setattr(model, "layers", []), lambda: setattr(model.layers[2], "units", 5),
        lambda: mc.Residual([mc.ReLU()]).layers.append(mc.ReLU()),
    ):  # fmt: skip
        with pytest.raises((AttributeError, TypeError)):
            change()
    with pytest.raises(mc.UnknownAttributeError, match="optimiser"):
        model.optimiser = "adam"


def test_add_and_pop_rebuild_the_model_and_keep_its_weights(rng):
    model, x = mc.Sequential(), rng.random((2, 4))
    model.add(mc.Input((4,)))
    for layer in (mc.Dense(8), mc.ReLU(), mc.Dense(3)):
        model.add(layer)
    weights = model.get_weights()
    before = model.predict(x)
    model.add(mc.Softmax())
    np.testing.assert_allclose(model.predict(x).sum(1), 1, rtol=1e-6)
    assert type(model.pop()) is mc.Softmax
    np.testing.assert_array_equal(model.predict(x), before)
    with pytest.raises(mc.ShapeError):
        model.add(mc.Conv2D(2, 3))
    assert len(model.layers) == 3 and model.count_params() == 4 * 8 + 8 + 8 * 3 + 3
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    with pytest.raises(mc.StateError):
        mc.Sequential().pop()


@pytest.mark.parametrize("kernels", NAMES)
def test_frozen_layers_do_not_change_and_backward_stops_at_the_first_trainable_layer(
    kernels, rng, monkeypatch
):
    layers = [
        mc.Conv2D(3, 3),
        mc.BatchNormalization(),
        mc.ReLU(),
        mc.Conv2D(4, 3),
        mc.ReLU(),
        mc.GlobalMaxPool2D(),
    ]
    model = mc.Sequential([*layers, mc.Dense(1, "sigmoid", name="head")], kernels).build((9, 8, 2))
    model.compile(mc.Adam(0.1))
    model.freeze(until="head")
    before, called = model.get_weights(), []
    original = mc.kernels.kernel_set(kernels).conv2d_backward
    monkeypatch.setattr(
        mc.kernels.kernel_set(kernels), "conv2d_backward", lambda *a: called.append(a) or original(*a)
    )
    x, y = rng.normal(3, 2, (6, 9, 8, 2)), np.arange(6) % 2
    loss = [model.train_step(x, y)[0] for _ in range(3)]
    changed = [(a != b).any() for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed == [False] * 8 + [True, True] and loss[-1] < loss[0] and not called
    assert all(parameter.grad is None for parameter in model.parameters[:8])
    model.unfreeze()
    model.train_step(x, y)
    changed = [(a != b).any() for a, b in zip(before, model.get_weights(), strict=True)]
    assert all(changed)
    for wrong in ("haed", 9, 1.5, mc.ReLU()):
        with pytest.raises(mc.ArgumentError):
            model.freeze(until=wrong)
    assert all(layer.trainable for layer in model.layers)


# --------------------------------------------------------------------------- all or nothing changes
@pytest.mark.parametrize("kernels", NAMES)
def test_computing_gradients_does_not_change_the_model(kernels, rng):
    model = network(kernels=kernels).build((8, 8, 1))
    model.compile()
    x, y = rng.random((4, 8, 8, 1)), np.array([0, 1, 1, 0])
    before, state = pickle.dumps(model.get_weights()), pickle.dumps(model.state["layers"])
    loss, prediction = model.compute_gradients(x, y)
    again = model.compute_gradients(x, y)
    assert again[0] == loss and pickle.dumps(model.get_weights()) == before
    np.testing.assert_array_equal(again[1], prediction)
    assert pickle.dumps(model.state["layers"]) == state and model.optimizer.iterations == 0


def test_a_call_that_is_refused_changes_nothing(rng):
    model, x, y = classifier(), rng.random((6, 4)), np.arange(6) % 3
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    model.train_step(x, y)
    before = model.optimizer, model.loss, model.metrics, model.outputs
    weights, state = model.get_weights(), model.state
    other = network().build((8, 8, 1)).state
    zeros = {name: np.zeros_like(weight) for name, weight in state["weights"].items()}
    for call in (
        lambda: model.compile("sgd", "binary_crossentropy", ["accuracy"]), lambda: model.compile("sgd", "msee"),
        lambda: model.compile("sgd", "sparse_categorical_crossentropy", ["no metric"]), lambda: model.compile(7),
        lambda: model.set_weights([np.zeros_like(weights[0]), *(np.full(w.shape, "q") for w in weights[1:])]),
        lambda: model.set_weights(weights[:-1]), lambda: model.set_weights(None), lambda: model.set_weights("weights"),
        lambda: setattr(model, "state", other), lambda: setattr(model, "state", state | {"layers": []}),
        lambda: setattr(model, "state", {}), lambda: setattr(model, "state", 7),
        lambda: setattr(model, "state", state | {"weights": zeros, "optimizer": {"iterations": 3}}),
    ):  # fmt: skip
        with pytest.raises(mc.MinicnnError):
            call()
        assert before == (model.optimizer, model.loss, model.metrics, model.outputs)
        for old, new in zip(weights, model.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
    assert model.optimizer.iterations == 1
    model.set_weights(w for w in weights)  # a generator of arrays is accepted, too


def test_an_optimizer_compiled_into_a_second_model_is_reset_there_and_refused_by_the_first(rng):
    one, other = classifier(), classifier()
    optimizer, x, y = mc.Adam(mc.CosineDecay(0.1, 5)), rng.random((6, 4)), np.arange(6) % 3
    one.compile(optimizer, "sparse_categorical_crossentropy")
    for _ in range(5):
        one.train_step(x, y)
    one.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])
    assert optimizer.iterations == 5  # the same model: it resumes
    other.compile(optimizer, "sparse_categorical_crossentropy")
    assert optimizer.iterations == 0
    fresh = classifier()
    fresh.compile(mc.Adam(mc.CosineDecay(0.1, 5)), "sparse_categorical_crossentropy")
    assert [other.train_step(x, y)[0] for _ in range(3)] == [fresh.train_step(x, y)[0] for _ in range(3)]
    with pytest.raises(mc.StateError, match="the optimizer of this model"):
        one.train_step(x, y)


def test_copied_and_pickled_models_continue_training_alike(rng):
    model, x, y = network().build((8, 8, 1)), rng.random((6, 8, 8, 1)), np.arange(6) % 2
    model.compile(mc.Adam(0.01), metrics=["accuracy"])
    model.train_step(x, y)
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    wanted = [model.train_step(x, y)[0] for _ in range(3)]
    for again in copies:
        assert [
            again.train_step(x, y)[0] for _ in range(3)
        ] == wanted  # moments and dropout's generator included
        assert not np.shares_memory(again.parameters[0].value, model.parameters[0].value)
        np.testing.assert_array_equal(again.predict(x), model.predict(x))
    predictor = mc.Predictor(model)
    np.testing.assert_array_equal(copy.deepcopy(predictor).predict(x), predictor.predict(x))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(predictor)).predict(x), predictor.predict(x))


def test_a_second_thread_may_predict_but_not_train(rng):
    model, x, y = classifier(), rng.random((6, 4)), np.arange(6) % 3
    model.compile("adam", "sparse_categorical_crossentropy")
    results = []

    def other():
        results.append(model.predict(x).shape)
        for call in (lambda: model.fit(x, y, verbose=0), lambda: model.train_step(x, y)):
            try:
                call()
            except mc.StateError as error:
                results.append(str(error))

    with model.training_lock:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert results[0] == (6, 3) and len(results) == 3 and all("thread" in text for text in results[1:])
    model.fit(x, y, verbose=0)


def test_regularizers_add_to_the_loss_and_to_its_gradient(rng):
    layers = [mc.Dense(3, kernel_regularizer=mc.L2(0.1)), mc.Dense(1, "sigmoid", kernel_regularizer="l1")]
    model = mc.Sequential(layers, "reference").build((4,), dtype="float64")
    model.compile("sgd")
    x, y = rng.random((6, 4)), np.arange(6) % 2
    plain = mc.Sequential([mc.Dense(3), mc.Dense(1, "sigmoid")], "reference").build((4,), dtype="float64")
    plain.compile("sgd")
    plain.set_weights(model.get_weights())
    penalty = 0.1 * (layers[0].weight.value ** 2).sum() + 0.01 * np.abs(layers[1].weight.value).sum()
    assert model.evaluate(x, y)["loss"] == pytest.approx(plain.evaluate(x, y)["loss"] + penalty)
    for check in mc.gradient_check.check_model(model, x, y):
        assert check.passes(), str(check)


def test_what_needs_a_built_model_says_so():
    with pytest.raises(mc.StateError, match="meaning: expected a built model"):
        mc.Sequential([mc.Dense(1, "sigmoid")]).meaning()
    layer = mc.Dense(2)
    layer.build((3,), None)
    with pytest.raises(mc.StateError, match="a layer with weights"):
        layer.get_weights()
    assert mc.Flatten().get_weights() == []
