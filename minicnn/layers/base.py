"""The layer protocol: build, forward, backward, parameters.

    build(input_shape, rng, dtype) -> output_shape     shapes without the batch axis; makes the parameters
    forward(x, training=False) -> y                    when not training nothing is written on the layer
    backward(dy) -> dx                                 writes parameter.grad; frees what forward kept

`Sequential` in model.py calls these in order; every other file of this folder implements them.
"""

import re
from collections.abc import Sequence
from types import ModuleType

import numpy as np

from .. import initializers
from ..errors import StateError
from ..kernels import kernel_set

Shape = tuple[int, ...]


class Parameter:
    """A named array that belongs to a layer, and the loss's gradient with respect to it.

    Parameters
    ----------
    name : str
        ``"weight"`` in a layer alone, ``"conv2d_1/weight"`` in a model.
    shape : tuple of int
    value : ndarray or None
        None where only the shape is known yet (a model about to be loaded).
    trainable : bool
        False for what the layer keeps up to date itself, such as moving statistics: it is saved and loaded
        like any other, has no gradient, and optimisers pass it by.

    Attributes
    ----------
    grad : ndarray or None
        Same shape as `value`; written by `backward`.
    kernels : module
        The kernel set that an optimiser's step is computed with; that of its layer.
    """

    def __init__(self, name: str, shape: Shape, value: np.ndarray | None, trainable: bool = True):
        self.name, self.shape, self.value, self.trainable = name, shape, value, trainable
        self.kernels: ModuleType = kernel_set("reference")
        self.grad: np.ndarray | None = None

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, shape={self.shape})"


class Layer:
    """The base of every layer; it holds parameters and what forward keeps for backward.

    Attributes
    ----------
    name : str
        The class in lower case; `Sequential` adds a number.
    parameters : list of Parameter
        In a fixed order; empty before build and in layers without weights.
    kernels : module
        The kernel set; `Sequential` sets it before build.
    needs_dx : bool
        False in a network's first layer: nobody reads that gradient, so layers with weights skip it
        and return None.
    inner : sequence of Layer
        The layers that this one is made of; empty in all but a few.
    output_shape : tuple of int
        Without the batch axis; set when the model is built.
    rng : numpy.random.Generator or None
        Only in layers that are random in training.
    multiply_adds : int
        Multiplications with an addition in one picture's forward pass; set by build, 0 where there are
        none to speak of.
    """

    needs_dx = True
    multiply_adds = 0
    inner: Sequence["Layer"] = ()
    output_shape: Shape
    rng: np.random.Generator | None = None

    def __init__(self):
        self.name = snake_case(type(self).__name__)
        self.parameters: list[Parameter] = []
        self.kernels: ModuleType = kernel_set("im2col")  # a layer alone; a model sets its own
        self._kept = None

    def build(self, input_shape: Shape, rng: np.random.Generator | None, dtype: str = "float32") -> Shape:
        """Make the parameters for pictures of `input_shape` and say what shape comes out.

        Parameters
        ----------
        input_shape : tuple of int
            Without the batch axis: (H, W, C) or (features,).
        rng : numpy.random.Generator or None
            None makes parameters that have a shape and no value.
        dtype : "float32" or "float64"

        Raises
        ------
        ShapeError
            If the layer cannot work on that shape.
        """
        return input_shape

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        """y for a batch x; keeps what backward needs only when `training`."""
        raise NotImplementedError

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        """dx, the loss's gradient with respect to x, from dy; also writes each parameter's grad."""
        raise NotImplementedError

    @property
    def config(self) -> dict:
        """The constructor's arguments, as JSON can hold them; layers among them become JSON in description.py."""
        return {}

    @property
    def state(self) -> dict:
        """What an interrupted training needs besides the parameters to go on as if nothing had happened.

        JSON can hold it.  To restore a layer, set its parameters first, then this.
        """
        return {} if self.rng is None else {"rng": self.rng.bit_generator.state}

    @state.setter
    def state(self, state: dict) -> None:
        if self.rng is not None:
            self.rng.bit_generator.state = state["rng"]

    def parameter(
        self,
        name: str,
        shape: Shape,
        initializer: str,
        rng: np.random.Generator | None,
        dtype: str,
        trainable: bool = True,
    ) -> Parameter:
        """Make one parameter and list it."""
        value = None if rng is None else initializers.BY_NAME[initializer](shape, rng, dtype)
        made = Parameter(name, shape, value, trainable)
        made.kernels = self.kernels
        self.parameters.append(made)
        return made

    def keep(self, training: bool, *arrays: np.ndarray | Shape) -> None:
        """Hold what backward needs until it comes; in inference hold and write nothing."""
        if training:
            self._kept = arrays

    def kept(self) -> tuple:
        """What the last forward kept; it is forgotten here, so that memory is free after backward."""
        if self._kept is None:
            raise StateError(
                f"{self.name}.backward",
                "a forward(x, training=True) before it",
                "none",
                "Call forward with training=True first.",
            )
        arrays, self._kept = self._kept, None
        return arrays

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in self.config.items())})"


def snake_case(name: str) -> str:
    """The class name as a layer name.

    Examples
    --------
    >>> [snake_case(name) for name in ("Conv2D", "GlobalAveragePool2D", "LeakyReLU", "MaxPool2D")]
    ['conv2d', 'global_average_pool2d', 'leaky_relu', 'max_pool2d']
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.replace("ReLU", "Relu")).lower()
