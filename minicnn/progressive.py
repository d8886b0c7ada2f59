"""Progressive picture size: small pictures first, which go fast and teach the outlines, then larger ones.

A network whose weights do not depend on the size of its pictures (one that ends in GlobalAveragePool2D, not in
Flatten) can be trained at one size and go on at another.  `ProgressiveSize` is a callback that changes the
model and its loaders between epochs; `resize` is the change itself, also for judging at a third size.
Called by `training.py` and examples/catdog.py (`--progressive`).
"""

from collections.abc import Sequence
from typing import Any

from .callbacks import Callback
from .errors import ArgumentError, ShapeError, StateError, check_int


def resize(model: Any, height: int, width: int) -> None:
    """Let a built model take pictures of another size; weights, optimiser and generators stay as they are.

    Parameters
    ----------
    model : Sequential
    height, width : int

    Raises
    ------
    StateError
        If the model is not built.
    ShapeError
        If a weight would need another shape; then nothing is changed.

    Examples
    --------
    >>> import minicnn as mc
    >>> model = mc.Sequential([mc.Conv2D(4, 3), mc.GlobalAveragePool2D(), mc.Dense(1)]).build((8, 8, 3))
    >>> resize(model, 12, 10)
    >>> model.input_shape, model.output_shapes[0]
    ((12, 10, 3), (10, 8, 4))
    """
    if model.input_shape is None:
        raise StateError("resize", "a built model", "one that is not", "Call build(input_shape) first.")
    old, wanted = model.input_shape, (height, width, *model.input_shape[2:])
    if old == wanted:
        return
    state, optimizer = model.state, model.optimizer
    trainable = [parameter.trainable for parameter in model.parameters]

    def rebuild(shape):
        model.build(shape, seed=None, dtype=model.dtype)
        model.optimizer, model.state = optimizer, state
        for parameter, moves in zip(model.parameters, trainable, strict=True):
            parameter.trainable = moves

    try:
        rebuild(wanted)
    except ShapeError as error:
        rebuild(old)
        raise ShapeError(
            f"pictures of {height} x {width}", "weights that fit any size", str(error),
            "Use a network that ends in GlobalAveragePool2D in place of Flatten, and pictures it has room for.",
        ) from error  # fmt: skip


class ProgressiveSize(Callback):
    """Train the first epochs on pictures of one size, the next on another.

    The size follows from the epoch's number, so there is nothing to save.  An epoch is trained and validated at its
    size; when it has ended, all have the size again that they had before, so that whoever saves the model then saves
    one that takes pictures of the size it is meant for.  Give it before callbacks that save the model.

    Parameters
    ----------
    stages : sequence of (size, epochs)
        The last stage goes on when its epochs are over.
    loaders : Loader, ...
        Those of training and validation: their `size` is set with the model's.

    Raises
    ------
    ArgumentError
        For stages that are not pairs of whole numbers above 0.

    References
    ----------
    Howard 2018, "Training Imagenet in 3 hours for USD 25" (fast.ai's entry in DAWNBench).

    Examples
    --------
    >>> stages = ProgressiveSize([(64, 10), (96, 10), (112, 4)])
    >>> [stages.size(epoch) for epoch in (0, 9, 10, 19, 20, 40)], stages.epochs
    ([64, 64, 96, 96, 112, 112], 24)
    """

    def __init__(self, stages: Sequence[tuple[int, int]], *loaders: Any):
        self.stages = [
            (check_int(size, "picture size"), check_int(n, "epochs of a size")) for size, n in stages
        ]
        if not self.stages:
            raise ArgumentError(
                "ProgressiveSize", "at least one (size, epochs)", "none", "Give [(64, 10), (96, 5)]."
            )
        self.loaders = loaders

    def __repr__(self) -> str:
        return f"ProgressiveSize({self.stages})"

    @property
    def epochs(self) -> int:
        """How many the stages have together."""
        return sum(epochs for _, epochs in self.stages)

    def size(self, epoch: int) -> int:
        """Height and width of an epoch's pictures."""
        for size, epochs in self.stages:
            if epoch < epochs:
                return size
            epoch -= epochs
        return self.stages[-1][0]

    def on_train_begin(self) -> None:
        self.before = self.model.input_shape[:2], [loader.size for loader in self.loaders]

    def on_epoch_begin(self, epoch: int) -> None:
        size = self.size(epoch), self.size(epoch)
        self._resize(size, [size] * len(self.loaders))

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        self._resize(*self.before)

    def on_train_end(self) -> None:
        self._resize(*self.before)

    def _resize(self, size, sizes):
        resize(self.model, *size)
        for loader, size in zip(self.loaders, sizes, strict=True):
            loader.size = size
