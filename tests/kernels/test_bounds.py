"""The debug build detects accesses outside of an array: faults are planted in a separate process."""

import os
import subprocess
import sys

CODE = """
import numpy as np
from minicnn.runtime.compiling import njit
from minicnn.kernels import fast, reference
from minicnn.kernels.fast.memory import tile_width
from minicnn.kernels.fast.tiles.tile import add_row, tiles
from minicnn.kernels.fast.tiles.window import window_gradient

zeros, ones, width, tile_one = np.zeros, np.ones(999), tile_width("float64"), tiles[-1]
lanes = width // 2


@njit(cache=False, nogil=True, parallel=True)
def loop(a, i):
    a[np.uintp(i)] = 1


@njit(cache=False)
def tile(C, A, B, K):
    tile_one(C, 0, 0, A, 0, 0, 0, 1, B, 0, 0, width, 1, K)


@njit(cache=False)
def row(C, c0, A):
    add_row(C, c0, A, 0)


@njit(cache=False)
def gradient(part, x, dy, count):
    window_gradient(part, 0, x, 0, 0, 1, dy, 0, 1, count)


inside = [
    lambda: loop(zeros(5), 4),
    lambda: tile(zeros(width), ones[:7], ones[: 7 * width], 7),
    lambda: row(zeros(3 * width), 2 * width, ones[:width]),
    lambda: gradient(zeros(10 * lanes), ones, ones, 4),
]
outside = [
    lambda: loop(zeros(5), 5),
    lambda: loop(zeros(5), -1),
    lambda: tile(zeros(width - 1), ones[:7], ones[: 7 * width], 7),
    lambda: tile(zeros(width), ones[:6], ones[: 7 * width], 7),
    lambda: tile(zeros(width), ones[:7], ones[: 7 * width - 1], 7),
    lambda: row(zeros(3 * width), 2 * width + 1, ones[:width]),
    lambda: row(zeros(3 * width), -1, ones[:width]),
    lambda: gradient(zeros(10 * lanes - 1), ones, ones, 4),
    lambda: fast.conv2d_backward(zeros((2, 6, 6, 20)), zeros((3, 8, 8, 17)), zeros((3, 3, 17, 20)), (1, 1),
                                 ((0, 0), (0, 0))),
    lambda: fast.adam_step(zeros(9), zeros(9), zeros(8), zeros(9), 0.1, 0.9, 0.9, 0.1, 0.0),
]
for access in inside:
    access()
for i, access in enumerate(outside):
    try:
        access()
    except IndexError:
        continue
    print("not detected:", i)
x, weight = ones[:300].reshape(3, 10, 10, 1), ones[:18].reshape(3, 3, 1, 2)
none = ((0, 0), (0, 0))
expected = reference.conv2d_forward(x, weight, None, (1, 1), none)
assert (abs(fast.conv2d_forward(x, weight, None, (1, 1), none) - expected) < 1e-12).all()
print("done")
"""


def test_planted_accesses_outside_of_arrays_are_detected():
    result = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        env=os.environ | {"MINICNN_BOUNDSCHECK": "1"},
    )
    assert result.stdout.split("\n")[-2:] == ["done", ""] and "not detected" not in result.stdout, (
        result.stdout + result.stderr
    )
