"""Memory of the fast kernels: steps hand it on, so a steady one asks the system for nothing and nothing grows."""

import gc
import mmap
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from minicnn import BatchNormalization, Conv2D, Dense, Flatten, MaxPool2D, ReLU, Sequential, Sigmoid
from minicnn.kernels import release_memory
from minicnn.kernels.fast import memory
from minicnn.kernels.fast.memory import Piece

LARGE = 1 << 20


def small_network():
    layers = [Conv2D(16, 3), ReLU(), MaxPool2D(2), Conv2D(16, 3), ReLU(), Flatten(), Dense(1), Sigmoid()]
    model = Sequential(layers).build((14, 14, 3))
    model.compile()
    rng = np.random.default_rng(0)
    return model, rng.random((48, 14, 14, 3), dtype=np.float32), rng.integers(0, 2, (48, 1)).astype("float32")


def narrowing_network():
    """Each block gives half of what the one before gave: arrays of many sizes, few of them at once."""
    layers = []
    for filters in (16, 32, 64):
        layers += [Conv2D(filters, 3, padding="same"), BatchNormalization(), ReLU(), MaxPool2D(2)]
    return Sequential([*layers, Flatten(), Dense(1)]).build((32, 32, 3))


def resident():
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE


def test_memory_comes_back_when_nobody_looks_at_it_and_is_never_lent_twice():
    recycler = memory.Recycler()
    first = recycler.take(LARGE)
    view, address = first[10:20], first.ctypes.data
    second = recycler.take(LARGE)
    assert len(first) >= LARGE and not np.may_share_memory(first, second)
    del first
    assert recycler.idle == 0  # the view still looks at it
    del view
    assert recycler.idle == recycler.in_use > 0
    assert recycler.take(LARGE - 5000).ctypes.data == address  # a little smaller: the same piece


def test_no_more_is_kept_than_twice_what_was_once_in_use():
    recycler = memory.Recycler()
    for size in range(LARGE, 9 * LARGE, LARGE):
        held = [recycler.take(size) for _ in range(2)]
        assert recycler.in_use + recycler.idle <= 2 * recycler.most < 2 * 19 * LARGE
        del held
    assert recycler.most < recycler.idle <= 2 * recycler.most
    assert recycler.in_use == 0


def test_what_a_large_job_left_is_given_back_while_a_small_one_works(monkeypatch):
    monkeypatch.setattr(memory, "WINDOW", 10)
    recycler = memory.Recycler()
    held = [recycler.take(LARGE) for _ in range(20)]
    del held
    for _ in range(30):
        recycler.take(LARGE)
    assert recycler.idle <= 2 * recycler.most <= 4 * LARGE
    assert recycler.in_use == 0


def test_released_memory_is_given_back_at_once():
    recycler = memory.Recycler()
    held, idle = recycler.take(LARGE), recycler.take(LARGE)
    del idle
    recycler.release()
    assert recycler.idle == 0 < recycler.in_use
    del held
    assert recycler.idle > 0
    memory.RECYCLER.take(LARGE)
    release_memory()
    assert memory.RECYCLER.idle == 0


@pytest.mark.parametrize("shape", [(3, 5), (1 << 16,), (2, 1 << 20)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_empty_has_the_shape_and_large_arrays_begin_on_a_cache_line(shape, dtype):
    array = memory.empty(shape, dtype)
    assert (
        array.shape == shape and array.dtype == dtype and array.flags.c_contiguous and array.flags.writeable
    )
    assert array.nbytes < memory.SMALL or array.ctypes.data % memory.LINE == 0


@pytest.mark.parametrize(
    ("padding", "slack", "always", "values"),
    [
        (((0, 0), (0, 0)), 9, False, 0),
        (((0, 0), (0, 0)), 0, True, 4 * 5 * 2),
        (((0, 0), (0, 0)), 9, True, 4 * 5 * 2 + 9),
        (((1, 0), (0, 2)), 9, False, 5 * 7 * 2 + 9),
    ],
)
def test_a_picture_has_room_for_its_border_where_it_needs_one(padding, slack, always, values):
    threads, room = memory.bordered(np.empty((3, 4, 5, 2)), padding, slack, always).shape
    assert threads == numba.get_num_threads()
    assert room == 0 if values == 0 else values <= room < values + memory.LINE


@pytest.mark.skipif(sys.platform != "linux", reason="page faults are counted here")
def test_a_steady_step_takes_no_new_memory():
    """A fault is a page of 4 KB; the arrays of one step here hold some hundreds of pages."""
    import resource

    model, x, y = small_network()
    for _ in range(10):
        model.train_step(x, y)
    gc.collect()
    held = memory.RECYCLER.idle + memory.RECYCLER.in_use
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        model.train_step(x, y)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert memory.RECYCLER.idle + memory.RECYCLER.in_use == held
    assert faults < 10 * 50, "more than ten pages a step"


def test_arrays_of_many_sizes_find_what_an_earlier_prediction_gave_back(monkeypatch):
    recycler, made = memory.Recycler(), []  # that remembers no larger network
    monkeypatch.setattr(memory, "RECYCLER", recycler)
    monkeypatch.setattr(memory, "Piece", lambda size: made.append(Piece(size)) or made[-1])
    model, x = narrowing_network(), np.zeros((32, 32, 32, 3), "float32")
    for _ in range(3):
        model.forward(x)
    assert (
        0 < recycler.most < sum(piece.size for piece in made)
    )  # so many sizes that all are never in use at once
    made.clear()
    model.forward(x)
    assert made == []


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_memory_does_not_grow_over_ten_thousand_steps():
    model, x, y = small_network()
    for _ in range(1000):
        model.train_step(x, y)
    gc.collect()
    before = resident()
    for _ in range(9000):
        model.train_step(x, y)
    assert resident() - before < LARGE
