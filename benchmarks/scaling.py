"""How time and memory of training grow with the batch, with the size of the pictures, and with threads.

    python benchmarks/scaling.py [--rounds 5] [--quick] [--out FOLDER]

A step is forward, loss, backward and Adam with the fast kernels, on random pictures from memory.  Every
measurement is a process of its own, told how many threads to use: seconds of a step are the median of the steps
that fill half a second, after the first; memory is the most that the process ever held, Python and the library
included.  The processes take turns, round by round, and a figure is the median of the rounds.  The first step's
loss must be the same, to the bit, in all rounds and on any number of threads.

four-block needs pictures of at least 46 pixels, so two-block, which does with 10, shows the smallest sizes.
An exponent is the slope of a straight line through the logarithms, fitted by least squares, with its standard
error: time that grows as the batch has exponent 1, as the area of the pictures exponent 2 in their side.

Writes scaling.md, scaling.json and scaling.png to FOLDER (benchmarks/results).  About five minutes on two
cores; --quick, one round of the smallest points, shows in seconds that it runs and writes only if FOLDER is given.
Linux and macOS.
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
    """One process: the network, how many pictures a step, how many pixels a side, how many threads."""

    network: str
    batch: int
    size: int
    threads: int


class Curve(NamedTuple):
    """The points of a line in the picture, which differ in `axis` alone; `panel` names what its lines share."""

    panel: str
    axis: str
    label: str
    points: list[Point]


def curves(quick: bool) -> list[Curve]:
    """Time and memory over the batch, for each number of threads, and over the picture's side, for each network."""
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
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument("--quick", action="store_true", help="one round of the smallest points")
    parser.add_argument(
        "--out", type=Path, help="folder for the results (benchmarks/results; with --quick none)"
    )
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    lines = curves(options.quick)
    points = list(dict.fromkeys(point for line in lines for point in line.points))
    for network in SIZES:  # compiles, where that has not been done, and is not counted
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
    words = text(report, lines, answers)
    print(words)
    if folder := options.out or (None if options.quick else RESULTS):
        write(folder, "scaling", words, report)
        draw(folder / "scaling.png", lines, answers, report["exponents"])


def measure(point: Point) -> dict:
    """What a process of its own found: "seconds" of a step, "megabytes" at most, the "loss" of its first step."""
    threads = {"MINICNN_THREADS": str(point.threads), "NUMBA_NUM_THREADS": str(point.threads)}
    command = [sys.executable, __file__, "--worker", *map(str, point)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ | threads, check=True)
    return json.loads(done.stdout)


def work(network: str, batch: int, size: int, threads: int) -> None:
    """The process of one point: train, and print what it took."""
    import resource

    from minicnn import networks

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
        sys.exit(f"{threads} threads were asked for, {get_num_threads()} ran.")
    # KB on Linux, bytes on macOS; it starts from the parent's figure, so the parent imports nothing large before
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    megabytes = most / (1024 if sys.platform == "linux" else 1024**2)
    print(json.dumps({"seconds": statistics.median(seconds), "megabytes": megabytes, "loss": loss}))


def same_losses(answers: dict[Point, list[dict]]) -> None:
    """Threads and rounds must not change what is computed.

    Raises
    ------
    RuntimeError
        If a network's first loss on the same pictures is not the same to the bit.
    """
    losses: dict[tuple, set] = {}
    for point, rounds in answers.items():
        losses.setdefault(point[:3], set()).update(answer["loss"] for answer in rounds)
    for problem, values in losses.items():
        if len(values) > 1:
            raise RuntimeError(f"{problem}: the first loss is now {values}; it must be one number")


# ------------------------------------------------------------------------------------------ the report
def straight_line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """(slope, its standard error, height at 0) of the straight line through the points, by least squares.

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
    """Of each curve, for time and memory: over all points, and over its larger half."""
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
    """What the curve runs over, and the medians of the rounds."""
    x = [getattr(point, line.axis) for point in line.points]
    return x, [statistics.median(answer[what] for answer in answers[point]) for point in line.points]


def text(report: dict, lines: list[Curve], answers: dict) -> str:
    """The report in Markdown."""
    rounds = len(next(iter(answers.values())))
    paragraphs = [
        f"Training steps (forward, loss, backward, Adam), fast kernels, float32. {report['machine']}. Each measurement "
        f"is a process of its own; medians of {rounds} rounds with least and most.",
        "Exponents of the growth, with standard errors: over all points, and over the larger half of them.",
        table(["curve", "of", "over", "exponent", "larger half", "from"], map(fitted, report["exponents"])),
    ]
    for line in lines:
        if line.axis == "batch":
            slope, error, fixed = straight_line(*values(line, answers, "megabytes"))
            paragraphs.append(
                f"{line.panel}, {line.label}: peak memory is {fixed:.0f} MB and {slope:.2f} ± {error:.2f} MB for each "
                "picture a step."
            )
    heading = ["network", "batch", "pixels", "threads", "ms a step", "pictures a second", "peak memory, MB",
               "against 1 thread"]  # fmt: skip
    rows = []
    for point, found in answers.items():
        seconds = statistics.median(answer["seconds"] for answer in found)
        alone = answers.get(point._replace(threads=1))
        faster = f"{statistics.median(a['seconds'] for a in alone) / seconds:.2f}x" if alone else ""
        rows.append(
            [point.network, str(point.batch), str(point.size), str(point.threads)]
            + [spread([1e3 * answer["seconds"] for answer in found]), number(point.batch / seconds)]
            + [spread([answer["megabytes"] for answer in found], 4), faster]
        )
    return "\n\n".join([*paragraphs, table(heading, rows)]) + "\n"


def fitted(fit: dict) -> list[str]:
    """One row of the table of exponents."""
    return [
        f"{fit['panel']}, {fit['curve']}",
        "time" if fit["of"] == "seconds" else "peak memory",
        fit["over"],
        *("{:.2f} ± {:.2f}".format(*fit[part]) for part in ("all", "larger_half")),
        str(fit["half_from"]),
    ]


def draw(path: Path, lines: list[Curve], answers: dict, fits: list[dict]) -> None:
    """Four panels: time above memory, over the batch and over the picture's side."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    from minicnn.reporting.plots import BLUE, ORANGE

    figure = Figure(figsize=(12, 9), layout="constrained")
    panels = dict(zip(("batch", "size"), figure.subplots(2, 2, sharex="col").T, strict=True))
    looks = {
        label: (ORANGE, "s--") if i % 2 == 0 else (BLUE, "o-") for i, (_, _, label, _) in enumerate(lines)
    }
    rows = {"seconds": (0, 1e3, "ms a step"), "megabytes": (1, 1, "peak memory, MB")}
    for fit in fits:
        line = next(line for line in lines if (line.panel, line.label) == (fit["panel"], fit["curve"]))
        row, scale, label = rows[fit["of"]]
        (x, y), (colour, style), (slope, error) = (
            values(line, answers, fit["of"]),
            looks[line.label],
            fit["larger_half"],
        )
        words = f"{line.label}: exponent {slope:.2f} ± {error:.2f} from {fit['half_from']} on"
        panel = panels[line.axis][row]
        panel.plot(x, np.multiply(y, scale), style, color=colour, markersize=6, label=words)
        panel.set(xscale="log", yscale="log")
        panel.set_ylabel(label, fontsize=12)
    for axis, (above, below) in panels.items():
        here = [line for line in lines if line.axis == axis]
        ticks = sorted({getattr(point, axis) for line in here for point in line.points})
        above.set_title(here[0].panel, fontsize=13)
        below.set_xlabel({"batch": "pictures a step", "size": "pixels a side"}[axis], fontsize=12)
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
