"""Measure how much augmentation slows training down.

    python benchmarks/augmented_training.py FOLDER [--rounds 5] [--images 640]

FOLDER has one folder of photos per class.  four-block is trained at 150 pixels, in batches of 32, on loaders that read
the same photos from the cache: without augmentation, with "light" and "strong" of minicnn/models/recipes.py, and with
every random change that there is, mixup and cutout included.  Epochs with each loader take turns.  One model takes all
the steps, so that only the batches differ.  Writes augmented_training.md and augmented_training.json.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from measuring import RESULTS, machine, spread, table, write

from minicnn import data
from minicnn.data.directory import DRAFT
from minicnn.models import networks
from minicnn.models.recipes import AUGMENTATIONS

SIZE, BATCH = 150, 32
NONE, EVERYTHING = "none", "everything"


def loaders(folder: Path, count: int) -> dict[str, data.Loader]:
    """From the name of each augmentation to a loader of the same images."""
    light = (0.7, 1.3)
    everything = data.Augmentation(
        rotation_range=12, width_shift_range=0.1, height_shift_range=0.1, shear_range=10, zoom_range=0.2,
        horizontal_flip=True, vertical_flip=True, brightness_range=light, contrast_range=light,
        saturation_range=light, crop_scale=(0.3, 1.0), cutout=0.3,
    )  # fmt: skip
    files = data.find_images(folder)
    chosen = np.random.default_rng(0).permutation(len(files.paths))[:count]
    whole = data.Loader.from_files(
        files.take(np.sort(chosen)), data.Preprocessing(SIZE, SIZE, draft=DRAFT), progress=False
    )
    changes = {NONE: (None, 0.0)}
    changes |= {name: (augmentation, 0.0) for name, augmentation in AUGMENTATIONS.items()}
    changes[EVERYTHING] = (everything, 0.2)
    return {
        name: data.Loader(whole.x, whole.y, BATCH, shuffle=True, augmentation=augmentation, mixup=mixup)
        for name, (augmentation, mixup) in changes.items()
    }


def epoch(model, loader: data.Loader, number: int) -> float:
    """Images per second in one epoch."""
    begin, images = time.perf_counter(), 0
    for x, y, weight in loader.batches(number):
        loss, _ = model.train_step(x, y, weight)
        if not np.isfinite(loss):
            raise SystemExit(f"the loss is {loss}")
        images += len(x)
    return images / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=640, help="number of photos (default: 640)")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="folder for the results")
    options = parser.parse_args()
    found = loaders(options.folder, options.images)
    model = networks.four_block().build((SIZE, SIZE, 3), seed=0)
    model.compile(optimizer="adam", loss="binary_crossentropy")
    speeds = {name: [] for name in found}
    for turn in range(options.rounds + 1):  # the first round compiles and warms up
        names = list(found)[turn % len(found) :] + list(found)[: turn % len(found)]
        for name in names:
            speed = epoch(model, found[name], turn)
            if turn:
                speeds[name].append(speed)
    report = {"machine": machine(), "photos": len(found[NONE].x), "images_per_second": speeds}
    print(text(report))
    write(options.results, "augmented_training", text(report), report)


def text(report: dict) -> str:
    """The report in Markdown."""
    rounds = len(report["images_per_second"][NONE])
    return f"""Training four-block at {SIZE} px, batches of {BATCH}, on {report["photos"]} photos from the cache: \
median (smallest to largest) of {rounds} rounds.

{speed_table(report)}

{report["machine"]}. `everything` is every random change there is, mixup and cutout included.
"""


def speed_table(report: dict) -> str:
    """The speed with each augmentation, and relative to training without."""
    speeds = report["images_per_second"]
    rows = []
    for name, values in speeds.items():
        shares = [a / b for a, b in zip(values, speeds[NONE], strict=True)]
        rows.append([name, spread(values), spread(shares)])
    return table(["augmentation", "images per second", "relative to no augmentation"], rows)


if __name__ == "__main__":
    main()
