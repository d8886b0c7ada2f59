"""The networks that peers.py compares; each is described once, and every framework is built from the description.

A layer is a tuple, its kind first:

    ("conv", filters, kernel, stride, padding)   with bias; padding "valid" or "same"
    ("relu",)
    ("pool", size)                               max pooling, stride = size
    ("flatten",)                                 in Keras's order: height, width, channels
    ("dense", units)                             with bias
    ("bare", filters, kernel, stride, padding)   a convolution without bias, before a batch normalization
    ("separable", filters, kernel)               depthwise, then 1x1; stride 1, padding "same", no bias
    ("normalize",)                               batch normalization, momentum 0.99, epsilon 0.001
    ("residual", layers, shortcut)               the sum of both branches; an empty shortcut is the identity
    ("average",)                                 global average pooling

The last dense layer gives one logit; each framework adds its own sigmoid and loss.  Weights are in Keras's order and
layout: kernel (height, width, in, out), bias; gamma, beta, moving mean, moving variance.  In a residual layer the
weights of the layers come first, then those of the shortcut.  To add a network, add an entry to NETWORKS.  To add a
kind of layer, add a case here and in the builders of peer_frameworks.py.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np


class Network(NamedTuple):
    """Square images of `size` pixels and three channels, through `layers`."""

    size: int
    layers: list[tuple]


def conv(filters: int, kernel: int = 3, stride: int = 1, padding: str = "valid") -> list[tuple]:
    """A convolution and a ReLU."""
    return [("conv", filters, kernel, stride, padding), ("relu",)]


POOL = [("pool", 2)]


def head(units: int) -> list[tuple]:
    """The dense layers that end in one logit."""
    return [("flatten",), ("dense", units), ("relu",), ("dense", 1)]


def normal(filters: int, kernel: int = 3) -> list[tuple]:
    """A convolution and a batch normalization."""
    return [("bare", filters, kernel, 1, "same"), ("normalize",)]


def basic(filters: int, shortcut: Sequence[tuple] = ()) -> list[tuple]:
    """The basic block of a ResNet: two convolutions, and a shortcut around them."""
    return [("residual", [*normal(filters), ("relu",), *normal(filters)], list(shortcut)), ("relu",)]


def xception(filters: int) -> list[tuple]:
    """The block of an Xception: two separable convolutions and a pool; the shortcut is a 1x1 convolution, stride 2."""
    half = [("normalize",), ("relu",), ("separable", filters, 3)]
    return [("residual", half + half + POOL, [("bare", filters, 1, 2, "valid")])]


# The first two are networks of minicnn/models/networks.py.  The others are about as large as two-block; the name says
# what is different.
NETWORKS = {
    "two-block": Network(64, conv(32) + POOL + conv(32) + POOL + head(128)),
    "four-block": Network(
        150, conv(32) + POOL + conv(64) + POOL + conv(128) + POOL + conv(128) + POOL + head(512)
    ),
    "5x5 kernels": Network(64, conv(32, 5) + POOL + conv(32, 5) + POOL + head(128)),
    # strided convolutions in place of pools; twice the channels where the image is halved
    "stride 2": Network(64, conv(32, 3, 2) + conv(64, 3, 2) + conv(128, 3, 2) + head(128)),
    "same padding": Network(
        64, conv(32, padding="same") + POOL + conv(64, padding="same") + POOL + conv(64, padding="same") + POOL
        + head(128),
    ),
    # numbers of channels that are no multiple of a vector's length
    "24 channels": Network(64, conv(24) + POOL + conv(24) + POOL + conv(24) + POOL + head(128)),
    "100 channels": Network(64, conv(100) + POOL + conv(100) + POOL + head(128)),
    # pairs of convolutions as in VGG: the first of each pair has no pool after its ReLU
    "no pool": Network(64, conv(32) + conv(32) + POOL + conv(64) + conv(64) + POOL + head(128)),
    # a 1x1 convolution after each 3x3, as in Network in Network
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
    """The output shape of a layer, for one sample."""
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
    """Each layer with its input shape, for one sample.

    Examples
    --------
    >>> [shape for layer, shape in shapes(NETWORKS["two-block"]) if layer[0] in ("conv", "flatten")]
    [(64, 64, 3), (31, 31, 32), (14, 14, 32)]
    """
    return along(network.layers, (network.size, network.size, 3))


def along(layers: list[tuple], shape: tuple[int, ...]) -> Iterator[tuple[tuple, tuple[int, ...]]]:
    """The same for a list of layers with this input shape."""
    for layer in layers:
        yield layer, shape
        shape = after(layer, shape)


def every(
    network: Network, layers: list[tuple] | None = None, shape: tuple[int, ...] = ()
) -> Iterator[tuple[tuple, tuple[int, ...]]]:
    """Each layer with its input shape, with the layers inside of residuals, in the order of the weights.

    Examples
    --------
    >>> [layer[:3] for layer, _ in every(NETWORKS["mini-Xception"]) if layer[0] == "bare"][:3]
    [('bare', 32, 5), ('bare', 32, 1), ('bare', 64, 1)]
    """
    for layer, entering in shapes(network) if layers is None else along(layers, shape):
        if layer[0] == "residual":
            for branch in layer[1:]:
                yield from every(network, branch, entering)
        else:
            yield layer, entering


def draw_weights(network: Network, rng: np.random.Generator) -> list[np.ndarray]:
    """Random weights and biases, float32.  No bias is zero, so that leaving one out changes the predictions.

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
                # gamma, beta, and moving statistics that differ from those of a batch
                means = 1.0, 0.0, 0.0, 1.0
                weights += [mean + 0.1 * np.abs(rng.standard_normal(shape[-1])) for mean in means]
                continue
            case _:
                continue
        for new in kernels:
            inputs = np.prod(new[:2]) if new[-1] == 1 and len(new) == 4 else np.prod(new[:-1])
            weights.append(np.sqrt(2 / inputs) * rng.standard_normal(new))
        if layer[0] in ("conv", "dense"):
            weights.append(0.1 * rng.standard_normal(new[-1]))
    return [weight.astype("float32") for weight in weights]
