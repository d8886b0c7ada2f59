"""How loop.py calls a callback's hooks: with the arguments they take, and not cut off by Ctrl-C."""

import inspect
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any


def call_hook(callback: Any, hook: str, *arguments: Any) -> None:
    """Call a hook; the last argument, `logs`, is left out where the hook does not take it.

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
    """Whether a function takes so many arguments; looked up once, because hooks are called for every batch."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # a function of another language, which does not say
        return True
    return True


@contextmanager
def finishing() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block, so that what callbacks save of an epoch belongs together.

    A second Ctrl-C does not wait.  Only in the main thread, and only where Ctrl-C raises KeyboardInterrupt, as usual.
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
