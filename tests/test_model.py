"""Sequential: building, the hand-written loop, prediction, saving and loading."""

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
    assert [layer.needs_dx for layer in model.layers] == [False] + [True] * (len(model.layers) - 1)


def test_building_again_begins_again():
    model = network().build((8, 8, 1), seed=1)
    first = model.get_weights()
    model.build((8, 8, 1), seed=1)
    for one, other in zip(first, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert model.parameters[0].name == "conv2d_1/weight"


def test_a_build_that_fails_leaves_no_built_model(rng):
    model = mc.Sequential([mc.Conv2D(2, 9), mc.Flatten(), mc.Dense(1)])
    for _ in range(2):
        with pytest.raises(mc.ShapeError):
            model.build((4, 4, 1))
        with pytest.raises(mc.StateError, match="a built model"):
            model.predict(rng.random((2, 4, 4, 1)))
        model.build((9, 9, 1))  # the second failure is one of building again


def test_without_weights_nothing_is_predicted_or_saved(rng, tmp_path):
    model = network().build((8, 8, 1), seed=None)
    for use in (
        lambda: model.predict(rng.random((2, 8, 8, 1))),
        lambda: model.save(tmp_path / "m.safetensors"),
    ):
        with pytest.raises(mc.StateError, match="expected a model with weights, received none: seed=None"):
            use()
    model.set_weights(network().build((8, 8, 1)).get_weights())
    assert model.predict(rng.random((2, 8, 8, 1))).shape == (2, 1)


def test_a_description_may_hold_tuples_and_numpys_numbers(tmp_path):
    model = network().build((8, 8, 1))
    model.class_names, model.preprocessing = ("cat", "dog"), {"height": np.int64(8), "scale": np.float32(0.5)}
    model.save(tmp_path / "m.safetensors")
    again = mc.load_model(tmp_path / "m.safetensors")
    assert again.class_names == ["cat", "dog"] and again.preprocessing == {"height": 8, "scale": 0.5}
    model.preprocessing["by"] = object()
    with pytest.raises(mc.ArgumentError, match="numbers, strings"):
        model.save(tmp_path / "m.safetensors")


@pytest.mark.parametrize("kernels", NAMES)
@pytest.mark.parametrize("shape", [(4, 4), (4,), (), (1, 4, 1)])
def test_a_gradient_of_another_shape_is_refused(kernels, shape, rng):
    """(N, N) is what p - y gives with predictions (N, 1) and targets (N,)."""
    model = network(kernels=kernels).build((8, 8, 1))
    model.forward(rng.random((4, 8, 8, 1)), training=True)
    with pytest.raises(mc.ShapeError, match=r"expected \(N, 1\)"):
        model.backward(np.ones(shape))


@pytest.mark.parametrize("kernels", NAMES)
def test_a_gradient_of_another_type_is_cast(kernels, rng):
    x, dy = rng.random((4, 8, 8, 1)), rng.random((4, 1))
    gradients = []
    for given in (dy, dy.astype("float32")):
        model = network(kernels=kernels).build((8, 8, 1))
        model.forward(x, training=True)
        model.backward(given)
        gradients.append([parameter.grad for parameter in model.parameters])
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_loop_written_by_hand_is_what_fit_does(rng):
    x, y = rng.random((12, 8, 8, 1)).astype("float32"), rng.integers(0, 2, 12)
    fitted = network().build((8, 8, 1))
    fitted.compile(mc.Adam(0.01))
    fitted.fit(x, y, epochs=2, batch_size=4, shuffle=False, verbose=0)

    model, loss_function, optimizer = network().build((8, 8, 1)), mc.BinaryCrossEntropy(), mc.Adam(0.01)
    for _ in range(2):
        for start in range(0, 12, 4):
            batch = slice(start, start + 4)
            _, dprediction = loss_function(y[batch], model.forward(x[batch], training=True))
            model.backward(dprediction)
            optimizer.step(model.parameters)
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


def test_every_kernel_set_makes_the_same_network(rng):
    x, y = rng.random((4, 22, 22, 3)), np.array([0, 1, 1, 0])
    results = []
    for kernels in NAMES:
        model = networks.two_block(kernels=kernels).build((22, 22, 3), dtype="float64")
        model.compile()
        results.append([model.train_step(x, y)[0] for _ in range(3)])
    for losses in results[1:]:
        np.testing.assert_allclose(losses, results[0], rtol=1e-9)


def test_published_parameter_counts():
    for make, size, count in ((networks.two_block, 64, 813_217), (networks.four_block, 150, 3_453_121)):
        assert sum(p.value.size for p in make().build((size, size, 3)).parameters) == count


def test_summary_says_what_a_picture_costs(capsys):
    networks.two_block().build((64, 64, 3)).summary()
    out = capsys.readouterr().out
    assert "Total params: 813,217 (3.10 MB)" in out
    assert f"{62 * 62 * 27 * 32 + 29 * 29 * 288 * 32 + 6272 * 128 + 128:,} multiply-adds" in out
    assert "(None, 62, 62, 32)" in out and "max_pool2d_2 (MaxPool2D)" in out


# ------------------------------------------------------------------------------------- messages
def test_a_layer_that_does_not_fit_is_named_by_number():
    with pytest.raises(
        mc.ShapeError, match=r"layer 3: Conv2D: expected pictures of at least 3x3, received 2x2"
    ):
        mc.Sequential([mc.Conv2D(2, 3), mc.MaxPool2D(2), mc.Conv2D(2, 3)]).build((6, 6, 1))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: mc.Sequential([]), mc.ArgumentError, "at least one layer"),
        (lambda: mc.Sequential([mc.ReLU]), mc.ArgumentError, "Write ReLU"),
        (
            lambda: mc.Sequential([mc.Dense(1)], kernels="cuda"),
            mc.ArgumentError,
            "'reference' or 'im2col' or 'fast'",
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
            lambda: mc.Sequential([mc.Dense(1)]).build((2,)).compile("rocket"),
            mc.ArgumentError,
            "sgd, adam, adamw",
        ),
        (
            lambda: mc.Sequential([mc.Dense(1)]).build((2,)).compile(loss="hinge"),
            mc.ArgumentError,
            "mean_squared_error",
        ),
        (
            lambda: mc.Sequential([mc.Dense(1)]).build((2,)).compile(metrics=["x"]),
            mc.ArgumentError,
            "accuracy",
        ),
        (
            lambda: mc.Sequential([mc.Dense(1)]).build((2,)).set_weights([np.ones(3)]),
            mc.ShapeError,
            "set_weights",
        ),
    ],
)
def test_mistakes_are_told_in_words(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_one_layer_object_may_not_stand_twice():
    relu = mc.ReLU()
    with pytest.raises(mc.ArgumentError, match="one object twice"):
        mc.Sequential([relu, relu])


# --------------------------------------------------------------------------------------- saving
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_saved_model_comes_back_whole(tmp_path, rng, dtype):
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


def test_what_could_not_be_loaded_again_is_not_saved(tmp_path):
    class Own(mc.ReLU):
        pass

    for change in (lambda m: setattr(m, "class_names", ["dog"]), lambda m: setattr(m, "preprocessing", 7)):
        model = network().build((8, 8, 1))
        change(model)
        with pytest.raises(mc.ArgumentError):
            model.save(tmp_path / "m")
    with pytest.raises(mc.ArgumentError, match="layers of minicnn"):
        mc.Sequential([Own()]).build((2,)).save(tmp_path / "m")
    assert not list(tmp_path.iterdir())
    mc.Sequential([mc.Dense(1)]).build((np.int64(3),)).save(tmp_path / "m")  # NumPy's ints are ints


def test_building_again_forgets_the_optimizer():
    model = network().build((8, 8, 1))
    model.compile()
    model.build((8, 8, 1))
    with pytest.raises(mc.StateError, match="Call compile"):
        model.fit(np.zeros((1, 8, 8, 1)), np.zeros(1))


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
    assert repr(again.layers) == repr(layers)
    other = mc.Sequential([mc.Flatten(), mc.Dense(1), mc.Sigmoid()]).build((2, 2, 1))
    other.save(tmp_path / "o")
    assert mc.load_model(tmp_path / "o", kernels="reference").kernels_name == "reference"
