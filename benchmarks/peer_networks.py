"""The networks of the comparison, each described once, as a list of layers from which every framework builds it.

A layer is a tuple, its kind first:

    ("conv", filters, kernel, stride, padding)   with bias; padding "valid" or "same"
    ("relu",)
    ("pool", size)                               maximum, stride = size
    ("flatten",)                                 height, width, channels: Keras's order
    ("dense", units)                             with bias

The last dense layer gives one logit; its sigmoid and the loss are each framework's own.  Weights are in Keras's order
and layout (kernel, bias; kernels (height, width, in, out)).  A new network is a new entry of NETWORKS; a new kind
of layer is a new case here and in the builders of peer_frameworks.py.  peers.py measures.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class Network(NamedTuple):
    """Square pictures of `size` pixels and three channels, through `layers`."""

    size: int
    layers: list[tuple]


def conv(filters: int, kernel: int = 3, stride: int = 1, padding: str = "valid") -> list[tuple]:
    """A convolution and its ReLU."""
    return [("conv", filters, kernel, stride, padding), ("relu",)]


POOL = [("pool", 2)]


def head(units: int) -> list[tuple]:
    """From pictures to one logit."""
    return [("flatten",), ("dense", units), ("relu",), ("dense", 1)]


# The first two are the networks of minicnn/networks.py.  Each of the others is of the size of two-block and
# changes what its name says: what a user would draw who came with that habit.
NETWORKS = {
    "two-block": Network(64, conv(32) + POOL + conv(32) + POOL + head(128)),
    "four-block": Network(
        150, conv(32) + POOL + conv(64) + POOL + conv(128) + POOL + conv(128) + POOL + head(512)
    ),
    "5x5 kernels": Network(64, conv(32, 5) + POOL + conv(32, 5) + POOL + head(128)),
    # strided convolutions halve the picture themselves, and get wider as it gets smaller
    "stride 2": Network(64, conv(32, 3, 2) + conv(64, 3, 2) + conv(128, 3, 2) + head(128)),
    "same padding": Network(
        64, conv(32, padding="same") + POOL + conv(64, padding="same") + POOL + conv(64, padding="same") + POOL
        + head(128),
    ),
    # widths that fill no whole number of vectors
    "24 channels": Network(64, conv(24) + POOL + conv(24) + POOL + conv(24) + POOL + head(128)),
    "100 channels": Network(64, conv(100) + POOL + conv(100) + POOL + head(128)),
    # pairs as in VGG: the first convolution of each has no pool behind its ReLU
    "no pool": Network(64, conv(32) + conv(32) + POOL + conv(64) + conv(64) + POOL + head(128)),
    # each 3x3 is followed by a mixing of channels, as in Network in Network
    "1x1 kernels": Network(64, conv(32) + conv(32, 1) + POOL + conv(64) + conv(64, 1) + POOL + head(128)),
}  # fmt: skip


def shapes(network: Network) -> Iterator[tuple[tuple, tuple[int, ...]]]:
    """Each layer with the shape of one sample that enters it.

    Examples
    --------
    >>> [shape for layer, shape in shapes(NETWORKS["two-block"]) if layer[0] in ("conv", "flatten")]
    [(64, 64, 3), (31, 31, 32), (14, 14, 32)]
    """
    shape: tuple[int, ...] = (network.size, network.size, 3)
    for layer in network.layers:
        yield layer, shape
        match layer:
            case ("conv", filters, kernel, stride, padding):
                side = shape[0] if padding == "same" else shape[0] - kernel + 1
                shape = (-(-side // stride), -(-side // stride), filters)
            case ("pool", size):
                shape = (shape[0] // size, shape[1] // size, shape[2])
            case ("flatten",):
                shape = (shape[0] * shape[1] * shape[2],)
            case ("dense", units):
                shape = (units,)


def draw_weights(network: Network, rng: np.random.Generator) -> list[np.ndarray]:
    """Weights and biases for a network, float32; no bias is zero, so that one that is left out is noticed.

    Examples
    --------
    >>> sum(weight.size for weight in draw_weights(NETWORKS["four-block"], np.random.default_rng(0)))
    3453121
    """
    weights = []
    for layer, shape in shapes(network):
        match layer:
            case ("conv", filters, kernel, _, _):
                new = (kernel, kernel, shape[-1], filters)
            case ("dense", units):
                new = (shape[0], units)
            case _:
                continue
        deviation = np.sqrt(2 / np.prod(new[:-1]))
        weights += [deviation * rng.standard_normal(new), 0.1 * rng.standard_normal(new[-1])]
    return [weight.astype("float32") for weight in weights]
