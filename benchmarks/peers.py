"""Compare speed and memory with Keras/TensorFlow, PyTorch, JAX and ONNX Runtime, as far as they are installed.

    python -m pip install -e ".[peers]" && python benchmarks/peers.py [--rounds 9] [--only NETWORK ...]

Every framework runs in a process of its own, with its own threads.  The processes for one network run side by side and
take turns of less than half a second, in a new order each round, so that a change in the machine's speed affects all of
them alike.  Ratios are formed within a round.  Before anything is timed, all frameworks must give the same predictions
from the same weights, also after some steps of training.  The run ends with an error if a framework uses the processor
while another is timed.  A framework that cannot run is left out with a note.

Writes peers.json, peers.md and peers.png into benchmarks/results, in about sixteen minutes.  The networks are in
peer_networks.py, the frameworks in peer_frameworks.py, the processes in peer_worker.py, the tables in peer_report.py.
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
PREDICTED = ("two-block", "four-block", "residual", "mini-Xception")  # whose predictions are timed too
MEMORY = "four-block"  # the network whose training memory is measured
TRAINERS = [name for name in FRAMEWORKS if name != "ONNX Runtime"]
SLOWER = ("minicnn im2col", "Keras/TensorFlow XLA")  # slower than another variant everywhere: only with --all
BEFORE = "minicnn before"
RESTLESS = 0.02  # share of a core: a framework that uses more while another is timed makes the run void


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--only", nargs="+", choices=NETWORKS, metavar="NETWORK", help=f"from: {', '.join(NETWORKS)}"
    )
    parser.add_argument("--turn", type=float, default=0.4, help="length of a turn in seconds")
    parser.add_argument("--all", action="store_true", help=f"also time {' and '.join(SLOWER)}")
    parser.add_argument(
        "--before", type=Path, metavar="FOLDER", help="also time the minicnn of an earlier version"
    )
    parser.add_argument(
        "--out", type=Path, help="folder for the results (default: benchmarks/results; with --only: none)"
    )
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
        # without this check the present version would be timed twice
        parser.error(f"--before: {options.before} holds no folder minicnn")
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
        report["memory"] = {"network": MEMORY, "MB": peak_memory(names, options, report["notes"])}
        print(peer_report.memory_table(report["memory"]), flush=True)
    print(peer_report.summary_table(report["speeds"]))
    if out:
        peer_report.write(report, out)


def versions() -> dict[str, str]:
    """The versions of the installed frameworks."""
    names = ("tensorflow", "tensorflow-cpu", "keras", "torch", "jax", "onnxruntime")
    installed = [name for name in names if any(importlib.metadata.distributions(name=name))]
    return {name: importlib.metadata.version(name) for name in installed}


# ------------------------------------------------------------------------------------- measuring
def measure(network: str, names: list[str], options, notes: list[str]) -> list[dict]:
    """Images per second in each round: of training, and for some networks of prediction."""
    names = [name for name in names if name in TRAINERS or network in PREDICTED]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        problem = write_problem(Path(folder), network)
        workers = {name: stack.enter_context(start(name, network, problem, options)) for name in names}
        tasks = {}
        for size in (BATCH, 1) if network in PREDICTED else (BATCH,):
            before, workers = answers(workers, ["predictions", size], notes)
            before = check_agreement(before, 1e-3)
            if network in PREDICTED:
                tasks[f"prediction, batch {size}"] = take_turns(workers, ["predict", size], size, options)
        workers = {name: worker for name, worker in workers.items() if name in TRAINERS}
        _, workers = answers(workers, ["train", 3], notes)
        after, _ = answers(workers, ["predictions", BATCH], notes)
        after = check_agreement(after, 1e-2)
        if not np.abs(after - before).max() > 0.1 * before.std():
            sys.exit(
                f"{network}: three steps of training changed almost nothing, so the check proves nothing"
            )
        tasks["training"] = take_turns(workers, ["train"], BATCH, options)
    pixels = NETWORKS[network].size
    return [{"network": network, "pixels": pixels, "task": task} | found for task, found in tasks.items()]


def start(name: str, network: str, problem: Path, options) -> Worker:
    """The process of a framework.  The process of the earlier version imports that version's package."""
    environment = {"PYTHONPATH": str(options.before.resolve())} if name == BEFORE else {}
    return Worker(name, network, problem, environment)


def write_problem(folder: Path, network: str) -> Path:
    """Write a file with weights, a batch of images (coloured patches with a little noise), and labels."""
    rng = np.random.default_rng(0)
    size = NETWORKS[network].size
    patches = rng.random((BATCH, 9, 9, 3)).repeat(-(-size // 9), 1).repeat(-(-size // 9), 2)
    x = np.clip(patches[:, :size, :size] + 0.1 * rng.standard_normal((BATCH, size, size, 3)), 0, 1)
    y = rng.integers(0, 2, (BATCH, 1))
    weights = {f"w{i}": weight for i, weight in enumerate(draw_weights(NETWORKS[network], rng))}
    np.savez(folder / "problem.npz", x=x.astype("float32"), y=y.astype("float32"), **weights)
    return folder / "problem.npz"


def answers(workers: dict, command: list, notes: list[str]) -> tuple[dict, dict]:
    """The answers of all workers, which may compute at the same time, and the workers that could run."""
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


def check_agreement(predictions: dict[str, np.ndarray], share: float) -> np.ndarray:
    """The median of all logits; ends the run if one differs from it by more than a share of its standard deviation."""
    logits = {name: np.log(p) - np.log1p(-p) for name, p in predictions.items()}
    wanted = np.nanmedian(list(logits.values()), axis=0)
    for name, got in logits.items():
        if not np.abs(got - wanted).max() <= share * wanted.std():
            sys.exit(f"{name} gives the logits {got}, but the median of all is {wanted}")
    return wanted


def take_turns(workers: dict, command: list, size: int, options) -> dict:
    """Images per second of each framework in each round; ends the run if one was busy outside its turns."""
    times = {name: calibrate(worker, command, options.turn) for name, worker in workers.items()}
    speeds = {name: [] for name in workers}
    for worker in workers.values():
        worker.idle = worker.waited = 0.0
    for number in range(options.rounds):
        for name in random.Random(number).sample(list(workers), len(workers)):
            seconds = workers[name].time([*command, times[name]])
            speeds[name].append(round(size * times[name] / seconds, 2))
    # divided by at least one second, so that a millisecond does not decide a run of short turns
    shares = {name: worker.idle / max(worker.waited, 1) for name, worker in workers.items()}
    restless = max(shares, key=shares.get)
    if len(workers) > 1 and shares[restless] > RESTLESS:
        sys.exit(f"{restless} used {100 * shares[restless]:.1f} % of a core while others were timed")
    return {"speeds": speeds, "out of turn": round(shares[restless], 5)}


def calibrate(worker: Worker, command: list, turn: float) -> int:
    """How many repetitions of a command fill a turn, measured after a warm-up."""
    worker.time([*command, 1])
    times, seconds = 1, worker.time([*command, 1])
    while seconds < turn / 4:
        times *= 4
        seconds = worker.time([*command, times])
    return max(1, round(times * turn / seconds))


def peak_memory(names: list[str], options, notes: list[str]) -> dict:
    """Peak memory in MB of each framework that trains, in a new process: after the import, and after training."""
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
