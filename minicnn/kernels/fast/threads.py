"""One kernel at a time: each uses all cores, and numba's simplest thread pool ends the process when two enter.

Several Python threads may still predict at once; they take turns at the cores.
"""

import functools
import threading
from collections.abc import Callable

CORES = threading.Lock()


def one_at_a_time(function: Callable) -> Callable:
    """`function`, entered by one Python thread at a time."""

    @functools.wraps(function)
    def alone(*arguments, **options):
        with CORES:
            return function(*arguments, **options)

    return alone
