"""Fill the tables of README.md and docs/*.md from the measurements in benchmarks/results.

    python benchmarks/tables.py             write the tables, and the pages of benchmarks/results
    python benchmarks/tables.py --check     write nothing; exit status 1 if a page disagrees with the measurements

A table stands between two comments; everything between them is generated.  A single number may stand in a sentence:

    <!-- table: NAME -->
    <!-- end -->

    <!-- value: FILE KEY ... -->98.4 ± 0.2 %<!-- end -->

NAME is a key of `tables` below.  FILE and KEY name a number in benchmarks/results/FILE.json.  The tables themselves are
made by the script that wrote the measurements.  Nothing is measured here.
"""

import argparse
import re
import shlex
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ablations
import augmentation
import augmented_training
import busy
import data
import folding
import gradients
import main_job
import measuring
import peer_ratios
import peer_report
import scaling
import startup
from measuring import RESULTS, number, table

ROOT = Path(__file__).resolve().parents[1]
MARKED = re.compile(r"(<!-- (table|value): (.*?) -->)(.*?)(<!-- end -->)", re.DOTALL)
OPENED, CLOSED = re.compile(r"<!-- (?:table|value): "), "<!-- end -->"
SCRIPTS = (
    ablations,
    augmentation,
    augmented_training,
    busy,
    data,
    folding,
    gradients,
    peer_report,
    scaling,
    startup,
)
FIRST_PAGE = "two-block", "four-block", "catdog-small", "catdog-hour-and-a-half"
FIRST_SPEEDS = (
    ("training", "two-block"),
    ("training", "four-block"),
    ("prediction, batch 32", "four-block"),
    ("prediction, batch 1", "mini-Xception"),
)


def main(arguments: list[str] | None = None, root: Path = ROOT, results: Path = RESULTS) -> int:
    """Write or check all pages; returns the exit status."""
    description, _, usage = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit status 1 if a page disagrees"
    )
    options = parser.parse_args(arguments)
    complaints = []
    for path, wanted, wrong in pages(root, results):
        if wanted is None or options.check:
            complaints += [f"{path.relative_to(root)}: {what}" for what in wrong]
        elif wrong:
            path.write_text(wanted, encoding="utf-8")
            print(f"{path.relative_to(root)}: written")
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    if complaints and options.check:
        print("Run `python benchmarks/tables.py` to write the tables again.", file=sys.stderr)
    return 1 if complaints else 0


def pages(root: Path, results: Path) -> Iterator[tuple[Path, str | None, list[str]]]:
    """Each page, what it should be (None if its markers are wrong), and what is wrong with it."""
    for path in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        if path.exists():
            yield path, *fill(path.read_text(encoding="utf-8"), results)
    for name, wanted in reports(results):
        path = results / f"{name}.md"
        found = path.read_text(encoding="utf-8") if path.exists() else ""
        yield path, wanted, [] if found == wanted else [f"differs from {name}.json"]


def fill(page: str, results: Path) -> tuple[str | None, list[str]]:
    """The page with its tables and values written again, and what was wrong before."""
    if len(OPENED.findall(page)) != len(MARKED.findall(page)) or page.count(CLOSED) != len(
        MARKED.findall(page)
    ):
        return None, [f"a marker has no {CLOSED}, or the other way round"]
    known, wrong, usable = tables(results), [], True

    def write(match):
        nonlocal usable
        opening, kind, name, before, closing = match.groups()
        try:
            after = f"\n{known[name]()}\n" if kind == "table" else value(results, *shlex.split(name))
        except (KeyError, IndexError, TypeError, ValueError, FileNotFoundError) as error:
            usable = False
            wrong.append(f"{kind} {name}: cannot be made ({type(error).__name__}: {error})")
            return match[0]
        if after != before:
            wrong.append(f"{kind} {name}: differs from benchmarks/results")
        return opening + after + closing

    filled = MARKED.sub(write, page)
    return filled if usable else None, wrong


def tables(results: Path) -> dict[str, Callable[[], str]]:
    """From each name to a function that makes the table."""

    def read(name):
        return measuring.read(name, results)

    def speeds():
        return read("peers")["speeds"]

    def first_speeds():
        found = {(entry["task"], entry["network"]): entry for entry in speeds()}
        return [found[key] for key in FIRST_SPEEDS]

    found = {
        "results": lambda: main_job.short_table(main_job.reports(results), FIRST_PAGE),
        "accuracy": lambda: main_job.accuracy_table(main_job.reports(results)),
        "cost": lambda: main_job.cost_table(main_job.reports(results)),
        "commands": lambda: main_job.command_table(main_job.reports(results)),
        "speed": lambda: peer_report.short_table(first_speeds()),
        "speed-all": lambda: peer_report.summary_table(speeds()),
        "speed-networks": lambda: peer_report.network_table(speeds()),
        "speed-slower": lambda: peer_report.summary_table(e for e in speeds() if peer_ratios.ratio(e) < 1),
        "memory": lambda: peer_report.memory_table(read("peers")["memory"]),
        "kernels": lambda: kernel_table(read("kernels")),
        "scaling": lambda: scaling.exponent_table(read("scaling")),
        "batches": lambda: scaling.batch_table(read("scaling")),
        "startup": lambda: startup.start_table(read("startup")),
        "busy": lambda: busy.short_table(read("busy")),
        "folding": lambda: folding.speed_table(read("folding")),
        "data": lambda: data.speed_table(read("data")),
        "augmentation": lambda: augmentation.comparison_table(read("augmentation")),
        "augmented-training": lambda: augmented_training.speed_table(read("augmented_training")),
        "gradients": lambda: gradients.largest_table(read("gradients")),
    }
    for name, changes in ablations.GROUPS.items():
        found[f"ablations-{name}"] = lambda changes=changes: ablations.group_table(read("ablations"), changes)
    return found


def value(results: Path, file: str, *keys: str) -> str:
    """One number of a results file as text; the median of a list; an accuracy with its standard error.

    Examples
    --------
    >>> value(RESULTS, "two-block", "validation_images")
    '2000'
    """
    found: Any = measuring.read(file, results)
    inside = found
    for key in keys:
        inside, found = found, found[int(key) if isinstance(found, list) else key]
    if keys[-1] == "accuracy":
        return main_job.accuracy(inside)
    if keys[-1] == "training_accuracy":
        return f"{100 * found:.1f} %"
    if keys[-1] == "seconds":
        return main_job.duration(found)
    return number(statistics.median(found) if isinstance(found, list) else found)


def kernel_table(report: dict) -> str:
    """How many times as fast as im2col the fast kernels are: the median over the shapes, and the range."""
    ratios: dict[str, list[float]] = {}
    for row in report["kernels"]:
        im2col, fast = (statistics.median(row["seconds"][name]) for name in ("im2col", "fast"))
        ratios.setdefault(f"{row['family']}, {row['pass']}", []).append(im2col / fast)
    rows = [
        [
            name,
            str(len(values)),
            f"{statistics.median(values):.1f}x",
            f"{min(values):.1f} to {max(values):.1f}",
        ]
        for name, values in ratios.items()
    ]
    return table(["kernel", "shapes", "times as fast as `im2col`, median", "range"], rows)


def reports(results: Path) -> Iterator[tuple[str, str]]:
    """The pages of benchmarks/results that their scripts can make from their JSON files."""
    for script in SCRIPTS:
        name = "peers" if script is peer_report else script.__name__
        if (results / f"{name}.json").exists():
            yield name, script.text(measuring.read(name, results))
    if found := main_job.reports(results):
        yield "main_job", main_job.text(found)


if __name__ == "__main__":
    sys.exit(main())
