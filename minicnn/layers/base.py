"""The contract of a layer: build, forward, backward, and the parameters that it owns.

    build(input_shape, rng, dtype) -> output_shape    shapes have no batch axis; missing weights are created
    forward(x, training=False) -> y, cache            the output, and what backward needs; the layer is not changed
    backward(dy, cache) -> dx                         writes .grad of trainable parameters and changes nothing else
    updates(cache) -> list of functions               what a training step changes besides the trainable weights

`training` only switches behaviour (dropout, batch statistics); prediction has a backward pass, too.  chain.py and
fusion.py call these methods for `Sequential`; the other files of this folder implement them.  No layer is defined here.
Read `dense.py` next.
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
# Arguments of Keras that are accepted with the only value that this library supports.
HARMLESS = {"data_format": "channels_last", "groups": 1, "axis": -1}
HINTS = {
    "input_shape": "Put Input(shape) before the first layer, or call model.build(shape).",
    "input_dim": "Put Input((features,)) before the first layer, or call model.build((features,)).",
    "data_format": "Images are channels last: (height, width, channels).",
    "groups": "Grouped convolutions are not supported; DepthwiseConv2D has one filter per channel.",
    "dtype": 'Choose it for the whole model: model.build(shape, dtype="float64").',
}


class LayerType(type):
    """The metaclass of layers: it checks the arguments of a constructor, and seals the new layer.

    Every layer takes ``name=`` and ``trainable=`` in addition to its own arguments; both are handled here.  A sealed
    layer refuses unknown attributes (`layer.trainabel = False`); layers that users write are not sealed.
    """

    def __call__(cls, *arguments: Any, name: str | None = None, trainable: bool = True, **settings: Any):
        own = cls.__module__.startswith("minicnn.")
        if own:
            made: Any = cls  # mypy takes `cls` for an instance
            known = inspect.signature(made.__init__).parameters
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
    """The base class of all layers.

    Attributes
    ----------
    name : str
        The class name in lower case; a model adds a number when it builds the layer for the first time.
    parameters : list of Parameter
        The parameters in a fixed order; empty before build and in layers without weights.
    trainable : bool
        False freezes the layer: no gradient is computed for its parameters, BatchNormalization behaves as in
        prediction, and the flag is saved with the model.
    kernels : module
        The kernel set of the layer when it is used alone; a model uses its own kernel set.
    config : dict
        The arguments of the constructor.
    rng : numpy.random.Generator or None
        The random generator; only in layers that are random in training.

    Notes
    -----
    To write a layer, subclass this class and define `forward` and `backward`; define `build`, too, if the layer has
    weights or changes the shape.  Store each argument of the constructor under its own name; then `config`, saving and
    loading work.

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
        """Create the weights that are missing and return the shape of the output.

        A layer that already has weights keeps them, also in a second model and for images of another size.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of one sample, (H, W, C) or (features,).
        rng : numpy.random.Generator or None
            Generator of the random weights.  None creates parameters that have a shape but no value.
        dtype : "float32" or "float64"

        Raises
        ------
        ShapeError
            If the layer cannot process that shape, or has weights for another shape.
        """
        return self.compute_output_shape(input_shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the output for one sample; nothing is created or changed."""
        return input_shape

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        """y for a batch x, and the cache: what backward needs."""
        raise NotImplementedError

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray | None:
        """dx, the gradient of the loss with respect to x, from dy; writes the `.grad` of trainable parameters.

        Parameters
        ----------
        dy : array like y
            Gradient of the loss with respect to y.
        cache : tuple
            The cache that `forward` returned with y.
        need_dx : bool
            If False, a layer with weights may skip dx and return None.
        need_dweight : bool
            If False, no gradient of weights is computed or written.

        Raises
        ------
        StateError
            If the cache belongs to another layer.
        ShapeError
            If dy does not have the shape of y.
        """
        raise NotImplementedError

    def updates(self, cache: Cache) -> list[Callable[[], None]]:
        """Functions that update what gradients do not train, such as moving statistics; call each once after a step."""
        return []

    def multiply_adds(self, input_shape: Shape) -> int:
        """The number of multiply-adds in the forward pass of one sample; 0 where it is negligible."""
        return 0

    def trace(self, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """y in prediction, and every output inside the layer by its name; the name "" is y itself."""
        y, _ = run_forward(self, x, False)
        return y, {"": y}

    def trace_forward(self, x: np.ndarray) -> tuple[np.ndarray, Cache]:
        """The same as `forward` in prediction; the cache is for `trace_backward`."""
        return run_forward(self, x, False)

    def trace_backward(self, dy: np.ndarray, cache: Cache) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """dx, and the gradient at each output that `trace` names; gradients of weights are not written."""
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
        """Whether training changes any parameter of this layer."""
        return True in [parameter.trainable for parameter in self.parameters]

    @property
    def branches(self) -> Sequence[tuple[str, Sequence["Layer"]]]:
        """The layers inside this layer, per branch: (prefix of their names, layers in a row)."""
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
        """The arguments of the constructor, by name.

        Raises
        ------
        ArgumentError
            If an argument is not stored under its name; without it the layer could not be made again.
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
        """What an interrupted training run needs to resume, in addition to the parameters; JSON can represent it.

        To restore a layer, set its parameters first, then its state.
        """
        return {} if self.rng is None else {"rng": self.rng.bit_generator.state}

    @state.setter
    def state(self, state: dict) -> None:
        if self.rng is not None:
            self.rng.bit_generator.state = state["rng"]

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the values of the parameters, in their order; StateError if the layer has none yet."""
        if self._parameters:
            self.need_weights()
        return [parameter.value.copy() for parameter in self.parameters]

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Set the values of the parameters; raise ShapeError and change nothing if their number or a shape differs."""
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
        """The parameter of that name: the existing one, if it fits, or a new one."""
        made = self._parameters.get(name)
        if any(size < 1 for size in shape):
            raise ShapeError(
                type(self).__name__,
                "an input with sizes above 0",
                f"an input that needs a {name} of shape {shape}",
            )
        if made is None:
            made = Parameter(name, shape, None, trainable, regularizer, dtype)
            made._trainable = self._trainable
            self._parameters[name] = made
        elif made.shape != tuple(shape):
            raise ShapeError(
                type(self).__name__, f"an input that fits its {name} of shape {made.shape}",
                f"an input that needs a {name} of shape {tuple(shape)}",
                "The layer already has weights. Make a new layer for this input.",
            )  # fmt: skip
        elif made.dtype != np.dtype(dtype):
            raise ArgumentError(
                made.name, f"a model of {made.dtype}, like the layer's weights", str(np.dtype(dtype)),
                f'Build the model with dtype="{made.dtype}".',
            )  # fmt: skip
        if made.value is None and rng is not None:
            made.value = initializers.BY_NAME[initializer](shape, rng, dtype)
            made.assigned = False
        return made

    def as_input(self, x: np.ndarray, axes: int | None = None, channels: int | None = None) -> np.ndarray:
        """x as the kernels take it: an array of the layer's type.

        Parameters
        ----------
        x : array-like
        axes : int, optional
            Number of axes that x must have.
        channels : int, optional
            Size that the last axis must have.

        Raises
        ------
        ShapeError, ArgumentError
        """
        dtype = next(iter(self._parameters.values())).dtype if self._parameters else None
        if (  # the usual case, checked first because small networks spend much of their time here
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
            sizes = {2: "(N, features)", 4: "(N, height, width, channels)"}.get(axes or 0, "(N, ...)")
            last = "" if channels is None else f" whose last axis is {channels}"
            raise ShapeError(f"{self!r}", f"a batch {sizes}{last}", f"shape {x.shape}")
        return x

    def write(self, parameter: Parameter | None, gradient: np.ndarray | None) -> None:
        """Store the gradient of a trainable parameter."""
        if parameter is not None and gradient is not None and parameter.trainable:
            parameter.grad = gradient

    def need_weights(self) -> None:
        """Raise StateError if the layer is not built."""
        missing = [parameter for parameter in self._parameters.values() if parameter._value is None]
        if missing or not self._parameters:
            raise StateError(
                f"{self!r}", "a layer with weights", "a layer that is not built",
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
                    f"{type(self).__name__}.{name}", "the value that the constructor set", repr(value),
                    "Make a new layer.",
                )  # fmt: skip
            raise UnknownAttributeError(
                type(self).__name__, "an existing attribute, such as trainable or name", name
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
    """`layer.forward`, with a check that it returns a pair: an array of two samples would also unpack into two."""
    result = layer.forward(x, training)
    if type(result) is not tuple or len(result) != 2:
        raise StateError(
            f"{type(layer).__name__}.forward", "a pair (y, cache)", type(result).__name__,
            "Return y and what backward needs, or None if it needs nothing.",
        )  # fmt: skip
    return result


def run_backward(layer: Any, dy: np.ndarray, cache: Cache, need_dx: bool, need_dweight: bool) -> Any:
    """`layer.backward`; a user's layer may lack the arguments need_dx and need_dweight, which only save work."""
    if type(layer).__module__.startswith("minicnn.") or "need_dx" in _arguments(type(layer).backward):
        return layer.backward(dy, cache, need_dx, need_dweight)
    return layer.backward(dy, cache)


def _arguments(function):
    return inspect.signature(function).parameters


def snake_case(name: str) -> str:
    """The layer name for a class name.

    Examples
    --------
    >>> [snake_case(name) for name in ("Conv2D", "GlobalAveragePool2D", "LeakyReLU", "MaxPool2D")]
    ['conv2d', 'global_average_pool2d', 'leaky_relu', 'max_pool2d']
    """
    for word in ("ReLU", "GELU", "ELU"):
        name = name.replace(word, word.title())
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
