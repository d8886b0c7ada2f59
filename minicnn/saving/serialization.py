"""The model file format: one safetensors file, with weights as tensors and a description as JSON in its metadata.

Files are written atomically (files.py).  A checksum covers every bit of the weights and of the description.  Reading
never unpickles, and every part of a file is checked before it is used.

Called by model_file.py and loading.py (models) and by training/checkpoints.py (checkpoints), which know what the arrays
and dictionaries mean.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from ..errors import ArgumentError, ModelFileError
from . import files

KEY, VERSION = "minicnn", 2
CHECKSUM = "sha256"  # its key in the description; files of version 1 have none
DEPTH = 200  # the deepest nesting of a description; each Residual within a Residual takes four levels
# The types that a file may hold: from safetensors' name to NumPy's.
FLOATS = {"F32": "float32", "F64": "float64", "F16": "float16"}
NUMBERS = FLOATS | {"BOOL": "bool"}
NUMBERS |= {
    f"{kind[0].upper()}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)
}
AGAIN = "Save it again with minicnn."


def write(
    path: str | Path, tensors: dict[str, np.ndarray], description: dict, previous: Path | None = None
) -> None:
    """Write tensors, their description and a checksum of both; an existing file is replaced in one step.

    Parameters
    ----------
    path : str or Path
        `~` is expanded, and missing parent folders are made.
    tensors : dict from name to array
    description : dict that JSON can hold
    previous : Path, optional
        The new path of the old file.  By default it is deleted.

    Raises
    ------
    ArgumentError
        If a value cannot be stored, or no file can be written at `path`, for example because it is a folder.
    DiskFullError
        If there is no room; then the old file is kept.
    """
    tensors = {name: _storable(name, value) for name, value in tensors.items()}
    try:
        body = json.loads(json.dumps({"version": VERSION} | description, default=_plain))
    except (
        TypeError,
        ValueError,
        RecursionError,
    ) as error:  # ArgumentError, which `_plain` raises, is a ValueError
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentError(
            "description of a model", "what JSON can hold", _short(error), "Use simpler settings."
        ) from error
    # One key, because several would have no fixed order.
    metadata = {KEY: json.dumps(body | {CHECKSUM: _checksum(body, tensors)})}
    files.atomic_write(path, save(tensors, metadata), previous)


def _storable(name, value):
    """A tensor as the file stores it: contiguous, of a known type, little-endian."""
    value = np.asarray(value)
    if value.dtype.name not in NUMBERS.values():
        raise ArgumentError(str(name), "an array of numbers", f"dtype {value.dtype}", "Convert it.")
    return np.ascontiguousarray(value, value.dtype.newbyteorder("<"))


def _plain(value):
    """A NumPy number as a Python number, which JSON can hold."""
    if isinstance(value, np.generic):
        return value.item()
    expected = "numbers, strings, lists and dictionaries"
    raise ArgumentError("description of a model", expected, repr(value), "Convert it to one of these.")


def _checksum(body, tensors):
    """SHA-256 of a description as JSON and of each tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(json.dumps([name, value.dtype.name, value.shape]).encode())
        digest.update(value.reshape(-1).view(np.uint8))
    return digest.hexdigest()


def read(path: str | Path, kinds: dict[str, str] = FLOATS) -> tuple[dict[str, np.ndarray], dict]:
    """Read what `write` wrote.

    Parameters
    ----------
    path : str or Path
        `~` is expanded.
    kinds : FLOATS or NUMBERS
        The types that the file may hold.

    Returns
    -------
    tensors : dict from name to array
    description : dict

    Raises
    ------
    ModelFileError
        If there is no such file, if it cannot be opened, or if it is damaged, foreign, of a newer version or holds
        other types.  No content of a file raises any other error.
    ArgumentError
        If `path` is not a path.

    Notes
    -----
    A file of version 1 has no checksum and is read without that check.  Memory is allocated for the bytes that the
    file has, not for those that its header claims.
    """
    path = files.to_path(path)
    _check_regular(path)
    try:
        with safe_open(path, framework="numpy") as file:
            description = _description(path, (file.metadata() or {}).get(KEY))
            types = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
            foreign = {name: kind for name, kind in types.items() if kind not in kinds}
            if foreign:
                name, kind = min(foreign.items())
                raise _foreign_type(path, kinds, name, kind)
            tensors = {name: file.get_tensor(name) for name in types}
        if description.pop(CHECKSUM) not in (None, _checksum(description, tensors)):
            raise ModelFileError(
                str(path), "the weights and the description that were saved", "a damaged file: its checksum differs",
                "Copy it again from where it came, or train again.",
            )  # fmt: skip
    except ModelFileError:
        raise
    except Exception as error:  # from SafetensorError and OSError to ValueError for an array of 65 axes
        raise ModelFileError(
            str(path),
            "a complete safetensors file",
            f"a damaged or foreign one ({_short(error)})",
            "Copy or save it again.",
        ) from error
    del description["version"]
    return tensors, description


def _check_regular(path):
    """Refuse a path that is not a regular file or cannot be opened; opening a pipe would wait for a writer."""
    repair = "Train one first, or check the path."
    try:
        if path.is_file():
            path.open("rb").close()
            return
        received = "a folder" if path.is_dir() else "no regular file" if path.exists() else "nothing there"
        if path.is_dir():
            repair = "Give a file in it, such as model.safetensors."
    except PermissionError as error:
        received, repair = f"one that cannot be opened ({error.strerror})", "Change its permissions."
    except OSError as error:
        received = f"a path that cannot be used ({error.strerror})"
    raise ModelFileError(str(path), "a model file", received, repair)


def check_types(path: str | Path, tensors: dict[str, np.ndarray], kinds: dict[str, str]) -> None:
    """Refuse tensors of other types than `kinds` names.

    Raises
    ------
    ModelFileError
    """
    for name in sorted(tensors):
        if tensors[name].dtype.name not in kinds.values():
            raise _foreign_type(path, kinds, name, tensors[name].dtype)


def _foreign_type(path, kinds, name, kind):
    expected = f"{' or '.join(kinds.values())} weights"
    return ModelFileError(str(path), expected, f"{kind} in {_short(name)}", AGAIN)


def _short(thing):
    """The first 200 characters: a hostile file can hold names of any length."""
    text = str(thing)
    return text if len(text) <= 200 else f"{text[:200]}..."


def stored_as(tensors: dict[str, np.ndarray], dtype: Any) -> dict[str, np.ndarray]:
    """Floating-point tensors in another type.

    Parameters
    ----------
    tensors : dict from name to array
    dtype : "float16", "float32", "float64", or NumPy's type or dtype of that name

    Raises
    ------
    ArgumentError
        For a type that model files cannot hold, or a number that is too large for the type.

    Examples
    --------
    >>> stored_as({"w": np.array([1.0001, 65000.0])}, "float16")["w"].tolist()
    [1.0, 64992.0]
    """
    name = _float_name(dtype)
    with np.errstate(all="ignore"):  # numbers that are too large are refused below; too small ones become 0
        stored = {key: value.astype(name, copy=False) for key, value in tensors.items()}
    for key, value in tensors.items():
        if (np.isinf(stored[key]) & np.isfinite(value)).any():
            largest = f"{np.abs(value[np.isfinite(value)]).max():.4g}"
            raise ArgumentError(key, f"numbers that {name} can hold", largest, "Save it as float32.")
    return stored


def _float_name(dtype):
    """NumPy's name of one of FLOATS, given as a name, type or dtype."""
    try:
        name = None if dtype is None else np.dtype(dtype).name
    except (TypeError, ValueError):
        name = None
    if name not in FLOATS.values():
        raise ArgumentError("dtype of a model file", " or ".join(FLOATS.values()), repr(dtype), "Choose one.")
    return name


def check_shapes(path: str | Path, expected: dict[str, tuple], received: dict[str, tuple]) -> None:
    """Refuse weights that are missing, unexpected or of the wrong shape.

    Parameters
    ----------
    path : for the message
    expected, received : dict from name to shape

    Raises
    ------
    ModelFileError
        It lists the first twenty of them.

    Examples
    --------
    >>> check_shapes("m", {"a": (1,), "b": (2,)}, {"b": (3,), "c": (4,)})
    Traceback (most recent call last):
        ...
    minicnn.errors.ModelFileError: m: expected the weights that its architecture describes, received \
missing a (1,); unexpected c (4,); b (3,) in place of (2,). Save it again with minicnn.
    """
    faults = [f"missing {name} {shape}" for name, shape in expected.items() if name not in received]
    faults += [
        f"unexpected {_short(name)} {shape}" for name, shape in received.items() if name not in expected
    ]
    faults += [
        f"{name} {received[name]} in place of {shape}"
        for name, shape in expected.items()
        if name in received and received[name] != shape
    ]
    if faults:
        listed = faults[:20] + [f"and {len(faults) - 20} more"] * (len(faults) > 20)
        raise ModelFileError(
            str(path), "the weights that its architecture describes", "; ".join(listed), AGAIN
        )


def _description(path, text):
    """The description in the metadata, if this is a model file of a known version; its checksum may be None."""

    def error(expected, received, repair=AGAIN):
        return ModelFileError(str(path), expected, received, repair)

    if text is None:
        foreign = "a safetensors file of something else"
        raise error("a minicnn model", foreign, "Give a file that minicnn saved.")
    try:
        description = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise error("a description in JSON", _short(fault)) from fault
    if not isinstance(description, dict):
        raise error("a description that is an object", type(description).__name__)
    version = description.get("version")
    if type(version) is not int or version < 1 or version > VERSION:
        raise error(f"version {VERSION} or older", f"version {_short(repr(version))}", "Upgrade minicnn.")
    if version > 1 and CHECKSUM not in description:
        raise error("a checksum", "none", "Copy it again from where it came, or train again.")
    if _deeper(description, DEPTH):
        raise error(f"a description of at most {DEPTH} levels", "one that is nested deeper")
    return description | {CHECKSUM: description.get(CHECKSUM)}


def _deeper(tree, levels):
    """Whether dictionaries and lists are nested more than so many levels deep."""
    level = [tree]
    for _ in range(levels):
        parts = (part.values() if isinstance(part, dict) else part for part in level)
        level = [part for some in parts for part in some if isinstance(part, (dict, list))]
    return bool(level)
