"""One class a framework: it builds a network from its description, predicts, and trains.

    Framework(network, weights, variant)    `weights` in Keras's layout (peer_networks.py)
    prepare(x)                              NHWC pictures in the form that the framework likes best
    predict(batch)                          probabilities of a prepared batch, a NumPy array (N, 1)
    prepare_training(x, y); train(steps)    forward, loss, backward, Adam on one batch, finished when it returns

Each is written the fastest way that its own manual would advise and that still computes the same numbers in
float32.  peer_worker.py gives each a process of its own.
"""

import os

import numpy as np
from peer_networks import Network, shapes

# So small that some thousand steps on one batch leave the network as alive as it began: a network that has learned the
# batch by heart has less to compute in a backward pass that skips zeros.
RATE = 1e-5


class MiniCNN:
    """This library; the variant is the kernel set."""

    def __init__(self, network: Network, weights: list[np.ndarray], variant: str):
        import minicnn as mc

        make = {
            "conv": mc.Conv2D,
            "relu": mc.ReLU,
            "pool": mc.MaxPool2D,
            "flatten": mc.Flatten,
            "dense": mc.Dense,
        }
        layers = [make[kind](*arguments) for kind, *arguments in network.layers]
        self.model = mc.Sequential([*layers, mc.Sigmoid()], kernels=variant)
        self.model.build((network.size, network.size, 3))
        if weights:
            self.model.set_weights(weights)
        self.model.compile(mc.Adam(RATE), "binary_crossentropy")

    def prepare(self, x):
        return x

    def predict(self, batch):
        return self.model.predict(batch, batch_size=len(batch))

    def prepare_training(self, x, y):
        self.batch = x, y

    def train(self, steps):
        for _ in range(steps):
            self.model.train_step(*self.batch)


class Keras:
    """Keras on TensorFlow, each step one `tf.function`; the variant "XLA" compiles it."""

    def __init__(self, network, weights, variant):
        import tensorflow as tf
        from keras import Sequential, layers, optimizers

        make = {
            "conv": layers.Conv2D,
            "relu": layers.ReLU,
            "pool": layers.MaxPooling2D,
            "flatten": layers.Flatten,
            "dense": layers.Dense,
        }
        self.tf = tf
        self.model = Sequential([layers.Input((network.size, network.size, 3))])
        for kind, *arguments in network.layers:
            self.model.add(make[kind](*arguments))
        self.model.set_weights(weights)
        model, optimizer = self.model, optimizers.Adam(RATE)

        @tf.function(jit_compile=variant == "XLA")
        def predict(x):
            return tf.sigmoid(model(x, training=False))

        @tf.function(jit_compile=variant == "XLA")
        def step(x, y):
            with tf.GradientTape() as tape:
                logits = model(x, training=True)
                loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(y, logits))
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
            return loss

        optimizer.build(model.trainable_variables)
        self._predict, self._step = predict, step

    def prepare(self, x):
        return self.tf.constant(x)

    def predict(self, batch):
        return self._predict(batch).numpy()

    def prepare_training(self, x, y):
        self.batch = self.tf.constant(x), self.tf.constant(y)

    def train(self, steps):
        for _ in range(steps):
            loss = self._step(*self.batch)
        loss.numpy()


def channels_first(network: Network, weights: list[np.ndarray]) -> list[np.ndarray]:
    """Weights for NCHW: kernels (out, in, height, width), dense ones (out, in), the first in flattening's new order."""
    values, turned, flattened = iter(weights), [], None
    for (kind, *_), shape in shapes(network):
        if kind == "flatten":
            flattened = shape
        elif kind == "conv":
            turned += [next(values).transpose(3, 2, 0, 1), next(values)]
        elif kind == "dense":
            weight = next(values)
            if flattened:
                weight = weight.reshape(*flattened, -1).transpose(2, 0, 1, 3).reshape(weight.shape)
                flattened = None
            turned += [weight.T, next(values)]
    return [np.ascontiguousarray(value) for value in turned]


class Torch:
    """PyTorch; the variant holds the words "channels-last" and "compiled", or not."""

    def __init__(self, network, weights, variant):
        import torch
        from torch import nn

        self.torch = torch
        made = []
        for layer, shape in shapes(network):
            match layer:
                case ("conv", filters, kernel, stride, padding):
                    border = kernel // 2 if padding == "same" else 0
                    made.append(nn.Conv2d(shape[-1], filters, kernel, stride, border))
                case ("relu",):
                    made.append(nn.ReLU())
                case ("pool", size):
                    made.append(nn.MaxPool2d(size))
                case ("flatten",):
                    made.append(nn.Flatten())
                case ("dense", units):
                    made.append(nn.Linear(shape[-1], units))
        self.layout = torch.channels_last if "channels-last" in variant else torch.contiguous_format
        model = nn.Sequential(*made)
        with torch.no_grad():
            for parameter, value in zip(model.parameters(), channels_first(network, weights), strict=True):
                parameter.copy_(torch.from_numpy(value))
        model = model.to(memory_format=self.layout)
        self.optimizer = torch.optim.Adam(model.parameters(), RATE, eps=1e-7, fused=True)
        self.model = torch.compile(model, dynamic=False) if "compiled" in variant else model
        self.loss_function = nn.BCEWithLogitsLoss()

    def prepare(self, x):
        batch = self.torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
        return batch.contiguous(memory_format=self.layout)

    def predict(self, batch):
        with self.torch.inference_mode():
            return self.torch.sigmoid(self.model(batch)).numpy()

    def prepare_training(self, x, y):
        self.batch, self.target = self.prepare(x), self.torch.from_numpy(y)

    def train(self, steps):
        for _ in range(steps):
            self.optimizer.zero_grad()
            self.loss_function(self.model(self.batch), self.target).backward()
            self.optimizer.step()


class JAX:
    """JAX: the whole step, Adam too, as one compiled function."""

    def __init__(self, network, weights, variant):
        import jax
        import jax.numpy as jnp
        from jax import lax

        self.jax = jax

        def logits(weights, x):
            values = iter(weights)
            for layer in network.layers:
                match layer:
                    case ("conv", _, _, stride, padding):
                        axes = ("NHWC", "HWIO", "NHWC")
                        strides = (stride, stride)
                        x = lax.conv_general_dilated(
                            x, next(values), strides, padding.upper(), dimension_numbers=axes
                        )
                        x = x + next(values)
                    case ("relu",):
                        x = jnp.maximum(x, 0)
                    case ("pool", size):
                        n, h, w, c = x.shape  # on CPUs its gradient is quicker than that of reduce_window
                        whole = x[:, : h // size * size, : w // size * size]
                        x = whole.reshape(n, h // size, size, w // size, size, c).max((2, 4))
                    case ("flatten",):
                        x = x.reshape(len(x), -1)
                    case ("dense", _):
                        x = x @ next(values) + next(values)
            return x

        def loss(weights, x, y):
            z = logits(weights, x)
            return (jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z)))).mean()

        def step(state, x, y):
            weights, m, v, t = state
            gradient = jax.grad(loss)(weights, x, y)
            m = [a + 0.1 * (g - a) for a, g in zip(m, gradient, strict=True)]
            v = [a + 0.001 * (g * g - a) for a, g in zip(v, gradient, strict=True)]
            rate = RATE * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            moved = [w - rate * a / (jnp.sqrt(b) + 1e-7) for w, a, b in zip(weights, m, v, strict=True)]
            return moved, m, v, t + 1

        self._predict = jax.jit(lambda weights, x: jax.nn.sigmoid(logits(weights, x)))
        self._step = jax.jit(step, donate_argnums=0)
        weights, zeros = [[jnp.array(f(w)) for w in weights] for f in (np.array, np.zeros_like)]
        self.state = weights, zeros, [jnp.zeros_like(w) for w in weights], 1.0

    def prepare(self, x):
        return self.jax.numpy.asarray(x)

    def predict(self, batch):
        return np.asarray(self._predict(self.state[0], batch))

    def prepare_training(self, x, y):
        self.batch = self.prepare(x), self.prepare(y)

    def train(self, steps):
        for _ in range(steps):
            self.state = self._step(self.state, *self.batch)
        self.jax.block_until_ready(self.state)


class ONNXRuntime:
    """ONNX Runtime, which only predicts: NCHW, every graph optimisation, a session for each batch size."""

    def __init__(self, network, weights, variant):
        self.network, self.weights = network, channels_first(network, weights)

    def prepare(self, x):
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = os.cpu_count()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        graph = self.graph(len(x)).SerializeToString()
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        return session, {"x": np.ascontiguousarray(x.transpose(0, 3, 1, 2))}

    def predict(self, batch):
        session, inputs = batch
        return session.run(None, inputs)[0]

    def graph(self, count):
        """The network for batches of `count` pictures."""
        from onnx import TensorProto, checker, helper, numpy_helper

        nodes, names = [], ["x"]
        stored = {f"w{i}": value for i, value in enumerate(self.weights)}
        weight = iter(stored)

        def add(kind, *weights, **attributes):
            inputs, name = [names[-1], *weights], f"{kind}{len(nodes)}"
            nodes.append(helper.make_node(kind, inputs, [name], **attributes))
            names.append(name)

        for layer in self.network.layers:
            match layer:
                case ("conv", _, kernel, stride, padding):
                    border = kernel // 2 if padding == "same" else 0
                    add("Conv", next(weight), next(weight), strides=[stride] * 2, pads=[border] * 4)
                case ("relu",):
                    add("Relu")
                case ("pool", size):
                    add("MaxPool", kernel_shape=[size] * 2, strides=[size] * 2)
                case ("flatten",):
                    add("Flatten")
                case ("dense", _):
                    add("Gemm", next(weight), next(weight), transB=1)
        add("Sigmoid")
        size = self.network.size
        model = helper.make_model(
            helper.make_graph(
                nodes, "network",
                [helper.make_tensor_value_info("x", TensorProto.FLOAT, [count, 3, size, size])],
                [helper.make_tensor_value_info(names[-1], TensorProto.FLOAT, [count, 1])],
                [numpy_helper.from_array(value, name) for name, value in stored.items()],
            ),
            opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
        )  # fmt: skip
        checker.check_model(model)
        return model


# Name in the tables: the module that must be installed, class, variant.
FRAMEWORKS = {
    "minicnn fast": ("minicnn.kernels.fast", MiniCNN, "fast"),
    "minicnn im2col": ("minicnn.kernels.im2col", MiniCNN, "im2col"),
    "Keras/TensorFlow": ("tensorflow", Keras, ""),
    "Keras/TensorFlow XLA": ("tensorflow", Keras, "XLA"),
    "PyTorch": ("torch", Torch, ""),
    "PyTorch channels-last": ("torch", Torch, "channels-last"),
    "PyTorch compiled": ("torch", Torch, "compiled"),
    "PyTorch channels-last compiled": ("torch", Torch, "channels-last compiled"),
    "JAX": ("jax", JAX, ""),
    "ONNX Runtime": ("onnxruntime", ONNXRuntime, ""),
}
