"""Write a file completely or not at all, whatever happens in between.

The bytes go to a temporary file in the same folder, down to the disk, and take the final name in one step.  A process
that is killed, a computer that loses power or a full disk leaves the old file as it was, and a reader never sees a
partial file.  Any number of threads, processes and containers may write to one path at once: each temporary file has
a random name, and is locked by its writer for as long as the writer lives.

Called by serialization.py, reporting/plots.py, the log in callbacks.py and the examples; they know what the bytes mean.
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

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a full disk, a used-up quota, a limit on a file's size
ABANDONED = 3600  # seconds without a change after which a file's writer is dead, where locks do not tell
TEMPORARY = re.compile(r".+\.[0-9a-f]{16}\.[0-9]+\.(partial|spare)", re.DOTALL)


def to_path(path: str | Path, where: str = "path") -> Path:
    """A path with `~` expanded to the home folder.

    Parameters
    ----------
    path : str or os.PathLike of str
    where : str
        What to call it in the message.

    Raises
    ------
    ArgumentError
        If it is no path, or an empty one.

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
    return Path(os.path.expanduser(text))  # noqa: PTH111, which would raise for a user that does not exist


def replace(path: str | Path, content: bytes, previous: str | Path | None = None) -> None:
    """Let `path` hold `content`.

    Parameters
    ----------
    path : str or Path
        `~` is expanded, and missing folders above it are made.  Where it is a symbolic link, the file that the link
        points to is written and the link stays.
    content : bytes
    previous : str or Path, optional
        Where the file goes that was at `path` before.

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


def _target(path):
    """The file to replace: `path`, or what it links to."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise _refusal(path, "a name that is too long", "Give a shorter one.") from error
        if error.errno == errno.ELOOP:
            raise _refusal(path, "a link that leads back to itself", "Remove the link.") from error
        mode = stat.S_IFREG  # writing will say what is wrong
    if stat.S_ISDIR(mode):
        raise _refusal(path, "a folder", "Give the path of a file in it.")
    if not stat.S_ISREG(mode):
        raise _refusal(path, "a named pipe or a device", "Give the path of a regular file.")
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _refusal(path, received, repair):
    return ArgumentError(str(path), "the path of a file to write", received, repair)


def _write(target, content, previous):
    """Write a temporary file and give it the name."""
    temporary, file = _begin(target)
    try:
        _remove_litter(target.parent, temporary.name)
        with suppress(OSError):  # who may read the file does not change
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        if os.name == "nt":  # which renames no open file
            file.close()
        if previous is not None:
            _keep(target, previous, spare=_name(target, "spare"))
        temporary.replace(target)
    finally:
        with suppress(OSError):  # of bytes that could not be written, which closing tries once more
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
        file.close()  # another writer took it for an abandoned one before it was locked


def _name(target, ending="partial"):
    """A name that no other writer has; of the target's only the start, as a name may be no longer than that is."""
    return target.with_name(f"{target.name[:40]}.{secrets.token_hex(8)}.{os.getpid()}.{ending}")


def _keep(target, previous, spare):
    """Give the old file a second name, so that it is never without one; where that cannot be, rename it."""
    while target.exists():
        try:
            os.link(target, spare)
        except FileNotFoundError:
            continue  # another writer has replaced it at this moment
        except OSError:  # a file system without hard links
            with suppress(FileNotFoundError):
                target.replace(previous)
            return
        try:
            spare.replace(previous)
        finally:
            spare.unlink(missing_ok=True)  # it is still there if `previous` was the same file already
        return


def _remove_litter(folder, own):
    """Delete temporary files whose writers were killed."""
    with suppress(OSError), os.scandir(folder) as entries:  # a folder may be writable and not readable
        for entry in entries:
            if entry.name != own and TEMPORARY.fullmatch(entry.name):
                with suppress(OSError):
                    _remove_if_abandoned(Path(entry.path), folder)


def _remove_if_abandoned(path, folder):
    with path.open("rb") as file:
        try:
            if fcntl is None or path.suffix == ".spare":  # a second name of a file that nobody locks
                raise OSError("no lock")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # its writer lives
        except OSError:  # judge by the age, as the file system's clock has it
            status = os.fstat(file.fileno())
            if folder.stat().st_mtime - max(status.st_mtime, status.st_ctime) < ABANDONED:
                return
        if os.name != "nt":
            path.unlink()
            return
    path.unlink()  # closed, as Windows wants it


def _sync_folder(folder):
    """Bring the new name down to the disk too, where the system can: the file itself is there already."""
    if os.name == "nt":
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
