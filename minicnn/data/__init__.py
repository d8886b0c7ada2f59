"""From folders of photographs to batches: find, label, split, decode, augment; and pictures drawn from a seed.

    folders.py       which files there are, of which class; splits           <- read first
    decoding.py      one function from a file to an array, in training and prediction alike
    augmentation.py  random rotation, shift, shear, zoom, flips, crop, colours, cutout
    draws.py         its random numbers, for many pictures at once
    warp.py          its loops over pixels
    mixup.py         blends pictures and targets in pairs
    loader.py        batches of pictures for `Sequential.fit`
    drawn.py         cats and dogs drawn with Pillow, for when there are no photographs

Nothing here knows of layers.
"""

from .augmentation import Augmentation
from .decoding import Preprocessing, decode, load_pictures
from .drawn import draw, draw_folder
from .folders import PictureFiles, find_pictures, find_train_and_validation, keras_split, split
from .loader import Loader, to_float

__all__ = [
    "Augmentation", "Loader", "PictureFiles", "Preprocessing", "decode", "draw", "draw_folder", "find_pictures",
    "find_train_and_validation", "keras_split", "load_pictures", "split", "to_float",
]  # fmt: skip
