"""The networks of the comparison, each described once, as a list of layers from which every framework builds it.

A layer is a tuple, its kind first:

    ("conv", filters, kernel, stride, padding)   with bias; padding "valid" or "same"
    ("relu",)
    ("pool", size)                               maximum, stride = size
    ("flatten",)                                 height, width, channels: Keras's order
    ("dense", units)                             with bias
    ("bare", filters, kernel, stride, padding)   a convolution without bias, where a normalisation follows
    ("separable", filters, kernel)               depthwise, then 1x1; stride 1, padding "same", no bias
    ("normalize",)                               batch normalisation, momentum 0.99, epsilon 0.001
    ("residual", layers, shortcut)               the sum of both ways; an empty shortcut is x itself
    ("average",)                                 over height and width

The last dense layer gives one logit; its sigmoid and the loss are each framework's own.  Weights are in Keras's order
and layout (kernel, bias; kernels (height, width, in, out); gamma, beta, moving mean, moving variance), those inside a
residual layer by layer, its shortcut's last.  A new network is a new entry of NETWORKS; a new kind
of layer is a new case here and in the builders of peer_frameworks.py.  peers.py measures.
"""

from collections.abc import Iterator, Sequence
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


def normal(filters: int, kernel: int = 3) -> list[tuple]:
    """A convolution, normalised."""
    return [("bare", filters, kernel, 1, "same"), ("normalize",)]


def basic(filters: int, shortcut: Sequence[tuple] = ()) -> list[tuple]:
    """He's basic block: two convolutions beside a shortcut."""
    return [("residual", [*normal(filters), ("relu",), *normal(filters)], list(shortcut)), ("relu",)]


def xception(filters: int) -> list[tuple]:
    """Two separable convolutions and a pool beside a 1x1 convolution of stride 2."""
    half = [("normalize",), ("relu",), ("separable", filters, 3)]
    return [("residual", half + half + POOL, [("bare", filters, 1, 2, "valid")])]


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
    # a small ResNet: He et al. 2016, with pools in place of strides
    "residual": Network(
        64, normal(32) + [("relu",)] + POOL + basic(32) + POOL + basic(64, normal(64, 1)) + POOL
        + basic(128, normal(128, 1)) + [("average",), ("dense", 1)],
    ),
    # the small Xception of Chollet's "Deep Learning with Python", second edition, section 9.3.5
    "mini-Xception": Network(
        64, [("bare", 32, 5, 1, "same")] + xception(32) + xception(64) + xception(128) + xception(256)
        + [("average",), ("dense", 1)],
    ),
}  # fmt: skip


def after(layer: tuple, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one sample that comes out of a layer."""
    match layer:
        case ("conv" | "bare", filters, kernel, stride, padding):
            side = shape[0] if padding == "same" else shape[0] - kernel + 1
            return (-(-side // stride), -(-side // stride), filters)
        case ("separable", filters, _):
            return (*shape[:2], filters)
        case ("pool", size):
            return (shape[0] // size, shape[1] // size, shape[2])
        case ("flatten",):
            return (shape[0] * shape[1] * shape[2],)
        case ("average",):
            return shape[2:]
        case ("dense", units):
            return (units,)
        case ("residual", layers, _):
            for inner in layers:
                shape = after(inner, shape)
    return shape


def shapes(network: Network) -> Iterator[tuple[tuple, tuple[int, ...]]]:
    """Each layer with the shape of one sample that enters it.

    Examples
    --------
    >>> [shape for layer, shape in shapes(NETWORKS["two-block"]) if layer[0] in ("conv", "flatten")]
    [(64, 64, 3), (31, 31, 32), (14, 14, 32)]
    """
    return along(network.layers, (network.size, network.size, 3))


def along(layers: list[tuple], shape: tuple[int, ...]) -> Iterator[tuple[tuple, tuple[int, ...]]]:
    """The same for layers that begin with that shape."""
    for layer in layers:
        yield layer, shape
        shape = after(layer, shape)


def every(
    network: Network, layers: list[tuple] | None = None, shape: tuple[int, ...] = ()
) -> Iterator[tuple[tuple, tuple[int, ...]]]:
    """Each layer with its entering shape, in place of a residual the layers inside: the order of the weights.

    Examples
    --------
    >>> [layer[:3] for layer, _ in every(NETWORKS["mini-Xception"]) if layer[0] == "bare"][:3]
    [('bare', 32, 5), ('bare', 32, 1), ('bare', 64, 1)]
    """
    for layer, entering in shapes(network) if layers is None else along(layers, shape):
        if layer[0] == "residual":
            for way in layer[1:]:
                yield from every(network, way, entering)
        else:
            yield layer, entering


def draw_weights(network: Network, rng: np.random.Generator) -> list[np.ndarray]:
    """Weights and biases for a network, float32; no bias is zero, so that one that is left out is noticed.

    Examples
    --------
    >>> sum(weight.size for weight in draw_weights(NETWORKS["four-block"], np.random.default_rng(0)))
    3453121
    """
    weights = []
    for layer, shape in every(network):
        match layer:
            case ("conv" | "bare", filters, kernel, _, _):
                kernels = [(kernel, kernel, shape[-1], filters)]
            case ("separable", filters, kernel):
                kernels = [(kernel, kernel, shape[-1], 1), (1, 1, shape[-1], filters)]
            case ("dense", units):
                kernels = [(shape[0], units)]
            case ("normalize",):
                # gamma, beta, and statistics that a batch's own will differ from
                around = 1.0, 0.0, 0.0, 1.0
                weights += [middle + 0.1 * np.abs(rng.standard_normal(shape[-1])) for middle in around]
                continue
            case _:
                continue
        for new in kernels:
            inputs = np.prod(new[:2]) if new[-1] == 1 and len(new) == 4 else np.prod(new[:-1])
            weights.append(np.sqrt(2 / inputs) * rng.standard_normal(new))
        if layer[0] in ("conv", "dense"):
            weights.append(0.1 * rng.standard_normal(new[-1]))
    return [weight.astype("float32") for weight in weights]
