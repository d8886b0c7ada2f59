"""Benchmark of every kernel in the three sets: first check the results, then time them against the machine's limits.

    python benchmarks/kernels.py [--rounds 9] [--only WORD ...] [--out FOLDER]

Check: on the batch that is timed, im2col and fast must agree with `reference` to 1e-5 of the largest value in
float32 and to 1e-12 in float64; otherwise nothing is timed.  `reference` is slow, so it computes only two images, in
float64; the batch repeats them.

Time: the sets take turns in each round, in float32, and each figure is the median over the rounds.  The loops of
`reference` are timed once, during the check, and scaled from two images to the batch.  Each time is compared with its
roof, the least time that its operations and bytes allow; `limits.py` describes how that is measured.

Writes kernels.md, kernels.json and roofline.png to FOLDER (default: benchmarks/results; with --only, nothing is written
unless FOLDER is given).  Takes about two minutes on two cores.  The shapes are in `kernel_cases.py`, the chart in
`roofline.py`.
"""

import argparse
import math
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import roofline
from kernel_cases import BATCH, CASES, Case, repeat
from limits import SIZES, Limits
from measuring import RESULTS, machine, number, seconds_per_call, settle, spread, table, write

from minicnn.kernels import NAMES

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
TIMED = [name for name in NAMES if name != "reference"]
# here `reference` is one NumPy expression, fast enough to be timed like the others
FAST_REFERENCE = ("dense", "ReLU", "Adam")
# their speed is given in bytes, not in multiply-adds
MEMORY_FAMILIES = ("max pool", "average pool", "ReLU", "Adam")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="how often each kernel is timed (default: 9)")
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="WORD",
        help='measure only cases that contain all these words, such as "convolution" "5x5"',
    )
    parser.add_argument(
        "--out", type=Path, help="folder for the results (default: benchmarks/results; with --only, none)"
    )
    options = parser.parse_args()
    cases = [case for case in CASES if all(word in str(case) for word in options.only or ())]
    if not cases or options.rounds < 1:
        parser.error("nothing to measure: no case contains all these words, or --rounds is below 1")
    checks = []
    for case in cases:
        try:
            checks.append(check(case))
        except WrongKernel as error:
            print(f"{error} Nothing is timed.", file=sys.stderr)
            return 1
        print(f"{case}: agrees to {max(checks[-1]['errors'].values()):.1e}", flush=True)
    limits = Limits()
    results = report(cases, checks, time_all(cases, checks, options.rounds, limits), limits)
    print(text(results))
    if folder := options.out or (None if options.only else RESULTS):
        write(folder, "kernels", text(results), results)
        roofline.draw(folder / "roofline.png", results)
    return 0


# ----------------------------------------------------------------------------------- check, then time
class WrongKernel(Exception):
    """A kernel set whose results differ from those of `reference`."""


def check(case: Case) -> dict:
    """Compare im2col and fast with `reference`.

    Returns
    -------
    dict
        "errors": the largest difference by set and type; "reference": seconds of each pass, scaled to the batch;
        "live": in a fused block the share of maxima above 0, otherwise 1.

    Raises
    ------
    WrongKernel
        If a difference is larger than TOLERANCE.
    """
    two_images, expected, seconds = case.two_images(), {}, {}
    reference_passes = case.passes("reference", cast(two_images, "float64"), case.settings)
    for which, run in zip(case.operations, reference_passes, strict=True):
        begin = time.perf_counter()
        results = run()
        seconds[which] = (time.perf_counter() - begin) * (BATCH / 2 if "x" in two_images else 1)
        expected |= {name: value for name, value in results.items() if value is not None}
    active = float((expected["y"] > 0).mean()) if case.needed else 1.0
    if case.needed:
        two_images["argmax"] = expected.pop("argmax")
    batch, expected, errors = repeat(two_images), repeat(expected), {}
    for name in TIMED:
        for dtype, allowed in TOLERANCE.items():
            got = {}
            for run in case.passes(name, cast(batch, dtype), case.settings):
                got |= run()
            differences = {result: distance(got[result], expected[result]) for result in expected}
            for result, difference in differences.items():
                if not difference <= allowed:  # also true for a NaN
                    raise WrongKernel(
                        f"{name}, {case}, {dtype}: {result} differs from reference by {difference:.1e} of its "
                        f"largest value; at most {allowed:.0e} is allowed."
                    )
            errors[f"{name} {dtype}"] = max(differences.values())
    return {"errors": errors, "reference": seconds, "live": active}


def distance(value: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest expected value; infinite if the shapes differ."""
    if value.shape != expected.shape:
        return math.inf
    return float(np.abs(value - expected).max() / np.abs(expected).max())


def cast(arrays, dtype):
    return {name: array.astype(dtype) for name, array in arrays.items()}


def time_all(cases: list[Case], checks: list[dict], rounds: int, limits: Limits) -> list[dict]:
    """Seconds of each case, by pass and set: one value per round, or for a slow `reference` the one from `check`."""
    seconds, schedule = [], {name: [] for name in NAMES}
    for case, checked in zip(cases, checks, strict=True):
        is_slow = case.family not in FAST_REFERENCE
        case_seconds = {which: {name: [] for name in NAMES} for which in case.operations}
        for name in TIMED if is_slow else NAMES:
            passes = case.passes(name, repeat(case.two_images()), case.settings)
            schedule[name] += [
                (run, case_seconds[which][name]) for which, run in zip(case_seconds, passes, strict=True)
            ]
        if is_slow:
            for which in case_seconds:
                case_seconds[which]["reference"].append(checked["reference"][which])
        seconds.append(case_seconds)
    for done in range(rounds):
        limits.measure()
        for runs in schedule.values():
            if runs:
                settle(runs[0][0])
            for run, values in runs:
                values.append(seconds_per_call(run))
        print(f"round {done + 1} of {rounds}", flush=True)
    return seconds


# ------------------------------------------------------------------------------------------ the report
def report(cases: list[Case], checks: list[dict], seconds: list[dict], limits: Limits) -> dict:
    """All measurements, and the roofs computed from them."""
    peak, reached_by = limits.peak
    rows = []
    for case, checked, rounds in zip(cases, checks, seconds, strict=True):
        for which, by_set in rounds.items():
            needed = case.needed.get(which, case.operations[which])
            if which == "backward":
                needed *= checked["live"]
            roof, bound = limits.roof(needed, case.bytes_moved[which])
            rows.append(
                {"family": case.family, "pass": which, "shape": case.shape}
                | {"operations": case.operations[which], "needed": needed, "bytes": case.bytes_moved[which]}
                | {"roof": roof, "bound": bound, "errors": checked["errors"]}
                | {"seconds": by_set}
            )
    return {
        "machine": machine(),
        "batch": BATCH,
        "peak": peak,
        "peak_reached_by": reached_by,
        "operations_per_second": limits.operations,
        "triad_bytes_per_second": limits.triads,
        "kernels": rows,
    }


def text(results: dict) -> str:
    """The report in Markdown: the machine's limits, a table of compute kernels and one of memory kernels."""
    rows, peak, triads = results["kernels"], results["peak"], results["triad_bytes_per_second"]
    worst = {
        dtype: max(value for row in rows for key, value in row["errors"].items() if dtype in key)
        for dtype in TOLERANCE
    }
    paragraphs = [
        f"{results['machine']}. Batch {results['batch']}, float32, medians of {len(triads[SIZES[0]])} rounds, "
        "with the smallest and largest value in brackets.",
        "Largest difference from reference: "
        + ", ".join(f"{worst[dtype]:.1e} in {dtype} (allowed {TOLERANCE[dtype]:.0e})" for dtype in TOLERANCE)
        + ".",
        "Multiply-adds, GFLOP/s: "
        + "; ".join(f"{how} {giga(values)}" for how, values in results["operations_per_second"].items())
        + f". The peak below is {number(peak / 1e9)}.",
        "Triad, GB/s: " + "; ".join(f"{size >> 20} MB {giga(triads[size])}" for size in SIZES[3::2]) + ".",
    ]
    if multiply := [row for row in rows if row["family"] not in MEMORY_FAMILIES]:
        lines = [line(row, "operations", peak) for row in multiply]
        paragraphs += ["## Kernels that multiply", COMPUTE_NOTE, table(HEADING, lines)]
    if move := [row for row in rows if row["family"] in MEMORY_FAMILIES]:
        lines = [line(row, "bytes", row["bytes"] / row["roof"]) for row in move]
        paragraphs += ["## Kernels that move data", MEMORY_NOTE, table(HEADING, lines)]
    return "\n\n".join(paragraphs) + "\n"


def giga(values: list[float]) -> str:
    return spread([value / 1e9 for value in values])


def line(row: dict, unit: str, best: float) -> list[str]:
    """One row of a table: speeds in `unit` per second, and their share of `best`."""
    seconds = {name: statistics.median(values) for name, values in row["seconds"].items()}
    speeds = [row[unit] / seconds[name] for name in NAMES]
    return [
        f"{row['family']}, {row['pass']}",
        row["shape"],
        row["bound"],
        number(row[unit] / row["roof"] / 1e9),
        *(f"{number(speed / 1e9)} ({number(100 * speed / best, 2)} %)" for speed in speeds),
        *(f"{100 * row['roof'] / seconds[name]:.0f} %" for name in TIMED),
        spread([1e3 * value for value in row["seconds"]["fast"]]),
        f"{seconds['im2col'] / seconds['fast']:.1f}x",
    ]


HEADING = ["kernel", "shape", "bound by", "roof", *NAMES, *(f"{name} of its roof" for name in TIMED)]
HEADING += ["fast, ms", "fast to im2col"]
COMPUTE_NOTE = (
    "GFLOP/s, two operations per multiply-add of the equation, with the share of the peak in brackets. A pass that "
    "skips products with zero, as backward of conv + ReLU + pool does in fast, may exceed the peak; its roof counts "
    "only the operations that are needed. The times of reference, except for dense, are one run on two images, scaled."
)
MEMORY_NOTE = (
    "GB/s, counting the bytes that must be read and written once, with the share of the speed of a triad of that size "
    "in brackets. The times of reference for pools are one run on two images, scaled."
)


if __name__ == "__main__":
    sys.exit(main())
