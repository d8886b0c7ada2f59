"""Divide a list of files into a training set and a validation set, before any file is read.

Called by directory.py and minicnn/cli/folders.py.  folders.py makes the list.  Arrays are divided elsewhere:
`validation_split` of `Sequential.fit`, in training/fit_arguments.py.
"""

import numpy as np

from ..errors import DataError, check_int, check_number
from .folders import ImageFiles


def split(files: ImageFiles, fraction: float, seed: int = 0) -> tuple[ImageFiles, ImageFiles]:
    """Divide files at random, class by class, so that each class has the same share in both parts.

    Parameters
    ----------
    files : ImageFiles
    fraction : float in (0, 1)
        The share of the validation set, which gets at least one file per class.
    seed : int

    Returns
    -------
    (training, validation)
        Two ImageFiles, in the order of `files`.

    Raises
    ------
    DataError
        If a class has fewer than two files.

    Examples
    --------
    >>> from pathlib import Path
    >>> files = ImageFiles([Path(f"{n}.jpg") for n in range(10)], np.array([0] * 5 + [1] * 5), ["cat", "dog"])
    >>> training, validation = split(files, 0.2)
    >>> len(training), len(validation), validation.labels
    (8, 2, array([0, 1]))
    """
    check_number(fraction, "validation_split", above=0, below=1)
    rng = np.random.default_rng(check_int(seed, "seed", least=0))
    chosen = np.zeros(len(files), bool)
    for label, name in enumerate(files.class_names):
        members = np.flatnonzero(files.labels == label)
        if len(members) < 2:
            raise DataError(
                name,
                "at least 2 images, one to train on and one to validate on",
                str(len(members)),
                "Add images.",
            )
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        chosen[rng.permutation(members)[:count]] = True
    return files.take(np.flatnonzero(~chosen)), files.take(np.flatnonzero(chosen))


def keras_split(files: ImageFiles, fraction: float, seed: int) -> tuple[ImageFiles, ImageFiles]:
    """The same split as Keras's image_dataset_from_directory(validation_split=fraction, seed=seed).

    The files are shuffled with NumPy's RandomState(seed), and the last int(fraction * N) are for validation.

    Parameters
    ----------
    files : ImageFiles
    fraction : float in (0, 1)
    seed : int

    Returns
    -------
    (training, validation)
        Two ImageFiles, in Keras's order.

    Examples
    --------
    >>> from pathlib import Path
    >>> files = ImageFiles([Path(f"{n}.jpg") for n in range(5)], np.array([0, 0, 0, 1, 1]), ["cat", "dog"])
    >>> training, validation = keras_split(files, 0.4, seed=123)
    >>> [path.name for path in validation.paths]
    ['0.jpg', '2.jpg']
    """
    check_number(fraction, "validation_split", above=0, below=1)
    order = np.arange(len(files))
    np.random.RandomState(check_int(seed, "seed", least=0)).shuffle(order)  # noqa: NPY002  (Keras's own generator)
    training = len(files) - int(fraction * len(files))
    return files.take(order[:training]), files.take(order[training:])
