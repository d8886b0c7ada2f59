"""Shared by the benchmarks: timing, medians with their range, Markdown tables, and the name of the machine.

Read `kernels.py` or `scaling.py` next: each measures one thing and says how.  A benchmark writes NAME.json, which holds
every measurement, and NAME.md, which is made from it; `tables.py` makes the pages again without measuring.
"""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"


def seconds_per_call(function: Callable[[], Any], least: float = 0.02) -> float:
    """Seconds per call: the median over as many calls as fill `least` seconds, after one call to warm up."""
    function()
    seconds: list[float] = []
    while sum(seconds) < least:
        begin = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def settle(function: Callable[[], Any], seconds: float = 0.3) -> None:
    """Call the function until other thread pools sleep and its own threads are awake on all cores.

    After a matrix product of NumPy, OpenBLAS's threads keep the cores busy while they wait for more work.  For 0.1 s
    numba's threads then ran at a tenth of their speed.
    """
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        function()


def spread(values: Sequence[float], digits: int = 3) -> str:
    """The median, and the smallest and largest value in brackets, in significant digits.

    Examples
    --------
    >>> spread([3.0, 1.0, 2.0, 12.5, 2.5])
    '2.5 (1 to 12.5)'
    """
    return (
        f"{number(statistics.median(values), digits)} "
        f"({number(min(values), digits)} to {number(max(values), digits)})"
    )


def number(value: float, digits: int = 3) -> str:
    """A number rounded to significant digits, without an exponent.

    Examples
    --------
    >>> number(1234.5), number(0.012345), number(12.0)
    ('1234', '0.0123', '12')
    """
    rounded = float(f"{value:.{digits}g}") if abs(value) < 10**digits else round(value)
    return f"{rounded:.10f}".rstrip("0").rstrip(".") if isinstance(rounded, float) else str(rounded)


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table.

    Examples
    --------
    >>> print(table(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = [list(heading), *map(list, rows)]
    text = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([text[0], "|" + "---|" * len(heading), *text[1:]])


def machine() -> str:
    """The processor, its cores, the system and the versions of Python, NumPy and numba; no host name and no path."""
    import numba
    import numpy

    return (
        f"{_processor()}, {os.cpu_count()} cores; {platform.system()} {platform.machine()}; "
        f"Python {platform.python_version()}, NumPy {numpy.__version__}, numba {numba.__version__}"
    )


def read(name: str, folder: Path = RESULTS) -> dict:
    """The measurements in `name`.json."""
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def write(folder: Path, name: str, text: str, report: dict) -> None:
    """Write `name`.md and `name`.json into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    (folder / f"{name}.json").write_text(json.dumps(report) + "\n", encoding="utf-8")


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
