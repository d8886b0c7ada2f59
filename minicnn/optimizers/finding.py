"""`find_optimizer`: makes an optimizer from a name or from a dictionary of `get_config`.

It only makes optimizers of the library and classes that the caller passes in.  Called by `Sequential.compile` and
saving/loading.py.
"""

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from ..errors import ArgumentError, MinicnnError
from . import schedules
from .adam import Adam, AdamW
from .base import Optimizer
from .rmsprop import RMSprop
from .sgd import SGD

BY_NAME = {"sgd": SGD, "adam": Adam, "adamw": AdamW, "rmsprop": RMSprop}


def find_optimizer(value: Any, custom: Mapping[str, type] | None = None) -> Optimizer:
    """The optimizer for a name (in upper or lower case), an Optimizer, or a dictionary from `get_config`.

    Parameters
    ----------
    value : str, Optimizer or dict
    custom : dict from name to class, optional
        The user's own optimizers and schedules; they take precedence over the library's.

    Raises
    ------
    ArgumentError
        If `value` is none of these, or has settings that the optimizer does not have.

    Examples
    --------
    >>> find_optimizer("SGD")
    SGD(learning_rate=0.01, momentum=0.0, nesterov=False, global_clipnorm=None)
    >>> find_optimizer(Adam(0.1).get_config()).learning_rate
    0.1
    """
    if isinstance(value, Optimizer):
        return value
    if isinstance(value, Mapping):
        return _from_config(value, custom or {})
    repair = "Choose one."
    if isinstance(value, str):
        name = value.lower().replace("_", "").replace("-", "")
        if name in BY_NAME:
            return BY_NAME[name]()
        if close := difflib.get_close_matches(name, BY_NAME, 1):
            repair = f'Did you mean "{close[0]}"?'
    elif inspect.isclass(value):
        repair = f"Write {value.__name__}(), with brackets."
    expected = f"an Optimizer, or one of {', '.join(BY_NAME)}"
    raise ArgumentError("optimizer", expected, repr(value), repair)


def _from_config(config, custom):
    name = config.get("class")
    known = {made.__name__: made for made in BY_NAME.values()} | dict(custom)
    made = known.get(name) if isinstance(name, str) else None
    if not isinstance(made, type) or not issubclass(made, Optimizer):
        raise ArgumentError(
            "optimizer",
            f"a class among {', '.join(known)}",
            repr(name),
            "Pass your own class in custom_objects.",
        )
    settings = {key: value for key, value in config.items() if key != "class"}
    if isinstance(settings.get("learning_rate"), Mapping):
        settings["learning_rate"] = schedules.find_schedule(settings["learning_rate"], custom)
    try:
        return made(**settings)
    except MinicnnError:
        raise
    except TypeError as error:
        raise ArgumentError(f"optimizer {name}", "settings of its constructor", str(error)) from error
