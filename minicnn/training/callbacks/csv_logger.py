"""CSVLogger: write the numbers of every epoch to a CSV file, which a spreadsheet can open.

Called by training/loop.py, like all callbacks (base.py).  The numbers in memory are in training/history.py.
"""

import csv
import io
from pathlib import Path
from typing import Any

from ...errors import ArgumentError, check_bool
from ...saving import files
from .base import Callback


class CSVLogger(Callback):
    """Write one row per epoch.  The file is replaced as a whole after each epoch, so it never has a partial row.

    A resumed run continues after the rows of its checkpoint.  A number that first appears in a later epoch adds a
    column; the cell of an epoch that lacks a number is empty.

    Parameters
    ----------
    filename : str or Path
        The file, which is overwritten when the first epoch ends, unless `append`.
    separator : str
        One character.
    append : bool
        Keep the existing rows of the file.

    Raises
    ------
    ArgumentError
        For an invalid path, or a separator that is not one character; in `fit`, if no file can be written at the path.
    """

    state_attributes = {"rows": lambda value, model: _are_rows(value)}

    def __init__(self, filename: str | Path, separator: str = ",", append: bool = False):
        if not isinstance(separator, str) or len(separator) != 1:
            raise ArgumentError("CSVLogger separator", "one character", repr(separator))
        self.path, self.separator = files.to_path(filename, "CSVLogger filename"), separator
        self.append = check_bool(append, "CSVLogger append")
        self.rows: list[dict] = []

    def check(self, run: Any) -> None:
        super().check(run)
        files.check_target(self.path)

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.rows = []
        if self.append and self.path.is_file():
            with self.path.open(newline="", encoding="utf-8") as file:
                self.rows = [dict(row) for row in csv.DictReader(file, delimiter=self.separator)]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.rows.append({"epoch": epoch} | {name: _cell(value) for name, value in (logs or {}).items()})
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns, restval="", delimiter=self.separator)
        writer.writeheader()
        writer.writerows(self.rows)
        files.atomic_write(self.path, text.getvalue().encode(errors="replace"))


def _cell(value):
    """A number with all its digits; a string unchanged."""
    try:
        return repr(float(value))
    except (TypeError, ValueError):
        return str(value)


def _are_rows(rows):
    return isinstance(rows, list) and all(
        isinstance(row, dict) and all(isinstance(cell, (str, int)) for cell in row.values()) for row in rows
    )
