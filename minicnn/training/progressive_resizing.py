"""Progressive resizing: train on small images first, which is fast, then on larger ones.

This needs a network whose weights do not depend on the size of its images: one that ends in GlobalAveragePool2D and not
in Flatten.  `ProgressiveResizing` is a callback that changes the model and its loaders between epochs.  `resize`
changes a model once, for example to evaluate at another size.  The images themselves are resized in data/loader.py.

Called by loop.py and by the command line (`minicnn train --progressive`).
"""

from collections.abc import Sequence
from typing import Any

from ..errors import ArgumentError, ShapeError, StateError, check_int
from .callbacks import Callback


def resize(model: Any, height: int, width: int) -> None:
    """Change the image size of a built model; weights, optimizer and random generators stay as they are.

    Parameters
    ----------
    model : Sequential
    height, width : int

    Raises
    ------
    StateError
        If the model is not built.
    ShapeError
        If a weight would need another shape; then the model stays as it was.

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
    size = check_int(height, "resize height"), check_int(width, "resize width")
    if len(model.input_shape) != 3:
        raise ShapeError("resize", "a model of images", f"one of inputs {model.input_shape}")
    if model.input_shape[:2] == size:
        return
    try:
        model.build((*size, model.input_shape[2]))
    except ShapeError as error:
        raise ShapeError(
            f"images of {height} x {width}", "weights that fit any size", str(error),
            "Use a network that ends in GlobalAveragePool2D in place of Flatten, and images that are not too small.",
        ) from error  # fmt: skip


class ProgressiveResizing(Callback):
    """Train the first epochs on images of one size, and later epochs on other sizes.

    An epoch is trained and validated at its size, which depends only on the epoch's number.  After the epoch, model and
    loaders get back their original size, so a callback that saves the model saves it at that size.  This callback is
    called before such callbacks, at any place in the list.

    Parameters
    ----------
    stages : sequence of (size, epochs)
        The last stage also covers all later epochs.
    loaders : Loader, ...
        The loaders for training and validation; their `size` changes with the model's.

    Raises
    ------
    ArgumentError
        For stages that are not pairs of whole numbers above 0.

    References
    ----------
    Howard 2018, "Training Imagenet in 3 hours for USD 25" (fast.ai's entry in DAWNBench).

    Examples
    --------
    >>> stages = ProgressiveResizing([(64, 10), (96, 10), (112, 4)])
    >>> [stages.size(epoch) for epoch in (0, 9, 10, 19, 20, 40)], stages.epochs
    ([64, 64, 96, 96, 112, 112], 24)
    """

    priority = -20

    def __init__(self, stages: Sequence[tuple[int, int]], *loaders: Any):
        try:
            pairs = [(size, n) for size, n in stages]
        except (TypeError, ValueError):
            raise ArgumentError(
                "ProgressiveResizing stages",
                "pairs (size, epochs)",
                repr(stages),
                "Give [(64, 10), (96, 5)].",
            ) from None
        self.stages = [(check_int(size, "image size"), check_int(n, "epochs of a size")) for size, n in pairs]
        if not self.stages:
            raise ArgumentError(
                "ProgressiveResizing", "at least one (size, epochs)", "none", "Give [(64, 10), (96, 5)]."
            )
        self.loaders = loaders

    def get_config(self) -> dict:
        return super().get_config() | {"stages": [list(stage) for stage in self.stages]}

    @property
    def epochs(self) -> int:
        """The number of epochs of all stages together."""
        return sum(epochs for _, epochs in self.stages)

    def size(self, epoch: int) -> int:
        """Height and width of an epoch's images."""
        for size, epochs in self.stages:
            if epoch < epochs:
                return size
            epoch -= epochs
        return self.stages[-1][0]

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.before = self.model.input_shape[:2], [loader.size for loader in self.loaders]

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        size = self.size(epoch), self.size(epoch)
        self._resize(size, [size] * len(self.loaders))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._resize(*self.before)

    def on_train_end(self, logs: dict | None = None) -> None:
        self._resize(*self.before)

    def _resize(self, size, sizes):
        resize(self.model, *size)
        for loader, size in zip(self.loaders, sizes, strict=True):
            loader.size = size


ProgressiveSize = ProgressiveResizing  # the name of the first version
