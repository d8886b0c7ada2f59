"""From folders of images to batches: find, label, split, decode, augment; and synthetic images.

    directory.py     from a folder to loaders, in one call                   <- read first
    folders.py       which files there are, of which class
    walking.py       the walk through a folder, and what it leaves out
    splits.py        which files to train on and which to validate on
    labels.py        checks of labels and class names; one-hot rows
    sizes.py         checks of image sizes
    decoding.py      one function from a file to an array, in training and prediction alike
    sources.py       what can be decoded: paths, bytes, file objects, arrays
    headers.py       format, size and orientation, from the first bytes of a file
    modes.py         grey, transparent and 16-bit images as RGB
    pixels.py        Pillow's pixels as an array
    resizing.py      its loops over pixels
    reading.py       many files to one array, with threads
    cache.py         decode once: the images in a file that is mapped into memory
    augmentation.py  random rotation, shift, shear, zoom, flips, crop, colours, cutout
    draws.py         its random numbers, for many images at once
    warp.py          its loops over pixels
    mixup.py         blends images and labels in pairs
    loader.py        batches of images for `Sequential.fit`
    background.py    prefetch: the next batches on another thread
    download.py      archives of photos, fetched, checked and unpacked
    web.py           requests to a web server, with limits on what it may send
    drawn.py         synthetic cats and dogs, drawn with Pillow

Nothing here knows of layers.
"""

from .augmentation import Augmentation
from .cache import PictureCache
from .decoding import Preprocessing, decode
from .directory import from_directory
from .download import ARCHIVES, Archive, download
from .drawn import draw, draw_folder
from .folders import PictureFiles, find_pictures, find_train_and_validation
from .loader import Loader, to_float
from .reading import load_pictures
from .splits import keras_split, split

__all__ = [
    "ARCHIVES", "Archive", "Augmentation", "Loader", "PictureCache", "PictureFiles", "Preprocessing", "decode",
    "download", "draw", "draw_folder", "find_pictures", "find_train_and_validation", "from_directory", "keras_split",
    "load_pictures", "split", "to_float",
]  # fmt: skip
