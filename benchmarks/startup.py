"""How long until examples/catdog.py trains: the first time, when it compiles, and later.

    python benchmarks/startup.py [ROUNDS]

Each network on 48 drawn pictures, in processes of their own: once on an empty cache, then ROUNDS times (5) on a filled
one.  The clock starts with the command and stops when the first training step is done.  Compiling is what the
whole first run took above a later one.  Prints a table, writes benchmarks/results/startup.md, and ends with status
1 if compiling takes more than 40 s or a later start more than 2 s.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from minicnn import data

ROOT = Path(__file__).resolve().parents[1]
COMPILING, START = 40, 2  # seconds, at most
# catdog itself, and a line when its first step is done.
CODE = """
import runpy, sys, time
from minicnn import Sequential

train_step = Sequential.train_step

def first_step(*arguments):
    result = train_step(*arguments)
    print("first step", time.time(), file=sys.stderr)
    Sequential.train_step = train_step
    return result

Sequential.train_step = first_step
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


def run(network: str, pictures: Path, cache: Path) -> tuple[float, float]:
    """Seconds to the end of the first step, and to the end of the run."""
    command = [
        sys.executable,
        "-c",
        CODE,
        ROOT / "examples" / "catdog.py",
        "--network",
        network,
        "--kernels",
        "fast",
    ]
    command += ["--data", pictures, "--augment", "--epochs", "1", "--out", cache / "out"]
    start = time.time()
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT / "examples")
    end = time.time()
    if done.returncode:
        sys.exit(done.stderr)
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("first step"))
    return float(line.split()[-1]) - start, end - start


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    rows = [
        "| network | first start, to the first step | compiling in all | later, to the first step | least to most |",
        "|---|---|---|---|---|",
    ]
    good = True
    with tempfile.TemporaryDirectory() as folder:
        pictures = data.draw_folder(Path(folder) / "pictures", 24, size=160, seed=0)
        for network in ("two-block", "four-block"):
            cache = Path(folder) / network
            first, whole = run(network, pictures, cache)
            later = [run(network, pictures, cache) for _ in range(rounds)]
            steps, wholes = zip(*later, strict=True)
            compiling, step = whole - statistics.median(wholes), statistics.median(steps)
            good &= compiling <= COMPILING and step <= START
            spread = f"{min(steps):.2f} to {max(steps):.2f} s"
            rows.append(f"| {network} | {first:.1f} s | {compiling:.1f} s | {step:.2f} s | {spread} |")
    table = "\n".join(rows) + f"\n\n{os.cpu_count()} cores, {rounds} later starts each, medians.\n"
    print(table)
    (ROOT / "benchmarks" / "results" / "startup.md").write_text(table, encoding="utf-8")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
