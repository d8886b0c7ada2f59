"""Training, prediction and memory beside Keras/TensorFlow, PyTorch, JAX and ONNX Runtime, whichever are installed.

    python -m pip install -e ".[peers]" && python benchmarks/peers.py [--rounds 9] [--only NETWORK ...]

Every framework runs in a process of its own with its own threads; all of one network are alive at once and take
turns of less than half a second, in a new order each round, so that the machine's drift hits all alike; ratios
are taken within a round.  First all of them must give the same predictions from the same weights, and still do
so after some steps of training; and none may use the processor out of its turn.  A peer that cannot run is
left out with a note.

Writes peers.json, peers.md and peers.png into benchmarks/results, in about sixteen minutes.  Read peer_networks.py
for what is compared, peer_frameworks.py for how each framework does it, peer_worker.py for the processes, and
peer_report.py for how ratios are formed.
"""

import argparse
import contextlib
import importlib.metadata
import importlib.util
import random
import sys
import tempfile
from pathlib import Path

import measuring
import numpy as np
import peer_report
from peer_frameworks import FRAMEWORKS
from peer_networks import NETWORKS, draw_weights
from peer_worker import Worker

BATCH = 32
PREDICTED = (
    "two-block",
    "four-block",
    "residual",
    "mini-Xception",
)  # networks whose predictions are timed too
MEMORY = "four-block"  # the network whose training is weighed
TRAINERS = [name for name in FRAMEWORKS if name != "ONNX Runtime"]
SLOWER = ("minicnn im2col", "Keras/TensorFlow XLA")  # than their sisters in every network: only with --all
BEFORE = "minicnn before"
RESTLESS = 0.02  # of a core: who uses more while others are timed makes the run void


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--turn", type=float, default=0.4, help="seconds of one framework's turn")
    parser.add_argument("--all", action="store_true", help=f"time {' and '.join(SLOWER)} too")
    parser.add_argument(
        "--before", type=Path, metavar="FOLDER", help=f"{BEFORE}: an earlier version's folder"
    )
    parser.add_argument("--out", type=Path, help="folder to write into; else results, and with --only none")
    options = parser.parse_args()
    out = options.out or (None if options.only else measuring.RESULTS)
    report = {
        "machine": measuring.machine(),
        "versions": versions(),
        "batch": BATCH,
        "rounds": options.rounds,
    }
    report |= {"speeds": [], "notes": []}
    if options.before is not None and not (options.before / "minicnn").is_dir():
        parser.error(
            f"--before: {options.before} holds no folder minicnn"
        )  # the present one would be timed twice
    left_out = ({BEFORE} if options.before is None else set()) | (set() if options.all else set(SLOWER))
    names = [name for name in FRAMEWORKS if name not in left_out]
    for name in list(names):
        if not importlib.util.find_spec(FRAMEWORKS[name][0]):
            names.remove(name)
            report["notes"].append(f"{name} is not installed.")
    for network in options.only or NETWORKS:
        print(f"{network} ...", flush=True)
        measured = measure(network, names, options, report["notes"])
        report["speeds"] += measured
        for entry in measured:
            print(peer_report.speed_table(entry), flush=True)
    if MEMORY in (options.only or NETWORKS):
        report["memory"] = {"network": MEMORY, "MB": weigh(names, options, report["notes"])}
        print(peer_report.memory_table(report["memory"]), flush=True)
    print(peer_report.summary_table(report))
    if out:
        peer_report.write(report, out)


def versions() -> dict[str, str]:
    """Of the peers that are installed."""
    names = ("tensorflow", "tensorflow-cpu", "keras", "torch", "jax", "onnxruntime")
    installed = [name for name in names if any(importlib.metadata.distributions(name=name))]
    return {name: importlib.metadata.version(name) for name in installed}


# ------------------------------------------------------------------------------------- measuring
def measure(network: str, names: list[str], options, notes: list[str]) -> list[dict]:
    """Speeds in pictures a second, round by round: of training, and for some networks of prediction."""
    names = [name for name in names if name in TRAINERS or network in PREDICTED]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        problem = write_problem(Path(folder), network)
        workers = {name: stack.enter_context(start(name, network, problem, options)) for name in names}
        tasks = {}
        for size in (BATCH, 1) if network in PREDICTED else (BATCH,):
            before, workers = answers(workers, ["predictions", size], notes)
            before = check_alike(before, 1e-3)
            if network in PREDICTED:
                tasks[f"prediction, batch {size}"] = take_turns(workers, ["predict", size], size, options)
        workers = {name: worker for name, worker in workers.items() if name in TRAINERS}
        _, workers = answers(workers, ["train", 3], notes)
        after, _ = answers(workers, ["predictions", BATCH], notes)
        after = check_alike(after, 1e-2)
        if not np.abs(after - before).max() > 0.1 * before.std():
            sys.exit(f"{network}: three steps of training change next to nothing, so the check says nothing")
        tasks["training"] = take_turns(workers, ["train"], BATCH, options)
    pixels = NETWORKS[network].size
    return [{"network": network, "pixels": pixels, "task": task} | found for task, found in tasks.items()]


def start(name: str, network: str, problem: Path, options) -> Worker:
    """The process of a framework; that of an earlier version finds its package first."""
    return Worker(
        name, network, problem, {"PYTHONPATH": str(options.before.resolve())} if name == BEFORE else {}
    )


def write_problem(folder: Path, network: str) -> Path:
    """Weights, a batch of pictures (patches of colour under a little noise), and labels."""
    rng = np.random.default_rng(0)
    size = NETWORKS[network].size
    patches = rng.random((BATCH, 9, 9, 3)).repeat(-(-size // 9), 1).repeat(-(-size // 9), 2)
    x = np.clip(patches[:, :size, :size] + 0.1 * rng.standard_normal((BATCH, size, size, 3)), 0, 1)
    y = rng.integers(0, 2, (BATCH, 1))
    weights = {f"w{i}": weight for i, weight in enumerate(draw_weights(NETWORKS[network], rng))}
    np.savez(folder / "problem.npz", x=x.astype("float32"), y=y.astype("float32"), **weights)
    return folder / "problem.npz"


def answers(workers: dict, command: list, notes: list[str]) -> tuple[dict, dict]:
    """What all say, who may work at the same time, and the workers without those that could not run."""
    said = {}
    for worker in workers.values():
        worker.send(command)
    for name, worker in workers.items():
        try:
            said[name] = np.array(worker.receive()).ravel()
        except ConnectionError as error:
            if name.startswith("minicnn"):
                raise
            notes.append(f"{worker.network}: {name} did not run: {error}")
    return said, {name: workers[name] for name in said}


def check_alike(predictions: dict[str, np.ndarray], share: float) -> np.ndarray:
    """The logits of all; ends the run if one is off by more than a share of what tells one picture from another."""
    logits = {name: np.log(p) - np.log1p(-p) for name, p in predictions.items()}
    wanted = np.nanmedian(list(logits.values()), axis=0)
    for name, got in logits.items():
        if not np.abs(got - wanted).max() <= share * wanted.std():
            sys.exit(f"{name} gives the logits {got}, but the median of all is {wanted}")
    return wanted


def take_turns(workers: dict, command: list, size: int, options) -> dict:
    """Pictures a second of each, round by round; ends the run if one did not rest between its turns."""
    times = {name: calibrate(worker, command, options.turn) for name, worker in workers.items()}
    speeds = {name: [] for name in workers}
    for worker in workers.values():
        worker.idle = worker.waited = 0.0
    for number in range(options.rounds):
        for name in random.Random(number).sample(list(workers), len(workers)):
            seconds = workers[name].time([*command, times[name]])
            speeds[name].append(round(size * times[name] / seconds, 2))
    # of a second at least, so that nobody is judged by a millisecond in a run of short turns
    shares = {name: worker.idle / max(worker.waited, 1) for name, worker in workers.items()}
    restless = max(shares, key=shares.get)
    if len(workers) > 1 and shares[restless] > RESTLESS:
        sys.exit(f"{restless} used {100 * shares[restless]:.1f} % of a core while others were timed")
    return {"speeds": speeds, "out of turn": round(shares[restless], 5)}


def calibrate(worker: Worker, command: list, turn: float) -> int:
    """How often a command is done in a turn, found when it is warm."""
    worker.time([*command, 1])
    times, seconds = 1, worker.time([*command, 1])
    while seconds < turn / 4:
        times *= 4
        seconds = worker.time([*command, times])
    return max(1, round(times * turn / seconds))


def weigh(names: list[str], options, notes: list[str]) -> dict:
    """Peak memory in MB of each that trains: when it is imported, and when a new process of it has trained."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        problem = write_problem(Path(folder), MEMORY)
        workers = {
            name: stack.enter_context(start(name, MEMORY, problem, options))
            for name in names
            if name in TRAINERS
        }
        _, workers = answers(workers, ["train", 10], notes)
        trained, _ = answers(workers, ["peak"], notes)
        return {
            name: {"imported": round(worker.imported, 1), "trained": round(trained[name].item(), 1)}
            for name, worker in workers.items()
        }


if __name__ == "__main__":
    main()
