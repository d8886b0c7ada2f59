"""Sequential: layers in a row, from building their shapes to training, predicting and saving.

The step that teaches (`train_step`) is here; the loop around it is in training.py, the arithmetic in
`layers/` and `kernels/`.  `load_model` reads back what `Sequential.save` wrote.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from . import losses, optimizers, serialization, training
from .batches import ArrayBatches
from .callbacks import Callback
from .errors import (
    ArgumentError,
    MinicnnError,
    ModelFileError,
    NonFiniteError,
    ShapeError,
    StateError,
    check_int,
)
from .fusion import plan
from .kernels import kernel_set
from .layers import Layer, Parameter
from .layers.chain import build_chain, check_layers
from .layers.description import describe, make_layer
from .metrics import classes, find_metrics
from .summary import summary


class Sequential:
    """A network of layers, each fed by the one before.

    Parameters
    ----------
    layers : sequence of Layer
    kernels : "fast", "im2col" or "reference"
        Which set computes: the machine's limit, the textbook route, or the slow definition.
    name : str

    Attributes
    ----------
    parameters : list of Parameter
        All weights in order, with `.name`, `.value`, `.grad` and `.trainable`.
    steps : list of Layer and Fused
        How the layers are walked through, as `fusion.py` planned it.
    class_names : list of str or None
        What the outputs mean; saved with the weights.
    preprocessing : dict or None
        How a file becomes an input; saved with the weights.
    optimizer, loss, metrics
        As `compile` set them.
    history : History or None
        Of the last `fit`, also of one that was interrupted.

    Raises
    ------
    ArgumentError
        If there is no layer, one is no Layer or stands twice.

    Examples
    --------
    >>> from minicnn.layers import Dense, ReLU, Sigmoid
    >>> model = Sequential([Dense(8), ReLU(), Dense(1), Sigmoid()]).build((2,))
    >>> model.compile(optimizer=optimizers.Adam(0.05), loss="binary_crossentropy", metrics=["accuracy"])
    >>> x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    >>> history = model.fit(x, y, epochs=200, verbose=0)
    >>> model.predict_classes(x)
    array([0, 1, 1, 0])
    """

    def __init__(self, layers: Sequence[Layer], kernels: str = "fast", name: str = "sequential"):
        self.layers = check_layers(layers, "Sequential")
        if not self.layers:
            raise ArgumentError(
                "Sequential",
                "at least one layer",
                "none",
                "Give for example [Flatten(), Dense(1), Sigmoid()].",
            )
        self.kernels_name, self.name = kernels, name
        self.class_names: list[str] | None = None
        self.preprocessing: dict | None = None
        self.stop_training = False
        self.input_shape: tuple[int, ...] | None = None
        self.steps: list = []
        self.optimizer = None
        self.history: training.History | None = None
        kernel_set(kernels)

    # ------------------------------------------------------------------------------- building
    def build(
        self, input_shape: Sequence[int], seed: int | None = 0, dtype: DTypeLike = "float32"
    ) -> "Sequential":
        """Make all weights for samples of `input_shape`.

        Parameters
        ----------
        input_shape : tuple of int
            Without the batch axis: (height, width, channels) or (features,).
        seed : int or None
            The same seed gives the same weights.  None leaves them without values, to be loaded.
        dtype : "float32" or "float64"

        Returns
        -------
        Sequential
            Itself.

        Raises
        ------
        ShapeError
            Naming the layer that cannot work on what the one before gives.
        """
        if dtype not in ("float32", "float64", np.float32, np.float64):
            raise ArgumentError("dtype", "float32 or float64", repr(dtype), "Choose one of these.")
        shape = tuple(check_int(size, "input_shape") for size in input_shape)
        if not shape:
            raise ShapeError("Sequential.build", "at least one size", "none", "Give for example (64, 64, 3).")
        if self.input_shape is not None:
            self.optimizer = None  # its moments belong to the weights that are replaced here
        self.dtype, self.input_shape = np.dtype(dtype), None  # not built, until nothing more can fail
        rng = None if seed is None else np.random.default_rng(check_int(seed, "seed", least=0))
        build_chain(self.layers, shape, rng, self.dtype, kernel_set(self.kernels_name), needs_dx=False)
        self.output_shapes = [layer.output_shape for layer in self.layers]
        self._first = next(iter(self.parameters), None)
        self.steps, self.input_shape = plan(self.layers), shape
        return self

    @property
    def parameters(self) -> list[Parameter]:
        """All weights, layer by layer."""
        return [parameter for layer in self.layers for parameter in layer.parameters]

    def summary(self) -> None:
        """Print layers, shapes, parameters, multiply-adds and memory of one picture."""
        self._need_build("summary")
        print(summary(self))

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights, in the order of `parameters`."""
        return [parameter.value.copy() for parameter in self.parameters]

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Put weights back, in the order of `parameters`.

        Raises
        ------
        ShapeError
            If their number or a shape differs; then nothing is changed.
        """
        shapes, wanted = (
            [np.shape(weight) for weight in weights],
            [parameter.shape for parameter in self.parameters],
        )
        if shapes != wanted:
            raise ShapeError(
                "set_weights", str(wanted), str(shapes), "Take weights from a model of the same layers."
            )
        for parameter, weight in zip(self.parameters, weights, strict=True):
            parameter.value = np.array(weight, self.dtype, order="C")

    @property
    def state(self) -> dict:
        """What training changes, as copies: weights by name, the optimiser's numbers, the layers' generators.

        Set it to put everything back, also in a model that was built anew.
        """
        return {
            "weights": {parameter.name: parameter.value.copy() for parameter in self.parameters},
            "optimizer": None if self.optimizer is None else self.optimizer.state,
            "layers": [layer.state for layer in self.layers],
        }

    @state.setter
    def state(self, state: dict) -> None:
        self.set_weights([state["weights"][parameter.name] for parameter in self.parameters])
        if self.optimizer is not None:
            self.optimizer.state = state["optimizer"]
        for layer, remembered in zip(self.layers, state["layers"], strict=True):
            layer.state = remembered

    # --------------------------------------------------------------------- forward, backward
    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        """The network's output for a batch; with `training` the layers keep what backward needs.

        Raises
        ------
        ShapeError
            If the batch does not have the shape that the network was built for.
        """
        return self._run(self.steps, self._input(x), training)

    def backward(self, dy: np.ndarray) -> None:
        """From the gradient of the output to the `.grad` of every parameter, last layer first.

        Raises
        ------
        ShapeError
            If the gradient does not have the shape of an output.
        """
        self._need_build("backward")
        dy, wanted = np.asarray(dy, self.dtype), self.output_shapes[-1]
        if dy.ndim == 0 or dy.shape[1:] != wanted:
            raise ShapeError(
                "backward", "(N, " + ", ".join(map(str, wanted)) + ")", str(dy.shape),
                "Give the loss's gradient for each output; targets (N,) beside predictions (N, 1) blow up to (N, N).",
            )  # fmt: skip
        self._run_back(self.steps, dy)

    # ------------------------------------------------------------------------------- training
    def compile(
        self,
        optimizer: str | optimizers.Optimizer = "adam",
        loss: str | losses.Loss = "binary_crossentropy",
        metrics: Sequence[str | Callable] = (),
    ) -> None:
        """Choose how to learn.

        Parameters
        ----------
        optimizer : "sgd", "adam", "adamw" or an Optimizer
        loss : "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy",
            "mean_squared_error" or a Loss
        metrics : sequence of "accuracy", "auc", "log_loss", "precision", "recall", "f1_score", or functions of
            (target, prediction) that return one number

        Raises
        ------
        ArgumentError
            For a name that is not known.
        """
        self.optimizer = _named(optimizer, optimizers.BY_NAME, optimizers.Optimizer, "optimizer")
        self.loss = _named(loss, losses.BY_NAME, losses.Loss, "loss")
        self.metrics = find_metrics(metrics)

    def compute_gradients(
        self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float, np.ndarray]:
        """Forward, loss and backward of one batch: writes the `.grad` of every trainable parameter, and changes none.

        Where the loss can take logits and the last layer is its activation, both work on the logit.

        Returns
        -------
        loss : float
        prediction : array

        Raises
        ------
        NonFiniteError
            If the loss is not finite; then no gradient has been written.
        """
        loss, prediction, dscore, head = self._score(x, y, sample_weight, training=True)
        if not np.isfinite(loss):
            raise NonFiniteError("loss", "a finite number", str(loss), "Lower the learning rate.")
        self._run_back(head, dscore)
        return loss, prediction

    def train_step(
        self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float, np.ndarray]:
        """`compute_gradients`, then one step of the optimiser; returns and raises the same."""
        loss, prediction = self.compute_gradients(x, y, sample_weight)
        self.optimizer.step(self.parameters)
        return loss, prediction

    def test_step(
        self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, training: bool = False
    ) -> tuple[float, np.ndarray]:
        """(loss, prediction) of one batch, without backward.

        `training` switches dropout on and lets layers normalise with the batch's own statistics.
        """
        loss, prediction, *_ = self._score(x, y, sample_weight, training)
        return loss, prediction

    def fit(
        self,
        x: ArrayLike | ArrayBatches,
        y: ArrayLike | None = None,
        *,
        validation_data: tuple | ArrayBatches | None = None,
        epochs: int = 1,
        batch_size: int = 32,
        callbacks: Sequence[Callback] = (),
        verbose: str | int = "auto",
        shuffle: bool = True,
        seed: int = 0,
        sample_weight: ArrayLike | None = None,
        class_weight: dict | None = None,
    ) -> training.History:
        """Train.

        Parameters
        ----------
        x : array (N, ...) or loader
        y : array, unless x is a loader
        validation_data : (x, y) or loader, optional
            Judged after each epoch.
        epochs, batch_size : int
            A loader has its own batch size.
        callbacks : sequence of Callback
        verbose : "auto", 0, 1 or 2
            A bar on a terminal and a line an epoch elsewhere; silent; bar; line.
        shuffle, seed
            The order of an epoch comes from (seed, epoch).
        sample_weight : array (N,), optional
        class_weight : dict from class number to weight, optional
            A class that is not in it weighs 1.

        Returns
        -------
        History

        Raises
        ------
        NonFiniteError
            When a loss is not finite; the batch is named.
        ArgumentError
            If `class_weight` names a class that there is not.
        """
        self._need_compile("fit")
        if y is None and not isinstance(x, ArrayBatches):
            raise ArgumentError("fit", "targets y", "none", "Give y, or a loader with labels.")
        batches = _as_batches(x, y, sample_weight, batch_size, shuffle, seed)
        validation = validation_data
        if validation is not None and not isinstance(validation, ArrayBatches):
            validation = _as_batches(*validation, batch_size=batch_size)
        return training.fit(
            self, batches, validation, check_int(epochs, "epochs"), callbacks, class_weight, verbose
        )

    def evaluate(
        self,
        x: ArrayLike | ArrayBatches,
        y: ArrayLike | None = None,
        *,
        batch_size: int = 32,
        sample_weight: ArrayLike | None = None,
    ) -> dict:
        """The loss and each metric over all samples, by name.

        Parameters
        ----------
        x, y, batch_size, sample_weight : as in `fit`
        """
        self._need_compile("evaluate")
        return training.evaluate(self, _as_batches(x, y, sample_weight, batch_size))

    def predict(self, x: ArrayLike | ArrayBatches, batch_size: int = 32) -> np.ndarray:
        """The outputs for all samples, in order.

        Parameters
        ----------
        x : array (N, ...) or loader
        batch_size : int
            How many are computed at once; the answers do not depend on it beyond rounding.
        """
        batches = _as_batches(x, batch_size=batch_size)
        outputs = []  # in a plain loop, which when it fails lets go of its batches and of the thread they come from
        for x, *_ in batches.in_order():
            outputs.append(self.forward(x))
        return np.concatenate(outputs)

    def predict_classes(self, x: ArrayLike | ArrayBatches, batch_size: int = 32) -> np.ndarray:
        """The class numbers for all samples: p > 0.5 for one output, else the largest."""
        return classes(self.predict(x, batch_size))

    # --------------------------------------------------------------------------------- saving
    def save(self, path: str | Path, dtype: str | None = None) -> None:
        """Write weights, architecture, class names and preprocessing to one safetensors file.

        Parameters
        ----------
        path : str or Path
        dtype : "float16", "float32" or "float64", optional
            What weights are stored as; else as they are.  A loaded model computes in its own type, whatever the file's:
            float16 makes a file half as large, of weights with three decimal digits.

        Raises
        ------
        ArgumentError
            If something could not be loaded again: a layer that is not of minicnn, class names that
            are not as many as the outputs, a weight that `dtype` cannot hold.
        """
        self._need_weights("save")
        description = {
            "name": self.name,
            "input_shape": self.input_shape,
            "dtype": str(self.dtype),
            "kernels": self.kernels_name,
            "layers": [describe(layer) for layer in self.layers],
            "class_names": _check_names(self.class_names, self.output_shapes[-1]),
            "preprocessing": _check_preprocessing(self.preprocessing),
        }
        weights = {parameter.name: parameter.value for parameter in self.parameters}
        serialization.write(path, serialization.stored_as(weights, dtype or self.dtype.name), description)

    # -------------------------------------------------------------------------------- private
    def _score(self, x, y, sample_weight, training):
        """Loss, prediction, the gradient where backward starts, and the steps it goes through."""
        self._need_compile("training" if training else "evaluate")
        x, last, loss_function = self._input(x), self.layers[-1], self.loss
        if type(last).__name__ != loss_function.activation or loss_function.from_logits:
            prediction = self._run(self.steps, x, training)
            loss, dprediction = loss_function(y, prediction, sample_weight)
            return loss, prediction, dprediction, self.steps
        head = self.steps[:-1]
        logits = self._run(head, x, training)
        loss, dlogits = losses.with_logits(loss_function)(y, logits, sample_weight)
        return loss, last.forward(logits), dlogits, head

    def _input(self, x):
        self._need_weights("forward")
        x = np.asarray(x)
        if x.shape[1:] != self.input_shape or x.ndim == 0:
            raise ShapeError(
                "input", "(N, " + ", ".join(map(str, self.input_shape)) + ")", str(x.shape),
                "A single sample needs a batch axis: x[None].",
            )  # fmt: skip
        return x.astype(self.dtype, copy=False)

    @staticmethod
    def _run(steps, x, training):
        for step in steps:
            x = step.forward(x, training)
        return x

    @staticmethod
    def _run_back(steps, dy):
        for step in reversed(steps):
            dy = step.backward(dy)

    def _need_build(self, what):
        if self.input_shape is None:
            raise StateError(what, "a built model", "one that is not", "Call build(input_shape) first.")

    def _need_weights(self, what):
        self._need_build(what)
        if self._first is not None and self._first.value is None:
            raise StateError(
                what, "a model with weights", "none: seed=None", "Set them, or build with a seed."
            )

    def _need_compile(self, what):
        self._need_build(what)
        if self.optimizer is None:
            raise StateError(
                what, "a compiled model", "one that is not", "Call compile(optimizer=, loss=) first."
            )


def load_model(path: str | Path, kernels: str | None = None) -> Sequential:
    """Read a model that `Sequential.save` wrote; nothing else is needed to predict with it.

    Parameters
    ----------
    path : str or Path
    kernels : str, optional
        Another kernel set than it was saved with.

    Returns
    -------
    Sequential
        Built, with its weights, `class_names` and `preprocessing`; compile it again to train or evaluate.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, foreign, or its weights do not fit its architecture.
    """
    tensors, description = serialization.read(path)
    if kernels is not None:
        kernel_set(kernels)
    try:
        layers = [make_layer(entry) for entry in description["layers"]]
        model = Sequential(layers, kernels or description["kernels"], description["name"])
        model.build(description["input_shape"], seed=None, dtype=description["dtype"])
        model.class_names = _check_names(description["class_names"], model.output_shapes[-1])
        model.preprocessing = _check_preprocessing(description["preprocessing"])
    except (
        MinicnnError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise ModelFileError(
            str(path),
            "a description of a network",
            f"one that is not ({error})",
            "Save it again with minicnn.",
        ) from error
    expected = {parameter.name: parameter.shape for parameter in model.parameters}
    serialization.check_shapes(path, expected, {name: value.shape for name, value in tensors.items()})
    for parameter in model.parameters:
        parameter.value = np.array(tensors[parameter.name], model.dtype)
    return model


def _check_names(names, output_shape):
    """None, or a list with a name for each output; two for a single one."""
    count = max(2, output_shape[-1])
    if names is None:
        return None
    if (
        not isinstance(names, list | tuple)
        or len(names) != count
        or not all(isinstance(n, str) for n in names)
    ):
        raise ArgumentError("class_names", f"{count} names", repr(names), "Give a list of as many strings.")
    return list(names)


def _check_preprocessing(preprocessing):
    if preprocessing is not None and not isinstance(preprocessing, dict):
        raise ArgumentError("preprocessing", "an object", repr(preprocessing), "Save it again with minicnn.")
    return preprocessing


def _as_batches(x, y=None, sample_weight=None, batch_size=32, shuffle=False, seed=0):
    if not isinstance(x, ArrayBatches):
        return ArrayBatches(x, y, sample_weight, batch_size, shuffle, seed)
    if y is not None or sample_weight is not None:
        raise ArgumentError(
            "y and sample_weight", "none beside a loader, which has its own", "some", "Leave them out."
        )
    return x


def _named(value, by_name, base, where):
    """An object as it is, or a new one with default settings by its name."""
    if isinstance(value, base):
        return value
    if isinstance(value, str) and value in by_name:
        return by_name[value]()
    raise ArgumentError(where, f"one of {', '.join(by_name)}, or an object", repr(value), "Choose one.")
