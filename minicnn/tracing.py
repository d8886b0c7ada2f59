"""Feature maps and gradients: the output of every layer of a network, and the gradient at any of these outputs.

Called by `Sequential.trace` and `Sequential.gradient`.  Gradients of weights are not computed here.  Nothing in the
model is changed, so any number of threads may use one model at once.  Layers run one by one; none are fused as in
fusion.py.  The traces of single layers are in layers/chain.py and layers/base.py.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .errors import ArgumentError, ShapeError, StateError
from .layers import Layer, Sigmoid, Softmax
from .layers.chain import place_names, trace_chain, trace_chain_backward
from .losses import takes_logits, with_logits

STEP = 1e-6  # step of the finite differences, for functions that return no gradient


def trace(model: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    """The output of every layer by its path, in order; see `Sequential.trace`."""
    return trace_chain(model.layers, x)[1]


def gradient(model: Any, x: np.ndarray, of: Any, at: str | Sequence[str], y: Any) -> Any:
    """The gradient of a scalar at the input or at the output of layers; see `Sequential.gradient`."""
    paths = [at] if isinstance(at, str) else at
    if not isinstance(paths, (list, tuple)) or not all(isinstance(path, str) for path in paths):
        raise ArgumentError("gradient at", '"input", a path of model.trace, or a list of these', repr(at))
    of_logits = isinstance(of, (int, np.integer, str)) or (isinstance(of, np.ndarray) and of.ndim == 1)
    layers, renamed = without_activation(model.layers) if of_logits else (list(model.layers), {})
    output, caches = x, []
    for layer in layers:
        output, cache = layer.trace_forward(output)
        caches.append(cache)
    if of_logits:
        dy = loss_gradient(model, of, y, output) if isinstance(of, str) else class_gradient(model, of, output)
    else:
        dy = function_gradient(of, output)
    dx, gradients = trace_chain_backward(layers, dy, caches)
    gradients = {renamed.get(path, path): value for path, value in gradients.items()} | {"input": dx}
    for path in paths:
        if path not in gradients:
            raise ArgumentError("gradient at", "one of " + ", ".join(reversed(gradients)), repr(path))
    return gradients[at] if isinstance(at, str) else {path: gradients[path] for path in paths}


def without_activation(layers: Sequence[Layer]) -> tuple[list[Layer], dict[str, str]]:
    """The layers up to the logits, without a final Sigmoid or Softmax, and the new paths of renamed outputs."""
    *before, last = layers
    if type(last) in (Sigmoid, Softmax):
        return before, {}
    if type(last.activation) in (Sigmoid, Softmax):
        linear = copy.copy(last)
        linear.__dict__["activation"] = None
        name = place_names(layers)[-1]
        return [*before, linear], {name: f"{name}/linear"}
    return list(layers), {}


def class_gradient(model: Any, of: Any, logits: np.ndarray) -> np.ndarray:
    """The gradient of the logit of a class; for one sigmoid, class 1 has the logit z and class 0 has -z."""
    if logits.ndim != 2:
        raise ShapeError(
            "gradient of a class", "outputs (N, K)", f"shape {logits.shape}", "Give a function of the output."
        )
    N, K = logits.shape
    classes = 2 if K == 1 and model.is_classifier else K
    chosen = np.broadcast_to(np.asarray(of), (N,)) if np.ndim(of) == 0 else np.asarray(of)
    if (
        chosen.shape != (N,)
        or chosen.dtype.kind not in "iu"
        or not ((chosen >= 0) & (chosen < classes)).all()
    ):
        raise ArgumentError(
            "gradient of", f"a class number from 0 to {classes - 1}, or one for each of {N} samples", repr(of)
        )
    if K == 1:
        return np.where(chosen == classes - 1, 1, -1).astype(logits.dtype)[:, None]
    dlogits = np.zeros_like(logits)
    dlogits[np.arange(N), chosen] = 1
    return dlogits


def loss_gradient(model: Any, of: str, y: Any, logits: np.ndarray) -> np.ndarray:
    """The gradient of the loss for targets y with respect to the logits; the loss is the mean over the batch."""
    if of != "loss":
        raise ArgumentError("gradient of", 'a class number, "loss", a gradient or a function', repr(of))
    if y is None:
        raise ArgumentError(
            "gradient of the loss", "targets y", "none", 'Write gradient(x, of="loss", y=labels).'
        )
    loss = model.loss
    if loss is None:
        raise StateError(
            "gradient of the loss", "a compiled model", "a model that is not compiled", "Call compile first."
        )
    if model.output_activation is None:
        return loss(y, logits)[1]
    if takes_logits(loss) and loss.activation == type(model.output_activation).__name__:
        return with_logits(loss)(y, logits)[1]
    prediction, cache = model.output_activation.forward(logits)
    return model.output_activation.backward(loss(y, prediction)[1], cache)


def function_gradient(of: Callable | np.ndarray, output: np.ndarray) -> np.ndarray:
    """The gradient of a function with respect to the output, or the given gradient after checks."""
    if not callable(of):
        dy = np.asarray(of)
        if dy.dtype.kind not in "fiu" or dy.shape != output.shape:
            raise ShapeError("gradient of", f"a gradient of shape {output.shape}", f"{dy.dtype} {dy.shape}")
        return dy.astype(output.dtype)
    result = of(output.copy())
    if isinstance(result, tuple) and len(result) == 2:
        return function_gradient(result[1], output)
    if np.ndim(result) != 0:
        raise ArgumentError(
            "gradient of a function", "one number, or the pair (number, gradient)",
            f"an array of shape {np.shape(result)}", "Return for example its sum.",
        )  # fmt: skip
    at, dy = output.astype(np.float64), np.empty(output.shape)
    for index in np.ndindex(at.shape):  # central differences are affordable because the output is small
        value: Any = at[index]
        step = STEP * max(1.0, abs(value))
        at[index] = value + step
        above = float(of(at.copy()))
        at[index] = value - step
        dy[index] = (above - float(of(at.copy()))) / (2 * step)
        at[index] = value
    return dy.astype(output.dtype)
