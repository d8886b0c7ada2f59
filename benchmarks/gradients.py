"""Every hand-written gradient against differences of the forward pass, in float64, in each kernel set.

    python benchmarks/gradients.py

Each layer and loss element by element, and the three networks at full size along random directions.  Prints a
table, writes benchmarks/results/gradients.md, and ends with status 1 if an error is above 1e-6.  About two
minutes on one core, nearly all of it the reference kernels on the 150-pixel network.
"""

import sys
from pathlib import Path

import numpy as np

import minicnn as mc
from minicnn import networks
from minicnn.functions import sigmoid, softmax
from minicnn.gradient_check import check_layer, check_loss, check_model
from minicnn.kernels import NAMES

TOLERANCE = 1e-6
LAYERS = [
    (lambda: mc.Conv2D(4, 3), (7, 6, 3)),
    (lambda: mc.Conv2D(3, (2, 4), strides=(2, 1), padding="same"), (6, 7, 2)),
    (lambda: mc.Conv2D(2, 3, strides=2, padding=((0, 1), (2, 0)), use_bias=False), (6, 5, 3)),
    (lambda: mc.MaxPool2D(2), (6, 5, 3)),
    (lambda: mc.MaxPool2D(3, strides=2, padding="same"), (6, 5, 3)),
    (lambda: mc.AveragePool2D(3, strides=2, padding="same"), (6, 5, 3)),
    (lambda: mc.GlobalAveragePool2D(), (4, 5, 3)),
    (lambda: mc.DepthwiseConv2D(3, 2, "same", depth_multiplier=2), (6, 5, 3)),
    (lambda: mc.SeparableConv2D(4, 3, padding="same"), (6, 5, 3)),
    (lambda: mc.BatchNormalization(), (4, 5, 3)),
    (lambda: mc.Residual([mc.Conv2D(4, 3, 2, "same"), mc.ReLU()], [mc.Conv2D(4, 1, 2)]), (6, 5, 3)),
    (lambda: mc.Flatten(), (3, 2, 2)),
    (lambda: mc.Dense(5), (7,)),
    (lambda: mc.Dropout(0.4), (30,)),
    (lambda: mc.ReLU(), (30,)),
    (lambda: mc.LeakyReLU(0.1), (30,)),
    (lambda: mc.Sigmoid(), (30,)),
    (lambda: mc.Softmax(), (6,)),
]
NETWORKS = [(networks.two_block, 64), (networks.four_block, 150), (networks.catdog, 64)]


def losses():
    """(name, check) of each loss, from logits and from probabilities."""
    rng = np.random.default_rng(0)
    one, three, weight = rng.standard_normal((6, 1)), rng.standard_normal((6, 3)), rng.uniform(0.5, 2, 6)
    labels, classes = rng.integers(0, 2, 6), rng.integers(0, 3, 6)
    one_hot = np.eye(3)[classes]
    yield "BinaryCrossEntropy, logits", check_loss(mc.BinaryCrossEntropy(True, 0.1), labels, one, weight)
    yield "BinaryCrossEntropy", check_loss(mc.BinaryCrossEntropy(), labels, sigmoid(one), weight)
    for loss, target in ((mc.CategoricalCrossEntropy, one_hot), (mc.SparseCategoricalCrossEntropy, classes)):
        yield f"{loss.__name__}, logits", check_loss(loss(True, 0.1), target, three, weight)
        yield loss.__name__, check_loss(loss(), target, softmax(three), weight)
    yield "MeanSquaredError", check_loss(mc.MeanSquaredError(), one_hot, three, weight)


def main() -> int:
    rows, worst = ["| checked | kernels | largest relative error | where |", "|---|---|---|---|"], 0.0

    def add(what, kernels, checks):
        nonlocal worst
        check = max(checks, key=lambda c: c.error)
        worst = max(worst, *(c.error if c.passes(TOLERANCE) else np.inf for c in checks))
        rows.append(f"| {what} | {kernels} | {check.error:.1e} | {check.name} |")
        print(rows[-1], flush=True)

    for kernels in NAMES:
        for make, shape in LAYERS:
            add(
                f"{type(make()).__name__} on {shape}",
                kernels,
                check_layer(make(), shape, batch=3, kernels=kernels),
            )
    for name, check in losses():
        add(name, "", [check])
    for kernels in NAMES:
        for network, size in NETWORKS:
            rng = np.random.default_rng(0)  # each set is asked the same
            model = network(kernels=kernels).build((size, size, 3), dtype="float64")
            model.compile("adam", "binary_crossentropy")
            x, y = rng.random((2, size, size, 3)), np.array([0, 1])
            add(f"{model.name}, {size} px", kernels, check_model(model, x, y, directions=1))
    text = "\n".join(rows) + f"\n\nLargest of all: {worst:.1e}; allowed: {TOLERANCE:.0e}.\n"
    (Path(__file__).resolve().parent / "results" / "gradients.md").write_text(text, encoding="utf-8")
    print(text.splitlines()[-1])
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
