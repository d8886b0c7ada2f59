"""The roofline chart of `kernels.py`: the speed of each kernel over its operations per byte.

Below the slanted lines a kernel is limited by memory, below the horizontal line by computation.  Both axes count the
operations of the equation (dense-equivalent), so a kernel that skips products with zero may lie above the roof.
`reference` is left out, because it would be a hundred to ten thousand times lower.
"""

import math
import statistics
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from minicnn.reporting.plots import BLUE, ORANGE

COLOURS = {"im2col": ORANGE, "fast": BLUE}
MARKERS = {
    ("conv + ReLU + pool", "forward"): "^",
    ("conv + ReLU + pool", "backward"): "v",
    ("convolution", "forward"): "o",
    ("convolution", "backward"): "s",
    ("dense", "forward"): "D",
    ("dense", "backward"): "d",
}
OTHERS = "X", "pools, ReLU, Adam"


def draw(path: Path, results: dict) -> None:
    """Draw the report of `kernels.py` as a PNG file.

    Parameters
    ----------
    path : Path
    results : dict
        The report that `kernels.report` returns.
    """
    figure = Figure(figsize=(11, 7), layout="constrained")
    axis = figure.subplots()
    points = [
        (row, name, row["operations"] / row["bytes"], row["operations"] / statistics.median(seconds) / 1e9)
        for row in results["kernels"]
        for name, seconds in row["seconds"].items()
        if name in COLOURS
    ]
    for row, name, intensity, speed in points:
        marker = MARKERS.get((row["family"], row["pass"]), OTHERS[0])
        face = COLOURS[name] if name == "fast" else "white"
        axis.plot(
            intensity, speed, marker, color=COLOURS[name], markerfacecolor=face, markersize=8, alpha=0.85
        )
    left, right = min(point[2] for point in points) / 1.6, max(point[2] for point in points) * 1.6
    _roofs(axis, results, left, right)
    highest = 2 * max(results["peak"] / 1e9, *(point[3] for point in points))
    axis.set(xscale="log", yscale="log", xlim=(left, right), ylim=(None, highest))
    axis.text(
        right / 1.1,
        highest / 1.15,
        "above the roof: products with zero are skipped",
        ha="right",
        va="top",
        fontsize=11,
    )
    axis.set_xlabel("operations per byte that must be moved", fontsize=12)
    axis.set_ylabel("GFLOP/s, dense-equivalent", fontsize=12)
    axis.set_title(f"Kernels under the roof, batch {results['batch']}, float32", fontsize=13)
    axis.grid(alpha=0.3, which="both", linewidth=0.5)
    _legends(axis, {(row["family"], row["pass"]) for row, *_ in points})
    figure.savefig(path, dpi=100)


def _roofs(axis, results, left, right):
    """Draw the peak, and a slanted line each for memory and for the fastest cache."""
    peak = results["peak"] / 1e9
    speeds = {
        size: statistics.median(values) / 1e9 for size, values in results["triad_bytes_per_second"].items()
    }
    axis.axhline(peak, color="black", linewidth=1.5)
    axis.text(left * 1.1, peak * 1.06, f"peak: {peak:.0f} GFLOP/s", fontsize=11)
    for size, style, name in ((max(speeds, key=speeds.get), "--", "cache"), (max(speeds), "-", "memory")):
        speed = speeds[size]
        axis.plot([left, peak / speed], [left * speed, peak], style, color="black", linewidth=1.5)
        axis.text(
            peak / speed / 1.6,
            peak / 1.6 * 1.12,
            f"{name}: {speed:.0f} GB/s (triad of {size >> 20} MB)",
            fontsize=11,
            ha="right",
            rotation=math.degrees(math.atan(speed)),  # along the line, whose slope is `speed`
            rotation_mode="anchor",
            transform_rotates_text=True,
        )


def _legends(axis, families):
    sets = [
        Line2D([], [], marker="o", linestyle="", color=colour, label=name, markersize=9,
               markerfacecolor=colour if name == "fast" else "white")
        for name, colour in COLOURS.items()
    ]  # fmt: skip
    kinds = [
        Line2D([], [], marker=marker, linestyle="", color="0.3", label=", ".join(kind), markersize=8)
        for kind, marker in MARKERS.items()
        if kind in families
    ]
    if families - MARKERS.keys():
        kinds.append(
            Line2D([], [], marker=OTHERS[0], linestyle="", color="0.3", label=OTHERS[1], markersize=8)
        )
    axis.legend(handles=sets + kinds, loc="lower right", fontsize=11)
