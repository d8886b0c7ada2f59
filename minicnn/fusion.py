"""Which layers run as one, where the kernel set has a function for them.

    Conv2D, ReLU, MaxPool2D(2)    Block: only what the pool lets through is written, only winners go back
    Conv2D, ReLU                  ConvolutionReLU: the ReLU while the output is in the cache

The layers stay as the user wrote them, with their weights and names; only the walk through them changes, and the
answers do not.  `Sequential.build` makes the plan and `summary()` shows it; the arithmetic is in
`kernels/fast/forward.py` and `block.py`.
"""

from collections.abc import Sequence

import numpy as np

from .layers import Conv2D, Layer, MaxPool2D, ReLU


class Fused:
    """Layers that are walked through in one step, the first a convolution."""

    def __init__(self, *layers: Layer):
        self.layers, self.convolution = layers, layers[0]

    def _arguments(self):
        layer = self.convolution
        bias = layer.bias.value if layer.use_bias else None
        return layer.weight.value, bias, layer.strides, layer.pads

    def _keep_gradients(self, dweight, dbias):
        self.convolution.weight.grad = dweight
        if self.convolution.use_bias:
            self.convolution.bias.grad = dbias

    def __repr__(self) -> str:
        return " + ".join(layer.name for layer in self.layers)


class Block(Fused):
    """A convolution, its ReLU and its pool.

    Notes
    -----
    Keeps x and one byte for each pooled value, in place of the convolution's whole output.
    """

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        """y = pool(relu(conv(x)))."""
        y, winner = self.convolution.kernels.block_forward(x, *self._arguments())
        self.convolution.keep(training, x, winner)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        """dx, and the convolution's gradients, from the winners alone."""
        layer = self.convolution
        x, winner = layer.kept()
        dx, dweight, dbias = layer.kernels.block_backward(
            dy, winner, x, layer.weight.value, layer.strides, layer.pads, layer.needs_dx
        )
        self._keep_gradients(dweight, dbias)
        return dx


class ConvolutionReLU(Fused):
    """A convolution and its ReLU."""

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        """y = relu(conv(x))."""
        y = self.convolution.kernels.conv2d_relu_forward(x, *self._arguments())
        self.convolution.keep(training, x, y)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        """dx, and the convolution's gradients."""
        layer = self.convolution
        x, y = layer.kept()
        dx, dweight, dbias = layer.kernels.conv2d_backward(
            layer.kernels.relu_backward(dy, y),
            x,
            layer.weight.value,
            layer.strides,
            layer.pads,
            layer.needs_dx,
        )
        self._keep_gradients(dweight, dbias)
        return dx


def plan(layers: Sequence[Layer]) -> list[Layer | Fused]:
    """The steps of a walk through built layers: each layer, or some as one.

    Parameters
    ----------
    layers : sequence of Layer, built

    Returns
    -------
    list of Layer and Fused
    """
    steps, place = [], 0
    while place < len(layers):
        if _is_block(layers[place : place + 3]):
            step, length = Block(*layers[place : place + 3]), 3
        elif _is_convolution_relu(layers[place : place + 2]):
            step, length = ConvolutionReLU(*layers[place : place + 2]), 2
        else:
            step, length = layers[place], 1
        steps.append(step)
        place += length
    return steps


def _is_block(layers):
    if [type(layer) for layer in layers] != [Conv2D, ReLU, MaxPool2D]:
        return False
    pool = layers[2]
    halves = pool.pool_size == pool.strides == (2, 2) and pool.pads == ((0, 0), (0, 0))
    return halves and hasattr(layers[0].kernels, "block_forward")


def _is_convolution_relu(layers):
    return [type(layer) for layer in layers] == [Conv2D, ReLU] and hasattr(
        layers[0].kernels, "conv2d_relu_forward"
    )
