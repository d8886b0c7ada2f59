"""Fork after predicting: the child predicts too, or gets an error that says what to do; it never hangs."""

import importlib
import os
import subprocess
import sys

import pytest

from minicnn.runtime.tbb import load_tbb

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

CODE = """
import os, sys, threading, time, warnings
import numpy as np
from minicnn import StateError
from minicnn.kernels import fast

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
x, weight = rng.random((64, 16, 16, 16), np.float32), rng.random((3, 3, 16, 16), np.float32)


def predict():
    return fast.conv2d_forward(x, weight, None, (1, 1), ((1, 1), (1, 1)))


def fork_and_predict():
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if (predict() == expected).all() else 2
        except StateError as error:
            code = 3 if "spawn" in str(error) and "workqueue" in str(error) else 4
        finally:
            os._exit(code)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        process, status = os.waitpid(child, os.WNOHANG)
        if process:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return "hangs"


before = "before"
if "early" in sys.argv:  # no kernel has run yet, so the child creates its own pool
    expected = 0
    before = fork_and_predict()
expected = predict()
exit_codes = {fork_and_predict()}
stop = threading.Event()


def busy():
    while not stop.is_set():
        predict()


threads = [threading.Thread(target=busy) for _ in range(2)]
for thread in threads:
    thread.start()
exit_codes |= {fork_and_predict() for _ in range(8)}
stop.set()
for thread in threads:
    thread.join()
assert (predict() == expected).all()  # the parent still works
print(before, *exit_codes)
"""


def run(layer, *arguments):
    load_tbb()
    try:
        importlib.import_module("numba.np.ufunc." + {"workqueue": layer}.get(layer, layer + "pool"))
    except ImportError:
        pytest.skip(f"numba's {layer} pool cannot be used here")
    result = subprocess.run(
        [sys.executable, "-c", CODE, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"NUMBA_THREADING_LAYER": layer, "MINICNN_BOUNDSCHECK": ""},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-1].split()  # numba's TBB pool prints lines of its own


def test_with_workqueue_a_child_computes_the_same():
    assert run("workqueue") == ["before", "0"]


def test_with_openmp_a_child_gets_a_clear_error_or_computes_the_same():
    exit_codes = run("omp", "early")
    assert exit_codes[0] == "2"  # it predicted; there was no expected result yet
    from numba.np.ufunc import omppool

    assert exit_codes[1:] == (["3"] if omppool.openmp_vendor == "GNU" else ["0"])


def test_with_tbb_a_child_computes_the_same():
    assert run("tbb") == ["before", "0"]
