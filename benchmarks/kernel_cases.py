"""Which kernels `kernels.py` measures, on which shapes, and what each needs at least: operations and bytes.

The shapes are those of the two networks of the cat-and-dog example, and the second layer of the smaller one made odd
in one way after another.  Read one function of "the kernels", its twin in "the cases", and CASES at the end.
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
        In words.
    shapes : dict of str to tuple
        The arrays that `passes` is given, filled with random numbers.
    passes : function (name of a kernel set, arrays, settings) -> (forward, backward), or (step,)
        To be called without arguments, in this order; each returns its results by name.
    operations, moved : dict of str to float
        For each pass, by its name: two operations for each multiply-add of the equation, or one for each
        comparison or sum; bytes that must be read and written at least, each once.
    settings : dict
        What else `passes` is told: strides, padding, ...
    seen : dict of str to float
        In a fused block: the operations of those outputs that the pool reads, and backward lets through.
    """

    family: str
    shape: str
    shapes: dict[str, tuple[int, ...]]
    passes: Callable
    operations: dict[str, float]
    moved: dict[str, float]
    settings: dict = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.family}, {self.shape}"

    def two_pictures(self) -> dict[str, np.ndarray]:
        """Random numbers; for a block on a grid so coarse that sums are exact and no rounding decides a winner."""
        rng = np.random.default_rng(0)
        drawn = {
            name: rng.standard_normal((2, *shape[1:]) if name in ("x", "dy") else shape, np.float32)
            for name, shape in self.shapes.items()
        }
        if self.seen:
            drawn |= {name: np.round(4 * drawn[name]) / 4 for name in ("x", "weight", "bias")}
        return drawn


def repeat(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What was given or found for two pictures, for a batch that repeats them, their gradient halved each time.

    Backward passes are linear in dy and halving is exact, so what is right for two pictures tells what is right for
    the batch, and each picture of the batch counts.
    """
    which, weight = np.arange(BATCH) % 2, 0.5 ** (np.arange(BATCH) // 2)
    repeated = dict(arrays)
    for name, array in arrays.items():
        if name in ("x", "y", "winner"):
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
    """conv, ReLU and pool as one where the set has it, else one after the other.

    Where winners are given, the fused backward pass takes these: of equal outputs, rounding may choose another.
    """
    kernels, window, kept = kernel_set(name), (s["strides"], s["padding"]), {}
    pool = (2, 2), (2, 2), ((0, 0), (0, 0))

    def fused_forward():
        y, kept["winner"] = kernels.block_forward(a["x"], a["weight"], a["bias"], *window)
        return {"y": y}

    def fused_backward():
        winner = a.get("winner", kept["winner"]).astype(np.uint8, copy=False)
        return gradients(kernels.block_backward(a["dy"], winner, a["x"], a["weight"], *window, s["need_dx"]))

    def forward():
        y = kernels.relu_forward(kernels.conv2d_forward(a["x"], a["weight"], a["bias"], *window))
        pooled, winner = kernels.maxpool2d_forward(y, *pool)
        kept.update(y=y, winner=winner)
        return {"y": pooled, "winner": np.where(pooled > 0, winner, 4)}

    def backward():
        dy = kernels.maxpool2d_backward(a["dy"], kept["winner"], kept["y"].shape, *pool)
        dy = kernels.relu_backward(dy, kept["y"])
        return gradients(kernels.conv2d_backward(dy, a["x"], a["weight"], *window, s["need_dx"]))

    return (fused_forward, fused_backward) if hasattr(kernels, "block_forward") else (forward, backward)


def max_pool_passes(name, a, s):
    kernels, window, kept = kernel_set(name), (s["pool"], s["strides"], s["padding"]), {}

    def forward():
        y, kept["winner"] = kernels.maxpool2d_forward(a["x"], *window)
        return {"y": y, "winner": kept["winner"]}

    def backward():
        return {"dx": kernels.maxpool2d_backward(a["dy"], kept["winner"], a["x"].shape, *window)}

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
    kernels, kept = kernel_set(name), {}

    def forward():
        kept["y"] = kernels.relu_forward(a["x"])
        return kept

    def backward():
        return {"dx": kernels.relu_backward(a["dy"], kept["y"])}

    return forward, backward


def adam_passes(name, a, s):
    """The third of Adam's steps on the weights of two_block, as a model takes it; reference is the equation itself."""
    model = networks.two_block(kernels=name).build((64, 64, 3), dtype=a["gradient"].dtype.name)
    model.compile("adam", "binary_crossentropy")
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    ends = np.cumsum([parameter.value.size for parameter in model.parameters])
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
        for parameter, values in zip(model.parameters, np.split(gradient, ends[:-1]), strict=True):
            parameter.grad = values.reshape(parameter.value.shape)
        step()
    return (step,)


def gradients(results):
    return dict(zip(("dx", "dweight", "dbias"), results, strict=True))


# --------------------------------------------------------------------------------------- the cases
def convolution(side, C, OC, K=3, stride=1, padding="valid", words="", fused=False):
    """Square pictures; a first layer, which sees three channels, passes no gradient on."""
    pads, (OH, OW) = place_windows((side, side, C), (K, K), (stride, stride), padding, "benchmark")
    PH, PW = (OH // 2, OW // 2) if fused else (OH, OW)
    need_dx = C > 3
    shapes = {
        "x": (BATCH, side, side, C),
        "weight": (K, K, C, OC),
        "bias": (OC,),
        "dy": (BATCH, PH, PW, OC),
    }
    products, both = 2 * BATCH * OH * OW * K * K * C * OC, 1 + need_dx
    winners = products * PH * PW / (OH * OW)  # the products of one output for each pooled value
    x, weight, bias, dy = (4 * math.prod(shape) for shape in shapes.values())
    winner = dy // 4 if fused else 0
    return Case(
        "conv + ReLU + pool" if fused else "convolution",
        f"{side} px, {K}x{K}, {C} to {OC}{words}{'' if need_dx else ', no dx'}",
        shapes,
        block_passes if fused else convolution_passes,
        {"forward": products, "backward": both * products},
        {
            "forward": x + weight + bias + dy + winner,
            "backward": dy + winner + both * x + 2 * weight + bias,
        },
        {"strides": (stride, stride), "padding": pads, "need_dx": need_dx},
        {"forward": 4 * winners, "backward": both * winners} if fused else {},
    )


def pooling(family, passes, side, C, pool, stride):
    pads, (OH, OW) = place_windows((side, side, C), (pool, pool), (stride, stride), "valid", "benchmark")
    shapes = {"x": (BATCH, side, side, C), "dy": (BATCH, OH, OW, C)}
    x, dy = (4 * math.prod(shape) for shape in shapes.values())
    largest = family == "max pool"
    pooled = dy + (dy // 4 if largest else 0)  # values, and a byte for each winner
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
    products = 2 * BATCH * inputs * outputs
    return Case(
        "dense",
        f"{inputs} to {outputs}",
        shapes,
        dense_passes,
        {"forward": products, "backward": 2 * products},
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
    """Twelve operations a weight; w, m and v are read and written, the gradient is read."""
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
