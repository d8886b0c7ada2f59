"""The buffer pool of the fast kernels: a steady training step takes no new memory, and memory does not grow."""

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
from minicnn.kernels.fast.memory import Buffer

LARGE = 1 << 20


def small_network():
    layers = [Conv2D(16, 3), ReLU(), MaxPool2D(2), Conv2D(16, 3), ReLU(), Flatten(), Dense(1), Sigmoid()]
    model = Sequential(layers).build((14, 14, 3))
    model.compile()
    rng = np.random.default_rng(0)
    return model, rng.random((48, 14, 14, 3), dtype=np.float32), rng.integers(0, 2, (48, 1)).astype("float32")


def narrowing_network():
    """Each block outputs half as much as the one before: arrays of many sizes, few of them in use at once."""
    layers = []
    for filters in (16, 32, 64):
        layers += [Conv2D(filters, 3, padding="same"), BatchNormalization(), ReLU(), MaxPool2D(2)]
    return Sequential([*layers, Flatten(), Dense(1)]).build((32, 32, 3))


def resident():
    """Resident memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE


def test_memory_returns_when_no_array_refers_to_it_and_is_never_lent_twice():
    buffer_pool = memory.BufferPool()
    first = buffer_pool.take(LARGE)
    view, address = first[10:20], first.ctypes.data
    second = buffer_pool.take(LARGE)
    assert len(first) >= LARGE and not np.may_share_memory(first, second)
    del first
    assert buffer_pool.idle == 0  # the view still refers to it
    del view
    assert buffer_pool.idle == buffer_pool.in_use > 0
    assert buffer_pool.take(LARGE - 5000).ctypes.data == address  # a little smaller: the same buffer


def test_total_memory_is_at_most_twice_the_peak_in_use():
    buffer_pool = memory.BufferPool()
    for size in range(LARGE, 9 * LARGE, LARGE):
        held = [buffer_pool.take(size) for _ in range(2)]
        assert buffer_pool.in_use + buffer_pool.idle <= 2 * buffer_pool.peak < 2 * 19 * LARGE
        del held
    assert buffer_pool.peak < buffer_pool.idle <= 2 * buffer_pool.peak
    assert buffer_pool.in_use == 0


def test_memory_of_a_large_job_is_freed_while_a_small_one_runs(monkeypatch):
    monkeypatch.setattr(memory, "WINDOW", 10)
    buffer_pool = memory.BufferPool()
    held = [buffer_pool.take(LARGE) for _ in range(20)]
    del held
    for _ in range(30):
        buffer_pool.take(LARGE)
    assert buffer_pool.idle <= 2 * buffer_pool.peak <= 4 * LARGE
    assert buffer_pool.in_use == 0


def test_release_frees_memory_at_once():
    buffer_pool = memory.BufferPool()
    held, idle = buffer_pool.take(LARGE), buffer_pool.take(LARGE)
    del idle
    buffer_pool.release()
    assert buffer_pool.idle == 0 < buffer_pool.in_use
    del held
    assert buffer_pool.idle > 0
    memory.BUFFER_POOL.take(LARGE)
    release_memory()
    assert memory.BUFFER_POOL.idle == 0


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
def test_a_scratch_buffer_has_space_for_the_border_if_there_is_one(padding, slack, always, values):
    threads, capacity = memory.bordered(np.empty((3, 4, 5, 2)), padding, slack, always).shape
    assert threads == numba.get_num_threads()
    assert capacity == 0 if values == 0 else values <= capacity < values + memory.LINE


@pytest.mark.skipif(sys.platform != "linux", reason="page faults are counted here")
def test_a_steady_step_takes_no_new_memory():
    """A page fault takes a page of 4 KB; the arrays of one step here take some hundreds of pages."""
    import resource

    model, x, y = small_network()
    for _ in range(10):
        model.train_step(x, y)
    gc.collect()
    held = memory.BUFFER_POOL.idle + memory.BUFFER_POOL.in_use
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        model.train_step(x, y)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert memory.BUFFER_POOL.idle + memory.BUFFER_POOL.in_use == held
    assert faults < 10 * 50, "more than ten pages per step"


def test_arrays_of_many_sizes_reuse_the_memory_of_an_earlier_prediction(monkeypatch):
    buffer_pool, made = memory.BufferPool(), []  # new, so that no larger network has set its peak
    monkeypatch.setattr(memory, "BUFFER_POOL", buffer_pool)
    monkeypatch.setattr(memory, "Buffer", lambda size: made.append(Buffer(size)) or made[-1])
    model, x = narrowing_network(), np.zeros((32, 32, 32, 3), "float32")
    for _ in range(3):
        model.forward(x)
    # there are so many sizes that they are never all in use at once
    assert 0 < buffer_pool.peak < sum(buffer.size for buffer in made)
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
