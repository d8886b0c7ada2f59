"""The cache: what a forward pass hands to the backward pass of the same layer.

    y, cache = layer.forward(x)
    dx = layer.backward(dy, cache)

A cache is an ordinary tuple.  It knows which layer made it and what shape y had, so that `open_cache` can refuse, in
one place, a cache of another layer and a gradient that does not fit: the compiled loops behind it trust shapes.
Called by every layer of this folder and by the steps of fusion.py.
"""

from typing import Any

import numpy as np

from ..errors import ShapeError, StateError

Cache = tuple


def make_cache(owner: Any, y: np.ndarray, *values: Any) -> Cache:
    """The cache of `owner`'s forward pass that gave y; `values` are what its backward pass needs."""
    return owner, y.shape, y.dtype, values


def open_cache(owner: Any, dy: np.ndarray, cache: Cache) -> tuple:
    """(dy, *values) of a cache that `make_cache` made for this owner.

    Raises
    ------
    StateError
        If it is no cache, or the cache of another layer.
    ShapeError
        If dy does not have the shape of the y that the forward pass gave.
    """
    if type(cache) is not tuple or len(cache) != 4 or cache[0] is not owner:
        found = "the cache of another layer" if type(cache) is tuple else repr(type(cache).__name__)
        raise StateError(
            f"{owner!r}.backward", "the cache that its own forward pass returned", found,
            "Call y, cache = layer.forward(x), then layer.backward(dy, cache).",
        )  # fmt: skip
    _, shape, dtype, values = cache
    if type(dy) is not np.ndarray or dy.dtype != dtype:
        dy = np.asarray(dy, dtype)
    if dy.shape != shape:
        raise ShapeError(
            f"{owner!r}.backward", f"a gradient of shape {shape}, like the output", str(dy.shape),
            "Give the gradient for the batch that this cache is of.",
        )  # fmt: skip
    return dy, *values
