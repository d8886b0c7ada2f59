"""Find the images in a folder and their classes.

Two layouts are known: one folder per class (`train/cats/*.jpg`), or the class at the start of each file name
(`cat.0.jpg`).  Classes and files are sorted by name, so class 0 is the same on every machine.  Each kind of file or
folder that is left out gets a line in `notes`.  No image is opened here; decoding.py does that.

Called by directory.py and minicnn/cli/folders.py.  Read next: walking.py, then splits.py.
"""

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import DataError, check_int
from ..saving.files import to_path
from ..training.batches import shorten
from .labels import check_class_names
from .walking import notes, subfolders, walk

TRAIN_NAMES = ("train", "training", "training_set")
VALIDATION_NAMES = ("validation", "val", "valid", "test_set", "test")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".xz", ".bz2")
WORD = r"[^\W\d_]+"
CLASS_AND_NUMBER = re.compile(
    rf"({WORD}(?:[_-]{WORD})*)[ ._-]*\(?\d+\)?"
)  # cat.0, american_bulldog_12, "cat (3)"
CAMERAS = {"cimg", "dsc", "dscf", "dscn", "imag", "img", "mvi", "pict", "pxl", "sam"}  # IMG_1 is no class


@dataclass(frozen=True)
class ImageFiles:
    """Image files, their class numbers, and the names of the classes.

    Attributes
    ----------
    paths : list of Path
    labels : array of int (N,)
    class_names : list of str
        Class k is ``class_names[k]``.
    unlabelled : list of Path
        Images in the folder that belong to no class; they are not in `paths`.
    notes : list of str
        One line for each kind of file or folder that was left out, and for names that look like a mistake.
    """

    paths: list[Path]
    labels: np.ndarray
    class_names: list[str]
    unlabelled: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.paths)

    def __str__(self) -> str:
        return f"Found {len(self)} files belonging to {len(self.class_names)} classes: {', '.join(self.class_names)}"

    def take(self, indices: np.ndarray) -> "ImageFiles":
        """The files at these indices, in this order."""
        return ImageFiles([self.paths[i] for i in indices], self.labels[indices], self.class_names)

    def limit(self, per_class: int) -> "ImageFiles":
        """The first `per_class` files of each class, in the same order."""
        per_class = check_int(per_class, "limit")
        seen = [np.flatnonzero(self.labels == k)[:per_class] for k in range(len(self.class_names))]
        return self.take(np.sort(np.concatenate(seen)))


def find_images(
    folder: str | Path, class_names: Sequence[str] | None = None, leave_out: str | Path | None = None
) -> ImageFiles:
    """Find all images in a folder and its subfolders, with their classes.

    Parameters
    ----------
    folder : str or Path
        A folder with one folder per class, or with files named ``cat.0.jpg``.  If it only holds one such folder, that
        one is used.
    class_names : sequence of str, optional
        The classes of a trained model.  The folder's classes are matched to them by name: identical names first, then
        names that differ only in capitals or a plural s ("Dogs" is "dog").
    leave_out : str or Path, optional
        A folder inside `folder` whose images are left out.

    Returns
    -------
    ImageFiles

    Raises
    ------
    DataError
        If the folder is missing, holds no images or only one class, or has a class that is not among `class_names`.

    Notes
    -----
    Hidden files are left out, and so are folders whose names begin with ``.``, ``__``, ``@``, ``#`` or ``$`` or that
    tools make (``Thumbnails``, ``lost+found``).  Links are followed.
    """
    folder, class_names = (
        check_folder(folder),
        None if class_names is None else check_class_names(class_names),
    )
    leave_out = None if leave_out is None else check_folder(leave_out)
    found, lines = _only_folder(folder, class_names, leave_out), []
    if found != folder:
        lines.append(f"Looking in {found}, the only folder of images in {folder}")
        folder = found
    by_class, unlabelled, more = _by_class(folder, leave_out)
    lines += more
    if not by_class:
        raise DataError(
            str(folder),
            "images in one folder per class, or named cat.0.jpg",
            "none" if not unlabelled else shorten(path.name for path in unlabelled),
            "Check the path and the files' names." + "".join(f" {line}." for line in lines),
        )
    names = sorted(by_class)
    if len(names) == 1 and class_names is None:
        raise DataError(
            str(folder), "at least two classes", f"one, {names[0]}",
            "Put each class in a folder of its own, or name files cat.0.jpg, dog.0.jpg.",
        )  # fmt: skip
    lines += _nearly_the_same(names)
    numbers = {name: number for number, name in enumerate(names)}
    if class_names is not None:
        numbers, names = _match(folder, names, class_names), list(class_names)
    pairs = [
        (path, numbers[name]) for name in sorted(by_class) for path in sorted(by_class[name], key=_walk_order)
    ]
    return ImageFiles(
        [path for path, _ in pairs], np.array([label for _, label in pairs]), names, unlabelled, lines
    )


def find_train_and_validation(folder: str | Path) -> tuple[Path, Path | None]:
    """The folder of the training images, and that of the validation images if `folder` holds both.

    Parameters
    ----------
    folder : str or Path
        For example ``cats_and_dogs_filtered``, which holds ``train`` and ``validation``.

    Returns
    -------
    (train, validation)
        `validation` is None if the folder is not divided, or if its second part has no classes (such as ``test`` of a
        Kaggle competition).
    """
    folder = _only_folder(check_folder(folder))
    parts = {path: _part(path.name) for path in subfolders(folder)}
    train = [path for name in TRAIN_NAMES for path in parts if parts[path] == name and _holds_classes(path)]
    others = [path for name in VALIDATION_NAMES for path in parts if parts[path] == name]
    validation = [path for path in others if _holds_classes(path)]
    if train and validation:
        return train[0], validation[0]
    if train and None not in parts.values():
        return train[0], None
    return folder, None


def check_folder(folder: str | Path) -> Path:
    """`folder` as a Path, if there is such a folder; ``~`` is expanded.

    Raises
    ------
    ArgumentError, DataError
        If it is not a path, or if there is no such folder.
    """
    if isinstance(folder, str) and folder.startswith(("http://", "https://")):
        raise DataError(folder, "a folder of images", "an address on the web", "Download it first.")
    folder = to_path(folder, "folder")
    if not folder.is_dir():
        what = "a file" if folder.exists() else "nothing there"
        repair = (
            "Unpack it first." if folder.suffix.lower() in ARCHIVES and folder.exists() else "Check the path."
        )
        raise DataError(str(folder), "a folder of images", what, repair)
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise DataError(
            str(folder), "a folder of images", f"one that cannot be opened ({error.strerror})"
        ) from None
    return folder


def _only_folder(folder, class_names=(), leave_out=None) -> Path:
    """`folder`; or, if all that it holds is one folder with classes, that folder, and so on inside it."""
    while True:
        inner = subfolders(folder, leave_out)
        if len(inner) != 1 or not _holds_classes(inner[0]) or walk(folder, deep=False).images:
            return folder
        if class_names and _stem(inner[0].name) in map(_stem, class_names):
            return folder
        if _part(inner[0].name) not in (None, _part(folder.name)):
            return folder  # train/ alone is left to find_train_and_validation; training_set/training_set is entered
        folder = inner[0]


def _holds_classes(folder):
    """Whether a folder holds folders, or files of two classes; then its own name is not a class."""
    try:
        return bool(subfolders(folder)) or len(_by_name(walk(folder, deep=False).images)[0]) > 1
    except OSError:
        return False


def _part(name):
    """ "train" for Train, "test" for test1; None for any other name."""
    name = name.casefold().rstrip("0123456789")
    return name if name in TRAIN_NAMES + VALIDATION_NAMES else None


def _by_class(folder, leave_out):
    """(images by class, images of no class, lines about what was left out)."""
    classes = _class_folders(folder, leave_out)
    listings = {_composed(path.name): walk(path, leave_out=leave_out) for path in classes}
    here = walk(folder, deep=False)
    by_class = {name: listing.images for name, listing in listings.items() if listing.images}
    lines = notes([here, *listings.values()])
    empty = [path for path in classes if _composed(path.name) not in by_class]
    if here.images and len(by_class) < 2:
        by_class, unlabelled = _by_name(here.images)
        if unlabelled:
            lines.append(f"Left out, no class in their names: {_counted(unlabelled)}")
        return by_class, unlabelled, lines
    if here.images:
        lines.append(f"Left out, next to the folders of the classes: {_counted(here.images)}")
    if by_class and empty:
        _refuse_empty(empty, listings, len(by_class))
        lines.append(f"Left out, folders without images: {shorten(path.name for path in empty)}")
    return by_class, sorted(here.images), lines


def _class_folders(folder, leave_out):
    folders = subfolders(folder, leave_out)
    divided = [path for path in folders if _part(path.name) is not None and _holds_classes(path)]
    if divided:
        train = [path for path in divided if _part(path.name) in TRAIN_NAMES]
        raise DataError(
            str(folder),
            "one folder per class, or files named cat.0.jpg",
            f"folders {shorten(path.name for path in divided)}",
            f"Give one of them, for example {(train or divided)[0]}.",
        )
    return folders


def _refuse_empty(empty, listings, others):
    """Refuse a class folder that cannot be opened, and an empty one if only one other class is left."""
    for path in empty:
        locked = listings[_composed(path.name)].locked
        if locked:
            raise DataError(
                str(path), "images of that class", f"a folder that cannot be opened ({locked[0][1]})"
            )
    if others < 2:
        repair = "Add images, or remove the folder."
        raise DataError(str(empty[0]), "images of that class", "none", repair)


def _by_name(loose):
    """Loose images by the class at the start of their name, and those whose name has no class."""
    by_class: dict[str, list[Path]] = {}
    unlabelled = []
    for path in loose:
        match = CLASS_AND_NUMBER.fullmatch(_composed(path.stem))
        if match and match[1].casefold() not in CAMERAS:
            by_class.setdefault(match[1], []).append(path)
        else:
            unlabelled.append(path)
    return by_class, sorted(unlabelled)


def _counted(paths: Iterable[Path]) -> str:
    names = sorted(path.name for path in paths)
    return f"{len(names)} ({shorten(names, most=3)})"


def _nearly_the_same(names):
    """A line for each group of classes whose names differ only in capitals."""
    by_letters: dict[str, list[str]] = {}
    for name in names:
        by_letters.setdefault(name.casefold(), []).append(name)
    return [
        f"Classes {' and '.join(same)} differ only in capitals: rename them if they are one class"
        for same in by_letters.values()
        if len(same) > 1
    ]


def _walk_order(path):
    """Sort as Keras does: a folder's own files before those of its subfolders, by name, capitals first."""
    return path.as_posix().rpartition("/")[::2]


def _match(folder, found, class_names):
    """The model's class number of each name found: the identical name, or the only similar one."""
    numbers = {}
    for form in (_composed, lambda name: _composed(name).casefold(), _stem):
        known: dict[str, list[int]] = {}
        for number, name in enumerate(class_names):
            known.setdefault(form(name), []).append(number)
        for name in found:
            if name not in numbers and len(known.get(form(name), ())) == 1:
                numbers[name] = known[form(name)][0]
    unknown = [name for name in found if name not in numbers]
    if unknown:
        raise DataError(
            str(folder),
            f"classes among {', '.join(class_names)}",
            shorten(unknown),
            "Rename the folders or files to the model's class names.",
        )
    return numbers


def _composed(name):
    """The name with each accented letter as one character; some systems store it as two."""
    return unicodedata.normalize("NFC", name)


def _stem(name):
    return _composed(name).casefold().removesuffix("s")
