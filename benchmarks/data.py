"""Compare the speed of reading photos with Keras's image_dataset_from_directory.

    python benchmarks/data.py FOLDER ... [--rounds 7]

Each FOLDER has one folder of photos per class.  minicnn and Keras run in a process each and take turns, at 64 and 150
pixels.  The time is from the name of the folder to the last image: finding the files, decoding, resizing; with minicnn
also writing the cache, which Keras does not have.  Then the folder is read a second time; minicnn uses the cache.  All
files are read once before, so that they are in memory.  Prints a table, and writes data.md and data.json.

This measures decoding only; for augmentation see augmentation.py.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import RESULTS, machine, number, spread, table, write

SIZES = (64, 150)
DRAFT = 2  # as `minicnn train` decodes


class Reader:
    """minicnn or Keras, in a process of its own."""

    def __init__(self, name: str):
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--reader", name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
        )  # fmt: skip

    def time(self, folder: Path, size: int) -> list[float]:
        """[seconds of the first reading, number of images, seconds of the second reading]."""
        print(json.dumps([str(folder), size]), file=self.process.stdin, flush=True)
        if not (line := self.process.stdout.readline()):
            raise SystemExit("A process has ended. Is tensorflow-cpu installed, and are there class folders?")
        return json.loads(line)

    def close(self) -> None:
        """Closing its input ends the process."""
        self.process.communicate()


def read_with_minicnn(folder: str, size: int) -> list[float]:
    """Into a new cache, then from it."""
    from minicnn import data

    preprocessing = data.Preprocessing(size, size, draft=DRAFT)
    with tempfile.TemporaryDirectory() as cache_folder:
        cache, seconds = data.ImageCache(cache_folder), []
        for _ in range(2):
            begin = time.perf_counter()
            files = data.find_images(folder)
            images, *_ = data.load_images(files.paths, preprocessing, cache=cache)
            seconds.append(time.perf_counter() - begin)
        return [seconds[0], len(images), seconds[1]]


def read_with_keras(folder: str, size: int) -> list[float]:
    """As Keras's documentation shows, until the last batch has been taken."""
    from keras.utils import image_dataset_from_directory

    seconds = []
    begin = time.perf_counter()
    dataset = image_dataset_from_directory(folder, image_size=(size, size), shuffle=False, verbose=False)
    for _ in range(2):
        images = sum(len(x) for x, _ in dataset)
        seconds.append(time.perf_counter() - begin)
        begin = time.perf_counter()
    return [seconds[0], images, seconds[1]]


READERS = {"minicnn": read_with_minicnn, "keras": read_with_keras}


def work(name: str) -> None:
    """Read a folder for each line of JSON, until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a framework's own output must not mix with the answers
    for line in sys.stdin:
        print(json.dumps(READERS[name](*json.loads(line))), file=answers, flush=True)


def measure(folder: Path, rounds: int, readers: dict[str, Reader]) -> dict:
    """size -> reader -> [first reading, second reading] of each round, in images per second."""
    speeds = {str(size): {name: [] for name in readers} for size in SIZES}
    for size in SIZES:
        for measured in range(rounds + 1):  # the first round warms up: imports, and the files themselves
            order = list(readers) if measured % 2 else list(readers)[::-1]
            for name in order:
                first, images, second = readers[name].time(folder, size)
                if measured:
                    speeds[str(size)][name].append([images / first, images / second])
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="folder for the results")
    parser.add_argument("--reader", choices=READERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.reader:
        work(options.reader)
        return
    if not options.folders:
        parser.error("name a folder of photos")
    readers = {name: Reader(name) for name in READERS}
    folders = {folder.name: measure(folder, options.rounds, readers) for folder in options.folders}
    for reader in readers.values():
        reader.close()
    report = {"machine": machine(), "rounds": options.rounds, "images_per_second": folders}
    print(text(report))
    write(options.results, "data", text(report), report)


def text(report: dict) -> str:
    """The report in Markdown."""
    return f"""Reading photos, images per second: median (smallest to largest) of {report["rounds"]} rounds.

{speed_table(report)}

{report["machine"]}. The ratio is formed within each round. JPEG draft {DRAFT}.
"""


def speed_table(report: dict) -> str:
    """The first reading with minicnn and with Keras, and the second reading with minicnn."""
    rows = []
    for folder, sizes in report["images_per_second"].items():
        for size, readings in sizes.items():
            first = {name: [speed for speed, _ in rounds] for name, rounds in readings.items()}
            ratios = [a / b for a, b in zip(first["minicnn"], first["keras"], strict=True)]
            cached = statistics.median(speed for _, speed in readings["minicnn"])
            speeds = [spread(first["minicnn"]), spread(first["keras"]), spread(ratios), number(cached, 2)]
            rows.append([folder, f"{size} px", *speeds])
    heading = [
        "photos",
        "resized to",
        "minicnn, first time",
        "Keras",
        "times as fast",
        "minicnn, from the cache",
    ]
    return table(heading, rows)


if __name__ == "__main__":
    main()
