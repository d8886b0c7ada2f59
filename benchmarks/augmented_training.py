"""What augmentation costs training: epochs with it and without it take turns, on photographs from the cache.

    python benchmarks/augmented_training.py FOLDER [--rounds 5] [--pictures 640]

FOLDER has a folder a class.  The network is four-block at 150 pixels, in batches of 32, trained step by step on what
the loader of examples/catdog.py gives: its augmentations "light" and "strong", and everything there is, mixup and
cutout too.  One model takes all the steps, so that nothing differs but the batches.  Prints a table, writes
benchmarks/results/augmented_training.md, and ends with status 1 if training with everything runs at less than
90 % of the speed without augmentation, by the median of the ratios within a round.
"""

import argparse
import importlib
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from measuring import RESULTS, machine, spread, table, write

from minicnn import data, networks

SIZE, BATCH, BAR = 150, 32, 0.9
NONE, EVERYTHING = "none", "everything"


def catdog():
    """examples/catdog.py, as a module."""
    folder = str(Path(__file__).resolve().parents[1] / "examples")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module("catdog")


def loaders(folder: Path, count: int) -> dict[str, data.Loader]:
    """By the name of its augmentation, a loader of the same pictures."""
    example = catdog()
    light = (0.7, 1.3)
    everything = data.Augmentation(
        rotation_range=12, width_shift_range=0.1, height_shift_range=0.1, shear_range=10, zoom_range=0.2,
        horizontal_flip=True, vertical_flip=True, brightness_range=light, contrast_range=light,
        saturation_range=light, crop_scale=(0.3, 1.0), cutout=0.3,
    )  # fmt: skip
    files = data.find_pictures(folder)
    chosen = np.random.default_rng(0).permutation(len(files.paths))[:count]
    whole = data.Loader.from_files(
        files.take(np.sort(chosen)), data.Preprocessing(SIZE, SIZE, draft=example.DRAFT), progress=False
    )
    changes = {NONE: (None, 0.0)}
    changes |= {name: (augmentation, 0.0) for name, augmentation in example.AUGMENTATIONS.items()}
    changes[EVERYTHING] = (everything, 0.2)
    return {
        name: data.Loader(whole.x, whole.y, BATCH, shuffle=True, augmentation=augmentation, mixup=mixup)
        for name, (augmentation, mixup) in changes.items()
    }


def epoch(model, loader: data.Loader, number: int) -> float:
    """Pictures a second of one epoch."""
    begin, pictures = time.perf_counter(), 0
    for x, y, weight in loader.batches(number):
        loss, _ = model.train_step(x, y, weight)
        if not np.isfinite(loss):
            raise SystemExit(f"the loss is {loss}")
        pictures += len(x)
    return pictures / (time.perf_counter() - begin)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=640)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where the table goes")
    options = parser.parse_args()
    found = loaders(options.folder, options.pictures)
    model = networks.four_block().build((SIZE, SIZE, 3), seed=0)
    model.compile(optimizer="adam", loss="binary_crossentropy")
    speeds = {name: [] for name in found}
    for turn in range(options.rounds + 1):  # the first warms up, and compiles
        names = list(found)[turn % len(found) :] + list(found)[: turn % len(found)]
        for name in names:
            speed = epoch(model, found[name], turn)
            if turn:
                speeds[name].append(speed)
    shares = {
        name: [a / b for a, b in zip(values, speeds[NONE], strict=True)] for name, values in speeds.items()
    }
    heading = ["augmentation", "pictures a second", "of the speed without"]
    rows = [[name, spread(speeds[name]), spread(shares[name])] for name in found]
    text = f"""Training four-block at {SIZE} px, batches of {BATCH}, on {len(found[NONE].x)} photographs from the \
cache: median (least to most) of {options.rounds} rounds.

{table(heading, rows)}

{machine()}. `everything` is every change there is, mixup and cutout too.
"""
    print(text)
    write(options.results, "augmented_training", text, speeds)
    return 0 if statistics.median(shares[EVERYTHING]) >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
