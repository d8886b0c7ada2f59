"""Lines of text for the user: `say` writes to standard output, `warn` to standard error.  Neither can raise an error.

If there is no stream, if it is closed, or if its reader has gone away, nothing is shown.  A character that the stream's
encoding lacks is shown as an escape such as \\u732b.  Progress bars are in training/progress.py.

Called by all files that print: in data/, in training/ and compiling.py.
"""

import sys
from contextlib import suppress
from functools import cache

from tqdm import tqdm

# What a stream can raise that is closed, broken, or not a stream at all.
UNWRITABLE = (OSError, ValueError, AttributeError)


def say(line: str) -> None:
    """Print a line on standard output.

    Examples
    --------
    >>> say("Found 2 classes: cat, dog")
    Found 2 classes: cat, dog
    """
    with suppress(*UNWRITABLE):
        print(_encodable(line, sys.stdout), flush=True)


def warn(line: str) -> None:
    """Print a line on standard error, above a progress bar if there is one."""
    if sys.stderr is not None:  # tqdm would write to standard output instead
        with suppress(*UNWRITABLE):
            tqdm.write(f"minicnn: {_encodable(line, sys.stderr)}", file=sys.stderr)


@cache
def warn_once(line: str) -> None:
    """Print a line as `warn` does, but only the first time."""
    warn(line)


def shortened(text: str, most: int) -> str:
    """The text with at most `most` characters, and with escapes for characters that have no UTF-8 encoding.

    Examples
    --------
    >>> shortened("staffordshire_bullterrier", 12)
    'staffordshi…'
    """
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= most else text[: most - 1] + "…"


def _encodable(line, stream):
    """The line with an escape in place of each character that the stream cannot encode."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return line.encode(encoding, "backslashreplace").decode(encoding)
