"""Measure how time and memory of training grow with batch size, image size and number of threads.

    python benchmarks/scaling.py [--rounds 5] [--quick] [--out FOLDER]

A training step is forward, loss, backward and Adam with the fast kernels, on random images in memory.  Every
measurement is a process of its own with a given number of threads.  The time of a step is the median of the steps that
fill half a second, without the first.  The memory is the peak of the process, including Python and the libraries.  The
processes take turns, and a reported value is the median of the rounds.  The loss of the first step must be the same, to
the bit, in all rounds and with any number of threads.

four-block needs images of at least 46 pixels, so two-block, which needs 10, shows the smallest sizes.  An exponent is
the slope of a least-squares line through the logarithms, with its standard error.  Time proportional to the batch size
has exponent 1; time proportional to the area of the images has exponent 2 in their side.

Writes scaling.md, scaling.json and scaling.png to FOLDER (default: benchmarks/results).  About five minutes on two
cores.  With --quick it measures one round of the smallest points, as a test, and writes only if FOLDER is given.
Linux and macOS only.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from measuring import RESULTS, machine, number, spread, table, write

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SIZES = {"two-block": (32, 48, 64, 96, 128, 192, 256), "four-block": (64, 96, 128, 192, 256)}
THREADS = (1, 2)


class Point(NamedTuple):
    """One process: the network, the batch size, the side of the images in pixels, the number of threads."""

    network: str
    batch: int
    size: int
    threads: int


class Curve(NamedTuple):
    """The points of one line in the plot.  They differ in `axis` only; `panel` names what the lines have in common."""

    panel: str
    axis: str
    label: str
    points: list[Point]


def curves(quick: bool) -> list[Curve]:
    """One curve over the batch size for each number of threads, and one over the image size for each network."""
    few, most = slice(3) if quick else slice(None), max(THREADS)
    over_batch = [
        Curve(
            "four-block, 150 px",
            "batch",
            f"{threads} thread{'s' * (threads > 1)}",
            [Point("four-block", batch, 150, threads) for batch in BATCHES[few]],
        )
        for threads in THREADS
    ]
    over_size = [
        Curve(
            f"batch 32, {most} threads",
            "size",
            network,
            [Point(network, 32, size, most) for size in sizes[few]],
        )
        for network, sizes in SIZES.items()
    ]
    return over_batch + over_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds (default: 5)")
    parser.add_argument("--quick", action="store_true", help="measure one round of the smallest points")
    parser.add_argument(
        "--out", type=Path, help="folder for the results (default: benchmarks/results; with --quick: none)"
    )
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    lines = curves(options.quick)
    points = list(dict.fromkeys(point for line in lines for point in line.points))
    for network in SIZES:  # compiles the kernels if necessary; not counted
        measure(next(point for point in points if point.network == network))
    answers = {point: [] for point in points}
    for done in range(1 if options.quick else options.rounds):
        for point in points:
            answers[point].append(measure(point))
        print(f"round {done + 1}", flush=True)
    same_losses(answers)
    report = {
        "machine": machine(),
        "points": [point._asdict() | {"rounds": rounds} for point, rounds in answers.items()],
        "exponents": exponents(lines, answers),
    }
    print(text(report))
    if folder := options.out or (None if options.quick else RESULTS):
        write(folder, "scaling", text(report), report)
        draw(folder / "scaling.png", report)


def measure(point: Point) -> dict:
    """Start a process; it measures "seconds" per step, peak memory in "megabytes" and the "loss" of the first step."""
    threads = {"MINICNN_THREADS": str(point.threads), "NUMBA_NUM_THREADS": str(point.threads)}
    command = [sys.executable, __file__, "--worker", *map(str, point)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ | threads, check=True)
    return json.loads(done.stdout)


def work(network: str, batch: int, size: int, threads: int) -> None:
    """The process of one point: train, and print the measurements."""
    import resource

    from minicnn.models import networks

    make = {"two-block": networks.two_block, "four-block": networks.four_block}[network]
    model = make(kernels="fast").build((size, size, 3), seed=0)
    model.compile("adam", "binary_crossentropy")
    rng = np.random.default_rng(0)
    x, y = rng.random((batch, size, size, 3), np.float32), rng.integers(0, 2, batch)
    loss, _ = model.train_step(x, y)
    seconds: list[float] = []
    while sum(seconds) < 0.5:
        begin = time.perf_counter()
        model.train_step(x, y)
        seconds.append(time.perf_counter() - begin)

    from numba import get_num_threads

    if get_num_threads() != threads:
        sys.exit(f"expected {threads} threads, but {get_num_threads()} ran")
    # KB on Linux, bytes on macOS.  It includes the parent's peak, so the parent must not import large libraries first.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    megabytes = most / (1024 if sys.platform == "linux" else 1024**2)
    print(json.dumps({"seconds": statistics.median(seconds), "megabytes": megabytes, "loss": loss}))


def same_losses(answers: dict[Point, list[dict]]) -> None:
    """Check that the result does not depend on threads or rounds.

    Raises
    ------
    RuntimeError
        If the first loss of a network on the same images is not always bit-identical.
    """
    losses: dict[tuple, set] = {}
    for point, rounds in answers.items():
        losses.setdefault(point[:3], set()).update(answer["loss"] for answer in rounds)
    for problem, values in losses.items():
        if len(values) > 1:
            raise RuntimeError(f"{problem}: the first loss is now {values}; it must be one number")


# ------------------------------------------------------------------------------------------ the report
def straight_line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """(slope, its standard error, intercept) of the least-squares line through the points.

    Examples
    --------
    >>> straight_line([1, 2, 3, 4], [5, 7, 9, 11])
    (2.0, 0.0, 3.0)
    """
    u, v = np.asarray(x, float), np.asarray(y, float)
    du, dv = u - u.mean(), v - v.mean()
    slope = (du @ dv) / (du @ du)
    left = dv - slope * du
    error = math.sqrt(left @ left / (len(u) - 2) / (du @ du))
    return float(slope), error, float(v.mean() - slope * u.mean())


def exponent(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """(p, standard error) of y ~ x^p.

    Examples
    --------
    >>> exponent([1, 2, 4, 8], [3, 12, 48, 192])
    (2.0, 0.0)
    """
    return straight_line(np.log2(x), np.log2(y))[:2]


def exponents(lines: list[Curve], answers: dict) -> list[dict]:
    """The exponents of each curve, for time and memory: over all points, and over the larger half of them."""
    found = []
    for line in lines:
        for what in ("seconds", "megabytes"):
            x, y = values(line, answers, what)
            half = max(3, -(-len(x) // 2))
            found.append(
                {"panel": line.panel, "curve": line.label, "over": line.axis, "of": what}
                | {
                    "all": exponent(x, y),
                    "larger_half": exponent(x[-half:], y[-half:]),
                    "half_from": x[-half],
                }
            )
    return found


def values(line: Curve, answers: dict, what: str) -> tuple[list[int], list[float]]:
    """The x values of a curve, and the medians of the rounds."""
    x = [getattr(point, line.axis) for point in line.points]
    return x, [statistics.median(answer[what] for answer in answers[point]) for point in line.points]


def measured(report: dict) -> tuple[list[Curve], dict[Point, list[dict]]]:
    """The curves, with the points that were measured, and the measurements of each point."""
    answers = {Point(*(point[name] for name in Point._fields)): point["rounds"] for point in report["points"]}
    lines = curves(quick=False)
    return [line._replace(points=[p for p in line.points if p in answers]) for line in lines], answers


def text(report: dict) -> str:
    """The report in Markdown."""
    lines, answers = measured(report)
    rounds = len(next(iter(answers.values())))
    paragraphs = [
        f"Training steps (forward, loss, backward, Adam), fast kernels, float32. {report['machine']}. Each measurement "
        f"is a process of its own; medians of {rounds} rounds, with the smallest and largest value in brackets.",
        "Exponents of growth, with standard errors, over all points and over the larger half of them:",
        exponent_table(report),
    ]
    for line in lines:
        if line.axis == "batch":
            slope, error, fixed = straight_line(*values(line, answers, "megabytes"))
            paragraphs.append(
                f"{line.panel}, {line.label}: peak memory is {fixed:.0f} MB, and {slope:.2f} ± {error:.2f} MB for each "
                "image in the batch."
            )
    heading = ["network", "batch", "pixels", "threads", "ms per step", "images per second", "peak memory, MB"]
    rows = []
    for point, found in answers.items():
        seconds = statistics.median(answer["seconds"] for answer in found)
        rows.append(
            [point.network, str(point.batch), str(point.size), str(point.threads)]
            + [spread([1e3 * answer["seconds"] for answer in found]), number(point.batch / seconds)]
            + [spread([answer["megabytes"] for answer in found], 4), speedup(point, answers)]
        )
    return "\n\n".join([*paragraphs, table([*heading, "relative to 1 thread"], rows)]) + "\n"


def speedup(point: Point, answers: dict) -> str:
    """How many times as fast a point is as on one thread, if that was measured."""
    alone = answers.get(point._replace(threads=1))
    if not alone:
        return ""
    slow, fast = (
        statistics.median(answer["seconds"] for answer in found) for found in (alone, answers[point])
    )
    return f"{slow / fast:.2f}x"


def exponent_table(report: dict) -> str:
    """The exponent of each curve."""
    rows = [
        [
            f"{fit['panel']}, {fit['curve']}",
            "time" if fit["of"] == "seconds" else "peak memory",
            "batch size" if fit["over"] == "batch" else "image size",
            *("{:.2f} ± {:.2f}".format(*fit[part]) for part in ("all", "larger_half")),
            str(fit["half_from"]),
        ]
        for fit in report["exponents"]
    ]
    return table(["curve", "quantity", "over", "exponent", "exponent, larger half", "larger half from"], rows)


def batch_table(report: dict) -> str:
    """Over the batch size: time, speed and memory on the most threads, and the gain over one thread."""
    lines, answers = measured(report)
    line = max((line for line in lines if line.axis == "batch"), key=lambda line: line.points[0].threads)
    rows = []
    for point in line.points:
        seconds = statistics.median(answer["seconds"] for answer in answers[point])
        memory = statistics.median(answer["megabytes"] for answer in answers[point])
        speeds = [number(1e3 * seconds), number(point.batch / seconds), f"{memory:.0f} MB"]
        rows.append([str(point.batch), *speeds, speedup(point, answers)])
    heading = ["batch", "ms per step", "images per second", "peak memory"]
    return table([*heading, f"{line.label} relative to 1"], rows)


def draw(path: Path, report: dict) -> None:
    """Four panels: time above memory, over the batch size and over the image size."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    from minicnn.reporting.plots import BLUE, ORANGE

    (lines, answers), fits = measured(report), report["exponents"]
    figure = Figure(figsize=(12, 9), layout="constrained")
    panels = dict(zip(("batch", "size"), figure.subplots(2, 2, sharex="col").T, strict=True))
    looks = {
        label: (ORANGE, "s--") if i % 2 == 0 else (BLUE, "o-") for i, (_, _, label, _) in enumerate(lines)
    }
    rows = {"seconds": (0, 1e3, "ms per step"), "megabytes": (1, 1, "peak memory, MB")}
    for fit in fits:
        line = next(line for line in lines if (line.panel, line.label) == (fit["panel"], fit["curve"]))
        row, scale, label = rows[fit["of"]]
        (x, y), (colour, style), (slope, error) = (
            values(line, answers, fit["of"]),
            looks[line.label],
            fit["larger_half"],
        )
        words = f"{line.label}: exponent {slope:.2f} ± {error:.2f} from {fit['half_from']}"
        panel = panels[line.axis][row]
        panel.plot(x, np.multiply(y, scale), style, color=colour, markersize=6, label=words)
        panel.set(xscale="log", yscale="log")
        panel.set_ylabel(label, fontsize=12)
    for axis, (above, below) in panels.items():
        here = [line for line in lines if line.axis == axis]
        ticks = sorted({getattr(point, axis) for line in here for point in line.points})
        above.set_title(here[0].panel, fontsize=13)
        below.set_xlabel({"batch": "batch size", "size": "image size in pixels"}[axis], fontsize=12)
        for panel in (above, below):
            panel.set_xticks(ticks, [str(tick) for tick in ticks])
            panel.set_xticks([], minor=True)
            panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
            panel.yaxis.set_major_formatter("{x:g}")
            panel.yaxis.set_minor_formatter(NullFormatter())
            panel.grid(alpha=0.3, linewidth=0.5)
            panel.legend(fontsize=11, loc="upper left")
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2], *map(int, sys.argv[3:]))
    else:
        main()
