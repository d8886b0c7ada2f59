"""Tests of prefetch: order, number of prepared items, errors, and threads."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import minicnn as mc
from minicnn.data import Augmentation, Loader
from minicnn.data.prefetch import prefetch


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("minicnn-batches")]


def test_one_other_thread_prepares_all_items_in_order():
    makers = []

    def items():
        for n in range(20):
            makers.append(threading.get_ident())
            yield n

    assert list(prefetch(items())) == list(range(20))
    assert len(set(makers)) == 1 and makers[0] != threading.get_ident() and not threads()


def test_at_most_ahead_items_are_prepared():
    made = []

    def items():
        for n in range(10):
            made.append(n)
            yield n

    running = prefetch(items(), ahead=2)
    assert next(running) == 0
    deadline = time.monotonic() + 10
    while made != [0, 1, 2] and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.05)
    assert made == [0, 1, 2]
    running.close()
    assert not threads()


def test_an_error_is_raised_at_its_place_in_the_order():
    def items():
        yield 1
        raise ValueError("of the second")

    running = prefetch(items())
    assert next(running) == 1
    with pytest.raises(ValueError, match="of the second"):
        next(running)
    assert list(running) == [] and not threads()


def test_no_thread_is_left_when_training_fails():
    x = np.zeros((30, 2, 2, 3), np.uint8)
    model = mc.Sequential([mc.Flatten(), mc.Dense(1), mc.Sigmoid()]).build((2, 2, 3))
    model.compile()
    model.layers[1].parameters[0].value[:] = np.nan
    with pytest.raises(mc.NonFiniteError) as error:  # which keeps the frames of training alive
        model.fit(Loader(x, np.zeros(30), 2), epochs=1, verbose=0)
    assert error.value and not threads()
    with pytest.raises(mc.ShapeError) as error:
        model.predict(Loader(np.zeros((9, 3, 3, 3), np.uint8), np.zeros(9), 2))
    assert error.value and not threads()


def test_a_process_can_end_in_the_middle_of_a_loop():
    code = """
from minicnn.data.prefetch import prefetch
running = prefetch(range(100))
print(next(running))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("0\n", "", 0)


def test_augmentation_runs_in_parallel_with_the_fast_kernels(rng, monkeypatch):
    """Warping and training run at the same time in compiled code; the weights are those of running in sequence."""
    images, labels = rng.integers(0, 256, (48, 24, 24, 3), dtype=np.uint8), np.arange(48) % 2
    change = Augmentation(
        rotation_range=12, horizontal_flip=True, contrast_range=(0.7, 1.3), crop_scale=(0.3, 1)
    )

    def weights():
        model = mc.networks.two_block(kernels="fast").build((24, 24, 3))
        model.compile()
        training = Loader(images, labels, 4, shuffle=True, augmentation=change, mixup=0.2)
        model.fit(training, validation_data=Loader(images, labels), epochs=6, verbose=0)
        return model.get_weights()

    together = weights()
    monkeypatch.setattr("minicnn.data.loader.prefetch", lambda items: items)
    for one, other in zip(together, weights(), strict=True):
        np.testing.assert_array_equal(one, other)


FORK = """
import os, signal, sys
import numpy as np
from minicnn import StateError
from minicnn.data import Augmentation, Loader

images = np.random.default_rng(0).integers(0, 256, (8, 9, 9, 3), dtype=np.uint8)
turn = Augmentation(rotation_range=20)

def change():
    return turn(images, range(8), threads=2)

def child(work):
    sys.stdout.flush()
    if not (process := os.fork()):
        signal.alarm(20)  # a signal ends a child that waits forever
        try:
            print(work(), flush=True)
        finally:
            os._exit(0)
    return os.waitpid(process, 0)[1]

def half():
    try:
        list(running)
    except StateError as error:
        return str(error)

before = change()
running = Loader(images, np.arange(8), 2).batches(0)
next(running)
ended = [
    child(lambda: np.array_equal(change(), before)),
    child(half),
    child(lambda: len(list(Loader(images, np.arange(8), 2).batches(0)))),
]
print(ended, len(list(running)), np.array_equal(change(), before))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_has_its_own_threads_and_refuses_its_parents_loop():
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    assert lines[0] == "True" and "Begin a new loop" in lines[1] and lines[2] == "4", done.stderr
    assert lines[3] == "[0, 0, 0] 3 True"
