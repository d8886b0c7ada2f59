"""Tests of the cache of compiled functions, with the smallest kernel in real processes that have their own folders."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import minicnn

PACKAGE = Path(minicnn.__file__).parent
COMPILING, CANNOT_KEEP = "minicnn: compiling for this processor", "minicnn: compiled functions cannot be kept"
CODE = """
import sys
import numpy as np
from minicnn.kernels import fast

x = np.array([[1, 2, 3], [4, 5, 6]], sys.argv[1])
print(fast.dense_forward(x, np.ones((3, 4096), x.dtype), None)[:, 0].tolist())
"""
ANSWER = "[6.0, 15.0]"


def start(cache, root=PACKAGE.parent, dtype="float32", **settings):
    environment = os.environ | {"PYTHONPATH": str(root), "NUMBA_CACHE_DIR": str(cache)} | settings
    command = [sys.executable, "-c", CODE, dtype]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=root
    )


def end(process):
    """(the output, or the exit status if the process failed; the lines on standard error)."""
    out, errors = process.communicate(timeout=300)
    return process.returncode or out.strip(), errors.splitlines()


def run(*arguments, **settings):
    return end(start(*arguments, **settings))


@pytest.fixture
def copy(tmp_path):
    """A copy of the package that can be changed."""
    shutil.copytree(PACKAGE, tmp_path / "copy" / "minicnn", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "copy"


def test_compiled_functions_are_found_by_later_processes_and_damaged_files_are_replaced(tmp_path):
    together = [start(tmp_path, dtype=dtype) for dtype in ("float32", "float32", "float64")]
    for answer, lines in list(map(end, together)):
        assert answer == ANSWER, lines
        assert len(lines) == 1 and lines[0].startswith(COMPILING)
    for dtype in ("float32", "float64"):
        assert run(tmp_path, dtype=dtype) == (ANSWER, [])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files and {path.suffix for path in files} == {".nbc"}  # no unfinished file is left
    for path in files:
        path.write_bytes(path.read_bytes()[:-100])
    answer, lines = run(tmp_path)
    assert answer == ANSWER and len(lines) == 1
    assert run(tmp_path) == (ANSWER, [])


def test_a_change_in_any_file_of_the_subpackage_is_noticed(copy, tmp_path):
    assert run(tmp_path / "cache", copy)[0] == ANSWER
    vectors = copy / "minicnn" / "kernels" / "fast" / "tiles" / "vectors.py"
    source = vectors.read_text(encoding="utf-8")
    start_of_sums = "zero = self.builder, ir.Constant(self.vector, [0.0] * self.lanes)"
    assert source.count(start_of_sums) == 1
    vectors.write_text(source.replace(start_of_sums, start_of_sums.replace("0.0", "100.0")), encoding="utf-8")
    answer, lines = run(tmp_path / "cache", copy)
    assert (
        answer == "[306.0, 315.0]" and len(lines) == 1
    )  # three rows of weights, a sum that starts at 100 each
    assert run(tmp_path / "cache", copy) == (answer, [])


@pytest.mark.skipif(os.name == "nt", reason="the user's cache is elsewhere on Windows")
def test_without_a_writable_folder_it_works_and_prints_why(copy, tmp_path):
    """A file is in the place of each folder, which stops even root.  Without a home there is no other folder."""
    (tmp_path / "file").touch()
    for source in (copy / "minicnn" / "kernels" / "fast").rglob("__init__.py"):
        source.with_name("__pycache__").touch()
    together = []
    for cache, home in (("", "file/cache"), ("", ""), ("file/cache", "elsewhere")):
        nowhere = {"HOME": str(tmp_path / "file"), "XDG_CACHE_HOME": str(home and tmp_path / home)}
        together.append(start(cache and tmp_path / cache, copy, **nowhere))
    for answer, lines in list(map(end, together)):
        assert answer == ANSWER, lines
        assert len(lines) == 2 and lines[0].startswith(COMPILING)
        assert lines[1].startswith(CANNOT_KEEP)
    assert not list(tmp_path.rglob("*.nbc*"))


def test_the_fast_set_refuses_numba_disable_jit():
    code = """
from minicnn import ArgumentError
from minicnn.kernels import kernel_set
try:
    kernel_set("fast")
except ArgumentError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
    )
    assert "NUMBA_DISABLE_JIT=1" in done.stdout and 'kernels="im2col"' in done.stdout, done.stderr


@pytest.mark.skipif(os.name == "nt", reason="the user's cache is elsewhere on Windows")
def test_an_installed_package_keeps_its_files_in_the_users_cache(tmp_path):
    """So that `pip uninstall` leaves nothing in site-packages."""
    installed = tmp_path / "site-packages"
    shutil.copytree(PACKAGE, installed / "minicnn", ignore=shutil.ignore_patterns("__pycache__"))
    user = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    answer, lines = run("", installed, **user)
    assert answer == ANSWER, lines
    assert not list(installed.rglob("*.nbc")) and list((tmp_path / "cache").rglob("*.nbc"))
    assert run("", installed, **user) == (ANSWER, [])


def test_a_package_in_a_zip_file_compiles_without_a_cache(tmp_path):
    with zipfile.ZipFile(tmp_path / "library.zip", "w") as archive:
        for source in PACKAGE.rglob("*.py"):
            archive.write(source, source.relative_to(PACKAGE.parent))
    code = CODE.replace("fast.dense_forward", "reference.dense_forward").replace(
        "import fast", "import reference"
    )
    code += (
        "from minicnn.data import resizing\nprint(resizing.resize(np.ones((4, 4), np.uint32), 1, 1).tolist())"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "library.zip"), "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", code, "float32"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.stdout.splitlines() == [ANSWER, "[[[1, 0, 0]]]"], done.stderr
    assert "not in a folder" in done.stderr and not list(tmp_path.rglob("*.nbc"))


def test_the_debug_build_has_its_own_files(tmp_path):
    for settings in ({}, {"MINICNN_BOUNDSCHECK": "1"}):
        assert run(tmp_path, **settings)[0] == ANSWER
        assert run(tmp_path, **settings) == (ANSWER, [])
    files = {path.name for path in tmp_path.rglob("*.nbc")}
    assert 0 < len([name for name in files if ".boundscheck." in name]) < len(files)
