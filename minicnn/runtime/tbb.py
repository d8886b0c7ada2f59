"""Finding the library of oneTBB, so that numba's threads come from a pool that gives cores away.

numba has three thread pools.  OpenMP's threads spin while they wait: next to one other busy process, training lost most
of its speed (benchmarks/results/busy.md).  TBB's threads sleep soon, and a free thread takes the next chunk.  numba
prefers TBB, but looks for its library only where the system's loader does, and not where pip puts it.  Therefore the
library is loaded here, before numba is imported.  Without the package `tbb`, numba uses OpenMP or its own pool, with
the same results.  Called by compiling.py.
"""

import ctypes
import importlib.metadata
import os
import sys
from contextlib import suppress
from pathlib import Path

NAMES = {"linux": "libtbb.so.12", "win32": "tbb12.dll", "darwin": "libtbb.12.dylib"}
LAYERS = ("default", "safe", "threadsafe", "tbb")  # values of NUMBA_THREADING_LAYER that allow TBB


def load_tbb() -> bool:
    """Load the library, unless NUMBA_THREADING_LAYER names another pool; returns whether it was found."""
    if os.environ.get("NUMBA_THREADING_LAYER", "default").lower() not in LAYERS:
        return False
    path = find_tbb(NAMES.get(sys.platform, ""))
    if path is None:
        return False
    with suppress(OSError):  # a library of another processor
        ctypes.CDLL(str(path), mode=getattr(ctypes, "RTLD_GLOBAL", 0))
        return True
    return False


def find_tbb(name: str) -> Path | None:
    """Where pip put the library of that name: in the environment's own folder, or where the package lists it."""
    for folder in ("lib", "Library/bin"):
        if name and (path := Path(sys.prefix, folder, name)).is_file():
            return path
    with suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("tbb") or ():
            if file.name == name and (path := Path(str(file.locate())).resolve()).is_file():
                return path
    return None
