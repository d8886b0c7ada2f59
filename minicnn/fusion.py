"""Which layers run as one, where the kernel set has a function for them.

    Conv2D, ReLU, MaxPool2D(2)    Block: only what the pool lets through is written, only winners go back
    Conv2D, ReLU                  ConvolutionReLU: the ReLU while the output is in the cache
    Conv2D, MaxPool2D(2)          ConvolutionPool: only what the pool lets through is written
    BatchNormalization, ReLU      NormalizationReLU: the ReLU in the same pass over memory

The layers stay as the user wrote them, with their weights and names; only the walk through them changes, and the
answers do not.  `Sequential.build` makes the plan, also for the layers inside a Residual, and `summary()` shows it; the
arithmetic is in `kernels/fast/`: `forward.py`, `block.py`, `pooled.py` and `normalization.py`.
"""

from collections.abc import Sequence

import numpy as np

from .layers import BatchNormalization, Conv2D, Layer, MaxPool2D, ReLU, Residual


class Fused:
    """Layers that are walked through in one step; the first keeps what backward needs."""

    def __init__(self, *layers: Layer):
        self.layers = layers

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        """y of the last layer for a batch x of the first."""
        raise NotImplementedError

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        """dx of the first layer; also writes the gradients of its parameters."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return " + ".join(layer.name for layer in self.layers)


class FusedConvolution(Fused):
    """The first is a convolution."""

    def __init__(self, *layers: Layer):
        super().__init__(*layers)
        self.convolution = layers[0]

    def _arguments(self):
        layer = self.convolution
        bias = layer.bias.value if layer.use_bias else None
        return layer.weight.value, bias, layer.strides, layer.pads

    def _keep_gradients(self, dweight, dbias):
        self.convolution.weight.grad = dweight
        if self.convolution.use_bias:
            self.convolution.bias.grad = dbias


class Block(FusedConvolution):
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


class ConvolutionReLU(FusedConvolution):
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


class ConvolutionPool(FusedConvolution):
    """A convolution and its pool.

    Notes
    -----
    Keeps x and one byte for each pooled value, in place of the convolution's whole output.
    """

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        """y = pool(conv(x))."""
        y, winner = self.convolution.kernels.conv2d_maxpool2d_forward(x, *self._arguments())
        self.convolution.keep(training, x, winner)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        """dx, and the convolution's gradients."""
        layer = self.convolution
        x, winner = layer.kept()
        dx, dweight, dbias = layer.kernels.conv2d_maxpool2d_backward(
            dy, winner, x, layer.weight.value, layer.strides, layer.pads, layer.needs_dx
        )
        self._keep_gradients(dweight, dbias)
        return dx


class NormalizationReLU(Fused):
    """A batch normalisation and its ReLU.

    Notes
    -----
    Keeps x and two numbers a channel, and no output: where the ReLU cut is computed again.
    """

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        """y = relu(normalized x)."""
        layer = self.layers[0]
        gamma, beta, kernels = layer.gamma.value, layer.beta.value, layer.kernels
        if not training:
            mean, variance = layer.moving_mean.value, layer.moving_variance.value
            return kernels.batchnorm_relu_inference(x, gamma, beta, mean, variance, layer.epsilon)
        y, mean, variance = kernels.batchnorm_relu_forward(x, gamma, beta, layer.epsilon)
        layer.keep(training, x, mean, variance)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        """dx, and the gradients of gamma and beta; the moving averages move."""
        layer = self.layers[0]
        x, mean, variance = layer.kept()
        dx, layer.gamma.grad, layer.beta.grad = layer.kernels.batchnorm_relu_backward(
            dy, x, layer.gamma.value, layer.beta.value, mean, variance, layer.epsilon, layer.needs_dx
        )
        layer.follow(mean, variance)
        return dx


# What stands in a row, the function without which it is walked through one by one, and the step; longest first.
PLANS = (
    ((Conv2D, ReLU, MaxPool2D), "block_forward", Block),
    ((Conv2D, ReLU), "conv2d_relu_forward", ConvolutionReLU),
    ((Conv2D, MaxPool2D), "conv2d_maxpool2d_forward", ConvolutionPool),
    ((BatchNormalization, ReLU), "batchnorm_relu_forward", NormalizationReLU),
)


def plan(layers: Sequence[Layer]) -> list[Layer | Fused]:
    """The steps of a walk through built layers: each layer, or some as one.  Residuals among them get plans too.

    Parameters
    ----------
    layers : sequence of Layer, built

    Returns
    -------
    list of Layer and Fused
    """
    steps, place = [], 0
    while place < len(layers):
        for kinds, function, make in PLANS:
            row = layers[place : place + len(kinds)]
            if _is_row(row, kinds) and hasattr(row[0].kernels, function):
                steps.append(make(*row))
                break
        else:
            row = layers[place : place + 1]
            steps += row
        for layer in row:
            if isinstance(layer, Residual):
                layer.steps, layer.shortcut_steps = plan(layer.layers), plan(layer.shortcut)
        place += len(row)
    return steps


def _is_row(layers, kinds):
    """Whether the layers are of these kinds, and pools among them halve the picture."""
    return tuple(type(layer) for layer in layers) == kinds and all(
        pool.pool_size == pool.strides == (2, 2) and pool.pads == ((0, 0), (0, 0))
        for pool in layers
        if isinstance(pool, MaxPool2D)
    )
