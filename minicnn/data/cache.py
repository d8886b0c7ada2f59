"""Decoded pictures kept in files that are mapped into memory: decode once, train often.

An entry is one file: the pictures as bytes, then a byte for each file of the list (1 if it could be read), then a
digest.  Its name is a digest of all that the pictures follow from: each file's path, size and times of change, the
preprocessing, the versions of the decoders.  So a file that changes makes another entry, and the old one is
forgotten in time: the entries longest unused are removed when the folder would grow beyond its limit.

An entry is written under another name, flushed, and renamed when it is whole: nobody ever reads half of one, two
processes may build the same at once, and one that is killed leaves a file that is removed an hour later.  It is
written with ordinary writes, for a write into mapped memory ends the process when the disk is full.

Nothing is decoded here; `reading.py` asks this file and fills it.
"""

import errno
import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path

import numpy as np
from PIL import __version__ as pillow_version
from PIL import features
from simplejpeg import __version__ as simplejpeg_version
from tqdm import tqdm

from ..errors import check_int
from .decoding import Preprocessing

FORMAT = "minicnn pictures 2"
OURS = re.compile(r"[0-9a-f]{64}\.(pictures|[^.]*\.unfinished)")  # nothing else in the folder is ever touched
DIGEST = hashlib.sha256
ABANDONED = 3600  # seconds without a write, after which whoever wrote an unfinished file is dead
TICK = 20_000_000  # nanoseconds: two changes of a file so near in time may bear the same


class PictureCache:
    """A folder of decoded pictures.

    Parameters
    ----------
    folder : str or Path, optional
        Where; else the folder that the environment variable MINICNN_CACHE_DIR names, or the user's cache.
    limit : int
        Bytes that all entries together may take.

    Attributes
    ----------
    folder : Path
    limit : int

    Examples
    --------
    >>> import tempfile
    >>> cache = PictureCache(tempfile.mkdtemp())
    >>> cache.store("0" * 64, 2, (1, 1, 3), [(np.full((1, 1, 1, 3), 7, np.uint8), np.array([False, True]))])
    >>> pictures, kept = cache.find("0" * 64, 2, (1, 1, 3))
    >>> pictures.tolist(), kept.tolist(), cache.size
    ([[[[7, 7, 7]]]], [1], 37)
    >>> cache.clear()
    37
    """

    def __init__(self, folder: str | Path | None = None, limit: int = 10 * 2**30):
        self.folder = Path(default_folder() if folder is None else folder).absolute()
        self.limit = check_int(limit, "limit", least=0)
        self._said = False

    def key(self, paths: Sequence[str | Path], preprocessing: Preprocessing) -> str:
        """The name of what these files become: another one as soon as any of them changes."""
        files = _identities(paths)
        newest = max((max(times) for _, _, *times in files if times), default=0)
        if 0 <= time.time_ns() - newest < TICK:  # so fresh that a change after this look could go unseen
            time.sleep(TICK / 1e9)
            files = _identities(paths)
        decoders = simplejpeg_version, pillow_version, *map(features.version, ("jpg", "libjpeg_turbo"))
        return DIGEST(repr((FORMAT, decoders, astuple(preprocessing), files)).encode()).hexdigest()

    def find(self, key: str, count: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray] | None:
        """An entry, if there is one.

        Parameters
        ----------
        key : str
            As `key` gave it.
        count : int
            How many files it was made from.
        shape : (height, width, 3)

        Returns
        -------
        (pictures, kept) or None
            Pictures (N, height, width, 3), uint8, mapped and not writable; the place of each among the files.
        """
        path = self._path(key)
        try:
            with path.open("rb") as file:
                file.seek(-count - DIGEST().digest_size, os.SEEK_END)
                picture_bytes, mask, digest = file.tell(), file.read(count), file.read()
                kept = np.flatnonzero(np.frombuffer(mask, np.uint8))
                if digest != _digest(key, mask) or picture_bytes != len(kept) * np.prod(shape):
                    return None
                pictures = np.asarray(np.memmap(file, np.uint8, "r", shape=(len(kept), *shape)))
        except (OSError, ValueError):  # none, or cut short
            return None
        with suppress(OSError):  # another user's
            os.utime(path)  # used now: the last to be removed
        return pictures, kept

    def store(
        self,
        key: str,
        count: int,
        shape: tuple[int, ...],
        pieces: Iterable[tuple[np.ndarray, np.ndarray]],
    ) -> None:
        """Write an entry.

        Parameters
        ----------
        key, count, shape : as in `find`
        pieces : iterable of (pictures, readable)
            In order, some pictures and a bool for each file that they are from.

        Raises
        ------
        OSError
            If it cannot be written, or is larger than the limit; and whatever `pieces` raises.  Then nothing is left.
        """
        self._make_room(count * int(np.prod(shape)) + count + DIGEST().digest_size)
        unfinished = self.folder / f"{key}.{uuid.uuid4().hex}.unfinished"
        masks = []
        try:
            with unfinished.open("xb") as file:  # who else may read it is what the user's mask says
                for pictures, readable in pieces:
                    file.write(pictures)
                    masks.append(readable)
                mask = np.concatenate(masks).tobytes()
                file.write(mask + _digest(key, mask))
                file.flush()
                os.fsync(file.fileno())
            self._make_room(0)  # for what others have written meanwhile
            unfinished.replace(self._path(key))
        finally:
            unfinished.unlink(missing_ok=True)

    @property
    def size(self) -> int:
        """Bytes that the entries take, unfinished ones included."""
        return sum(size for _, size, _ in self._entries())

    def clear(self) -> int:
        """Remove every entry; returns how many bytes that were.  Whoever uses one now keeps it until the end."""
        return self._remove(self._entries())

    def say(self, reason: str) -> None:
        """A line, once, on standard error: what was read is not kept."""
        if not self._said:
            self._said = True
            tqdm.write(
                f"minicnn: decoded pictures cannot be kept in {self.folder} ({reason}): they stay in memory, and the "
                "next run decodes them again",
                file=sys.stderr,
            )

    def _path(self, key):
        return self.folder / f"{key}.pictures"

    def _make_room(self, needed):
        """The folder, with room for `needed` bytes; OSError if that cannot be."""
        if needed > self.limit:
            raise OSError(f"{needed} bytes, the limit is {self.limit}")
        self.folder.mkdir(parents=True, exist_ok=True)
        entries = self._entries()
        dead = [
            entry
            for entry in entries
            if entry[2].suffix == ".unfinished" and time.time() - entry[0] > ABANDONED
        ]
        self._remove(dead)
        entries = sorted(entry for entry in entries if entry not in dead)
        excess = sum(size for _, size, _ in entries) + needed - self.limit
        excess = max(excess, needed - shutil.disk_usage(self.folder).free)
        for entry in entries:
            if excess > 0 and entry[2].suffix != ".unfinished":
                excess -= self._remove([entry])
        if shutil.disk_usage(self.folder).free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _entries(self):
        """(last used, bytes, path) of each file that is ours."""
        found = []
        with suppress(OSError):
            for path in self.folder.iterdir():
                with suppress(OSError):  # removed meanwhile
                    if OURS.fullmatch(path.name):
                        status = path.stat()
                        found.append((status.st_mtime, status.st_size, path))
        return found

    @staticmethod
    def _remove(entries):
        removed = 0
        for _, size, path in entries:
            with suppress(OSError):  # Windows keeps what somebody has mapped
                path.unlink()
                removed += size
        return removed


def default_folder() -> Path:
    """Where pictures are kept when nobody says where: MINICNN_CACHE_DIR, or the user's cache of this system."""
    if named := os.environ.get("MINICNN_CACHE_DIR"):
        return Path(named)
    try:
        home = Path.home()
    except RuntimeError:  # a user without one
        return Path(tempfile.gettempdir(), "minicnn-pictures")
    if sys.platform == "win32":
        caches = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        caches = home / "Library" / "Caches"
    else:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return caches / "minicnn" / "pictures"


def _identities(paths):
    """(path, size, time of the last change of its content, of anything about it) of each; (path, None) if missing."""
    identities = []
    for path in paths:
        path = os.path.abspath(path)  # noqa: PTH100  (a third of pathlib's time, for each of many thousand)
        try:
            status = os.stat(path)  # noqa: PTH116
            identities.append((path, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
        except OSError:
            identities.append((path, None))
    return identities


def _digest(key, mask):
    return DIGEST(key.encode() + mask).digest()
