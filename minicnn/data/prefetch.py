"""Prefetch: another thread prepares the next batches while the network computes on the current one.

Called by loader.py, because its batches take time to prepare.  Batches of plain arrays (training/batches.py) are not
prefetched.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..errors import StateError

END = object()


def prefetch(items: Iterable[Any], ahead: int = 2) -> Iterator[Any]:
    """Yield the same items in the same order, and prepare up to `ahead` of them before they are requested.

    Parameters
    ----------
    items : iterable
        Only the other thread draws from it.  An error that it raises is raised here, at the same place in the order.
    ahead : int

    Raises
    ------
    StateError
        In a forked process that continues a loop of its parent.  Threads do not survive a fork, so the prepared items
        would never arrive.

    Notes
    -----
    The thread ends after the last item, or when the generator is closed.  Python closes it when a loop over it ends
    early.  Closing waits for the item in preparation.

    Examples
    --------
    >>> list(prefetch(range(4)))
    [0, 1, 2, 3]
    """
    source, process = iter(items), os.getpid()
    thread = ThreadPoolExecutor(1, "minicnn-batches")
    try:
        coming = deque(thread.submit(next, source, END) for _ in range(ahead))
        while (item := coming.popleft().result()) is not END:
            coming.append(thread.submit(next, source, END))
            yield item
            if os.getpid() != process:
                raise StateError(
                    "batches",
                    "a loop that begins and ends in one process",
                    "a loop that began before os.fork()",
                    "Begin a new loop over the batches in the forked process.",
                )
    finally:
        # A forked process has no thread to wait for, and the locks of its copy may be held.
        if os.getpid() == process:
            thread.shutdown(cancel_futures=True)
