"""A process that has predicted is forked: the child predicts too, or is refused in words; it never hangs."""

import importlib
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

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


def forked():
    child = os.fork()
    if child == 0:
        answer = 1
        try:
            answer = 0 if (predict() == wanted).all() else 2
        except StateError as error:
            answer = 3 if "spawn" in str(error) and "workqueue" in str(error) else 4
        finally:
            os._exit(answer)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        process, status = os.waitpid(child, os.WNOHANG)
        if process:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return "it hangs"


before = "before"
if "early" in sys.argv:  # nothing was computed yet: the child makes a pool of its own
    wanted = 0
    before = forked()
wanted = predict()
answers = {forked()}
stop = threading.Event()


def busy():
    while not stop.is_set():
        predict()


threads = [threading.Thread(target=busy) for _ in range(2)]
for thread in threads:
    thread.start()
answers |= {forked() for _ in range(8)}
stop.set()
for thread in threads:
    thread.join()
assert (predict() == wanted).all()  # the parent goes on
print(before, *answers)
"""


def run(layer, *arguments):
    try:
        importlib.import_module("numba.np.ufunc." + {"workqueue": layer}.get(layer, layer + "pool"))
    except ImportError:
        pytest.skip(f"numba's {layer} pool cannot be used here")
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"NUMBA_THREADING_LAYER": layer, "MINICNN_BOUNDSCHECK": ""},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_under_workqueue_a_child_computes_the_same():
    assert run("workqueue") == ["before", "0"]


def test_under_openmp_a_child_is_refused_in_words_or_computes_the_same():
    answers = run("omp", "early")
    assert answers[0] == "2"  # computed something else than 0: it was not refused
    from numba.np.ufunc import omppool

    assert answers[1:] == (["3"] if omppool.openmp_vendor == "GNU" else ["0"])
