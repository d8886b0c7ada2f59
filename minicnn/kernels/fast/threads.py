"""One kernel at a time, on as many threads as `set_threads` says.

Each kernel uses all cores, and numba's simplest thread pool ends the process when two enter: several Python
threads may still predict at once, they take turns at the cores.  numba keeps its number of threads for each Python
thread, so it is set here, where they all pass, and put back.

The turns only cover this library's kernels.  If another thread runs a parallel numba loop of the user's own at the same
time, numba's pool "workqueue" ends the process ("Concurrent access has been detected"); its pools "omp" and "tbb" do
not.  NUMBA_THREADING_LAYER chooses the pool; numba picks omp by itself where there is one.

A process may be forked at any time, also while another thread predicts: the fork waits until no kernel runs, so that
the child finds free locks and a resting pool.  GNU's OpenMP cannot be used in a child of a process that has used it,
and would end the child; so there every kernel raises StateError.
"""

import functools
import os
import threading
from collections.abc import Callable

import numba
import numpy as np
from numba.core.compiler_lock import global_compiler_lock
from numba.core.errors import TypingError

from ...errors import ArgumentError, StateError
from ...runtime.threads import get_threads
from .memory import RECYCLER

CORES = threading.Lock()
LOCKS = CORES, global_compiler_lock, RECYCLER.lock  # in the order in which a thread may come to hold them

_lost = False  # whether this is a child process in which numba's pool of threads cannot be used


def one_at_a_time(function: Callable) -> Callable:
    """`function`, entered by one Python thread at a time."""

    @functools.wraps(function)
    def alone(*arguments, **options):
        with CORES:
            if _lost:
                raise StateError(
                    function.__name__,
                    "a process whose parent has not used OpenMP",
                    "a fork of one that has",
                    'Use multiprocessing.get_context("spawn") or NUMBA_THREADING_LAYER=workqueue.',
                )
            wanted, before = get_threads(), None
            if wanted is not None and (found := numba.get_num_threads()) != wanted:
                before = found
                numba.set_num_threads(wanted)
            try:
                return function(*arguments, **options)
            except TypingError as error:  # where it was compiled for these: later calls have nothing to check
                found = ", ".join(str(array.dtype) for array in arguments if isinstance(array, np.ndarray))
                expected = "arrays of one type, float32 or float64"
                raise ArgumentError(
                    function.__name__, expected, found, "Cast them to the model's dtype."
                ) from error
            finally:
                if before is not None:
                    numba.set_num_threads(before)

    return alone


def _before_fork():
    for lock in LOCKS:
        lock.acquire()


def _after_fork():
    for lock in reversed(LOCKS):
        lock.release()


def _after_fork_in_child():
    global _lost
    _after_fork()
    _lost = _lost or _pool_is_lost()


def _pool_is_lost():
    """Whether the parent has used a pool that does not survive a fork: OpenMP as GNU makes it."""
    try:
        if numba.threading_layer() != "omp":
            return False
    except ValueError:  # no pool was made yet
        return False
    from numba.np.ufunc import omppool

    return omppool.openmp_vendor == "GNU"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
