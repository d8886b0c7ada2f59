"""Pixels that are shared with Pillow are those it gives as bytes, and outlive its picture."""

import gc

import numpy as np
import pytest
from PIL import Image

from minicnn.data import pixels


@pytest.fixture
def picture(rng):
    return Image.fromarray(rng.integers(0, 256, (37, 53, 3), dtype=np.uint8))


def colours(words):
    return words.copy().view(np.uint8).reshape(*words.shape, 4)[..., :3]


@pytest.mark.skipif(not hasattr(Image.Image, "__arrow_c_array__"), reason="Pillow before 11.2")
def test_they_are_shared_and_the_right_ones(picture):
    words = pixels.words(picture)
    np.testing.assert_array_equal(colours(words), np.asarray(picture))
    picture.putpixel((4, 3), (1, 2, 3))
    assert colours(words)[3, 4].tolist() == [1, 2, 3] and not words.flags.writeable


def test_they_outlive_the_picture(picture):
    wanted, words = np.array(picture), pixels.words(picture)
    del picture
    gc.collect()
    others = [Image.new("RGB", (53, 37), (n, n, n)) for n in range(50)]
    np.testing.assert_array_equal(colours(words), wanted)
    assert len(others) == 50


def test_where_they_cannot_be_shared_they_are_copied(picture, monkeypatch):
    def several_pieces(image):
        raise ValueError("Image is in multiple array blocks")

    monkeypatch.setattr(Image.Image, "__arrow_c_array__", several_pieces, raising=False)
    np.testing.assert_array_equal(colours(pixels.words(picture)), np.asarray(picture))


def test_a_picture_that_pillow_keeps_in_several_pieces(rng):
    large = Image.new("RGB", (3000, 3000))  # 36 MB; its blocks have 16
    large.paste(Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)), (2900, 2950))
    np.testing.assert_array_equal(colours(pixels.words(large)), np.asarray(large))
