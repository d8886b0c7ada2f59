"""The cases that `kernels.py` measures: kernels, shapes, and the operations and bytes that each needs at least.

The shapes are those of the networks `two-block` and `four-block`, and variations of the second layer of `two-block`.
To read: one function of "the kernels", its counterpart in "the cases", then CASES at the end.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from minicnn import networks
from minicnn.kernels import kernel_set
from minicnn.kernels.geometry import place_windows

BATCH = 32


@dataclass(frozen=True)
class Case:
    """One layer on one shape.

    Attributes
    ----------
    family, shape : str
        Names of the kernel and of the shape, for the report.
    shapes : dict of str to tuple
        Shapes of the random arrays that `passes` gets.
    passes : function (name of a kernel set, arrays, settings) -> (forward, backward), or (step,)
        Returns functions without arguments, to be called in this order; each returns its results by name.
    operations : dict of str to float
        Operations of each pass: two per multiply-add of the equation, or one per comparison or sum.
    bytes_moved : dict of str to float
        Bytes that each pass must at least read and write, each once.
    settings : dict
        Further arguments of `passes`: strides, padding, ...
    needed : dict of str to float
        For a fused block: the operations of the outputs that the pool reads and that backward passes on.
    """

    family: str
    shape: str
    shapes: dict[str, tuple[int, ...]]
    passes: Callable
    operations: dict[str, float]
    bytes_moved: dict[str, float]
    settings: dict = field(default_factory=dict)
    needed: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.family}, {self.shape}"

    def two_images(self) -> dict[str, np.ndarray]:
        """Random arrays for two images.  For a block they are on a coarse grid: sums are exact, and so is argmax."""
        rng = np.random.default_rng(0)
        arrays = {
            name: rng.standard_normal((2, *shape[1:]) if name in ("x", "dy") else shape, np.float32)
            for name, shape in self.shapes.items()
        }
        if self.needed:
            arrays |= {name: np.round(4 * arrays[name]) / 4 for name in ("x", "weight", "bias")}
        return arrays


def repeat(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Turn inputs or results of two images into those of a batch that repeats them, with dy halved each time.

    Backward passes are linear in dy and halving is exact, so the correct result for two images gives the correct
    result for the batch; because the gradients differ, an error in any image of the batch is detected.
    """
    which, weight = np.arange(BATCH) % 2, 0.5 ** (np.arange(BATCH) // 2)
    repeated = dict(arrays)
    for name, array in arrays.items():
        if name in ("x", "y", "argmax"):
            repeated[name] = array[which]
        elif name in ("dy", "dx"):
            repeated[name] = array[which] * weight.reshape(-1, *[1] * (array.ndim - 1)).astype(array.dtype)
        elif name in ("dweight", "dbias"):
            repeated[name] = array * weight[::2].sum()
    return repeated


# ------------------------------------------------------------------------------------- the kernels
def convolution_passes(name, a, s):
    kernels, window = kernel_set(name), (s["strides"], s["padding"])

    def forward():
        return {"y": kernels.conv2d_forward(a["x"], a["weight"], a["bias"], *window)}

    def backward():
        return gradients(kernels.conv2d_backward(a["dy"], a["x"], a["weight"], *window, s["need_dx"]))

    return forward, backward


def block_passes(name, a, s):
    """conv, ReLU and pool: fused if the set has the fused kernel, otherwise one after the other.

    If max indices are given, the fused backward pass uses them, because rounding may choose another of equal outputs.
    """
    kernels, window, cache = kernel_set(name), (s["strides"], s["padding"]), {}
    pool = (2, 2), (2, 2), ((0, 0), (0, 0))

    def fused_forward():
        y, cache["argmax"] = kernels.conv2d_relu_maxpool2d_forward(a["x"], a["weight"], a["bias"], *window)
        return {"y": y}

    def fused_backward():
        argmax = a.get("argmax", cache["argmax"]).astype(np.uint8, copy=False)
        return gradients(
            kernels.conv2d_relu_maxpool2d_backward(
                a["dy"], argmax, a["x"], a["weight"], *window, s["need_dx"]
            )
        )

    def forward():
        y = kernels.relu_forward(kernels.conv2d_forward(a["x"], a["weight"], a["bias"], *window))
        pooled, argmax = kernels.maxpool2d_forward(y, *pool)
        cache.update(y=y, argmax=argmax)
        return {"y": pooled, "argmax": np.where(pooled > 0, argmax, 4)}

    def backward():
        dy = kernels.maxpool2d_backward(a["dy"], cache["argmax"], cache["y"].shape, *pool)
        dy = kernels.relu_backward(dy, cache["y"])
        return gradients(kernels.conv2d_backward(dy, a["x"], a["weight"], *window, s["need_dx"]))

    return (
        (fused_forward, fused_backward)
        if hasattr(kernels, "conv2d_relu_maxpool2d_forward")
        else (forward, backward)
    )


def max_pool_passes(name, a, s):
    kernels, window, cache = kernel_set(name), (s["pool"], s["strides"], s["padding"]), {}

    def forward():
        y, cache["argmax"] = kernels.maxpool2d_forward(a["x"], *window)
        return {"y": y, "argmax": cache["argmax"]}

    def backward():
        return {"dx": kernels.maxpool2d_backward(a["dy"], cache["argmax"], a["x"].shape, *window)}

    return forward, backward


def average_pool_passes(name, a, s):
    kernels, window = kernel_set(name), (s["pool"], s["strides"], s["padding"])

    def forward():
        return {"y": kernels.averagepool2d_forward(a["x"], *window)}

    def backward():
        return {"dx": kernels.averagepool2d_backward(a["dy"], a["x"].shape, *window)}

    return forward, backward


def dense_passes(name, a, s):
    kernels = kernel_set(name)

    def forward():
        return {"y": kernels.dense_forward(a["x"], a["weight"], a["bias"])}

    def backward():
        return gradients(kernels.dense_backward(a["dy"], a["x"], a["weight"], True))

    return forward, backward


def relu_passes(name, a, s):
    kernels, cache = kernel_set(name), {}

    def forward():
        cache["y"] = kernels.relu_forward(a["x"])
        return cache

    def backward():
        return {"dx": kernels.relu_backward(a["dy"], cache["y"])}

    return forward, backward


def adam_passes(name, a, s):
    """The third step of Adam on the weights of two_block, run through a model; for `reference`, the equation itself."""
    model = networks.two_block(kernels=name).build((64, 64, 3), dtype=a["gradient"].dtype.name)
    model.compile("adam", "binary_crossentropy")
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    split_at = np.cumsum([parameter.value.size for parameter in model.parameters])
    moments = [np.zeros((2, *parameter.value.shape), a["gradient"].dtype) for parameter in model.parameters]
    steps = itertools.count(1)

    def equation():
        t = next(steps)
        for parameter, (m, v) in zip(model.parameters, moments, strict=True):
            m[:] = 0.9 * m + 0.1 * parameter.grad
            v[:] = 0.999 * v + 0.001 * parameter.grad**2
            rate = 1e-3 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            parameter.value -= rate * m / (np.sqrt(v) + 1e-7)

    def step():
        equation() if name == "reference" else model.optimizer.step(model.parameters)
        return {parameter.name: parameter.value for parameter in model.parameters}

    for gradient in (a["gradient"] ** 2, a["gradient"]):
        for parameter, values in zip(model.parameters, np.split(gradient, split_at[:-1]), strict=True):
            parameter.grad = values.reshape(parameter.value.shape)
        step()
    return (step,)


def gradients(results):
    return dict(zip(("dx", "dweight", "dbias"), results, strict=True))


# --------------------------------------------------------------------------------------- the cases
def convolution(side, C, OC, K=3, stride=1, padding="valid", words="", fused=False):
    """A convolution on square images.  A first layer, which has three input channels, computes no dx."""
    pads, (OH, OW) = place_windows((side, side, C), (K, K), (stride, stride), padding, "benchmark")
    PH, PW = (OH // 2, OW // 2) if fused else (OH, OW)
    need_dx = C > 3
    shapes = {
        "x": (BATCH, side, side, C),
        "weight": (K, K, C, OC),
        "bias": (OC,),
        "dy": (BATCH, PH, PW, OC),
    }
    operations, gradients_needed = 2 * BATCH * OH * OW * K * K * C * OC, 1 + need_dx
    pooled_operations = operations * PH * PW / (OH * OW)  # of one convolution output per pooled value
    x, weight, bias, dy = (4 * math.prod(shape) for shape in shapes.values())
    argmax = dy // 4 if fused else 0
    return Case(
        "conv + ReLU + pool" if fused else "convolution",
        f"{side} px, {K}x{K}, {C} to {OC}{words}{'' if need_dx else ', no dx'}",
        shapes,
        block_passes if fused else convolution_passes,
        {"forward": operations, "backward": gradients_needed * operations},
        {
            "forward": x + weight + bias + dy + argmax,
            "backward": dy + argmax + gradients_needed * x + 2 * weight + bias,
        },
        {"strides": (stride, stride), "padding": pads, "need_dx": need_dx},
        {"forward": 4 * pooled_operations, "backward": gradients_needed * pooled_operations} if fused else {},
    )


def pooling(family, passes, side, C, pool, stride):
    pads, (OH, OW) = place_windows((side, side, C), (pool, pool), (stride, stride), "valid", "benchmark")
    shapes = {"x": (BATCH, side, side, C), "dy": (BATCH, OH, OW, C)}
    x, dy = (4 * math.prod(shape) for shape in shapes.values())
    largest = family == "max pool"
    pooled = dy + (dy // 4 if largest else 0)  # values, and one byte per max index
    windows = dy / 4 * pool * pool
    return Case(
        family,
        f"{side} px, {pool}x{pool} stride {stride}, {C} channels",
        shapes,
        passes,
        {"forward": windows, "backward": dy / 4 if largest else windows},
        {"forward": x + pooled, "backward": x + pooled},
        {"pool": (pool, pool), "strides": (stride, stride), "padding": pads},
    )


def dense(inputs, outputs):
    shapes = {
        "x": (BATCH, inputs),
        "weight": (inputs, outputs),
        "bias": (outputs,),
        "dy": (BATCH, outputs),
    }
    x, weight, bias, dy = (4 * math.prod(shape) for shape in shapes.values())
    operations = 2 * BATCH * inputs * outputs
    return Case(
        "dense",
        f"{inputs} to {outputs}",
        shapes,
        dense_passes,
        {"forward": operations, "backward": 2 * operations},
        {"forward": x + weight + bias + dy, "backward": dy + 2 * x + 2 * weight + bias},
    )


def relu(side, C):
    shape = (BATCH, side, side, C)
    values = math.prod(shape)
    return Case(
        "ReLU",
        f"{side} px, {C} channels",
        {"x": shape, "dy": shape},
        relu_passes,
        {"forward": values, "backward": values},
        {"forward": 2 * 4 * values, "backward": 3 * 4 * values},
    )


def adam(weights):
    """Twelve operations per weight; w, m and v are read and written, the gradient is read."""
    return Case(
        "Adam",
        f"{weights} weights",
        {"gradient": (weights,)},
        adam_passes,
        {"step": 12 * weights},
        {"step": 7 * 4 * weights},
    )


CASES = [
    *(
        convolution(*layer, fused=fused)
        for fused in (True, False)
        for layer in ((64, 3, 32), (31, 32, 32), (150, 3, 32), (74, 32, 64), (36, 64, 128), (17, 128, 128))
    ),
    convolution(31, 32, 32, K=5),
    convolution(31, 32, 32, stride=2, words=", stride 2"),
    convolution(31, 32, 32, padding="same", words=', "same"'),
    convolution(31, 24, 24),
    convolution(31, 100, 100),
    convolution(31, 32, 32, K=1),
    dense(6272, 128),
    dense(6272, 512),
    pooling("max pool", max_pool_passes, 62, 32, 2, 2),
    pooling("max pool", max_pool_passes, 62, 32, 3, 2),
    pooling("average pool", average_pool_passes, 62, 32, 2, 2),
    relu(31, 32),
    relu(148, 32),
    adam(813217),
]
