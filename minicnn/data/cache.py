"""A cache of decoded images on disk, so that each image file is decoded only once.

An entry is one file: the pixels of all images, then one byte per image file (1 if it could be read), then a digest of
everything before it.  A damaged entry fails its digest check and is made again.  The entry's name is a digest of all
that determines the pixels: each file's path, size and times of change, the preprocessing, and the versions of the
decoders.  So a changed file leads to a new entry.  When the folder would exceed its limit, the least recently used
entries are deleted.

An entry is written to an `.unfinished` file, flushed to disk and renamed, so a reader never sees a partial entry and
two processes may write the same entry at the same time.  The file of a killed process is deleted after an hour.
Entries are written with ordinary writes, because a write to mapped memory ends the process if the disk is full.

Nothing is decoded here: reading.py calls `get_or_create`, which calls it back for the images of a new entry.
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

from ..errors import ArgumentError, check_int
from ..runtime.printing import warn
from ..saving.files import to_path
from .decoding import Preprocessing

FORMAT = "minicnn images 3"
OURS = re.compile(r"[0-9a-f]{64}\.(images|[^.]*\.unfinished)")  # other files in the folder are never deleted
DIGEST = hashlib.sha256
ABANDONED = 3600  # seconds without a write after which the writer of an unfinished file counts as dead
TICK = 20_000_000  # nanoseconds: two changes of a file within this time may get the same time stamp


class ImageCache:
    """A folder of decoded images.

    Parameters
    ----------
    folder : str or Path, optional
        The folder (default: the environment variable MINICNN_CACHE_DIR, or a folder in the user's cache).  ``~`` is
        expanded.
    limit : int
        The most bytes that all entries together may take.

    Attributes
    ----------
    folder : Path
    limit : int

    Examples
    --------
    >>> import tempfile
    >>> cache = ImageCache(tempfile.mkdtemp())
    >>> cache.store("0" * 64, 2, (1, 1, 3), [(np.full((1, 1, 1, 3), 7, np.uint8), np.array([False, True]))])
    >>> images, kept = cache.find("0" * 64, 2, (1, 1, 3))
    >>> images.tolist(), kept.tolist(), cache.size
    ([[[[7, 7, 7]]]], [1], 37)
    >>> cache.clear()
    37
    """

    def __init__(self, folder: str | Path | None = None, limit: int = 10 * 2**30):
        self.folder = to_path(default_folder() if folder is None else folder, "ImageCache folder").absolute()
        self.limit = check_int(limit, "limit", least=0)
        self._said = False

    def key(self, paths: Sequence[str | Path], preprocessing: Preprocessing) -> str:
        """The name of these files' entry.  It changes when one of the files changes."""
        files = _identities(paths)
        newest = max((max(times) for _, _, *times in files if times), default=0)
        if 0 <= time.time_ns() - newest < TICK:  # a change right now might not change the time stamp
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
        """The images of these files, from their entry; without one, make the images and store them.

        Parameters
        ----------
        paths : sequence of path
        preprocessing : Preprocessing
        make : callable
            Returns the chunks of images that `store` takes.  If they cannot be stored, it is called a second time and
            the images stay in memory.
        accept : callable
            Called with `kept` of an entry that was found; if it returns False, the entry is made again.

        Returns
        -------
        images : array (N, height, width, 3), uint8
        kept : array of int (N,)
            The index of each image's file in `paths`.
        found : bool
            Whether the images come from an existing entry.
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
        """An entry, if there is one and none of its bytes has changed.

        Parameters
        ----------
        key : str
            The name that `key` returned.
        count : int
            The number of files that the entry was made from.
        shape : (height, width, 3)

        Returns
        -------
        (images, kept) or None
            The images (N, height, width, 3), uint8, mapped and not writable; the index of each image's file.

        Notes
        -----
        The whole entry is read once to check its digest.  That takes 0.1 to 0.3 s for 300 MB that the system holds in
        memory.
        """
        path = self._path(key)
        try:
            with path.open("rb") as file:
                file.seek(-count - DIGEST().digest_size, os.SEEK_END)
                image_bytes, mask, digest = file.tell(), file.read(count), file.read()
                kept = np.flatnonzero(np.frombuffer(mask, np.uint8))
                if image_bytes != len(kept) * np.prod(shape):
                    return None
                images = np.asarray(np.memmap(file, np.uint8, "r", shape=(len(kept), *shape)))
                if digest != _digest(key, mask, _checksums(images)):
                    return None
        except (OSError, ValueError):  # there is none, or it is truncated
            return None
        with suppress(OSError):  # it belongs to another user
            os.utime(path)  # now the most recently used entry
        return images, kept

    def store(
        self,
        key: str,
        count: int,
        shape: tuple[int, ...],
        chunks: Iterable[tuple[np.ndarray, np.ndarray]],
    ) -> None:
        """Write an entry.

        Parameters
        ----------
        key, count, shape : as in `find`
        chunks : iterable of (images, readable)
            For some files at a time, in order: their images, and a bool per file that says whether it could be read.

        Raises
        ------
        OSError
            If the entry cannot be written, or is larger than the limit.  After any error, also one that `chunks`
            raises, the unfinished file is deleted.
        """
        self._make_room(count * int(np.prod(shape)) + count + DIGEST().digest_size)
        unfinished = self.folder / f"{key}.{uuid.uuid4().hex}.unfinished"
        masks, checksums = [], []
        try:
            with unfinished.open("xb") as file:  # with the permissions of the user's umask
                for images, readable in chunks:
                    file.write(images.data)
                    masks.append(readable)
                    checksums.append(_checksums(images))
                mask = np.concatenate(masks).tobytes()
                file.write(mask + _digest(key, mask, b"".join(checksums)))
                file.flush()
                os.fsync(file.fileno())
            self._make_room(0)  # another process may have written an entry meanwhile
            unfinished.replace(self._path(key))
        finally:
            unfinished.unlink(missing_ok=True)

    @property
    def size(self) -> int:
        """The bytes that all entries take, including unfinished ones."""
        return sum(size for _, size, _ in self._entries())

    def clear(self) -> int:
        """Delete every entry, and return how many bytes they took.

        Images of an entry that a process has open stay valid in it.  Entries that cannot be deleted, for example
        because they belong to another user, are reported on standard error.
        """
        entries = self._entries()
        removed = self._remove(entries)
        if left := [entry for entry in entries if entry[2].exists()]:
            size = sum(size for _, size, _ in left) / 1e6
            warn(f"{len(left)} of the entries in {self.folder} ({size:.1f} MB) could not be deleted")
        return removed

    def say(self, reason: str) -> None:
        """Print once, on standard error, that images are not kept."""
        if not self._said:
            self._said = True
            warn(
                f"decoded images cannot be kept in {self.folder} ({reason}): they stay in memory, and the next run "
                "decodes them again"
            )

    def _path(self, key):
        return self.folder / f"{key}.images"

    def _make_room(self, needed):
        """Make the folder, and room in it for `needed` bytes; OSError if that is impossible."""
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
        """(time of last use, bytes, path) of each entry."""
        found = []
        with suppress(OSError):
            for path in self.folder.iterdir():
                with suppress(OSError):  # deleted meanwhile
                    if OURS.fullmatch(path.name):
                        status = path.stat()
                        found.append((status.st_mtime, status.st_size, path))
        return found

    @staticmethod
    def _remove(entries):
        removed = 0
        for _, size, path in entries:
            with suppress(OSError):  # Windows does not delete a file that is mapped into memory
                path.unlink()
                removed += size
        return removed


def as_cache(value: ImageCache | bool | None) -> ImageCache | None:
    """`value` as a cache or None: True is the user's cache, and False is None.

    Raises
    ------
    ArgumentError
        If it is anything else.
    """
    if value is None or isinstance(value, ImageCache):
        return value
    if not isinstance(value, bool):
        raise ArgumentError("cache", "an ImageCache, True or False", repr(value), "Give ImageCache(folder).")
    return ImageCache() if value else None


def collect(
    chunks: Iterable[tuple[np.ndarray, np.ndarray]], count: int, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """The same chunks that `ImageCache.store` takes, as (images, kept) in memory."""
    images, masks, filled = np.empty((count, *shape), np.uint8), [], 0
    for some, readable in chunks:
        images[filled : filled + len(some)] = some
        filled += len(some)
        masks.append(readable)
    return images[:filled], np.flatnonzero(np.concatenate(masks))


def default_folder() -> Path:
    """The default folder: MINICNN_CACHE_DIR, or a folder in the user's cache on this system."""
    if named := os.environ.get("MINICNN_CACHE_DIR"):
        return to_path(named, "MINICNN_CACHE_DIR")
    try:
        home = Path.home()
    except RuntimeError:  # a user without a home
        return Path(tempfile.gettempdir(), "minicnn-images")
    if sys.platform == "win32":
        caches = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        caches = home / "Library" / "Caches"
    else:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return caches / "minicnn" / "images"


def _identities(paths):
    """(path, size, time of last change of content, of content or metadata) of each file; (path, None) if missing."""
    identities: list[tuple] = []
    for path in paths:
        path = os.path.abspath(path)  # noqa: PTH100  (a third of pathlib's time, for thousands of files)
        try:
            status = os.stat(path)  # noqa: PTH116
            identities.append((path, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
        except OSError:
            identities.append((path, None))
    return identities


def _checksums(images):
    """The CRC-32 of each image, four bytes each."""
    return np.array([zlib.crc32(image) for image in images], "<u4").tobytes()


def _digest(key, mask, checksums):
    return DIGEST(key.encode() + mask + checksums).digest()
