"""Run one kernel at a time, on the number of threads that `set_threads` chose.

A lock surrounds every kernel: each one uses all cores, and numba's simplest thread pool ends the process if two Python
threads enter it.  So several Python threads may predict at once, but their kernels take turns.  numba stores its number
of threads per Python thread; it is set here before each kernel and restored afterwards.  Called by `fast/__init__.py`,
which wraps every kernel in `serialized`.

The lock covers only this library's kernels.  If another thread runs the user's own parallel numba loop at the same
time, numba's pool "workqueue" ends the process ("Concurrent access has been detected"); the pools "omp" and "tbb" do
not.  NUMBA_THREADING_LAYER chooses the pool; numba takes omp by default where it is available.

A process may be forked at any time, even while another thread predicts: the fork waits until no kernel runs, so that
the child finds free locks and an idle pool.  GNU's OpenMP cannot be used in a child of a process that has used it: it
would end the child.  There, every kernel raises StateError instead.
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
from .memory import BUFFER_POOL

KERNEL_LOCK = threading.Lock()
# in the order in which a thread may acquire them
LOCKS = (KERNEL_LOCK, global_compiler_lock, BUFFER_POOL.lock)

_pool_unusable = False  # whether this is a forked child in which numba's thread pool cannot be used


def serialized(function: Callable) -> Callable:
    """`function`, which then runs in only one Python thread at a time."""

    @functools.wraps(function)
    def wrapper(*arguments, **options):
        with KERNEL_LOCK:
            if _pool_unusable:
                raise StateError(
                    function.__name__,
                    "a process whose parent has not used OpenMP",
                    "a fork of a process that has",
                    'Use multiprocessing.get_context("spawn") or NUMBA_THREADING_LAYER=workqueue.',
                )
            wanted, before = get_threads(), None
            if wanted is not None and (found := numba.get_num_threads()) != wanted:
                before = found
                numba.set_num_threads(wanted)
            try:
                return function(*arguments, **options)
            except (
                TypingError
            ) as error:  # raised by the first call with these types; later calls need no check
                given = ", ".join(str(array.dtype) for array in arguments if isinstance(array, np.ndarray))
                expected = "arrays of one type, float32 or float64"
                raise ArgumentError(
                    function.__name__, expected, given, "Cast them to the model's dtype."
                ) from error
            finally:
                if before is not None:
                    numba.set_num_threads(before)

    return wrapper


def _before_fork():
    for lock in LOCKS:
        lock.acquire()


def _after_fork():
    for lock in reversed(LOCKS):
        lock.release()


def _after_fork_in_child():
    global _pool_unusable
    _after_fork()
    _pool_unusable = _pool_unusable or _is_pool_unusable()


def _is_pool_unusable():
    """Whether the parent has used a pool that does not survive a fork: GNU's OpenMP."""
    try:
        if numba.threading_layer() != "omp":
            return False
    except ValueError:  # no pool exists yet
        return False
    from numba.np.ufunc import omppool  # type: ignore[attr-defined]  # numba's stubs

    return omppool.openmp_vendor == "GNU"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
