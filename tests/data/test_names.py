"""Tests of the earlier names in minicnn.data: each gives the new object and a DeprecationWarning."""

import pytest

from minicnn import data

EARLIER = "Pict" + "ure"


@pytest.mark.parametrize("new", ["ImageCache", "ImageFiles", "find_images", "load_images"])
def test_an_earlier_name_gives_the_new_object_and_a_warning(new):
    old = new.replace("Image", EARLIER).replace("image", EARLIER.lower())
    with pytest.warns(DeprecationWarning, match=f"minicnn.data.{old} is now minicnn.data.{new}"):
        assert getattr(data, old) is getattr(data, new)


def test_other_names_are_unknown():
    for name in ("nothing", f"{EARLIER}s", EARLIER.lower()):
        with pytest.raises(AttributeError, match=f"minicnn.data.* has no attribute {name!r}"):
            getattr(data, name)
