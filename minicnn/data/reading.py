"""Many files to one array of images: Python threads decode, a bar shows the progress, a cache keeps the result.

`decoding.py` decides what a file becomes.  `cache.py` keeps decoded images: it calls back for them when it has none.
Called by `Loader.from_files` in loader.py.
"""

import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..errors import ArgumentError, DataError, check_bool
from ..runtime.threads import cores
from .cache import PictureCache, as_cache, collect
from .decoding import Preprocessing, decode
from .sizes import check_size

TOGETHER = 16  # images that a thread decodes before it hands them over
AHEAD = 4  # such groups per core that may wait for a slow disk


def load_pictures(
    paths: Sequence[str | Path],
    preprocessing: Preprocessing | int | tuple[int, int],
    skip_bad: bool = False,
    progress: bool = False,
    cache: PictureCache | bool | None = None,
) -> tuple[np.ndarray, np.ndarray, list[DataError]]:
    """Read many images, with threads.

    Parameters
    ----------
    paths : sequence of path
    preprocessing : Preprocessing
        A size alone, int or (height, width), is Preprocessing(height, width).
    skip_bad : bool
        Leave out files that cannot be read, and report them, rather than raise at the first.
    progress : bool
        Show a bar, on a terminal only, and print at the end how many images were read per second.
    cache : PictureCache or bool, optional
        Decode once: the images are kept there, and found there the next time.  True is the user's cache.

    Returns
    -------
    pictures : array (N, height, width, 3), uint8
        With a cache, a file mapped into memory that cannot be written to.
    kept : array of int (N,)
        The place in `paths` of each image.
    bad : list of DataError
        One for each file left out.

    Raises
    ------
    DataError
        For the first bad file, unless they are skipped; or if no file at all can be read.
    ArgumentError
        If `paths` is one path rather than a sequence, or the preprocessing is neither that nor a size.

    Notes
    -----
    A file that could not be read is tried again each time, because the reason may have been passing; when it can be
    read, the whole list is decoded again.
    """
    begin = time.perf_counter()
    preprocessing, cache = as_preprocessing(preprocessing), as_cache(cache)
    skip_bad, progress = check_bool(skip_bad, "skip_bad"), check_bool(progress, "progress")
    files = Files(check_paths(paths), preprocessing, skip_bad, progress)
    found = False
    if cache is None:
        pictures, kept = collect(files.decode(), len(files.paths), files.shape)
    else:
        pictures, kept, found = cache.get_or_create(
            files.paths, preprocessing, files.decode, accept=files.still_bad
        )
    if progress and found:
        print(f"{len(pictures)} pictures from the cache in {cache.folder}", flush=True)
    elif progress:
        seconds = time.perf_counter() - begin
        print(
            f"Read {len(pictures)} pictures in {seconds:.1f} s, {len(pictures) / seconds:.0f} a second",
            flush=True,
        )
    if files.bad and not skip_bad:
        raise files.bad[0]
    return pictures, kept, files.bad


def check_paths(paths: Sequence[str | Path]) -> list[str | Path]:
    """`paths` as a list; one path alone is refused, because its letters would pass as paths."""
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
    """`value`, if it is a Preprocessing; a size alone becomes one."""
    if isinstance(value, Preprocessing):
        return value
    return Preprocessing(*check_size(value, "preprocessing"))


class Files:
    """A list of files that are decoded together.

    Attributes
    ----------
    bad : list of DataError
        Why files could not be read when they were last decoded.
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
        """All files, a few at a time, in order: (images that can be read, which of the files they are)."""
        self.bad, good = [], 0
        # disable=None: a bar where there is a terminal, nothing elsewhere.
        quiet = None if self.progress and sys.stderr is not None else True
        with tqdm(desc="Reading", total=len(self.paths), unit="image", leave=False, disable=quiet) as bar:
            for pictures, errors in self._in_threads():
                failures = [error for error in errors if error is not None]
                self.bad += failures
                if failures and not self.skip_bad:
                    raise failures[0]
                good += len(pictures)
                yield pictures, np.array([error is None for error in errors], bool)
                bar.update(len(errors))
        if not good:
            raise DataError(
                "pictures",
                "at least one that can be read",
                f"none of {len(self.paths)}",
                str(self.bad[0]) if self.bad else "Add images.",
            )

    def still_bad(self, kept: np.ndarray) -> bool:
        """Whether the files that are not in `kept` cannot be read now either; fills `bad`."""
        missing = np.setdiff1d(np.arange(len(self.paths)), kept)
        _, errors = self._decode_some([self.paths[place] for place in missing])
        self.bad = [error for error in errors if error is not None]
        return len(self.bad) == len(missing)

    def _in_threads(self):
        """(images, errors) of each group of files, in order; a bounded number of groups waits to be taken."""
        groups = [self.paths[first : first + TOGETHER] for first in range(0, len(self.paths), TOGETHER)]
        with ThreadPoolExecutor(cores()) as threads:
            waiting = deque()
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
        pictures, errors = [], []
        for path in paths:
            try:
                pictures.append(decode(path, self.preprocessing))
                errors.append(None)
            except DataError as error:
                errors.append(_alone(error))
        return np.array(pictures, np.uint8).reshape(-1, *self.shape), errors


def _alone(error):
    """Without the frames that it came through: these hold on to images."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
