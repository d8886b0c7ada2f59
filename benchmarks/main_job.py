"""Train the networks of docs/results.md, and write their reports, logs and tables.

    python benchmarks/main_job.py PHOTOS [RUN ...]

PHOTOS is a folder with photos of Kaggle's "Dogs vs. Cats": `train/` and `val/` with files such as cat.0.jpg, and
`small/train` and `small/validation` with one folder per class.  Each run is `minicnn train` in a process of its own and
leaves its files in runs/RUN.  Its report is written to benchmarks/results/RUN.json and its log to RUN.log; main_job.md
holds the tables of all runs.  All of them take about four hours on two cores; leave the machine idle meanwhile.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from measuring import RESULTS, table

LARGE = ["--data", "PHOTOS/train", "--val-data", "PHOTOS/val"]
QUARTER = [*LARGE, "--progressive", "64:6,96:5,128:3"]
HOUR_AND_A_HALF = [*LARGE, "--progressive", "72:22,96:18,128:24"]
SMALL = ["--data", "PHOTOS/small/train", "--val-data", "PHOTOS/small/validation"]
RUNS = {
    "synthetic": [],
    "two-block": [
        *LARGE, "--limit", "4000", "--val-limit", "1000", "--network", "two-block",
        "--augment", "--epochs", "25", "--patience", "25", "--learning-rate", "5e-4",
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
NOTEBOOKS = "https://github.com/fchollet/deep-learning-with-python-notebooks/blob/master"
VGG = (
    "97.4 % of 5,000: [VGG-19](https://github.com/mrgloom/kaggle-dogs-vs-cats-caffe), Caffe under NVIDIA DIGITS, "
    "26 hours on a GPU"
)
PUBLISHED = {  # the baseline of each run, for all its seeds
    "synthetic": "none",
    "two-block": "81.3, 82.0 and 82.3 %: Keras, three public logs",
    "four-block": f"73.1 % of 1,000: Keras, [Chollet's notebook]({NOTEBOOKS}/first_edition/"
    "5.2-using-convnets-with-small-datasets.ipynb), with RMSprop where this run uses Adam",
    "catdog-quarter-hour": VGG,
    "catdog-quarter-hour-128-px": VGG,
    "catdog-hour-and-a-half": VGG,
    "catdog-small": f"90.8 %: Keras, [Chollet's mini-Xception]({NOTEBOOKS}/"
    "chapter09_part02_modern-convnet-architecture-patterns.ipynb), from scratch",
}
EXAMPLE = Path(__file__).resolve().parents[1] / "docs" / "images" / "predictions.png"  # shown in README.md


def main() -> None:
    photos, *names = sys.argv[1:] or sys.exit(__doc__)
    RESULTS.mkdir(exist_ok=True)
    for name in names or RUNS:
        run(name, Path(photos).resolve())
    page = text(reports())
    (RESULTS / "main_job.md").write_text(page, encoding="utf-8")
    print(page)


def run(name: str, photos: Path) -> None:
    """Train once.  The log and the report replace the old ones if training succeeds; they contain no local paths."""
    arguments = [word.replace("PHOTOS", str(photos)) for word in RUNS[name]]
    log, start = [command(name)], time.perf_counter()
    out = Path("runs") / name
    process = subprocess.Popen(
        [sys.executable, "-X", "utf8", "-m", "minicnn", "train", *arguments, "--out", str(out)],
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
    if name == "synthetic":
        EXAMPLE.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(out / "predictions.png", EXAMPLE)
    report |= {"command": command(name).split(), "seconds": round(time.perf_counter() - start, 1)}
    (RESULTS / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (RESULTS / f"{name}.log").write_text("\n".join(log) + "\n", encoding="utf-8")


def command(name: str) -> str:
    """The command of a run, as a user would type it."""
    return " ".join(["minicnn train", *RUNS[name]])


# --------------------------------------------------------------------------------------------- the tables
def reports(folder: Path = RESULTS) -> dict[str, dict]:
    """The report of each run that there is, by its name."""
    paths = {name: folder / f"{name}.json" for name in RUNS}
    return {
        name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.exists()
    }


def text(found: dict[str, dict]) -> str:
    """All tables in Markdown."""
    return f"{accuracy_table(found)}\n\n{cost_table(found)}\n"


def accuracy_table(found: dict[str, dict]) -> str:
    """How accurate each run is, next to its baseline."""
    heading = ["run", "training images", "validation images", "image size", "validation accuracy"]
    rows = [
        [title(name, r), f"{r['training_images']:,}", f"{r['validation_images']:,}", f"{r['image_size']} px"]
        + [accuracy(r), baseline(name)]
        for name, r in found.items()
    ]
    return table([*heading, "published baseline"], rows)


def cost_table(found: dict[str, dict]) -> str:
    """What each run took, and how well it fits its training images."""
    heading = [
        "run",
        "kernels",
        "best epoch",
        "training accuracy",
        "seconds per epoch",
        "total time",
        "peak memory",
    ]
    rows = [
        [title(name, r), r["kernels"], best_epoch(r), f"{100 * r['training_accuracy']:.1f} %"]
        + [f"{r['seconds_per_epoch']:.1f}", duration(r["seconds"]), megabytes(r["peak_memory_mb"])]
        for name, r in found.items()
    ]
    return table(heading, rows)


def short_table(found: dict[str, dict], names: Iterable[str]) -> str:
    """A few runs for a first page: network, data, time, accuracy and baseline."""
    rows = []
    for name in names:
        r = found[name]
        kernels = "" if r["kernels"] == "fast" else f" (kernels `{r['kernels']}`)"
        time = duration(r["seconds"]) + kernels
        rows.append([f"`{r['network']}`", data(r), time, accuracy(r) + others(name, found), baseline(name)])
    return table(["network", "data", "time", "validation accuracy", "published baseline"], rows)


def command_table(found: dict[str, dict]) -> str:
    """The command of each run."""
    return table(["run", "command"], [[title(name, r), f"`{command(name)}`"] for name, r in found.items()])


def title(name: str, report: dict) -> str:
    """What a table calls a run."""
    if name == "synthetic":
        return "synthetic images"
    if not name.startswith("catdog"):
        return name
    kind = "small" if name.startswith("catdog-small") else duration(report["seconds"])
    return f"catdog, {kind}, seed {report['seed']}"


def data(report: dict) -> str:
    """How many images to train on, and their size in validation."""
    kind = "photos" if "--data" in report["command"] else "synthetic images"
    return f"{report['training_images']:,} {kind}, {report['image_size']} px"


def accuracy(report: dict) -> str:
    """The validation accuracy with its standard error."""
    return f"{100 * report['accuracy']:.1f} ± {100 * report['accuracy_standard_error']:.1f} %"


def others(name: str, found: dict[str, dict]) -> str:
    """The accuracy of the same run with other seeds, in brackets."""
    values = [
        f"{100 * r['accuracy']:.1f} %" for other, r in found.items() if other.startswith(f"{name}-seed-")
    ]
    return f" (other seeds: {', '.join(values)})" if values else ""


def best_epoch(report: dict) -> str:
    """Of which epoch the weights are: the best on the validation images, or the last if the run says so."""
    kept = report.get("save", report.get("keep", "best"))  # reports written before 0.1.0 say "keep"
    return (
        f"last of {report['epochs']}" if kept == "last" else f"{report['best_epoch']} of {report['epochs']}"
    )


def duration(seconds: float) -> str:
    """Seconds below two minutes, else minutes.

    Examples
    --------
    >>> duration(78.7), duration(4424.5)
    ('79 s', '74 min')
    """
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def megabytes(value: float | None) -> str:
    """Peak memory, where the system reports it."""
    return "unknown" if value is None else f"{value:,.0f} MB"


def baseline(name: str) -> str:
    """The published result next to which a run stands."""
    return PUBLISHED[name.partition("-seed-")[0]]


if __name__ == "__main__":
    main()
