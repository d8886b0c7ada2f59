"""Many files to one array of pictures: Python threads decode, a bar shows how far they are, a cache keeps the result.

What a file becomes is decided in `decoding.py`, how decoded pictures are kept in `cache.py`; here the two meet.
Called by `Loader.from_files` in loader.py.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..errors import DataError
from ..threads import cores
from .cache import PictureCache
from .decoding import Preprocessing, decode

TOGETHER = 16  # pictures a thread reads before it hands them over


def load_pictures(
    paths: Sequence[str | Path],
    preprocessing: Preprocessing,
    skip_bad: bool = False,
    progress: bool = False,
    cache: PictureCache | None = None,
) -> tuple[np.ndarray, np.ndarray, list[DataError]]:
    """Read many pictures, with threads.

    Parameters
    ----------
    paths : sequence of path
    preprocessing : Preprocessing
    skip_bad : bool
        Leave out files that cannot be read, and report them, rather than raise at the first.
    progress : bool
        Show a bar, on a terminal only, and print at the end how many pictures a second were read.
    cache : PictureCache, optional
        Decode once: the pictures are kept there, and found there the next time.

    Returns
    -------
    pictures : array (N, height, width, 3), uint8
        With a cache, a file mapped into memory that cannot be written to.
    kept : array of int (N,)
        The place in `paths` of each picture.
    bad : list of DataError
        One for each file left out.

    Raises
    ------
    DataError
        For the first bad file, unless they are skipped; or if no file at all can be read.

    Notes
    -----
    A file that could not be read is tried again each time, for the reason may have been passing; when it can be
    read, the whole list is decoded again.
    """
    begin = time.perf_counter()
    paths, bad = list(paths), []
    key = found = None
    if cache is not None:
        key = cache.key(paths, preprocessing)
        found = _find(cache, key, paths, preprocessing, bad)
    if found is not None:
        if progress:
            print(f"{len(found[0])} pictures from the cache in {cache.folder}", flush=True)
    else:
        reading = _read(paths, preprocessing, skip_bad, progress, bad)
        if cache is not None:
            found = _keep(cache, key, paths, preprocessing, reading, bad)
            reading = _read(paths, preprocessing, skip_bad, progress, bad)
        if found is None:
            found = _in_memory(len(paths), preprocessing, reading)
        if progress:
            seconds = time.perf_counter() - begin
            speed = f"{len(found[0]) / seconds:.0f} a second"
            print(f"Read {len(found[0])} pictures in {seconds:.1f} s, {speed}", flush=True)
    if bad and not skip_bad:
        raise bad[0]
    return *found, bad


def _find(cache, key, paths, preprocessing, bad):
    """(pictures, kept) from the cache, if what could not be read then cannot be read now; fills `bad`."""
    found = cache.find(key, len(paths), (preprocessing.height, preprocessing.width, 3))
    if found is None:
        return None
    for place in np.setdiff1d(np.arange(len(paths)), found[1]):
        try:
            decode(paths[place], preprocessing)
        except DataError as error:
            bad.append(_alone(error))
        else:
            bad.clear()
            return None
    return found


def _alone(error):
    """Without the frames that it came through: these hold on to pictures."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _keep(cache, key, paths, preprocessing, reading, bad):
    """(pictures, kept) by way of the cache; None, with a line on why, where they cannot be kept."""

    def until_the_end():
        yield from reading
        if cache.key(paths, preprocessing) != key:
            raise OSError("files changed while they were read")

    shape = (preprocessing.height, preprocessing.width, 3)
    try:
        cache.store(key, len(paths), shape, until_the_end())
        reason = "removed by another process"
    except OSError as error:
        reason = error.strerror or str(error)
    found = cache.find(key, len(paths), shape)
    if found is None:
        cache.say(reason)
    return found


def _in_memory(count, preprocessing, reading):
    """(pictures, kept) of what is read."""
    pictures = np.empty((count, preprocessing.height, preprocessing.width, 3), np.uint8)
    masks, filled = [], 0
    for some, mask in reading:
        pictures[filled : filled + len(some)] = some
        filled += len(some)
        masks.append(mask)
    return pictures[:filled], np.flatnonzero(np.concatenate(masks))


def _read(paths, preprocessing, skip_bad, progress, bad) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A few pictures at a time, in order: (those that can be read, which of the files they are); fills `bad`."""
    bad.clear()
    good = 0

    def some(first):
        pictures, errors = [], []
        for path in paths[first : first + TOGETHER]:
            try:
                pictures.append(decode(path, preprocessing))
                errors.append(None)
            except DataError as error:
                errors.append(_alone(error))
        shape = (-1, preprocessing.height, preprocessing.width, 3)
        return np.array(pictures, np.uint8).reshape(shape), errors

    # disable=None: a bar where there is a terminal, nothing elsewhere.
    bar = tqdm(
        desc="Reading", total=len(paths), unit="picture", leave=False, disable=None if progress else True
    )
    with bar, ThreadPoolExecutor(cores()) as threads:
        for pictures, errors in threads.map(some, range(0, len(paths), TOGETHER)):
            failures = [error for error in errors if error is not None]
            bad.extend(failures)
            if failures and not skip_bad:
                raise failures[0]
            good += len(pictures)
            yield pictures, np.array([error is None for error in errors], bool)
            bar.update(len(errors))
    if not good:
        raise DataError(
            "pictures",
            "at least one that can be read",
            f"none of {len(paths)}",
            str(bad[0]) if bad else "Add pictures.",
        )
