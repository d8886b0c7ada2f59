"""Tests of the plots: each writes a PNG file of the right size.  Their content was checked by eye."""

import numpy as np
import pytest
from PIL import Image

from minicnn import plots
from minicnn.metrics import Proportion


@pytest.fixture
def images(rng):
    return rng.random((5, 8, 8, 3)).astype("float32")


def size(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert np.asarray(image.convert("RGB")).std() > 5  # something is drawn
        return image.size


def test_every_plot_writes_its_file(tmp_path, images):
    plots.samples(tmp_path / "new" / "s.png", images, images, "abcde", "note")
    plots.samples(tmp_path / "t.png", images, None, "abcde")
    plots.predictions(tmp_path / "p.png", images, "abcde", [True, False, True, True, False], "heading")
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


def test_names_of_any_characters_and_lengths_can_be_drawn(tmp_path, images, capsys):
    """A name that is not valid Unicode, formulas, characters that the font lacks, and long names."""
    names = ["caf\udce9", "$_{^", "猫", "नमस्ते", "american_staffordshire_terrier" * 9]
    plots.samples(tmp_path / "s.png", images, images, names)
    plots.predictions(tmp_path / "p.png", images, names, [True] * 5, "heading")
    plots.confusion(tmp_path / "m.png", np.eye(5, dtype=int), names, "heading")
    for name in "spm":
        assert size(tmp_path / f"{name}.png")[0] < 1500
    assert capsys.readouterr().err.count("font lacks some characters") <= 1


@pytest.mark.parametrize("count", [10, 100, 400])
def test_the_names_of_a_confusion_matrix_do_not_overlap(tmp_path, monkeypatch, count):
    figures, save = [], plots._save
    monkeypatch.setattr(plots, "_save", lambda figure, path: (figures.append(figure), save(figure, path)))
    names = [f"norwegian_elkhound_{n}" for n in range(count)]
    plots.confusion(tmp_path / "m.png", np.eye(count, dtype=int), names, "heading")
    axis = figures[0].axes[0]
    for labels, side in ((axis.get_xticklabels(), 0), (axis.get_yticklabels(), 1)):
        boxes = sorted(label.get_window_extent().get_points()[:, side].tolist() for label in labels)
        assert all(low[1] <= high[0] for low, high in zip(boxes, boxes[1:], strict=False))
        assert min(label.get_fontsize() for label in labels) >= 6


def test_wrong_predictions_have_an_orange_frame(tmp_path, images):
    for right, seen in ((True, False), (False, True)):
        plots.predictions(tmp_path / "p.png", images[:1], ["x"], [right], "h")
        pixels = np.asarray(Image.open(tmp_path / "p.png").convert("RGB")).reshape(-1, 3)
        orange = (np.abs(pixels.astype(int) - (0xD5, 0x5E, 0x00)).sum(1) < 12).sum()
        assert (orange > 300) == seen
