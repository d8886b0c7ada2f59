"""Draw synthetic cats and dogs with Pillow from a seed, to train on if there are no photos.

The two classes differ only in shape: ears, muzzle, nose, pupils, whiskers.  Position, size, tilt, coat, light,
background and noise have the same distributions for both.  So a network must learn shapes; colours do not help.

Called by minicnn/cli/folders.py, benchmarks and tests.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFilter

from ..errors import ArgumentError, check_int
from ..saving.files import to_path

Colour = tuple[int, int, int]

KINDS = ("cat", "dog")
COATS = [
    (222, 158, 84), (196, 118, 58), (120, 84, 58), (92, 66, 50), (236, 216, 184), (246, 240, 230),
    (150, 146, 144), (104, 106, 114), (60, 56, 60), (208, 176, 134), (172, 108, 76), (186, 180, 172),
]  # fmt: skip
IRISES = [(118, 168, 82), (206, 164, 60), (110, 160, 190), (126, 84, 48), (84, 60, 40)]
ROOMS = [
    (188, 206, 214), (214, 196, 176), (176, 196, 158), (150, 180, 206), (206, 176, 182), (226, 218, 200),
    (128, 140, 160), (158, 132, 110), (110, 140, 108), (196, 188, 208),
]  # fmt: skip


def draw(kind: str, rng: np.random.Generator, size: int = 128) -> Image.Image:
    """Draw one animal.

    Parameters
    ----------
    kind : "cat" or "dog"
    rng : numpy.random.Generator
        The same state gives the same image.
    size : int
        Pixels per side.  The image is drawn twice as large and then shrunk, so that edges are smooth.

    Returns
    -------
    PIL.Image.Image
        RGB, size x size.

    Raises
    ------
    ArgumentError
        If `kind` is neither.

    Examples
    --------
    >>> draw("cat", np.random.default_rng(1), 64).size
    (64, 64)
    """
    if kind not in KINDS:
        raise ArgumentError("draw", "cat or dog", repr(kind), "Choose one of these.")
    large = 2 * size
    image = _background(rng, large)
    radius = large * rng.uniform(0.15, 0.25)
    centre = large * rng.uniform((0.27, 0.27), (0.73, 0.58))
    pen = Pen(image, centre, radius, np.radians(rng.uniform(-20, 20)), mirrored=rng.random() < 0.5)
    coat = _shade(COATS[rng.integers(len(COATS))], rng.uniform(0.85, 1.1))
    second = _shade(COATS[rng.integers(len(COATS))], 1) if rng.random() < 0.6 else _shade(coat, 1.2)
    _body(pen, rng, kind, coat, second)
    (_cat_head if kind == "cat" else _dog_head)(pen, rng, coat, second)
    return _photo(image.resize((size, size), Image.Resampling.BOX), rng)


def draw_folder(folder: str | Path, per_class: int, size: int = 128, seed: int = 0) -> Path:
    """Draw a folder of images, named as Kaggle names them: ``cat.0.png``, ``dog.0.png``, ...

    Parameters
    ----------
    folder : str or Path
    per_class : int
    size : int
        Pixels per side.
    seed : int
        Each image depends only on (seed, kind, number), so a larger folder starts with the images of a smaller one.

    Returns
    -------
    Path
        The folder.
    """
    folder = to_path(folder, "folder")
    per_class, size = check_int(per_class, "per_class", least=0), check_int(size, "size")
    seed = check_int(seed, "seed", least=0)
    folder.mkdir(parents=True, exist_ok=True)

    def write(job):
        label, number = job
        image = draw(KINDS[label], np.random.default_rng([seed, label, number]), size)
        image.save(folder / f"{KINDS[label]}.{number}.png", compress_level=1)

    with ThreadPoolExecutor() as threads:
        list(threads.map(write, [(label, number) for label in (0, 1) for number in range(per_class)]))
    return folder


class Pen:
    """Draws in the animal's coordinates: the head is a circle of radius 1 around (0, 0), and y points down."""

    def __init__(self, image: Image.Image, centre: np.ndarray, radius: float, tilt: float, mirrored: bool):
        self.canvas = ImageDraw.Draw(image)
        cos, sin = radius * np.cos(tilt), radius * np.sin(tilt)
        self.matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1 if mirrored else 1, 1])
        self.centre, self.radius = centre, radius

    def shape(self, points: ArrayLike, colour: Colour) -> None:
        """Draw a filled polygon."""
        self.canvas.polygon([tuple(p) for p in np.asarray(points) @ self.matrix.T + self.centre], fill=colour)

    def ellipse(
        self, x: float, y: float, width: float, height: float, colour: Colour, turn: float = 0.0
    ) -> None:
        """Draw a filled ellipse with these half axes, rotated by `turn` radians."""
        t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        points = np.stack([width * np.cos(t), height * np.sin(t)], 1)
        cos, sin = np.cos(turn), np.sin(turn)
        self.shape(points @ [[cos, sin], [-sin, cos]] + (x, y), colour)

    def line(self, points: ArrayLike, colour: Colour, width: float) -> None:
        """Draw a smooth line of this width."""
        where = [tuple(p) for p in np.asarray(points) @ self.matrix.T + self.centre]
        self.canvas.line(where, fill=colour, width=max(1, round(width * self.radius)), joint="curve")


def _cat_head(pen, rng, coat, second):
    dark, pink = _shade(coat, 0.72), (222, 150, 150)
    spread, height = rng.uniform(0.5, 0.68), rng.uniform(1.35, 1.65)
    for side in (-1, 1):  # pointed ears that stand up
        pen.shape([(side * 0.95, -0.30), (side * (spread + 0.22), -height), (side * 0.14, -0.86)], coat)
        pen.shape(
            [(side * 0.80, -0.52), (side * (spread + 0.17), -height + 0.26), (side * 0.32, -0.84)], pink
        )
    pen.ellipse(0, 0, 1.06, 0.92, coat)
    if rng.random() < 0.6:  # a tabby's stripes
        for x in (-0.28, 0, 0.28):
            pen.line([(x, -0.84), (x * 0.8, -0.5)], dark, 0.1)
    if rng.random() < 0.4:
        pen.ellipse(0.5, -0.3, 0.42, 0.45, second)
    iris, slit = IRISES[rng.integers(3)], rng.uniform(0.05, 0.1)
    for side in (-1, 1):  # almond eyes with an upright slit
        pen.ellipse(side * 0.42, -0.12, 0.25, 0.21, _shade(coat, 0.5), side * 0.3)
        pen.ellipse(side * 0.42, -0.12, 0.22, 0.18, iris, side * 0.3)
        pen.ellipse(side * 0.42, -0.12, slit, 0.17, (16, 16, 18))
        pen.ellipse(side * 0.42 + 0.06, -0.19, 0.04, 0.04, (250, 250, 250))
    for side in (-1, 1):  # small cheeks
        pen.ellipse(side * 0.17, 0.40, 0.25, 0.20, second)
    pen.shape([(-0.12, 0.20), (0.12, 0.20), (0, 0.34)], pink)
    for side in (-1, 1):
        pen.line([(0, 0.33), (side * 0.06, 0.46), (side * 0.2, 0.5)], (60, 40, 40), 0.035)
        for turn in (-0.14, 0.02, 0.18):  # whiskers
            pen.line(
                [(side * 0.3, 0.38 + turn * 0.4), (side * rng.uniform(1.15, 1.45), 0.3 + turn * 2)],
                (240, 240, 236),
                0.03,
            )


def _dog_head(pen, rng, coat, second):
    ear = _shade(coat, rng.uniform(0.6, 0.8)) if rng.random() < 0.7 else second
    drop, lean = rng.uniform(0.55, 0.85), rng.uniform(0.05, 0.35)
    pen.ellipse(0, -0.05, 0.92, 0.95, coat)
    for side in (-1, 1):  # ears that hang down at the sides of the head
        pen.ellipse(side * 0.95, -0.05 + drop * 0.3, 0.30, drop, ear, -side * lean)
        pen.ellipse(side * 0.72, -0.58, 0.34, 0.24, ear, side * 0.5)
    if rng.random() < 0.4:
        pen.ellipse(0.38, -0.25, 0.34, 0.4, second)
    iris = IRISES[rng.integers(2, 5)]
    for side in (-1, 1):  # round eyes, round pupils
        pen.ellipse(side * 0.36, -0.24, 0.18, 0.18, (244, 240, 234))
        pen.ellipse(side * 0.36, -0.22, 0.15, 0.15, iris)
        pen.ellipse(side * 0.36, -0.22, 0.10, 0.10, (16, 16, 18))
        pen.ellipse(side * 0.36 + 0.05, -0.28, 0.035, 0.035, (250, 250, 250))
        pen.line([(side * 0.2, -0.5), (side * 0.5, -0.52)], _shade(coat, 0.7), 0.06)
    length = rng.uniform(0.42, 0.6)
    if rng.random() < 0.55:  # tongue out
        pen.ellipse(0.05, 0.55 + length * 0.75, 0.17, 0.30, (216, 96, 106))
    pen.ellipse(0, 0.42, 0.46, length, second)  # a long muzzle with a broad nose
    pen.ellipse(0, 0.18, 0.25, 0.17, (34, 28, 30))
    pen.ellipse(-0.07, 0.12, 0.07, 0.035, (120, 112, 114))
    pen.line([(0, 0.34), (0, 0.58)], (60, 44, 42), 0.045)
    for side in (-1, 1):
        pen.line([(0, 0.58), (side * 0.16, 0.68), (side * 0.32, 0.62)], (60, 44, 42), 0.045)


def _body(pen, rng, kind, coat, second):
    """Tail, trunk, legs and paws; a cat's tail is thin and curled, a dog's short and thick."""
    dark = _shade(coat, 0.85)
    t = np.linspace(0, 1, 12)
    bend = rng.uniform(0.5, 1.1)
    if kind == "cat":
        pen.line(np.stack([0.7 + 0.9 * np.sin(t * 2.2) * bend, 2.5 - 2.1 * t], 1), dark, 0.2)
    else:
        pen.line(np.stack([0.7 + 0.9 * t * bend, 2.2 - 0.9 * t**1.5], 1), dark, 0.28)
    pen.ellipse(0, 1.9, rng.uniform(0.82, 1.05), 1.4, dark)
    pen.ellipse(0, 1.6, 0.5, 0.8, second)
    for side in (-1, 1):
        pen.ellipse(side * 0.36, 2.4, 0.25, 0.95, coat)
        pen.ellipse(side * 0.38, 3.25, 0.32, 0.2, second)


def _background(rng, size):
    """A wall and a floor, or sky and grass, with some objects."""
    wall, floor = (np.array(ROOMS[i], float) for i in rng.choice(len(ROOMS), 2, replace=False))
    wall, floor = wall * rng.uniform(0.6, 1.1), floor * rng.uniform(0.6, 1.1)
    horizon = size * rng.uniform(0.45, 0.85)
    down = np.arange(size)[:, None]
    shade = (
        1
        + rng.uniform(-0.25, 0.25) * (down / size - 0.5)
        + rng.uniform(-0.3, 0.3) * (np.arange(size) / size - 0.5)
    )
    pixels = np.where((down < horizon)[..., None], wall, floor) * shade[..., None]
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    canvas = ImageDraw.Draw(image)
    for _ in range(rng.integers(1, 6)):  # cushions, balls, boxes, books
        x, y = rng.uniform(0, size, 2)
        w, h = rng.uniform(0.06, 0.25, 2) * size
        colour = _shade(ROOMS[rng.integers(len(ROOMS))], rng.uniform(0.5, 1.2))
        kind = rng.integers(3)
        if kind == 0:
            canvas.ellipse([x - w, y - w, x + w, y + w], fill=colour)
        elif kind == 1:
            canvas.rectangle([x - w, y - h, x + w, y + h], fill=colour)
        else:
            canvas.polygon([(x - w, y + h), (x + w, y + h), (x + rng.uniform(-w, w), y - h)], fill=colour)
    return image


def _photo(image, rng):
    """Change the light, blur the image and add noise, as in a photo."""
    if rng.random() < 0.4:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9) * image.width / 128))
    pixels = np.asarray(image, np.float32)
    light = rng.uniform(0.65, 1.2) * rng.uniform(0.92, 1.08, 3)
    grain = rng.standard_normal(pixels.shape, np.float32) * np.float32(rng.uniform(2, 10))
    return Image.fromarray(np.clip(pixels * light.astype(np.float32) + grain, 0, 255).astype(np.uint8))


def _shade(colour, factor):
    return tuple(int(min(max(value * factor, 0), 255)) for value in colour)
