"""Which layers run as one, where the kernel set has a function for them.

    Conv2D, ReLU, MaxPool2D(2)    Block: only what the pool lets through is written, only winners go back
    Conv2D, ReLU                  ConvolutionReLU: the ReLU while the output is in the cache
    Conv2D, MaxPool2D(2)          ConvolutionPool: only what the pool lets through is written
    BatchNormalization, ReLU      NormalizationReLU: the ReLU in the same pass over memory

In prediction alone, for training needs what lies between them:

    SeparableConv2D               Separable: what is between its halves stays in the cache
    SeparableConv2D, ReLU         SeparableReLU: the ReLU there too
    SeparableConv2D, MaxPool2D    SeparablePool: the pool there too
    BatchNormalization, ReLU and any of these three: the band that is read is normalised as it comes
    Residual                      Sum, where one of its ways ends in a Conv2D: the other is added there
    Residual, ReLU                SumReLU: the ReLU there too

The layers stay as the user wrote them, with their weights and names; only the walk through them changes, and the
answers do not.  `Sequential.build` makes the plan, also for the layers inside a Residual, and `summary()` shows it; the
arithmetic is in `kernels/fast/`: `forward.py`, `block.py`, `pooled.py`, `normalization.py` and `separable.py`.
"""

from collections.abc import Sequence
from itertools import permutations

import numpy as np

from .layers import BatchNormalization, Conv2D, Layer, MaxPool2D, ReLU, Residual, SeparableConv2D


class Fused:
    """Layers that are walked through in one step; the first keeps what backward needs.

    Attributes
    ----------
    forward_kernel : str
        The function of the kernel set without which they are walked through one by one.
    """

    forward_kernel: str

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


class Block(Fused):
    """A convolution, its ReLU and its pool.

    Notes
    -----
    Keeps x and one byte for each pooled value, in place of the convolution's whole output.
    """

    forward_kernel, backward_kernel = "block_forward", "block_backward"

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        """y = pool(relu(conv(x)))."""
        layer = self.layers[0]
        y, winner = getattr(layer.kernels, self.forward_kernel)(x, *layer.arguments)
        layer.keep(training, x, winner)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        """dx, and the convolution's gradients, from the winners alone."""
        layer = self.layers[0]
        x, winner = layer.kept()
        dx, dweight, dbias = getattr(layer.kernels, self.backward_kernel)(
            dy, winner, x, layer.weight.value, layer.strides, layer.pads, layer.needs_dx
        )
        layer.keep_gradients(dweight, dbias)
        return dx


class ConvolutionReLU(Fused):
    """A convolution and its ReLU."""

    forward_kernel = "conv2d_relu_forward"

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        """y = relu(conv(x))."""
        layer = self.layers[0]
        y = layer.kernels.conv2d_relu_forward(x, *layer.arguments)
        layer.keep(training, x, y)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        """dx, and the convolution's gradients."""
        layer = self.layers[0]
        x, y = layer.kept()
        dz = layer.kernels.relu_backward(dy, y)
        dx, dweight, dbias = layer.kernels.conv2d_backward(
            dz, x, layer.weight.value, layer.strides, layer.pads, layer.needs_dx
        )
        layer.keep_gradients(dweight, dbias)
        return dx


class ConvolutionPool(Block):
    """A convolution and its pool: the same without the ReLU."""

    forward_kernel, backward_kernel = "conv2d_maxpool2d_forward", "conv2d_maxpool2d_backward"


class NormalizationReLU(Fused):
    """A batch normalisation and its ReLU.

    Notes
    -----
    Keeps x and two numbers a channel, and no output: where the ReLU cut is computed again.
    """

    forward_kernel = "batchnorm_relu_forward"

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        """y = relu(normalized x)."""
        layer = self.layers[0]
        gamma, beta, kernels = layer.gamma.value, layer.beta.value, layer.kernels
        if not training:
            return kernels.batchnorm_relu_inference(x, *layer.inference_arguments)
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


class Separable(Fused):
    """Both halves of a separable convolution, and a normalisation with its ReLU that may stand before.

    Notes
    -----
    In prediction alone: training needs what is between them, and takes other steps.
    """

    forward_kernel = "separable_conv2d_forward"

    def __init__(self, *layers: Layer):
        super().__init__(*layers)
        self.training_steps = plan(layers, TRAINING)

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        """y of the last layer."""
        if training:
            return run(self.training_steps, x, training)
        first, normalization = self.layers[0], None
        if isinstance(first, BatchNormalization):
            normalization, first = first.inference_arguments, self.layers[2]
        return getattr(first.kernels, self.forward_kernel)(x, *first.arguments, normalization)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        """dx, step by step."""
        for step in reversed(self.training_steps):
            dy = step.backward(dy)
        return dy


class SeparableReLU(Separable):
    """The same and its ReLU."""

    forward_kernel = "separable_conv2d_relu_forward"


class SeparablePool(Separable):
    """The same and its pool."""

    forward_kernel = "separable_conv2d_maxpool2d_forward"


class Sum(Fused):
    """A residual; a convolution that one of its ways ends in adds the other.

    Notes
    -----
    In prediction alone.
    """

    forward_kernel = "conv2d_add_forward"

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        """y of the last layer."""
        if training:
            return run(self.layers, x, training)
        steps, convolution, other = _adding_way(self.layers[0])
        y, short = run(steps, x), run(other, x)
        return getattr(convolution.kernels, self.forward_kernel)(y, *convolution.arguments, short)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        """dx, layer by layer."""
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy


class SumReLU(Sum):
    """The same and its ReLU."""

    forward_kernel = "conv2d_add_relu_forward"


# What stands in a row, and its step; longest first.
TRAINING = (
    ((Conv2D, ReLU, MaxPool2D), Block),
    ((Conv2D, ReLU), ConvolutionReLU),
    ((Conv2D, MaxPool2D), ConvolutionPool),
    ((BatchNormalization, ReLU), NormalizationReLU),
)
SEPARABLE = (
    ((SeparableConv2D, ReLU), SeparableReLU),
    ((SeparableConv2D, MaxPool2D), SeparablePool),
    ((SeparableConv2D,), Separable),
)
SUMS = ((Residual, ReLU), SumReLU), ((Residual,), Sum)
PLANS = (*SUMS, *(((BatchNormalization, ReLU, *row), step) for row, step in SEPARABLE), *SEPARABLE, *TRAINING)


def plan(layers: Sequence[Layer], plans: Sequence[tuple] = PLANS) -> list[Layer | Fused]:
    """The steps of a walk through built layers: each layer, or some as one.  Residuals among them get plans too.

    Parameters
    ----------
    layers : sequence of Layer, built
    plans : sequence of (layers in a row, step)

    Returns
    -------
    list of Layer and Fused
    """
    for layer in layers:
        if isinstance(layer, Residual):
            layer.steps, layer.shortcut_steps = plan(layer.layers), plan(layer.shortcut)
    steps, place = [], 0
    while place < len(layers):
        for kinds, make in plans:
            row = layers[place : place + len(kinds)]
            if _is_row(row, kinds) and hasattr(row[0].kernels, make.forward_kernel):
                steps.append(make(*row))
                break
        else:
            row = layers[place : place + 1]
            steps += row
        place += len(row)
    return steps


def run(steps: Sequence[Layer | Fused], x: np.ndarray, training: bool = False) -> np.ndarray:
    """y of the last step."""
    for step in steps:
        x = step.forward(x, training)
    return x


def _is_row(layers, kinds):
    """Whether the layers are of these kinds, and each can be a part of a step."""
    return tuple(type(layer) for layer in layers) == kinds and all(_fits(layer) for layer in layers)


def _fits(layer):
    """Whether a pool halves the picture, and a residual has a way that can add the other."""
    if isinstance(layer, MaxPool2D):
        return layer.pool_size == layer.strides == (2, 2) and layer.pads == ((0, 0), (0, 0))
    return not isinstance(layer, Residual) or _adding_way(layer) is not None


def _adding_way(residual):
    """The steps of a way that ends in a convolution, without it, the convolution, and the other way; or None."""
    for way, other in permutations((residual.steps, residual.shortcut_steps)):
        if way and type(way[-1]) is Conv2D:
            return way[:-1], way[-1], other
    return None
