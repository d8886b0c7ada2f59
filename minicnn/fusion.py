"""Which layers run as one: [Conv2D, ReLU, MaxPool2D(2)] in a row, where the kernel set has a block for them.

The layers stay as the user wrote them, with their weights and names; only the walk through them changes, and the
answers do not.  `Sequential.build` makes the plan and `summary()` shows it; the arithmetic is in
`kernels/fast/block.py`.
"""

from collections.abc import Sequence

import numpy as np

from .layers import Conv2D, Layer, MaxPool2D, ReLU


class Block:
    """A convolution, its ReLU and its pool, walked through in one step.

    Parameters
    ----------
    convolution : Conv2D
    activation : ReLU
    pool : MaxPool2D

    Notes
    -----
    Keeps x and one byte for each pooled value, in place of the convolution's whole output.
    """

    def __init__(self, convolution: Conv2D, activation: ReLU, pool: MaxPool2D):
        self.layers = (convolution, activation, pool)
        self.convolution = convolution

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        """y = pool(relu(conv(x)))."""
        layer = self.convolution
        bias = layer.bias.value if layer.use_bias else None
        y, winner = layer.kernels.block_forward(x, layer.weight.value, bias, layer.strides, layer.pads)
        layer.keep(training, x, winner)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        """dx, and the convolution's gradients, from the winners alone."""
        layer = self.convolution
        x, winner = layer.kept()
        dx, layer.weight.grad, dbias = layer.kernels.block_backward(
            dy, winner, x, layer.weight.value, layer.strides, layer.pads, layer.needs_dx
        )
        if layer.use_bias:
            layer.bias.grad = dbias
        return dx

    def __repr__(self) -> str:
        return " + ".join(layer.name for layer in self.layers)


def plan(layers: Sequence[Layer]) -> list[Layer | Block]:
    """The steps of a walk through built layers: each layer, or a block of three.

    Parameters
    ----------
    layers : sequence of Layer, built

    Returns
    -------
    list of Layer and Block
    """
    steps, place = [], 0
    while place < len(layers):
        three = layers[place : place + 3]
        fits = _is_block(three)
        steps.append(Block(*three) if fits else layers[place])
        place += 3 if fits else 1
    return steps


def _is_block(layers):
    if [type(layer) for layer in layers] != [Conv2D, ReLU, MaxPool2D]:
        return False
    pool = layers[2]
    halves = pool.pool_size == pool.strides == (2, 2) and pool.pads == ((0, 0), (0, 0))
    return halves and hasattr(layers[0].kernels, "block_forward")
