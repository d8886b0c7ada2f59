"""The main job, measured: the default run, two networks that others have published, side by side with theirs, and ours.

    python benchmarks/main_job.py PHOTOS [RUN ...]

PHOTOS is a folder with the photographs of Kaggle's "Dogs vs. Cats": `train/` and `val/` (cat.0.jpg, ...), and
`small/train`, `small/validation` with a folder a class.  Each run is examples/catdog.py in a process of
its own, and leaves what it wrote in runs/RUN; its log goes to benchmarks/results/RUN.log, and all runs there are to
benchmarks/results/main_job.md.  About four hours on two cores; nothing else should run meanwhile.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
CATDOG, RESULTS = HERE.parent / "examples" / "catdog.py", HERE / "results"
LARGE = ["--data", "PHOTOS/train", "--val-data", "PHOTOS/val", "--image-size", "160", "--flip"]
QUARTER = [*LARGE, "--progressive", "64:6,96:5,128:3"]
HOUR_AND_A_HALF = [*LARGE, "--progressive", "72:22,96:18,128:24"]
SMALL = ["--data", "PHOTOS/small/train", "--val-data", "PHOTOS/small/validation"]
RUNS = {
    "drawn": [],
    "two-block": [
        "--data", "PHOTOS/train", "--limit", "4000", "--val-data", "PHOTOS/val", "--val-limit", "1000",
        "--network", "two-block", "--augment", "--epochs", "25", "--patience", "25", "--learning-rate", "5e-4",
    ],
    "four-block": [
        *SMALL, "--network", "four-block", "--epochs", "30", "--patience", "30",
        "--batch-size", "20", "--learning-rate", "1e-4",
    ],
    "catdog-quarter-hour": QUARTER,
    "catdog-quarter-hour-seed-1": [*QUARTER, "--seed", "1"],
    "catdog-quarter-hour-128-px": [*LARGE, "--image-size", "128", "--progressive", "64:8,96:6,112:3"],
    "catdog-hour-and-a-half": HOUR_AND_A_HALF,
    "catdog-hour-and-a-half-seed-1": [*HOUR_AND_A_HALF, "--seed", "1"],
    "catdog-small": SMALL,
    "catdog-small-seed-1": [*SMALL, "--seed", "1"],
    "catdog-small-seed-2": [*SMALL, "--seed", "2"],
}  # fmt: skip
PUBLISHED = {
    "drawn": "none; the bar is 95 %",
    "two-block": "Keras, three logs: 81.3, 82.0, 82.3 %",
    "four-block": "Keras, Chollet's log: 73.1 %",
    "catdog-quarter-hour": "Keras, VGG-19, 26 hours on a GPU: 97.4 %",
    "catdog-quarter-hour-128-px": "Keras, VGG-19, 26 hours on a GPU: 97.4 %",
    "catdog-hour-and-a-half": "Keras, VGG-19, 26 hours on a GPU: 97.4 %",
    "catdog-small": "Keras, from scratch: 90.8 %",
}


def main() -> None:
    photos, *names = sys.argv[1:] or sys.exit(__doc__)
    RESULTS.mkdir(exist_ok=True)
    for name in names or RUNS:
        run(name, Path(photos).resolve())
    table()


def run(name: str, photos: Path) -> None:
    """One run; its log and report replace the old ones when it has succeeded, and keep no path of the machine."""
    shown = ("python examples/catdog.py " + " ".join(RUNS[name])).strip()
    arguments = [word.replace("PHOTOS", str(photos)) for word in RUNS[name]]
    log, start = [shown], time.perf_counter()
    out = Path("runs") / name
    process = subprocess.Popen(
        [sys.executable, "-X", "utf8", str(CATDOG), "train", *arguments, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    for line in process.stdout:
        log.append(line.rstrip().replace(str(photos), "PHOTOS").replace(str(out), "runs/catdog"))
        print(log[-1], flush=True)
    if process.wait():
        sys.exit(f"{name} ended with status {process.returncode}")
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    if name == "drawn":  # the README shows one of its pictures
        shutil.copy(out / "predictions.png", RESULTS / "drawn-predictions.png")
    report |= {"command": shown.split(), "seconds": round(time.perf_counter() - start, 1)}
    (RESULTS / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (RESULTS / f"{name}.log").write_text("\n".join(log) + "\n", encoding="utf-8")


def table() -> None:
    """Write main_job.md from the reports that are there."""
    rows = [
        "| run | pictures, size | validation | epoch saved | training accuracy at the end | s an epoch | s in all "
        "| peak memory | published |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in RUNS:
        path = RESULTS / f"{name}.json"
        if path.exists():
            r = json.loads(path.read_text(encoding="utf-8"))
            rows.append(
                f"| {name} | {r['training_pictures']}/{r['validation_pictures']}, {r['image_size']} px "
                f"| {100 * r['accuracy']:.1f} ± {100 * r['accuracy_standard_error']:.1f} % "
                f"| {r['best_epoch']} of {r['epochs']} "
                f"| {100 * r['training_accuracy']:.1f} % | {r['seconds_per_epoch']:.1f} | {r['seconds']:.0f} "
                f"| {r['peak_memory_mb'] or float('nan'):.0f} MB | {PUBLISHED[name.partition('-seed-')[0]]} |"
            )
    text = "\n".join(rows) + "\n"
    (RESULTS / "main_job.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
