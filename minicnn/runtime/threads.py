"""How many threads the fast kernels use: the one setting that belongs to the whole process.

Kernels cut their work into pieces that do not depend on the number of threads, so the number changes how
fast an answer comes, never the answer.  numba's pool of threads is as large as the machine has cores, and can
be made larger only before numba is imported: `compiling.py`, which imports it, calls `prepare_pool` first.
numba itself stays out of this file, so that `import minicnn` is quick.  `kernels/fast/threads.py` applies the number.
"""

import os
import sys

from ..errors import ArgumentError, check_int

PER_CORE = 16  # threads; more help nobody, and when the system refuses one the process ends

_threads: int | None = None  # None: all that numba's pool has


def set_threads(n: int) -> None:
    """Let the fast kernels use n threads, from now on, in the whole process.

    The environment variable MINICNN_THREADS says the same from outside; a call overrules it.  Without either the
    kernels use all cores.  No other setting of the library belongs to the process instead of a model: this one
    does because the cores do.  Results are the same bits for any n.

    Parameters
    ----------
    n : int
        At least 1.  It may exceed the number of cores if it is said before the first model is built, for then numba
        is imported and its pool of threads made; afterwards the pool is the limit.

    Raises
    ------
    ArgumentError
        If n is no whole number, less than 1, or more than the pool can have.

    Notes
    -----
    The matrix products of the sets `im2col` and `reference` are NumPy's; their threads are set by variables of its
    BLAS, such as OPENBLAS_NUM_THREADS, before Python starts.  Images are decoded by Python threads of their own.
    What numba.set_num_threads said holds outside of the kernels as before.

    Python threads may call models at the same time.  But with numba's pool "workqueue", which numba uses where there
    is neither OpenMP nor TBB, a parallel numba function of your own must not run in another thread meanwhile: numba
    would end the process.  NUMBA_THREADING_LAYER=omp or tbb allows it.

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
    """What was set; None where nothing was."""
    return _threads


def prepare_pool() -> None:
    """Heed MINICNN_THREADS, and let numba's pool be as large as was asked; called before numba is imported."""
    global _threads
    text = os.environ.get("MINICNN_THREADS", "").strip()
    if _threads is not None:
        _check(_threads, "set_threads")  # again: numba may have been imported since
    elif text:
        _threads = _check(int(text) if text.isdecimal() else text, "MINICNN_THREADS")
    if _threads is not None and _pool() is None and _threads > cores():
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
    """How many threads numba's pool has or will have; None while that is open."""
    if "numba" in sys.modules:
        return sys.modules["numba"].config.NUMBA_NUM_THREADS
    text = os.environ.get("NUMBA_NUM_THREADS", "")
    return int(text) if text.isdecimal() else None


def cores() -> int:
    """How many cores this process may use, counted as numba does."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
