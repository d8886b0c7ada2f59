"""trace and gradient: agree with finite differences and results by hand, change nothing, and work in many threads."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import minicnn as mc
from minicnn.gradient_check import check_array
from minicnn.kernels import NAMES


def network(kernels, end, dtype="float64"):
    """A network with every kind of layer that has inner outputs, statistics other than 0 and 1, and the given end."""
    layers = [
        mc.Rescaling(0.5, 0.1), mc.Conv2D(4, 3, padding="same", use_bias=False), mc.BatchNormalization(), mc.ReLU(),
        mc.Residual([mc.SeparableConv2D(4, 3, padding="same"), mc.BatchNormalization()], [mc.Conv2D(4, 1)]), mc.ReLU(),
        mc.MaxPool2D(2), mc.DepthwiseConv2D(2, activation="gelu"), mc.Dropout(0.5), mc.Flatten(), *end,
    ]  # fmt: skip
    model = mc.Sequential(layers, kernels).build((7, 6, 2), dtype=dtype)
    rng = np.random.default_rng(1)
    for name, parameter in model.named_parameters.items():
        positive = name.endswith(("gamma", "variance"))
        parameter.value = (
            rng.uniform(0.5, 1.5, parameter.shape) if positive else rng.normal(0, 0.5, parameter.shape)
        )
    return model


ENDS = {
    "sigmoid": lambda: [mc.Dense(1), mc.Sigmoid()],
    "softmax inside": lambda: [mc.Dense(3, "softmax")],
    "numbers": lambda: [mc.Dense(2)],
}


def logits(model, x):
    """The outputs before the last activation, from the trace."""
    outputs = model.trace(x)
    path = [path for path in outputs if path.startswith("dense_1")][
        0
    ]  # "dense_1/linear" comes before "dense_1"
    return outputs[path]


@pytest.mark.parametrize("kernels", NAMES)
@pytest.mark.parametrize("end", ENDS)
def test_the_gradient_of_a_class_at_the_input_agrees_with_finite_differences(kernels, end, rng):
    """For a whole network in prediction, with batch normalisation."""
    model = network(kernels, ENDS[end]())
    x = rng.normal(0, 1, (2, 7, 6, 2))
    for of in (0, 1):
        sign = -1 if end == "sigmoid" and of == 0 else 1
        column = 0 if end == "sigmoid" else of
        gradient = model.gradient(x, of=of)
        check = check_array(
            "x", lambda s=sign, c=column: s * float(logits(model, x)[:, c].sum()), x, gradient
        )
        assert check.passes(1e-6) and check.kinks == 0, str(check)
    for one in range(2):  # samples do not mix
        np.testing.assert_allclose(
            model.gradient(x[one : one + 1], of=1), model.gradient(x, of=1)[one : one + 1]
        )
    each = model.gradient(x, of=np.array([0, 1]))
    np.testing.assert_array_equal(each, np.stack([model.gradient(x, of=0)[0], model.gradient(x, of=1)[1]]))


@pytest.mark.parametrize("kernels", NAMES)
@pytest.mark.parametrize(
    ("end", "y"), [("sigmoid", [0, 1]), ("softmax inside", [2, 0]), ("numbers", [[1, 2], [3, 4]])]
)
def test_the_gradient_of_the_loss_agrees_with_finite_differences(kernels, end, y, rng):
    model = network(kernels, ENDS[end]())
    model.compile("sgd", {"softmax inside": "sparse_categorical_crossentropy", "numbers": "mse"}.get(end))
    x = rng.normal(0, 1, (2, 7, 6, 2))
    gradient = model.gradient(x, of="loss", y=y)
    check = check_array("x", lambda: model.test_step(x, y)[0], x, gradient)
    assert check.passes(1e-6) and check.kinks == 0, str(check)


def test_the_gradient_of_a_function_of_the_output_agrees_with_finite_differences(rng):
    model = network("im2col", ENDS["softmax inside"]())
    x = rng.normal(0, 1, (2, 7, 6, 2))

    def f(p):
        return float((np.log(p) * [[1, 2, 3]]).sum())

    by_hand = model.gradient(x, of=lambda p: (f(p), [[1, 2, 3]] / p))
    check = check_array("x", lambda: f(model.predict(x)), x, by_hand)
    assert check.passes(1e-6), str(check)
    np.testing.assert_allclose(model.gradient(x, of=f), by_hand, rtol=1e-6, atol=1e-9)
    dy = rng.normal(0, 1, (2, 3))
    np.testing.assert_allclose(
        model.gradient(x, of=dy), model.gradient(x, of=lambda p: (p * dy).sum()), atol=1e-8
    )


def test_the_gradient_at_every_layer_agrees_with_finite_differences(rng):
    """The layers after each output are run again by hand, from changed outputs."""
    model = network("im2col", ENDS["sigmoid"]())
    x = rng.normal(0, 1, (2, 7, 6, 2))
    outputs = model.trace(x)
    top = [path for path in outputs if "/" not in path]
    gradients = model.gradient(x, of=1, at=["input", *top[:-1]])
    for place, path in enumerate(top[:-2]):
        z = outputs[path].copy()

        def rest(z=z, place=place):
            y = z
            for layer in model.layers[place + 1 : -1]:
                y = layer(y)
            return float(y.sum())

        check = check_array(path, rest, z, gradients[path])
        assert check.passes(1e-6), str(check)
    dense = model.layers[-2]
    np.testing.assert_array_equal(gradients["flatten_1"], np.ones((2, 1)) @ dense.weight.value.T)
    np.testing.assert_array_equal(gradients["dense_1"], np.ones((2, 1)))


def test_outputs_and_gradients_inside_layers_are_right(rng):
    model = network("im2col", ENDS["sigmoid"]())
    x = rng.normal(0, 1, (2, 7, 6, 2))
    outputs = model.trace(x)
    assert list(outputs)[3:9] == [
        "relu_1", "residual_1/separable_conv2d_1/depthwise", "residual_1/separable_conv2d_1",
        "residual_1/batch_normalization_1", "residual_1/shortcut_conv2d_1", "residual_1",
    ]  # fmt: skip
    block, inside = model.layers[4], outputs["relu_1"]
    np.testing.assert_allclose(outputs["residual_1/separable_conv2d_1"], block.layers[0](inside))
    np.testing.assert_allclose(
        outputs["residual_1"],
        outputs["residual_1/batch_normalization_1"] + outputs["residual_1/shortcut_conv2d_1"],
    )
    np.testing.assert_allclose(outputs["sigmoid_1"], model.predict(x))
    at = model.gradient(x, of=1, at=list(outputs)[:-1])
    np.testing.assert_array_equal(at["residual_1/shortcut_conv2d_1"], at["residual_1"])
    separable, middle = block.layers[0], at["residual_1/separable_conv2d_1"]
    np.testing.assert_allclose(
        at["residual_1/separable_conv2d_1/depthwise"], middle @ separable.pointwise_weight.value[0, 0].T
    )
    depthwise = model.layers[7]
    z = outputs["depthwise_conv2d_1/linear"]
    np.testing.assert_allclose(mc.GELU()(z), outputs["depthwise_conv2d_1"])
    slope = (mc.GELU()(z + 1e-6) - mc.GELU()(z - 1e-6)) / 2e-6
    assert depthwise.activation is not None
    np.testing.assert_allclose(at["depthwise_conv2d_1/linear"], at["depthwise_conv2d_1"] * slope, atol=1e-8)


def test_a_saturated_sigmoid_still_has_the_gradient_of_its_logit():
    model = mc.Sequential([mc.Dense(1, "sigmoid")], "reference").build((1,), dtype="float64")
    model.set_weights([[[1000.0]], [0.0]])
    x = np.array([[5.0], [-5.0]])
    np.testing.assert_array_equal(model.gradient(x, of=1), [[1000.0], [1000.0]])
    np.testing.assert_array_equal(model.gradient(x, of=0), [[-1000.0], [-1000.0]])
    model.compile("sgd")
    np.testing.assert_allclose(model.gradient(x, of="loss", y=[0, 1]), [[500.0], [-500.0]])


@pytest.mark.parametrize("kernels", ["im2col", "fast"])
def test_sixteen_threads_get_identical_results_and_change_nothing(kernels, rng):
    model = network(kernels, ENDS["sigmoid"](), "float32")
    model.compile("adam")
    inputs = list(rng.normal(0, 1, (16, 2, 7, 6, 2)))
    before = pickle.dumps(model)

    def compute(x):
        return model.gradient(x, of="loss", y=[0, 1]), model.predict(x), model.trace(x)["residual_1"]

    wanted = [compute(x) for x in inputs]
    with ThreadPoolExecutor(16) as threads:
        for got, one in zip(threads.map(compute, inputs * 4), wanted * 4, strict=True):
            for a, b in zip(got, one, strict=True):
                np.testing.assert_array_equal(a, b)
    assert pickle.dumps(model) == before and all(parameter.grad is None for parameter in model.parameters)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, x: m.gradient(x, of=2), "a class number from 0 to 1"),
        (lambda m, x: m.gradient(x, of=-1), "a class number from 0 to 1"),
        (lambda m, x: m.gradient(x, of=np.array([0, 1, 0])), "a class number from 0 to 1"),
        (lambda m, x: m.gradient(x, of="los"), "a class number"),
        (lambda m, x: m.gradient(x, of="loss"), "targets y"),
        (lambda m, x: m.gradient(x, of="loss", y=[0, 1]), "a compiled model"),
        (lambda m, x: m.gradient(x, of=np.ones((3, 1))), "a gradient of shape"),
        (lambda m, x: m.gradient(x, of=lambda p: p), "one number"),
        (lambda m, x: m.gradient(x, at="conv2d_9"), "one of input"),
        (lambda m, x: m.gradient(x, at=["input", "conv2d_9"]), "one of input"),
        (lambda m, x: m.gradient(x[0]), "needs a batch axis"),
        (lambda m, x: m.trace("cat.jpg"), "input"),
    ],
)
def test_wrong_arguments_are_refused_with_a_message(call, message, rng):
    model = network("reference", ENDS["sigmoid"]())
    with pytest.raises(mc.MinicnnError, match=message):
        call(model, rng.normal(0, 1, (2, 7, 6, 2)))


def test_gradients_agree_with_pytorch(rng):
    torch = pytest.importorskip("torch", reason="PyTorch is in the extra .[peers]")
    model = mc.Sequential(
        [mc.Conv2D(4, 3), mc.BatchNormalization(), mc.ReLU(), mc.MaxPool2D(2), mc.Flatten(), mc.Dense(3), mc.Softmax()],
        "fast",
    ).build((8, 7, 2), dtype="float64")  # fmt: skip
    for name, parameter in model.named_parameters.items():
        positive = name.endswith(("gamma", "variance"))
        parameter.value = (
            rng.uniform(0.5, 1.5, parameter.shape) if positive else rng.normal(0, 0.5, parameter.shape)
        )
    weight, bias, gamma, beta, mean, variance, dense, dense_bias = map(torch.tensor, model.get_weights())
    x = torch.tensor(rng.normal(0, 1, (3, 8, 7, 2)), requires_grad=True)
    z = torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), weight.permute(3, 2, 0, 1), bias)
    z.retain_grad()
    y = torch.nn.functional.batch_norm(z, mean, variance, gamma, beta, eps=1e-3)
    y = (
        torch.nn.functional.max_pool2d(torch.relu(y), 2).permute(0, 2, 3, 1).reshape(3, -1) @ dense
        + dense_bias
    )
    y[:, 1].sum().backward()
    ours = model.gradient(x.detach().numpy(), of=1, at=["input", "conv2d_1"])
    np.testing.assert_allclose(ours["input"], x.grad.numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours["conv2d_1"], z.grad.permute(0, 2, 3, 1).numpy(), rtol=1e-9, atol=1e-12)
