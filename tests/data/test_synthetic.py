"""Tests of synthetic images: they are repeatable and varied, and the classes differ in shape and not in colour."""

import numpy as np
import pytest

import minicnn as mc
from minicnn.data import Preprocessing, draw, draw_folder, find_images, load_images, to_float


def test_the_same_seed_draws_the_same_image_and_others_draw_another():
    images = [
        np.asarray(draw(kind, np.random.default_rng(seed), 48))
        for kind in ("cat", "dog")
        for seed in range(6)
    ]
    again = np.asarray(draw("dog", np.random.default_rng(5), 48))
    np.testing.assert_array_equal(images[-1], again)
    for one in range(12):
        for other in range(one):
            assert np.abs(images[one].astype(int) - images[other]).mean() > 5


def test_a_larger_folder_starts_with_the_images_of_a_smaller_one(tmp_path):
    files = find_images(draw_folder(tmp_path / "a", 3, size=32, seed=1))
    assert str(files) == "Found 6 files belonging to 2 classes: cat, dog"
    longer = draw_folder(tmp_path / "b", 4, size=32, seed=1)
    for path in files.paths:
        assert path.read_bytes() == (longer / path.name).read_bytes()


def test_another_kind_is_refused():
    with pytest.raises(mc.ArgumentError, match="cat or dog"):
        draw("horse", np.random.default_rng(0))


def test_a_linear_classifier_stays_below_75_percent(tmp_path):
    """Logistic regression with several strengths of weight decay."""
    sets = []
    for name, count, seed in (("train", 500, 1), ("validation", 200, 2)):
        files = find_images(draw_folder(tmp_path / name, count, size=64, seed=seed))
        images, _, _ = load_images(files.paths, Preprocessing(32, 32))
        sets.append((to_float(images) - 0.5, files.labels))
    (x, y), validation = sets
    best = 0.0
    for decay in (0.01, 1.0, 10.0):
        model = mc.Sequential([mc.Flatten(), mc.Dense(1, kernel_initializer="zeros"), mc.Sigmoid()]).build(
            (32, 32, 3)
        )
        model.compile(mc.AdamW(1e-3, weight_decay=decay), "binary_crossentropy", ["accuracy"])
        history = model.fit(x, y, validation_data=validation, epochs=30, verbose=0)
        best = max(best, *history.history["val_accuracy"])
        assert history.history["accuracy"][-1] > 0.55  # it did fit the training set a little
    assert best < 0.75


def test_invalid_arguments_are_refused_and_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    for wrong in (
        {"per_class": "3"},
        {"per_class": 1.5},
        {"per_class": 1, "size": 0},
        {"per_class": 1, "seed": None},
    ):
        with pytest.raises(mc.ArgumentError):
            draw_folder(tmp_path / "x", **wrong)
    assert not (tmp_path / "x").exists()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert draw_folder("~/drawn", 1, size=8) == tmp_path / "drawn"
    assert len(list((tmp_path / "drawn").iterdir())) == 2
