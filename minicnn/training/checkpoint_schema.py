"""Check every part of a checkpoint before a run is resumed from it, because a file may be forged.

A checksum shows that a file is as it was written, but not who wrote it.  `check_state` compares the state from a file
with the run that would resume from it, part by part, and changes nothing.  Reading and writing the file is done in
checkpoints.py, which calls this file.
"""

import copy
from typing import Any

import numpy as np

from ..errors import ArgumentError, MinicnnError
from .callbacks.base import is_count, is_flag, is_number

PARTS = {"settings", "weights", "optimizer", "layers", "run", "stop_training", "callbacks"}


def check_state(state: Any, run: Any) -> None:
    """Refuse a state that the run cannot resume from.

    Parameters
    ----------
    state : dict
        The state that `checkpoints.read` returned.
    run : Run
        The run, before it is resumed.

    Raises
    ------
    ArgumentError
    """
    _need(isinstance(state, dict) and state.keys() == PARTS, "checkpoint", f"the parts {sorted(PARTS)}")
    _need(is_flag(state["stop_training"]), "stop_training", "True or False")
    _check_run(state["run"], run)
    _check_callbacks(state["callbacks"], run.callbacks)
    _check_model(state, run.model)


def _need(fits, where, expected):
    if not fits:
        raise ArgumentError(f"checkpoint {where}", expected, "another")


def _check_keys(value, names, where):
    _need(
        isinstance(value, dict) and value.keys() == set(names), where, f"a dictionary of {', '.join(names)}"
    )


def _check_run(state, run):
    _check_keys(state, ("epoch", "batch", "seconds", "offset", "totals", "history"), "run")
    steps = run.steps or 2**31
    for name, most in (("epoch", 2**31), ("batch", steps), ("offset", 2**31)):
        _need(is_count(state[name]) and state[name] <= most, f"run {name}", f"an int from 0 to {most}")
    _need(
        is_number(state["seconds"]) and 0 <= state["seconds"] < np.inf,
        "run seconds",
        "a number of at least 0",
    )
    _check_totals(state["totals"], state["batch"], run.model)
    _check_history(state["history"])


def _check_totals(totals, batches, model):
    _check_keys(totals, ("loss", "samples", "targets", "predictions"), "totals")
    _need(is_number(totals["loss"]) and abs(totals["loss"]) < np.inf, "totals loss", "a finite number")
    samples = totals["samples"]
    _need(
        is_count(samples) and samples >= batches and (samples > 0) == (batches > 0),
        "totals samples",
        "a count",
    )
    kept = batches if model.metrics else 0
    for name in ("targets", "predictions"):
        arrays = totals[name]
        _need(isinstance(arrays, list) and len(arrays) == kept, f"totals {name}", f"{kept} arrays")
        fits = all(
            isinstance(array, np.ndarray) and array.ndim and array.dtype.kind in "fiub" for array in arrays
        )
        _need(
            fits and len({array.shape[1:] for array in arrays}) <= 1, f"totals {name}", "arrays of one kind"
        )
        count = sum(len(array) for array in arrays)
        _need(not kept or count == samples, f"totals {name}", f"{samples} samples")
    for target, prediction in zip(totals["targets"], totals["predictions"], strict=True):
        _need(len(target) == len(prediction), "totals", "as many targets as predictions")
        _need(prediction.shape[1:] == model.output_shape, "totals predictions", f"shape {model.output_shape}")


def _check_history(history):
    _check_keys(history, ("history", "epoch", "seconds"), "history")
    epochs, seconds, numbers = history["epoch"], history["seconds"], history["history"]
    _need(isinstance(epochs, list) and all(map(is_count, epochs)), "history epoch", "whole numbers")
    _need(
        isinstance(seconds, list) and all(map(is_number, seconds)) and len(seconds) == len(epochs),
        "history seconds", "a number per epoch",
    )  # fmt: skip
    _need(isinstance(numbers, dict), "history", "lists by name")
    for name, values in numbers.items():
        fits = isinstance(values, list) and len(values) <= len(epochs)
        _need(fits and all(isinstance(value, (int, float)) for value in values), f"history {name}", "numbers")


def _check_callbacks(states, callbacks):
    _need(isinstance(states, list) and len(states) == len(callbacks), "callbacks", f"{len(callbacks)} states")
    for callback, state in zip(callbacks, states, strict=True):
        callback.check_state(state)


def _check_model(state, model):
    """Check weights and moments, then set the state on a copy of the model, which checks the rest."""
    weights, moments = state["weights"], state["optimizer"]
    _check_keys(weights, model.named_parameters, "weights")
    for name, parameter in model.named_parameters.items():
        array = weights[name]
        fits = isinstance(array, np.ndarray) and (array.shape, array.dtype) == (
            parameter.shape,
            parameter.dtype,
        )
        _need(
            fits and np.isfinite(array).all(),
            f"weights {name}",
            f"finite {parameter.dtype} {parameter.shape}",
        )
    _need(isinstance(moments, dict), "optimizer", "a dictionary")
    for name, array in moments.items():
        owner = model.named_parameters.get(name.rpartition("/")[0])
        if "/" in name:
            fits = owner is not None and isinstance(array, np.ndarray)
            fits = fits and (array.shape, array.dtype) == (owner.shape, owner.dtype)
            _need(fits, f"optimizer {name}", "a moment of one of the parameters")
    layers = [layer.state for layer in model.layers]
    _need(_same_form(state["layers"], layers), "layers", "the state of these layers")
    try:
        copy.deepcopy(model).state = state
    except MinicnnError:
        raise
    except Exception as error:  # NumPy's generators raise any kind of error
        raise ArgumentError("checkpoint layers", "the state of these layers", str(error)) from error


def _same_form(value, ours):
    """Whether two trees have the same keys, with numbers, strings and arrays in the same places."""
    if isinstance(ours, dict):
        fits = isinstance(value, dict) and value.keys() == ours.keys()
        return fits and all(_same_form(value[key], ours[key]) for key in ours)
    if isinstance(ours, list):
        fits = isinstance(value, list) and len(value) == len(ours)
        return fits and all(map(_same_form, value, ours))
    if isinstance(ours, np.ndarray) and ours.ndim:
        return isinstance(value, np.ndarray) and value.shape == ours.shape
    if isinstance(ours, (bool, str)) or ours is None:
        return type(value) is type(ours)
    return isinstance(value, (int, float)) and not isinstance(value, bool)
