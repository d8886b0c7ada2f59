"""Recipes: how each network of networks.py is trained when no option says otherwise.

`RECIPES` is the table; change a default there and only there.  `resolve` fills in a recipe for a number of images and
applies the options that a user chose.  The command line (minicnn/cli/options.py) and benchmarks/ablations.py read it;
examples/catdog.py shows it in use.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from .. import data
from ..errors import ArgumentError
from ..model import Sequential
from ..optimizers import Adam, AdamW, Optimizer, schedules
from . import networks

# Shear of 0.2 radians: what 0.2 meant to Keras when the published cat-and-dog networks were trained.
LIGHT = data.Augmentation(horizontal_flip=True, zoom_range=0.2, shear_range=math.degrees(0.2))
COLOURS: dict[str, Any] = dict.fromkeys(
    ("brightness_range", "contrast_range", "saturation_range"), (0.7, 1.3)
)
STRONG = data.Augmentation(rotation_range=12, horizontal_flip=True, crop_scale=(0.3, 1.0), **COLOURS)
AUGMENTATIONS = {"none": None, "light": LIGHT, "strong": STRONG}
NETWORKS: dict[str, Callable[..., Sequential]] = {
    "two-block": networks.two_block,
    "four-block": networks.four_block,
    "catdog": networks.catdog,
}
SMALLEST = 32  # pixels of a stage of progressive resizing; what the network catdog needs


@dataclass(frozen=True)
class Recipe:
    """The settings of a training run; the defaults are Keras's.

    Parameters
    ----------
    network : str
        A name of `NETWORKS`.
    image_size : int
        Height and width in pixels, in validation and prediction.
    epochs : int
    epochs_for : int
        Above 0: the epochs are this number divided by the number of images, from 10 to 150.
    progressive : tuple of (int, int)
        Stages of progressive resizing, (image size, epochs); empty for none.
    batch_size : int
    large_batch_size : int
        Above 0: the batch size from 10,000 images on.
    learning_rate : float
        The highest that the schedule reaches.
    schedule : str
        A name of `schedules.BY_NAME`.
    warmup : float
        Epochs in which the learning rate rises from 0.
    weight_decay : float
        Above 0: AdamW with this decay.
    ema : float
        Above 0: validate and save the exponential moving average of the weights with this decay.
    augment : str
        A name of `AUGMENTATIONS`.
    mixup, label_smoothing, dropout : float
    save : "best" or "last"
        Which epoch's weights are saved.
    tta : bool
        Test-time augmentation: predict from each image and its mirror image.
    """

    network: str
    image_size: int = 64
    epochs: int = 25
    epochs_for: int = 0
    progressive: tuple[tuple[int, int], ...] = ()
    batch_size: int = 32
    large_batch_size: int = 0
    learning_rate: float = 1e-3
    schedule: str = "constant"
    warmup: float = 0.0
    weight_decay: float = 0.0
    ema: float = 0.0
    augment: str = "none"
    mixup: float = 0.0
    label_smoothing: float = 0.0
    dropout: float = 0.0
    save: str = "best"
    tta: bool = False

    def build_network(self, classes: int, kernels: str = "fast") -> Sequential:
        """The network, not yet built."""
        return NETWORKS[self.network](classes, self.dropout, kernels)

    def optimizer(self, steps_per_epoch: int) -> Optimizer:
        """Adam or AdamW, with the schedule stretched over the epochs."""
        warmup = round(self.warmup * steps_per_epoch)
        others = max(1, self.epochs * steps_per_epoch - warmup)
        rate = schedules.BY_NAME[self.schedule](self.learning_rate, others)
        rate = schedules.WarmUp(rate, warmup) if warmup else rate
        return AdamW(rate, self.weight_decay) if self.weight_decay else Adam(rate)

    @property
    def loader_settings(self) -> dict[str, Any]:
        """What a training `Loader` takes: batch size, augmentation and mixup."""
        return {
            "batch_size": self.batch_size,
            "augmentation": AUGMENTATIONS[self.augment],
            "mixup": self.mixup,
        }

    def __str__(self) -> str:
        stages = self.progressive or ((self.image_size, self.epochs),)
        epochs = ", ".join(f"{number} at {size} pixels" for size, number in stages)
        return f"Network: {self.network}. Epochs: {epochs}. Validation at {self.image_size} pixels."


RECIPES = {
    "two-block": Recipe("two-block"),
    "four-block": Recipe("four-block", image_size=150),
    "catdog": Recipe(
        "catdog",
        image_size=160,  # larger than any training size, because a random crop shows its part enlarged
        epochs_for=480_000,  # 24 epochs for 20,000 photos
        progressive=((72, 6), (96, 5), (128, 4)),  # stretched to the epochs and the image size
        large_batch_size=64,  # few images need more steps
        learning_rate=2e-3,
        schedule="cosine",
        warmup=1.0,
        weight_decay=0.05,
        ema=0.998,
        augment="strong",
        label_smoothing=0.1,
        save="last",
        tta=True,
    ),
}
PHOTOS, SYNTHETIC = "catdog", "two-block"  # the network for photos, and for synthetic images
SYNTHETIC_EPOCHS = 10  # synthetic images are easy


def resolve(network: str, images: int, chosen: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of a network for a number of training images.

    Parameters
    ----------
    network : str
        A name of `RECIPES`.
    images : int
        How many there are to train on.
    chosen : mapping, optional
        Settings that replace the recipe's, by their names in `Recipe`; those that are None are left out.

    Raises
    ------
    ArgumentError
        For settings that contradict each other.

    Examples
    --------
    >>> resolve("catdog", 20_000).progressive
    ((72, 10), (96, 8), (128, 6))
    >>> resolve("catdog", 20_000, {"progressive": (), "epochs": 3}).progressive
    ()
    """
    chosen = {name: value for name, value in (chosen or {}).items() if value is not None}
    recipe, stages = RECIPES[network], chosen.get("progressive")
    if stages and "epochs" in chosen:
        raise ArgumentError(
            "--progressive", "no --epochs, because its stages say how many there are",
            f"--epochs {chosen['epochs']}", "Leave one of the two out.",
        )  # fmt: skip
    if stages:
        chosen["epochs"] = sum(epochs for _, epochs in stages)
    if recipe.epochs_for:
        recipe = replace(recipe, epochs=min(max(round(recipe.epochs_for / images), 10), 150))
    if recipe.large_batch_size and images >= 10_000:
        recipe = replace(recipe, batch_size=recipe.large_batch_size)
    recipe = replace(recipe, **chosen)
    if stages is None:
        recipe = replace(recipe, progressive=stretch(RECIPES[network], recipe.image_size, recipe.epochs))
    _refuse_contradictions(recipe)
    return recipe


def stretch(recipe: Recipe, image_size: int, epochs: int) -> tuple[tuple[int, int], ...]:
    """The stages of a recipe for another image size, in another number of epochs.

    Sizes are multiples of 8, so that the pools divide them; a stage that would get no epoch is left out.

    Examples
    --------
    >>> recipe = Recipe("catdog", image_size=128, progressive=((64, 10), (96, 10), (112, 4)))
    >>> stretch(recipe, 192, 12), stretch(recipe, 40, 1)
    (((96, 5), (144, 5), (168, 2)), ((32, 1),))
    """
    larger, total = image_size / recipe.image_size, sum(share for _, share in recipe.progressive)
    passed, stages = 0, []
    for size, share in recipe.progressive:
        begin, passed = round(passed * epochs / total), passed + share
        if (end := round(passed * epochs / total)) > begin:
            stages.append((min(image_size, max(SMALLEST, 8 * round(size * larger / 8))), end - begin))
    return tuple(stages)


def settings() -> list[str]:
    """The names of a recipe's settings that a user may choose."""
    return [f.name for f in fields(Recipe) if f.name not in ("network", "epochs_for", "large_batch_size")]


def _refuse_contradictions(recipe):
    largest = max((size for size, _ in recipe.progressive), default=0)
    if largest > recipe.image_size:
        expected = f"sizes up to --image-size {recipe.image_size}"
        raise ArgumentError("--progressive", expected, str(largest), "Raise --image-size.")
    if not 0 <= recipe.warmup < max(recipe.epochs, 2):
        expected = f"fewer epochs than the run's {recipe.epochs}"
        raise ArgumentError("--warmup", expected, str(recipe.warmup), "Lower it.")
