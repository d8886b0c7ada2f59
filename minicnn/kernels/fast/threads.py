"""One kernel at a time, on as many threads as `set_threads` says.

Each kernel uses all cores, and numba's simplest thread pool ends the process when two enter: several Python
threads may still predict at once, they take turns at the cores.  numba keeps its number of threads for each Python
thread, so it is set here, where they all pass, and put back.
"""

import functools
import threading
from collections.abc import Callable

import numba
import numpy as np
from numba.core.errors import TypingError

from ...errors import ArgumentError
from ...threads import get_threads

CORES = threading.Lock()


def one_at_a_time(function: Callable) -> Callable:
    """`function`, entered by one Python thread at a time."""

    @functools.wraps(function)
    def alone(*arguments, **options):
        with CORES:
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
