"""A lock on a folder, so that two processes do not write results into it at once.

The system takes it back when the process ends, however it ends.  Called by data/download.py and cli/training.py.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ..errors import StateError


@contextlib.contextmanager
def alone(path: Path, where: str, other: str) -> Iterator[None]:
    """Hold a lock on a file, which is made if it is missing, and stays.

    Parameters
    ----------
    path : Path
    where, other : str
        What is locked, and who else may hold it, for the message.

    Raises
    ------
    StateError
        If another process holds it.
    """
    with path.open("a") as file:
        try:
            try:
                import fcntl
            except ImportError:
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            else:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise StateError(where, "no other process", other, "Wait until that one is done.") from error
        except OSError:  # a file system without locks
            pass
        yield
