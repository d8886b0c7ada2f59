"""Compare the speed of augmentation with Keras's ImageDataGenerator and with its preprocessing layers.

    python benchmarks/augmentation.py [--rounds 7] [--batch 32] [--out FOLDER]

Needs minicnn's `peers` extra (TensorFlow), and SciPy for ImageDataGenerator.  All receive the same uint8 images and
return float32 batches in [0, 1].  There are three sets of transforms:

    geometry             flip, rotation by 15 degrees, shift by 0.1, shear by 10 degrees, zoom by 0.2
    geometry and light   in addition, brightness from 0.8 to 1.2
    layers only          in addition, contrast and saturation, which ImageDataGenerator does not have

minicnn runs on one thread, as in training, and on all cores.  TensorFlow uses all cores.  The preprocessing layers are
compiled by tf.function and called batch by batch; they are also mapped over a tf.data pipeline with AUTOTUNE, as the
guides of Keras recommend.  All take turns within each round, in rotating order; a reported ratio is the median of the
ratios within the rounds.  Before anything is timed, the shape and the range of each result are checked, and that
minicnn and ImageDataGenerator give the same image for the same transform.

Prints a table, and writes augmentation.md and augmentation.json.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from measuring import RESULTS, machine, number, settle, spread, table, write

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
CORES = os.cpu_count()
ONE, ALL = "minicnn, 1 thread", f"minicnn, {CORES} threads"


def augmenters(options: dict, images: np.ndarray) -> dict[str, Callable[[], np.ndarray]]:
    """From each name to a function that returns one augmented batch."""
    import keras
    import tensorflow as tf

    augmentation, epochs, indices = Augmentation(**options), iter(range(1 << 60)), range(len(images))
    found = {
        ONE: lambda: augmentation(images, indices, next(epochs)),
        ALL: lambda: augmentation(images, indices, next(epochs), threads=CORES),
    }
    if "contrast_range" not in options:
        flow = generator(options).flow(images, batch_size=len(images), shuffle=False)
        found[GENERATOR] = lambda: next(flow)
    layers = keras.Sequential(layers_of(options))
    compiled = tf.function(lambda x: layers(x, training=True))
    found[LAYERS] = lambda: compiled(images).numpy()
    source = tf.data.Dataset.from_tensors(images).repeat()
    batches = iter(
        source.map(lambda x: layers(x, training=True), tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    )
    found[PIPELINE] = lambda: next(batches).numpy()
    return found


def generator(options: dict):
    """Keras's ImageDataGenerator with the same options."""
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


def check(found: dict[str, Callable[[], np.ndarray]], images: np.ndarray) -> None:
    """Check that each returns a changed batch in [0, 1], and that minicnn and ImageDataGenerator transform alike."""
    for name, batch in found.items():
        x = batch()
        assert x.shape == images.shape and x.dtype == np.float32, f"{name}: {x.dtype} {x.shape}"
        assert x.min() >= -1e-6 and x.max() <= 1 + 1e-6, f"{name}: {x.min()} to {x.max()}"
        assert np.abs(x - images / 255).mean() > 0.01, f"{name} changed nothing"
        others = [np.abs(batch() - x).mean() for _ in range(4)]  # parallel maps of tf.data may share a seed
        assert max(others) > 0.01, f"{name} gives the same batch each time"
    from minicnn.data.warp import warp

    transform = {"theta": 12.0, "tx": 3.0, "ty": -2.0, "shear": 8.0, "zx": 0.9, "zy": 1.15}
    # Since 2018 Keras has swapped rows and columns here: its transform of the transposed image is minicnn's.
    transposed = images[0].swapaxes(0, 1).astype(np.float32)
    theirs = generator(GEOMETRY).apply_transform(transposed, transform).swapaxes(0, 1) / 255
    ours, matrix = np.empty((1, *theirs.shape), np.float32), keras_matrix(transform, *theirs.shape[:2])
    warp(images[:1], matrix[None], np.ones((1, 3), np.float32), np.zeros((1, 4), np.int64), ours)
    assert np.abs(ours[0] - theirs).max() < 1e-3, "the same transform gives two different images"


def keras_matrix(transform: dict, height: int, width: int) -> np.ndarray:
    """The matrix of this transform, by way of the random numbers from which minicnn would form it."""
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
    """Seconds per batch in each round."""
    names, seconds = list(found), {name: [] for name in found}
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            time.sleep(0.2)  # tf.data still fills its buffer after its turn
            settle(found[name], 0.05)
            begin, count = time.perf_counter(), 0
            while time.perf_counter() - begin < least:
                found[name]()
                count += 1
            seconds[name].append((time.perf_counter() - begin) / count)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 150])
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER", help="folder for the results")
    options = parser.parse_args()
    import keras

    report = {"machine": machine(), "keras": keras.__version__, "batch": options.batch, "results": []}
    for size in options.sizes:
        rng = np.random.default_rng(size)
        coarse = rng.integers(0, 256, (options.batch, 8, 8, 3), dtype=np.uint8)  # patches, not noise
        images = coarse.repeat(size // 8 + 1, 1).repeat(size // 8 + 1, 2)[:, :size, :size].copy()
        for what, transforms in SETS.items():
            found = augmenters(transforms, images)
            check(found, images)
            for name, seconds in time_in_turns(found, options.rounds).items():
                report["results"].append({"size": size, "transforms": what, "name": name, "seconds": seconds})
    print(text(report))
    write(options.out, "augmentation", text(report), report)


# ------------------------------------------------------------------------------------------ the report
def text(report: dict) -> str:
    """The report in Markdown: every measurement."""
    first, rows = report["results"][0], []
    for one in report["results"]:
        speed = spread([report["batch"] / seconds for seconds in one["seconds"]])
        faster = f"{ratio(one, most_threads(report, one)):.1f}x"
        rows.append([f"{one['size']} px, {one['transforms']}", one["name"], speed, faster])
    ours = most_threads(report, first)["name"]
    heading = ["images, transforms", "library", "images per second, median (range)", f"{ours}: times as fast"]
    return f"""# Augmentation, batches of {report["batch"]}, {len(first["seconds"])} rounds

{table(heading, rows)}

{report["machine"]}, Keras {report["keras"]}.
"""


def comparison_table(report: dict) -> str:
    """How many times as fast minicnn is as each part of Keras, in the median of the rounds."""
    peers, rows = (GENERATOR, LAYERS, PIPELINE), []
    found = {(one["size"], one["transforms"], one["name"]): one for one in report["results"]}
    for size, what in dict.fromkeys((size, what) for size, what, _ in found):
        one, fast = found[size, what, ONE], most_threads(report, found[size, what, ONE])
        speeds = [number(report["batch"] / statistics.median(mine["seconds"])) for mine in (one, fast)]
        ratios = [
            f"{ratio(found[size, what, peer], fast):.1f}x" if (size, what, peer) in found else ""
            for peer in peers
        ]
        rows.append([f"{size} px, {what}", *speeds, *ratios])
    heading = ["images, transforms", ONE, fast["name"], *(f"against {peer}" for peer in peers)]
    return table(heading, rows)


def most_threads(report: dict, one: dict) -> dict:
    """minicnn on all cores, with the same images and transforms."""
    same = ("size", "transforms")
    alike = [other for other in report["results"] if all(other[key] == one[key] for key in same)]
    return next(other for other in alike if other["name"].startswith("minicnn") and other["name"] != ONE)


def ratio(one: dict, fast: dict) -> float:
    """The median of the ratios within the rounds: how many times as fast the second is."""
    return statistics.median(a / b for a, b in zip(one["seconds"], fast["seconds"], strict=True))


if __name__ == "__main__":
    main()
