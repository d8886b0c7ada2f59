"""What each part of the recipe is worth: training with one part changed, against training with all as they are.

    python benchmarks/ablations.py PHOTOS [CHANGE ...]

PHOTOS is a folder with the photographs of Kaggle's "Dogs vs. Cats": `small/train` to learn from, `val/` to judge by.
Each row is examples/catdog.py, as variants.py runs it, in a process of its own, on one thread, two at a time, eight
minutes for both; what it answered is kept in benchmarks/results/ablations.json, the table of all that are kept is
ablations.md beside it.

A difference is that of the answers to the same pictures, and so is its standard error.  It leaves out that another
seed gives another network: rows of a second seed say how much that is.
"""

import json
import math
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from measuring import RESULTS

import minicnn as mc
from minicnn import data

PROGRAM = Path(__file__).resolve().with_name("variants.py")  # examples/catdog.py, and other networks
WHOLE = "the recipe"
TWO_BLOCK = [  # its weights fit one size, and its recipe would choose an epoch
    "--network", "two-block", "--image-size", "64", "--progressive", "off", "--epochs", "80", "--keep", "last",
]  # fmt: skip
CHANGES = {
    WHOLE: [],
    "another seed": ["--seed", "1"],
    "no augmentation": ["--augment", "none"],
    "light augmentation": ["--augment", "light"],
    "no crops": ["--augment", "no-crop"],
    "no turning": ["--augment", "no-turning"],
    "no mirror images to learn from": ["--augment", "no-mirror"],
    "no change of brightness": ["--augment", "no-brightness"],
    "no change of contrast": ["--augment", "no-contrast"],
    "no change of saturation": ["--augment", "no-saturation"],
    "none of these three": ["--augment", "no-light"],
    "cutout of 0.3": ["--augment", "cutout"],
    "no decay of weights": ["--weight-decay", "0"],
    "four times the decay": ["--weight-decay", "0.2"],
    "no warm-up": ["--warm-up", "0"],
    "no warm-up, another seed": ["--warm-up", "0", "--seed", "1"],
    "constant rate, no warm-up": ["--schedule", "constant", "--warm-up", "0"],
    "constant rate, no warm-up, another seed": ["--schedule", "constant", "--warm-up", "0", "--seed", "1"],
    "half the rate": ["--learning-rate", "1e-3"],
    "twice the rate": ["--learning-rate", "4e-3"],
    "no average": ["--average", "0"],
    "no label smoothing": ["--label-smoothing", "0"],
    "mixup of 0.2": ["--mixup", "0.2"],
    "dropout of 0.3": ["--dropout", "0.3"],
    "half the epochs": ["--progressive", "64:40"],
    "learned as large as judged, as much work": ["--progressive", "80:51"],
    "sizes that grow, as much work": ["--progressive", "40:52,48:44,64:35"],
    "batches of 64": ["--batch-size", "64"],
    "network two-block, with its own recipe": TWO_BLOCK,
    "no second convolution in a block": ["--network", "no-second-convolutions"],
    "second convolutions without a shortcut": ["--network", "no-shortcuts"],
    "two residual convolutions in a block": ["--network", "two-residuals"],
    "stochastic depth of 0.1": ["--network", "stochastic-depth"],
    "half as wide again": ["--network", "half-wider"],
    "half as wide": ["--network", "half-as-wide"],
    "pool behind normalisation and ReLU": ["--network", "pool-last"],
}
# The pictures are small, so that a row takes minutes.  --val-limit: nobody looks at the epochs in between.
COMMON = [
    "--data", "PHOTOS/small/train", "--val-data", "PHOTOS/val", "--val-limit", "32",
    "--image-size", "80", "--progressive", "64:80", "--threads", "1",
]  # fmt: skip


def main() -> None:
    photos, *names = sys.argv[1:] or sys.exit(__doc__)
    photos, kept = Path(photos).resolve(), RESULTS / "ablations.json"
    rows = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    with ThreadPoolExecutor(2) as pool:
        for name, row in pool.map(lambda name: (name, run(name, photos)), names or CHANGES):
            rows[name] = row
            kept.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
            print(f"{name}: {row['right']} of {row['pictures']} right", flush=True)
    text = table(rows)
    (RESULTS / "ablations.md").write_text(text, encoding="utf-8")
    print(text)


def run(name: str, photos: Path) -> dict:
    """Train with one change, and judge."""
    changes = CHANGES[name]
    arguments = [word.replace("PHOTOS", str(photos)) for word in COMMON + changes]  # the last of two wins
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-X", "utf8", str(PROGRAM), "train", *arguments, "--out", out]
        process = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
        if process.returncode:
            sys.exit(f"{name} ended with status {process.returncode}: {process.stderr}")
        return {"command": ["python", "benchmarks/variants.py", "train", *COMMON, *changes]} | judge(
            Path(out), photos
        )


def judge(out: Path, photos: Path) -> dict:
    """Which pictures of `val/` a run's model tells wrongly, by themselves and together with the mirror image."""
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    model = mc.load_model(out / "model.safetensors")
    mc.set_threads(1)
    loader = data.Loader.from_files(data.find_pictures(photos / "val"), data.Preprocessing.of(model))
    mirrored = data.Loader(loader.x[:, :, ::-1], loader.y)
    alone, other = (model.predict(pictures).ravel() for pictures in (loader, mirrored))
    wrong = [np.flatnonzero((p > 0.5) != loader.y).tolist() for p in (alone, (alone + other) / 2)]
    return {
        "pictures": len(alone),
        "right": len(alone) - len(wrong[0]),
        "training_accuracy": report["training_accuracy"],
        "seconds": report["seconds"],
        "wrong": wrong[0],
        "wrong_flip": wrong[1],
    }


def compare(row: dict, other: dict) -> tuple[float, float]:
    """How many points more of the pictures `row` tells rightly than `other` does, and the standard error.

    With a picture's difference d = 1, 0 or -1, the error is that of their mean: sqrt((mean d^2 - (mean d)^2) / n).

    Examples
    --------
    >>> some, more = {"pictures": 100, "wrong": [3, 7]}, {"pictures": 100, "wrong": [7, 8, 9, 11]}
    >>> [round(value, 2) for value in compare(some, more)]
    [2.0, 1.99]
    """
    n, wrong, others = row["pictures"], set(row["wrong"]), set(other["wrong"])
    gained, lost = len(others - wrong), len(wrong - others)
    mean, square = (gained - lost) / n, (gained + lost) / n
    return 100 * mean, 100 * math.sqrt((square - mean**2) / n)


def difference(row: dict, other: dict) -> str:
    """What `compare` says, in points, with its error."""
    return "{:+.1f} ± {:.1f}".format(*compare(row, other))


def mirrored(row: dict) -> dict:
    """The row, judged by the mean over both mirror images, as the recipe says."""
    return row | {"wrong": row["wrong_flip"]}


def table(rows: dict) -> str:
    """The rows in Markdown, each against the recipe."""
    whole = rows.get(WHOLE)
    lines = [
        "| change | accuracy | against the recipe, points | with the mirror image, and what that gives "
        "| against the recipe | training accuracy | minutes |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in (name for name in CHANGES if name in rows):
        row = rows[name]
        n = row["pictures"]
        accuracy = mc.metrics.Proportion(row["right"], n)
        alone = together = ""
        if whole is not None and row is not whole:
            alone, together = difference(row, whole), difference(mirrored(row), mirrored(whole))
        lines.append(
            f"| {name} | {100 * accuracy:.1f} ± {100 * accuracy.standard_error:.1f} % | {alone} "
            f"| {100 - 100 * len(row['wrong_flip']) / n:.1f} % ({difference(mirrored(row), row)}) | {together} "
            f"| {100 * row['training_accuracy']:.1f} % | {row['seconds'] / 60:.1f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
