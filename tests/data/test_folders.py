"""Tests of finding images: both layouts, refused folders, notes on what is left out, and splits."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import ArgumentError, DataError
from minicnn.data import ImageFiles, find_images, find_train_and_validation, keras_split, split


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def test_one_folder_per_class(tmp_path):
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
    files = find_images(tmp_path)
    assert files.class_names == ["cats", "dogs"]
    assert [path.relative_to(tmp_path).as_posix() for path in files.paths] == [
        "cats/a.png",
        "cats/deep/b.jpeg",
        "dogs/10.JPG",
        "dogs/2.jpg",
    ]
    assert files.labels.tolist() == [0, 0, 1, 1]
    assert str(files) == "Found 4 files belonging to 2 classes: cats, dogs"


def test_the_class_at_the_start_of_the_file_name(tmp_path):
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
    files = find_images(tmp_path)
    assert files.class_names == ["bird", "cat", "dog"]
    assert [path.name for path in files.paths] == ["bird_3.png", "cat.0.jpg", "cat.10.jpg", "dog.1.jpg"]
    assert sorted(path.name for path in files.unlabelled) == ["Maine Coon (2).jpg", "portrait.jpg"]


def test_an_accent_may_be_stored_as_a_separate_character(tmp_path):
    make(tmp_path, "Ku\u0308he.1.jpg", "K\u00fche.2.jpg", "Hund (3).jpg")
    files = find_images(tmp_path)
    assert files.class_names == ["Hund", "K\u00fche"] and files.labels.tolist() == [0, 1, 1]
    assert find_images(tmp_path, ["hund", "ku\u0308he"]).labels.tolist() == [0, 1, 1]


def test_loose_images_next_to_class_folders_are_unlabelled(tmp_path):
    make(tmp_path, "cats/1.jpg", "dogs/1.jpg", "IMG_1.jpg", "photo2.jpg", "cats/.ipynb_checkpoints/1.jpg")
    files = find_images(tmp_path)
    assert files.class_names == ["cats", "dogs"] and len(files) == 2
    assert [path.name for path in files.unlabelled] == ["IMG_1.jpg", "photo2.jpg"]


def test_files_are_in_the_same_order_as_in_keras(tmp_path):
    """A folder's own files come before those of its subfolders, and capitals before small letters."""
    make(tmp_path, "a/b/1.jpg", "a/c.jpg", "a/Z.jpg", "a/b.jpg", "d/1.jpg")
    names = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path).paths]
    assert names == ["a/Z.jpg", "a/b.jpg", "a/c.jpg", "a/b/1.jpg", "d/1.jpg"]


def test_classes_of_a_model_are_matched_by_name_ignoring_plurals(tmp_path):
    make(tmp_path, "Dogs/1.jpg", "cat/1.jpg")
    files = find_images(tmp_path, ["dog", "cat"])
    assert files.class_names == ["dog", "cat"] and files.labels.tolist() == [0, 1]
    only = find_images(make(tmp_path / "one", "dog.1.jpg"), ["cat", "dog"])
    assert only.labels.tolist() == [1]
    with pytest.raises(DataError, match="classes among dog, bird, received cat"):
        find_images(tmp_path, ["dog", "bird"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "none. Check the path"),
        (("cats/1.jpg",), "at least two classes, received one, cats"),
        (("cat.1.jpg", "cat.2.jpg"), "at least two classes, received one, cat"),
        (("cats/1.jpg", "dogs/Thumbs.db"), "dogs: expected images of that class, received none"),
        (("train/cats/1.jpg", "validation/cats/1.jpg"), "Give one of them"),
        (("portrait.jpg",), "received portrait.jpg. Check the path and the files' names"),
    ],
)
def test_unusable_folders_are_refused_with_a_reason(tmp_path, names, message):
    with pytest.raises(DataError, match=message):
        find_images(make(tmp_path, *names))


def test_a_missing_folder_and_a_file_get_different_messages(tmp_path):
    with pytest.raises(DataError, match="nothing there. Check the path"):
        find_images(tmp_path / "none")
    make(tmp_path, "file")
    with pytest.raises(DataError, match="received a file"):
        find_images(tmp_path / "file")


@pytest.mark.parametrize(
    ("train", "validation"), [("train", "validation"), ("training_set", "test_set"), ("train", "val")]
)
def test_a_folder_with_a_training_and_a_validation_part(tmp_path, train, validation):
    make(tmp_path, f"{train}/cats/1.jpg", f"{validation}/cats/1.jpg")
    assert find_train_and_validation(tmp_path) == (tmp_path / train, tmp_path / validation)
    assert find_train_and_validation(tmp_path / train) == (tmp_path / train, None)


def listing(*counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    return ImageFiles(
        [Path(f"{n:03}") for n in range(len(labels))], labels, [f"class {k}" for k in range(len(counts))]
    )


@given(st.lists(st.integers(2, 30), min_size=2, max_size=4), st.floats(0.01, 0.99), st.integers(0, 99))
def test_split_divides_each_class_and_keeps_every_file(counts, fraction, seed):
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


def test_split_refuses_a_class_with_one_image():
    with pytest.raises(DataError, match="class 1: expected at least 2 images"):
        split(listing(5, 1), 0.2)
    for fraction in (0, 1, -0.1):
        with pytest.raises(ArgumentError):
            split(listing(5, 5), fraction)


@given(st.integers(2, 40), st.integers(2, 40), st.floats(0.05, 0.9), st.integers(0, 9999))
def test_keras_split_is_the_split_of_keras(cats, dogs, fraction, seed):
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


def test_files_of_other_kinds_are_counted_by_extension(tmp_path):
    make(
        tmp_path,
        "cat/1.jpg",
        "cat/1.HEIC",
        "cat/2.heic",
        "dog/1.jpg",
        "dog/noending",
        "dog/x.jpg_large",
        ".x",
        "a.md",
    )
    (line,) = find_images(tmp_path).notes
    assert line == "Left out, files of other kinds: 1 without an ending, 2 .heic, 1 .jpg_large, 1 .md"


def test_all_formats_that_pillow_reads_are_found(tmp_path, rng):
    from PIL import Image, features

    image = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    endings = ["ppm", "pgm", "jpe", "jfif", "tga", "mpo", "PNG", "bmp"]
    endings += ["jp2"] if features.check("jpg_2000") else []
    endings += ["avif"] if ".avif" in Image.registered_extensions() and "avif" in features.modules else []
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for ending in endings:
            image.save(tmp_path / name / f"1.{ending}", "JPEG" if ending == "mpo" else None)
    assert len(find_images(tmp_path)) == 2 * len(endings)


@pytest.mark.parametrize(
    "tool",
    [
        "@eaDir", "#recycle", "@Recycle", "$RECYCLE.BIN", "lost+found", "System Volume Information", "Thumbnails",
        "__MACOSX", ".ipynb_checkpoints",
    ],
)  # fmt: skip
def test_folders_made_by_tools_are_skipped(tmp_path, tool):
    make(tmp_path, "cat/1.jpg", "dog/1.jpg", f"{tool}/1.jpg", f"cat/{tool}/2.jpg", f"cat/deep/{tool}/3.jpg")
    files = find_images(tmp_path)
    assert files.class_names == ["cat", "dog"] and len(files) == 2 and not files.notes


def test_folders_without_images_are_skipped_and_noted(tmp_path):
    make(tmp_path, "cat/1.jpg", "dog/1.jpg", "annotations/1.txt", "empty/x/y").joinpath("empty/x/y").unlink()
    files = find_images(tmp_path)
    assert files.class_names == ["cat", "dog"]
    assert "Left out, folders without images: annotations, empty" in files.notes


def test_identical_class_names_are_matched_before_similar_ones(tmp_path):
    make(tmp_path, *(f"{name}/1.jpg" for name in ("dog", "dogs", "A", "a", "cat")))
    files = find_images(tmp_path)
    again = find_images(tmp_path, files.class_names)
    assert again.labels.tolist() == files.labels.tolist() == [0, 1, 2, 3, 4]
    assert "Classes A and a differ only in capitals: rename them if they are one class" in files.notes
    other = find_images(make(tmp_path / "other", "DOGS/1.jpg", "Cats/1.jpg"), files.class_names)
    assert [files.class_names[k] for k in other.labels] == ["cat", "dogs"]
    with pytest.raises(DataError, match="classes among A, a"):
        find_images(make(tmp_path / "unclear", "as/1.jpg", "cat/1.jpg"), ["A", "a", "cat"])


def test_class_names_that_differ_only_in_capitals_are_noted(tmp_path):
    make(tmp_path, "Cat_1.png", "cat_2.png", "dog_2.png", "DOG_3.png")
    assert [line.split(" differ")[0] for line in find_images(tmp_path).notes] == [
        "Classes Cat and cat", "Classes DOG and dog"
    ]  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_are_followed_and_dead_links_are_noted(tmp_path):
    photos = make(tmp_path / "photos", "cat/1.jpg", "dog/1.jpg", "bird/1.jpg")
    make(tmp_path / "more", "2.jpg", "3.jpg")
    (photos / "cat" / "more").symlink_to(tmp_path / "more")
    (photos / "cat" / "round").symlink_to(photos / "cat")
    (photos / "cat" / "up").symlink_to(photos)
    (photos / "dog" / "x.jpg").symlink_to("nowhere.jpg")
    (photos / "eel").symlink_to(tmp_path / "nowhere")
    files = find_images(photos)
    assert files.class_names == ["bird", "cat", "dog"] and files.labels.tolist() == [0, 1, 1, 1, 2]
    (line,) = files.notes
    assert line == f"Left out, links to nothing: {photos / 'dog' / 'x.jpg'}, {photos / 'eel'}"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may open every folder")
def test_folders_that_cannot_be_opened_are_noted(tmp_path):
    locked = make(tmp_path, "cat/1.jpg", "dog/1.jpg", "cat/private/2.jpg") / "cat" / "private"
    locked.chmod(0)
    try:
        assert (
            f"folders that cannot be opened: {locked} (Permission denied)" in find_images(tmp_path).notes[0]
        )
    finally:
        locked.chmod(0o700)


def test_folders_that_cannot_be_opened_are_noted_with_a_mocked_error(tmp_path, monkeypatch):
    make(tmp_path, "cat/1.jpg", "dog/1.jpg", "cat/private/2.jpg")
    scan = os.scandir

    def locked(name):
        def scandir(path):
            if Path(path).name == name:
                raise PermissionError(13, "Permission denied")
            return scan(path)

        return scandir

    monkeypatch.setattr("minicnn.data.walking.os.scandir", locked("private"))
    files = find_images(tmp_path)
    assert len(files) == 2
    assert files.notes == [
        f"Left out, folders that cannot be opened: {tmp_path / 'cat' / 'private'} (Permission denied)"
    ]
    monkeypatch.setattr("minicnn.data.walking.os.scandir", locked("dog"))
    with pytest.raises(DataError, match=r"dog: .* cannot be opened \(Permission denied\)"):
        find_images(tmp_path)
    monkeypatch.setattr("minicnn.data.walking.os.scandir", locked(tmp_path.name))
    with pytest.raises(DataError, match="cannot be opened"):
        find_images(tmp_path)


def test_class_names_of_two_words_and_file_names_of_cameras(tmp_path):
    make(
        tmp_path,
        *(f"american_bulldog_{n}.jpg" for n in range(3)),
        "Siamese_1.jpg",
        "IMG_1.jpg",
        "DSC_2.jpg",
        "x.jpg",
    )
    files = find_images(tmp_path)
    assert files.class_names == ["Siamese", "american_bulldog"] and files.labels.tolist() == [0, 1, 1, 1]
    assert files.notes == ["Left out, no class in their names: 3 (DSC_2.jpg, IMG_1.jpg, x.jpg)"]
    with pytest.raises(DataError, match="named cat.0.jpg, received DSC_2.jpg, IMG_1.jpg"):
        find_images(make(tmp_path / "camera", "IMG_1.jpg", "DSC_2.jpg"))


def test_images_next_to_class_folders_are_noted(tmp_path):
    make(tmp_path, "cat/1.jpg", "dog/1.jpg", *(f"cat.{n}.jpg" for n in range(9)))
    files = find_images(tmp_path)
    assert len(files) == 2 and len(files.unlabelled) == 9
    assert files.notes == [
        "Left out, next to the folders of the classes: 9 (cat.0.jpg, cat.1.jpg, cat.2.jpg and 6 more)"
    ]


def test_a_folder_that_only_holds_one_folder_is_entered(tmp_path):
    for name, inner in (("a", "pets"), ("b", "pets/pets"), ("c", "PetImages")):
        make(tmp_path / name, f"{inner}/cat/1.jpg", f"{inner}/dog/1.jpg", "readme.txt")
        files = find_images(tmp_path / name)
        assert files.class_names == ["cat", "dog"] and len(files) == 2
        assert files.notes[0].startswith(f"Looking in {tmp_path / name / inner}, the only folder")
    flat = make(tmp_path / "flat", "pets/cat.1.jpg", "pets/dog.1.jpg")
    assert find_images(flat).class_names == ["cat", "dog"]
    one = make(tmp_path / "one", "dogs/big/1.jpg", "dogs/small/1.jpg")
    assert find_images(one, ["cat", "dog"]).labels.tolist() == [1, 1], "dogs is a class of the model"
    both = make(
        tmp_path / "both",
        *(f"{part}/{part}/{name}/1.jpg" for part in ("training_set", "test_set") for name in "ab"),
    )
    for part in find_train_and_validation(both):
        assert find_images(part).class_names == ["a", "b"]


def test_a_test_part_without_classes_is_not_used_for_validation(tmp_path):
    for name in ("test", "test1"):
        folder = make(tmp_path / name, "train/cat.0.jpg", "train/dog.0.jpg", f"{name}/1.jpg", f"{name}/2.jpg")
        assert find_train_and_validation(folder) == (folder / "train", None)


def test_the_names_of_parts_may_have_capitals(tmp_path):
    for train, validation in (("Train", "Val"), ("train", "Validation"), ("TRAINING", "Test")):
        folder = make(
            tmp_path / train / validation, f"{train}/a/1.jpg", f"{train}/b/1.jpg", f"{validation}/a/1.jpg"
        )
        assert find_train_and_validation(folder) == (folder / train, folder / validation)
        with pytest.raises(DataError, match=f"Give one of them, for example .*{train}"):
            find_images(folder)


@pytest.mark.parametrize("names", [("valid", "invalid"), ("train", "bus", "car"), ("train", "test")])
def test_classes_may_have_the_names_of_parts(tmp_path, names):
    make(tmp_path, *(f"{name}/{n}.jpg" for name in names for n in range(2)))
    assert find_train_and_validation(tmp_path) == (tmp_path, None)
    assert find_images(tmp_path).class_names == sorted(names)


def test_a_path_that_is_not_a_folder_is_refused_with_a_repair(tmp_path):
    make(tmp_path, "pets.zip", "cat.jpg")
    for wrong, message in (
        (tmp_path / "pets.zip", "a file. Unpack it first"),
        (tmp_path / "cat.jpg", "Check the path"),
        ("https://example.org/pets", "https://example.org/pets: .* an address on the web. Download it first"),
    ):
        with pytest.raises(DataError, match=message):
            find_images(wrong)
    for wrong in (None, 5, ["a"]):
        with pytest.raises(ArgumentError, match="folder: expected a path"):
            find_images(wrong)
    with pytest.raises(ArgumentError, match="class_names"):
        find_images(tmp_path, "cat")


def test_a_tilde_in_the_path_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    make(tmp_path, "pets/cat/1.jpg", "pets/dog/1.jpg")
    assert len(find_images("~/pets")) == 2
    assert find_train_and_validation("~/pets") == (tmp_path / "pets", None)
