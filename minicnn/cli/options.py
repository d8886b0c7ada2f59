"""The options of the command line; their defaults in training come from models/recipes.py.

Options have the field's names.  A former name still works as an alias: `--flip` is `--tta`.  `choose` turns the options
of a training run into a `Recipe`.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import minicnn as mc

from .. import data
from ..errors import ArgumentError
from ..models import recipes
from ..optimizers import schedules
from ..saving.files import to_path

KERNELS = ("fast", "im2col", "reference")
SPLIT, PATIENCE = 0.2, 10


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Says an option's default where it has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False) else super()._get_help_string(action)


# fmt: off
def parser(program: str, about: str = "") -> argparse.ArgumentParser:
    """Every command with its options, one line each; `about` is what --help begins and ends with."""
    description, _, commands = about.partition("\n\n")
    top = argparse.ArgumentParser(
        prog=program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=commands.partition("\n\n")[0].replace("minicnn ", f"{program} ") or None)
    top.add_argument("--version", action="version", version=f"minicnn {mc.__version__}")
    subparsers = top.add_subparsers(dest="command", metavar="train | predict | evaluate | download | cache")

    def command(name: str, what: str, **settings: Any) -> Callable:
        add = subparsers.add_parser(name, help=what, description=what, formatter_class=_Help, **settings).add_argument
        add("--threads", type=count, metavar="N", help="number of CPU threads (default: MINICNN_THREADS, or all cores)")
        add("--quiet", action="store_true", help="print results and errors only")
        return add

    def add_cache() -> None:
        add("--no-cache", action="store_true", help="decode photos each time, and keep them in memory only")
        add("--cache-dir", type=path, metavar="DIR",
            help="folder for decoded photos (default: MINICNN_CACHE_DIR, or the user's cache)")

    def add_tta() -> None:
        add("--tta", "--flip", action=argparse.BooleanOptionalAction,
            help="test-time augmentation: average predictions over the image and its mirror image "
                 "(default: as the recipe or the model has it)")

    def add_model() -> None:
        add("--model", type=path, metavar="FILE", help="a model file, such as runs/catdog/model.safetensors "
            "(default: the bundled model)")

    add = command("train", "Train a network", epilog=recipe_table())
    add("--data", type=path, metavar="DIR",
        help="photos: one folder per class, or files named cat.0.jpg, dog.0.jpg (default: synthetic images)")
    add("--val-data", type=path, metavar="DIR", help="photos for validation (default: a part of --data)")
    add("--validation-split", type=float, metavar="SHARE",
        help=f"share of --data that is set aside for validation (default: {SPLIT})")
    add("--network", choices=recipes.NETWORKS,
        help=f"default: {recipes.PHOTOS}, or {recipes.SYNTHETIC} for synthetic images")
    add("--image-size", type=count, metavar="PIXELS", help="height and width in validation and prediction")
    add("--epochs", type=count, help="number of epochs; --save best may stop earlier")
    add("--progressive", type=stages, metavar="SIZE:EPOCHS,...",
        help="progressive resizing, such as 72:10,96:8,128:6; off trains at --image-size")
    add("--batch-size", type=count, help="images per step")
    add("--learning-rate", type=float, help="highest learning rate of Adam or AdamW")
    add("--schedule", choices=schedules.BY_NAME, help="how the learning rate falls")
    add("--warmup", "--warm-up", type=float, metavar="EPOCHS", help="epochs in which the learning rate rises from 0")
    add("--weight-decay", type=float, metavar="D", help="weight decay of AdamW; 0 is Adam")
    add("--ema", "--average", type=float, metavar="DECAY",
        help="validate and save the exponential moving average of the weights; 0.999 is usual, 0 is off")
    add("--augment", nargs="?", choices=recipes.AUGMENTATIONS, const="light",
        help="random changes: light flips, zooms and shears; strong flips, crops, rotates and changes colours")
    add("--mixup", type=float, metavar="ALPHA", help="blend pairs of images; 0.2 is usual, 0 is off")
    add("--label-smoothing", type=float, metavar="S", help="label smoothing factor")
    add("--dropout", type=float, metavar="RATE", help="dropout rate before the last layer")
    add("--save", "--keep", choices=("best", "last"),
        help="which epoch's weights to save: that of the best validation accuracy, or the last, without early stopping")
    add("--patience", type=count, metavar="EPOCHS",
        help=f"with --save best, stop after so many epochs without improvement (default: {PATIENCE})")
    add_tta()
    add("--calibrate", action=argparse.BooleanOptionalAction, default=True,
        help="fit one temperature on the validation images, so that confidences match the accuracy")
    add("--lr-find", "--find-rate", action="store_true",
        help="learning-rate range test: plot the loss over the learning rate, suggest one, and end")
    add("--seed", type=int, default=0, help="of weights, order, split and augmentation")
    add("--kernels", choices=KERNELS, default="fast", help="kernel set; reference is very slow")
    add("--resume", action="store_true", help="continue the interrupted run in --out, with the same options")
    add("--checkpoint-every", type=float, default=60, metavar="SECONDS", help="how often to save the run for --resume")
    add("--limit", type=count, metavar="N", help="use the first N images of each class")
    add("--val-limit", type=count, metavar="N", help="use the first N images of each class of --val-data")
    add("--out", "--output-dir", type=path, default=Path("runs/catdog"), metavar="DIR", help="folder for the results")
    add_cache()

    add = command("predict", "Predict the class of photos")
    add("photos", nargs="+", metavar="PHOTO", help="image files, or folders of them; - reads standard input")
    add_model()
    add_tta()
    add("--json", action="store_true", help="print JSON")

    add = command("evaluate", "Measure how well a model classifies a folder of photos")
    add("--data", type=path, metavar="DIR", required=True, help="photos: one folder per class")
    add_model()
    add("--limit", type=count, metavar="N", help="use the first N images of each class")
    add_tta()
    add("--json", action="store_true", help="print JSON")
    add_cache()

    add = command("download", "Fetch photos to train on")
    add("archive", nargs="?", choices=data.ARCHIVES, default="cats_and_dogs_filtered",
        help="3,000 photos in 69 MB, or Microsoft's 25,000 in 825 MB")
    add("--out", "--output-dir", type=path, default=Path("photos"), metavar="DIR", help="folder for the photos")
    add("--address", metavar="URL", help="download from this mirror (default: the publisher's address)")
    add("--sha256", metavar="HEX", help="checksum to insist on (default: the published one, if there is one)")

    add = command("cache", "Show the size of the cache of decoded photos")
    add("--clear", action="store_true", help="remove all of it")
    add("--cache-dir", type=path, metavar="DIR", help="its folder (default: MINICNN_CACHE_DIR, or the user's cache)")
    return top
# fmt: on


def choose(options: Any, images: int) -> recipes.Recipe:
    """The recipe of a training run on so many images, with the options that were given.

    Raises
    ------
    ArgumentError
        For options that contradict each other.
    """
    chosen = {name: getattr(options, name) for name in recipes.settings()}
    if options.data is None and chosen["epochs"] is None and not chosen["progressive"]:
        chosen["epochs"] = recipes.SYNTHETIC_EPOCHS
    network = options.network or (recipes.SYNTHETIC if options.data is None else recipes.PHOTOS)
    recipe = recipes.resolve(network, images, chosen)
    if options.patience is not None and recipe.save == "last":
        found = "--save last" if options.save else f"--save last, the default of {network}"
        raise ArgumentError("--patience", "--save best with it", found, "Add --save best.")
    _refuse_together(options, "no_cache", "cache_dir")
    _refuse_together(options, "lr_find", "resume")
    return recipe


def _refuse_together(options, *names):
    if all(getattr(options, name) for name in names):
        one, other = ("--" + name.replace("_", "-") for name in names)
        raise ArgumentError(one, f"no {other} with it", "both", "Leave one of the two out.")


def path(text: str) -> Path:
    """A path, with `~` as the home folder."""
    try:
        return to_path(text)
    except ArgumentError:
        raise argparse.ArgumentTypeError(f"expected a path, received {text!r}") from None


def count(text: str) -> int:
    """A whole number of at least 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, received {text!r}")
    return number


def stages(text: str) -> tuple[tuple[int, int], ...]:
    """Stages of progressive resizing from text such as 72:10,96:8; none for "off".

    Examples
    --------
    >>> stages("72:10,96:8"), stages("off")
    (((72, 10), (96, 8)), ())
    """
    if text == "off":
        return ()
    try:
        return tuple(
            (int(size), count(epochs)) for size, epochs in (pair.split(":") for pair in text.split(","))
        )
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(f"expected SIZE:EPOCHS,..., or off, received {text!r}") from None


def recipe_table() -> str:
    """The recipe of each network, for --help."""
    table = recipes.RECIPES
    lines = ["Defaults, by network:", "", " " * 18 + "".join(f"{name:>22}" for name in table)]
    for name in recipes.settings():
        cells = "".join(f"{_cell(recipe, name):>22}" for recipe in table.values())
        lines.append(f"--{name.replace('_', '-'):16}{cells}")
    lines += ["", "With fewer photos there are more epochs and smaller batches; the sizes share the epochs."]
    return "\n".join([*lines, f"Synthetic images: {recipes.SYNTHETIC_EPOCHS} epochs."])


def _cell(recipe, name):
    value = getattr(recipe, name)
    if name == "progressive":
        return ",".join(f"{size}:{epochs}" for size, epochs in value) or "off"
    if name in ("epochs", "batch_size"):
        few, many = (getattr(recipes.resolve(recipe.network, images), name) for images in (1, 10**9))
        return str(few) if few == many else f"{min(few, many)} to {max(few, many)}"
    return {False: "no", True: "yes"}[value] if isinstance(value, bool) else str(value)
