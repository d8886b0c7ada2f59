"""Fixture: processes that test the kernels compiled for narrower vectors, started early because they take a minute.

They run at low priority next to the other tests.  The program is `narrower_vectors.py`; `test_threads.py` uses it.
"""

import contextlib
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

FEATURES = {"128 bits": "", "AVX2": "+sse2,+avx,+avx2,+fma"}
PROCESSES = pytest.StashKey[dict]()


def pytest_collection_finish(session):
    """Start the program once for each processor that a test of this session needs."""
    processes = session.config.stash[PROCESSES] = {}
    cleanup = contextlib.ExitStack()
    session.config.add_cleanup(cleanup.close)
    if session.config.option.collectonly or platform.machine().lower() not in ("x86_64", "amd64"):
        return  # FEATURES are those of x86 processors
    command = [sys.executable, str(Path(__file__).with_name("narrower_vectors.py"))]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    for name in {
        item.callspec.params["narrower"] for item in session.items if "narrower" in item.fixturenames
    }:
        cache = cleanup.enter_context(tempfile.TemporaryDirectory())
        settings = {
            "NUMBA_CPU_NAME": "generic",
            "NUMBA_CPU_FEATURES": FEATURES[name],
            "NUMBA_CACHE_DIR": cache,
        }
        process = cleanup.enter_context(subprocess.Popen(command, **pipes, env=os.environ | settings))
        cleanup.callback(process.kill)
        processes[name] = process


@pytest.fixture
def narrower(request) -> subprocess.Popen:
    """The process for the processor that the parameter names."""
    return request.config.stash[PROCESSES][request.param]
