"""Every kernel of the three sets: checked first, then timed, beside what the machine can do at most.

    python benchmarks/kernels.py [--rounds 9] [--only WORD ...] [--out FOLDER]

Check: on the batch that is timed, im2col and fast must agree with `reference` to 1e-5 of the largest value in
float32 and to 1e-12 in float64, else nothing is timed.  `reference` is slow, so it judges in float64 two pictures,
of which the batch is made.

Time: the sets take turns, round by round, in float32, and a figure is the median of the rounds.  The loops of
`reference` are timed once, while they judge, and scaled from two pictures to the batch.  Beside the time stands the
roof: the least time that operations and bytes allow; `limits.py` says how that is measured.

Writes kernels.md, kernels.json and roofline.png to FOLDER (benchmarks/results); with --only nothing, unless
FOLDER is given.  About two minutes on two cores.  Shapes are in `kernel_cases.py`, the picture in `roofline.py`.
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
ONE_EXPRESSION = (
    "dense",
    "ReLU",
    "Adam",
)  # where reference is one expression of NumPy's, and as quick as others
MOVERS = ("max pool", "average pool", "ReLU", "Adam")  # judged by bytes, not by multiply-adds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="how often each is timed (9)")
    parser.add_argument(
        "--only", nargs="+", metavar="WORD", help='cases with all these words, as "convolution" "5x5"'
    )
    parser.add_argument(
        "--out", type=Path, help="folder for the results (benchmarks/results; with --only none)"
    )
    options = parser.parse_args()
    cases = [case for case in CASES if all(word in str(case) for word in options.only or ())]
    if not cases or options.rounds < 1:
        parser.error("nothing to measure: no case has all these words, or there is no round")
    checks = []
    for case in cases:
        try:
            checks.append(check(case))
        except WrongKernel as wrong:
            print(f"{wrong} Nothing is timed.", file=sys.stderr)
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
    """A kernel set that does not give what `reference` gives."""


def check(case: Case) -> dict:
    """Compare both other sets with `reference`.

    Returns
    -------
    dict
        "errors" by set and type; "reference", the seconds of each pass, scaled to the batch; "live", the share of
        winners above 0 in a fused block, and else 1.

    Raises
    ------
    WrongKernel
    """
    two, wanted, seconds = case.two_pictures(), {}, {}
    judge = case.passes("reference", cast(two, "float64"), case.settings)
    for which, run in zip(case.operations, judge, strict=True):
        begin = time.perf_counter()
        results = run()
        seconds[which] = (time.perf_counter() - begin) * (BATCH / 2 if "x" in two else 1)
        wanted |= {name: value for name, value in results.items() if value is not None}
    live = float((wanted["y"] > 0).mean()) if case.seen else 1.0
    if case.seen:
        two["winner"] = wanted.pop("winner")
    batch, wanted, errors = repeat(two), repeat(wanted), {}
    for name in TIMED:
        for dtype, allowed in TOLERANCE.items():
            got = {}
            for run in case.passes(name, cast(batch, dtype), case.settings):
                got |= run()
            differences = {result: distance(got[result], wanted[result]) for result in wanted}
            for result, difference in differences.items():
                if not difference <= allowed:  # a NaN is wrong too
                    raise WrongKernel(
                        f"{name}, {case}, {dtype}: {result} differs from reference by {difference:.1e} of its "
                        f"largest value; allowed is {allowed:.0e}."
                    )
            errors[f"{name} {dtype}"] = max(differences.values())
    return {"errors": errors, "reference": seconds, "live": live}


def distance(value: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference, relative to the largest wanted value; infinite where shapes differ."""
    if value.shape != wanted.shape:
        return math.inf
    return float(np.abs(value - wanted).max() / np.abs(wanted).max())


def cast(arrays, dtype):
    return {name: array.astype(dtype) for name, array in arrays.items()}


def time_all(cases: list[Case], checks: list[dict], rounds: int, limits: Limits) -> list[dict]:
    """Seconds of each case, by pass and set: one value a round, or the one that `check` took from a slow reference."""
    seconds, turns = [], {name: [] for name in NAMES}
    for case, checked in zip(cases, checks, strict=True):
        slow = case.family not in ONE_EXPRESSION
        found = {which: {name: [] for name in NAMES} for which in case.operations}
        for name in TIMED if slow else NAMES:
            passes = case.passes(name, repeat(case.two_pictures()), case.settings)
            turns[name] += [(run, found[which][name]) for which, run in zip(found, passes, strict=True)]
        if slow:
            for which in found:
                found[which]["reference"].append(checked["reference"][which])
        seconds.append(found)
    for done in range(rounds):
        limits.measure()
        for runs in turns.values():
            if runs:
                settle(runs[0][0])
            for run, values in runs:
                values.append(seconds_per_call(run))
        print(f"round {done + 1} of {rounds}", flush=True)
    return seconds


# ------------------------------------------------------------------------------------------ the report
def report(cases: list[Case], checks: list[dict], seconds: list[dict], limits: Limits) -> dict:
    """Everything that was measured, and the roofs that follow from it."""
    peak, reached_by = limits.peak
    rows = []
    for case, checked, rounds in zip(cases, checks, seconds, strict=True):
        for which, turns in rounds.items():
            needed = case.seen.get(which, case.operations[which])
            if which == "backward":
                needed *= checked["live"]
            roof, bound = limits.roof(needed, case.moved[which])
            rows.append(
                {"family": case.family, "pass": which, "shape": case.shape}
                | {"operations": case.operations[which], "needed": needed, "bytes": case.moved[which]}
                | {"roof": roof, "bound": bound, "errors": checked["errors"]}
                | {"seconds": turns}
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
    """The report in Markdown: what the machine can do, a table of what multiplies and one of what moves."""
    rows, peak, triads = results["kernels"], results["peak"], results["triad_bytes_per_second"]
    worst = {
        dtype: max(value for row in rows for key, value in row["errors"].items() if dtype in key)
        for dtype in TOLERANCE
    }
    paragraphs = [
        f"{results['machine']}. Batch {results['batch']}, float32, medians of {len(triads[SIZES[0]])} rounds with "
        "least and most.",
        "Largest difference from reference: "
        + ", ".join(f"{worst[dtype]:.1e} in {dtype} (allowed {TOLERANCE[dtype]:.0e})" for dtype in TOLERANCE)
        + ".",
        "Multiply-adds, GFLOP/s: "
        + "; ".join(f"{how} {giga(values)}" for how, values in results["operations_per_second"].items())
        + f". The peak below is {number(peak / 1e9)}.",
        "Triad, GB/s: " + "; ".join(f"{size >> 20} MB {giga(triads[size])}" for size in SIZES[3::2]) + ".",
    ]
    if multiply := [row for row in rows if row["family"] not in MOVERS]:
        lines = [line(row, "operations", peak) for row in multiply]
        paragraphs += ["## What multiplies", MULTIPLIES, table(HEADING, lines)]
    if move := [row for row in rows if row["family"] in MOVERS]:
        lines = [line(row, "bytes", row["bytes"] / row["roof"]) for row in move]
        paragraphs += ["## What moves", MOVES, table(HEADING, lines)]
    return "\n\n".join(paragraphs) + "\n"


def giga(values: list[float]) -> str:
    return spread([value / 1e9 for value in values])


def line(row: dict, unit: str, best: float) -> list[str]:
    """One row of a table: speeds in `unit` a second, and what part of `best` they are."""
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
MULTIPLIES = (
    "GFLOP/s, two operations for each multiply-add of the equation, with the part of the peak in brackets. A pass that "
    "leaves out products with zero, as backward of conv + ReLU + pool does in fast, may exceed the peak; the roof "
    "counts only what is needed. reference, but for dense: one run on two pictures, scaled."
)
MOVES = (
    "GB/s of what must be read and written, once, with the part of what a triad of so many bytes moves in brackets. "
    "reference, in pools: one run on two pictures, scaled."
)


if __name__ == "__main__":
    sys.exit(main())
