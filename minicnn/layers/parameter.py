"""Parameter: a named array of a layer, such as a weight, and its gradient.

Every assigned value is checked and copied here, because the compiled kernels do not check shapes.  `Layer.parameter`
creates parameters; the optimizers update them in place.  Read `base.py` next.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError, check_bool

Shape = tuple[int, ...]


class Parameter:
    """A named array of a layer, and the gradient of the loss with respect to it.

    Parameters
    ----------
    name : str
        ``"weight"`` in a layer alone, ``"conv2d_1/weight"`` after the layer has been built in a model.
    shape : tuple of int
    value : array or None
        Initial value; None if only the shape is known.
    trainable : bool
        False for a statistic that the layer updates itself, such as a moving mean.  It is saved and loaded like any
        other parameter, but has no gradient, and can never become trainable.
    regularizer : Regularizer, optional
        Penalty on large values (regularizers.py), added to the loss in training.
    dtype : dtype, optional
        Type of the values (default: that of the first value).

    Attributes
    ----------
    value : ndarray or None
        The values.  Assigning checks the shape, casts to `dtype` and copies.
    grad : ndarray or None
        The gradient, of the same shape as `value`; written by `backward`.
    trainable : bool
        Whether training changes the parameter; may be set.
    assigned : bool
        Whether `value` was assigned after the layer created or last updated it.

    Raises
    ------
    ShapeError
        If a value has another shape.
    ArgumentError
        If a value does not hold numbers.

    Examples
    --------
    >>> bias = Parameter("bias", (2,), np.zeros(2, "float32"))
    >>> bias.value = [1, 2]
    >>> bias.value
    array([1., 2.], dtype=float32)
    """

    def __init__(
        self,
        name: str,
        shape: Shape,
        value: np.ndarray | None = None,
        trainable: bool = True,
        regularizer: Any = None,
        dtype: Any = None,
    ):
        self.name, self.shape, self.regularizer = name, tuple(shape), regularizer
        self.learned = self._trainable = check_bool(trainable, f"{name} trainable")
        self.dtype = None if dtype is None else np.dtype(dtype)
        self.grad: np.ndarray | None = None
        self._value: np.ndarray | None = None
        self.value = value
        self.assigned = False

    @property
    def value(self) -> Any:
        return self._value

    @value.setter
    def value(self, value: Any) -> None:
        if value is not None:
            value = self.checked(value)
            self.dtype = value.dtype
        self._value, self.assigned = value, True

    def checked(self, value: Any) -> np.ndarray:
        """A copy of `value` in the type of this parameter, after checks; nothing is changed.

        Raises
        ------
        ShapeError, ArgumentError
        """
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise ArgumentError(self.name, "an array of numbers", f"{array.dtype} of shape {array.shape}")
        if array.shape != self.shape:
            raise ShapeError(
                self.name,
                f"a value of shape {self.shape}",
                f"shape {array.shape}",
                "Assign an array of that shape.",
            )
        dtype = array.dtype if array.dtype in ("float32", "float64") else np.dtype("float64")
        with np.errstate(over="ignore", under="ignore"):
            return np.array(array, self.dtype or dtype, order="C")

    @property
    def trainable(self) -> bool:
        return self.learned and self._trainable

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        self._trainable = check_bool(trainable, f"{self.name} trainable")

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, shape={self.shape})"


def assign(where: str, parameters: Sequence[Parameter], weights: Sequence[np.ndarray]) -> None:
    """Assign a value to each parameter, or change nothing.

    Raises
    ------
    ShapeError, ArgumentError
        If the number of arrays or a shape differs, or an array does not hold numbers; then nothing is changed.
    """
    if isinstance(weights, (str, bytes, dict)) or not hasattr(weights, "__iter__"):
        raise ArgumentError(
            where, "a list of arrays", repr(type(weights).__name__), "Give a list like that of get_weights()."
        )
    weights = list(weights)
    if len(weights) != len(parameters):
        raise ShapeError(
            where,
            f"{len(parameters)} arrays",
            str(len(weights)),
            "Take the weights from a model with the same layers.",
        )
    values = [parameter.checked(weight) for parameter, weight in zip(parameters, weights, strict=True)]
    for parameter, value in zip(parameters, values, strict=True):
        parameter.value = value
