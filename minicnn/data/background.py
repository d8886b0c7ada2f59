"""The next batches are prepared by another thread while the network computes on this one.

Used by `loader.py`, whose batches are the ones that take time.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

END = object()


def in_background(items: Iterable[Any], ahead: int = 2) -> Iterator[Any]:
    """The same items in the same order, up to `ahead` of them made before they are asked for.

    Parameters
    ----------
    items : iterable
        One thread alone draws from it.  What it raises is raised here, in its place.
    ahead : int

    Notes
    -----
    The thread ends with the last item, or when the generator is closed, which Python does when a loop over it is left
    for any reason; that waits for the item in the making.

    Examples
    --------
    >>> list(in_background(range(4)))
    [0, 1, 2, 3]
    """
    source = iter(items)
    with ThreadPoolExecutor(1, "minicnn-batches") as thread:
        coming = deque(thread.submit(next, source, END) for _ in range(ahead))
        try:
            while (item := coming.popleft().result()) is not END:
                coming.append(thread.submit(next, source, END))
                yield item
        finally:
            thread.shutdown(cancel_futures=True)
