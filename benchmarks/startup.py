"""Measure how long `minicnn train` takes to its first training step: the first time, when it compiles, and later.

    python benchmarks/startup.py [ROUNDS]

Each network is trained for one epoch on 48 synthetic images, in processes of their own: once with an empty cache of
compiled kernels, then ROUNDS times (5) with the filled one.  The clock starts with the command and stops after the
first training step.  The time for compiling is the difference between the whole first run and a later one.  Writes
startup.md and startup.json into benchmarks/results.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import RESULTS, table, write

from minicnn import data

# The command itself, and a line of output after its first step.
CODE = """
import sys, time
from minicnn import Sequential
from minicnn.cli import main

train_step = Sequential.train_step

def first_step(*arguments):
    result = train_step(*arguments)
    print("first step", time.time(), file=sys.stderr)
    Sequential.train_step = train_step
    return result

Sequential.train_step = first_step
sys.exit(main())
"""


def run(network: str, images: Path, cache: Path) -> tuple[float, float]:
    """Seconds to the end of the first step, and to the end of the run."""
    command = [sys.executable, "-c", CODE, "train", "--network", network, "--data", images]
    command += ["--augment", "--epochs", "1", "--out", cache / "out"]
    start = time.time()
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    end = time.time()
    if done.returncode:
        sys.exit(done.stderr)
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("first step"))
    return float(line.split()[-1]) - start, end - start


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    report = {"cores": os.cpu_count(), "rounds": rounds, "networks": {}}
    with tempfile.TemporaryDirectory() as folder:
        images = data.draw_folder(Path(folder) / "images", 24, size=160, seed=0)
        for network in ("two-block", "four-block"):
            cache = Path(folder) / network
            first, whole = run(network, images, cache)
            steps, wholes = zip(*(run(network, images, cache) for _ in range(rounds)), strict=True)
            report["networks"][network] = {
                "first": first,
                "compiling": whole - statistics.median(wholes),
                "later": {"median": statistics.median(steps), "smallest": min(steps), "largest": max(steps)},
            }
    print(text(report))
    write(RESULTS, "startup", text(report), report)


def text(report: dict) -> str:
    """The report in Markdown."""
    return f"{start_table(report)}\n\n{report['cores']} cores, {report['rounds']} later starts each.\n"


def start_table(report: dict) -> str:
    """Seconds from the command to the end of the first training step, and of compiling in the whole run."""
    rows = []
    for network, seconds in report["networks"].items():
        later = seconds["later"]
        rows.append(
            [
                network,
                f"{seconds['first']:.1f} s",
                f"{seconds['compiling']:.1f} s",
                f"{later['median']:.2f} s",
            ]
            + [f"{later['smallest']:.2f} to {later['largest']:.2f} s"]
        )
    heading = ["network", "first start", "compiling in total", "later starts, median", "range"]
    return table(heading, rows)


if __name__ == "__main__":
    main()
