"""Tests of Augmentation: exact cases, independent interpolations, ranges, and repeatability."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from minicnn import ArgumentError, ShapeError
from minicnn.data import Augmentation
from minicnn.data.augmentation import AREAS, CROP, DRAWS, MIRROR, RATIOS, UPSIDE
from minicnn.data.augmentation_random import uniforms
from minicnn.data.warp import warp


def apply(image, matrix, brightness=1.0):
    out = np.empty((1, *image.shape), np.float32)
    colours = np.array([[brightness, 1, 1]], np.float32)
    warp(image[None], np.asarray(matrix, float)[None], colours, np.zeros((1, 4), np.int64), out)
    return out[0]


def matrix_of(augmentation, share, height, width, coin=0.9):
    """The affine map if each random number is `share`, and those of the flips are `coin`."""
    draws = np.full((1, DRAWS), share)
    draws[0, [UPSIDE, MIRROR]] = coin
    return augmentation.matrices(draws, (height, width))[0]


EVERYTHING = Augmentation(
    20, 0.1, 0.1, 10, 0.2, True, True, (0.8, 1.2), (0.8, 1.2), (0.5, 1.5), (0.3, 1.0), cutout=0.3
)


@pytest.fixture
def image(rng):
    return rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)


def test_an_augmentation_without_settings_changes_nothing(image):
    np.testing.assert_allclose(Augmentation()(image[None], [0])[0], image / 255, rtol=1e-6)


def test_flips_are_mirrors(image):
    for options, wanted in (
        ({"horizontal_flip": True}, image[:, ::-1]),
        ({"vertical_flip": True}, image[::-1]),
    ):
        augmentation = Augmentation(**options)
        np.testing.assert_allclose(
            apply(image, matrix_of(augmentation, 0.5, 6, 5, coin=0.1)), wanted / 255, rtol=1e-6
        )
        np.testing.assert_allclose(apply(image, matrix_of(augmentation, 0.5, 6, 5)), image / 255, rtol=1e-6)


def test_a_rotation_by_90_degrees_is_rot90(rng):
    square = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    matrix = matrix_of(Augmentation(rotation_range=90), 1.0, 5, 5)
    np.testing.assert_allclose(apply(square, matrix), np.rot90(square, -1) / 255, atol=1e-6)


def test_shifts_are_shares_of_the_image_and_repeat_the_edge(image):
    down = apply(image, matrix_of(Augmentation(height_shift_range=1 / 3), 1.0, 6, 5))  # two rows
    np.testing.assert_allclose(down[:4], image[2:] / 255, atol=1e-6)
    np.testing.assert_allclose(down[4:], np.repeat(image[-1:], 2, axis=0) / 255, atol=1e-6)
    left = apply(image, matrix_of(Augmentation(width_shift_range=0.2), 0.0, 6, 5))  # one column
    np.testing.assert_allclose(left[:, 1:], image[:, :-1] / 255, atol=1e-6)


def test_zoom_scales_about_the_centre(rng):
    matrix = matrix_of(Augmentation(zoom_range=0.5), 0.0, 5, 5)  # both axes at 0.5: twice as large
    np.testing.assert_allclose(matrix, [[0.5, 0, 1], [0, 0.5, 1]])
    square = rng.integers(0, 256, (5, 5, 1), dtype=np.uint8)
    np.testing.assert_allclose(apply(square, matrix)[::2, ::2], square[1:4, 1:4] / 255, rtol=1e-6)


def test_the_matrix_is_the_same_product_as_in_keras():
    """rotation . shift . shear . zoom about the centre, in homogeneous coordinates and in Keras's order."""
    augmentation = Augmentation(
        rotation_range=30, width_shift_range=0.1, height_shift_range=0.2, shear_range=20, zoom_range=0.3
    )
    t, s, tx, ty, z = math.radians(30), math.radians(20), 0.2 * 8, 0.1 * 6, 1.3
    rotation = np.array([[math.cos(t), -math.sin(t), 0], [math.sin(t), math.cos(t), 0], [0, 0, 1]])
    shear = np.array([[1, -math.sin(s), 0], [0, math.cos(s), 0], [0, 0, 1]])
    centre, back = np.eye(3), np.eye(3)
    centre[:2, 2], back[:2, 2] = (3.5, 2.5), (-3.5, -2.5)
    wanted = centre @ rotation @ [[1, 0, tx], [0, 1, ty], [0, 0, 1]] @ shear @ np.diag([z, z, 1]) @ back
    np.testing.assert_allclose(matrix_of(augmentation, 1.0, 8, 6), wanted[:2], atol=1e-12)


@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 999))
def test_interpolation_against_its_definition(height, width, seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 2), dtype=np.uint8)
    matrix, brightness = rng.normal(0, 1, (2, 3)) * [1, 1, 3], rng.uniform(0.2, 2)
    got = apply(image, matrix, brightness)
    for h, w, c in np.ndindex(got.shape):
        row, column = matrix @ (h, w, 1)
        row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
        value = 0.0
        for r in range(height):  # the weight of a pixel decreases linearly with its distance
            for k in range(width):
                value += max(0, 1 - abs(row - r)) * max(0, 1 - abs(column - k)) * image[r, k, c]
        assert got[h, w, c] == pytest.approx(min(brightness * value / 255, 1), abs=1e-4)


def test_brightness_multiplies_and_is_clipped_at_white(image):
    got = Augmentation(brightness_range=(1.5, 1.5))(image[None], [0])[0]
    np.testing.assert_allclose(got, np.minimum(image * 1.5 / 255, 1), rtol=1e-5)


def test_the_changes_of_an_image_depend_only_on_seed_epoch_and_index(rng):
    images = rng.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    augmentation = EVERYTHING
    whole = augmentation(images, range(6), epoch=3, seed=1)
    shuffled = [4, 0, 5]
    np.testing.assert_array_equal(augmentation(images[shuffled], shuffled, epoch=3, seed=1), whole[shuffled])
    for other in (
        augmentation(images, range(6), epoch=4, seed=1),
        augmentation(images, range(6), epoch=3, seed=2),
    ):
        assert (np.abs(other - whole).max((1, 2, 3)) > 0.01).all()
    assert whole.dtype == np.float32 and whole.min() >= 0 and whole.max() <= 1


def test_values_cover_their_range_and_stay_in_it():
    augmentation = Augmentation(zoom_range=0.3, horizontal_flip=True)
    matrices = augmentation.matrices(uniforms(0, 0, range(400), DRAWS), (9, 9))
    tall, wide = matrices[:, 0, 0], np.abs(matrices[:, 1, 1])
    for scale in (tall, wide):
        assert 0.7 <= scale.min() < 0.71 and 1.29 < scale.max() <= 1.3
    assert 0.4 < (matrices[:, 1, 1] < 0).mean() < 0.6


def test_images_must_be_uint8_with_one_index_per_image(image):
    for images, indices in ((image[None] / 255, [0]), (image, [0]), (image[None], [0, 1])):
        with pytest.raises(ShapeError, match="uint8 images"):
            Augmentation()(images, indices)


@pytest.mark.parametrize(
    "options",
    [
        {"rotation_range": -1},
        {"zoom_range": 1},
        {"width_shift_range": -0.1},
        {"brightness_range": (1.2, 0.8)},
        {"shear_range": math.nan},
        {"shear_range": math.inf},
        {"rotation_range": math.inf},
        {"brightness_range": (0, math.inf)},
        {"crop_scale": (0, 1)},
        {"crop_scale": (0.5, 1.1)},
        {"crop_ratio": (2, 1)},
        {"contrast_range": (-0.1, 1)},
        {"cutout": 1.0},
    ],
)
def test_impossible_ranges_are_refused(options):
    with pytest.raises(ArgumentError):
        Augmentation(**options)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({"zoom_range": 0.2}, {"zoom_range": (0.8, 1.2)}),
        ({"zoom_range": [0.8, 1.2]}, {"zoom_range": (0.8, 1.2)}),
        ({"brightness_range": 0.25}, {"brightness_range": (0.75, 1.25)}),
        ({"contrast_range": 0.25}, {"contrast_range": np.array([0.75, 1.25])}),
        ({"saturation_range": np.float32(0.25)}, {"saturation_range": (0.75, 1.25)}),
        ({"crop_scale": 0.5}, {"crop_scale": (0.5, 1.0)}),
        ({"rotation_range": 20}, {"rotation_range": np.float32(20)}),
        ({"width_shift_range": np.float64(0.5)}, {"width_shift_range": 0.5}),
        ({"horizontal_flip": True}, {"horizontal_flip": np.True_}),
    ],
)
def test_a_number_means_a_range_around_one_and_numpy_numbers_are_accepted(rng, short, long):
    images = rng.integers(0, 256, (5, 9, 9, 3), dtype=np.uint8)
    one, other = Augmentation(**short), Augmentation(**long)
    np.testing.assert_array_equal(one(images, range(5)), other(images, range(5)))
    assert not np.allclose(one(images, range(5)), images / 255)
    assert hash(one) == hash(Augmentation(**short)) and "np." not in repr(other)


def test_a_zoom_range_below_one_only_zooms_in():
    scales = np.abs(
        Augmentation(zoom_range=(0.5, 0.75)).matrices(uniforms(0, 0, range(300), DRAWS), (9, 9))[:, 0, 0]
    )
    assert 0.5 <= scales.min() < 0.51 and 0.74 < scales.max() <= 0.75


@pytest.mark.parametrize(
    "name", ["rotation_range", "width_shift_range", "height_shift_range", "shear_range", "cutout"]
)
@pytest.mark.parametrize(
    "value", [None, "20", True, (0.1, "0.2"), -0.5, math.nan, (0, 1), (-0.5, 0.5), (1, 2, 3), {}]
)
def test_a_setting_that_is_not_a_number_is_refused_at_once(name, value):
    with pytest.raises(ArgumentError, match=f"{name}: expected a number"):
        Augmentation(**{name: value})


@pytest.mark.parametrize(
    "name",
    ["zoom_range", "brightness_range", "contrast_range", "saturation_range", "crop_scale", "crop_ratio"],
)
@pytest.mark.parametrize(
    "value",
    [
        "20",
        "ab",
        True,
        (0.1, "0.2"),
        -0.5,
        math.nan,
        (-0.5, 0.5),
        (2, 1),
        (1, 2, 3),
        (None, 1),
        (1, math.inf),
    ],
)
def test_a_setting_that_is_not_a_range_is_refused_at_once(name, value):
    with pytest.raises(ArgumentError, match=f"{name}: expected"):
        Augmentation(**{name: value})


@pytest.mark.parametrize("value", ["no", 0, 1, None, 0.5, []])
def test_flips_are_true_or_false(value):
    for name in ("horizontal_flip", "vertical_flip"):
        with pytest.raises(ArgumentError, match=f"{name}: expected True or False"):
            Augmentation(**{name: value})


def test_a_size_is_one_number_or_two(image):
    assert Augmentation()(image[None], [0], size=4).shape == (1, 4, 4, 3)
    for size in ((0, 0), "4", True, (4, None)):
        with pytest.raises(ArgumentError, match="size"):
            Augmentation()(image[None], [0], size=size)


def test_the_settings_of_version_0_1_give_the_same_images():
    """The expected values were computed with version 0.1."""
    images = np.random.default_rng(7).integers(0, 256, (3, 6, 5, 3), dtype=np.uint8)
    augmentation = Augmentation(20, 0.1, 0.15, 10, 0.2, True, True, (0.8, 1.2))
    wanted = [
        [[0.6051254, 0.03604259, 0.5054608], [0.9235465, 0.26731023, 0.7396298]],
        [[0.25730437, 0.17613868, 0.20491503], [0.3937302, 0.7955594, 0.19101126]],
        [[0.5284442, 0.38999683, 0.45884973], [0.3234109, 0.20755689, 0.925565]],
    ]
    got = augmentation(images, [4, 0, 11], epoch=3, seed=1)[:, ::5, ::2, 1]
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


@pytest.mark.parametrize("seed, epoch", [(0, 0), (5, 3), (2**32, 1), (2**70 + 3, 2**33)])
def test_random_numbers_are_those_of_numpy(seed, epoch):
    indices = [0, 1, 77, 2**32 - 1]
    wanted = [np.random.default_rng([seed, epoch, index]).random(9) for index in indices]
    np.testing.assert_array_equal(uniforms(seed, epoch, indices, 9), wanted)


def test_the_affine_map_agrees_with_pillow(rng):
    """Pillow counts from the corner of a pixel, x first, and makes the outside black, so the inside is compared."""
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    image = np.asarray(coarse.resize((40, 30), Image.Resampling.BICUBIC))
    m = matrix_of(Augmentation(20, 0.05, 0.05, 10, 0.1), 0.8, 30, 40)
    x0, y0 = m[1, 2] + 0.5 - 0.5 * (m[1, 0] + m[1, 1]), m[0, 2] + 0.5 - 0.5 * (m[0, 0] + m[0, 1])
    data = (m[1, 1], m[1, 0], x0, m[0, 1], m[0, 0], y0)
    theirs = Image.fromarray(image).transform(
        (40, 30), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR
    )
    difference = np.abs(apply(image, m)[8:22, 10:30] * 255 - np.asarray(theirs, float)[8:22, 10:30])
    assert difference.max() <= 1.01  # Pillow rounds to bytes


def test_resizing_agrees_with_a_mean_and_with_pillow(rng):
    """At half the size each pixel is the mean of four; at three times the size it agrees with Pillow's filter."""
    image = rng.integers(0, 256, (8, 12, 3), dtype=np.uint8)
    half = Augmentation()(image[None], [0], size=(4, 6))[0]
    np.testing.assert_allclose(half, image.reshape(4, 2, 6, 2, 3).mean((1, 3)) / 255, atol=1e-6)
    large = Augmentation()(image[None], [0], size=(24, 36))[0]
    theirs = Image.fromarray(image).resize((36, 24), Image.Resampling.BILINEAR)
    assert np.abs(large * 255 - np.asarray(theirs, float)).max() <= 1.01


def test_crops_have_the_requested_areas_and_ratios_and_lie_inside_the_image():
    augmentation = Augmentation(crop_scale=(0.3, 0.8), crop_ratio=(0.5, 2.0))
    corner, extent = augmentation.crops(uniforms(0, 0, range(2000), DRAWS), 30, 40)
    area, ratio = extent.prod(1) / 1200, extent[:, 1] / extent[:, 0]
    assert 0.3 <= area.min() < 0.31 and 0.78 < area.max() <= 0.8
    assert 0.5 <= ratio.min() < 0.52 and 1.95 < ratio.max() <= 2.0
    assert (corner >= 0).all() and (corner + extent <= (30 + 1e-9, 40 + 1e-9)).all()
    assert (corner.min(0) < 0.1).all() and ((corner + extent).max(0) > (29.9, 39.9)).all()


def test_a_crop_agrees_with_pillows_resize_of_a_box(rng):
    """The random numbers are set so that the first attempt is half the width and height, from (2, 4) on."""
    image = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    augmentation = Augmentation(crop_scale=(0.25, 0.75), crop_ratio=(4 / 3, 4 / 3))
    draws = np.full((1, DRAWS), 0.9)
    draws[0, AREAS], draws[0, RATIOS], draws[0, CROP] = 0.0, 0.5, (2 / 6, 4 / 8)
    corner, extent = augmentation.crops(draws, 12, 16)
    np.testing.assert_allclose(corner[0], (2, 4))
    np.testing.assert_allclose(extent[0], (6, 8))
    got = apply(image, augmentation.matrices(draws, (12, 16))[0])
    theirs = np.asarray(Image.fromarray(image[2:8, 4:12]).resize((16, 12), Image.Resampling.BILINEAR), float)
    assert (
        np.abs(got[1:-1, 1:-1] * 255 - theirs[1:-1, 1:-1]).max() <= 1.01
    )  # at its edges Pillow repeats pixels, and ours uses the neighbours


def test_if_no_crop_fits_the_largest_centred_crop_of_an_allowed_ratio_is_used():
    corner, extent = Augmentation(crop_scale=(0.9, 1.0)).crops(np.full((1, DRAWS), 0.7), 10, 100)
    np.testing.assert_allclose(extent[0], (10, 40 / 3))
    np.testing.assert_allclose(corner[0], (0, 50 - 20 / 3))


def test_contrast_and_saturation_follow_their_formulas(rng):
    image = rng.integers(60, 180, (7, 21, 3), dtype=np.uint8)
    b, c, s = 1.1, 0.7, 1.3
    x = b * image / 255
    grey = (x * [0.299, 0.587, 0.114]).sum(2, keepdims=True)
    x = c * x + (1 - c) * grey.mean()
    grey = (x * [0.299, 0.587, 0.114]).sum(2, keepdims=True)
    wanted = np.clip(s * x + (1 - s) * grey, 0, 1)
    augmentation = Augmentation(brightness_range=(b, b), contrast_range=(c, c), saturation_range=(s, s))
    np.testing.assert_allclose(augmentation(image[None], [0])[0], wanted, atol=2e-6)
    with pytest.raises(ShapeError, match="RGB"):
        augmentation(image[None, ..., :1], [0])


def test_cutout_is_one_grey_square():
    images = np.zeros((60, 20, 30, 3), np.uint8)
    got = Augmentation(cutout=0.4)(images, range(60))
    for x in got:
        rows, columns = np.flatnonzero(x.any((1, 2))), np.flatnonzero(x.any((0, 2)))
        assert 4 <= len(rows) <= 8 and 4 <= len(columns) <= 8
        assert (x[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == 0.5).all()
        assert (x == 0.5).sum() == 3 * len(rows) * len(columns)
    assert (got[:, 0, 0, 0] == 0.5).any() and (got[:, -1, -1, 0] == 0.5).any()


def test_without_the_compiler_the_images_are_the_same_and_nothing_warns(rng, tmp_path):
    images = rng.integers(0, 256, (2, 6, 5, 3), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=images, wanted=EVERYTHING(images, range(2)))
    code = f"""
import sys
import numpy as np
from minicnn.data import Augmentation
saved = np.load(sys.argv[1])
np.testing.assert_allclose({EVERYTHING!r}(saved["images"], range(2)), saved["wanted"], atol=1e-5)
"""
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "images.npz")]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("threads", [2, 3, 16])
def test_any_number_of_threads_gives_the_same_bits(rng, threads):
    images = rng.integers(0, 256, (11, 20, 17, 3), dtype=np.uint8)
    one = EVERYTHING(images, range(11), size=(16, 19))
    np.testing.assert_array_equal(EVERYTHING(images, range(11), size=(16, 19), threads=threads), one)


def test_read_only_images_are_accepted(tmp_path, rng):
    images = rng.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    np.save(tmp_path / "p.npy", images)
    mapped = np.load(tmp_path / "p.npy", mmap_mode="r")
    np.testing.assert_array_equal(EVERYTHING(mapped, range(3)), EVERYTHING(images, range(3)))
