"""The table that `Sequential.summary` prints: layers, shapes, parameters, multiply-adds and memory.

Multiply-adds and memory are counted for one image, forward only; nothing is timed.  Called by architecture.py.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from .fusion import Branches, Fused
from .layers import Flatten, Layer
from .layers.chain import place_names, shapes_of


def summary(model: Any) -> str:
    """The table as text.

    Parameters
    ----------
    model : Sequential, built

    Returns
    -------
    str
        Keras's columns (layer, output shape with None for the batch, parameters), and two more: the multiply-adds of
        the forward pass for one image, and the memory of its activations.  Layers inside a layer are listed below it,
        indented; the numbers of the outer layer include them.
    """
    rows = [("Layer (type)", "Output Shape", "Param #", "Multiply-adds", "Memory")]
    itemsize = model.dtype.itemsize
    memory = 0
    for name, layer, input_shape, shape in _rows(model.layers, model.input_shape):
        size = 0 if type(layer) is Flatten else math.prod(shape) * itemsize
        memory += size
        rows.append(
            (
                f"{name} ({type(layer).__name__})" + ("" if layer.trainable else " frozen"),
                "(None, " + ", ".join(map(str, shape)) + ")",
                f"{_count(layer.parameters):,}",
                f"{layer.multiply_adds(input_shape):,}",
                _bytes(size),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        "  ".join(
            cell.ljust(w) if i < 2 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    rule = "-" * len(lines[0])
    total, trainable = _count(model.parameters), _count(p for p in model.parameters if p.trainable)
    shapes = [model.input_shape, *model.output_shapes]
    work = sum(layer.multiply_adds(shape) for layer, shape in zip(model.layers, shapes, strict=False))
    return "\n".join(
        [
            f'Model "{model.name}", input {model.input_shape}, kernels {model.kernels_name}',
            rule,
            lines[0].rstrip(),
            rule,
            *lines[1:],
            rule,
            f"Total params: {total:,} ({_bytes(total * itemsize)})",
            f"Trainable params: {trainable:,} ({_bytes(trainable * itemsize)})",
            f"Non-trainable params: {total - trainable:,} ({_bytes((total - trainable) * itemsize)})",
            f"One image: {work:,} multiply-adds forward, {_bytes(memory)} of activations",
            *(f"Fused layers: {step}" for step in fused_steps(model.plan.prediction)),
        ]
    )


def _rows(layers: Sequence[Layer], input_shape: tuple, indent: str = "", prefix: str = "") -> Iterator[tuple]:
    """(indented name, layer, input shape, output shape), each layer before those inside it."""
    shapes = [input_shape, *shapes_of(layers, input_shape)]
    for name, layer, before, after in zip(
        place_names(layers, prefix), layers, shapes, shapes[1:], strict=False
    ):
        yield indent + name, layer, before, after
        for inner_prefix, inner in layer.branches:
            yield from _rows(inner, before, indent + "  ", inner_prefix)


def fused_steps(steps: Sequence[Any], where: str = "") -> Iterator[str]:
    """The names of the layers in each fused step of a plan; inside a Residual, its name comes first."""
    for step in steps:
        if isinstance(step, Fused) and type(step) is not Branches:
            yield f"{where}{step!r}"
        for inner in step.layers if isinstance(step, Fused) else ():
            if isinstance(inner, Branches):
                yield from _inside(inner, where)
        if isinstance(step, Branches):
            yield from _inside(step, where)


def _inside(branches, where):
    for plan in branches.plans:
        yield from fused_steps(plan.prediction, f"{where}{branches.name}: ")


def _count(parameters):
    return sum(math.prod(parameter.shape) for parameter in parameters)


def _bytes(size: float) -> str:
    """A number of bytes in the largest unit that fits.

    >>> _bytes(512), _bytes(3252868), _bytes(3 * 2**30)
    ('512 B', '3.10 MB', '3.00 GB')
    """
    if size < 1024:
        return f"{size:.0f} B"
    for unit in ("KB", "MB", "GB"):
        size /= 1024
        if size < 1024 or unit == "GB":
            break
    return f"{size:.2f} {unit}"
