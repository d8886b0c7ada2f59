"""Photographs to arrays, the first time: beside Keras's image_dataset_from_directory where it is installed.

    python benchmarks/data.py FOLDER ... [--rounds 7]

Each FOLDER has a folder a class; the files are read once before, so that both find them in memory.  Each side is a
process of its own and the two take turns, at 64 and at 150 pixels, from the folder's name to the last picture:
finding the files, decoding, resizing; here also writing the cache, which Keras has not.  Then once more, from it.
Prints a table, writes benchmarks/results/data.md, and ends with status 1 if decoding is slower than Keras's, by the
median of the ratios within a round.

Decoding only; what augmentation costs is measured in a file of its own.
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
DRAFT = 2  # as examples/catdog.py decodes


class Side:
    """One of the two, in its process: seconds of one reading."""

    def __init__(self, name: str):
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--side", name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
        )  # fmt: skip

    def time(self, *question: object) -> list[float]:
        """[seconds of a reading, pictures, seconds of the next reading]."""
        print(json.dumps(question), file=self.process.stdin, flush=True)
        if not (line := self.process.stdout.readline()):
            raise SystemExit(
                "one of the two ended: is tensorflow-cpu installed, and are there class folders?"
            )
        return json.loads(line)

    def close(self) -> None:
        """The end of its questions is the end of its work."""
        self.process.communicate()


def ours(folder: str, size: int) -> list[float]:
    """Through a new cache, then from it."""
    from minicnn import data

    preprocessing = data.Preprocessing(size, size, draft=DRAFT)
    with tempfile.TemporaryDirectory() as cache_folder:
        cache, seconds = data.PictureCache(cache_folder), []
        for _ in range(2):
            begin = time.perf_counter()
            files = data.find_pictures(folder)
            pictures, *_ = data.load_pictures(files.paths, preprocessing, cache=cache)
            seconds.append(time.perf_counter() - begin)
        return [seconds[0], len(pictures), seconds[1]]


def keras(folder: str, size: int) -> list[float]:
    """As its documentation shows; every picture is there when its batch is."""
    from keras.utils import image_dataset_from_directory

    seconds = []
    begin = time.perf_counter()
    dataset = image_dataset_from_directory(folder, image_size=(size, size), shuffle=False, verbose=False)
    for _ in range(2):
        pictures = sum(len(x) for x, _ in dataset)
        seconds.append(time.perf_counter() - begin)
        begin = time.perf_counter()
    return [seconds[0], pictures, seconds[1]]


def work(name: str) -> None:
    """Answer lines of JSON until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints must not mix with the answers
    for line in sys.stdin:
        print(
            json.dumps({"minicnn": ours, "keras": keras}[name](*json.loads(line))), file=answers, flush=True
        )


def measure(folder: Path, rounds: int, sides: dict[str, Side]) -> dict:
    """size -> side -> [first reading, second reading] of each round, in pictures a second."""
    speeds = {size: {name: [] for name in sides} for size in SIZES}
    for size in SIZES:
        for measured in range(rounds + 1):  # the first warms up: imports, and the files themselves
            order = list(sides) if measured % 2 else list(sides)[::-1]
            for name in order:
                first, pictures, second = sides[name].time(str(folder), size)
                if measured:
                    speeds[size][name].append([pictures / first, pictures / second])
    return speeds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where the table goes")
    parser.add_argument("--side", choices=("minicnn", "keras"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        work(options.side)
        return 0
    if not options.folders:
        parser.error("name a folder of photographs")
    sides = {name: Side(name) for name in ("minicnn", "keras")}
    rows, report, good = [], {}, True
    for number_of_folder, folder in enumerate(options.folders, 1):
        speeds = measure(folder, options.rounds, sides)
        report[f"folder {number_of_folder}"] = speeds
        for size, by_side in speeds.items():
            first = {name: [speed for speed, _ in rounds] for name, rounds in by_side.items()}
            ratios = [a / b for a, b in zip(first["minicnn"], first["keras"], strict=True)]
            good &= statistics.median(ratios) >= 1
            cached = statistics.median(speed for _, speed in by_side["minicnn"])
            rows.append(
                [folder.name, f"{size} px", spread(first["minicnn"]), spread(first["keras"]), spread(ratios),
                 number(cached, 2)]
            )  # fmt: skip
    for side in sides.values():
        side.close()
    heading = ["photographs", "to", "minicnn, first time", "Keras", "ratio", "minicnn, from the cache"]
    text = f"""Photographs to arrays, pictures a second: median (least to most) of {options.rounds} rounds.

{table(heading, rows)}

{machine()}. `ratio` is that of a round. JPEG draft {DRAFT}.
"""
    print(text)
    write(options.results, "data", text, report)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
