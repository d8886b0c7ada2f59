"""From a folder of images to loaders that `fit` trains on, in one call.

folders.py finds the files and their classes, reading.py decodes them, and loader.py makes the batches.  The arguments
are named as in Keras's image_dataset_from_directory.  Nothing is trained here.

Users call `from_directory`; the command line has its own version of it in minicnn/cli/folders.py.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArgumentError, DataError, check_bool
from ..runtime.printing import say
from ..training.batches import shorten
from .augmentation import Augmentation
from .cache import ImageCache
from .decoding import Preprocessing
from .folders import ImageFiles, check_folder, find_images, find_train_and_validation
from .loader import Loader
from .sizes import check_size
from .splits import split

DRAFT = 2  # a JPEG decoder may shrink a photo to twice `image_size`: fast, and hardly another result
SUBSETS = (None, "both", "training", "validation")
LABEL_MODES = ("int", "binary", "categorical")
LISTED = 8  # the most files left out that are printed, each with its reason


def from_directory(
    directory: str | Path,
    *,
    image_size: int | tuple[int, int] = (256, 256),
    batch_size: int = 32,
    shuffle: bool = True,
    seed: int | None = 0,
    validation_split: float | None = None,
    validation: str | Path | None = None,
    subset: str | None = None,
    class_names: list[str] | None = None,
    label_mode: str = "int",
    augmentation: Augmentation | None = None,
    mixup: float = 0.0,
    scale: bool = True,
    cache: ImageCache | bool = True,
    skip_bad: bool = True,
    verbose: bool = True,
) -> Any:
    """Make loaders of the images in a folder: one for training, and one for validation if the data is divided.

    Parameters
    ----------
    directory : str or Path
        A folder with one folder per class, or with files named ``cat.0.jpg``; or a folder that holds two of these,
        ``train`` and ``validation``.
    image_size : int or (height, width)
        The whole image is resized to this size.
    batch_size, shuffle, augmentation, mixup : as in `Loader`
        The last three apply to training only.
    seed : int or None
        Seed of the split, the order and the augmentation.  None draws a new seed, and so a new split, each time.  Then
        a model of an earlier run may have been trained on images that are now used for validation.
    validation_split : float in (0, 1), optional
        The share of each class that is set aside for validation.
    validation : str or Path, optional
        A folder of validation images.  It may lie in `directory`.
    subset : "training", "validation" or "both", optional
        Which of the two loaders to return (default: both).
    class_names : sequence of str, optional
        The classes, in the order of their numbers (default: sorted by name).
    label_mode : "int", "binary" or "categorical"
        "int" gives class numbers, which every classification loss takes; "categorical" gives one-hot rows; "binary"
        gives class numbers and requires two classes.
    scale : bool
        True gives float32 images in [0, 1].  False gives float32 images in 0 ... 255, for a model that begins with a
        Rescaling layer.
    cache : ImageCache or bool
        Where to keep decoded images: True in the user's cache, False only in memory.
    skip_bad : bool
        Leave out files that cannot be read; they are listed in the loader's `bad`.
    verbose : bool
        Print what was found and what was left out.

    Returns
    -------
    Loader, or (Loader, Loader)
        The loader for training, and the loader for validation if `validation_split` or `validation` is given or if
        `directory` holds both parts.

    Raises
    ------
    DataError
        If the folder does not hold images of at least two classes, or no image of a class can be read.
    ArgumentError
        For arguments that contradict each other, and for values outside their range.

    Examples
    --------
    >>> import tempfile
    >>> from minicnn import data
    >>> folder = data.draw_folder(tempfile.mkdtemp(), 10, size=16)
    >>> train, validation = data.from_directory(
    ...     folder, image_size=16, validation_split=0.2, cache=False, verbose=False
    ... )
    >>> train.class_names, train.samples, validation.samples
    (['cat', 'dog'], 16, 4)
    """
    verbose = check_bool(verbose, "verbose")
    _check_word(subset, "subset", SUBSETS)
    _check_word(label_mode, "label_mode", LABEL_MODES)
    preprocessing = Preprocessing(*check_size(image_size, "image_size"), draft=DRAFT)
    if seed is None:
        seed = int(np.random.SeedSequence().generate_state(1)[0])
    training_files, validation_files = _find(
        directory, validation, validation_split, seed, class_names, verbose
    )
    if validation_files is None and subset is not None:
        raise ArgumentError("subset", "a split", "none", "Give validation_split=0.2, or leave out subset.")
    names = training_files.class_names
    if label_mode == "binary" and len(names) != 2:
        raise ArgumentError('label_mode "binary"', "two classes", ", ".join(names), 'Give label_mode="int".')
    common: dict[str, Any] = {
        "batch_size": batch_size,
        "seed": seed,
        "scale": scale,
        "classes": len(names) if label_mode == "categorical" else None,
    }
    skip_bad = check_bool(skip_bad, "skip_bad")
    reading: dict[str, Any] = {"cache": cache, "skip_bad": skip_bad, "progress": verbose}
    loaders = []
    if subset != "validation":
        changes: dict[str, Any] = {"shuffle": shuffle, "augmentation": augmentation, "mixup": mixup}
        loader = Loader.from_files(training_files, preprocessing, **reading, **common, **changes)
        refuse_classes_without_images(loader)
        loaders.append(loader)
    if validation_files is not None and subset != "training":
        loaders.append(Loader.from_files(validation_files, preprocessing, **reading, **common, shuffle=False))
    if verbose:
        _list_bad([error for loader in loaders for error in loader.bad])
    return loaders[0] if len(loaders) == 1 else tuple(loaders)


def _find(
    directory, validation, validation_split, seed, class_names, verbose
) -> tuple[ImageFiles, ImageFiles | None]:
    """The files to train on, and those to validate on."""
    directory = check_folder(directory)
    if validation is not None and validation_split is not None:
        raise ArgumentError(
            "validation_split",
            "nothing next to validation",
            repr(validation_split),
            "Leave out one of the two.",
        )
    divided, found = find_train_and_validation(directory)
    if validation is None:
        validation = found
        if found is not None and validation_split is not None:
            raise ArgumentError(
                "validation_split",
                f"a folder that is not divided: there is {found}",
                repr(validation_split),
                f"Leave it out, or give {divided}.",
            )
    else:
        validation = check_folder(validation)
        if is_within(divided, validation):
            raise ArgumentError(
                "validation",
                "other images than those to train on",
                str(validation),
                "Give validation_split=0.2.",
            )
    files = find_images(divided, class_names, leave_out=validation)
    if verbose:
        describe(files, divided)
    if validation is not None:
        validation_files = find_images(validation, files.class_names)
        if verbose:
            describe(validation_files, validation)
        return files, validation_files
    if validation_split is None:
        return files, None
    training, validation = split(files, validation_split, seed)
    if verbose:
        say(f"Training on {len(training)} files, validating on {len(validation)}")
    return training, validation


def is_within(folder: Path, other: Path) -> bool:
    """Whether a folder is another one, or lies in it."""
    return folder.resolve().is_relative_to(other.resolve())


def describe(files: ImageFiles, folder: Path) -> None:
    """Print what was found in a folder, and what was left out."""
    say(f"{files} ({folder})")
    for line in files.notes:
        say(line)


def _list_bad(bad):
    for error in bad[:LISTED]:
        say(f"Left out: {error}")
    if len(bad) > LISTED:
        say(f"Left out: {len(bad) - LISTED} more; the loader's `bad` lists them all")


def refuse_classes_without_images(loader: Any) -> None:
    """Raise DataError if no image of a class could be read."""
    counts = np.bincount(loader.y, minlength=len(loader.class_names))
    empty = [name for name, count in zip(loader.class_names, counts, strict=True) if not count]
    if empty:
        raise DataError(shorten(empty), "images that can be read", "none", "Add images of this class.")


def _check_word(value, where, words):
    if not any(value is word or (isinstance(value, str) and value == word) for word in words):
        expected = " or ".join(repr(word) for word in words)
        raise ArgumentError(where, expected, repr(value))
