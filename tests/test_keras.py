"""minicnn's numbers against those of Keras 3.15, stored in keras_numbers/ (TensorFlow 2.21 on a CPU)."""

import json
from pathlib import Path

import numpy as np
import pytest

import minicnn as mc
from minicnn.kernels import NAMES, kernel_set

FOLDER = Path(__file__).parent / "keras_numbers"
LAYER_FILES = sorted(path.stem for path in FOLDER.glob("*.npz") if not path.stem.startswith("network"))


def make_layer(config):
    """The minicnn layer for a Keras configuration."""
    kind = config["class"]
    if kind == "Conv2D":
        kernel, strides = tuple(config["kernel_size"]), tuple(config["strides"])
        return mc.Conv2D(config["filters"], kernel, strides, config["padding"], use_bias=config["use_bias"])
    if kind in ("MaxPooling2D", "AveragePooling2D"):
        pool = {"MaxPooling2D": mc.MaxPool2D, "AveragePooling2D": mc.AveragePool2D}[kind]
        return pool(tuple(config["pool_size"]), tuple(config["strides"]), config["padding"])
    if kind in ("DepthwiseConv2D", "SeparableConv2D"):
        filters = [config["filters"]] if kind == "SeparableConv2D" else []
        windows = tuple(config["kernel_size"]), tuple(config["strides"]), config["padding"]
        return getattr(mc, kind)(*filters, *windows, config["depth_multiplier"], use_bias=config["use_bias"])
    if kind == "BatchNormalization":
        return mc.BatchNormalization(config["momentum"], config["epsilon"])
    if kind == "Dense":
        return mc.Dense(config["units"], use_bias=config["use_bias"])
    return {"GlobalAveragePooling2D": mc.GlobalAveragePool2D, "ReLU": mc.ReLU, "Softmax": mc.Softmax}[kind]()


def close(got, wanted, tolerance):
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance * max(1, np.abs(wanted).max()))


def test_all_stored_numbers_exist():
    assert len(LAYER_FILES) == 18


@pytest.mark.parametrize("kernels", NAMES)
@pytest.mark.parametrize("name", LAYER_FILES)
def test_each_layer_agrees_with_keras(name, kernels):
    keras = np.load(FOLDER / f"{name}.npz")
    config = json.loads(keras["config"].item())
    layer = make_layer(config)
    layer.kernels = kernel_set(kernels)
    layer.build(keras["x"].shape[1:], np.random.default_rng(0), "float32")
    parameters = {parameter.name.replace("weight", "kernel"): parameter for parameter in layer.parameters}
    for key in keras.files:
        if key.startswith("weight/"):
            parameters[key[7:]].value = keras[key]
    y, cache = layer.forward(keras["x"], training=config.get("training", True))
    close(y, keras["y"], 1e-5)
    close(layer.backward(keras["dy"], cache), keras["dx"], 1e-5)
    for update in layer.updates(cache):
        update()
    for key in keras.files:
        if key.startswith("grad/"):
            close(parameters[key[5:]].grad, keras[key], 1e-5)
        if key.startswith("after/"):
            close(parameters[key[6:]].value, keras[key], 1e-5)


def two_block():
    return [
        mc.Conv2D(8, 3), mc.ReLU(), mc.MaxPool2D(2), mc.Conv2D(8, 3), mc.ReLU(), mc.MaxPool2D(2),
        mc.Flatten(), mc.Dense(16), mc.ReLU(), mc.Dense(1), mc.Sigmoid(),
    ]  # fmt: skip


def softmax():
    return [
        mc.Conv2D(6, 5, padding="same"),
        mc.ReLU(),
        mc.MaxPool2D(2),
        mc.Flatten(),
        mc.Dense(3),
        mc.Softmax(),
    ]


def batchnorm():
    return [
        mc.Conv2D(6, 3, use_bias=False), mc.BatchNormalization(), mc.ReLU(), mc.MaxPool2D(2),
        mc.GlobalAveragePool2D(), mc.Dense(1), mc.Sigmoid(),
    ]  # fmt: skip


def residual():
    separable = [
        mc.SeparableConv2D(8, 3, padding="same", use_bias=False), mc.BatchNormalization(), mc.ReLU(),
        mc.MaxPool2D(3, strides=2, padding="same"),
    ]  # fmt: skip
    return [
        mc.Conv2D(6, 3, use_bias=False),
        mc.BatchNormalization(),
        mc.ReLU(),
        mc.Residual(separable, shortcut=[mc.Conv2D(8, 1, strides=2, padding="same")]),
        mc.Residual([mc.DepthwiseConv2D(3, padding="same", use_bias=False), mc.BatchNormalization()]),
        mc.GlobalAveragePool2D(),
        mc.Dense(1),
        mc.Sigmoid(),
    ]


@pytest.mark.parametrize("kernels", NAMES)
@pytest.mark.parametrize(
    ("name", "make", "optimizer", "loss"),
    [
        (
            "network_batchnorm_gap_adamw",
            batchnorm,
            lambda: mc.AdamW(1e-3, weight_decay=0.01),
            "binary_crossentropy",
        ),
        ("network_residual_separable", residual, mc.Adam, "binary_crossentropy"),
        ("network_two_block_sigmoid_adam", two_block, mc.Adam, "binary_crossentropy"),
        (
            "network_softmax_onehot_sgd",
            softmax,
            lambda: mc.SGD(0.05, momentum=0.9),
            "categorical_crossentropy",
        ),
    ],
)
def test_each_network_trains_as_in_keras(name, make, optimizer, loss, kernels):
    keras = np.load(FOLDER / f"{name}.npz")
    model = mc.Sequential(make(), kernels).build(keras["x"].shape[2:])
    model.compile(optimizer(), loss)

    def weights(when):
        return [
            keras[key]
            for key in sorted(
                (k for k in keras.files if k.startswith(when)), key=lambda k: int(k.split("/")[1])
            )
        ]

    model.set_weights(weights("before/"))
    for layer in every_layer(model.layers):
        if isinstance(layer, mc.BatchNormalization):
            layer.state = {"unmeasured": 0.0}  # Keras takes its initial values 0 and 1 as valid statistics
    close(model.predict(keras["x"][0]), keras["predict_before"], 1e-5)
    losses = [model.train_step(x, y)[0] for x, y in zip(keras["x"], keras["y"], strict=True)]
    close(np.array(losses), keras["losses"], 1e-4)
    for got, wanted in zip(model.get_weights(), weights("after/"), strict=True):
        close(got, wanted, 1e-4)
    close(model.predict(keras["x"][0]), keras["predict_after"], 1e-4)


def every_layer(layers):
    for layer in layers:
        yield layer
        yield from every_layer([*getattr(layer, "layers", ()), *getattr(layer, "shortcut", ())])


def test_summary_counts_as_keras_counts(capsys):
    keras = np.load(FOLDER / "network_two_block_sigmoid_adam.npz")
    model = mc.Sequential(two_block()).build((20, 24, 3))
    rows = [
        (shape, sum(p.value.size for p in layer.parameters))
        for layer, shape in zip(model.layers, model.output_shapes, strict=True)
        if not isinstance(layer, (mc.ReLU, mc.Sigmoid))  # in Keras these are part of the layer before
    ]
    assert [[list(shape), count] for shape, count in rows] == [
        row[1:] for row in json.loads(keras["summary"].item())
    ]
    model.summary()
    text = capsys.readouterr().out
    assert "Total params: 2,377" in text and "(None, 18, 22, 8)" in text
