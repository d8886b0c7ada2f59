"""The contract of a layer: build, forward, backward, and the parameters it owns.

    build(input_shape, rng, dtype) -> output_shape    shapes without the batch axis; creates weights that are missing
    forward(x, training=False) -> y, cache             the output, and what backward needs; nothing is kept on the layer
    backward(dy, cache) -> dx                          writes .grad of trainable parameters, and changes nothing else
    updates(cache) -> list of functions                what a training step changes beside the trainable weights

`training` changes behaviour only (dropout, batch statistics): there is a backward pass for prediction, too.
`Sequential` in model.py calls these in order; every other file of this folder implements them.  Read `dense.py` next.
"""

import inspect
import re
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from .. import initializers
from ..errors import ArgumentError, ShapeError, StateError, UnknownAttributeError, check_bool
from ..kernels import kernel_set
from .cache import Cache
from .parameter import Parameter, Shape, assign

Generator = np.random.Generator
FLOATS = np.dtype("float32"), np.dtype("float64")  # in the byte order of the machine
HARMLESS = {
    "data_format": "channels_last",
    "groups": 1,
    "axis": -1,
}  # Keras's arguments that say what is so anyway
HINTS = {
    "input_shape": "Put Input(shape) before the first layer, or call model.build(shape).",
    "input_dim": "Put Input((features,)) before the first layer, or call model.build((features,)).",
    "data_format": "Images are channels last: (height, width, channels).",
    "groups": "Grouped convolutions are not supported; DepthwiseConv2D has one filter per channel.",
    "dtype": 'Choose it for the whole model: model.build(shape, dtype="float64").',
}


class LayerType(type):
    """The class of layer classes: checks the arguments of a constructor, and seals the layer that it made.

    Every layer takes ``name=`` and ``trainable=`` beside its own arguments, so they are handled here, once.  A sealed
    layer refuses attributes that it does not have (`layer.trainabel = False`); layers that users write are not sealed.
    """

    def __call__(cls, *arguments: Any, name: str | None = None, trainable: bool = True, **settings: Any):
        own = cls.__module__.startswith("minicnn.")
        if own:
            known = inspect.signature(cls.__init__).parameters
            for key, value in list(settings.items()):
                if key in known:
                    continue
                if key in HARMLESS and settings[key] == HARMLESS[key]:
                    del settings[key]
                    continue
                names = ", ".join([*list(known)[1:], "name", "trainable"])
                repair = HINTS.get(key, "Leave it out, or check its spelling.")
                raise ArgumentError(cls.__name__, f"arguments among {names}", f"{key}={value!r}", repair)
        layer = super().__call__(*arguments, **settings)
        if name is not None:
            layer.name = name
        if not check_bool(trainable, f"{cls.__name__} trainable"):
            layer.trainable = False
        layer.__dict__["_sealed"] = own
        return layer


class Layer(metaclass=LayerType):
    """The base of every layer.

    Attributes
    ----------
    name : str
        The class in lower case; a model adds a number when it builds the layer for the first time.
    parameters : list of Parameter
        In a fixed order; empty before build and in layers without weights.
    trainable : bool
        False freezes the layer: no gradient is computed for its parameters, BatchNormalization behaves as in
        prediction, and the flag is saved with the model.
    kernels : module
        The kernel set that a layer alone computes with; a model computes with its own.
    config : dict
        The constructor's arguments.
    rng : numpy.random.Generator or None
        Only in layers that are random in training.

    Notes
    -----
    To write a layer, subclass this class and define `forward` and `backward`; `build` too if it has weights or changes
    the shape.  Store each constructor argument under its own name, and `config`, saving and loading follow.

    Examples
    --------
    >>> class Double(Layer):
    ...     def forward(self, x, training=False):
    ...         return 2 * x, None
    ...     def backward(self, dy, cache):
    ...         return 2 * dy
    >>> Double()(np.array([1.0, 2.0]))
    array([2., 4.])
    """

    rng: Generator | None = None
    activation: "Layer | None" = None

    def __init__(self):
        self._name: str | None = None
        self._named = False  # whether the user gave the name
        self._parameters: dict[str, Parameter] = {}
        self._trainable = True
        self._kernels: ModuleType = kernel_set("im2col")

    # ------------------------------------------------------------------------------- the contract
    def build(self, input_shape: Shape, rng: Generator | None, dtype: Any = "float32") -> Shape:
        """Create the weights that are missing and return the output's shape.

        A layer that has weights already keeps them: in a second model, and for images of another size.

        Parameters
        ----------
        input_shape : tuple of int
            Without the batch axis: (H, W, C) or (features,).
        rng : numpy.random.Generator or None
            None creates parameters that have a shape and no value.
        dtype : "float32" or "float64"

        Raises
        ------
        ShapeError
            If the layer cannot work on that shape, or has weights for another.
        """
        return self.compute_output_shape(input_shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The output's shape for one sample; nothing is created or changed."""
        return input_shape

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        """y for a batch x, and what backward needs."""
        raise NotImplementedError

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray | None:
        """dx, the gradient of the loss with respect to x, from dy; writes the `.grad` of trainable parameters.

        Parameters
        ----------
        dy : array like y
        cache : as `forward` returned it with y
        need_dx : bool
            False lets a layer with weights skip dx and return None.
        need_dweight : bool
            False computes and writes no gradient of weights.

        Raises
        ------
        StateError
            If the cache is of another layer.
        ShapeError
            If dy does not have y's shape.
        """
        raise NotImplementedError

    def updates(self, cache: Cache) -> list[Callable[[], None]]:
        """What a training step does to the layer beside the weights: functions, to be called once, after the step."""
        return []

    def multiply_adds(self, input_shape: Shape) -> int:
        """Multiplications with an addition in one sample's forward pass; 0 where they do not count."""
        return 0

    def trace(self, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """y in prediction, and every output inside the layer by its name; "" is y itself."""
        y, _ = run_forward(self, x, False)
        return y, {"": y}

    def trace_forward(self, x: np.ndarray) -> tuple[np.ndarray, Cache]:
        """`forward` in prediction, with a cache for `trace_backward`."""
        return run_forward(self, x, False)

    def trace_backward(self, dy: np.ndarray, cache: Cache) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """dx, and the gradient at each output that `trace` names; no gradient of weights is written."""
        return run_backward(self, dy, cache, True, False), {"": dy}

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """y alone, in prediction."""
        return run_forward(self, x, False)[0]

    # -------------------------------------------------------------------------------- properties
    @property
    def name(self) -> str:
        return self._name or snake_case(type(self).__name__)

    @name.setter
    def name(self, name: str) -> None:
        if not isinstance(name, str) or not name or "/" in name:
            raise ArgumentError("layer name", "a word without /", repr(name), 'Give for example "head".')
        self._name, self._named = name, True

    @property
    def parameters(self) -> list[Parameter]:
        return list(self._parameters.values())

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        self._trainable = check_bool(trainable, f"{self.name} trainable")
        for parameter in self._parameters.values():
            parameter.trainable = trainable
        for _, layers in self.branches:
            for layer in layers:
                layer.trainable = trainable

    @property
    def learns(self) -> bool:
        """Whether training changes any of its parameters."""
        return True in [parameter.trainable for parameter in self.parameters]

    @property
    def branches(self) -> Sequence[tuple[str, Sequence["Layer"]]]:
        """The layers that this one is made of, as (prefix of their names, layers in a row)."""
        return ()

    @property
    def kernels(self) -> ModuleType:
        return self._kernels

    @kernels.setter
    def kernels(self, kernels: ModuleType | str) -> None:
        self._kernels = kernel_set(kernels) if isinstance(kernels, str) else kernels
        for _, layers in self.branches:
            for layer in layers:
                layer.kernels = self._kernels
        if self.activation is not None:
            self.activation.kernels = self._kernels

    @property
    def config(self) -> dict:
        """The constructor's arguments, by name.

        Raises
        ------
        ArgumentError
            If an argument is not stored under its name; then the layer could not be made again.
        """
        config = {}
        for name, argument in list(inspect.signature(type(self).__init__).parameters.items())[1:]:
            if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
                continue
            if name not in self.__dict__ and not hasattr(type(self), name):
                raise ArgumentError(
                    type(self).__name__, f"its argument {name} stored as self.{name}", "no such attribute",
                    "Store it in __init__, or define the property config.",
                )  # fmt: skip
            config[name] = getattr(self, name)
        return config

    @property
    def state(self) -> dict:
        """What an interrupted training needs beside the parameters to resume; JSON can hold it.

        To restore a layer, set its parameters first, then this.
        """
        return {} if self.rng is None else {"rng": self.rng.bit_generator.state}

    @state.setter
    def state(self, state: dict) -> None:
        if self.rng is not None:
            self.rng.bit_generator.state = state["rng"]

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the parameters' values, in their order."""
        return [parameter.value.copy() for parameter in self.parameters]

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Set the parameters' values; if a shape or the number differs, ShapeError is raised and nothing is changed."""
        assign(self.name, self.parameters, weights)

    # ------------------------------------------------------------------------- for the layer files
    def parameter(
        self,
        name: str,
        shape: Shape,
        initializer: str,
        rng: Generator | None,
        dtype: Any,
        trainable: bool = True,
        regularizer: Any = None,
    ) -> Parameter:
        """The parameter of that name: the one that exists, if it fits, or a new one."""
        made = self._parameters.get(name)
        if any(size < 1 for size in shape):
            raise ShapeError(
                type(self).__name__, "an input whose sizes are above 0", f"one for a {name} of shape {shape}"
            )
        if made is None:
            made = Parameter(name, shape, None, trainable, regularizer, dtype)
            made._trainable = self._trainable
            self._parameters[name] = made
        elif made.shape != tuple(shape):
            raise ShapeError(
                type(self).__name__, f"an input for its {name} of shape {made.shape}",
                f"one that needs shape {tuple(shape)}",
                "The layer has weights already. Make a new layer for this input.",
            )  # fmt: skip
        elif made.dtype != np.dtype(dtype):
            raise ArgumentError(
                made.name, f"a model of {made.dtype}, as the layer's weights are", str(np.dtype(dtype)),
                f'Build the model with dtype="{made.dtype}".',
            )  # fmt: skip
        if made.value is None and rng is not None:
            made.value = initializers.BY_NAME[initializer](shape, rng, dtype)
            made.assigned = False
        return made

    def as_input(self, x: np.ndarray, axes: int | None = None, channels: int | None = None) -> np.ndarray:
        """x as the kernels take it: an array of the layer's type, with that many axes, the last of that size.

        Raises
        ------
        ShapeError, ArgumentError
        """
        dtype = next(iter(self._parameters.values())).dtype if self._parameters else None
        if (  # as nearly always, and quick: small networks spend their time here
            type(x) is np.ndarray
            and x.size
            and (x.dtype == dtype if dtype else x.dtype in FLOATS)
            and (x.ndim > 0 if axes is None else x.ndim == axes)
            and (channels is None or x.shape[-1] == channels)
        ):
            return x
        if type(x) is not np.ndarray or (x.dtype != dtype if dtype else x.dtype not in FLOATS):
            x = np.asarray(x)
            if x.dtype.kind not in "fiub":
                raise ArgumentError(f"{self!r}", "a batch of numbers", f"{x.dtype} of shape {x.shape}")
            x = x.astype(dtype or ("float64" if x.dtype.itemsize == 8 and x.dtype.kind == "f" else "float32"))
        fits = (
            x.ndim > 0 and axes in (None, x.ndim) and channels in (None, x.shape[-1]) and 0 not in x.shape[1:]
        )
        if not fits:
            sizes = {2: "(N, features)", 4: "(N, height, width, channels)"}.get(axes, "(N, ...)")
            last = "" if channels is None else f" whose last axis is {channels}"
            raise ShapeError(f"{self!r}", f"a batch {sizes}{last}", f"shape {x.shape}")
        return x

    def write(self, parameter: Parameter | None, gradient: np.ndarray | None) -> None:
        """Let a trainable parameter have its gradient."""
        if parameter is not None and gradient is not None and parameter.trainable:
            parameter.grad = gradient

    def need_weights(self) -> None:
        """Raise StateError if the layer is not built."""
        missing = [parameter for parameter in self._parameters.values() if parameter._value is None]
        if missing or not self._parameters:
            raise StateError(
                f"{self!r}", "a layer with weights", "one that is not built",
                "Call build(input_shape, rng), or put it into a model and build that.",
            )  # fmt: skip

    def __setattr__(self, name: str, value: Any) -> None:
        if (
            self.__dict__.get("_sealed")
            and not name.startswith("_")
            and not isinstance(value, Parameter)
            and not isinstance(getattr(type(self), name, None), property)
        ):
            if name in self.__dict__:
                raise UnknownAttributeError(
                    f"{type(self).__name__}.{name}", "to stay as the constructor set it", repr(value),
                    "Make a new layer.",
                )  # fmt: skip
            raise UnknownAttributeError(
                type(self).__name__, "an attribute that it has, such as trainable or name", name
            )
        super().__setattr__(name, value)

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_kernels": self._kernels.__name__.rpartition(".")[2]}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state, _kernels=kernel_set(state["_kernels"]))

    def __repr__(self) -> str:
        settings = [f"{key}={value!r}" for key, value in self.config.items()]
        settings += [f"name={self._name!r}"] if self._named else []
        settings += [] if self._trainable else ["trainable=False"]
        return f"{type(self).__name__}({', '.join(settings)})"


def run_forward(layer: Any, x: np.ndarray, training: bool) -> tuple[np.ndarray, Cache]:
    """`layer.forward`, whose answer must be a pair: an array of two samples would unpack as one."""
    result = layer.forward(x, training)
    if type(result) is not tuple or len(result) != 2:
        raise StateError(
            f"{type(layer).__name__}.forward", "a pair (y, cache)", type(result).__name__,
            "Return y and what backward needs; None if it needs nothing.",
        )  # fmt: skip
    return result


def run_backward(
    layer: Any, dy: np.ndarray, cache: Cache, need_dx: bool, need_dweight: bool
) -> np.ndarray | None:
    """`layer.backward`; a layer that a user wrote may leave out the two arguments that only save work."""
    if type(layer).__module__.startswith("minicnn.") or "need_dx" in _arguments(type(layer).backward):
        return layer.backward(dy, cache, need_dx, need_dweight)
    return layer.backward(dy, cache)


def _arguments(function):
    return inspect.signature(function).parameters


def snake_case(name: str) -> str:
    """The class name as a layer name.

    Examples
    --------
    >>> [snake_case(name) for name in ("Conv2D", "GlobalAveragePool2D", "LeakyReLU", "MaxPool2D")]
    ['conv2d', 'global_average_pool2d', 'leaky_relu', 'max_pool2d']
    """
    for word in ("ReLU", "GELU", "ELU"):
        name = name.replace(word, word.title())
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
