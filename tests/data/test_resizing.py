"""Resizing against its definition in real numbers, and against Pillow's filter of the same name."""

import numpy as np
import pytest
from PIL import Image

from minicnn.data import resizing
from minicnn.data.resizing import means, resize

SIZES = [((9, 7), (9, 7)), ((40, 61), (13, 20)), ((5, 4), (17, 9)), ((200, 3), (1, 8)), ((1, 1), (4, 5))]


def packed(picture):
    wide = np.concatenate([picture, np.full_like(picture[..., :1], 170)], 2)
    return np.ascontiguousarray(wide).view("<u4")[..., 0]


def triangle(old, extent, new):
    """The matrix (new, old) of weights that fall in a straight line from the middle of a new pixel."""
    matrix = np.zeros((new, old))
    step = extent / new
    reach = max(step, 1)
    for i in range(new):
        for k in range(old):
            matrix[i, k] = max(0, 1 - abs((k + 0.5) - (i + 0.5) * step) / reach)
    return matrix / matrix.sum(1, keepdims=True)


@pytest.mark.parametrize(("old", "new"), SIZES)
@pytest.mark.parametrize("cut", [0, 0.625])
def test_each_pixel_is_the_mean_of_its_definition(rng, old, new, cut):
    picture = rng.choice(np.array([0, 90, 255], np.uint8), (*old, 3))
    extent = old[0] - cut, old[1] - cut
    wanted = np.einsum(
        "hH,wW,HWc->hwc", *(triangle(*sizes) for sizes in zip(old, extent, new, strict=True)), picture
    )
    got = resize(packed(picture), *new, extent)
    assert got.shape == (*new, 3) and got.dtype == np.uint8
    assert np.abs(got - wanted).max() < 1.1  # rounded twice, by weights of 13 bits


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_it_is_pillows_filter_to_two_roundings(rng, old, new):
    picture = rng.integers(0, 256, (*old, 3), dtype=np.uint8)
    wanted = np.asarray(Image.fromarray(picture).resize(new[::-1], Image.Resampling.BILINEAR), int)
    apart = np.abs(resize(packed(picture), *new) - wanted)
    assert apart.max() <= 2 and apart.mean() < 0.3


def test_colours_do_not_reach_into_each_other():
    """The largest sums there are, beside the smallest."""
    for colours in ((255, 255, 255), (255, 0, 255), (0, 255, 0), (0, 0, 0)):
        picture = np.full((33, 47, 3), colours, np.uint8)
        assert (resize(packed(picture), 10, 60) == colours).all()


def test_weights_are_whole_and_add_up():
    for old, extent, new in ((500, 500, 64), (64, 63.5, 150), (3, 3, 1), (4000, 4000, 7)):
        first, weights = means(old, extent, new)
        assert (weights.sum(1) == 1 << 13).all() and weights.max() <= 1 << 13
        assert first.min() >= 0 and first.max() + weights.shape[1] <= old


def test_weights_of_long_sides_are_not_kept():
    """A thousand of them would be a gigabyte."""
    kept = resizing._cached_means.cache_info().currsize
    for old in (9000, 65_535):
        first, weights = means(old, old, 64)
        assert (weights.sum(1) == 1 << 13).all() and first.max() + weights.shape[1] <= old
        assert weights.nbytes < 3e6
    assert resizing._cached_means.cache_info().currsize == kept
    assert means(500, 499.5, 64) is means(500, 499.5, 64)


def test_a_strip_is_resized_in_the_time_of_its_pixels():
    """The longest side there may be, both ways, to one pixel and to many."""
    for shape in ((1, 65_535), (65_535, 1)):
        pixels = np.full(shape, 0x030201, np.uint32)
        for size in ((1, 1), (64, 64), (4096, 1)):
            assert (resize(pixels, *size) == (1, 2, 3)).all()
