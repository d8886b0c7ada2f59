"""The execution plan of a network: its layers as a list of steps, each one layer or several fused layers.

The arithmetic is in `kernels/`; layers are fused where the kernel set has a function for them.  `Sequential.build`
makes the plan, model.py runs it, and `summary()` shows the fused layers.  Read layers/base.py first.

In training and in prediction:

    Conv2D, ReLU, MaxPool2D(2)    FusedConvReLUPool: writes only the pooled output; backward reads only the maxima
    Conv2D, ReLU                  FusedConvReLU: applies the ReLU while the output is in the CPU's cache
    Conv2D, MaxPool2D(2)          FusedConvPool: writes only the pooled output
    BatchNormalization, ReLU      FusedNormReLU: applies the ReLU in the same pass over memory

Only in prediction, because a backward pass needs the results in between:

    SeparableConv2D               FusedSeparableConv: the result between its halves stays in the CPU's cache
    SeparableConv2D, ReLU         FusedSeparableConvReLU
    SeparableConv2D, MaxPool2D    FusedSeparableConvPool
    BatchNormalization, ReLU and any of these three: rows are normalised as they are read
    Residual                      FusedSum: if a branch ends in a Conv2D, that convolution adds the other branch
    Residual, ReLU                FusedSumReLU

The layers of the model stay as the user wrote them.  The steps are made from copies of them, which share the parameters
and compute with the model's kernel set.  An activation inside a layer (`Conv2D(8, 3, activation="relu")`) becomes a
layer of its own in the plan, so that it can be fused like any other.
"""

import copy
from collections.abc import Callable, Sequence
from itertools import permutations
from types import ModuleType
from typing import Any

import numpy as np

from .layers import BatchNormalization, Conv2D, Layer, MaxPool2D, ReLU, Residual, SeparableConv2D
from .layers.base import run_backward, run_forward
from .layers.cache import Cache, make_cache, open_cache
from .layers.residual import check_same


class Plan:
    """The execution plan of a network: its steps in training, and its steps in prediction.

    Parameters
    ----------
    layers : sequence of Layer, built
    kernels : module
        The kernel set that the steps compute with.

    Attributes
    ----------
    training : list of Layer and Fused
        Steps for forward passes that are followed by a backward pass.
    prediction : list of Layer and Fused
        Steps for forward passes alone; each step is called: ``x = step(x)``.
    """

    def __init__(self, layers: Sequence[Layer], kernels: ModuleType):
        singles = [single for layer in layers for single in separate(layer, kernels)]
        self.training = fuse(singles, TRAINING)
        self.prediction = fuse(singles, PREDICTION)


def separate(layer: Layer, kernels: ModuleType) -> list[Any]:
    """The layer as single layers that compute with `kernels`: a copy without its activation, then the activation.

    Layers that users wrote are not copied, because a copy could miss state that they keep.
    """
    if isinstance(layer, Residual):
        return [Branches(layer, kernels)] if type(layer) is Residual else [_uncopied(layer, kernels)]
    if not type(layer).__module__.startswith("minicnn."):
        return [_uncopied(layer, kernels)]
    single = copy.copy(layer)
    single.__dict__.update(_kernels=kernels, activation=None)
    return [single] if layer.activation is None else [single, *separate(layer.activation, kernels)]


def _uncopied(layer, kernels):
    layer.kernels = kernels
    return layer


class Fused:
    """Fused layers: several layers that run as one step of the plan.

    Attributes
    ----------
    forward_kernel : str
        Name of the function that the kernel set must have; without it the layers are not fused.
    """

    forward_kernel: str

    def __init__(self, *layers: Any):
        self.layers, self.kernels = layers, layers[0].kernels

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        """y, the output of the last layer, for a batch x that enters the first, and the cache."""
        raise NotImplementedError

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray | None:
        """dx of the first layer; writes the gradients of the parameters."""
        raise NotImplementedError

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """y alone, in prediction."""
        return self.forward(x)[0]

    def updates(self, cache: Cache) -> list[Callable[[], None]]:
        """The same as `Layer.updates`."""
        return []

    @property
    def learns(self) -> bool:
        """Whether training changes any parameter of these layers."""
        return any(layer.learns for layer in self.layers)

    def __repr__(self) -> str:
        return " + ".join(layer.name for layer in self.layers)


class Branches(Fused):
    """A Residual; each of its two branches has a plan of its own."""

    forward_kernel = "add"

    def __init__(self, layer: Residual, kernels: ModuleType):
        self.layers, self.kernels = (layer,), kernels
        self.plans = [Plan(layers, kernels) for _, layers in layer.branches]

    @property
    def name(self) -> str:
        """The name of the Residual."""
        return self.layers[0].name

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        """y = layers(x) + shortcut(x)."""
        (y, of_layers), (short, of_shortcut) = (run(plan.training, x, training) for plan in self.plans)
        check_same(self.layers[0], y, short)
        y = self.kernels.add(y, short)
        return y, make_cache(self, y, of_layers, of_shortcut)

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray | None:
        """The sum of both branches' dx."""
        dy, *caches = open_cache(self, dy, cache)
        dx, dshort = (
            run_back(plan.training, dy, list(of_branch), need_dx, need_dweight)
            for plan, of_branch in zip(self.plans, caches, strict=True)
        )
        return self.kernels.add(dx, dshort) if need_dx else None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        y, short = (predict(plan.prediction, x) for plan in self.plans)
        check_same(self.layers[0], y, short)
        return self.kernels.add(y, short)

    def updates(self, cache: Cache) -> list[Callable[[], None]]:
        return [
            update
            for plan, caches in zip(self.plans, cache[3], strict=True)
            for update in updates(plan.training, caches)
        ]

    def __repr__(self) -> str:
        return repr(self.layers[0])


class FusedConvReLUPool(Fused):
    """A convolution, its ReLU and its max pool, fused.

    Notes
    -----
    The cache holds x and one byte per pooled value (the argmax) instead of the convolution's whole output.
    """

    forward_kernel, backward_kernel = "conv2d_relu_maxpool2d_forward", "conv2d_relu_maxpool2d_backward"

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        """y = pool(relu(conv(x)))."""
        layer = self.layers[0]
        x = layer.as_input(x, 4, layer.weight.shape[2])
        y, argmax = getattr(self.kernels, self.forward_kernel)(x, *layer.arguments(x))
        return y, make_cache(self, y, x, argmax)

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray | None:
        """dx and the gradients of the convolution, computed from the maxima alone."""
        dy, x, argmax = open_cache(self, dy, cache)
        layer = self.layers[0]
        weight, _, strides, pads = layer.arguments(x)
        dx, dweight, dbias = getattr(self.kernels, self.backward_kernel)(
            dy, argmax, x, weight, strides, pads, need_dx, need_dweight and layer.learns
        )
        layer.write(layer.weight, dweight)
        layer.write(layer.bias, dbias)
        return dx


class FusedConvPool(FusedConvReLUPool):
    """A convolution and its max pool, fused: the same without the ReLU."""

    forward_kernel, backward_kernel = "conv2d_maxpool2d_forward", "conv2d_maxpool2d_backward"


class FusedConvReLU(Fused):
    """A convolution and its ReLU, fused."""

    forward_kernel = "conv2d_relu_forward"

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        """y = relu(conv(x))."""
        layer = self.layers[0]
        x = layer.as_input(x, 4, layer.weight.shape[2])
        y = self.kernels.conv2d_relu_forward(x, *layer.arguments(x))
        return y, make_cache(self, y, x, y)

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray | None:
        """dx and the gradients of the convolution."""
        dy, x, y = open_cache(self, dy, cache)
        layer = self.layers[0]
        weight, _, strides, pads = layer.arguments(x)
        dz = self.kernels.relu_backward(dy, y)
        dx, dweight, dbias = self.kernels.conv2d_backward(
            dz, x, weight, strides, pads, need_dx, need_dweight and layer.learns
        )
        layer.write(layer.weight, dweight)
        layer.write(layer.bias, dbias)
        return dx


class FusedNormReLU(Fused):
    """A batch normalisation and its ReLU, fused.

    Notes
    -----
    In training the cache holds x and two numbers per channel, but not the output: the backward pass computes again
    where the ReLU was 0.
    """

    forward_kernel = "batchnorm_relu_forward"

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        """y = relu(normalised x)."""
        layer = self.layers[0]
        x = layer.as_input(x, channels=layer.gamma.shape[0])
        if training and layer.learns:
            y, mean, variance = self.kernels.batchnorm_relu_forward(
                x, layer.gamma.value, layer.beta.value, layer.epsilon
            )
            return y, make_cache(self, y, x, None, mean, variance)
        y = self.kernels.batchnorm_relu_inference(x, *layer.inference_arguments)
        return y, make_cache(self, y, x, y, None, None)

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray | None:
        """dx and the gradients of gamma and beta."""
        dy, x, y, mean, variance = open_cache(self, dy, cache)
        layer = self.layers[0]
        if mean is None:
            return layer.inference_backward(self.kernels.relu_backward(dy, y), x, need_dx, need_dweight)
        dx, dgamma, dbeta = self.kernels.batchnorm_relu_backward(
            dy, x, layer.gamma.value, layer.beta.value, mean, variance, layer.epsilon, need_dx
        )
        if need_dweight:
            layer.write(layer.gamma, dgamma)
            layer.write(layer.beta, dbeta)
        return dx

    def updates(self, cache: Cache) -> list[Callable[[], None]]:
        return self.layers[0].updates(cache)


class FusedSeparableConv(Fused):
    """Both halves of a separable convolution, and a BatchNormalization with ReLU before it; only for prediction."""

    forward_kernel = "separable_conv2d_forward"

    def __call__(self, x: np.ndarray) -> np.ndarray:
        first, normalization = self.layers[0], None
        if isinstance(first, BatchNormalization):
            normalization, first = first.inference_arguments, self.layers[2]
        x = first.as_input(x, 4, first.depthwise_weight.shape[2])
        return getattr(self.kernels, self.forward_kernel)(x, *first.arguments(x), normalization)


class FusedSeparableConvReLU(FusedSeparableConv):
    """The same with the ReLU after it."""

    forward_kernel = "separable_conv2d_relu_forward"


class FusedSeparableConvPool(FusedSeparableConv):
    """The same with the max pool after it."""

    forward_kernel = "separable_conv2d_maxpool2d_forward"


class FusedSum(Fused):
    """A Residual with a branch that ends in a convolution, which adds the other branch; only for prediction."""

    forward_kernel = "conv2d_add_forward"

    def __init__(self, *layers: Any):
        super().__init__(*layers)
        branch: Any = adding_branch(layers[0])  # not None: can_fuse has checked it
        self.steps, self.convolution, self.other = branch

    def __call__(self, x: np.ndarray) -> np.ndarray:
        y, short = predict(self.steps, x), predict(self.other, x)
        layer = self.convolution
        y = layer.as_input(y, 4, layer.weight.shape[2])
        return getattr(self.kernels, self.forward_kernel)(y, *layer.arguments(y), short)


class FusedSumReLU(FusedSum):
    """The same with the ReLU after it."""

    forward_kernel = "conv2d_add_relu_forward"


# Which layers in a row are fused, and into which class; the longest rows come first.
TRAINING = (
    ((Conv2D, ReLU, MaxPool2D), FusedConvReLUPool),
    ((Conv2D, ReLU), FusedConvReLU),
    ((Conv2D, MaxPool2D), FusedConvPool),
    ((BatchNormalization, ReLU), FusedNormReLU),
)
SEPARABLE = (
    ((SeparableConv2D, ReLU), FusedSeparableConvReLU),
    ((SeparableConv2D, MaxPool2D), FusedSeparableConvPool),
    ((SeparableConv2D,), FusedSeparableConv),
)
SUMS = ((Branches, ReLU), FusedSumReLU), ((Branches,), FusedSum)
PREDICTION = (
    *SUMS,
    *(((BatchNormalization, ReLU, *row), step) for row, step in SEPARABLE),
    *SEPARABLE,
    *TRAINING,
)


def fuse(singles: Sequence[Any], patterns: Sequence[tuple]) -> list[Any]:
    """The steps of a plan for single layers: layers in a row that match a pattern are fused, the others stay."""
    steps, place = [], 0
    while place < len(singles):
        for kinds, make in patterns:
            row = singles[place : place + len(kinds)]
            if matches(row, kinds) and hasattr(row[0].kernels, make.forward_kernel):
                steps.append(make(*row))
                break
        else:
            row = singles[place : place + 1]
            steps += row
        place += len(row)
    return steps


def matches(row: Sequence[Any], kinds: tuple) -> bool:
    """Whether the layers are of these classes, and their options allow fusion."""
    return tuple(type(layer) for layer in row) == kinds and all(map(can_fuse, row))


def can_fuse(layer: Any) -> bool:
    """Whether the layer's options allow fusion: a pool must halve the image, a ReLU must be max(x, 0), and so on."""
    if isinstance(layer, MaxPool2D):
        unpadded = layer.padding in ("valid", ((0, 0), (0, 0)))
        return layer.pool_size == layer.strides == (2, 2) and unpadded
    if isinstance(layer, ReLU):
        return layer.plain
    if isinstance(layer, (Conv2D, SeparableConv2D)):
        return layer.dilation_rate == (1, 1)
    return not isinstance(layer, Branches) or adding_branch(layer) is not None


def adding_branch(branches: Branches) -> tuple[list, Conv2D, list] | None:
    """The branch that ends in a convolution, split for `FusedSum`; None if neither branch ends in one.

    Returns
    -------
    (steps before the convolution, the convolution, steps of the other branch)
    """
    for one, other in permutations(plan.prediction for plan in branches.plans):
        if one and type(one[-1]) is Conv2D and can_fuse(one[-1]):
            return one[:-1], one[-1], other
    return None


# ------------------------------------------------------------------------------- running a plan
def predict(steps: Sequence[Any], x: np.ndarray) -> np.ndarray:
    """The output of the last step, in prediction; nothing is cached."""
    for step in steps:
        x = step(x)
    return x


def run(steps: Sequence[Any], x: np.ndarray, training: bool) -> tuple[np.ndarray, list[Cache]]:
    """The output of the last step, and the cache of every step."""
    caches = []
    for step in steps:
        x, cache = run_forward(step, x, training)
        caches.append(cache)
    return x, caches


def run_back(
    steps: Sequence[Any], dy: np.ndarray, caches: list[Cache], need_dx: bool, need_dweight: bool = True
) -> Any:
    """dx of the first step; each cache is removed from the list when it is used, which frees its memory.

    Without `need_dx`, the pass ends at the first step of the plan that has trainable parameters.
    """
    lowest = 0 if need_dx else next((i for i, step in enumerate(steps) if step.learns), len(steps))
    while len(caches) > lowest:
        place = len(caches) - 1
        dy = run_backward(steps[place], dy, caches.pop(), need_dx or place > lowest, need_dweight)
    return dy if need_dx else None


def updates(steps: Sequence[Any], caches: Sequence[Cache]) -> list[Callable[[], None]]:
    """The functions that update what is not trained by gradients; see `Layer.updates`."""
    return [update for step, cache in zip(steps, caches, strict=True) for update in step.updates(cache)]
