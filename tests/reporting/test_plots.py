"""Plots: each writes a PNG of the size it should have; what is in it was looked at."""

import numpy as np
import pytest
from PIL import Image

from minicnn import plots
from minicnn.metrics import Proportion


@pytest.fixture
def pictures(rng):
    return rng.random((5, 8, 8, 3)).astype("float32")


def size(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert np.asarray(image.convert("RGB")).std() > 5  # something is drawn
        return image.size


def test_every_plot_writes_its_file(tmp_path, pictures):
    plots.samples(tmp_path / "new" / "s.png", pictures, pictures, "abcde", "note")
    plots.samples(tmp_path / "t.png", pictures, None, "abcde")
    plots.predictions(tmp_path / "p.png", pictures, "abcde", [True, False, True, True, False], "heading")
    history = {
        "loss": [0.7, 0.5],
        "accuracy": [Proportion(5, 9), Proportion(7, 9)],
        "val_loss": [0.8, 0.6],
        "val_accuracy": [0.5, 0.6],
    }
    plots.curves(tmp_path / "c.png", history, best_epoch=1)
    plots.curves(tmp_path / "e.png", {})  # interrupted in the first epoch
    plots.confusion(
        tmp_path / "m.png", np.array([[5, 1, 0], [0, 4, 2], [0, 0, 0]]), ["cat", "dog", "bird"], "heading"
    )
    assert size(tmp_path / "new" / "s.png")[0] == 1400 and size(tmp_path / "c.png") == (1200, 480)
    rates = np.geomspace(1e-5, 1, 30)
    plots.learning_rates(tmp_path / "l.png", rates, 1 + rates, 1.1 + rates, 0.01)
    for name in "tpeml":
        assert min(size(tmp_path / f"{name}.png")) >= 200


def test_mistakes_stand_in_an_orange_frame(tmp_path, pictures):
    for right, seen in ((True, False), (False, True)):
        plots.predictions(tmp_path / "p.png", pictures[:1], ["x"], [right], "h")
        pixels = np.asarray(Image.open(tmp_path / "p.png").convert("RGB")).reshape(-1, 3)
        orange = (np.abs(pixels.astype(int) - (0xD5, 0x5E, 0x00)).sum(1) < 12).sum()
        assert (orange > 300) == seen
