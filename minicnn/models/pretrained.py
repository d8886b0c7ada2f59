"""Networks that are already trained, and come with the library.

`minicnn predict` and `minicnn evaluate` use the one called "catdog" unless a model is named.  Each weights/NAME.md is
its model card: what it was trained on, how good it is, and where it fails.
"""

from pathlib import Path

from ..errors import ArgumentError
from ..model import Sequential
from ..saving.loading import load_model

FOLDER = Path(__file__).with_name("weights")


def pretrained(name: str = "catdog") -> Sequential:
    """A trained network, built, with its class names and preprocessing.

    Parameters
    ----------
    name : str
        "catdog" tells cats from dogs in photos.

    Raises
    ------
    ArgumentError
        For another name.

    Examples
    --------
    >>> model = pretrained("catdog")
    >>> model.class_names, model.input_shape
    (['cat', 'dog'], (160, 160, 3))
    """
    return load_model(path_of(name))


def path_of(name: str = "catdog") -> Path:
    """The model file of a trained network; raises the same."""
    names = sorted(path.stem for path in FOLDER.glob("*.safetensors"))
    if name not in names:
        raise ArgumentError("pretrained", f"one of {', '.join(names) or 'none'}", repr(name))
    return FOLDER / f"{name}.safetensors"
