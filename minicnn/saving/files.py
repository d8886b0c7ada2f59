"""Atomic writes: a file is written completely or not at all.

The bytes go to a temporary file in the same folder, are flushed to the disk, and the file is renamed in one step.  If
the process is killed, the power fails or the disk is full, the old file stays as it was.  A reader never sees a partial
file.  Any number of threads, processes and containers may write to one path at the same time: each temporary file has
a random name, and its writer holds a lock on it while it lives.

Called by serialization.py, reporting/plots.py, training/callbacks/csv_logger.py and minicnn/cli/.
"""

import errno
import os
import re
import secrets
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

from ..errors import ArgumentError, DiskFullError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a full disk, an exhausted quota, a limit on a file's size
ABANDONED = 3600  # seconds without a change after which a temporary file without a lock counts as abandoned
TEMPORARY = re.compile(r".+\.[0-9a-f]{16}\.[0-9]+\.(partial|spare)", re.DOTALL)


def to_path(path: str | Path, where: str = "path") -> Path:
    """A path with `~` expanded to the home folder.

    Parameters
    ----------
    path : str or os.PathLike of str
    where : str
        The name of the argument, for the message.

    Raises
    ------
    ArgumentError
        If it is not a path, or an empty one.

    Examples
    --------
    >>> to_path("a/b").name
    'b'
    >>> to_path("", "--out")
    Traceback (most recent call last):
        ...
    minicnn.errors.ArgumentError: --out: expected a path, received ''. Give for example "model.safetensors".
    """
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(text, str) or text == "" or "\0" in text:
        raise ArgumentError(where, "a path", repr(text or path), 'Give for example "model.safetensors".')
    return Path(os.path.expanduser(text))  # noqa: PTH111  (Path.expanduser raises if there is no such user)


def atomic_write(path: str | Path, content: bytes, previous: str | Path | None = None) -> None:
    """Write `content` to `path` in one step.

    Parameters
    ----------
    path : str or Path
        `~` is expanded, and missing parent folders are made.  If it is a symbolic link, the file that it points to is
        written and the link stays.
    content : bytes
    previous : str or Path, optional
        The new path of the file that was at `path` before.  By default that file is deleted.

    Raises
    ------
    ArgumentError
        If `path` is empty, too long, a folder, a named pipe or a device, or lies below a file.
    DiskFullError
        If there is no room; then the file that was at `path` is kept.
    OSError
        If the folder cannot be written; then the file that was at `path` is kept too.
    """
    path = to_path(path)
    previous = None if previous is None else to_path(previous, "previous")
    target = _target(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(target, content, previous)
    except OSError as error:
        if error.errno in FULL:
            free = shutil.disk_usage(target.parent).free / 1e6
            raise DiskFullError(
                str(path),
                f"room for {len(content) / 1e6:,.2f} MB",
                f"{error.strerror} ({free:,.2f} MB free on the disk)",
                "Free some space and try again; the file that was there before is kept.",
            ) from error
        if isinstance(error, (NotADirectoryError, FileExistsError)):
            raise _refusal(
                path, "a path below a file", "Every part before the name must be a folder."
            ) from error
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error  # not the temporary file's name
    _sync_folder(target.parent)


def check_target(path: Path) -> None:
    """Refuse a path at which no file can be written.

    Raises
    ------
    ArgumentError
        If it is a folder, a named pipe or a device, or if its name is too long.
    """
    _target(path)


def _target(path):
    """The file to replace: `path`, or the file that it links to."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise _refusal(path, "a name that is too long", "Give a shorter one.") from error
        if error.errno == errno.ELOOP:
            raise _refusal(path, "a link that leads back to itself", "Remove the link.") from error
        mode = stat.S_IFREG  # the write raises the right error
    if stat.S_ISDIR(mode):
        raise _refusal(path, "a folder", "Give the path of a file in it.")
    if not stat.S_ISREG(mode):
        raise _refusal(path, "a named pipe or a device", "Give the path of a regular file.")
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _refusal(path, received, repair):
    return ArgumentError(str(path), "the path of a file to write", received, repair)


def _write(target, content, previous):
    """Write a temporary file and rename it."""
    temporary, file = _begin(target)
    try:
        _remove_litter(target.parent, temporary.name)
        with suppress(OSError):  # the new file has the permissions of the old one
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        if os.name == "nt":  # Windows does not rename an open file
            file.close()
        if previous is not None:
            _keep(target, previous, spare=_name(target, "spare"))
        temporary.replace(target)
    finally:
        with suppress(OSError):  # closing tries again to write what could not be written
            file.close()
        temporary.unlink(missing_ok=True)


def _begin(target) -> tuple[Path, IO[bytes]]:
    """A new temporary file, open and locked."""
    while True:
        temporary = _name(target)
        file = temporary.open("xb")
        with suppress(OSError):  # a file system without locks
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
        if os.name == "nt" or os.fstat(file.fileno()).st_nlink:
            return temporary, file
        file.close()  # before it was locked, another writer took it for an abandoned file and deleted it


def _name(target, ending="partial"):
    """A unique name.  It holds only the start of the target's name, which may already be as long as names can be."""
    return target.with_name(f"{target.name[:40]}.{secrets.token_hex(8)}.{os.getpid()}.{ending}")


def _keep(target, previous, spare):
    """Give the old file a second name, so that `target` always exists; without hard links, rename it."""
    while target.exists():
        try:
            os.link(target, spare)
        except FileNotFoundError:
            continue  # another writer is replacing it right now
        except OSError:  # a file system without hard links
            with suppress(FileNotFoundError):
                target.replace(previous)
            return
        try:
            spare.replace(previous)
        finally:
            spare.unlink(missing_ok=True)  # it still exists if `previous` was already the same file
        return


def _remove_litter(folder, own):
    """Delete temporary files whose writers were killed."""
    with suppress(OSError), os.scandir(folder) as entries:  # a folder can be writable but not readable
        for entry in entries:
            if entry.name != own and TEMPORARY.fullmatch(entry.name):
                with suppress(OSError):
                    _remove_if_abandoned(Path(entry.path), folder)


def _remove_if_abandoned(path, folder):
    with path.open("rb") as file:
        try:
            if fcntl is None or path.suffix == ".spare":  # a second name of a file without a lock
                raise OSError("no lock")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # its writer is alive
        except OSError:  # decide by its age, by the clock of the file system
            status = os.fstat(file.fileno())
            if folder.stat().st_mtime - max(status.st_mtime, status.st_ctime) < ABANDONED:
                return
        if os.name != "nt":
            path.unlink()
            return
    path.unlink()  # Windows needs it closed


def _sync_folder(folder):
    """Flush the new name to the disk too, if the system can; the file itself is on the disk already."""
    if os.name == "nt":
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
