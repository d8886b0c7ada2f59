"""Write what Keras answers where layers meet their less usual options, and for two branches that are added.

    python tests/keras_numbers/make_numbers.py        with tensorflow-cpu; it takes the seed as its argument

Each .npz holds inputs, weights and Keras's answers, so that the tests need no Keras: of a layer x, y, an upstream
gradient dy, dx, weight/name and grad/name, with its config in JSON; of a network 5 batches x and y, before/i/name and
after/i/name in Keras's order, the losses of 5 steps, and what it predicts for the first batch before and after.
Read by tests/test_keras.py.  The other files of this folder came from Keras in the same form.
"""

import json
import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent


def layer_case(tf, rng, name, layer, shape):
    """A layer's output and gradients, with weights drawn anew."""
    x = rng.standard_normal(shape).astype("float32")
    layer.build(shape)
    for weight in layer.weights:
        weight.assign(0.3 * rng.standard_normal(weight.shape))
    source = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(source)
        y = layer(source)
        dy = rng.standard_normal(y.shape).astype("float32")
        total = tf.reduce_sum(y * dy)
    dx, *gradients = tape.gradient(total, [source, *layer.trainable_weights])
    plain = (int, float, str, list, tuple)
    config = {key: value for key, value in layer.get_config().items() if isinstance(value, plain)}
    np.savez_compressed(
        FOLDER / name, config=json.dumps({"class": type(layer).__name__, **config}), x=x, y=y, dy=dy, dx=dx,
        **{f"weight/{weight.name}": weight.numpy() for weight in layer.weights},
        **{f"grad/{w.name}": g.numpy() for w, g in zip(layer.trainable_weights, gradients, strict=True)},
    )  # fmt: skip


def network_case(rng, name, model, shape, steps=5, batch=8):
    """The losses of a few steps, and the weights before and after."""
    x = rng.random((steps, batch, *shape)).astype("float32")
    y = rng.integers(0, 2, (steps, batch, 1)).astype("float32")
    model.compile("adam", "binary_crossentropy")
    out = {"predict_before": model.predict(x[0], verbose=0)}
    out |= {f"before/{i}/{weight.name}": weight.numpy() for i, weight in enumerate(model.weights)}
    losses = []
    for i in range(steps):
        model.reset_metrics()
        losses.append(model.train_on_batch(x[i], y[i], return_dict=True)["loss"])
    out |= {f"after/{i}/{weight.name}": weight.numpy() for i, weight in enumerate(model.weights)}
    out["predict_after"] = model.predict(x[0], verbose=0)
    np.savez_compressed(FOLDER / name, x=x, y=y, losses=losses, **out)


def residual(keras, shape):
    """A small Xception: a residual of separable convolutions whose shortcut is strided, then a plain one."""
    L = keras.layers
    start = keras.Input(shape)
    x = L.BatchNormalization()(L.Conv2D(6, 3, use_bias=False)(start))
    x = L.Activation("relu")(x)
    y = L.BatchNormalization()(L.SeparableConv2D(8, 3, padding="same", use_bias=False)(x))
    y = L.MaxPooling2D(3, strides=2, padding="same")(L.Activation("relu")(y))
    x = L.add([y, L.Conv2D(8, 1, strides=2, padding="same")(x)])
    y = L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same", use_bias=False)(x))
    x = L.add([y, x])
    x = L.GlobalAveragePooling2D()(x)
    return keras.Model(start, L.Dense(1, activation="sigmoid")(x))


def main(seed: int = 0) -> None:
    import tensorflow as tf
    from tensorflow import keras

    rng, L = np.random.default_rng(seed), keras.layers
    keras.utils.set_random_seed(seed)
    depthwise = L.DepthwiseConv2D((3, 2), strides=2, padding="same", depth_multiplier=3)
    layer_case(tf, rng, "depthwise_conv2d_stride2_multiplier3", depthwise, (2, 6, 7, 2))
    separable = L.SeparableConv2D(4, (2, 3), strides=2, depth_multiplier=2, use_bias=False)
    layer_case(tf, rng, "separable_conv2d_stride2_multiplier2", separable, (2, 7, 8, 3))
    network_case(rng, "network_residual_separable", residual(keras, (16, 14, 3)), (16, 14, 3))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
