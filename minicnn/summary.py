"""The table that `Sequential.summary` prints: layers, shapes, parameters, multiply-adds, memory."""

import math
from typing import Any


def summary(model: Any) -> str:
    """The table as text.

    Parameters
    ----------
    model : Sequential, built

    Returns
    -------
    str
        Keras's columns (layer, output shape with None for the batch, parameters), then the multiply-adds
        of one picture's forward pass and the memory of its activations.  Layers inside a layer stand below
        it, moved in; its own row counts them too.
    """
    rows = [("Layer (type)", "Output Shape", "Param #", "Multiply-adds", "Memory")]
    itemsize = model.dtype.itemsize
    memory = 0
    for indent, layer in _nested(model.layers):
        shape = layer.output_shape
        size = 0 if type(layer).__name__ == "Flatten" else math.prod(shape) * itemsize
        memory += size
        batch_shape = "(None, " + ", ".join(map(str, shape)) + ")"
        rows.append(
            (
                f"{indent}{layer.name} ({type(layer).__name__})",
                batch_shape,
                f"{_count(layer.parameters):,}",
                f"{layer.multiply_adds:,}",
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
            f"A picture: {sum(layer.multiply_adds for layer in model.layers):,} multiply-adds forward, "
            f"{_bytes(memory)} of activations",
            *(f"In one step: {step}" for step in _fused(model.steps)),
        ]
    )


def _nested(layers, indent=""):
    """Pairs of indentation and layer, each layer before those inside it."""
    for layer in layers:
        yield indent, layer
        yield from _nested(layer.inner, indent + "  ")


def _fused(steps, where=""):
    """The steps that are more than one layer, those inside a layer with its name before them."""
    for step in steps:
        fused = not hasattr(step, "config")
        if fused:
            yield f"{where}{step}"
        for layer in step.layers if fused else [step]:
            if hasattr(layer, "steps"):
                yield from _fused([*layer.steps, *layer.shortcut_steps], f"{where}{layer.name}: ")


def _count(parameters):
    return sum(math.prod(parameter.shape) for parameter in parameters)


def _bytes(size: float) -> str:
    """
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
