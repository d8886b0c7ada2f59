"""The library of the package tbb is found where pip put it, and numba then takes TBB's pool of threads."""

import os
import subprocess
import sys

import pytest

from minicnn.runtime import tbb

CODE = """
import numpy as np, minicnn as mc
mc.Sequential([mc.Conv2D(8, 3)]).build((8, 8, 3)).predict(np.ones((4, 8, 8, 3)))
import numba
print(numba.threading_layer())
"""


def layer(**environment):
    environment = {
        key: value for key, value in os.environ.items() if key != "NUMBA_THREADING_LAYER"
    } | environment
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


@pytest.fixture(scope="module")
def found():
    path = tbb.find_tbb(tbb.NAMES.get(sys.platform, ""))
    if path is None:
        pytest.skip("the package tbb is not installed")
    return path


def test_numba_takes_tbb_where_it_is_found(found):
    assert found.is_file() and layer() == "tbb"


def test_another_pool_can_be_chosen(found):
    assert layer(NUMBA_THREADING_LAYER="workqueue") == "workqueue"


def test_a_library_that_is_nowhere_is_no_error(monkeypatch):
    assert tbb.find_tbb("libnowhere.so") is None and tbb.find_tbb("") is None
    monkeypatch.setattr(tbb, "NAMES", {})
    assert tbb.load_tbb() is False


def test_a_file_that_is_no_library_is_passed_over(monkeypatch, tmp_path):
    (tmp_path / "libtbb.so.12").write_bytes(b"no library")
    monkeypatch.setattr(tbb, "find_tbb", lambda name: tmp_path / "libtbb.so.12")
    monkeypatch.delenv("NUMBA_THREADING_LAYER", raising=False)
    assert tbb.load_tbb() is False
