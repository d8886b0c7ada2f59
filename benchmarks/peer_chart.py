"""The chart of a run of peers.py: speed of training and of prediction, and peak memory of training.

Speeds are relative to the fastest peer.  Of a framework's variants the best one is drawn.  Called by peer_report.py.
"""

import statistics
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402
from peer_ratios import fastest_peer  # noqa: E402

# Okabe and Ito's palette, for colour-blind readers too.  The name of a variant begins with that of its framework.
COLOURS = {
    "minicnn": "#D55E00",
    "Keras/TensorFlow": "#0072B2",
    "PyTorch": "#56B4E9",
    "JAX": "#009E73",
    "ONNX Runtime": "#CC79A7",
}
TRAINING, PREDICTION, MEMORY = "Training speed", "Prediction speed", "Peak memory of training"


def draw(report: dict, path: Path) -> None:
    """Training on the left; on the right prediction and memory, if they were measured."""
    entries = [entry for entry in report["speeds"] if fastest_peer(entry)]
    training = [entry for entry in entries if entry["task"] == "training"]
    prediction = [entry for entry in entries if entry["task"] != "training"]
    right = [PREDICTION] * bool(prediction) + [MEMORY] * ("memory" in report)
    rows = [[TRAINING, panel] for panel in right] or [[TRAINING]]
    figure, axes = pyplot.subplot_mosaic(
        rows,
        figsize=(10, max(3.2 * len(rows), 1.6 + 0.75 * len(training))),
        layout="constrained",
        height_ratios=[5, 2] if len(rows) == 2 else [1],
    )
    _draw_speeds(axes[TRAINING], training, [f"{e['network']}\n{e['pixels']} px" for e in training])
    if prediction:
        labels = [f"{e['network']}\n{e['task'].split(', ')[1]}" for e in prediction]
        _draw_speeds(axes[PREDICTION], prediction, labels)
    if "memory" in report:
        _draw_memory(axes[MEMORY], report["memory"])
    for title, axis in axes.items():
        axis.set_title(title + (f" {report['memory']['network']}" if title == MEMORY else ""), fontsize=13)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=11)
    shown = [name for name in COLOURS if any(n.startswith(name) for e in entries for n in e["speeds"])]
    squares = [pyplot.Rectangle((0, 0), 1, 1, color=COLOURS[name]) for name in shown]
    figure.legend(squares, shown, loc="outside upper center", ncols=len(shown), fontsize=11, frameon=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _draw_speeds(axis, entries, labels):
    """One group of bars per entry, relative to its fastest peer; minicnn's bar has its ratio and range."""
    for row, entry in enumerate(entries):
        peer = entry["speeds"][fastest_peer(entry)]
        shares = {
            name: [mine / best for mine, best in zip(speeds, peer, strict=True)]
            for name, speeds in entry["speeds"].items()
        }
        best = _best(shares, lambda values: -statistics.median(values))
        height = 0.84 / len(best)
        for place, (framework, values) in enumerate(best.items()):
            middle, y = statistics.median(values), row - 0.42 + height * (place + 0.5)
            axis.barh(y, middle, 0.92 * height, color=COLOURS[framework])
            if framework == "minicnn":
                axis.plot([min(values), max(values)], [y, y], color="black", linewidth=1.5)
                _write(axis, max(values), y, f"{middle:.2f}x")
    axis.set_yticks(range(len(entries)), labels)
    axis.set_ylim(len(entries) - 0.45, -0.55)
    axis.axvline(1, color="black", linewidth=0.8, zorder=0)
    axis.set_xlabel("speed relative to the fastest peer", fontsize=11)
    axis.margins(x=0.16)


def _draw_memory(axis, memory):
    """One bar per framework, in MB."""
    best = _best({name: row["trained"] for name, row in memory["MB"].items()}, lambda value: value)
    for row, (framework, value) in enumerate(best.items()):
        axis.barh(row, value, 0.84, color=COLOURS[framework])
        _write(axis, value, row, f"{value:.0f} MB")
    axis.set_yticks(range(len(best)), best)
    axis.invert_yaxis()
    axis.set_xticks([])
    axis.spines["bottom"].set_visible(False)
    axis.margins(x=0.2)


def _best(by_name, key):
    """From variants to frameworks, in the order of COLOURS: the value of the variant with the smallest key."""
    variants = {
        framework: [value for name, value in by_name.items() if name.startswith(framework)]
        for framework in COLOURS
    }
    return {framework: min(values, key=key) for framework, values in variants.items() if values}


def _write(axis, x, y, text):
    """Write bold text to the right of a bar."""
    white = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    axis.annotate(
        text,
        (x, y),
        (5, 0),
        textcoords="offset points",
        va="center",
        fontsize=11,
        fontweight="bold",
        bbox=white,
    )
