"""Folders: both layouts, what is refused, limits, and splits (Keras's against its own words in code)."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import ArgumentError, DataError
from minicnn.data import PictureFiles, find_pictures, find_train_and_validation, keras_split, split


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def test_a_folder_a_class(tmp_path):
    make(
        tmp_path,
        "dogs/2.jpg",
        "dogs/10.JPG",
        "cats/a.png",
        "cats/deep/b.jpeg",
        "cats/Thumbs.db",
        "cats/._a.png",
        ".git/x.jpg",
        "notes.txt",
    )
    files = find_pictures(tmp_path)
    assert files.class_names == ["cats", "dogs"]
    assert [path.relative_to(tmp_path).as_posix() for path in files.paths] == [
        "cats/a.png",
        "cats/deep/b.jpeg",
        "dogs/10.JPG",
        "dogs/2.jpg",
    ]
    assert files.labels.tolist() == [0, 0, 1, 1]
    assert str(files) == "Found 4 files belonging to 2 classes: cats, dogs"


def test_the_class_in_front_of_the_name(tmp_path):
    make(
        tmp_path,
        "dog.1.jpg",
        "cat.0.jpg",
        "cat.10.jpg",
        "bird_3.png",
        "Maine Coon (2).jpg",
        "README.md",
        "portrait.jpg",
    )
    files = find_pictures(tmp_path)
    assert files.class_names == ["bird", "cat", "dog"]
    assert [path.name for path in files.paths] == ["bird_3.png", "cat.0.jpg", "cat.10.jpg", "dog.1.jpg"]
    assert sorted(path.name for path in files.unlabelled) == ["Maine Coon (2).jpg", "portrait.jpg"]


def test_an_accent_may_be_a_character_of_its_own(tmp_path):
    make(tmp_path, "Ku\u0308he.1.jpg", "K\u00fche.2.jpg", "Hund (3).jpg")
    files = find_pictures(tmp_path)
    assert files.class_names == ["Hund", "K\u00fche"] and files.labels.tolist() == [0, 1, 1]
    assert find_pictures(tmp_path, ["hund", "ku\u0308he"]).labels.tolist() == [0, 1, 1]


def test_loose_pictures_beside_class_folders_are_listed_not_learned(tmp_path):
    make(tmp_path, "cats/1.jpg", "dogs/1.jpg", "IMG_1.jpg", "photo2.jpg", "cats/.ipynb_checkpoints/1.jpg")
    files = find_pictures(tmp_path)
    assert files.class_names == ["cats", "dogs"] and len(files) == 2
    assert [path.name for path in files.unlabelled] == ["IMG_1.jpg", "photo2.jpg"]


def test_files_come_in_the_order_of_keras(tmp_path):
    """A folder's own files first, then its subfolders'; capitals before small letters."""
    make(tmp_path, "a/b/1.jpg", "a/c.jpg", "a/Z.jpg", "a/b.jpg", "d/1.jpg")
    names = [path.relative_to(tmp_path).as_posix() for path in find_pictures(tmp_path).paths]
    assert names == ["a/Z.jpg", "a/b.jpg", "a/c.jpg", "a/b/1.jpg", "d/1.jpg"]


def test_a_models_classes_are_matched_by_name_whatever_the_plural(tmp_path):
    make(tmp_path, "Dogs/1.jpg", "cat/1.jpg")
    files = find_pictures(tmp_path, ["dog", "cat"])
    assert files.class_names == ["dog", "cat"] and files.labels.tolist() == [0, 1]
    only = find_pictures(make(tmp_path / "one", "dog.1.jpg"), ["cat", "dog"])
    assert only.labels.tolist() == [1]
    with pytest.raises(DataError, match="classes among dog, bird, received cat"):
        find_pictures(tmp_path, ["dog", "bird"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "none. Check the path"),
        (("cats/1.jpg",), "at least two classes, received one, cats"),
        (("cat.1.jpg", "cat.2.jpg"), "at least two classes, received one, cat"),
        (("cats/1.jpg", "dogs/Thumbs.db"), "dogs: expected pictures of that class, received none"),
        (("train/cats/1.jpg", "validation/cats/1.jpg"), "Give one of them"),
        (("portrait.jpg",), "received portrait.jpg. Check the path and the files' names"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(tmp_path, names, message):
    with pytest.raises(DataError, match=message):
        find_pictures(make(tmp_path, *names))


def test_a_missing_folder_and_a_file_are_told_apart(tmp_path):
    with pytest.raises(DataError, match="nothing there. Check the path"):
        find_pictures(tmp_path / "none")
    make(tmp_path, "file")
    with pytest.raises(DataError, match="received a file"):
        find_pictures(tmp_path / "file")


@pytest.mark.parametrize(
    ("train", "validation"), [("train", "validation"), ("training_set", "test_set"), ("train", "val")]
)
def test_a_folder_that_is_divided_already(tmp_path, train, validation):
    make(tmp_path, f"{train}/cats/1.jpg", f"{validation}/cats/1.jpg")
    assert find_train_and_validation(tmp_path) == (tmp_path / train, tmp_path / validation)
    assert find_train_and_validation(tmp_path / train) == (tmp_path / train, None)


def listing(*counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    return PictureFiles(
        [Path(f"{n:03}") for n in range(len(labels))], labels, [f"class {k}" for k in range(len(counts))]
    )


@given(st.lists(st.integers(2, 30), min_size=2, max_size=4), st.floats(0.01, 0.99), st.integers(0, 99))
def test_split_divides_each_class_and_loses_nothing(counts, fraction, seed):
    files = listing(*counts)
    training, validation = split(files, fraction, seed)
    assert sorted(training.paths + validation.paths) == files.paths
    for label, count in enumerate(counts):
        held_out = (validation.labels == label).sum()
        assert 1 <= held_out <= count - 1 and (
            abs(held_out - fraction * count) <= 0.5 or held_out in (1, count - 1)
        )
    again = split(files, fraction, seed)[1]
    assert again.paths == validation.paths


def test_split_refuses_one_picture_of_a_class():
    with pytest.raises(DataError, match="class 1: expected at least 2 pictures"):
        split(listing(5, 1), 0.2)
    for fraction in (0, 1, -0.1):
        with pytest.raises(ArgumentError):
            split(listing(5, 5), fraction)


@given(st.integers(2, 40), st.integers(2, 40), st.floats(0.05, 0.9), st.integers(0, 9999))
def test_keras_split_does_what_keras_does(cats, dogs, fraction, seed):
    """Keras shuffles the list of paths and the list of labels, each with a fresh RandomState(seed), then cuts."""
    files = listing(cats, dogs)
    paths, labels = list(files.paths), files.labels.tolist()
    np.random.RandomState(seed).shuffle(paths)  # noqa: NPY002
    np.random.RandomState(seed).shuffle(labels)  # noqa: NPY002
    held_out = int(fraction * len(paths))
    training, validation = keras_split(files, fraction, seed)
    assert (
        training.paths == paths[: len(paths) - held_out]
        and validation.paths == paths[len(paths) - held_out :]
    )
    assert training.labels.tolist() + validation.labels.tolist() == labels


def test_limit_takes_the_first_of_each_class():
    files = listing(5, 2, 3).limit(2)
    assert [path.name for path in files.paths] == ["000", "001", "005", "006", "007", "008"]
    with pytest.raises(ArgumentError):
        files.limit(0)
