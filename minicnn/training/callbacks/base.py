"""The base class Callback, and two callbacks that call functions: LambdaCallback and LearningRateScheduler.

To write your own, subclass `Callback`.  Set `self.model.stop_training = True` to end training.  Callbacks that follow a
number are in monitoring.py.  Called by training/loop.py, through calling.py.
"""

import difflib
import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from ...errors import ArgumentError, check_int, check_number
from ...runtime.printing import say

HOOKS = (
    "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_batch_begin", "on_batch_end",
    "on_train_batch_begin", "on_train_batch_end", "on_test_begin", "on_test_end",
)  # fmt: skip
# Hooks of Keras that `fit` never calls.
ELSEWHERE = ("on_predict_begin", "on_predict_end", "on_predict_batch_begin", "on_predict_batch_end")


class Callback:
    """The base class of all callbacks.  Its methods do nothing.  Training sets `self.model` and `self.run`.

    The hooks are those of Keras.  `logs` are the epoch's numbers by name: "loss", "val_accuracy", ...

    Attributes
    ----------
    run : Run
        The call of `fit` and its position (training/loop.py).
    priority : int
        Callbacks are called in the order of this number, then in the order of the list.  Callbacks that change the
        model for an epoch come first (image sizes -20, averaged weights -10); a checkpoint of the run comes last (100).
    state_attributes : tuple of str, or dict from str to function
        The names of the attributes that a checkpoint saves.  `on_train_begin` sets them.  They are numbers, strings,
        arrays, and lists and dictionaries (with string keys) of these.  The function of (value, model) checks a value
        that was read from a checkpoint.

    Examples
    --------
    >>> class PrintLoss(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print(epoch, logs["loss"])
    >>> PrintLoss().on_epoch_end(0, {"loss": 0.5})
    0 0.5
    """

    model: Any = None
    run: Any = None
    params: dict | None = None
    priority = 0
    state_attributes: tuple[str, ...] | dict[str, Callable[[Any, Any], bool]] = ()

    def check(self, run: Any) -> None:
        """Raise ArgumentError if the callback cannot work in this run; called before training changes anything.

        A method whose name begins with "on_" but is not a hook is refused, because it would never be called.
        """
        for name in dir(self):
            if name.startswith("on_") and name not in HOOKS + ELSEWHERE and callable(getattr(self, name)):
                near = difflib.get_close_matches(name, HOOKS, 1, 0) or ["on_epoch_end"]
                raise ArgumentError(
                    f"{type(self).__name__}.{name}", "hooks among " + ", ".join(HOOKS), name,
                    f"Call it {near[0]}, or let its name begin otherwise.",
                )  # fmt: skip

    @property
    def state(self) -> dict:
        """The part of a checkpoint that belongs to this callback.  A resumed run sets it after `on_train_begin`."""
        return {name: getattr(self, name) for name in self.state_attributes}

    @state.setter
    def state(self, state: dict) -> None:
        for name in self.state_attributes:
            setattr(self, name, state[name])

    def check_state(self, state: Any) -> None:
        """Raise ArgumentError if this cannot be the state of such a callback."""
        names = set(self.state_attributes)
        if not isinstance(state, dict) or state.keys() != names:
            raise ArgumentError(type(self).__name__, f"a state with {sorted(names)}", repr(state)[:80])
        kinds = self.state_attributes if isinstance(self.state_attributes, dict) else {}
        for name, fits in kinds.items():
            if not fits(state[name], self.model):
                where = f"{type(self).__name__}.{name}"
                raise ArgumentError(where, "a value that it can have", repr(state[name])[:80])

    def get_config(self) -> dict:
        """The class and the settings that affect training; a run can only be resumed with the same ones."""
        return {"class": type(self).__name__}

    def set_model(self, model: Any) -> None:
        """Set `model`, as in Keras."""
        self.model = model

    def set_params(self, params: dict) -> None:
        """Set `params`, as in Keras."""
        self.params = params

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Before the first epoch, or before training is resumed."""

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Before an epoch; the first is 0.  A run that is resumed within an epoch calls it again, then sets `state`."""

    def on_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Before a training step."""
        call(self, "on_train_batch_begin", batch, logs)

    def on_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """After a training step."""
        call(self, "on_train_batch_end", batch, logs)

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Keras's name for `on_batch_begin`."""

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Keras's name for `on_batch_end`."""

    def on_test_begin(self, logs: dict | None = None) -> None:
        """After an epoch's training and before its validation; also called if there is no validation."""

    def on_test_end(self, logs: dict | None = None) -> None:
        """After an epoch's validation."""

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """After an epoch and its validation."""

    def on_train_end(self, logs: dict | None = None) -> None:
        """After the last epoch, also when Ctrl-C or an error ended training."""

    def __getstate__(self) -> dict:
        """Everything except the model and the run, which a copy does not need."""
        return {name: value for name, value in self.__dict__.items() if name not in ("model", "run")}

    def __repr__(self) -> str:
        settings = [f"{name}={value!r}" for name, value in self.get_config().items() if name != "class"]
        return f"{type(self).__name__}({', '.join(settings)})"


class LambdaCallback(Callback):
    """Call functions of your own.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end, on_train_begin, ... : functions, by the name of the hook
        They take the arguments of the hook: (epoch, logs), (batch, logs) or (logs), or only the first of these.

    Raises
    ------
    ArgumentError
        For a name that is not a hook, or a value that is not a function.

    Examples
    --------
    >>> LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs)).on_epoch_end(0, {"loss": 0.5})
    0 {'loss': 0.5}
    """

    def __init__(
        self,
        on_epoch_begin: Callable | None = None,
        on_epoch_end: Callable | None = None,
        on_train_begin: Callable | None = None,
        on_train_end: Callable | None = None,
        on_train_batch_begin: Callable | None = None,
        on_train_batch_end: Callable | None = None,
        **hooks: Callable | None,
    ):
        hooks |= {
            "on_epoch_begin": on_epoch_begin, "on_epoch_end": on_epoch_end, "on_train_begin": on_train_begin,
            "on_train_end": on_train_end, "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }  # fmt: skip
        for name, function in hooks.items():
            if name not in HOOKS or not (function is None or callable(function)):
                near = difflib.get_close_matches(name, HOOKS, 1, 0)[0]
                raise ArgumentError(
                    "LambdaCallback", "functions named " + ", ".join(HOOKS), f"{name}={function!r}",
                    "Give a function." if name == near else f"Call it {near}.",
                )  # fmt: skip
            if function is not None:
                setattr(self, name, function)

    def __repr__(self) -> str:
        return f"LambdaCallback({', '.join(name for name in HOOKS if name in self.__dict__)})"


class LearningRateScheduler(Callback):
    """Set the learning rate of each epoch with a function.

    Parameters
    ----------
    schedule : function of (epoch) or (epoch, learning_rate) that returns the rate
    verbose : 0 or 1
        1 prints each rate.

    Raises
    ------
    ArgumentError
        If `schedule` is not a function or returns no rate, or if the optimizer already has a schedule.

    Examples
    --------
    >>> scheduler = LearningRateScheduler(lambda epoch, rate: rate * 0.9)
    """

    def __init__(self, schedule: Callable, verbose: int = 0):
        if not callable(schedule):
            raise ArgumentError("LearningRateScheduler schedule", "a function of the epoch", repr(schedule))
        self.schedule, self.verbose = schedule, check_int(verbose, "LearningRateScheduler verbose", least=0)
        required = [
            p for p in inspect.signature(schedule).parameters.values()
            if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]  # fmt: skip
        self._takes_rate = len(required) > 1

    def check(self, run: Any) -> None:
        super().check(run)
        need_fixed_rate(type(self).__name__, run)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        optimizer = self.model.optimizer
        rate = self.schedule(epoch, optimizer.learning_rate) if self._takes_rate else self.schedule(epoch)
        optimizer.learning_rate = check_number(rate, f"LearningRateScheduler, epoch {epoch}", above=0)
        if self.verbose:
            say(f"Epoch {epoch + 1}: learning rate {optimizer.learning_rate:.4g}")


def need_fixed_rate(where: str, run: Any) -> None:
    """Raise ArgumentError if the optimizer's rate follows a schedule."""
    if run.model.optimizer.schedule is not None:
        raise ArgumentError(where, "an optimizer with a fixed rate", "a schedule", "Choose one of the two.")


def call(callback: Callback, hook: str, *arguments: Any) -> None:
    """Call a hook with as many of the arguments as it takes; its definition may leave out `logs`.

    Examples
    --------
    >>> call(LambdaCallback(on_epoch_end=lambda epoch: print(epoch)), "on_epoch_end", 3, {"loss": 0.5})
    3
    """
    function = getattr(callback, hook)
    count = _count(getattr(function, "__func__", function), hasattr(function, "__func__"))
    function(*arguments[:count])


@lru_cache(maxsize=1024)
def _count(function, bound):
    """The number of positional arguments that a hook takes; None if it takes any number or is not known."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    kinds = [parameter.kind for parameter in parameters]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return None
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(kind in by_place for kind in kinds) - bound


# ------------------------------------------------------------- checks of a state's values, (value, model) -> bool
def is_count(value: Any, model: Any = None) -> bool:
    """A whole number of at least 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_count_or_none(value: Any, model: Any = None) -> bool:
    """A whole number of at least 0, or None."""
    return value is None or is_count(value)


def is_number(value: Any, model: Any = None) -> bool:
    """A number; infinity is allowed, NaN is not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def is_flag(value: Any, model: Any = None) -> bool:
    """True or False."""
    return isinstance(value, bool)


def is_weights(value: Any, model: Any) -> bool:
    """Arrays like the model's parameters."""
    parameters = model.parameters
    return isinstance(value, list) and len(value) == len(parameters) and all(
        isinstance(array, np.ndarray) and array.shape == parameter.shape
        and array.dtype == parameter.dtype and np.isfinite(array).all()
        for array, parameter in zip(value, parameters, strict=True)
    )  # fmt: skip


def is_weights_or_none(value: Any, model: Any) -> bool:
    """Arrays like the model's parameters, or None."""
    return value is None or is_weights(value, model)
