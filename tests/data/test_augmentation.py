"""Augmentation: exact cases that a person can see, an independent interpolation, ranges, and repeatability."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import ArgumentError, ShapeError
from minicnn.data import Augmentation
from minicnn.data.warp import warp


def apply(picture, matrix, brightness=1.0):
    out = np.empty((1, *picture.shape), np.float32)
    warp(picture[None], np.asarray(matrix, float)[None], np.array([brightness], np.float32), out)
    return out[0]


@pytest.fixture
def picture(rng):
    return rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)


def test_nothing_changes_nothing(picture):
    np.testing.assert_allclose(Augmentation()(picture[None], [0])[0], picture / 255, rtol=1e-6)


class Fixed:
    """A generator that always draws the same corner of its range: low, high, or the coin's side."""

    def __init__(self, share, coin=0.9):
        self.share, self.coin = share, coin

    def uniform(self, low, high, size=None):
        value = low + self.share * (high - low)
        return value if size is None else np.full(size, value)

    def random(self):
        return self.coin


def test_flips_are_mirrors(picture):
    for options, wanted in (
        ({"horizontal_flip": True}, picture[:, ::-1]),
        ({"vertical_flip": True}, picture[::-1]),
    ):
        augmentation = Augmentation(**options)
        np.testing.assert_allclose(
            apply(picture, augmentation.matrix(Fixed(0.5, coin=0.1), 6, 5)), wanted / 255, rtol=1e-6
        )
        np.testing.assert_allclose(
            apply(picture, augmentation.matrix(Fixed(0.5, coin=0.9), 6, 5)), picture / 255, rtol=1e-6
        )


def test_a_quarter_turn_is_a_quarter_turn(rng):
    square = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    matrix = Augmentation(rotation_range=90).matrix(Fixed(1.0), 5, 5)
    np.testing.assert_allclose(apply(square, matrix), np.rot90(square, -1) / 255, atol=1e-6)


def test_shifts_move_by_shares_and_repeat_the_edge(picture):
    down = apply(picture, Augmentation(height_shift_range=1 / 3).matrix(Fixed(1.0), 6, 5))  # two rows
    np.testing.assert_allclose(down[:4], picture[2:] / 255, atol=1e-6)
    np.testing.assert_allclose(down[4:], np.repeat(picture[-1:], 2, axis=0) / 255, atol=1e-6)
    left = apply(picture, Augmentation(width_shift_range=0.2).matrix(Fixed(0.0), 6, 5))  # one column
    np.testing.assert_allclose(left[:, 1:], picture[:, :-1] / 255, atol=1e-6)


def test_zoom_keeps_the_centre_and_stretches(rng):
    matrix = Augmentation(zoom_range=0.5).matrix(Fixed(0.0), 5, 5)  # both axes at 0.5: twice as large
    np.testing.assert_allclose(matrix, [[0.5, 0, 1], [0, 0.5, 1]])
    square = rng.integers(0, 256, (5, 5, 1), dtype=np.uint8)
    np.testing.assert_allclose(apply(square, matrix)[::2, ::2], square[1:4, 1:4] / 255, rtol=1e-6)


def test_the_whole_matrix_is_keras_product():
    """rotation . shift . shear . zoom about the centre, in homogeneous coordinates, as Keras multiplies them."""
    augmentation = Augmentation(
        rotation_range=30, width_shift_range=0.1, height_shift_range=0.2, shear_range=20, zoom_range=0.3
    )
    t, s, tx, ty, z = math.radians(30), math.radians(20), 0.2 * 8, 0.1 * 6, 1.3
    rotation = np.array([[math.cos(t), -math.sin(t), 0], [math.sin(t), math.cos(t), 0], [0, 0, 1]])
    shear = np.array([[1, -math.sin(s), 0], [0, math.cos(s), 0], [0, 0, 1]])
    centre, back = np.eye(3), np.eye(3)
    centre[:2, 2], back[:2, 2] = (3.5, 2.5), (-3.5, -2.5)
    wanted = centre @ rotation @ [[1, 0, tx], [0, 1, ty], [0, 0, 1]] @ shear @ np.diag([z, z, 1]) @ back
    np.testing.assert_allclose(augmentation.matrix(Fixed(1.0), 8, 6), wanted[:2], atol=1e-12)


@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 999))
def test_interpolation_number_by_number(height, width, seed):
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (height, width, 2), dtype=np.uint8)
    matrix, brightness = rng.normal(0, 1, (2, 3)) * [1, 1, 3], rng.uniform(0.2, 2)
    got = apply(picture, matrix, brightness)
    for h, w, c in np.ndindex(got.shape):
        row, column = matrix @ (h, w, 1)
        row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
        value = 0.0
        for r in range(height):  # each pixel counts by how near it is: the tent of linear interpolation
            for k in range(width):
                value += max(0, 1 - abs(row - r)) * max(0, 1 - abs(column - k)) * picture[r, k, c]
        assert got[h, w, c] == pytest.approx(min(brightness * value / 255, 1), abs=1e-4)


def test_brightness_multiplies_and_is_cut_at_white(picture):
    got = Augmentation(brightness_range=(1.5, 1.5))(picture[None], [0])[0]
    np.testing.assert_allclose(got, np.minimum(picture * 1.5 / 255, 1), rtol=1e-5)


def test_a_pictures_draw_depends_on_seed_epoch_and_index_alone(rng):
    pictures = rng.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    augmentation = Augmentation(20, 0.1, 0.1, 10, 0.2, True, True, (0.8, 1.2))
    whole = augmentation(pictures, range(6), epoch=3, seed=1)
    shuffled = [4, 0, 5]
    np.testing.assert_array_equal(
        augmentation(pictures[shuffled], shuffled, epoch=3, seed=1), whole[shuffled]
    )
    for other in (
        augmentation(pictures, range(6), epoch=4, seed=1),
        augmentation(pictures, range(6), epoch=3, seed=2),
    ):
        assert (np.abs(other - whole).max((1, 2, 3)) > 0.01).all()
    assert whole.dtype == np.float32 and whole.min() >= 0 and whole.max() <= 1


def test_ranges_are_reached_and_never_left():
    augmentation = Augmentation(zoom_range=0.3, horizontal_flip=True)
    matrices = np.array([augmentation.matrix(np.random.default_rng(n), 9, 9) for n in range(400)])
    tall, wide = matrices[:, 0, 0], np.abs(matrices[:, 1, 1])
    for scale in (tall, wide):
        assert 0.7 <= scale.min() < 0.71 and 1.29 < scale.max() <= 1.3
    assert 0.4 < (matrices[:, 1, 1] < 0).mean() < 0.6


def test_only_bytes_and_an_index_a_picture_are_taken(picture):
    for pictures, indices in ((picture[None] / 255, [0]), (picture, [0]), (picture[None], [0, 1])):
        with pytest.raises(ShapeError, match="uint8 pictures"):
            Augmentation()(pictures, indices)


@pytest.mark.parametrize(
    "options",
    [
        {"rotation_range": -1},
        {"zoom_range": 1},
        {"width_shift_range": -0.1},
        {"brightness_range": (1.2, 0.8)},
        {"shear_range": math.nan},
    ],
)
def test_ranges_that_make_no_sense_are_refused(options):
    with pytest.raises(ArgumentError):
        Augmentation(**options)
