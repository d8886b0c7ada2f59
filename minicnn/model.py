"""Sequential: a network of layers in a row, from forward and backward to one step of training.

The step that teaches, `train_step`, is here.  The structure (layers, shapes, weights) is in architecture.py, the loop
around the step in training/loop.py, the arithmetic in layers/ and kernels/, the model file in saving/model_file.py.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import fusion, losses, optimizers, tracing
from .architecture import Architecture
from .errors import ArgumentError, MinicnnError, NonFiniteError, ShapeError, StateError, check_bool
from .layers import AveragePool2D, Dropout, Flatten, GlobalAveragePool2D, MaxPool2D, Sigmoid, Softmax
from .layers.parameter import assign
from .metrics import find_metrics
from .outputs import Outputs, find_outputs
from .saving import model_file
from .training import loop
from .training.history import History

# Layers that pass on what their inputs mean.
PASSIVE = AveragePool2D, Dropout, Flatten, GlobalAveragePool2D, MaxPool2D


class Sequential(Architecture):
    """A network of layers, each fed by the one before.

    Parameters
    ----------
    layers : sequence of Layer, optional
        The first entry may be an `Input`.  More can follow by `add`.  A network with two inputs or freely shared
        branches cannot be expressed; `Residual` adds a shortcut.
    kernels : "fast", "im2col" or "reference"
        Which set computes: at the machine's limit, by the textbook route, or by the slow definition.
    name : str

    Attributes
    ----------
    layers : tuple of Layer
    parameters : list of Parameter
        All weights in order, with `.name`, `.value`, `.grad` and `.trainable`.
    input_shape, output_shape : tuple of int or None
        Of one sample, once the model is built.
    plan : Plan
        Which layers run as one step (fusion.py).
    class_names : list of str or None
        What the outputs mean; saved with the weights.
    preprocessing : dict or None
        How a file becomes an input; saved with the weights.
    optimizer, loss, metrics, outputs
        As `compile` set them.
    history : History or None
        Of the last `fit`, also of one that was interrupted.
    epochs_trained : int
        How many epochs `fit` has trained since `compile`.
    stop_training : bool
        Set it in a callback to end training.

    Raises
    ------
    ArgumentError
        If an entry is no Layer, or one appears twice.

    Examples
    --------
    >>> from minicnn.layers import Dense
    >>> model = Sequential([Dense(8, "relu"), Dense(1, "sigmoid")])
    >>> model.compile(optimizer=optimizers.Adam(0.05), loss="binary_crossentropy", metrics=["accuracy"])
    >>> x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    >>> history = model.fit(x, y, epochs=200, verbose=0)
    >>> model.predict_classes(x)
    array([0, 1, 1, 0])
    """

    def _prepare(self):
        self.stop_training = False
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: losses.Loss | None = None
        self.metrics: dict[str, Callable] = {}
        self.outputs: Outputs | None = None
        self.history: Any = None
        self.epochs_trained = 0
        self._settings: tuple | None = None  # what compile was given
        self._token = [self.name]  # by which the optimizer knows whose state it holds

    def _check_outputs(self, output_shape):
        self.outputs, self.metrics = self._find_outputs(output_shape)

    # --------------------------------------------------------------------- forward, backward
    def __call__(self, x: ArrayLike) -> np.ndarray:
        """The network's output for a batch, in prediction; nothing is kept."""
        return fusion.predict(self._ready().prediction, self._input(x))

    def forward(self, x: ArrayLike, training: bool = False) -> tuple[np.ndarray, list]:
        """The network's output for a batch, and each step's cache for `backward`.

        Raises
        ------
        ShapeError
            If the batch does not have the shape that the network was built for.
        """
        return fusion.run(self._ready().training, self._input(x), check_bool(training, "training"))

    def backward(self, dy: ArrayLike, caches: list) -> np.ndarray:
        """From the gradient of the output to the `.grad` of every trainable parameter, last layer first.

        Returns
        -------
        dx : array
            The gradient of the input.

        Raises
        ------
        ShapeError
            If the gradient does not have the shape of the output that the caches are of.
        StateError
            If the caches are of another model.
        """
        plan = self._ready()
        if not isinstance(caches, list) or len(caches) != len(plan.training):
            raise StateError(
                "backward", "the caches that forward returned", repr(type(caches).__name__),
                "Call y, caches = model.forward(x), then model.backward(dy, caches).",
            )  # fmt: skip
        return fusion.run_back(plan.training, np.asarray(dy, self.dtype), list(caches), need_dx=True)

    def update_state(self, caches: list) -> None:
        """What a training step changes beside the weights: moving statistics and the position of dropout's generators.

        `train_step` does it; a loop written by hand calls it after the optimizer's step.
        """
        for update in fusion.updates(self._ready().training, caches):
            update()

    def trace(self, x: ArrayLike) -> dict[str, np.ndarray]:
        """Every layer's output for a batch, in prediction; nothing is changed, and any number of threads may call it.

        Returns
        -------
        dict from path to array
            In the order of computation: "conv2d_1", ...; inside a Residual "residual_1/conv2d_1"; between the halves of
            a SeparableConv2D "separable_conv2d_1/depthwise"; before a layer's own activation "dense_1/linear".

        Examples
        --------
        >>> from minicnn.layers import Dense, ReLU
        >>> model = Sequential([Dense(3), ReLU()]).build((2,))
        >>> {path: output.shape for path, output in model.trace(np.ones((1, 2))).items()}
        {'dense_1': (1, 3), 'relu_1': (1, 3)}
        """
        self._ready()
        return tracing.trace(self, self._input(x))

    def gradient(
        self,
        x: ArrayLike,
        of: int | str | ArrayLike | Callable = 0,
        at: str | Sequence[str] = "input",
        y: ArrayLike | None = None,
    ) -> Any:
        """The gradient of a scalar with respect to the input or to layers' outputs, as the network predicts.

        Nothing is changed, not even `.grad`, and any number of threads may call it at once.

        Parameters
        ----------
        x : array (N, ...)
        of : int or ints (N,), "loss", array or function
            A class: its logit, before the Sigmoid or Softmax at the end.  For one sigmoid with logit z, class 1 is z
            and class 0 is -z.  Samples do not mix, so each has the gradient of its own logit.
            "loss": the loss for the targets `y`, the mean over the batch as in training, without regularizers.
            An array like the output: the gradient that goes into the output.
            A function of the output (N, K): it returns one number, or the pair (number, its gradient); of a number
            alone the gradient at the output is taken by differences.
        at : "input", a path of `trace`, or several of these
        y : array, for "loss"

        Returns
        -------
        array, or dict from path to array for several paths

        Raises
        ------
        ArgumentError
            For a class or a path that there is not.

        Examples
        --------
        >>> from minicnn.layers import Dense
        >>> model = Sequential([Dense(1, "sigmoid", use_bias=False)]).build((2,))
        >>> model.set_weights([[[2.0], [-3.0]]])
        >>> model.gradient(np.array([[5.0, 7.0]]), of=1)
        array([[ 2., -3.]], dtype=float32)
        """
        self._ready()
        return tracing.gradient(self, self._input(x), of, at, y)

    # ------------------------------------------------------------------------------- training
    def compile(
        self,
        optimizer: str | optimizers.Optimizer = "adam",
        loss: str | losses.Loss | Callable | None = None,
        metrics: Sequence[str | Callable] | str | Callable | None = (),
    ) -> None:
        """Choose how to train.

        Parameters
        ----------
        optimizer : str or Optimizer
            "adam", "adamw", "sgd", "rmsprop".  An optimizer that has trained another model starts afresh.
        loss : str, Loss or function of (target, prediction) that returns (value, gradient), optional
            Default: binary cross-entropy behind a Sigmoid, categorical cross-entropy behind a Softmax.
        metrics : sequence of names or functions of (target, prediction) that return one number
            "accuracy", "auc", "log_loss", "precision", "recall", "f1_score", ...  A function gets targets in the
            predictions' shape.

        Raises
        ------
        ArgumentError
            For a name that is not known, a loss that contradicts the last layer, or a metric that cannot be computed;
            then nothing is changed.
        """
        chosen = optimizers.find_optimizer(optimizer)
        loss = self._default_loss() if loss is None else losses.find_loss(loss)
        settings = loss, metrics
        outputs, bound = self._find_outputs(self.output_shape, settings)
        chosen.bind(self._token)
        self.optimizer, self.loss, self.outputs, self.metrics = chosen, loss, outputs, bound
        self._settings, self.epochs_trained = settings, 0

    def _default_loss(self):
        activation = self.output_activation
        if activation is None:
            raise ArgumentError(
                "compile loss", "a loss, since the last layer is neither Sigmoid nor Softmax", "none",
                'Give for example loss="mse", or end the network in Sigmoid() or Softmax().',
            )  # fmt: skip
        return losses.BinaryCrossEntropy() if type(activation) is Sigmoid else losses.CrossEntropy()

    def _find_outputs(self, output_shape, settings=None):
        """What the outputs mean and the metrics bound to that, from the loss and the last layer."""
        settings = settings or self._settings
        if settings is None:
            return None, {}
        loss, metrics = settings
        find_metrics(metrics, None)  # the names first
        if output_shape is None:
            return None, {}
        if len(output_shape) != 1:
            raise ShapeError(
                "compile", "a network with outputs (N, K)", f"(N, {', '.join(map(str, output_shape))})",
                "Add Flatten() or GlobalAveragePool2D(), and Dense.",
            )  # fmt: skip
        outputs = find_outputs(loss, *self._last_words(), output_shape[-1])
        return outputs, find_metrics(metrics, outputs)

    def _last_words(self):
        """The names of the activation and of the layer that decide what outputs mean; None for a user's own layer."""
        activation = self.output_activation
        last = next(
            (layer for layer in reversed(self._layers) if type(layer) not in PASSIVE), self._layers[-1]
        )
        own = type(last).__module__.startswith("minicnn.")
        return activation and type(activation).__name__, type(last).__name__ if own else None

    def compute_gradients(
        self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float, np.ndarray]:
        """Forward, loss and backward of one batch: writes the `.grad` of every trainable parameter, and nothing else.

        Where the loss can take logits and the last layer is its activation, both work on the logit.

        Returns
        -------
        loss : float
            With the penalties of regularizers.
        prediction : array

        Raises
        ------
        NonFiniteError
            If the loss is not finite; then no gradient has been written.
        StateError
            If another thread is training the model.
        """
        with self._alone():
            return self._compute_gradients(x, y, sample_weight)[:2]

    def _compute_gradients(self, x, y, sample_weight):
        """(loss, prediction, updates)."""
        loss, prediction, dscore, head, caches = self._score(x, y, sample_weight, training=True)
        if not math.isfinite(loss):
            raise NonFiniteError("loss", "a finite number", str(loss), "Lower the learning rate.")
        updates = fusion.updates(head, caches)
        fusion.run_back(head, dscore, caches, need_dx=False)
        for parameter in self._penalized():
            if parameter.trainable:
                parameter.grad = parameter.grad + parameter.regularizer.gradient(parameter.value)
        return loss, prediction, updates

    def train_step(
        self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float, np.ndarray]:
        """`compute_gradients`, one step of the optimizer, then the moving statistics; returns and raises the same.

        Raises
        ------
        NonFiniteError
            If the loss, a gradient or a weight is not finite; then no weight has changed.
        """
        with self._alone():
            if self.optimizer is not None and self.optimizer.owner is not self._token:
                raise StateError(
                    "train_step", "the optimizer of this model", "one that has since been given to another",
                    "Compile each model with an optimizer of its own.",
                )  # fmt: skip
            loss, prediction, updates = self._compute_gradients(x, y, sample_weight)
            self.optimizer.step(self._named, self.kernels)
            for update in updates:
                update()
            return loss, prediction

    def test_step(
        self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, training: bool = False
    ) -> tuple[float, np.ndarray]:
        """(loss, prediction) of one batch, without backward; nothing is changed.

        `training` switches dropout on and lets layers normalise with the batch's own statistics.
        """
        return self._score(x, y, sample_weight, training)[:2]

    def fit(
        self,
        x: Any,
        y: ArrayLike | None = None,
        batch_size: int | None = None,
        epochs: int = 1,
        **settings: Any,
    ) -> History:
        """Train; the arguments are those of `fit` in training/loop.py, after its `model`."""
        return loop.fit(self, x, y, batch_size=batch_size, epochs=epochs, **settings)

    def evaluate(
        self, x: Any, y: ArrayLike | None = None, batch_size: int | None = None, **settings: Any
    ) -> dict:
        """The loss and each metric over all samples; the arguments are those of `evaluate` in training/loop.py."""
        return loop.evaluate(self, x, y, batch_size=batch_size, **settings)

    def predict(self, x: Any, batch_size: int | None = None, **settings: Any) -> np.ndarray:
        """The outputs for all samples, in order; the arguments are those of `predict` in training/loop.py."""
        if (  # one batch that needs no conversion: what follows from arguments alone costs as much as a small network
            (batch_size is None or type(batch_size) is int)
            and type(x) is np.ndarray
            and x.dtype == self.dtype
            and x.shape[1:] == self.input_shape
            and 0 < len(x) <= (32 if batch_size is None else batch_size)
            and self.preprocessing is None
            and not settings
        ):
            return fusion.predict(self._ready().prediction, x).copy()
        return loop.predict(self, x, batch_size=batch_size, **settings)

    def predict_classes(self, x: Any, batch_size: int | None = None) -> np.ndarray:
        """The class numbers for all samples (N,), or 0 and 1 for each of several independent labels (N, K)."""
        self._need_build("predict_classes")
        return self.meaning().classes(self.predict(x, batch_size))

    def meaning(self) -> Outputs:
        """What the outputs mean: as `compile` found it, or as far as the last layer tells."""
        if self.outputs is not None:
            return self.outputs
        loss = None if self.output_activation is None else self._default_loss()
        return find_outputs(loss, *self._last_words(), self.output_shape[-1])

    @property
    def is_classifier(self) -> bool:
        """Whether the outputs are classes, as far as the last layer and the loss tell."""
        return self.output_activation is not None or (
            self.outputs is not None and self.outputs.kind != "numbers"
        )

    @property
    def state(self) -> dict:
        """What training changes, as copies: weights by name, the optimizer's numbers, the layers' generators.

        Set it to put everything back, also in a model that was built anew; if a part does not fit, nothing is changed.
        """
        return {
            "weights": {name: parameter.value.copy() for name, parameter in self.named_parameters.items()},
            "optimizer": None if self.optimizer is None else self.optimizer.state,
            "layers": [layer.state for layer in self._layers],
        }

    @state.setter
    def state(self, state: dict) -> None:
        before = self.state
        try:
            self._restore(state)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            self._restore(before)
            if isinstance(error, MinicnnError):
                raise
            raise ArgumentError("model.state", "the state of a model", f"another ({error})") from error

    def _restore(self, state):
        parameters = self.named_parameters
        if parameters.keys() != state["weights"].keys() or len(state["layers"]) != len(self._layers):
            raise ShapeError(
                "model.state",
                "the state of a model of the same layers",
                "that of another",
                "Build the same model.",
            )
        assign("model.state", list(parameters.values()), [state["weights"][name] for name in parameters])
        if self.optimizer is not None and state["optimizer"] is not None:
            self.optimizer.state = state["optimizer"]
        for layer, remembered in zip(self._layers, state["layers"], strict=True):
            layer.state = remembered

    # --------------------------------------------------------------------------------- saving
    def save(self, path: str | Path, dtype: Any = None) -> None:
        """Write weights, architecture, class names and preprocessing to one safetensors file; see `model_file.save`."""
        model_file.save(self, path, dtype)

    def save_weights(self, path: str | Path) -> None:
        """Write the weights alone; `load_weights` of a model with the same layers reads them."""
        model_file.save_weights(self, path)

    def load_weights(self, path: str | Path) -> None:
        """Read the weights of a file that `save_weights` or `save` wrote.

        Raises
        ------
        ModelFileError
            If they do not fit; then nothing is changed.
        """
        model_file.load_weights(self, path)

    # -------------------------------------------------------------------------------- private
    def _score(self, x, y, sample_weight, training):
        """Loss, prediction, the gradient where backward starts, the steps it goes through and their caches."""
        plan, x = self._ready(), self._input(x)
        self._need_compile("training" if training else "evaluate")
        steps = plan.training if training else plan.prediction
        last, loss = steps[-1], self.loss
        on_logits = self.outputs is not None and _computes_on_logits(last, loss)
        head = steps[:-1] if on_logits else steps
        if training:
            output, caches = fusion.run(head, x, training)
        else:
            output, caches = fusion.predict(head, x), []
        if on_logits:
            value, gradient = losses.with_logits(loss)(y, output, sample_weight)
            prediction = last(output)
        else:
            value, gradient = loss(y, output, sample_weight)
            prediction = output
        return value + self._penalty(), prediction, gradient, head, caches

    def _penalty(self):
        """The regularizers' part of the loss."""
        return sum(parameter.regularizer.penalty(parameter.value) for parameter in self._penalized())

    def _penalized(self):
        return [parameter for parameter in self._named.values() if parameter.regularizer is not None]

    def _input(self, x):
        if type(x) is not np.ndarray:
            x = np.asarray(x)
        if x.ndim == 0 or x.shape[1:] != self.input_shape or x.dtype.kind not in "fiub":
            raise ShapeError(
                "input", "(N, " + ", ".join(map(str, self.input_shape)) + ")", f"{x.dtype} {x.shape}",
                "A single sample needs a batch axis: x[None].",
            )  # fmt: skip
        return x.astype(self.dtype, copy=False)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Only one thread trains at a time; others may predict."""
        if not self.training_lock.acquire(blocking=False):
            raise StateError(
                "training", "one thread at a time", "another thread that is training this model",
                "Wait for it, or train a copy: copy.deepcopy(model).",
            )  # fmt: skip
        try:
            yield
        finally:
            self.training_lock.release()

    def _need_compile(self, what):
        self._need_build(what)
        if self.optimizer is None:
            raise StateError(
                what, "a compiled model", "one that is not", "Call compile(optimizer=, loss=) first."
            )


def _computes_on_logits(last: Any, loss: Any) -> bool:
    """Whether the loss takes the logits that go into the last step."""
    known = type(last) in (Sigmoid, Softmax) and losses.takes_logits(loss)
    return known and loss.activation == type(last).__name__ and not loss.from_logits
