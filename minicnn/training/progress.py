"""Show the progress of training: a bar on a terminal, one line per epoch elsewhere.

Nothing here can end training.  If there is no output stream, or if it is closed, nothing is shown.  Lines are printed
by runtime/printing.py; the numbers come from history.py.  Called by loop.py.
"""

import sys
from contextlib import suppress
from numbers import Integral
from typing import Any

from tqdm import tqdm

from ..errors import ArgumentError
from ..metrics import text
from ..runtime.printing import UNWRITABLE


def check_verbose(verbose: str | int) -> int:
    """`verbose` as 0 (silent), 1 (bar) or 2 (lines); "auto" is 1 on a terminal and 2 elsewhere.

    Raises
    ------
    ArgumentError
        For anything else.
    """
    if isinstance(verbose, str) and verbose == "auto":
        isatty = getattr(sys.stderr, "isatty", None)
        return 1 if isatty is not None and not _closed(sys.stderr) and isatty() else 2
    if not isinstance(verbose, Integral) or verbose not in (0, 1, 2):
        raise ArgumentError("verbose", '"auto", 0 (silent), 1 (bar) or 2 (a line per epoch)', repr(verbose))
    return int(verbose)


class Bar(tqdm):
    """A progress bar that shows nothing if its stream cannot be written to; tqdm's own would raise."""

    def display(self, *arguments: Any, **settings: Any) -> None:
        """Write it."""
        with suppress(*UNWRITABLE):
            super().display(*arguments, **settings)

    def close(self) -> None:
        """Erase it."""
        with suppress(*UNWRITABLE):
            super().close()


def bar(verbose: int, description: str, total: int | None, initial: int = 0) -> Bar:
    """A progress bar over batches, on standard error; it shows nothing unless `verbose` is 1."""
    shown = verbose == 1 and hasattr(sys.stderr, "write") and not _closed(sys.stderr)
    return Bar(desc=description, total=total, initial=initial, unit="batch", leave=False, disable=not shown)


def epoch_line(epoch: int, epochs: int, steps: int, seconds: float, logs: dict) -> str:
    """The line for an epoch.

    Examples
    --------
    >>> from minicnn.metrics import Proportion
    >>> epoch_line(2, 25, 12, 0.6, {"loss": 0.4121, "accuracy": Proportion(13, 16)})
    'Epoch 3/25 - 12/12 - 1s - 50ms/step - accuracy: 0.8125 ± 0.0976 - loss: 0.4121'
    """
    return f"Epoch {epoch + 1}/{epochs} - {steps_line(steps, seconds, logs)}"


def steps_line(steps: int, seconds: float, logs: dict) -> str:
    """The line for one pass over a dataset: its number of steps, its time, and its numbers if there are any."""
    numbers = [
        f"{name}: {text(logs[name])}"
        for name in sorted(logs, key=lambda name: (name.startswith("val_"), name))
        if name != "learning_rate"
    ]
    return " - ".join(
        [f"{steps}/{steps}", f"{seconds:.0f}s", f"{1000 * seconds / steps:.0f}ms/step", *numbers]
    )


def _closed(stream):
    return getattr(stream, "closed", False) is True
