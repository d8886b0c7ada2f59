"""Measure what each part of the training recipe contributes: train with one change, and compare with the recipe.

    python benchmarks/ablations.py PHOTOS [CHANGE ...]

PHOTOS is a folder with photos of Kaggle's "Dogs vs. Cats": `small/train` for training, `val/` for evaluation.  Each row
is `minicnn train`, started by variants.py in a process of its own, on one thread; two processes run side by side and
take about eight minutes.  The results are added to benchmarks/results/ablations.json; ablations.md is the table of all
results so far.

Two networks are compared on the same images, so the standard error is that of paired predictions.  It does not include
the effect of the seed; the rows with another seed show how large that is.
"""

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from measuring import RESULTS, table

import minicnn as mc
from minicnn import data
from minicnn.inference.tta import mirrored

PROGRAM = Path(__file__).resolve().with_name("variants.py")  # `minicnn train` with more choices of networks
RECIPE = "the recipe"
TWO_BLOCK = [  # its weights fit one image size only, and its own recipe would save the best epoch
    "--network", "two-block", "--image-size", "64", "--progressive", "off", "--epochs", "80", "--save", "last",
]  # fmt: skip
GROUPS = {
    "seed": {
        "another seed": ["--seed", "1"],
    },
    "augmentation": {
        "no augmentation": ["--augment", "none"],
        "light augmentation": ["--augment", "light"],
        "no crops": ["--augment", "no-crop"],
        "no rotation": ["--augment", "no-turning"],
        "no horizontal flips": ["--augment", "no-mirror"],
        "no brightness": ["--augment", "no-brightness"],
        "no contrast": ["--augment", "no-contrast"],
        "no saturation": ["--augment", "no-saturation"],
        "no brightness, contrast or saturation": ["--augment", "no-light"],
        "cutout 0.3": ["--augment", "cutout"],
        "mixup 0.2": ["--mixup", "0.2"],
    },
    "training": {
        "no weight decay": ["--weight-decay", "0"],
        "four times the weight decay": ["--weight-decay", "0.2"],
        "no warmup": ["--warmup", "0"],
        "no warmup, another seed": ["--warmup", "0", "--seed", "1"],
        "constant learning rate, no warmup": ["--schedule", "constant", "--warmup", "0"],
        "constant learning rate, no warmup, another seed": [
            "--schedule", "constant", "--warmup", "0", "--seed", "1",
        ],
        "half the learning rate": ["--learning-rate", "1e-3"],
        "twice the learning rate": ["--learning-rate", "4e-3"],
        "no EMA of the weights": ["--ema", "0"],
        "no label smoothing": ["--label-smoothing", "0"],
        "dropout 0.3": ["--dropout", "0.3"],
        "batch size 64": ["--batch-size", "64"],
        "half the epochs": ["--progressive", "64:40"],
        "trained at the validation size, equal work": ["--progressive", "80:51"],
        "progressive resizing, equal work": ["--progressive", "40:52,48:44,64:35"],
    },
    "network": {
        "two-block with its own recipe": TWO_BLOCK,
        "no second convolutions": ["--network", "no-second-convolutions"],
        "second convolutions without a shortcut": ["--network", "no-shortcuts"],
        "two residual convolutions per block": ["--network", "two-residuals"],
        "stochastic depth 0.1": ["--network", "stochastic-depth"],
        "1.5 times the width": ["--network", "half-wider"],
        "half the width": ["--network", "half-as-wide"],
        "pooling after normalization and ReLU": ["--network", "pool-last"],
    },
}  # fmt: skip
CHANGES = {RECIPE: []} | {name: options for group in GROUPS.values() for name, options in group.items()}
# Small images, so that a row takes minutes.  Few validation images, because only the last epoch is evaluated, below.
COMMON = [
    "--data", "PHOTOS/small/train", "--val-data", "PHOTOS/val", "--val-limit", "32",
    "--image-size", "80", "--progressive", "64:80", "--threads", "1", "--no-calibrate",
]  # fmt: skip


def main() -> None:
    photos, *names = sys.argv[1:] or sys.exit(__doc__)
    photos, kept = Path(photos).resolve(), RESULTS / "ablations.json"
    rows = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    with ThreadPoolExecutor(2) as pool:
        for name, row in pool.map(lambda name: (name, run(name, photos)), names or CHANGES):
            rows[name] = row
            kept.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
            print(f"{name}: {row['correct']} of {row['images']} correct", flush=True)
    page = text(rows)
    (RESULTS / "ablations.md").write_text(page, encoding="utf-8")
    print(page)


def run(name: str, photos: Path) -> dict:
    """Train with one change, and evaluate."""
    changes = CHANGES[name]
    arguments = [
        word.replace("PHOTOS", str(photos)) for word in COMMON + changes
    ]  # of two equal options the last wins
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-X", "utf8", str(PROGRAM), "train", *arguments, "--out", out]
        process = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
        if process.returncode:
            sys.exit(f"{name} ended with status {process.returncode}: {process.stderr}")
        shown = ["python", "benchmarks/variants.py", "train", *COMMON, *changes]
        return {"command": shown} | evaluate(Path(out), photos)


def evaluate(out: Path, photos: Path) -> dict:
    """Find the images of `val/` that the model of a run classifies wrongly, without and with TTA."""
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    model = mc.load_model(out / "model.safetensors")
    mc.set_threads(1)
    loader = data.Loader.from_files(data.find_images(photos / "val"), data.Preprocessing.of(model))
    plain, flipped = (model.predict(images).ravel() for images in (loader, mirrored(loader)))
    wrong = [np.flatnonzero((p > 0.5) != loader.y).tolist() for p in (plain, (plain + flipped) / 2)]
    return {
        "images": len(plain),
        "correct": len(plain) - len(wrong[0]),
        "training_accuracy": report["training_accuracy"],
        "seconds": report["seconds"],
        "wrong": wrong[0],
        "wrong_with_tta": wrong[1],
    }


# ----------------------------------------------------------------------------------- differences and tables
def compare(row: dict, other: dict) -> tuple[float, float]:
    """The accuracy of `row` minus that of `other`, in percentage points, and its standard error.

    For each image the difference d is 1, 0 or -1.  The error is that of their mean: sqrt((mean d^2 - (mean d)^2) / n).

    Examples
    --------
    >>> some, more = {"images": 100, "wrong": [3, 7]}, {"images": 100, "wrong": [7, 8, 9, 11]}
    >>> [round(value, 2) for value in compare(some, more)]
    [2.0, 1.99]
    """
    n, wrong, others = row["images"], set(row["wrong"]), set(other["wrong"])
    gained, lost = len(others - wrong), len(wrong - others)
    mean, square = (gained - lost) / n, (gained + lost) / n
    return 100 * mean, 100 * math.sqrt((square - mean**2) / n)


def difference(row: dict, other: dict) -> str:
    """The difference of two rows in points, with its standard error."""
    return "{:+.1f} ± {:.1f}".format(*compare(row, other))


def with_tta(row: dict) -> dict:
    """The row as it is with test-time augmentation: from the mean over each image and its mirror image."""
    return row | {"wrong": row["wrong_with_tta"]}


def accuracy(row: dict) -> str:
    """The accuracy of a row with its standard error."""
    share = mc.metrics.Proportion(row["images"] - len(row["wrong"]), row["images"])
    return f"{100 * share:.1f} ± {100 * share.standard_error:.1f} %"


def text(rows: dict) -> str:
    """All rows in Markdown, without and with TTA."""
    recipe, lines = rows.get(RECIPE), []
    for name in (name for name in CHANGES if name in rows):
        row, tta = rows[name], with_tta(rows[name])
        plain = averaged = ""
        if recipe is not None and row is not recipe:
            plain, averaged = difference(row, recipe), difference(tta, with_tta(recipe))
        lines.append(
            [name, accuracy(row), plain, accuracy(tta), averaged, difference(tta, row)]
            + [f"{100 * row['training_accuracy']:.1f} %", f"{row['seconds'] / 60:.1f}"]
        )
    heading = [
        "change",
        "accuracy",
        "against the recipe, points",
        "accuracy with TTA",
        "against the recipe, points",
    ]
    return table([*heading, "TTA gives, points", "training accuracy", "minutes"], lines) + "\n"


def group_table(rows: dict, names: Iterable[str]) -> str:
    """Some changes with TTA, as the recipe evaluates: the most harmful change first."""
    recipe = with_tta(rows[RECIPE])
    found = {name: with_tta(rows[name]) for name in names if name in rows}
    lines = [
        [name, accuracy(row), difference(row, recipe), f"{row['seconds'] / 60:.0f}"]
        for name, row in sorted(found.items(), key=lambda item: compare(item[1], recipe)[0])
    ]
    lines.append([RECIPE, accuracy(recipe), "", f"{recipe['seconds'] / 60:.0f}"])
    return table(["change", "accuracy", "difference, points", "minutes"], lines)


if __name__ == "__main__":
    main()
