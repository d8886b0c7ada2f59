"""From folders of images to batches: find, label, split, decode, augment.  Also: download photos, draw images.

    directory.py             from a folder to loaders, in one call               <- read first
    folders.py               finds the images of a folder and their classes
    walking.py               walks through a folder, and records what it leaves out
    splits.py                divides files into a training set and a validation set
    labels.py                checks labels and class names; makes one-hot rows
    sizes.py                 checks image sizes
    decoding.py              from an image file to an array, for training and prediction
    sources.py               reads paths, bytes, file objects and arrays
    headers.py               format, size and orientation, from the first bytes of a file
    modes.py                 converts grey, transparent and 16-bit images to RGB
    pixels.py                Pillow's pixels as an array
    resizing.py              resizes decoded images
    reading.py               from many files to one array, with threads
    cache.py                 keeps decoded images on disk
    augmentation.py          random rotation, shift, shear, zoom, flips, crop, colours, cutout
    augmentation_random.py   the random numbers of an augmentation
    warp.py                  the loops over pixels of an augmentation
    mixup.py                 blends images and labels in pairs
    loader.py                batches of images for `Sequential.fit`
    prefetch.py              prepares the next batches on another thread
    download.py              downloads, checks and unpacks archives of photos
    web.py                   requests to a web server, with limits on what it may send
    synthetic.py             draws synthetic cats and dogs

Nothing here knows of layers; training/loop.py draws batches from the loaders.
"""

import re
import warnings
from typing import Any

from .augmentation import Augmentation
from .cache import ImageCache
from .decoding import Preprocessing, decode
from .directory import from_directory
from .download import ARCHIVES, Archive, download
from .folders import ImageFiles, find_images, find_train_and_validation
from .loader import Loader, to_float
from .reading import load_images
from .splits import keras_split, split
from .synthetic import draw, draw_folder

__all__ = [
    "ARCHIVES", "Archive", "Augmentation", "Loader", "ImageCache", "ImageFiles", "Preprocessing", "decode",
    "download", "draw", "draw_folder", "find_images", "find_train_and_validation", "from_directory", "keras_split",
    "load_images", "split", "to_float",
]  # fmt: skip

RENAMED = {"ImageCache", "ImageFiles", "find_images", "load_images"}


def __getattr__(name: str) -> Any:
    """Answer the earlier names of `RENAMED`, with a DeprecationWarning; the next version removes this."""
    new = re.sub("[Pp]icture", lambda match: "Image" if match[0][0] == "P" else "image", name)
    if new == name or new not in RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(f"minicnn.data.{name} is now minicnn.data.{new}", DeprecationWarning, stacklevel=2)
    return globals()[new]
