"""The model file: one safetensors file, weights as tensors and everything else as JSON in its metadata.

A file is whole or not there (files.py).  Reading never unpickles and trusts nothing.  This file knows arrays
and dictionaries; `Sequential.save` and `load_model` in model.py know what they mean, and checkpoints.py, which
writes the same kind of file.
"""

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from . import files
from .errors import ArgumentError, ModelFileError

KEY, VERSION = "minicnn", 1
# The types that may be in a file: what safetensors calls them, and what NumPy does.
FLOATS = {"F32": "float32", "F64": "float64", "F16": "float16"}
NUMBERS = FLOATS | {"BOOL": "bool"}
NUMBERS |= {
    f"{kind[0].upper()}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)
}


def write(
    path: str | Path, tensors: dict[str, np.ndarray], description: dict, previous: Path | None = None
) -> None:
    """Write tensors and their description; an old file at `path` is replaced in one step.

    Parameters
    ----------
    path : str or Path
        Folders above it are made.
    tensors : dict from name to array
    description : dict that JSON can hold
    previous : Path, optional
        Where the old file goes.

    Raises
    ------
    DiskFullError
        If there is no room; then the old file is kept.
    """
    # One key: several have no fixed order.
    metadata = {KEY: json.dumps({"version": VERSION} | description, default=_plain)}
    content = save({name: np.ascontiguousarray(value) for name, value in tensors.items()}, metadata)
    files.replace(path, content, previous)


def _plain(value):
    """A NumPy number as one of Python's, which JSON can hold."""
    if isinstance(value, np.generic):
        return value.item()
    expected = "numbers, strings, lists and dictionaries"
    raise ArgumentError("description of a model", expected, repr(value), "Put what it says into these.")


def read(path: str | Path, kinds: dict[str, str] = FLOATS) -> tuple[dict[str, np.ndarray], dict]:
    """Read what `write` wrote.

    Parameters
    ----------
    path : str or Path
    kinds : FLOATS or NUMBERS
        The types that may be in it.

    Raises
    ------
    ModelFileError
        If there is no such file, or it is truncated, foreign, of a newer version or holds other types.
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
            foreign = {name: kind for name, kind in types.items() if kind not in kinds}
            if foreign:
                raise ModelFileError(
                    str(path),
                    f"{' or '.join(kinds.values())} weights",
                    str(foreign),
                    "Save it again with minicnn.",
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


def stored_as(tensors: dict[str, np.ndarray], dtype: str) -> dict[str, np.ndarray]:
    """Floating-point tensors in another type.

    Raises
    ------
    ArgumentError
        For a type that no model file has, and a number that is too large for it.

    Examples
    --------
    >>> stored_as({"w": np.array([1.0001, 65000.0])}, "float16")["w"].tolist()
    [1.0, 64992.0]
    """
    if dtype not in FLOATS.values():
        raise ArgumentError("dtype of a model file", " or ".join(FLOATS.values()), repr(dtype), "Choose one.")
    with np.errstate(over="ignore"):  # it is refused below, with its name
        stored = {name: value.astype(dtype, copy=False) for name, value in tensors.items()}
    for name, value in tensors.items():
        if (np.isinf(stored[name]) & np.isfinite(value)).any():
            largest = f"{np.abs(value[np.isfinite(value)]).max():.4g}"
            raise ArgumentError(name, f"numbers that {dtype} can hold", largest, "Save it as float32.")
    return stored


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
