"""Augmentation beside Keras's two: ImageDataGenerator and the preprocessing layers, the same transforms, in one run.

    python benchmarks/augmentation.py [--rounds 7] [--batch 32] [--out FOLDER]

Needs minicnn's `peers` extra (TensorFlow), and SciPy for ImageDataGenerator.  All get the same uint8 pictures and give
float32 batches in [0, 1]:

    geometry             flip, rotation by 15 degrees, shift by 0.1, shear by 10 degrees, zoom by 0.2
    geometry and light   besides, brightness from 0.8 to 1.2
    layers only          besides, contrast and saturation, which ImageDataGenerator does not know

minicnn runs on one thread, as in training, and on all cores.  The layers are compiled by tf.function and called
batch by batch, and also mapped over a tf.data pipeline with AUTOTUNE, which is what Keras's guides recommend; the bar
holds against the faster.  TensorFlow has all cores.  The contestants take turns within each round, in
an order that rotates; a ratio is the median of the ratios within the rounds.  Before anything is timed, each result is
checked: its shape and range, and that minicnn's picture is Keras's where both are given one and the same transform.

Prints a table, writes augmentation.md and augmentation.json, and ends with status 1 if minicnn on all cores is not 20
times as fast as ImageDataGenerator and 3 times as fast as the layers.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from measuring import RESULTS, machine, settle, spread, table, write

from minicnn.data import Augmentation

GEOMETRY = {
    "rotation_range": 15,
    "width_shift_range": 0.1,
    "height_shift_range": 0.1,
    "shear_range": 10,
    "zoom_range": 0.2,
    "horizontal_flip": True,
}
LIGHT = {"brightness_range": (0.8, 1.2)}
COLOUR = {"contrast_range": (0.8, 1.2), "saturation_range": (0.8, 1.2)}
SETS = {
    "geometry": GEOMETRY,
    "geometry and light": GEOMETRY | LIGHT,
    "layers only": GEOMETRY | LIGHT | COLOUR,
}
GENERATOR, LAYERS, PIPELINE = "ImageDataGenerator", "preprocessing layers", "layers in tf.data"
BARS = {GENERATOR: 20, LAYERS: 3, PIPELINE: 3}
CORES = os.cpu_count()
ONE, ALL = "minicnn, 1 thread", f"minicnn, {CORES} threads"


def contestants(options: dict, pictures: np.ndarray) -> dict[str, Callable[[], np.ndarray]]:
    """By name, what gives one augmented batch."""
    import keras
    import tensorflow as tf

    augmentation, epochs, indices = Augmentation(**options), iter(range(1 << 60)), range(len(pictures))
    found = {
        ONE: lambda: augmentation(pictures, indices, next(epochs)),
        ALL: lambda: augmentation(pictures, indices, next(epochs), threads=CORES),
    }
    if "contrast_range" not in options:
        flow = generator(options).flow(pictures, batch_size=len(pictures), shuffle=False)
        found[GENERATOR] = lambda: next(flow)
    layers = keras.Sequential(layers_of(options))
    compiled = tf.function(lambda x: layers(x, training=True))
    found[LAYERS] = lambda: compiled(pictures).numpy()
    source = tf.data.Dataset.from_tensors(pictures).repeat()
    batches = iter(
        source.map(lambda x: layers(x, training=True), tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    )
    found[PIPELINE] = lambda: next(batches).numpy()
    return found


def generator(options: dict):
    """Keras's ImageDataGenerator with these options."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    return ImageDataGenerator(rescale=1 / 255, **options)


def layers_of(options: dict) -> list:
    """The same transforms as preprocessing layers."""
    from keras import layers

    turn, shear = options["rotation_range"] / 360, np.tan(np.radians(options["shear_range"]))
    fill = {"fill_mode": "nearest"}
    found = [
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(turn, **fill),
        layers.RandomTranslation(options["height_shift_range"], options["width_shift_range"], **fill),
        layers.RandomShear(float(shear), **fill),
        layers.RandomZoom((-0.2, 0.2), (-0.2, 0.2), **fill),
    ]
    if "brightness_range" in options:
        found.append(layers.RandomBrightness(0.2, value_range=(0, 255)))
    if "contrast_range" in options:
        found += [
            layers.RandomContrast(0.2, value_range=(0, 255)),
            layers.RandomSaturation(0.2, value_range=(0, 255)),
        ]
    return [*found, layers.Rescaling(1 / 255)]


def check(found: dict[str, Callable[[], np.ndarray]], pictures: np.ndarray) -> None:
    """Every contestant gives a changed batch in [0, 1]; minicnn's map is ImageDataGenerator's."""
    for name, batch in found.items():
        x = batch()
        assert x.shape == pictures.shape and x.dtype == np.float32, f"{name}: {x.dtype} {x.shape}"
        assert x.min() >= -1e-6 and x.max() <= 1 + 1e-6, f"{name}: {x.min()} to {x.max()}"
        assert np.abs(x - pictures / 255).mean() > 0.01, f"{name} changed nothing"
        others = [np.abs(batch() - x).mean() for _ in range(4)]  # parallel maps of tf.data may share a seed
        assert max(others) > 0.01, f"{name} gives one and the same batch"
    from minicnn.data.warp import warp

    transform = {"theta": 12.0, "tx": 3.0, "ty": -2.0, "shear": 8.0, "zx": 0.9, "zy": 1.15}
    # Keras has taken rows for columns in this map since 2018: its transform of the transposed picture is ours.
    transposed = pictures[0].swapaxes(0, 1).astype(np.float32)
    theirs = generator(GEOMETRY).apply_transform(transposed, transform).swapaxes(0, 1) / 255
    ours, matrix = np.empty((1, *theirs.shape), np.float32), keras_matrix(transform, *theirs.shape[:2])
    warp(pictures[:1], matrix[None], np.ones((1, 3), np.float32), np.zeros((1, 4), np.int64), ours)
    assert np.abs(ours[0] - theirs).max() < 1e-3, "one and the same transform gives two pictures"


def keras_matrix(transform: dict, height: int, width: int) -> np.ndarray:
    """That transform as minicnn's map, through the draws that lead to it."""
    from minicnn.data.augmentation import DOWN, DRAWS, MIRROR, RIGHT, ROTATION, SHEAR, TALL, WIDE

    limits = Augmentation(90, 0.5, 0.5, 90, 0.5)
    draws = np.full((1, DRAWS), 0.5)
    for column, value, low, high in (
        (ROTATION, transform["theta"], -90, 90),
        (SHEAR, transform["shear"], -90, 90),
        (DOWN, transform["tx"], -height / 2, height / 2),
        (RIGHT, transform["ty"], -width / 2, width / 2),
        (TALL, transform["zx"], 0.5, 1.5),
        (WIDE, transform["zy"], 0.5, 1.5),
        (MIRROR, 0.9, 0, 1),
    ):
        draws[0, column] = (value - low) / (high - low)
    return limits.matrices(draws, (height, width))[0]


def time_in_turns(found: dict[str, Callable], rounds: int, least: float = 0.15) -> dict[str, list[float]]:
    """Seconds a batch, a round each."""
    names, seconds = list(found), {name: [] for name in found}
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            time.sleep(0.2)  # tf.data goes on filling its buffer after its turn
            settle(found[name], 0.05)
            begin, count = time.perf_counter(), 0
            while time.perf_counter() - begin < least:
                found[name]()
                count += 1
            seconds[name].append((time.perf_counter() - begin) / count)
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 150])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows, results, missed = [], [], []
    for size in options.sizes:
        rng = np.random.default_rng(size)
        coarse = rng.integers(0, 256, (options.batch, 8, 8, 3), dtype=np.uint8)  # patches, not noise
        pictures = coarse.repeat(size // 8 + 1, 1).repeat(size // 8 + 1, 2)[:, :size, :size].copy()
        for what, transforms in SETS.items():
            found = contestants(transforms, pictures)
            check(found, pictures)
            seconds = time_in_turns(found, options.rounds)
            for name, values in seconds.items():
                ratios = [theirs / ours for theirs, ours in zip(values, seconds[ALL], strict=True)]
                speed = spread([options.batch / value for value in values])
                rows.append([f"{size} px, {what}", name, speed, f"{statistics.median(ratios):.1f}x"])
                results.append({"size": size, "transforms": what, "name": name, "seconds": values})
                if statistics.median(ratios) < BARS.get(name, 0):
                    missed.append(
                        f"{size} px, {what}: {name} is only {statistics.median(ratios):.1f} times slower"
                    )
    import keras

    heading = ["pictures, transforms", "who", "pictures a second, median (range)", f"{ALL} is faster by"]
    text = "\n".join(
        [
            f"# Augmentation, batches of {options.batch}, {options.rounds} rounds",
            "",
            table(heading, rows),
            "",
            f"{machine()}, Keras {keras.__version__}.",
            "",
        ]
    )
    print(text, *missed, sep="\n")
    write(
        options.out, "augmentation", text, {"machine": machine(), "batch": options.batch, "results": results}
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
