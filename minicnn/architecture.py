"""The structure of a model: its layers in a row, their shapes, names and weights, and its execution plan.

Nothing is computed here.  `Sequential` in model.py derives from `Architecture` and adds forward, backward and training.
layers/chain.py checks and builds the layers; fusion.py makes the execution plan.  Read model.py next.
"""

import threading
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from . import fusion
from .errors import ArgumentError, ShapeError, StateError, UnknownAttributeError, check_bool, check_int
from .kernels import kernel_set
from .layers import Layer, Parameter, Sigmoid, Softmax
from .layers.chain import assign_names, build_chain, check_layers, named_layers, named_parameters
from .layers.parameter import assign
from .saving import model_file
from .summary import summary


class Input:
    """The shape of one sample, as the first entry of a `Sequential`; the model is then built at once.

    Parameters
    ----------
    shape : tuple of int
        Shape of one sample, without the batch axis.

    Examples
    --------
    >>> from minicnn import Dense, Sequential
    >>> Sequential([Input((3,)), Dense(2)]).output_shape
    (2,)
    """

    def __init__(self, shape: Sequence[int]):
        self.shape = check_shape(shape, "Input shape")

    def __repr__(self) -> str:
        return f"Input({self.shape})"


class Architecture:
    """Layers in a row, with their shapes and weights; `Sequential` documents the parameters and attributes."""

    def __init__(self, layers: Sequence[Layer] = (), kernels: str = "fast", name: str = "sequential"):
        entries = list(layers) if isinstance(layers, (list, tuple)) else layers
        first = (
            entries.pop(0)
            if isinstance(entries, list) and entries and isinstance(entries[0], Input)
            else None
        )
        self._layers = check_entries(entries)
        kernel_set(kernels)
        self.kernels_name, self.name = kernels, name
        self._class_names: list[str] | None = None
        self._preprocessing: dict | None = None
        self.temperature = (
            1.0  # calibration has divided the logits by this number, see inference/calibration.py
        )
        self.tta = False  # whether the model was evaluated with test-time augmentation, see inference/tta.py
        self.input_shape: tuple[int, ...] | None = None
        self.output_shapes: list[tuple[int, ...]] = []
        self.dtype = np.dtype("float32")
        self.plan: fusion.Plan | None = None
        self._named: dict[str, Parameter] = {}
        self._prepare()
        self.training_lock = threading.RLock()  # must stay last: from here on, unknown attributes are refused
        if first is not None:
            self.build(first.shape)

    def _prepare(self) -> None:
        """Set the attributes of a subclass, before the model can be built."""

    # ------------------------------------------------------------------------------- building
    @property
    def layers(self) -> tuple[Layer, ...]:
        return self._layers

    def add(self, layer: Layer | Input) -> None:
        """Append a layer; a built model is built again and keeps its weights."""
        if isinstance(layer, Input):
            if self._layers:
                raise ArgumentError(
                    "add", "Input before the first layer", "Input after a layer", "Call build(shape) instead."
                )
            self.build(layer.shape)
            return
        self._change(check_entries([*self._layers, layer]))

    def pop(self) -> Layer:
        """Remove the last layer and return it; a built model is built again and keeps its weights."""
        if not self._layers:
            raise StateError("pop", "a model with layers", "a model without layers", "Call add(layer) first.")
        *rest, last = self._layers
        self._change(tuple(rest))
        return last

    def build(self, input_shape: Sequence[int], seed: int | None = 0, dtype: DTypeLike | None = None) -> Any:
        """Compute all shapes for samples of `input_shape`, and create the weights that are missing.

        Layers that already have weights keep them.  A layer of another model shares its weights with that model, as in
        Keras.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of one sample, (height, width, channels) or (features,).  A leading None, Keras's batch axis, is
            ignored.
        seed : int or None
            Seed of the random weights.  The same seed gives the same weights; give each model of an ensemble its own.
            None draws a random seed.
        dtype : "float32" or "float64", optional
            Type of the weights (default: the type of existing weights, or float32).

        Returns
        -------
        Sequential
            The model itself.

        Raises
        ------
        ShapeError
            If a layer cannot process the output of the layer before it.  The layer is named and the model is unchanged.
        """
        shape = check_shape(input_shape, "Sequential.build")
        rng = np.random.default_rng(None if seed is None else check_int(seed, "seed", least=0))
        return self._build(shape, rng, dtype)

    def _build(self, shape, rng, dtype):
        """`build` with a generator; without one, weights get a shape but no value."""
        existing = next((parameter.dtype for parameter in self.parameters if parameter.dtype), None)
        dtype = _check_dtype(dtype if dtype is not None else existing or "float32")
        shapes_of_layers = build_chain(self._layers, shape, rng, dtype)
        named_parameters(self._layers)  # refuses names that appear twice
        assign_names(self._layers)
        self._check_outputs(shapes_of_layers[-1] if shapes_of_layers else shape)
        self.input_shape, self.output_shapes, self.dtype = shape, shapes_of_layers, dtype
        self._plan()
        return self

    def _check_outputs(self, output_shape: tuple[int, ...]) -> None:
        """Let a subclass refuse the shape of the outputs, before the model counts as built."""

    def _plan(self):
        """Derive from the built layers the execution plan and the parameters by name, for every training step."""
        self.plan = fusion.Plan(self._layers, self.kernels)
        self._named = named_parameters(self._layers)

    def _change(self, layers):
        """Replace the layers, and rebuild a built model; if that fails, nothing is changed."""
        before, self._layers = self._layers, layers
        if self.input_shape is None:
            return
        try:
            self._build(self.input_shape, np.random.default_rng(0), self.dtype)
        except Exception:
            self._layers = before
            raise

    @property
    def kernels(self) -> ModuleType:
        """The kernel set that does the arithmetic."""
        return kernel_set(self.kernels_name)

    @property
    def output_shape(self) -> tuple[int, ...] | None:
        return self.output_shapes[-1] if self.output_shapes else self.input_shape

    @property
    def output_activation(self) -> Layer | None:
        """The Sigmoid or Softmax at the end, as a layer or inside the last layer; None if there is neither."""
        if not self._layers:
            return None
        last = self._layers[-1]
        found = last if type(last) in (Sigmoid, Softmax) else last.activation
        return found if type(found) in (Sigmoid, Softmax) else None

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer with a name or path, such as "conv2d_1" or "residual_1/conv2d_1", or with an index.

        Raises
        ------
        ArgumentError
            If there is no such layer.
        """
        if index is not None and name is None:
            if not isinstance(index, int) or not -len(self._layers) <= index < len(self._layers):
                raise ArgumentError(
                    "get_layer index", f"the index of one of {len(self._layers)} layers", repr(index)
                )
            return self._layers[index]
        named = named_layers(self._layers)
        if name not in named:
            raise ArgumentError("get_layer", "one of " + ", ".join(named), repr(name))
        return named[name]

    @property
    def parameters(self) -> list[Parameter]:
        return [parameter for layer in self._layers for parameter in layer.parameters]

    @property
    def named_parameters(self) -> dict[str, Parameter]:
        """Every parameter by the path under which it is saved, such as "conv2d_1/weight"."""
        return dict(self._named)

    def count_params(self) -> int:
        """The number of values in all parameters."""
        self._need_build("count_params")
        return sum(int(np.prod(parameter.shape)) for parameter in self.parameters)

    def summary(self) -> None:
        """Print the layers with their shapes and parameters, and the multiply-adds and memory of one image."""
        self._need_build("summary")
        print(summary(self))

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights, in the order of `parameters`."""
        self._need_weights("get_weights")
        return [parameter.value.copy() for parameter in self.parameters]

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Set all weights, in the order of `parameters`.

        Raises
        ------
        ShapeError, ArgumentError
            If the number of arrays or a shape differs, or an array does not hold numbers; then nothing is changed.
        """
        self._need_build("set_weights")
        assign("set_weights", self.parameters, weights)

    def freeze(self, until: str | int | Layer | None = None) -> None:
        """Freeze all layers, or those before `until`: training no longer changes them.

        Frozen layers compute no gradient of their weights, backward stops at the first trainable layer, and a frozen
        BatchNormalization behaves as in prediction.

        Parameters
        ----------
        until : layer, name or index, optional
            The first layer that is not frozen.

        Examples
        --------
        >>> from minicnn import Dense, Sequential
        >>> model = Sequential([Dense(8, "relu"), Dense(1, "sigmoid", name="head")]).build((2,))
        >>> model.freeze(until="head")
        >>> [layer.trainable for layer in model.layers]
        [False, True]
        """
        for layer in self._layers[: None if until is None else self._index_of(until)]:
            layer.trainable = False

    def unfreeze(self) -> None:
        """Let training change all layers again."""
        for layer in self._layers:
            layer.trainable = True

    @property
    def trainable(self) -> bool:
        """Whether any layer is trainable; assigning a value sets every layer."""
        return any(layer.trainable for layer in self._layers)

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        check_bool(trainable, "model.trainable")
        for layer in self._layers:
            layer.trainable = trainable

    def _index_of(self, until):
        if isinstance(until, str):
            until = self.get_layer(until)
        if isinstance(until, Layer):
            indices = [index for index, layer in enumerate(self._layers) if layer is until]
            if indices:
                return indices[0]
        elif (
            isinstance(until, int)
            and not isinstance(until, bool)
            and -len(self._layers) <= until <= len(self._layers)
        ):
            return until
        raise ArgumentError("freeze until", "one of the model's layers, its name or its index", repr(until))

    # ------------------------------------------------------------------- what is saved with the weights
    @property
    def class_names(self) -> list[str] | None:
        return self._class_names

    @class_names.setter
    def class_names(self, names: Sequence[str] | None) -> None:
        self._class_names = model_file.check_names(names, self.output_shape)

    @property
    def preprocessing(self) -> dict | None:
        return self._preprocessing

    @preprocessing.setter
    def preprocessing(self, preprocessing: Any) -> None:
        self._preprocessing = model_file.check_preprocessing(preprocessing)

    # -------------------------------------------------------------------------------- private
    def _ready(self):
        self._need_weights("forward")
        return self.plan

    def _need_build(self, what):
        if self.input_shape is None:
            raise StateError(
                what, "a built model", "a model that is not built", "Call build(input_shape) first."
            )
        if not self._layers:
            raise StateError(what, "a model with layers", "a model without layers", "Call add(layer) first.")

    def _need_weights(self, what):
        self._need_build(what)
        if [None for parameter in self._named.values() if parameter._value is None]:
            raise StateError(
                what, "a model with weights", "a model without weights", "Set or load them first."
            )

    def __setattr__(self, name: str, value: Any) -> None:
        known = name.startswith("_") or hasattr(type(self), name) or "training_lock" not in self.__dict__
        own = type(self).__module__.startswith("minicnn.")
        if own and not known and name not in self.__dict__:
            raise UnknownAttributeError(type(self).__name__, "an existing attribute", name)
        if name == "layers":
            raise UnknownAttributeError(
                f"{type(self).__name__}.layers",
                "changes through add and pop",
                "an assignment",
                "Make a new Sequential.",
            )
        super().__setattr__(name, value)

    def __getstate__(self) -> dict:
        left_out = "training_lock", "plan", "_named"
        return {name: value for name, value in self.__dict__.items() if name not in left_out}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state, training_lock=threading.RLock(), plan=None, _named={})
        if self.input_shape is not None:
            self._plan()

    def __repr__(self) -> str:
        return f"Sequential([{', '.join(map(repr, self._layers))}], kernels={self.kernels_name!r}, name={self.name!r})"


def check_entries(layers: Any) -> tuple[Layer, ...]:
    """The entries of a model as a tuple of layers.

    Raises
    ------
    ArgumentError
        If an entry is a model, an Input that is not first, or anything else that is not a layer.
    """
    if isinstance(layers, list):
        for layer in layers:
            if isinstance(layer, Architecture):
                raise ArgumentError(
                    "Sequential", "layers", "a model", "Write its layers into the list: *model.layers."
                )
            if isinstance(layer, Input):
                raise ArgumentError("Sequential", "Input only as the first entry", "Input at another index")
    return check_layers(layers, "Sequential")


def _check_dtype(dtype):
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found not in ("float32", "float64"):
        raise ArgumentError("dtype", "float32 or float64", repr(dtype), "Choose one of these.")
    return found


def check_shape(shape: Sequence[int], where: str) -> tuple[int, ...]:
    """The shape of one sample as a tuple; Keras's leading None for the batch is removed.

    Raises
    ------
    ShapeError, ArgumentError
    """
    if isinstance(shape, (str, bytes)) or not hasattr(shape, "__iter__"):
        raise ArgumentError(
            where, "a shape such as (64, 64, 3) or (10,)", repr(shape), "Write it as a tuple."
        )
    sizes = list(shape)
    if sizes and sizes[0] is None:
        sizes = sizes[1:]
    if not sizes:
        raise ShapeError(where, "at least one size", "none", "Give for example (64, 64, 3).")
    return tuple(check_int(size, where) for size in sizes)
