"""Prefetch: another thread prepares the next batches while the network computes on this one.

Used by `loader.py`, because its batches take time to prepare.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..errors import StateError

END = object()


def in_background(items: Iterable[Any], ahead: int = 2) -> Iterator[Any]:
    """The same items in the same order; up to `ahead` of them are prepared before they are requested.

    Parameters
    ----------
    items : iterable
        Only the other thread draws from it.  What it raises is raised here, in its place.
    ahead : int

    Raises
    ------
    StateError
        In a forked process that continues a loop which its parent began: threads do not survive a fork, so the
        prepared items would never come.

    Notes
    -----
    The thread ends with the last item, or when the generator is closed, which Python does when a loop over it is left
    for any reason; closing waits for the item in preparation.

    Examples
    --------
    >>> list(in_background(range(4)))
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
        if (
            os.getpid() == process
        ):  # in a forked process there is no thread to wait for, and its locks may be held
            thread.shutdown(cancel_futures=True)
