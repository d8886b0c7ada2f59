"""Decode many image files into one array, on several threads, with a progress bar and a cache.

decoding.py decodes one file.  cache.py stores the decoded images and calls this file back if it has none.  Batches are
made elsewhere: `Loader.from_files` in loader.py calls `load_images`.
"""

import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..errors import ArgumentError, DataError, check_bool
from ..runtime.printing import say
from ..runtime.threads import cores
from .cache import ImageCache, as_cache, collect
from .decoding import Preprocessing, decode
from .sizes import check_size

TOGETHER = 16  # images in a group, which a thread decodes in one go
AHEAD = 4  # groups per core that may wait in memory for a slow disk


def load_images(
    paths: Sequence[str | Path],
    preprocessing: Preprocessing | int | tuple[int, int],
    skip_bad: bool = False,
    progress: bool = False,
    cache: ImageCache | bool | None = None,
) -> tuple[np.ndarray, np.ndarray, list[DataError]]:
    """Read many images, on several threads.

    Parameters
    ----------
    paths : sequence of path
    preprocessing : Preprocessing
        A size, int or (height, width), means Preprocessing(height, width).
    skip_bad : bool
        Leave out files that cannot be read, and list them in `bad`.  If False, the first one raises its error.
    progress : bool
        Show a progress bar on a terminal, and print the number of images and the time at the end.
    cache : ImageCache or bool, optional
        Where to store the decoded images, so that the next call finds them.  True is the user's cache.

    Returns
    -------
    images : array (N, height, width, 3), uint8
        With a cache, the array is mapped from a file and not writable.
    kept : array of int (N,)
        The index in `paths` of each image.
    bad : list of DataError
        One for each file that was left out.

    Raises
    ------
    DataError
        For the first bad file, unless `skip_bad`; or if no file can be read.
    ArgumentError
        If `paths` is a single path, or `preprocessing` is neither a Preprocessing nor a size.

    Notes
    -----
    A file that could not be read is tried again in each call, because the cause may have been temporary.  Once it can
    be read, the whole list is decoded again.
    """
    begin = time.perf_counter()
    preprocessing, cache = as_preprocessing(preprocessing), as_cache(cache)
    skip_bad, progress = check_bool(skip_bad, "skip_bad"), check_bool(progress, "progress")
    files = Files(check_paths(paths), preprocessing, skip_bad, progress)
    found = False
    if cache is None:
        images, kept = collect(files.decode(), len(files.paths), files.shape)
    else:
        images, kept, found = cache.get_or_create(
            files.paths, preprocessing, files.decode, accept=files.still_bad
        )
    if progress and found and cache is not None:
        say(f"{len(images)} images from the cache in {cache.folder}")
    elif progress:
        seconds = time.perf_counter() - begin
        say(f"Read {len(images)} images in {seconds:.1f} s ({len(images) / seconds:.0f} per second)")
    if files.bad and not skip_bad:
        raise files.bad[0]
    return images, kept, files.bad


def check_paths(paths: Sequence[str | Path]) -> list[str | Path]:
    """`paths` as a list.  A single path is refused: its letters are not paths."""
    if isinstance(paths, (str, bytes, os.PathLike)):
        raise ArgumentError("paths", "a list of paths", repr(paths), f"Give [{paths!r}], or use decode.")
    try:
        paths = list(paths)
    except TypeError:
        raise ArgumentError("paths", "a list of paths", repr(paths)) from None
    for path in paths:
        if not isinstance(path, (str, os.PathLike)):
            raise ArgumentError(
                "paths", "a list of paths", f"{path!r} among them", "Use decode for one image."
            )
    return paths


def as_preprocessing(value: Any) -> Preprocessing:
    """`value` as a Preprocessing; a size becomes one."""
    if isinstance(value, Preprocessing):
        return value
    return Preprocessing(*check_size(value, "preprocessing"))


class Files:
    """A list of files that are decoded together.

    Attributes
    ----------
    bad : list of DataError
        The errors of the last decoding.
    """

    def __init__(self, paths: list, preprocessing: Preprocessing, skip_bad: bool, progress: bool):
        self.paths, self.preprocessing, self.skip_bad, self.progress = (
            paths,
            preprocessing,
            skip_bad,
            progress,
        )
        self.shape = preprocessing.height, preprocessing.width, 3
        self.bad: list[DataError] = []

    def decode(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Decode all files, a group at a time, in order: (images, a bool per file that says whether it was read)."""
        self.bad, good = [], 0
        # disable=None shows a bar on a terminal only.
        quiet = None if self.progress and sys.stderr is not None else True
        with tqdm(desc="Reading", total=len(self.paths), unit="image", leave=False, disable=quiet) as bar:
            for images, errors in self._in_threads():
                failures = [error for error in errors if error is not None]
                self.bad += failures
                if failures and not self.skip_bad:
                    raise failures[0]
                good += len(images)
                yield images, np.array([error is None for error in errors], bool)
                bar.update(len(errors))
        if not good:
            raise DataError(
                "images",
                "at least one that can be read",
                f"none of {len(self.paths)}",
                str(self.bad[0]) if self.bad else "Add images.",
            )

    def still_bad(self, kept: np.ndarray) -> bool:
        """Whether the files that are not in `kept` still cannot be read; fills `bad`."""
        missing = np.setdiff1d(np.arange(len(self.paths)), kept)
        _, errors = self._decode_some([self.paths[place] for place in missing])
        self.bad = [error for error in errors if error is not None]
        return len(self.bad) == len(missing)

    def _in_threads(self):
        """(images, errors) of each group of files, in order; a limited number of groups waits in memory."""
        groups = [self.paths[first : first + TOGETHER] for first in range(0, len(self.paths), TOGETHER)]
        with ThreadPoolExecutor(cores()) as threads:
            waiting: deque[Future] = deque()
            try:
                for group in groups:
                    waiting.append(threads.submit(self._decode_some, group))
                    if len(waiting) > AHEAD * cores():
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                threads.shutdown(cancel_futures=True)

    def _decode_some(self, paths):
        images = []
        errors: list[DataError | None] = []
        for path in paths:
            try:
                images.append(decode(path, self.preprocessing))
                errors.append(None)
            except DataError as error:
                errors.append(_alone(error))
        return np.array(images, np.uint8).reshape(-1, *self.shape), errors


def _alone(error):
    """The error without its traceback, whose frames would keep images in memory."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
