"""Check the arguments of `fit`, `evaluate` and `predict`, and make datasets of them.

An argument that cannot work is refused here, before the first training step, and the model stays as it was.  The
datasets are in batches.py; single arrays are checked in inputs.py.  Called by loop.py and lr_finder.py.
"""

from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass, replace
from numbers import Real
from typing import Any

import numpy as np

from ..errors import ArgumentError, MinicnnError, ShapeError, StateError, check_int, check_number
from ..metrics import LIBRARY
from .batches import ArrayBatches, Batches, IterableBatches, SteppedBatches, is_array, is_iterable
from .callbacks import Callback
from .inputs import as_input, as_samples

BATCH_SIZE = 32
PARTS = "(x, y), (x, y, sample_weight), a loader or an iterable of batches"


def need_compile(model: Any, where: str) -> None:
    """Raise StateError unless the model is compiled.

    Raises
    ------
    StateError
    """
    if model.optimizer is None:
        raise StateError(
            where, "a compiled model", "one that is not", "Call compile(optimizer=, loss=) first."
        )


def need_build(model: Any, where: str) -> None:
    """Raise StateError unless the model is built.

    Raises
    ------
    StateError
    """
    if model.input_shape is None:
        raise StateError(where, "a built model", "one that is not", "Call build(input_shape) or fit first.")


# ------------------------------------------------------------------------------------- datasets
def as_batches(where: str, x: Any, y: Any = None, sample_weight: Any = None, **settings: Any) -> Batches:
    """Arrays, a loader or an iterable of batches as Batches.

    Parameters
    ----------
    where : "fit", "evaluate" or "predict"
    x, y, sample_weight
        The arguments of that function.
    settings
        batch_size, shuffle and seed; None means the default.

    Raises
    ------
    ArgumentError, ShapeError
        If x is not a dataset, or if an argument is given that the dataset itself decides.
    """
    if isinstance(x, Batches) or not is_array(x):
        given = {"y": y, "sample_weight": sample_weight, **settings}
        if ignored := [name for name, value in given.items() if value is not None]:
            kind = "a loader" if isinstance(x, Batches) else "an iterable of batches"
            raise ArgumentError(
                where, f"no {' and no '.join(ignored)} next to {kind}, which decides that itself", "some",
                "Leave it out, or set it where the dataset is made.",
            )  # fmt: skip
        return x if isinstance(x, Batches) else IterableBatches(x)
    if isinstance(x, tuple) and any(hasattr(part, "shape") for part in x):
        raise ArgumentError(
            where, "x and y as two arguments", f"a tuple of {len(x)} arrays", f"Write {where}(x, y)."
        )
    samples = as_samples(x)
    defaults = {"batch_size": BATCH_SIZE, "shuffle": where == "fit", "seed": 0}
    given = {name: value for name, value in settings.items() if value is not None}
    return ArrayBatches(samples, y, sample_weight, **defaults | given)


def with_steps(batches: Batches, steps: int | None) -> Batches:
    """The dataset with epochs of `steps` batches; None does not change it."""
    if steps is None:
        return batches
    steps = check_int(steps, "steps_per_epoch")
    if isinstance(batches, IterableBatches):
        return IterableBatches(batches.data, steps)
    if batches.steps is None:
        raise ArgumentError(
            "steps_per_epoch", "a dataset that knows how many batches it has",
            f"{type(batches).__name__} without steps", "Let its property steps return that number.",
        )  # fmt: skip
    return SteppedBatches(batches, steps)


def validation_batches(data: Any, batch_size: int | None) -> Batches | None:
    """`validation_data` as Batches.

    Raises
    ------
    ArgumentError, ShapeError
    """
    if data is None or isinstance(data, Batches):
        return data
    if isinstance(data, (tuple, list)) and is_array(data):
        if len(data) not in (2, 3):
            raise ArgumentError(
                "validation_data", PARTS, "one part" if len(data) == 1 else f"{len(data)} parts"
            )
        with within("validation_data"):
            weight = data[2] if len(data) == 3 else None
            return ArrayBatches(data[0], data[1], weight, BATCH_SIZE if batch_size is None else batch_size)
    if is_array(data) or not is_iterable(data):
        share = isinstance(data, Real) and not isinstance(data, bool)
        received = (
            f"an array of shape {np.shape(data)}" if hasattr(data, "shape") and np.ndim(data) else repr(data)
        )
        raise ArgumentError(
            "validation_data", PARTS, received,
            f"Write validation_split={data}." if share else "Give the targets with it.",
        )  # fmt: skip
    return IterableBatches(data)


def split_off(batches: Batches, share: float) -> tuple[Batches, Batches | None]:
    """(training, validation): the last `share` of arrays is for validation, as in Keras.

    Raises
    ------
    ArgumentError
        If the dataset is not arrays, or one part would be empty.
    """
    share = check_number(share, "validation_split", 0, below=1)
    if share == 0:
        return batches, None
    if type(batches) is not ArrayBatches:
        raise ArgumentError(
            "validation_split", "arrays x and y", "a loader or an iterable",
            "Give validation_data; data.from_directory(validation_split=...) makes two loaders.",
        )  # fmt: skip
    first = int(np.floor(batches.samples * (1 - share)))
    if first == 0:
        raise ArgumentError(
            "validation_split",
            "samples left to train on",
            f"{share:g} of {batches.samples} samples",
            "Lower it.",
        )
    return batches.split(batches.samples - first)


def training_and_validation(
    batches: Batches, validation_split: float, validation_data: Any, batch_size: int | None
) -> tuple[Batches, Batches | None]:
    """The training dataset and the validation dataset, which may be None.

    Raises
    ------
    ArgumentError, ShapeError
        As in `split_off` and `validation_batches`; also if both kinds of validation are given.
    """
    training, validation = split_off(batches, validation_split)
    if validation is None:
        return training, validation_batches(validation_data, batch_size)
    if validation_data is not None:
        raise ArgumentError(
            "validation_split", "0 next to validation_data", str(validation_split), "Choose one."
        )
    return training, validation


def check_passes(batches: Batches, passes: int, steps: int | None, name: str) -> None:
    """Refuse a generator if more than one pass over it is needed.

    Raises
    ------
    ArgumentError
    """
    if steps is None and passes > 1 and isinstance(batches, IterableBatches) and batches.once:
        raise ArgumentError(
            "fit", f"a dataset for {passes} passes", "a generator, which ends after one",
            f"Give {name}, or an object that can be iterated again, such as a list.",
        )  # fmt: skip


def check_steps(batches: Batches, steps: int | None, name: str) -> int | None:
    """The number of batches to evaluate or predict; None means all.

    Raises
    ------
    ArgumentError
        If the dataset has fewer.
    """
    if steps is None:
        return None
    steps = check_int(steps, name)
    if batches.steps is not None and steps > batches.steps:
        raise ArgumentError(name, f"at most {batches.steps}, all batches of the dataset", str(steps))
    return steps


# ------------------------------------------------------------------------ datasets and the model
def check_dataset(model: Any, batches: Batches, where: str) -> None:
    """Refuse a dataset that does not fit the built model: its shape, its labels or its class names.

    Raises
    ------
    ArgumentError, ShapeError
    """
    check_shape(model, batches, where)
    x, targets, _ = batches.example()
    if type(batches) is ArrayBatches and x.dtype.kind == "f":
        x = batches.x  # all samples, because the range of the numbers matters
    as_input(model, x)
    if targets is None:
        raise ArgumentError(where, "targets y", "none", "Give y, or a loader with labels.")
    name = "targets" if where == "fit" else f"{where} targets"
    if batches.labels is not None:  # check all values here; the form of a batch's targets is checked below
        replace(model.outputs, rows=None).check_targets(batches.labels, name)
    model.outputs.check_targets(targets, name)
    check_origin(batches, model.class_names, model.preprocessing, where, "the model")


def check_shape(model: Any, batches: Batches, where: str) -> None:
    """Refuse samples of another shape than the model was built for.

    Raises
    ------
    ShapeError
    """
    shape = batches.input_shape
    if shape != model.input_shape:
        raise ShapeError(
            where, f"samples of shape {model.input_shape}", str(shape),
            "A single sample needs a batch axis: x[None]." if shape == model.input_shape[1:] else
            "Give samples like those that the model was built for, or build another model.",
        )  # fmt: skip


def check_origin(batches: Batches, class_names: Any, preprocessing: Any, where: str, whose: str) -> None:
    """Refuse a loader with other class names or other preprocessing; None on either side fits everything.

    Raises
    ------
    ArgumentError
    """
    names = batches.class_names
    if names is not None and class_names is not None and list(names) != list(class_names):
        raise ArgumentError(
            where, f"the class names of {whose}, {list(class_names)}", str(list(names)),
            "Make the loader with these names in this order, or set model.class_names = None if the model is new.",
        )  # fmt: skip
    ours, theirs = as_dict(batches.preprocessing), as_dict(preprocessing)
    if ours is None or theirs is None:
        return
    ours, theirs = {"scale": True} | ours, {"scale": True} | theirs
    other = [name for name in sorted(ours.keys() & theirs.keys()) if ours[name] != theirs[name]]
    if other := [name for name in other if name not in ("height", "width")]:
        raise ArgumentError(
            where, f"the preprocessing of {whose}: " + ", ".join(f"{name} {theirs[name]}" for name in other),
            ", ".join(f"{name} {ours[name]}" for name in other),
            "Make the loader with Preprocessing.of(model), or set model.preprocessing = None if the model is new.",
        )  # fmt: skip


def as_dict(preprocessing: Any) -> dict | None:
    """A Preprocessing as a dictionary; a dictionary or None stays as it is."""
    made = is_dataclass(preprocessing) and not isinstance(preprocessing, type)
    return asdict(preprocessing) if made else preprocessing


def check_training(
    model: Any, batches: Batches, validation: Batches | None, class_weight: Any
) -> dict | None:
    """Refuse datasets, metrics and class weights that the built model cannot be trained with.

    Returns
    -------
    dict or None
        The class weights by class number.

    Raises
    ------
    ArgumentError, ShapeError
    """
    check_dataset(model, batches, "fit")
    if validation is not None:
        check_dataset(model, validation, "validation_data")
        names, preprocessing = batches.class_names, batches.preprocessing
        check_origin(validation, names, preprocessing, "validation_data", "the training data")
    check_metrics(model)
    names = batches.class_names if model.class_names is None else model.class_names
    class_weight = model.outputs.check_class_weight(class_weight, names)
    if class_weight != "balanced":
        return class_weight
    if batches.labels is None:
        expected = "arrays or a loader, whose labels can be counted"
        raise ArgumentError("class_weight", expected, "an iterable", "Give a dictionary.")
    return model.outputs.balanced(batches.labels)


def adopt(model: Any, batches: Batches) -> None:
    """Give the model the class names and the preprocessing of its training data, if it has none.

    Raises
    ------
    ArgumentError
        If there are not as many names as classes; then the model stays as it was.
    """
    names = model.class_names
    if names is None and batches.class_names is not None:
        model.class_names = batches.class_names
    try:
        if model.preprocessing is None and batches.preprocessing is not None:
            model.preprocessing = batches.preprocessing
    except ArgumentError:
        model.class_names = names
        raise


# ----------------------------------------------------------------------------- numbers and names
def epoch_range(epochs: Any, initial_epoch: Any) -> tuple[int, int]:
    """(first, end): the first epoch's number, and the number after the last.

    Raises
    ------
    ArgumentError
    """
    end = check_int(epochs, "epochs")
    first = 0 if initial_epoch is None else check_int(initial_epoch, "initial_epoch", least=0)
    if first >= end:
        raise ArgumentError(
            "initial_epoch", f"a number below epochs ({end})", str(first),
            "As in Keras, epochs is the number of the last epoch, not the number of epochs to add.",
        )  # fmt: skip
    return first, end


def validated_epochs(frequency: Any, first: int, end: int) -> list[int]:
    """The epochs after which validation runs.

    Parameters
    ----------
    frequency : int, or sequence of int
        n means every n epochs; a sequence lists the epochs, counted from 1.
    first, end : int

    Raises
    ------
    ArgumentError
    """
    if isinstance(frequency, (Sequence, Set, np.ndarray)) and not isinstance(frequency, str):
        chosen = {check_int(epoch, "validation_freq") for epoch in frequency}
        return [epoch for epoch in range(first, end) if epoch + 1 in chosen]
    frequency = check_int(frequency, "validation_freq")
    return [epoch for epoch in range(first, end) if (epoch + 1) % frequency == 0]


def check_metrics(model: Any) -> None:
    """Refuse a user-defined metric that fails on random targets and predictions.

    Raises
    ------
    ArgumentError
    """
    own = {name: metric for name, metric in model.metrics.items() if metric.function not in LIBRARY}
    if not own:
        return
    target, prediction = _made_up(model)
    for name, metric in own.items():
        try:
            with np.errstate(all="ignore"):
                metric(target, prediction)
        except MinicnnError:
            raise
        except Exception as error:
            raise ArgumentError(
                f"metric {name}", f"a function of (target, prediction), arrays of shape {prediction.shape}",
                f"one that raised {type(error).__name__}: {error}", "It was tried on made-up numbers.",
            ) from error  # fmt: skip


def check_callbacks(callbacks: Any, run: Any) -> list[Callback]:
    """None, one callback or several callbacks as a list, in the order in which they are called.

    Raises
    ------
    ArgumentError
        For an object that is not a Callback, for one that appears twice, and for one that cannot work in this run.
    """
    if callbacks is None:
        return []
    callbacks = [callbacks] if isinstance(callbacks, Callback) else callbacks
    if not isinstance(callbacks, (list, tuple)):
        raise ArgumentError("callbacks", "a list of Callback", repr(callbacks), "Write callbacks=[...].")
    for place, callback in enumerate(callbacks):
        if not isinstance(callback, Callback):
            made = isinstance(callback, type) and issubclass(callback, Callback)
            repair = f"Write {callback.__name__}(), with brackets." if made else "Subclass minicnn.Callback."
            raise ArgumentError("callbacks", "a Callback", repr(callback), repair)
        if any(callback is other for other in callbacks[:place]):
            raise ArgumentError("callbacks", "each callback once", f"{callback!r} twice")
    for callback in callbacks:
        callback.check(run)
    return sorted(callbacks, key=lambda callback: callback.priority)


def _made_up(model):
    """Random targets and predictions of the model's shape; every class occurs if there are at most 64."""
    outputs, shape = model.outputs, model.output_shape
    count = min(max(8, 2 * shape[-1]), 64)
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((count, *shape)).astype(model.dtype)
    if outputs.kind == "distribution":
        target = np.arange(count) % shape[-1]
        target = (target[:, None] == np.arange(shape[-1])).astype(model.dtype)
    elif outputs.kind == "numbers":
        target = rng.standard_normal((count, *shape)).astype(model.dtype)
    else:
        target = (np.arange(count * shape[-1]).reshape(count, *shape) % 3 % 2).astype(model.dtype)
    return target, logits if outputs.logits else replace(outputs, logits=True).probabilities(logits)


@contextmanager
def within(where: str) -> Iterator[None]:
    """Put `where` in front of the message of an error."""
    try:
        yield
    except MinicnnError as error:
        raise error.within(where) from error
