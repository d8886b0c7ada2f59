"""Speed on a machine that also does something else: training and prediction next to other work.

    python -m pip install -e ".[peers]" && python benchmarks/busy.py [--rounds 9] [--before FOLDER]

Each framework trains and predicts the network two-block in three situations, one after the other in each round:

    alone        nothing else runs
    neighbour    one other process computes without a pause, as a browser tab may
    twice        two processes of the same framework run at once; the speed is that of each

The figure of interest is the share of its speed alone that a framework keeps; shares are formed within a round.  On two
cores a neighbour leaves three quarters of the machine at best, and two runs at once leave each one half.

Writes busy.json, busy.md and busy.png into benchmarks/results, in about six minutes.  The processes are those of
peer_worker.py.  Leave the machine idle meanwhile.
"""

import argparse
import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import measuring
import peers
from peer_chart import COLOURS
from peer_worker import Worker

NETWORK = "two-block"
NAMES = ("minicnn fast", peers.BEFORE, "Keras/TensorFlow", "PyTorch channels-last", "ONNX Runtime")
TASKS = {
    "training, batch 32": (["train"], 32),
    "prediction, batch 32": (["predict", 32], 32),
    "prediction, batch 1": (["predict", 1], 1),
}
SITUATIONS = ("alone", "neighbour", "twice")


def main() -> None:
    """Measure all frameworks that are installed, and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--turn", type=float, default=0.5, help="seconds of one measurement")
    parser.add_argument(
        "--before", type=Path, metavar="FOLDER", help=f"{peers.BEFORE}: an earlier version's folder"
    )
    parser.add_argument("--out", type=Path, default=measuring.RESULTS)
    options = parser.parse_args()
    names = [name for name in NAMES if name != peers.BEFORE or options.before is not None]
    report = {
        "machine": measuring.machine(),
        "network": NETWORK,
        "rounds": options.rounds,
        "tasks": {},
        "notes": [],
    }
    for task, (command, size) in TASKS.items():
        print(f"{task} ...", flush=True)
        report["tasks"][task] = measure(names, command, size, options, report["notes"])
        print(table(task, report["tasks"][task]), flush=True)
    measuring.write(options.out, "busy", text(report), report)
    draw(report, options.out / "busy.png")


def measure(
    names: list[str], command: list, size: int, options: argparse.Namespace, notes: list[str]
) -> dict:
    """Images per second of each framework in each situation and round."""
    if command[0] == "train":
        names = [name for name in names if name in peers.TRAINERS]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        problem = peers.write_problem(Path(folder), NETWORK)
        spinner = stack.enter_context(neighbour())
        pairs: dict[str, tuple[Worker, Worker, int]] = {}
        for name in names:
            pair = [stack.enter_context(peers.start(name, NETWORK, problem, options)) for _ in range(2)]
            try:
                repetitions = [peers.calibrate(worker, command, options.turn) for worker in pair]
            except ConnectionError as error:  # not installed, or it cannot run here
                notes.append(f"{name} did not run: {error}")
                continue
            pairs[name] = (*pair, max(repetitions))
        speeds: dict[str, dict[str, list[float]]] = {name: {s: [] for s in SITUATIONS} for name in pairs}
        for number in range(options.rounds):
            for name in random.Random(number).sample(list(pairs), len(pairs)):
                one, other, times = pairs[name]
                line, images = [*command, times], size * times
                speeds[name]["alone"].append(images / one.time(line))
                os.kill(spinner.pid, signal.SIGCONT)
                speeds[name]["neighbour"].append(images / one.time(line))
                os.kill(spinner.pid, signal.SIGSTOP)
                one.send(line)
                other.send(line)
                both = [worker.receive()[0] for worker in (one, other)]
                speeds[name]["twice"].append(statistics.mean(images / seconds for seconds in both))
    return speeds


@contextlib.contextmanager
def neighbour():
    """A process that computes without a pause; it is stopped until SIGCONT."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def shares(speeds: dict[str, list[float]], situation: str) -> list[float]:
    """In each round, the share of the speed alone that is kept."""
    return [kept / alone for kept, alone in zip(speeds[situation], speeds["alone"], strict=True)]


def table(task: str, found: dict) -> str:
    """One task's table."""
    heading = [
        task,
        "alone, images per second",
        "share next to a busy process",
        "share of each of two at once",
    ]
    rows = [
        [
            name,
            measuring.spread(speeds["alone"]),
            *(measuring.spread(shares(speeds, s), 2) for s in SITUATIONS[1:]),
        ]
        for name, speeds in found.items()
    ]
    return measuring.table(heading, rows)


def short_table(report: dict) -> str:
    """The shares of all tasks in one table, medians only."""
    heading = ["task", "framework", "share next to a busy process", "share of each of two at once"]
    rows = [
        [task, name, *(f"{statistics.median(shares(speeds, s)):.2f}" for s in SITUATIONS[1:])]
        for task, found in report["tasks"].items()
        for name, speeds in found.items()
    ]
    return measuring.table(heading, rows)


def text(report: dict) -> str:
    """The page."""
    notes = "".join(f"\n- {note}" for note in report["notes"])
    tables = "\n\n".join(table(task, found) for task, found in report["tasks"].items())
    return f"""# On a busy machine

{report["machine"]}

Network {report["network"]}: medians of {report["rounds"]} rounds, with the smallest and largest in brackets. `python
benchmarks/busy.py` measures each framework alone, next to one other process that computes without a pause, and twice
at once. A share is the part of its speed alone that a framework keeps, formed within a round.

{tables}
{notes}
"""


def draw(report: dict, path: Path) -> None:
    """Shares as bars: on the left next to a neighbour, on the right two at once."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 5), sharey=True, layout="constrained")
    titles = {"neighbour": "Next to a busy process", "twice": "Each of two runs at once"}
    names = list(dict.fromkeys(name for found in report["tasks"].values() for name in found))
    height, handles = 0.8 / len(names), {}
    for axis, (situation, title) in zip(axes, titles.items(), strict=True):
        for row, found in enumerate(report["tasks"].values()):
            for place, name in enumerate(names):
                if name not in found:
                    continue
                values = shares(found[name], situation)
                y, middle = row + (place - len(names) / 2 + 0.5) * height, statistics.median(values)
                error = [[middle - min(values)], [max(values) - middle]]
                colour = next(c for start, c in COLOURS.items() if name.startswith(start))
                fill = {"color": "white", "edgecolor": colour} if name == peers.BEFORE else {"color": colour}
                bar = axis.barh(y, middle, height * 0.9, xerr=error, **fill)
                handles[name] = bar
        axis.set_title(title, fontsize=13)
        axis.set_xlabel("share of the speed alone", fontsize=12)
        axis.set_yticks(range(len(report["tasks"])), list(report["tasks"]), fontsize=11)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_xlim(0, 1)
    axes[0].invert_yaxis()
    figure.legend(
        [handles[name] for name in names], names, loc="outside upper center", ncols=len(names), fontsize=10,
        frameon=False,
    )  # fmt: skip
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
