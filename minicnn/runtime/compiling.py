"""numba's njit with a cache of the library's own: every compiled function of the package is made with it.

To compile the kernels of a network takes many seconds, so machine code is kept on disk.  numba's own cache
does that too, but for four things:

    where no folder can be written it raises; here the process goes on with what it compiled, and a line says so
    it looks at the one file a function stands in; a kernel is built from several (its register tile is in
        another), so here a change anywhere in that room of the package, kernels/ or data/, counts
    two processes that compile a function for different types at once can mix up its files; here the name of a file
        says what it holds
    it compiles without a word; here a line says why nothing moves

Files are kept in the folder that NUMBA_CACHE_DIR names; without it in `__pycache__` beside the source or, where
that cannot be written, in the user's cache, and they are found in either.  A file holds a digest, then numba's
description of the compiled function.  A file that is damaged or from another version fails its digest check, and the
function is compiled again.

The environment variable MINICNN_BOUNDSCHECK=1, set before Python starts, makes a debug build: every access to an array
is checked, and one outside raises IndexError where it would otherwise read or overwrite other memory.  It is for
finding faults in kernels.  It runs on one thread, because numba loses exceptions in parallel loops, and is many times
slower.  Its files in the cache have names of their own.
"""

import hashlib
import os
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache as once
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .threads import prepare_pool

prepare_pool()  # before numba reads how large it shall be

import numba  # noqa: E402
from numba.core.caching import NullCache  # noqa: E402
from numba.core.compiler import CompileResult  # noqa: E402
from numba.core.serialize import dumps  # noqa: E402
from numba.misc.appdirs import AppDirs  # noqa: E402

BOUNDSCHECK = os.environ.get("MINICNN_BOUNDSCHECK", "") == "1"
PACKAGE = Path(__file__).parents[1]
DIGEST = hashlib.sha256


def njit(*, cache: bool, **options) -> Callable:
    """numba.njit, whose `cache` is the one of this file; the other options are numba's."""

    def compiled(function):
        if BOUNDSCHECK:
            options.update(boundscheck=True, parallel=False)
        dispatcher = numba.njit(**options)(function)
        if cache:
            dispatcher._cache = _Cache(function)
        return dispatcher

    return compiled


def plain(array: np.ndarray) -> np.ndarray:
    """The array as compiled functions take it: in C order, and in memory that may be written; a copy where it is not.

    They are compiled for each kind of memory anew: without this a batch that is read-only, as in a file mapped into
    memory, would first wait for seconds.
    """
    return array if array.flags.carray else np.array(array, order="C")


class _Cache(NullCache):
    """What numba asks before it compiles a function for new types, and tells when it has."""

    def __init__(self, function):
        source = Path(function.__code__.co_filename)
        self.name = f"{source.stem}.{function.__qualname__}" + ".boundscheck" * BOUNDSCHECK
        self.version = _version(source.relative_to(PACKAGE).parts[0])
        subfolder = f"{source.parent.name}-{DIGEST(bytes(source.parent)).hexdigest()[:16]}"
        if numba.config.CACHE_DIR:
            self.folders = [Path(numba.config.CACHE_DIR, subfolder)]
        else:
            folders = source.parent / "__pycache__", Path(AppDirs("minicnn").user_cache_dir, subfolder)
            self.folders = [folder for folder in folders if folder.is_absolute()]  # a home may be unknown

    def load_overload(self, signature, context):
        """The function compiled for these types, from a file; None if there is no good one."""
        context.refresh()
        name = self.file_name(signature, context.codegen())
        for folder in self.folders:
            with suppress(OSError):
                content = (folder / name).read_bytes()
                size = DIGEST().digest_size
                if content[:size] == DIGEST(self.version + content[size:]).digest():
                    return CompileResult._rebuild(context, *pickle.loads(content[size:]))
        _say_once("compiling for this processor, which can take a minute; the next start finds it done")
        return None

    def save_overload(self, signature, result):
        """Keep what was compiled, where it can be kept."""
        if result.library.has_dynamic_globals:  # addresses, of this process alone
            return
        content = dumps(result._reduce())
        content = DIGEST(self.version + content).digest() + content
        name = self.file_name(signature, result.library.codegen)
        for folder in self.folders:
            unfinished = folder / f"{name}.{os.getpid()}"
            try:
                folder.mkdir(parents=True, exist_ok=True)
                unfinished.write_bytes(content)
                unfinished.replace(folder / name)  # in one step: nobody reads half a file
                return
            except OSError as error:
                reason = error.strerror
                with suppress(OSError):
                    unfinished.unlink()
        _say_once(
            f"what was compiled cannot be kept ({reason}), so the next start compiles again: "
            "let NUMBA_CACHE_DIR name a folder that can be written"
        )

    def file_name(self, signature, codegen):
        """One for each function, types, processor and Python; a new version overwrites the old."""
        key = repr((signature, codegen.magic_tuple(), sys.implementation.cache_tag))
        return f"{self.name}.{DIGEST(key.encode()).hexdigest()[:16]}.nbc"


@once
def _version(room):
    """A digest of numba's version, of this file and of all sources in a room of the package."""
    digest = DIGEST(numba.__version__.encode())
    for source in [Path(__file__), *sorted((PACKAGE / room).rglob("*.py"))]:
        digest.update(source.read_bytes())
    return digest.digest()


@once
def _say_once(text):
    """A line on standard error, above a progress bar where there is one."""
    tqdm.write(f"minicnn: {text}", file=sys.stderr)
