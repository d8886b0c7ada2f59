"""Find the pictures of a folder and their classes, by looking; split lists of files.

Two layouts: a folder a class (`train/cats/*.jpg`), or the class in front of each name (`cat.0.jpg`).
Classes and files are sorted, so that class 0 is the same everywhere.  No picture is opened here; that is
`decoding.py`.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..batches import shorten
from ..errors import ArgumentError, DataError, check_int

PICTURE_ENDINGS = {".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
TRAIN_NAMES = ("train", "training", "training_set")
VALIDATION_NAMES = ("validation", "val", "valid", "test_set", "test")
CLASS_AND_NUMBER = re.compile(r"([^\W\d_]+)[ ._-]*\(?\d+\)?")  # cat.0, Dog_12, "cat (3)"


@dataclass(frozen=True)
class PictureFiles:
    """Files, their classes, and what the class numbers mean.

    Attributes
    ----------
    paths : list of Path
    labels : array of int (N,)
    class_names : list of str
        Class k is ``class_names[k]``.
    unlabelled : list of Path
        Pictures in the folder whose name tells no class; they are not in `paths`.
    """

    paths: list[Path]
    labels: np.ndarray
    class_names: list[str]
    unlabelled: list[Path] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.paths)

    def __str__(self) -> str:
        return f"Found {len(self)} files belonging to {len(self.class_names)} classes: {', '.join(self.class_names)}"

    def take(self, indices: np.ndarray) -> "PictureFiles":
        """The files at these places, in this order."""
        return PictureFiles([self.paths[i] for i in indices], self.labels[indices], self.class_names)

    def limit(self, per_class: int) -> "PictureFiles":
        """The first `per_class` files of each class, in the order they are in."""
        per_class = check_int(per_class, "limit")
        seen = [np.flatnonzero(self.labels == k)[:per_class] for k in range(len(self.class_names))]
        return self.take(np.sort(np.concatenate(seen)))


def find_pictures(folder: str | Path, class_names: Sequence[str] | None = None) -> PictureFiles:
    """All pictures below a folder, with their classes.

    Parameters
    ----------
    folder : str or Path
        Holds a folder a class, or files named ``cat.0.jpg``.
    class_names : sequence of str, optional
        The classes of a trained model; the folder's are matched to them by name, and a plural or a
        capital makes no difference ("Dogs" is "dog").

    Returns
    -------
    PictureFiles

    Raises
    ------
    DataError
        If the folder is missing, holds no pictures, one class only, an empty class, or a class that is
        not among `class_names`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "a file" if folder.exists() else "nothing there"
        raise DataError(str(folder), "a folder of pictures", what, "Check the path.")
    by_class, loose = _by_folder(folder), _pictures(folder.iterdir())
    if sum(map(bool, by_class.values())) >= 2:
        _refuse_empty(folder, by_class)
        unlabelled = sorted(loose)
    elif loose:
        by_class, unlabelled = _by_name(loose)
    else:
        by_class, unlabelled = _refuse_empty(folder, by_class), []
    if not by_class:
        raise DataError(
            str(folder),
            "pictures in a folder a class, or named cat.0.jpg",
            "none" if not unlabelled else shorten(path.name for path in unlabelled),
            "Check the path and the files' names.",
        )
    names = sorted(by_class)
    if len(names) == 1 and class_names is None:
        raise DataError(
            str(folder), "at least two classes", f"one, {names[0]}",
            "Put each class in a folder of its own, or name files cat.0.jpg, dog.0.jpg.",
        )  # fmt: skip
    numbers = {name: number for number, name in enumerate(names)}
    if class_names is not None:
        numbers, names = _match(folder, names, class_names), list(class_names)
    pairs = [
        (path, numbers[name]) for name in sorted(by_class) for path in sorted(by_class[name], key=_walk_order)
    ]
    return PictureFiles(
        [path for path, _ in pairs], np.array([label for _, label in pairs]), names, unlabelled
    )


def find_train_and_validation(folder: str | Path) -> tuple[Path, Path | None]:
    """Where the training pictures are, and the validation pictures if the folder holds both.

    Parameters
    ----------
    folder : str or Path
        For example ``cats_and_dogs_filtered``, which holds ``train`` and ``validation``.

    Returns
    -------
    (train, validation) : validation is None when the folder is not divided
    """
    folder = Path(folder)
    train = [folder / name for name in TRAIN_NAMES if (folder / name).is_dir()]
    validation = [folder / name for name in VALIDATION_NAMES if (folder / name).is_dir()]
    return (train[0], validation[0]) if train and validation else (folder, None)


def split(files: PictureFiles, fraction: float, seed: int = 0) -> tuple[PictureFiles, PictureFiles]:
    """Divide files at random, each class by itself, so that both parts have the same mixture.

    Parameters
    ----------
    files : PictureFiles
    fraction : float in (0, 1)
        The second part's share; it gets at least one file of each class.
    seed : int

    Returns
    -------
    (training, validation) : two PictureFiles, in the order of `files`

    Raises
    ------
    DataError
        If a class has fewer than two files.

    Examples
    --------
    >>> files = PictureFiles([Path(f"{n}.jpg") for n in range(10)], np.array([0] * 5 + [1] * 5), ["cat", "dog"])
    >>> training, validation = split(files, 0.2)
    >>> len(training), len(validation), validation.labels
    (8, 2, array([0, 1]))
    """
    _check_fraction(fraction)
    rng = np.random.default_rng(check_int(seed, "seed", least=0))
    chosen = np.zeros(len(files), bool)
    for label, name in enumerate(files.class_names):
        members = np.flatnonzero(files.labels == label)
        if len(members) < 2:
            raise DataError(
                name,
                "at least 2 pictures, one to learn from and one to judge",
                str(len(members)),
                "Add pictures.",
            )
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        chosen[rng.permutation(members)[:count]] = True
    return files.take(np.flatnonzero(~chosen)), files.take(np.flatnonzero(chosen))


def keras_split(files: PictureFiles, fraction: float, seed: int) -> tuple[PictureFiles, PictureFiles]:
    """The very split of Keras's image_dataset_from_directory(validation_split=fraction, seed=seed).

    Files are shuffled with NumPy's RandomState(seed); the last int(fraction * N) are for validation.

    Parameters
    ----------
    files : PictureFiles
    fraction : float in (0, 1)
    seed : int

    Returns
    -------
    (training, validation) : two PictureFiles, in Keras's order

    Examples
    --------
    >>> files = PictureFiles([Path(f"{n}.jpg") for n in range(5)], np.array([0, 0, 0, 1, 1]), ["cat", "dog"])
    >>> training, validation = keras_split(files, 0.4, seed=123)
    >>> [path.name for path in validation.paths]
    ['0.jpg', '2.jpg']
    """
    _check_fraction(fraction)
    order = np.arange(len(files))
    np.random.RandomState(seed).shuffle(order)  # noqa: NPY002  (Keras's own generator)
    training = len(files) - int(fraction * len(files))
    return files.take(order[:training]), files.take(order[training:])


def _by_name(loose):
    """Loose pictures by the class in front of their name, and those whose name has none."""
    by_class, unlabelled = {}, []
    for path in loose:
        match = CLASS_AND_NUMBER.fullmatch(_composed(path.stem))
        if match:
            by_class.setdefault(match[1], []).append(path)
        else:
            unlabelled.append(path)
    return by_class, sorted(unlabelled)


def _by_folder(folder):
    """Pictures below each visible folder, by its name."""
    folders = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))]
    divided = [path.name for path in folders if path.name.lower() in TRAIN_NAMES + VALIDATION_NAMES]
    if divided:
        raise DataError(
            str(folder),
            "a folder a class, or files named cat.0.jpg",
            f"folders {shorten(sorted(divided))}",
            f"Give one of them, for example {folder / sorted(divided)[0]}.",
        )
    return {_composed(path.name): _pictures(path.rglob("*"), below=path) for path in folders}


def _refuse_empty(folder, by_class):
    """`by_class`, if every class has pictures or none has."""
    empty = [name for name, pictures in by_class.items() if not pictures]
    if not any(by_class.values()):
        return {}
    if empty:
        raise DataError(
            str(folder / empty[0]), "pictures of that class", "none", "Add pictures, or remove the folder."
        )
    return by_class


def _pictures(paths, below=None):
    """The visible pictures among `paths`, with no hidden folder between them and `below`."""
    return [
        p for p in paths if p.suffix.lower() in PICTURE_ENDINGS and not _is_hidden(p, below) and p.is_file()
    ]


def _is_hidden(path, below):
    """Asked of each of many thousand: strings take a fifth of the time of pathlib's parts."""
    return path.name.startswith(".") if below is None else "/." in path.as_posix()[len(below.as_posix()) :]


def _walk_order(path):
    """A folder's own files before those of its subfolders, each by its name, capitals first: as Keras walks."""
    return path.as_posix().rpartition("/")[::2]


def _match(folder, found, class_names):
    """The model's class number of each name that was found."""
    known = {_stem(name): number for number, name in enumerate(class_names)}
    unknown = [name for name in found if _stem(name) not in known]
    if unknown:
        raise DataError(
            str(folder),
            f"classes among {', '.join(class_names)}",
            shorten(unknown),
            "Rename the folders or files as the model names them.",
        )
    return {name: known[_stem(name)] for name in found}


def _composed(name):
    """An accent and its letter as one character: some systems store them as two."""
    return unicodedata.normalize("NFC", name)


def _stem(name):
    return _composed(name).casefold().removesuffix("s")


def _check_fraction(fraction):
    if not 0 < fraction < 1:
        raise ArgumentError("validation split", "a number in (0, 1)", repr(fraction), "Give for example 0.2.")
