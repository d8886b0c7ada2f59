"""From folders of photographs to batches: find, label, split, decode, augment; and pictures drawn from a seed.

    folders.py       which files there are, of which class; splits           <- read first
    decoding.py      one function from a file to an array, in training and prediction alike
    pixels.py        Pillow's pixels as an array
    resizing.py      its loops over pixels
    reading.py       many files to one array, with threads
    cache.py         decode once: the pictures in a file that is mapped into memory
    augmentation.py  random rotation, shift, shear, zoom, flips, crop, colours, cutout
    draws.py         its random numbers, for many pictures at once
    warp.py          its loops over pixels
    mixup.py         blends pictures and targets in pairs
    loader.py        batches of pictures for `Sequential.fit`
    background.py    the next batch on another thread
    download.py      archives of photographs, fetched, checked and unpacked
    drawn.py         cats and dogs drawn with Pillow, for when there are no photographs

Nothing here knows of layers.
"""

from .augmentation import Augmentation
from .cache import PictureCache
from .decoding import Preprocessing, decode
from .download import ARCHIVES, Archive, download
from .drawn import draw, draw_folder
from .folders import PictureFiles, find_pictures, find_train_and_validation, keras_split, split
from .loader import Loader, to_float
from .reading import load_pictures

__all__ = [
    "ARCHIVES", "Archive", "Augmentation", "Loader", "PictureCache", "PictureFiles", "Preprocessing", "decode",
    "download", "draw", "draw_folder", "find_pictures", "find_train_and_validation", "keras_split", "load_pictures",
    "split", "to_float",
]  # fmt: skip
