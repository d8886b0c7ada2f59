"""One class per framework: it builds a network from its description, predicts, and trains.

    Framework(network, weights, variant)    `weights` in Keras's layout (peer_networks.py)
    prepare(x)                              converts NHWC images to the framework's preferred layout
    predict(batch)                          probabilities of a prepared batch, a NumPy array (N, 1)
    prepare_training(x, y); train(steps)    forward, loss, backward, Adam on one batch, finished when it returns

Each is written in the fastest way that the framework's documentation recommends and that computes the same numbers in
float32.  For prediction, minicnn, PyTorch and ONNX Runtime fold batch normalizations into the convolutions, once after
training.  peer_worker.py runs each in a process of its own.
"""

import functools
import os

import numpy as np
from peer_networks import Network, along, every

# The learning rate is so small that thousands of steps on one batch change the network little.  A network that has
# memorized the batch has more zeros, and a backward pass that skips zeros would be timed on less work.
RATE = 1e-5


class MiniCNN:
    """minicnn; the variant is the kernel set."""

    def __init__(self, network: Network, weights: list[np.ndarray], variant: str):
        import minicnn as mc

        make = {
            "conv": mc.Conv2D,
            "relu": mc.ReLU,
            "pool": mc.MaxPool2D,
            "flatten": mc.Flatten,
            "dense": mc.Dense,
            "bare": functools.partial(mc.Conv2D, use_bias=False),
            "separable": functools.partial(mc.SeparableConv2D, padding="same", use_bias=False),
            "normalize": mc.BatchNormalization,
            "residual": lambda *branches: mc.Residual(*map(row, branches)),
            "average": mc.GlobalAveragePool2D,
        }

        def row(layers):
            return [make[kind](*arguments) for kind, *arguments in layers]

        self.model = mc.Sequential([*row(network.layers), mc.Sigmoid()], kernels=variant)
        self.model.build((network.size, network.size, 3))
        if weights:
            self.model.set_weights(weights)
        self.model.compile(mc.Adam(RATE), "binary_crossentropy")
        self.predictor = None

    def prepare(self, x):
        import minicnn as mc

        if self.predictor is None:
            self.predictor = mc.Predictor(self.model)
        return x

    def predict(self, batch):
        return self.predictor.predict(batch, batch_size=len(batch))

    def prepare_training(self, x, y):
        self.batch = x, y

    def train(self, steps):
        self.predictor = None
        for _ in range(steps):
            self.model.train_step(*self.batch)


class Keras:
    """Keras on TensorFlow; each step is one `tf.function`, which the variant "XLA" compiles."""

    def __init__(self, network, weights, variant):
        import tensorflow as tf
        from keras import Model, layers, optimizers

        make = {
            "conv": layers.Conv2D,
            "relu": layers.ReLU,
            "pool": layers.MaxPooling2D,
            "flatten": layers.Flatten,
            "dense": layers.Dense,
            "bare": functools.partial(layers.Conv2D, use_bias=False),
            "separable": functools.partial(layers.SeparableConv2D, padding="same", use_bias=False),
            "normalize": layers.BatchNormalization,
            "average": layers.GlobalAveragePooling2D,
        }
        values = iter(weights)

        def run(branch, x):
            for kind, *arguments in branch:
                if kind == "residual":
                    y = run(arguments[0], x)
                    x = layers.Add()([y, run(arguments[1], x)])
                else:
                    layer = make[kind](*arguments)
                    x = layer(x)
                    layer.set_weights([next(values) for _ in layer.weights])
            return x

        self.tf = tf
        images = layers.Input((network.size, network.size, 3))
        self.model = Model(images, run(network.layers, images))
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
    """Weights for NCHW: kernels (out, in, height, width), dense (out, in).

    The rows of the first dense layer are reordered, because flattening NCHW gives another order than flattening NHWC.
    """
    values, turned, flattened = iter(weights), [], None
    for (kind, *_), shape in every(network):
        if kind == "flatten":
            flattened = shape
        elif kind == "conv":
            turned += [next(values).transpose(3, 2, 0, 1), next(values)]
        elif kind == "bare":
            turned.append(next(values).transpose(3, 2, 0, 1))
        elif kind == "separable":
            turned += [next(values).transpose(2, 3, 0, 1), next(values).transpose(3, 2, 0, 1)]
        elif kind == "normalize":
            turned += [next(values) for _ in range(4)]
        elif kind == "dense":
            weight = next(values)
            if flattened:
                weight = weight.reshape(*flattened, -1).transpose(2, 0, 1, 3).reshape(weight.shape)
                flattened = None
            turned += [weight.T, next(values)]
    return [np.ascontiguousarray(value) for value in turned]


class Torch:
    """PyTorch; the variant may contain the words "channels-last" and "compiled"."""

    def __init__(self, network, weights, variant):
        import torch
        from torch import nn
        from torch.fx.experimental.optimization import fuse

        self.torch = torch

        class Residual(nn.Module):
            def __init__(self, layers, shortcut):
                super().__init__()
                self.layers, self.shortcut = layers, shortcut

            def forward(self, x):
                return self.layers(x) + self.shortcut(x)

        def row(layers, shape):
            made = []
            for layer, entering in along(layers, shape):
                C = entering[-1]
                match layer:
                    case ("conv" | "bare" as kind, filters, kernel, stride, padding):
                        pad = kernel // 2 if padding == "same" else 0
                        made.append(nn.Conv2d(C, filters, kernel, stride, pad, bias=kind == "conv"))
                    case ("separable", filters, kernel):
                        made.append(nn.Conv2d(C, C, kernel, padding=kernel // 2, groups=C, bias=False))
                        made.append(nn.Conv2d(C, filters, 1, bias=False))
                    case ("normalize",):
                        made.append(nn.BatchNorm2d(C, eps=1e-3, momentum=0.01))
                    case ("relu",):
                        made.append(nn.ReLU())
                    case ("pool", size):
                        made.append(nn.MaxPool2d(size))
                    case ("average",):
                        made += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
                    case ("flatten",):
                        made.append(nn.Flatten())
                    case ("dense", units):
                        made.append(nn.Linear(C, units))
                    case ("residual", branch, shortcut):
                        made.append(Residual(row(branch, entering), row(shortcut, entering)))
            return nn.Sequential(*made)

        model = row(network.layers, (network.size, network.size, 3))
        slots = [
            slot
            for name, slot in model.state_dict(keep_vars=True).items()
            if not name.endswith("num_batches_tracked")
        ]
        self.layout = torch.channels_last if "channels-last" in variant else torch.contiguous_format
        with torch.no_grad():
            for slot, value in zip(slots, channels_first(network, weights), strict=True):
                slot.copy_(torch.from_numpy(value))
        model = model.to(memory_format=self.layout)
        self.optimizer = torch.optim.Adam(model.parameters(), RATE, eps=1e-7, fused=True)
        self.compile = torch.compile if "compiled" in variant else lambda model, **options: model
        self.bare, self.model = model, self.compile(model, dynamic=False)
        self.fold, self.folded = fuse, None
        self.loss_function = nn.BCEWithLogitsLoss()

    def prepare(self, x):
        if self.folded is None:
            self.folded = self.compile(self.fold(self.bare.eval()), dynamic=False)
        return self.laid_out(x)

    def laid_out(self, x):
        batch = self.torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
        return batch.contiguous(memory_format=self.layout)

    def predict(self, batch):
        with self.torch.inference_mode():
            return self.torch.sigmoid(self.folded(batch)).numpy()

    def prepare_training(self, x, y):
        self.batch, self.target = self.laid_out(x), self.torch.from_numpy(y)

    def train(self, steps):
        self.folded = None
        self.model.train()
        for _ in range(steps):
            self.optimizer.zero_grad()
            self.loss_function(self.model(self.batch), self.target).backward()
            self.optimizer.step()


class JAX:
    """JAX: the whole step, including Adam, is one compiled function."""

    def __init__(self, network, weights, variant):
        import jax
        import jax.numpy as jnp
        from jax import lax

        self.jax = jax

        def run(layers, x, values, moving):
            """The layers' output.  In training the new moving averages are put into the dictionary `moving`."""
            for layer in layers:
                match layer:
                    case ("conv" | "bare" as kind, _, _, stride, padding):
                        x = convolution(x, next(values)[1], stride, padding)
                        x = x + next(values)[1] if kind == "conv" else x
                    case ("separable", _, _):
                        C = x.shape[-1]
                        x = convolution(x, next(values)[1].reshape(3, 3, 1, C), 1, "same", C)
                        x = convolution(x, next(values)[1], 1, "same")
                    case ("normalize",):
                        (_, gamma), (_, beta), (i, mean), (j, variance) = (next(values) for _ in range(4))
                        if moving is not None:
                            mine = x.mean((0, 1, 2)), x.var((0, 1, 2))
                            for place, old, new in ((i, mean, mine[0]), (j, variance, mine[1])):
                                moving[place] = 0.99 * old + 0.01 * new
                            mean, variance = mine
                        x = (x - mean) * (gamma * lax.rsqrt(variance + 1e-3)) + beta
                    case ("residual", branch, shortcut):
                        y = run(branch, x, values, moving)
                        x = y + run(shortcut, x, values, moving)
                    case ("relu",):
                        x = jnp.maximum(x, 0)
                    case ("pool", size):
                        n, h, w, c = x.shape  # on CPUs its gradient is faster than that of reduce_window
                        whole = x[:, : h // size * size, : w // size * size]
                        x = whole.reshape(n, h // size, size, w // size, size, c).max((2, 4))
                    case ("average",):
                        x = x.mean((1, 2))
                    case ("flatten",):
                        x = x.reshape(len(x), -1)
                    case ("dense", _):
                        x = x @ next(values)[1] + next(values)[1]
            return x

        def convolution(x, weight, stride, padding, groups=1):
            return lax.conv_general_dilated(
                x, weight, (stride, stride), padding.upper(), dimension_numbers=("NHWC", "HWIO", "NHWC"),
                feature_group_count=groups,
            )  # fmt: skip

        def loss(weights, x, y):
            moving = {}
            z = run(network.layers, x, iter(enumerate(weights)), moving)
            return (jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z)))).mean(), moving

        def step(state, x, y):
            weights, m, v, t = state
            gradient, moving = jax.grad(loss, has_aux=True)(weights, x, y)
            m = [a + 0.1 * (g - a) for a, g in zip(m, gradient, strict=True)]
            v = [a + 0.001 * (g * g - a) for a, g in zip(v, gradient, strict=True)]
            rate = RATE * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            moved = [w - rate * a / (jnp.sqrt(b) + 1e-7) for w, a, b in zip(weights, m, v, strict=True)]
            return [moving.get(i, w) for i, w in enumerate(moved)], m, v, t + 1

        def predict(weights, x):
            return jax.nn.sigmoid(run(network.layers, x, iter(enumerate(weights)), None))

        self._predict = jax.jit(predict)
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
    """ONNX Runtime, for prediction only: NCHW, all graph optimizations, one session per batch size."""

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
        return 1 / (1 + np.exp(-session.run(None, inputs)[0]))  # its own sigmoid gives 0 below -18

    def graph(self, count):
        """The network for batches of `count` images."""
        from onnx import TensorProto, checker, helper, numpy_helper

        nodes, names = [], ["x"]
        stored = {f"w{i}": value for i, value in enumerate(self.weights)}
        weight = iter(stored)

        def add(kind, *weights, **attributes):
            inputs, name = [names[-1], *weights], f"{kind}{len(nodes)}"
            nodes.append(helper.make_node(kind, inputs, [name], **attributes))
            names.append(name)

        def row(layers, shape):
            for layer, entering in along(layers, shape):
                match layer:
                    case ("conv" | "bare" as kind, _, kernel, stride, padding):
                        pad = kernel // 2 if padding == "same" else 0
                        weights = [next(weight) for _ in range(2 if kind == "conv" else 1)]
                        add("Conv", *weights, strides=[stride] * 2, pads=[pad] * 4)
                    case ("separable", _, kernel):
                        add("Conv", next(weight), group=entering[-1], pads=[kernel // 2] * 4)
                        add("Conv", next(weight))
                    case ("normalize",):
                        add("BatchNormalization", *(next(weight) for _ in range(4)), epsilon=1e-3)
                    case ("relu",):
                        add("Relu")
                    case ("pool", size):
                        add("MaxPool", kernel_shape=[size] * 2, strides=[size] * 2)
                    case ("average",):
                        add("GlobalAveragePool")
                        add("Flatten")
                    case ("flatten",):
                        add("Flatten")
                    case ("dense", _):
                        add("Gemm", next(weight), next(weight), transB=1)
                    case ("residual", branch, shortcut):
                        x = names[-1]
                        row(branch, entering)
                        y = names[-1]
                        names.append(x)
                        row(shortcut, entering)
                        add("Add", y)

        size = self.network.size
        row(self.network.layers, (size, size, 3))
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


# From the name in the tables to the module that must be installed, the class and the variant.
FRAMEWORKS = {
    "minicnn fast": ("minicnn.kernels.fast", MiniCNN, "fast"),
    "minicnn im2col": ("minicnn.kernels.im2col", MiniCNN, "im2col"),
    "minicnn before": ("minicnn.kernels.fast", MiniCNN, "fast"),  # an earlier version; see --before
    "Keras/TensorFlow": ("tensorflow", Keras, ""),
    "Keras/TensorFlow XLA": ("tensorflow", Keras, "XLA"),
    "PyTorch": ("torch", Torch, ""),
    "PyTorch channels-last": ("torch", Torch, "channels-last"),
    "PyTorch compiled": ("torch", Torch, "compiled"),
    "PyTorch channels-last compiled": ("torch", Torch, "channels-last compiled"),
    "JAX": ("jax", JAX, ""),
    "ONNX Runtime": ("onnxruntime", ONNXRuntime, ""),
}
