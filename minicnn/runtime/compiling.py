"""numba's njit with an on-disk cache of the library's own; every compiled function of the package is made with it.

Compiling the kernels of a network takes many seconds, so the machine code is cached on disk.  numba's own cache
differs from this one in four ways:

    it raises an error if it can write to no folder; this one prints a message, and the process continues
    it notices changes in the file that defines a function; a kernel is built from several files (its register tile
        is in another one), so this one notices changes in any file of the subpackage, kernels/ or data/
    two processes that compile one function for different types at the same time can mix up its files; here the types
        are part of the file's name
    numba compiles silently; this prints a message so that the pause is explained

The folder is NUMBA_CACHE_DIR if that variable is set.  Otherwise it is `__pycache__` next to the source or, if that
cannot be written, a folder in the user's cache; both are searched.  An installed package (in site-packages) uses the
user's cache first, so that `pip uninstall` leaves no files behind.  A cached file holds a digest, then numba's
description of the compiled function.  A file that is damaged or from another version fails its digest check, and the
function is compiled again.

MINICNN_BOUNDSCHECK=1, set before Python starts, makes a debug build: every array access is checked, and one out of
bounds raises IndexError instead of reading or overwriting other memory.  Use it to find faults in kernels.  It runs
on one thread, because numba loses exceptions in parallel loops, and is many times slower.  It has its own cached files.
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

from .printing import warn_once
from .tbb import load_tbb
from .threads import prepare_pool

prepare_pool()  # numba reads the size of its thread pool when it is imported
load_tbb()

import numba  # noqa: E402
from numba.core.caching import NullCache  # noqa: E402
from numba.core.compiler import CompileResult  # noqa: E402
from numba.core.serialize import dumps  # noqa: E402
from numba.misc.appdirs import AppDirs  # noqa: E402

BOUNDSCHECK = os.environ.get("MINICNN_BOUNDSCHECK", "") == "1"
PACKAGE = Path(__file__).parents[1]
DIGEST = hashlib.sha256


def njit(*, cache: bool, **options) -> Callable:
    """numba.njit with the cache of this file; the other options are numba's."""

    def compiled(function):
        if BOUNDSCHECK:
            options.update(boundscheck=True, parallel=False)
        dispatcher = numba.njit(**options)(function)
        source = Path(function.__code__.co_filename)
        version = _version(source.relative_to(PACKAGE).parts[0]) if cache else None
        if cache and version is not None:
            dispatcher._cache = _Cache(function, source, version)
        return dispatcher

    return compiled


def as_contiguous(array: np.ndarray) -> np.ndarray:
    """The array in C order and in writable memory; a copy only if it is not already so.

    numba compiles a function again for each kind of array.  Without this call, a read-only batch, such as one from a
    file mapped into memory, would wait for seconds until the kernels are compiled for it.
    """
    return array if array.flags.carray else np.array(array, order="C")


class _Cache(NullCache):
    """The interface that numba calls: before it compiles a function for new types, and after it has."""

    def __init__(self, function, source, version):
        self.name = f"{source.stem}.{function.__qualname__}" + ".boundscheck" * BOUNDSCHECK
        self.version = version
        subfolder = f"{source.parent.name}-{DIGEST(bytes(source.parent)).hexdigest()[:16]}"
        chosen = numba.config.CACHE_DIR  # type: ignore[attr-defined]  # set dynamically
        if chosen:
            self.folders = [Path(chosen, subfolder)]
        else:
            folders = [source.parent / "__pycache__", Path(AppDirs("minicnn").user_cache_dir, subfolder)]
            if {"site-packages", "dist-packages"} & set(source.parts):
                folders.reverse()
            self.folders = [folder for folder in folders if folder.is_absolute()]  # the home may be unknown

    def load_overload(self, signature, context):
        """The function compiled for these types, from a file; None if there is no valid file."""
        context.refresh()
        name = self.file_name(signature, context.codegen())
        for folder in self.folders:
            with suppress(OSError):
                content = (folder / name).read_bytes()
                size = DIGEST().digest_size
                if content[:size] == DIGEST(self.version + content[size:]).digest():
                    return CompileResult._rebuild(context, *pickle.loads(content[size:]))
        warn_once("compiling for this processor, which can take a minute; the next start finds it done")
        return None

    def save_overload(self, signature, result):
        """Write a compiled function to the first folder that can be written."""
        if result.library.has_dynamic_globals:  # addresses that are valid in this process only
            return
        content = dumps(result._reduce())
        content = DIGEST(self.version + content).digest() + content
        name = self.file_name(signature, result.library.codegen)
        for folder in self.folders:
            unfinished = folder / f"{name}.{os.getpid()}"
            try:
                folder.mkdir(parents=True, exist_ok=True)
                unfinished.write_bytes(content)
                unfinished.replace(folder / name)  # in one step: a reader never sees a partial file
                return
            except OSError as error:
                reason = error.strerror
                with suppress(OSError):
                    unfinished.unlink()
        warn_once(
            f"compiled functions cannot be kept ({reason}), so the next start compiles again: "
            "set NUMBA_CACHE_DIR to a folder that can be written"
        )

    def file_name(self, signature, codegen):
        """One name per function, types, processor and Python; a new version overwrites the old file."""
        key = repr((signature, codegen.magic_tuple(), sys.implementation.cache_tag))
        return f"{self.name}.{DIGEST(key.encode()).hexdigest()[:16]}.nbc"


@once
def _version(subpackage):
    """A digest of numba's version, this file and all sources of a subpackage; None if they cannot be read."""
    digest = DIGEST(numba.__version__.encode())
    try:
        for source in [Path(__file__), *sorted((PACKAGE / subpackage).rglob("*.py"))]:
            digest.update(source.read_bytes())
    except OSError:  # the package is in a zip file on sys.path
        warn_once(
            "the package is not in a folder, so compiled functions are not kept: each start compiles again"
        )
        return None
    return digest.digest()
