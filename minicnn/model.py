"""Sequential: a network of layers in a row, with forward, backward and one training step, `train_step`.

Not here: the structure (layers, shapes, weights) is in architecture.py, the training loop in training/loop.py, the
arithmetic in layers/ and kernels/, the model file in saving/model_file.py.  Read training/loop.py next.
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

# Layers whose outputs mean the same as their inputs.
PASSIVE = AveragePool2D, Dropout, Flatten, GlobalAveragePool2D, MaxPool2D


class Sequential(Architecture):
    """A network of layers in a row: the output of each layer is the input of the next.

    Parameters
    ----------
    layers : sequence of Layer, optional
        The layers, in order.  The first entry may be an `Input`, and `add` appends more layers.  A network with two
        inputs or with arbitrary branches cannot be expressed; `Residual` adds a shortcut.
    kernels : "fast", "im2col" or "reference"
        The kernel set that does the arithmetic: optimized, by the textbook method (im2col), or by the definition,
        which is slow.
    name : str

    Attributes
    ----------
    layers : tuple of Layer
    parameters : list of Parameter
        All parameters in order, with `.name`, `.value`, `.grad` and `.trainable`.
    input_shape, output_shape : tuple of int or None
        Shape of one sample; None until the model is built.
    plan : Plan
        The execution plan: which layers are fused (fusion.py).
    class_names : list of str or None
        Names of the classes; saved with the weights.
    preprocessing : dict or None
        How an image file becomes an input; saved with the weights.
    optimizer, loss, metrics, outputs
        The values that `compile` set.
    history : History or None
        History of the last `fit`, even if it was interrupted.
    epochs_trained : int
        Number of epochs that `fit` has trained since `compile`.
    stop_training : bool
        A callback sets it to True to end training.

    Raises
    ------
    ArgumentError
        If an entry is not a Layer, or appears twice.

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
        self._settings: tuple | None = None  # the loss and the metrics that compile was given
        self._token = [
            self.name
        ]  # the optimizer compares this object to recognise the model whose state it holds

    def _check_outputs(self, output_shape):
        self.outputs, self.metrics = self._find_outputs(output_shape)

    # --------------------------------------------------------------------- forward, backward
    def __call__(self, x: ArrayLike) -> np.ndarray:
        """The output of the network for a batch, in prediction; nothing is cached."""
        return fusion.predict(self._ready().prediction, self._input(x))

    def forward(self, x: ArrayLike, training: bool = False) -> tuple[np.ndarray, list]:
        """The output of the network for a batch, and the caches that `backward` needs.

        Raises
        ------
        ShapeError
            If the batch does not have the shape that the network was built for.
        """
        return fusion.run(self._ready().training, self._input(x), check_bool(training, "training"))

    def backward(self, dy: ArrayLike, caches: list) -> np.ndarray:
        """Compute the `.grad` of every trainable parameter from the gradient of the output, last layer first.

        Returns
        -------
        dx : array
            The gradient of the loss with respect to the input.

        Raises
        ------
        ShapeError
            If `dy` does not have the shape of the output that `forward` returned with the caches.
        StateError
            If the caches belong to another model.
        """
        plan = self._ready()
        if not isinstance(caches, list) or len(caches) != len(plan.training):
            raise StateError(
                "backward", "the caches that forward returned", repr(type(caches).__name__),
                "Call y, caches = model.forward(x), then model.backward(dy, caches).",
            )  # fmt: skip
        return fusion.run_back(plan.training, np.asarray(dy, self.dtype), list(caches), need_dx=True)

    def update_state(self, caches: list) -> None:
        """Update what a training step changes besides the weights: moving statistics and the generators of dropout.

        `train_step` calls it; a training loop of your own must call it after the optimizer's step.
        """
        for update in fusion.updates(self._ready().training, caches):
            update()

    def trace(self, x: ArrayLike) -> dict[str, np.ndarray]:
        """The output of every layer for a batch, in prediction.

        Nothing in the model is changed, so any number of threads may call it at once.

        Returns
        -------
        dict from path to array
            The outputs in the order of computation.  Paths are "conv2d_1"; inside a Residual "residual_1/conv2d_1";
            between the halves of a SeparableConv2D "separable_conv2d_1/depthwise"; before the activation of a layer
            "dense_1/linear".

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
        """The gradient of a scalar with respect to the input or the output of layers, in prediction.

        Nothing in the model is changed, not even `.grad`, so any number of threads may call it at once.

        Parameters
        ----------
        x : array (N, ...)
        of : int or ints (N,), "loss", array or function
            The scalar.
            A class number: the logit of that class, before the Sigmoid or Softmax at the end.  For one sigmoid with
            logit z, class 1 is z and class 0 is -z.  Each sample has the gradient of its own logit.
            "loss": the loss for the targets `y`, the mean over the batch as in training, without regularizers.
            An array like the output: the gradient with respect to the output, from which backward starts.
            A function of the output (N, K): it returns one number, or the pair (number, its gradient).  From a number
            alone, the gradient at the output is computed by finite differences.
        at : "input", a path of `trace`, or several of these
            Where to return the gradient.
        y : array, for "loss"
            Targets of the loss.

        Returns
        -------
        array, or dict from path to array for several paths

        Raises
        ------
        ArgumentError
            If the class or the path does not exist.

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
            "adam", "adamw", "sgd", "rmsprop", or an object.  The state of an optimizer that has trained another model
            is reset.
        loss : str, Loss or function of (target, prediction) that returns (value, gradient), optional
            Loss to minimize (default: binary cross-entropy after a Sigmoid, categorical cross-entropy after a Softmax).
        metrics : sequence of names or functions of (target, prediction) that return one number
            "accuracy", "auc", "log_loss", "precision", "recall", "f1_score", ...  A function gets the targets in the
            shape of the predictions.

        Raises
        ------
        ArgumentError
            If a name is unknown, the loss contradicts the last layer, or a metric cannot be computed; then nothing is
            changed.
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
                "compile loss", "a loss, because the last layer is neither Sigmoid nor Softmax", "none",
                'Give for example loss="mse", or end the network in Sigmoid() or Softmax().',
            )  # fmt: skip
        return losses.BinaryCrossEntropy() if type(activation) is Sigmoid else losses.CrossEntropy()

    def _find_outputs(self, output_shape, settings=None):
        """The meaning of the outputs, from the loss and the last layer, and the metrics bound to that meaning."""
        settings = settings or self._settings
        if settings is None:
            return None, {}
        loss, metrics = settings
        find_metrics(metrics, None)  # check the names first
        if output_shape is None:
            return None, {}
        if len(output_shape) != 1:
            raise ShapeError(
                "compile", "a network with outputs (N, K)", f"(N, {', '.join(map(str, output_shape))})",
                "Add Flatten() or GlobalAveragePool2D(), and Dense.",
            )  # fmt: skip
        outputs = find_outputs(loss, *self._final_names(), output_shape[-1])
        return outputs, find_metrics(metrics, outputs)

    def _final_names(self) -> tuple[str | None, str | None]:
        """The class names of the final activation and the final layer; None in place of a user's own layer."""
        activation = self.output_activation
        last = next(
            (layer for layer in reversed(self._layers) if type(layer) not in PASSIVE), self._layers[-1]
        )
        own = type(last).__module__.startswith("minicnn.")
        end = None if activation is None else type(activation).__name__
        return end, type(last).__name__ if own else None

    def compute_gradients(
        self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float, np.ndarray]:
        """Forward, loss and backward of one batch: writes the `.grad` of every trainable parameter, and nothing else.

        If the last layer is the activation that belongs to the loss, the loss is computed from the logits.

        Returns
        -------
        loss : float
            The loss of the batch, including the penalties of regularizers.
        prediction : array
            The output of the network.

        Raises
        ------
        NonFiniteError
            If the loss is not finite; then no gradient has been written.
        StateError
            If another thread is training the model.
        """
        with self._exclusive_training():
            return self._compute_gradients(x, y, sample_weight)[:2]

    def _compute_gradients(self, x, y, sample_weight):
        """The same without the lock; returns (loss, prediction, updates)."""
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
        """Train on one batch: `compute_gradients`, one step of the optimizer, then the moving statistics.

        Returns
        -------
        loss : float
        prediction : array
            As `compute_gradients` returns them.

        Raises
        ------
        NonFiniteError
            If the loss, a gradient or a weight is not finite; then no weight has changed.
        StateError
            If another thread is training the model, or the optimizer now belongs to another model.
        """
        with self._exclusive_training():
            if self.optimizer is not None and self.optimizer.owner is not self._token:
                raise StateError(
                    "train_step", "the optimizer of this model", "an optimizer that another model was compiled with",
                    "Compile each model with an optimizer of its own.",
                )  # fmt: skip
            loss, prediction, updates = self._compute_gradients(x, y, sample_weight)
            optimizer: Any = self.optimizer  # there is one: _compute_gradients has checked it
            optimizer.step(self._named, self.kernels)
            for update in updates:
                update()
            return loss, prediction

    def test_step(
        self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, training: bool = False
    ) -> tuple[float, np.ndarray]:
        """The loss and the prediction of one batch, without backward; nothing is changed.

        With `training`, dropout is active and batch normalisation uses the statistics of the batch.
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
        """Train the model; `fit` in training/loop.py documents the arguments."""
        return loop.fit(self, x, y, batch_size=batch_size, epochs=epochs, **settings)

    def evaluate(
        self, x: Any, y: ArrayLike | None = None, batch_size: int | None = None, **settings: Any
    ) -> dict:
        """The loss and each metric over all samples; `evaluate` in training/loop.py documents the arguments."""
        return loop.evaluate(self, x, y, batch_size=batch_size, **settings)

    def predict(self, x: Any, batch_size: int | None = None, **settings: Any) -> np.ndarray:
        """The outputs for all samples, in order; `predict` in training/loop.py documents the arguments."""
        if (  # one batch that needs no conversion: checking all arguments would cost as much as a small network
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
        """The predicted class numbers of all samples (N,), or 0 and 1 for independent labels (N, K)."""
        self._need_build("predict_classes")
        return self.meaning().classes(self.predict(x, batch_size))

    def meaning(self) -> Outputs:
        """What the outputs mean: as `compile` found it, or as far as the last layer says it."""
        if self.outputs is not None:
            return self.outputs
        self._need_build("meaning")
        loss = None if self.output_activation is None else self._default_loss()
        shape: Any = self.output_shape
        return find_outputs(loss, *self._final_names(), shape[-1])

    @property
    def is_classifier(self) -> bool:
        """Whether the outputs are classes, as far as the last layer and the loss say it."""
        return self.output_activation is not None or (
            self.outputs is not None and self.outputs.kind != "numbers"
        )

    @property
    def state(self) -> dict:
        """Everything that training changes, as copies: weights by name, the state of the optimizer and of the layers.

        Assign it to restore it, also in a new model with the same layers; if a part does not fit, nothing is changed.
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
            raise ArgumentError(
                "model.state", "the state of a model", f"an invalid state ({error})"
            ) from error

    def _restore(self, state):
        parameters = self.named_parameters
        if parameters.keys() != state["weights"].keys() or len(state["layers"]) != len(self._layers):
            raise ShapeError(
                "model.state",
                "the state of a model with the same layers",
                "the state of another model",
                "Build the same model.",
            )
        assign("model.state", list(parameters.values()), [state["weights"][name] for name in parameters])
        if self.optimizer is not None and state["optimizer"] is not None:
            self.optimizer.state = state["optimizer"]
        for layer, remembered in zip(self._layers, state["layers"], strict=True):
            layer.state = remembered

    # --------------------------------------------------------------------------------- saving
    def save(self, path: str | Path, dtype: Any = None) -> None:
        """Save weights, architecture, class names and preprocessing in one safetensors file; see `model_file.save`."""
        model_file.save(self, path, dtype)

    def save_weights(self, path: str | Path) -> None:
        """Save only the weights; `load_weights` of a model with the same layers reads them."""
        model_file.save_weights(self, path)

    def load_weights(self, path: str | Path) -> None:
        """Load the weights from a file that `save_weights` or `save` wrote.

        Raises
        ------
        ModelFileError
            If the weights do not fit; then nothing is changed.
        """
        model_file.load_weights(self, path)

    # -------------------------------------------------------------------------------- private
    def _score(self, x, y, sample_weight, training):
        """The loss, the prediction, the gradient from which backward starts, the steps it runs, and their caches."""
        plan, x = self._ready(), self._input(x)
        self._need_compile("training" if training else "evaluate")
        steps = plan.training if training else plan.prediction
        last = steps[-1]
        loss: Any = self.loss  # there is one: _need_compile has checked it
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
        """The part of the loss that comes from regularizers."""
        return sum(parameter.regularizer.penalty(parameter.value) for parameter in self._penalized())

    def _penalized(self):
        return [parameter for parameter in self._named.values() if parameter.regularizer is not None]

    def _input(self, x):
        if type(x) is not np.ndarray:
            x = np.asarray(x)
        if x.ndim == 0 or x.shape[1:] != self.input_shape or x.dtype.kind not in "fiub":
            raise ShapeError(
                "input", "(N, " + ", ".join(map(str, self.input_shape or ())) + ")", f"{x.dtype} {x.shape}",
                "A single sample needs a batch axis: x[None].",
            )  # fmt: skip
        return x.astype(self.dtype, copy=False)

    @contextmanager
    def _exclusive_training(self) -> Iterator[None]:
        """Let one thread train at a time; other threads may predict meanwhile."""
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
                what,
                "a compiled model",
                "a model that is not compiled",
                "Call compile(optimizer=, loss=) first.",
            )


def _computes_on_logits(last: Any, loss: Any) -> bool:
    """Whether the last step is the activation that the loss can include, so that it takes the logits before it."""
    known = type(last) in (Sigmoid, Softmax) and losses.takes_logits(loss)
    return known and loss.activation == type(last).__name__ and not loss.from_logits
