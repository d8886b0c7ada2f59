"""Write a file whole or not at all, whatever happens while it is written.

The bytes go to a temporary file beside it, down to the disk, and take the name in one step: a process that is
killed, a computer that loses power or a disk that is full leaves the old file as it was.
Called by serialization.py, plots.py, the log in callbacks.py and the examples; what the bytes mean is theirs to know.
"""

import errno
import glob
import os
import shutil
from contextlib import suppress
from pathlib import Path

from .errors import DiskFullError

FULL = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
)  # a full disk, a used-up quota, a limit on the size of a file


def replace(path: str | Path, content: bytes, previous: Path | None = None) -> None:
    """Let `path` hold `content`.

    Parameters
    ----------
    path : str or Path
        Folders above it are made.
    content : bytes
    previous : Path, optional
        Where the file that was at `path` goes.  A process killed between the two renamings leaves it there, and
        nothing at `path`.

    Raises
    ------
    DiskFullError
        If there is no room; then the file that was at `path` is kept, there or at `previous`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_litter(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if previous is not None:
            with suppress(FileNotFoundError):
                path.replace(previous)
        temporary.replace(path)
    except OSError as error:
        if error.errno not in FULL:
            raise
        free = shutil.disk_usage(path.parent).free / 1e6
        raise DiskFullError(
            str(path),
            f"room for {len(content) / 1e6:,.2f} MB",
            f"{error.strerror} ({free:,.2f} MB free on the disk)",
            "Make room and go on; the file that was there before is kept.",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _remove_litter(path):
    """Delete what killed processes had begun to write in place of `path`."""
    for unfinished in path.parent.glob(f"{glob.escape(path.name)}.*.partial"):
        number = unfinished.name.split(".")[-2]
        if number.isdecimal() and not _runs(int(number)):
            with suppress(OSError):
                unfinished.unlink()


def _runs(process):
    if os.name == "nt":  # where signal 0 would end the process; and an open file cannot be deleted there
        return process == os.getpid()
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _sync_folder(folder):
    """Bring the new name down to the disk too; Windows has no such call."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
