"""Decoded images on disk: decode once, train often.

An entry is one file: the images as bytes, then one byte per listed file (1 if it could be read), then a digest of
everything before it.  A damaged entry fails its digest and is made again.  The entry's name is a digest of all that
the images follow from: each file's path, size and times of change, the preprocessing, the versions of the decoders.
So a file that changes makes another entry, and the old one is removed in time: the entries longest unused are removed
when the folder would grow beyond its limit.

An entry is written under another name, flushed, and renamed when it is complete: a reader never sees a partial one,
two processes may make the same at once, and a process that is killed leaves a file that is removed an hour later.
Entries are written with ordinary writes, because a write into mapped memory ends the process when the disk is full.

Nothing is decoded here.  `reading.py` calls `get_or_create`, which calls back for the images of a new entry.
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
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import __version__ as pillow_version
from PIL import features
from simplejpeg import __version__ as simplejpeg_version
from tqdm import tqdm

from ..errors import ArgumentError, check_int
from ..saving.files import to_path
from .decoding import Preprocessing

FORMAT = "minicnn pictures 3"
OURS = re.compile(r"[0-9a-f]{64}\.(pictures|[^.]*\.unfinished)")  # nothing else in the folder is ever touched
DIGEST = hashlib.sha256
ABANDONED = 3600  # seconds without a write, after which whoever wrote an unfinished file is dead
TICK = 20_000_000  # nanoseconds: two changes of a file so near in time may bear the same


class PictureCache:
    """A folder of decoded images.

    Parameters
    ----------
    folder : str or Path, optional
        Where to keep them (default: the folder that the environment variable MINICNN_CACHE_DIR names, or the user's
        cache).  ``~`` is the user's home.
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
        self.folder = to_path(
            default_folder() if folder is None else folder, "PictureCache folder"
        ).absolute()
        self.limit = check_int(limit, "limit", least=0)
        self._said = False

    def key(self, paths: Sequence[str | Path], preprocessing: Preprocessing) -> str:
        """The name of what these files become: another one as soon as any of them changes."""
        files = _identities(paths)
        newest = max((max(times) for _, _, *times in files if times), default=0)
        if 0 <= time.time_ns() - newest < TICK:  # so fresh that a change after this look could go unseen
            time.sleep(TICK / 1e9)
            files = _identities(paths)
        how = preprocessing.height, preprocessing.width, preprocessing.resample, preprocessing.draft
        decoders = simplejpeg_version, pillow_version, *map(features.version, ("jpg", "libjpeg_turbo"))
        return DIGEST(repr((FORMAT, decoders, how, files)).encode()).hexdigest()

    def get_or_create(
        self,
        paths: Sequence[str | Path],
        preprocessing: Preprocessing,
        make: Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]],
        accept: Callable[[np.ndarray], bool] = lambda kept: True,
    ) -> tuple[np.ndarray, np.ndarray, bool]:
        """The images of these files: from their entry, or made now and kept for the next time.

        Parameters
        ----------
        paths : sequence of path
        preprocessing : Preprocessing
        make : callable
            Returns what `store` takes.  It is called again if its images cannot be kept; then they stay in memory.
        accept : callable
            Called with `kept` of an entry that was found; if it returns False, the entry is made again.

        Returns
        -------
        pictures : array (N, height, width, 3), uint8
        kept : array of int (N,)
            The place of each image among the files.
        found : bool
            Whether they come from an entry that was there.
        """
        key, count = self.key(paths, preprocessing), len(paths)
        shape = preprocessing.height, preprocessing.width, 3
        entry = self.find(key, count, shape)
        if entry is not None and accept(entry[1]):
            return *entry, True

        def unchanged():
            yield from make()
            if self.key(paths, preprocessing) != key:
                raise OSError("files changed while they were read")

        try:
            self.store(key, count, shape, unchanged())
            entry, reason = self.find(key, count, shape), "removed by another process"
        except OSError as error:
            entry, reason = None, error.strerror or str(error)
        if entry is None:
            self.say(reason)
            entry = collect(make(), count, shape)
        return *entry, False

    def find(self, key: str, count: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray] | None:
        """An entry, if there is one and all its bytes are those that were stored.

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
            Images (N, height, width, 3), uint8, mapped and not writable; the place of each among the files.

        Notes
        -----
        All of it is read once, for its digest: 0.1 to 0.3 s for 300 MB that the system holds in memory.
        """
        path = self._path(key)
        try:
            with path.open("rb") as file:
                file.seek(-count - DIGEST().digest_size, os.SEEK_END)
                picture_bytes, mask, digest = file.tell(), file.read(count), file.read()
                kept = np.flatnonzero(np.frombuffer(mask, np.uint8))
                if picture_bytes != len(kept) * np.prod(shape):
                    return None
                pictures = np.asarray(np.memmap(file, np.uint8, "r", shape=(len(kept), *shape)))
                if digest != _digest(key, mask, _checksums(pictures)):
                    return None
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
            In order, some images and a bool for each file that they are from.

        Raises
        ------
        OSError
            If it cannot be written, or is larger than the limit; and whatever `pieces` raises.  Then nothing is left.
        """
        self._make_room(count * int(np.prod(shape)) + count + DIGEST().digest_size)
        unfinished = self.folder / f"{key}.{uuid.uuid4().hex}.unfinished"
        masks, checksums = [], []
        try:
            with unfinished.open("xb") as file:  # who else may read it is what the user's mask says
                for pictures, readable in pieces:
                    file.write(pictures)
                    masks.append(readable)
                    checksums.append(_checksums(pictures))
                mask = np.concatenate(masks).tobytes()
                file.write(mask + _digest(key, mask, b"".join(checksums)))
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
        if not self._said and sys.stderr is not None:
            self._said = True
            tqdm.write(
                f"minicnn: decoded images cannot be kept in {self.folder} ({reason}): they stay in memory, and the "
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


def as_cache(value: PictureCache | bool | None) -> PictureCache | None:
    """`value`, if it is a cache or None; True is the user's cache, False is none.

    Raises
    ------
    ArgumentError
        If it is anything else.
    """
    if value is None or isinstance(value, PictureCache):
        return value
    if not isinstance(value, bool):
        raise ArgumentError(
            "cache", "a PictureCache, True or False", repr(value), "Give PictureCache(folder)."
        )
    return PictureCache() if value else None


def collect(
    pieces: Iterable[tuple[np.ndarray, np.ndarray]], count: int, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """(pictures, kept) of what `PictureCache.store` takes, in memory."""
    pictures, masks, filled = np.empty((count, *shape), np.uint8), [], 0
    for some, readable in pieces:
        pictures[filled : filled + len(some)] = some
        filled += len(some)
        masks.append(readable)
    return pictures[:filled], np.flatnonzero(np.concatenate(masks))


def default_folder() -> Path:
    """The default folder of decoded images: MINICNN_CACHE_DIR, or the user's cache of this system."""
    if named := os.environ.get("MINICNN_CACHE_DIR"):
        return to_path(named, "MINICNN_CACHE_DIR")
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


def _checksums(pictures):
    """The CRC-32 of each image, four bytes each."""
    return np.array([zlib.crc32(picture) for picture in pictures], "<u4").tobytes()


def _digest(key, mask, checksums):
    return DIGEST(key.encode() + mask + checksums).digest()
