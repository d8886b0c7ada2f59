"""The number of threads that the fast kernels use; the only setting that holds for the whole process.

Kernels cut their work into chunks that do not depend on the number of threads, so that number changes the speed and
never the result.  numba's thread pool has one thread per core by default.  It can be made larger only before numba is
imported, so compiling.py calls `prepare_pool` before it imports numba.  This file does not import numba, which keeps
`import minicnn` fast.  kernels/fast/threads.py applies the number.
"""

import os
import sys

from ..errors import ArgumentError, check_int
from .quota import quota

PER_CORE = 16  # threads; more do not help, and the process ends if the system refuses to start one

_threads: int | None = None  # None: all threads of numba's pool


def set_threads(n: int) -> None:
    """Set the number of threads that the fast kernels use in this process.

    The environment variable MINICNN_THREADS sets it from outside; a call takes precedence.  Without either, the
    kernels use all cores.  Results are bit-identical for any n.

    Parameters
    ----------
    n : int
        At least 1.  It may exceed the number of cores if it is set before the first model is built.  After that,
        numba's thread pool exists, and its size is the limit.

    Raises
    ------
    ArgumentError
        If n is not a whole number, less than 1, or more than the pool can have.

    Notes
    -----
    The kernel sets `im2col` and `reference` use NumPy's matrix products.  Their threads are set by environment
    variables of NumPy's BLAS, such as OPENBLAS_NUM_THREADS, before Python starts.  Images are decoded by separate
    Python threads.  Outside the kernels, the number set by numba.set_num_threads stays as it was.

    In a container with a CPU quota (cgroup), the quota counts as its number of cores, rounded up.

    Several Python threads may call models at the same time.  But do not run a parallel numba function of your own in
    another thread while numba uses its pool "workqueue" (the default without OpenMP and TBB): numba would end the
    process.  NUMBA_THREADING_LAYER=omp or tbb allows it.

    Examples
    --------
    >>> set_threads(0)
    Traceback (most recent call last):
        ...
    minicnn.errors.ArgumentError: set_threads: expected an int of at least 1, received 0. Give a whole number.
    """
    global _threads
    _threads = _check(n, "set_threads")


def get_threads() -> int | None:
    """The number that was set; None if none was."""
    return _threads


def prepare_pool() -> None:
    """Read MINICNN_THREADS, and make numba's pool large enough; called before numba is imported.

    Raises
    ------
    ArgumentError
        If MINICNN_THREADS or NUMBA_NUM_THREADS is not a possible number of threads.
    """
    global _threads
    if "numba" not in sys.modules and _pool() == 0:
        raise ArgumentError(
            "NUMBA_NUM_THREADS", "an int of at least 1", "0", "Unset that variable, or raise it."
        )
    text = os.environ.get("MINICNN_THREADS", "").strip()
    if _threads is not None:
        _check(_threads, "set_threads")  # again, because numba may have been imported since
    elif text:
        _threads = _check(int(text) if text.isdecimal() else text, "MINICNN_THREADS")
    if _threads is None and _pool() is None and cores() < _allowed():
        _threads = cores()
    if _threads is not None and _pool() is None and _threads > _allowed():
        os.environ["NUMBA_NUM_THREADS"] = str(_threads)


def _check(n, where):
    n, pool = check_int(n, where), _pool()
    if n <= (PER_CORE * cores() if pool is None else pool):
        return n
    if pool is None:
        expected, repair = PER_CORE * cores(), f"There are {cores()} cores here."
    elif "numba" in sys.modules:
        expected, repair = pool, f"numba's pool is made: set MINICNN_THREADS={n} before Python starts."
    else:
        expected, repair = pool, "NUMBA_NUM_THREADS sets that limit: raise it."
    raise ArgumentError(where, f"an int from 1 to {expected}", str(n), repair)


def _pool():
    """The number of threads that numba's pool has or will have; None if that is not decided yet."""
    if "numba" in sys.modules:
        return sys.modules["numba"].config.NUMBA_NUM_THREADS
    text = os.environ.get("NUMBA_NUM_THREADS", "")
    return int(text) if text.isdecimal() else None


def cores() -> int:
    """The number of cores that this process may use: those it may run on, or fewer if it has a quota."""
    return min(_allowed(), quota() or sys.maxsize)


def _allowed():
    """The number of cores that this process may run on, counted as numba counts them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
