"""One kernel at a time, on as many threads as `set_threads` says.

Each kernel uses all cores, and numba's simplest thread pool ends the process when two enter: several Python
threads may still predict at once, they take turns at the cores.  numba keeps its number of threads for each Python
thread, so it is set here, where they all pass, and put back.
"""

import functools
import threading
from collections.abc import Callable

import numba

from ...threads import get_threads

CORES = threading.Lock()


def one_at_a_time(function: Callable) -> Callable:
    """`function`, entered by one Python thread at a time."""

    @functools.wraps(function)
    def alone(*arguments, **options):
        with CORES:
            if (wanted := get_threads()) is None:
                return function(*arguments, **options)
            before = numba.get_num_threads()
            numba.set_num_threads(wanted)
            try:
                return function(*arguments, **options)
            finally:
                numba.set_num_threads(before)

    return alone
