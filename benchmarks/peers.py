"""Training speed beside Keras/TensorFlow, PyTorch and JAX, whichever are installed, on the same two cores.

    python -m pip install -e ".[peers]" && python benchmarks/peers.py [ROUNDS]

Every framework runs in a process of its own, with its own threads, and they take turns: in each round each
trains for about a second on the same batch from memory (forward, loss, backward, Adam), so that the machine's
drift hits all alike.  First all of them must give the same predictions from the same weights.  The
figure is pictures a second, the median of the rounds with its least and most.  Writes
benchmarks/results/peers.md and peers.json.
"""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).resolve().parent / "results"
NETWORKS = {
    "two-block": ((32, 32), 128, 64),
    "four-block": ((32, 64, 128, 128), 512, 150),
}  # filters, units, pixels
BATCH, RATE = 32, 1e-3
WORKERS = {
    "minicnn fast": "minicnn",
    "minicnn im2col": "minicnn",
    "Keras/TensorFlow": "tensorflow",
    "PyTorch": "torch",
    "PyTorch channels-last": "torch",
    "JAX": "jax",
}


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    names = [name for name, module in WORKERS.items() if importlib.util.find_spec(module)]
    report = {}
    for network, (filters, units, size) in NETWORKS.items():
        with tempfile.TemporaryDirectory() as folder:
            write_problem(Path(folder) / "problem.npz", filters, units, size)
            workers = {name: start(name, network, folder) for name in names}
            wanted = np.array(json.loads(workers[names[0]].stdout.readline()))
            for name in names[1:]:
                got = np.array(json.loads(workers[name].stdout.readline()))
                assert np.abs(got - wanted).max() < 1e-4, (
                    f"{name} predicts otherwise: {np.abs(got - wanted).max()}"
                )
            seconds = {name: ask(worker, 3) for name, worker in workers.items()}  # also compiles
            seconds = {name: ask(worker, 3) for name, worker in workers.items()}
            steps = {name: max(1, round(1 / (value / 3))) for name, value in seconds.items()}
            speeds = {name: [] for name in names}
            for _ in range(rounds):
                for name, worker in workers.items():
                    speeds[name].append(BATCH * steps[name] / ask(worker, steps[name]))
            for worker in workers.values():
                worker.stdin.close()
                worker.wait()
        report[network] = speeds
        print(table(network, speeds), flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "peers.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    text = "\n".join(table(network, speeds) for network, speeds in report.items())
    (RESULTS / "peers.md").write_text(text, encoding="utf-8")


def table(network: str, speeds: dict[str, list[float]]) -> str:
    """Markdown, the fastest first."""
    ours = statistics.median(speeds["minicnn fast"])
    lines = [
        f"Training {network}, {NETWORKS[network][2]} px, batch {BATCH}, float32, {len(speeds['minicnn fast'])} rounds:",
        "",
    ]
    lines += [
        "| framework | pictures a second, median | least to most | minicnn fast against it |",
        "|---|---|---|---|",
    ]
    for name, values in sorted(speeds.items(), key=lambda item: -statistics.median(item[1])):
        middle = statistics.median(values)
        lines.append(
            f"| {name} | {middle:.0f} | {min(values):.0f} to {max(values):.0f} | {ours / middle:.2f}x |"
        )
    return "\n".join(lines) + "\n"


def write_problem(path: Path, filters, units, size) -> None:
    """Weights in Keras's layout, a batch and its labels."""
    from minicnn import networks

    make = networks.two_block if len(filters) == 2 else networks.four_block
    model = make().build((size, size, 3), seed=0)
    rng = np.random.default_rng(0)
    x = rng.random((BATCH, size, size, 3), np.float32)
    weights = {f"w{i}": weight for i, weight in enumerate(model.get_weights())}
    np.savez(path, x=x, y=rng.integers(0, 2, (BATCH, 1)).astype("float32"), **weights)


def start(name, network, folder):
    """A worker process that says its predictions and waits."""
    command = [sys.executable, __file__, "--worker", name, network, str(Path(folder) / "problem.npz")]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=quiet)


def ask(worker, steps: int) -> float:
    """Seconds that a worker needs for that many training steps."""
    worker.stdin.write(f"{steps}\n")
    worker.stdin.flush()
    return float(worker.stdout.readline())


# --------------------------------------------------------------------------------------- workers
def work(name, network, path) -> None:
    """Say the predictions, then, for each number read, train for that many steps and say the seconds."""
    problem = np.load(path)
    x, y = problem["x"], problem["y"]
    weights = [problem[f"w{i}"] for i in range(len(problem.files) - 2)]
    make = {"minicnn": minicnn_worker, "tensorflow": keras_worker, "torch": torch_worker, "jax": jax_worker}
    predict, train = make[WORKERS[name]](name, network, weights, x, y)
    print(json.dumps(predict().ravel().tolist()), flush=True)
    for line in sys.stdin:
        begin = time.perf_counter()
        train(int(line))
        print(time.perf_counter() - begin, flush=True)


def minicnn_worker(name, network, weights, x, y):
    import minicnn as mc
    from minicnn import networks

    make = {"two-block": networks.two_block, "four-block": networks.four_block}[network]
    model = make(kernels=name.split()[1]).build(x.shape[1:])
    model.set_weights(weights)
    model.compile(mc.Adam(RATE), "binary_crossentropy")

    def train(steps):
        for _ in range(steps):
            model.train_step(x, y)

    return lambda: model.predict(x), train


def keras_worker(name, network, weights, x, y):
    import tensorflow as tf
    from tensorflow import keras

    filters, units, size = NETWORKS[network]
    layers = [keras.Input((size, size, 3))]
    for count in filters:
        layers += [keras.layers.Conv2D(count, 3, activation="relu"), keras.layers.MaxPooling2D()]
    layers += [keras.layers.Flatten(), keras.layers.Dense(units, activation="relu")]
    model = keras.Sequential([*layers, keras.layers.Dense(1, activation="sigmoid")])
    model.set_weights(weights)
    optimizer, loss_function = keras.optimizers.Adam(RATE), keras.losses.BinaryCrossentropy()
    batch, target = tf.constant(x), tf.constant(y)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = loss_function(target, model(batch, training=True))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    def train(steps):
        for _ in range(steps):
            loss = step()
        loss.numpy()

    return lambda: model(batch).numpy(), train


def torch_worker(name, network, weights, x, y):
    import torch
    from torch import nn

    filters, units, size = NETWORKS[network]
    layers, channels, side = [], 3, size
    for count in filters:
        layers += [nn.Conv2d(channels, count, 3), nn.ReLU(), nn.MaxPool2d(2)]
        channels, side = count, (side - 2) // 2
    model = nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(channels * side * side, units), nn.ReLU(), nn.Linear(units, 1)
    )
    values = list(weights)
    k = 2 * len(filters)  # the first dense layer reads the picture channel by channel here
    values[k] = values[k].reshape(side, side, channels, units).transpose(2, 0, 1, 3).reshape(-1, units)
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), values, strict=True):
            turned = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(turned)))
    batch, target = torch.from_numpy(x.transpose(0, 3, 1, 2)).contiguous(), torch.from_numpy(y)
    if name.endswith("channels-last"):
        model, batch = (
            model.to(memory_format=torch.channels_last),
            batch.to(memory_format=torch.channels_last),
        )
    optimizer, loss_function = torch.optim.Adam(model.parameters(), RATE, eps=1e-7), nn.BCEWithLogitsLoss()

    def train(steps):
        for _ in range(steps):
            optimizer.zero_grad()
            loss_function(model(batch), target).backward()
            optimizer.step()

    def predict():
        with torch.no_grad():
            return torch.sigmoid(model(batch)).numpy()

    return predict, train


def jax_worker(name, network, weights, x, y):
    import jax
    import jax.numpy as jnp
    from jax import lax

    blocks = len(NETWORKS[network][0])

    def logits(weights, h):
        for i in range(blocks):
            h = lax.conv_general_dilated(
                h, weights[2 * i], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            h = jnp.maximum(h + weights[2 * i + 1], 0)
            h = lax.reduce_window(h, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        h = h.reshape(len(h), -1)
        h = jnp.maximum(h @ weights[-4] + weights[-3], 0)
        return h @ weights[-2] + weights[-1]

    def loss(weights):
        z = logits(weights, batch)
        return (jnp.maximum(z, 0) - z * target + jnp.log1p(jnp.exp(-jnp.abs(z)))).mean()

    @jax.jit
    def step(state):
        weights, m, v, t = state
        gradient = jax.grad(loss)(weights)
        m = [a + 0.1 * (g - a) for a, g in zip(m, gradient, strict=True)]
        v = [a + 0.001 * (g * g - a) for a, g in zip(v, gradient, strict=True)]
        rate = RATE * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        moved = [w - rate * a / (jnp.sqrt(b) + 1e-7) for w, a, b in zip(weights, m, v, strict=True)]
        return moved, m, v, t + 1

    batch, target = jnp.asarray(x), jnp.asarray(y)
    first = [jnp.asarray(w) for w in weights]
    zeros = [jnp.zeros_like(w) for w in first]
    state = [(first, zeros, zeros, 1.0)]

    def train(steps):
        for _ in range(steps):
            state[0] = step(state[0])
        jax.block_until_ready(state[0])

    return lambda: np.asarray(jax.nn.sigmoid(logits(first, batch))), train


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(*sys.argv[2:])
    else:
        main()
