"""Call the hooks of callbacks with the arguments that they take, and delay Ctrl-C until an epoch's hooks are done.

Called by training/loop.py.  The hooks themselves are described in base.py.
"""

import inspect
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any


def call_hook(callback: Any, hook: str, *arguments: Any) -> None:
    """Call a hook; the last argument, `logs`, is left out if the hook does not take it.

    Examples
    --------
    >>> from minicnn import LambdaCallback
    >>> call_hook(LambdaCallback(on_epoch_end=lambda epoch: print(epoch)), "on_epoch_end", 3, {"loss": 0.5})
    3
    """
    method = getattr(callback, hook)
    function = getattr(method, "__func__", None)
    takes_all = _takes(method, len(arguments)) if function is None else _takes(function, len(arguments) + 1)
    method(*arguments if takes_all else arguments[:-1])


@lru_cache(maxsize=1024)
def _takes(function: Callable, count: int) -> bool:
    """Whether a function takes `count` arguments; cached, because hooks are called for every batch."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # a function in another language, whose arguments are not known
        return True
    return True


@contextmanager
def finishing() -> Iterator[None]:
    """Delay Ctrl-C to the end of the block, so that all callbacks save the same epoch.

    A second Ctrl-C takes effect at once.  This works only in the main thread, and only if Ctrl-C raises
    KeyboardInterrupt, as it does by default.
    """
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def wait(number: int, frame: Any) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    signal.signal(signal.SIGINT, wait)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if came:
        raise KeyboardInterrupt
