"""Kernels for narrower vectors, compiled beside the other tests: it takes a minute of a core that is idle."""

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
    """Start the program for each kind of processor that a test of this session is about."""
    processes = session.config.stash[PROCESSES] = {}
    at_the_end = contextlib.ExitStack()
    session.config.add_cleanup(at_the_end.close)
    if session.config.option.collectonly or platform.machine().lower() not in ("x86_64", "amd64"):
        return  # these are features of x86 processors
    command = [sys.executable, str(Path(__file__).with_name("narrower_vectors.py"))]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    for name in {
        item.callspec.params["narrower"] for item in session.items if "narrower" in item.fixturenames
    }:
        cache = at_the_end.enter_context(tempfile.TemporaryDirectory())
        settings = {
            "NUMBA_CPU_NAME": "generic",
            "NUMBA_CPU_FEATURES": FEATURES[name],
            "NUMBA_CACHE_DIR": cache,
        }
        process = at_the_end.enter_context(subprocess.Popen(command, **pipes, env=os.environ | settings))
        at_the_end.callback(process.kill)
        processes[name] = process


@pytest.fixture
def narrower(request) -> subprocess.Popen:
    """The process of the processor that the parameter names."""
    return request.config.stash[PROCESSES][request.param]
