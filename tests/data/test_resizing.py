"""Tests of resize against its definition in floating point, and against Pillow's bilinear filter."""

import numpy as np
import pytest
from PIL import Image

from minicnn.data import resizing
from minicnn.data.resizing import means, resize

SIZES = [((9, 7), (9, 7)), ((40, 61), (13, 20)), ((5, 4), (17, 9)), ((200, 3), (1, 8)), ((1, 1), (4, 5))]


def packed(image):
    wide = np.concatenate([image, np.full_like(image[..., :1], 170)], 2)
    return np.ascontiguousarray(wide).view("<u4")[..., 0]


def triangle(old, extent, new):
    """The matrix (new, old) of weights that decrease linearly from the centre of an output pixel."""
    matrix = np.zeros((new, old))
    step = extent / new
    reach = max(step, 1)
    for i in range(new):
        for k in range(old):
            matrix[i, k] = max(0, 1 - abs((k + 0.5) - (i + 0.5) * step) / reach)
    return matrix / matrix.sum(1, keepdims=True)


@pytest.mark.parametrize(("old", "new"), SIZES)
@pytest.mark.parametrize("cut", [0, 0.625])
def test_each_pixel_is_the_weighted_mean_of_the_definition(rng, old, new, cut):
    image = rng.choice(np.array([0, 90, 255], np.uint8), (*old, 3))
    extent = old[0] - cut, old[1] - cut
    wanted = np.einsum(
        "hH,wW,HWc->hwc", *(triangle(*sizes) for sizes in zip(old, extent, new, strict=True)), image
    )
    got = resize(packed(image), *new, extent)
    assert got.shape == (*new, 3) and got.dtype == np.uint8
    assert np.abs(got - wanted).max() < 1.1  # rounded twice, by weights of 13 bits


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_the_result_agrees_with_pillow_to_two_levels(rng, old, new):
    image = rng.integers(0, 256, (*old, 3), dtype=np.uint8)
    wanted = np.asarray(Image.fromarray(image).resize(new[::-1], Image.Resampling.BILINEAR), int)
    apart = np.abs(resize(packed(image), *new) - wanted)
    assert apart.max() <= 2 and apart.mean() < 0.3


def test_colours_do_not_overflow_into_each_other():
    """The largest possible sums next to the smallest."""
    for colours in ((255, 255, 255), (255, 0, 255), (0, 255, 0), (0, 0, 0)):
        image = np.full((33, 47, 3), colours, np.uint8)
        assert (resize(packed(image), 10, 60) == colours).all()


def test_the_weights_are_integers_that_add_up_to_2_13():
    for old, extent, new in ((500, 500, 64), (64, 63.5, 150), (3, 3, 1), (4000, 4000, 7)):
        first, weights = means(old, extent, new)
        assert (weights.sum(1) == 1 << 13).all() and weights.max() <= 1 << 13
        assert first.min() >= 0 and first.max() + weights.shape[1] <= old


def test_weights_for_long_sides_are_not_cached():
    """A thousand of them would be a gigabyte."""
    kept = resizing._cached_means.cache_info().currsize
    for old in (9000, 65_535):
        first, weights = means(old, old, 64)
        assert (weights.sum(1) == 1 << 13).all() and first.max() + weights.shape[1] <= old
        assert weights.nbytes < 3e6
    assert resizing._cached_means.cache_info().currsize == kept
    assert means(500, 499.5, 64) is means(500, 499.5, 64)


def test_the_longest_sides_are_resized_in_both_directions():
    """An image of 1 x 65,535 pixels and one of 65,535 x 1, to one pixel and to many."""
    for shape in ((1, 65_535), (65_535, 1)):
        pixels = np.full(shape, 0x030201, np.uint32)
        for size in ((1, 1), (64, 64), (4096, 1)):
            assert (resize(pixels, *size) == (1, 2, 3)).all()
