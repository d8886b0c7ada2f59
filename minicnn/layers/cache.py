"""The cache: what the forward pass of a layer hands to its backward pass.

    y, cache = layer.forward(x)
    dx = layer.backward(dy, cache)

A cache is a tuple.  It holds the layer that made it and the shape of y, so that `open_cache` can refuse the cache of
another layer and a gradient of another shape; the compiled kernels do not check shapes.  What a cache holds besides is
up to each layer.  Called by every layer of this folder and by the fused layers of fusion.py.
"""

from typing import Any

import numpy as np

from ..errors import ShapeError, StateError

Cache = tuple


def make_cache(owner: Any, y: np.ndarray, *values: Any) -> Cache:
    """The cache of a forward pass of `owner` that returned y; `values` are what the backward pass needs."""
    return owner, y.shape, y.dtype, values


def open_cache(owner: Any, dy: np.ndarray, cache: Cache) -> tuple:
    """(dy, *values) for a cache that `make_cache` made for this owner.

    Raises
    ------
    StateError
        If it is not a cache, or is the cache of another layer.
    ShapeError
        If dy does not have the shape of y from the forward pass.
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
            "Give the gradient for the batch from which this cache comes.",
        )  # fmt: skip
    return dy, *values
