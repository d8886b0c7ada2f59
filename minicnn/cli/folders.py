"""What the commands share: finding image files, reading them into loaders, loading the model.

Called by training.py and prediction.py.  Folders, labels and decoding are in minicnn/data/.
"""

from pathlib import Path
from typing import Any

import minicnn as mc

from .. import data
from ..data.directory import describe, is_within, refuse_classes_without_images
from ..errors import ArgumentError
from ..models import pretrained
from .options import SPLIT

SYNTHETIC = (1500, 400)  # images of each class, for training and for validation


def check_folders(options: Any) -> None:
    """Refuse results among the photos: the next run would find them as a class, or as photos.

    Raises
    ------
    ArgumentError
    """
    if options.data is None:
        return
    for option, path in (("--out", options.out), ("--cache-dir", options.cache_dir)):
        if path is not None and is_within(path, options.data):
            expected = f"a folder outside of {options.data}"
            raise ArgumentError(option, expected, str(path), f"Give {option} another folder.")


def find_data(options: Any) -> tuple[data.ImageFiles, data.ImageFiles]:
    """The training files and the validation files: found, drawn or set aside."""
    folder, validation = options.data, options.val_data
    if folder is None and validation is not None:
        raise ArgumentError("--val-data", "--data with it", "no --data", "Give photos to train on.")
    if folder is None:
        folder, validation = options.out / "synthetic" / "train", options.out / "synthetic" / "validation"
        options.say(
            f"No --data: drawing {2 * sum(SYNTHETIC)} synthetic cats and dogs in {folder.parent}", flush=True
        )
        data.draw_folder(folder, SYNTHETIC[0], seed=1)
        data.draw_folder(validation, SYNTHETIC[1], seed=2)
    elif validation is None:
        folder, validation = data.find_train_and_validation(folder)
    elif is_within(folder, validation):
        raise ArgumentError("--val-data", "other images than --data", str(validation), "Leave it out.")
    files = find(folder, options, options.limit, leave_out=validation)
    if validation is None:
        if options.val_limit is not None:
            found = "no --val-data"
            raise ArgumentError("--val-limit", "--val-data with it", found, "Lower --validation-split.")
        share = options.validation_split
        return data.split(files, SPLIT if share is None else share, options.seed)
    if options.validation_split is not None:
        found = f"validation images in {validation}"
        raise ArgumentError("--validation-split", "only --data with it", found, "Leave one of the two out.")
    return files, find(validation, options, options.val_limit, files.class_names)


def find(
    folder: Path,
    options: Any,
    limit: int | None = None,
    class_names: list[str] | None = None,
    leave_out: Path | None = None,
) -> data.ImageFiles:
    """A folder's files, with lines on what was found and on what was left out."""
    files = data.find_images(folder, class_names, leave_out)
    if not options.quiet:
        describe(files, folder)
    return files if limit is None else files.limit(limit)


def load(
    files: data.ImageFiles,
    preprocessing: data.Preprocessing,
    options: Any,
    cached: bool = True,
    **settings: Any,
) -> data.Loader:
    """Decode files into a loader, through the cache; files that cannot be read are named and left out."""
    cache = data.ImageCache(options.cache_dir) if cached and not options.no_cache else False
    loader = data.Loader.from_files(files, preprocessing, cache=cache, progress=not options.quiet, **settings)
    for error in loader.bad:
        options.say(f"skipped: {error}")
    if settings:  # of training
        refuse_classes_without_images(loader)
    return loader


def load_model(options: Any) -> mc.Sequential:
    """The model that --model names, or else the bundled one; --tta replaces what it remembers."""
    model = mc.load_model(options.model or pretrained.path_of())
    if options.tta is not None:
        model.tta = options.tta
    return model
