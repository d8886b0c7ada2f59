"""Compare every hand-written gradient with numerical differences of the forward pass, in float64, with each kernel set.

    python benchmarks/gradients.py

Layers and losses are checked element by element, the three networks at full size along random directions.  Prints a
table, writes gradients.md and gradients.json into benchmarks/results, and ends with status 1 if a relative error is
above 1e-6.  About two minutes on one core, mostly the reference kernels on the 150-pixel network.
"""

import sys

import numpy as np
from measuring import RESULTS, table, write

import minicnn as mc
from minicnn.functions import sigmoid, softmax
from minicnn.gradient_check import check_layer, check_loss, check_model
from minicnn.kernels import NAMES
from minicnn.models import networks

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
    """The name and the check of each loss, from logits and from probabilities."""
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
    report, passed = {"tolerance": TOLERANCE, "checks": []}, True

    def add(kind, what, kernels, checks):
        nonlocal passed
        passed &= all(check.passes(TOLERANCE) for check in checks)
        worst = max(checks, key=lambda check: check.error)
        row = {"kind": kind, "checked": what, "kernels": kernels, "error": worst.error, "where": worst.name}
        report["checks"].append(row)
        print(", ".join(cells(row)), flush=True)

    for kernels in NAMES:
        for make, shape in LAYERS:
            checks = check_layer(make(), shape, batch=3, kernels=kernels)
            add("layer", f"{type(make()).__name__} on {shape}", kernels, checks)
    for name, check in losses():
        add("loss", name, "", [check])
    for kernels in NAMES:
        for network, size in NETWORKS:
            rng = np.random.default_rng(0)  # the same images for each kernel set
            model = network(kernels=kernels).build((size, size, 3), dtype="float64")
            model.compile("adam", "binary_crossentropy")
            x, y = rng.random((2, size, size, 3)), np.array([0, 1])
            add("network", f"{model.name}, {size} px", kernels, check_model(model, x, y, directions=1))
    write(RESULTS, "gradients", text(report), report)
    print(text(report).splitlines()[-1])
    return int(not passed)


def text(report: dict) -> str:
    """The report in Markdown: every check."""
    rows = [cells(row) for row in report["checks"]]
    worst = max(row["error"] for row in report["checks"])
    lines = table(["checked", "kernels", "largest relative error", "where"], rows)
    return f"{lines}\n\nLargest error: {worst:.1e}; allowed: {report['tolerance']:.0e}.\n"


def cells(row: dict) -> list[str]:
    """One check as a row of the table."""
    return [row["checked"], row["kernels"], f"{row['error']:.1e}", row["where"]]


def largest_table(report: dict) -> str:
    """The largest error of all layers, losses and networks."""
    rows, checks = [], report["checks"]
    for kind, kernels in dict.fromkeys((row["kind"], row["kernels"]) for row in checks):
        same = [row["error"] for row in checks if (row["kind"], row["kernels"]) == (kind, kernels)]
        rows.append([kind, kernels, str(len(same)), f"{max(same):.1e}"])
    return table(["checked", "kernels", "checks", "largest relative error"], rows)


if __name__ == "__main__":
    sys.exit(main())
