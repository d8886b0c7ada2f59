"""What can be chosen on the command line of catdog.py, and what is chosen where nobody did.

`RECIPES` holds what each network is trained with unless an option says otherwise: look there, and only there, to change
it.  `settle` fills it in, and refuses options that contradict each other.  The commands themselves are in catdog.py.
"""

import argparse
import math
from pathlib import Path
from typing import Any

import minicnn as mc
from minicnn import data, networks, schedules

NETWORKS = {"two-block": networks.two_block, "four-block": networks.four_block, "catdog": networks.catdog}
KERNELS = ("fast", "im2col", "reference")
# Shear of 0.2 radians: what 0.2 meant to Keras when the cat-and-dog networks of others were published.
LIGHT = data.Augmentation(horizontal_flip=True, zoom_range=0.2, shear_range=math.degrees(0.2))
COLOURS = dict.fromkeys(("brightness_range", "contrast_range", "saturation_range"), (0.7, 1.3))
STRONG = data.Augmentation(rotation_range=12, horizontal_flip=True, crop_scale=(0.3, 1.0), **COLOURS)
AUGMENTATIONS = {"none": None, "light": LIGHT, "strong": STRONG}

# What the published networks were trained with, but for what their authors say beside them (README.md).
PLAIN = {
    "image_size": 64,
    "epochs": lambda pictures: 25,
    "progressive": (),
    "batch_size": 32,
    "learning_rate": 1e-3,
    "schedule": "constant",
    "warm_up": 0.0,
    "weight_decay": 0.0,
    "average": 0.0,
    "augment": "none",
    "mixup": 0.0,
    "label_smoothing": 0.0,
    "dropout": 0.0,
    "keep": "best",
    "flip": False,
}
# What this project's own network learns photographs best with.
OWN = PLAIN | {
    "image_size": 160,  # larger than any it learns from: what a crop shows is larger than life
    "epochs": lambda pictures: min(max(round(480_000 / pictures), 10), 150),  # 24 for 20,000 photographs
    "progressive": ((72, 6), (96, 5), (128, 4)),  # stretched to --epochs and --image-size
    "batch_size": lambda pictures: 32 if pictures < 10_000 else 64,  # a few need more steps
    "learning_rate": 2e-3,
    "schedule": "cosine",
    "warm_up": 1.0,
    "weight_decay": 0.05,
    "average": 0.998,
    "augment": "strong",
    "label_smoothing": 0.1,
    "keep": "last",
    "flip": True,
}
RECIPES = {"two-block": PLAIN, "four-block": PLAIN | {"image_size": 150}, "catdog": OWN}
FOR_DRAWN, FOR_PHOTOGRAPHS = "two-block", "catdog"
DRAWN = {"epochs": lambda pictures: 10}  # drawn animals are easy
SMALLEST = 32  # pixels of a stage; what the network catdog needs
SPLIT, PATIENCE = 0.2, 10


class Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Says an option's default where it has one."""

    def _get_help_string(self, action):
        return action.help if action.default in (None, False) else super()._get_help_string(action)


# fmt: off
def parser(description: str, shipped: Path) -> argparse.ArgumentParser:
    """Every option, a line each."""
    description, _, commands = description.partition("\n\n")
    top = argparse.ArgumentParser(
        description=description, epilog=commands, formatter_class=argparse.RawDescriptionHelpFormatter)
    subparsers = top.add_subparsers(dest="command", metavar="train (default) | download | evaluate | predict | cache")

    def command(name, what, **settings):
        add = subparsers.add_parser(name, help=what, formatter_class=Help, **settings).add_argument
        add("--threads", type=count, metavar="N", help="of the fast kernels; else MINICNN_THREADS, or all cores")
        return add

    def add_cache():
        add("--no-cache", action="store_true", help="decode photographs anew each time and keep them in memory alone")
        add("--cache-dir", type=Path, metavar="DIR", help="where; else MINICNN_CACHE_DIR, or the user's cache")

    def add_flip():
        mean = "judge by the mean over each picture and its mirror image; else as the network's recipe does"
        add("--flip", action=argparse.BooleanOptionalAction, help=mean)

    add = command("train", "train a network (the default)", epilog=recipe_table())
    add("--data", type=Path, metavar="DIR", help="photographs: a folder a class, or cat.0.jpg, dog.0.jpg; else drawn")
    add("--val-data", type=Path, metavar="DIR", help="photographs to judge by; else a part of --data is set aside")
    add("--validation-split", type=float, metavar="SHARE", help=f"the part of --data to set aside; else {SPLIT}")
    add("--network", choices=NETWORKS,
        help=f"which network; else {FOR_PHOTOGRAPHS}, or {FOR_DRAWN} for drawn animals")
    add("--image-size", type=int, metavar="PIXELS", help="height and width that it judges and predicts at")
    add("--epochs", type=count, help="at most this many")
    add("--progressive", type=stages, metavar="SIZE:EPOCHS,...",
        help="sizes to train at, such as 72:10,96:8,128:6; off trains at --image-size")
    add("--batch-size", type=count, help="pictures a step")
    add("--learning-rate", type=float, help="of Adam, at its highest")
    add("--schedule", choices=schedules.BY_NAME, help="how the learning rate falls")
    add("--warm-up", type=float, metavar="EPOCHS", help="in which the learning rate rises")
    add("--weight-decay", type=float, metavar="D", help="AdamW in place of Adam")
    add("--average", type=float, metavar="DECAY", help="judge and save averaged weights; 0.999 is usual")
    add("--augment", nargs="?", choices=AUGMENTATIONS, const="light",
        help="at random: light flips, zooms by 0.2, shears by 0.2 radians; strong flips, crops, turns, changes light")
    add("--mixup", type=float, metavar="ALPHA", help="blend pictures in pairs; 0.2 is usual")
    add("--label-smoothing", type=float, metavar="SHARE", help="ask for a little less than certainty")
    add("--dropout", type=float, metavar="SHARE", help="before the last layer")
    add("--keep", choices=("best", "last"), help="the epoch to save; last never stops early")
    add("--patience", type=count, metavar="EPOCHS",
        help=f"with --keep best, stop after so many without a better accuracy; else {PATIENCE}")
    add_flip()
    add("--calibrate", action=argparse.BooleanOptionalAction, default=True,
        help="make confidences match how often answers on the pictures to judge by are right")
    add("--find-rate", action="store_true", help="draw loss over learning rate, suggest one, and end")
    add("--seed", type=int, default=0, help="of weights, order, split and augmentation")
    add("--kernels", choices=KERNELS, default="fast", help="which arithmetic; reference is very slow")
    add("--resume", action="store_true", help="go on with the run in --out that was broken off, with the same options")
    add("--checkpoint-every", type=float, default=60, metavar="SECONDS", help="how often to save the run for --resume")
    add("--limit", type=count, metavar="N", help="use the first N pictures of each class")
    add("--val-limit", type=count, metavar="N", help="judge by the first N of each class of --val-data")
    add("--out", type=Path, default=Path("runs/catdog"), metavar="DIR", help="where the results go")
    add_cache()
    add = command("evaluate", "judge a trained model")
    add("--data", type=Path, metavar="DIR", required=True, help="photographs")
    add("--model", type=Path, metavar="FILE", help=f"a model.safetensors; else {shipped.name}, which ships")
    add("--limit", type=count, metavar="N", help="use the first N pictures of each class")
    add_flip()
    add_cache()
    add = command("predict", "ask a trained model")
    add("photos", nargs="+", type=Path, metavar="PHOTO", help="picture files")
    add("--model", type=Path, metavar="FILE", help=f"a model.safetensors; else {shipped.name}, which ships")
    add_flip()
    add("--json", action="store_true", help="print JSON")
    add = command("download", "fetch photographs to train on")
    add("archive", nargs="?", choices=data.ARCHIVES, default="cats_and_dogs_filtered",
        help="3,000 photographs in 69 MB, or Microsoft's 25,000 in 825 MB")
    add("--out", type=Path, default=Path("photographs"), metavar="DIR", help="where they go")
    add("--address", metavar="URL", help="of the same archive elsewhere; else where its publisher keeps it")
    add("--sha256", metavar="HEX", help="the checksum to insist on; else the published one, where there is one")
    add = command("cache", "show what is kept of decoded photographs")
    add("--clear", action="store_true", help="remove all of it")
    add("--cache-dir", type=Path, metavar="DIR", help="which; else MINICNN_CACHE_DIR, or the user's cache")
    return top
# fmt: on


def count(text: str) -> int:
    """A number of things: an int of at least 1."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"expected an int of at least 1, received {text}")
    return number


def stages(text: str) -> tuple[tuple[int, int], ...]:
    """Sizes and epochs, as 72:10,96:8; none where it is off."""
    if text == "off":
        return ()
    try:
        pairs = [tuple(map(count, pair.split(":"))) for pair in text.split(",")]
        return tuple((size, epochs) for size, epochs in pairs)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected SIZE:EPOCHS,..., or off, received {text}") from None


def recipe_table() -> str:
    """What each network is trained with, for --help."""
    lines = [
        "What is chosen unless an option says otherwise:",
        "",
        f"{'':18}" + "".join(f"{n:>22}" for n in RECIPES),
    ]
    for name in PLAIN:
        cells = (f"{_words(recipe[name]):>22}" for recipe in RECIPES.values())
        lines.append(f"--{name.replace('_', '-'):16}{''.join(cells)}")
    lines += [
        "",
        "The fewer photographs, the more epochs and steps, where there is a choice; the sizes share epochs.",
    ]
    return "\n".join([*lines, f"Drawn animals get {DRAWN['epochs'](1)}."])


def _words(value):
    if callable(value):  # of the number of pictures
        least, most = sorted((value(1), value(10**9)))
        return str(most) if most == least else f"{least} to {most}"
    if isinstance(value, tuple):
        return ",".join(f"{size}:{epochs}" for size, epochs in value) or "off"
    return {False: "no", True: "yes"}[value] if isinstance(value, bool) else f"{value}"


# --------------------------------------------------------------------------------------- settle
def settle(options: Any, pictures: int) -> None:
    """Give every option of a training run its value: what was asked for, or else the recipe's.

    Parameters
    ----------
    options : Namespace
        Changed in place.
    pictures : int
        How many there are to learn from.

    Raises
    ------
    ArgumentError
        For options that contradict each other.
    """
    options.network = options.network or (FOR_PHOTOGRAPHS if options.data else FOR_DRAWN)
    usual = RECIPES[options.network] | ({} if options.data else DRAWN)
    for name, value in usual.items():
        if getattr(options, name) is None and name not in ("epochs", "progressive"):
            setattr(options, name, value(pictures) if callable(value) else value)
    if options.progressive and options.epochs is not None:
        found = f"{_words(options.progressive)} and --epochs {options.epochs}"
        raise mc.ArgumentError("--progressive", "no --epochs beside it", found, "Drop one of the two.")
    if not options.progressive:
        options.epochs = options.epochs or usual["epochs"](pictures)
    if options.progressive is None:
        options.progressive = stretch(usual, options.image_size, options.epochs)
    if options.progressive:
        options.epochs = mc.ProgressiveSize(options.progressive).epochs
    _refuse_contradictions(options)


def describe(options: Any) -> str:
    """The run that is to come, in a line.

    Examples
    --------
    >>> from argparse import Namespace
    >>> describe(Namespace(network="catdog", progressive=[(64, 5), (96, 7)], image_size=128, epochs=12))
    'Network: catdog. Epochs: 5 at 64 pixels, 7 at 96 pixels. Judged at 128 pixels.'
    """
    sizes = options.progressive or [(options.image_size, options.epochs)]
    epochs = ", ".join(f"{number} at {size} pixels" for size, number in sizes)
    return f"Network: {options.network}. Epochs: {epochs}. Judged at {options.image_size} pixels."


def stretch(recipe: dict, image_size: int, epochs: int) -> list[tuple[int, int]]:
    """The stages of a recipe for pictures of another size, in another number of epochs.

    Sizes are multiples of 8, for the sake of the pools; a stage for which there is no epoch is left out.

    Examples
    --------
    >>> recipe = {"image_size": 128, "progressive": ((64, 10), (96, 10), (112, 4))}
    >>> stretch(recipe, 192, 12), stretch(recipe, 40, 1)
    ([(96, 5), (144, 5), (168, 2)], [(32, 1)])
    """
    larger, total = image_size / recipe["image_size"], sum(share for _, share in recipe["progressive"])
    passed, made = 0, []
    for size, share in recipe["progressive"]:
        begin, passed = round(passed * epochs / total), passed + share
        if (end := round(passed * epochs / total)) > begin:
            made.append((min(image_size, max(SMALLEST, 8 * round(size * larger / 8))), end - begin))
    return made


def _refuse_contradictions(options):
    def refuse(where, wanted, found, repair):
        raise mc.ArgumentError(where, wanted, found, repair)

    largest = max((size for size, _ in options.progressive), default=0)
    if largest > options.image_size:
        refuse(
            "--progressive",
            f"sizes up to --image-size {options.image_size}",
            str(largest),
            "Raise --image-size.",
        )
    if not 0 <= options.warm_up < max(options.epochs, 2):
        refuse(
            "--warm-up", f"fewer epochs than the run's {options.epochs}", str(options.warm_up), "Lower it."
        )
    if options.patience is not None and options.keep == "last":
        refuse("--patience", "--keep best beside it", "--keep last", "Give it, or leave --patience out.")
    if options.no_cache and options.cache_dir is not None:
        refuse("--cache-dir", "no --no-cache beside it", "both", "Drop one of the two.")
    if options.find_rate and options.resume:
        refuse("--find-rate", "no --resume beside it", "both", "Drop one of the two.")
