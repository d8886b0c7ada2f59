"""Fixture: a process that tests the kernels compiled for narrower vectors; the program is `narrower_vectors.py`."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FEATURES = {"128 bits": "", "AVX2": "+sse2,+avx,+avx2,+fma"}  # of x86 processors


@pytest.fixture
def narrower(request) -> Iterator[subprocess.Popen]:
    """The process for the processor that the parameter names; what it compiles stays in pytest's cache."""
    cache = request.config.cache.mkdir("narrower-vectors-" + request.param.replace(" ", "-"))
    settings = {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": FEATURES[request.param],
        "NUMBA_CACHE_DIR": str(cache),
    }
    command = [sys.executable, str(Path(__file__).with_name("narrower_vectors.py"))]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, env=os.environ | settings) as process:
        yield process
        process.kill()
