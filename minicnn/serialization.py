"""The model file: one safetensors file, weights as tensors and everything else as JSON in its metadata.

Writing is to a temporary file that is then renamed, so a file is whole or not there.  Reading never
unpickles and trusts nothing.  This file knows arrays and dictionaries; `Sequential.save` and
`load_model` in model.py know what they mean.
"""

import json
import os
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .errors import ModelFileError

KEY, VERSION = "minicnn", 1


def write(path: str | Path, tensors: dict[str, np.ndarray], description: dict) -> None:
    """Write tensors and their description; an old file at `path` is replaced in one step.

    Parameters
    ----------
    path : str or Path
        Folders above it are made.
    tensors : dict from name to array
    description : dict that JSON can hold
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {KEY: json.dumps({"version": VERSION} | description)}  # one key: several have no fixed order
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with temporary.open("wb") as file:
            file.write(save({name: np.ascontiguousarray(value) for name, value in tensors.items()}, metadata))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: str | Path) -> tuple[dict[str, np.ndarray], dict]:
    """Read what `write` wrote.

    Raises
    ------
    ModelFileError
        If there is no such file, or it is truncated, foreign, of a newer version or holds other than
        float32 and float64.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(
            str(path), "a model file", "nothing there", "Train one first, or check the path."
        )
    try:
        with safe_open(path, framework="numpy") as file:
            description = _description(path, (file.metadata() or {}).get(KEY))
            types = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
            foreign = {name: kind for name, kind in types.items() if kind not in ("F32", "F64")}
            if foreign:
                raise ModelFileError(
                    str(path), "float32 or float64 weights", str(foreign), "Save it again with minicnn."
                )
            tensors = {name: file.get_tensor(name) for name in types}
    except (SafetensorError, OSError, MemoryError) as error:
        raise ModelFileError(
            str(path),
            "a whole safetensors file",
            f"a damaged or foreign one ({error})",
            "Copy or save it again.",
        ) from error
    return tensors, description


def check_shapes(path: str | Path, expected: dict[str, tuple], received: dict[str, tuple]) -> None:
    """Every weight must be there, be wanted, and have the right shape.

    Parameters
    ----------
    path : for the message
    expected, received : dict from name to shape

    Raises
    ------
    ModelFileError
        Which lists all that are missing, unexpected or misshapen.

    Examples
    --------
    >>> check_shapes("m", {"a": (1,), "b": (2,)}, {"b": (3,), "c": (4,)})
    Traceback (most recent call last):
        ...
    minicnn.errors.ModelFileError: m: expected the weights that its architecture describes, received \
missing a (1,); unexpected c (4,); b (3,) in place of (2,). Save it again with minicnn.
    """
    faults = [f"missing {name} {shape}" for name, shape in expected.items() if name not in received]
    faults += [f"unexpected {name} {shape}" for name, shape in received.items() if name not in expected]
    faults += [
        f"{name} {received[name]} in place of {shape}"
        for name, shape in expected.items()
        if name in received and received[name] != shape
    ]
    if faults:
        raise ModelFileError(
            str(path),
            "the weights that its architecture describes",
            "; ".join(faults),
            "Save it again with minicnn.",
        )


def _description(path, text):
    """The description in the metadata, if this is a model file that can be understood."""
    if text is None:
        raise ModelFileError(
            str(path),
            "a minicnn model",
            "a safetensors file of something else",
            "Give a file that minicnn saved.",
        )
    try:
        description = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(
            str(path), "a description in JSON", str(error), "Save it again with minicnn."
        ) from error
    if not isinstance(description, dict):
        found = type(description).__name__
        raise ModelFileError(
            str(path), "a description that is an object", found, "Save it again with minicnn."
        )
    version = description.pop("version", None)
    if not isinstance(version, int) or version > VERSION:
        raise ModelFileError(
            str(path), f"version {VERSION} or older", f"version {version!r}", "Upgrade minicnn."
        )
    return description
