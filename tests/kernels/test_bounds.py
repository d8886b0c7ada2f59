"""The debug build finds accesses outside of an array; a process of its own, in which faults are planted."""

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

zeros, some, width, tile_one = np.zeros, np.ones(999), tile_width("float64"), tiles[-1]
lanes = width // 2


@njit(cache=False, nogil=True, parallel=True)
def a_loop(a, i):
    a[np.uintp(i)] = 1


@njit(cache=False)
def a_tile(C, A, B, K):
    tile_one(C, 0, 0, A, 0, 0, 0, 1, B, 0, 0, width, 1, K)


@njit(cache=False)
def a_row(C, c0, A):
    add_row(C, c0, A, 0)


@njit(cache=False)
def a_gradient(part, x, dy, count):
    window_gradient(part, 0, x, 0, 0, 1, dy, 0, 1, count)


correct = [
    lambda: a_loop(zeros(5), 4),
    lambda: a_tile(zeros(width), some[:7], some[: 7 * width], 7),
    lambda: a_row(zeros(3 * width), 2 * width, some[:width]),
    lambda: a_gradient(zeros(10 * lanes), some, some, 4),
]
outside = [
    lambda: a_loop(zeros(5), 5),
    lambda: a_loop(zeros(5), -1),
    lambda: a_tile(zeros(width - 1), some[:7], some[: 7 * width], 7),
    lambda: a_tile(zeros(width), some[:6], some[: 7 * width], 7),
    lambda: a_tile(zeros(width), some[:7], some[: 7 * width - 1], 7),
    lambda: a_row(zeros(3 * width), 2 * width + 1, some[:width]),
    lambda: a_row(zeros(3 * width), -1, some[:width]),
    lambda: a_gradient(zeros(10 * lanes - 1), some, some, 4),
    lambda: fast.conv2d_backward(zeros((2, 6, 6, 20)), zeros((3, 8, 8, 17)), zeros((3, 3, 17, 20)), (1, 1),
                                 ((0, 0), (0, 0))),
    lambda: fast.adam_step(zeros(9), zeros(9), zeros(8), zeros(9), 0.1, 0.9, 0.9, 0.1, 0.0),
]
for one in correct:
    one()
for i, one in enumerate(outside):
    try:
        one()
    except IndexError:
        continue
    print("not found:", i)
x, weight = some[:300].reshape(3, 10, 10, 1), some[:18].reshape(3, 3, 1, 2)
none = ((0, 0), (0, 0))
wanted = reference.conv2d_forward(x, weight, None, (1, 1), none)
assert (abs(fast.conv2d_forward(x, weight, None, (1, 1), none) - wanted) < 1e-12).all()
print("done")
"""


def test_planted_accesses_outside_of_arrays_are_found():
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        env=os.environ | {"MINICNN_BOUNDSCHECK": "1"},
    )
    assert done.stdout.split("\n")[-2:] == ["done", ""] and "not found" not in done.stdout, (
        done.stdout + done.stderr
    )
