"""Fixture: processes that test the kernels compiled for narrower vectors; the program is `narrower_vectors.py`."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FEATURES = {"128 bits": "", "AVX2": "+sse2,+avx,+avx2,+fma"}  # of x86 processors


@pytest.fixture(scope="session")
def narrower(request) -> Iterator[dict[str, subprocess.Popen]]:
    """One process per processor, all started at once; what they compile stays in pytest's cache."""
    command = [sys.executable, str(Path(__file__).with_name("narrower_vectors.py"))]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with contextlib.ExitStack() as stack:
        processes = {}
        for name, features in FEATURES.items():
            cache = request.config.cache.mkdir("narrower-vectors-" + name.replace(" ", "-"))
            settings = {
                "NUMBA_CPU_NAME": "generic",
                "NUMBA_CPU_FEATURES": features,
                "NUMBA_CACHE_DIR": str(cache),
            }
            process = stack.enter_context(subprocess.Popen(command, **pipes, env=os.environ | settings))
            stack.callback(process.kill)
            processes[name] = process
        yield processes
