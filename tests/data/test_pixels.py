"""Tests of packed_rgb: pixels shared with Pillow are correct, and stay valid after its image is deleted."""

import gc

import numpy as np
import pytest
from PIL import Image

from minicnn.data import pixels


@pytest.fixture
def image(rng):
    return Image.fromarray(rng.integers(0, 256, (37, 53, 3), dtype=np.uint8))


def colours(words):
    return words.copy().view(np.uint8).reshape(*words.shape, 4)[..., :3]


@pytest.mark.skipif(not hasattr(Image.Image, "__arrow_c_array__"), reason="Pillow before 11.2")
def test_pixels_are_shared_with_pillow(image):
    words = pixels.packed_rgb(image)
    np.testing.assert_array_equal(colours(words), np.asarray(image))
    image.putpixel((4, 3), (1, 2, 3))
    assert colours(words)[3, 4].tolist() == [1, 2, 3] and not words.flags.writeable


def test_pixels_stay_valid_after_the_image_is_deleted(image):
    wanted, words = np.array(image), pixels.packed_rgb(image)
    del image
    gc.collect()
    others = [Image.new("RGB", (53, 37), (n, n, n)) for n in range(50)]
    np.testing.assert_array_equal(colours(words), wanted)
    assert len(others) == 50


def test_pixels_that_cannot_be_shared_are_copied(image, monkeypatch):
    def several_blocks(image):
        raise ValueError("Image is in multiple array blocks")

    monkeypatch.setattr(Image.Image, "__arrow_c_array__", several_blocks, raising=False)
    np.testing.assert_array_equal(colours(pixels.packed_rgb(image)), np.asarray(image))


def test_an_image_that_pillow_stores_in_several_blocks(rng):
    large = Image.new("RGB", (3000, 3000))  # 36 MB; its blocks have 16
    large.paste(Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)), (2900, 2950))
    np.testing.assert_array_equal(colours(pixels.packed_rgb(large)), np.asarray(large))
