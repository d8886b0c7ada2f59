"""The model file: one safetensors file, weights as tensors and everything else as JSON in its metadata.

A file is complete or not there (files.py).  A checksum guards every bit of the weights and of the description.
Reading never unpickles and trusts nothing.  This file knows arrays and dictionaries; model_file.py, which saves and
loads models, knows what they mean, and so does training/checkpoints.py, which writes the same kind of file.
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
CHECKSUM = "sha256"  # its name in the description; files of version 1 have none
DEPTH = 200  # how deep a description may be nested; each Residual within a Residual takes four levels
# The types that may be in a file: what safetensors calls them, and what NumPy does.
FLOATS = {"F32": "float32", "F64": "float64", "F16": "float16"}
NUMBERS = FLOATS | {"BOOL": "bool"}
NUMBERS |= {
    f"{kind[0].upper()}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)
}
AGAIN = "Save it again with minicnn."


def write(
    path: str | Path, tensors: dict[str, np.ndarray], description: dict, previous: Path | None = None
) -> None:
    """Write tensors, their description and a checksum of both; an old file at `path` is replaced in one step.

    Parameters
    ----------
    path : str or Path
        `~` is expanded, and missing folders above it are made.
    tensors : dict from name to array
    description : dict that JSON can hold
    previous : Path, optional
        Where the old file goes.

    Raises
    ------
    ArgumentError
        If something cannot be stored, or no file can be written at `path`, such as a folder.
    DiskFullError
        If there is no room; then the old file is kept.
    """
    tensors = {name: _storable(name, value) for name, value in tensors.items()}
    try:
        body = json.loads(json.dumps({"version": VERSION} | description, default=_plain))
    except (TypeError, ValueError, RecursionError) as error:  # ArgumentError, of `_plain`, is a ValueError
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentError(
            "description of a model", "what JSON can hold", _short(error), "Use simpler settings."
        ) from error
    # One key: several have no fixed order.
    metadata = {KEY: json.dumps(body | {CHECKSUM: _checksum(body, tensors)})}
    files.replace(path, save(tensors, metadata), previous)


def _storable(name, value):
    """A tensor as it will lie in the file: contiguous, of a known type, the lowest byte first."""
    value = np.asarray(value)
    if value.dtype.name not in NUMBERS.values():
        raise ArgumentError(str(name), "an array of numbers", f"dtype {value.dtype}", "Convert it.")
    return np.ascontiguousarray(value, value.dtype.newbyteorder("<"))


def _plain(value):
    """A NumPy number as one of Python's, which JSON can hold."""
    if isinstance(value, np.generic):
        return value.item()
    expected = "numbers, strings, lists and dictionaries"
    raise ArgumentError("description of a model", expected, repr(value), "Put what it says into these.")


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
        The types that may be in it.

    Returns
    -------
    tensors : dict from name to array
    description : dict

    Raises
    ------
    ModelFileError
        If there is no such file, or it is damaged, foreign, of a newer version or holds other types.  Whatever the
        file's bytes are, this is the only error.
    ArgumentError
        If `path` is no path at all.

    Notes
    -----
    A file of version 1, which has no checksum, is read without that check.  Memory is taken for what the
    file holds, not for what it claims to hold.
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
                expected = f"{' or '.join(kinds.values())} weights"
                raise ModelFileError(str(path), expected, f"{kind} in {_short(name)}", AGAIN)
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
    """Anything but a file is refused by its kind, before it is opened: a pipe would wait for its writer."""
    try:
        if path.is_file():
            return
        received = "a folder" if path.is_dir() else "no regular file" if path.exists() else "nothing there"
    except OSError as error:
        received = f"a path that cannot be used ({error.strerror})"
    raise ModelFileError(str(path), "a model file", received, "Train one first, or check the path.")


def _short(thing):
    """The start of what a hostile file may make as long as it likes."""
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
        For a type that no model file has, and a number that is too large for it.

    Examples
    --------
    >>> stored_as({"w": np.array([1.0001, 65000.0])}, "float16")["w"].tolist()
    [1.0, 64992.0]
    """
    name = _float_name(dtype)
    with np.errstate(all="ignore"):  # too large is refused below, by name; too small becomes 0
        stored = {key: value.astype(name, copy=False) for key, value in tensors.items()}
    for key, value in tensors.items():
        if (np.isinf(stored[key]) & np.isfinite(value)).any():
            largest = f"{np.abs(value[np.isfinite(value)]).max():.4g}"
            raise ArgumentError(key, f"numbers that {name} can hold", largest, "Save it as float32.")
    return stored


def _float_name(dtype):
    """The name of one of FLOATS, whichever way it is given."""
    try:
        name = None if dtype is None else np.dtype(dtype).name
    except (TypeError, ValueError):
        name = None
    if name not in FLOATS.values():
        raise ArgumentError("dtype of a model file", " or ".join(FLOATS.values()), repr(dtype), "Choose one.")
    return name


def check_shapes(path: str | Path, expected: dict[str, tuple], received: dict[str, tuple]) -> None:
    """Every weight must be there, be wanted, and have the right shape.

    Parameters
    ----------
    path : for the message
    expected, received : dict from name to shape

    Raises
    ------
    ModelFileError
        Which lists those that are missing, unexpected or misshapen, the first twenty.

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
    """The description in the metadata, if this is a model file that can be understood; its checksum may be None."""

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
