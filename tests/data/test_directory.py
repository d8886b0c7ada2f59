"""Tests of from_directory: the content of the loaders, the split, and the arguments that are refused."""

import io

import numpy as np
import pytest
from PIL import Image

import minicnn as mc
from minicnn import ArgumentError, DataError, data
from minicnn.data import from_directory

QUICK = {"image_size": 8, "cache": False, "verbose": False}


def make(folder, *names, grey=None):
    """Write images of one grey value: 10 times the place of the class in the alphabet, plus the image's number."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        value = 10 * (ord(path.parent.name[0]) - ord("a")) + int(path.stem) if grey is None else grey
        Image.new("RGB", (9, 9), (value, value, value)).save(path)
    return folder


@pytest.fixture
def photos(tmp_path):
    return make(
        tmp_path / "photos", *(f"{name}/{n}.png" for name in ("bird", "cat", "dog") for n in range(5))
    )


def greys(loader):
    """The grey values of the images by class name, from the pixels alone."""
    out = {}
    for x, y, _ in loader.unshuffled():
        for image, label in zip(x, y, strict=True):
            out.setdefault(loader.class_names[int(label)], []).append(round(float(image.mean()) * 255))
    return {name: sorted(values) for name, values in out.items()}


def test_without_a_split_there_is_one_loader_of_all_images(photos):
    loader = from_directory(photos, **QUICK)
    assert isinstance(loader, data.Loader) and loader.shuffle and loader.samples == 15
    assert greys(loader) == {
        name: [10 * k + n for n in range(5)] for name, k in (("bird", 1), ("cat", 2), ("dog", 3))
    }
    assert loader.preprocessing == data.Preprocessing(8, 8, draft=2)
    x, y = next(iter(loader))
    assert x.shape == (15, 8, 8, 3) and x.dtype == np.float32 and y.shape == (15,)


def test_a_split_takes_its_share_of_each_class_and_each_image_once(photos):
    train, validation = from_directory(photos, validation_split=0.2, seed=0, **QUICK)
    assert train.shuffle and not validation.shuffle
    assert [len(v) for v in greys(train).values()] == [4, 4, 4]
    assert [len(v) for v in greys(validation).values()] == [1, 1, 1]
    assert {*train.names} | {*validation.names} == set(photos.rglob("*.png"))
    assert not {*train.names} & {*validation.names}
    again, _ = from_directory(photos, validation_split=0.2, seed=0, **QUICK)
    assert again.names == train.names
    others = [from_directory(photos, validation_split=0.2, seed=seed, **QUICK)[1].names for seed in (1, 2, 3)]
    assert any(names != validation.names for names in others)


def test_seed_none_gives_a_new_split_each_time(photos):
    splits = {
        tuple(from_directory(photos, validation_split=0.4, seed=None, **QUICK)[1].names) for _ in range(6)
    }
    assert len(splits) > 1


def test_subset_returns_one_of_the_two_loaders(photos):
    both = from_directory(photos, validation_split=0.4, subset="both", **QUICK)
    for subset, wanted in zip(("training", "validation"), both, strict=True):
        assert from_directory(photos, validation_split=0.4, subset=subset, **QUICK).names == wanted.names


@pytest.mark.parametrize("names", [("train", "validation"), ("Train", "Val"), ("training_set", "test_set")])
def test_a_folder_that_is_already_divided_keeps_its_parts(tmp_path, names):
    make(tmp_path, *(f"{names[0]}/{name}/{n}.png" for name in ("cat", "dog") for n in range(3)))
    make(tmp_path, *(f"{names[1]}/{name}/7.png" for name in ("cat", "dog")))
    train, validation = from_directory(tmp_path, **QUICK)
    assert greys(train) == {"cat": [20, 21, 22], "dog": [30, 31, 32]}
    assert greys(validation) == {"cat": [27], "dog": [37]}
    with pytest.raises(ArgumentError, match="validation_split.*Leave it out"):
        from_directory(tmp_path, validation_split=0.2, **QUICK)


def test_a_validation_folder_that_lacks_a_class_keeps_the_class_numbers(tmp_path, photos):
    other = make(tmp_path / "other", "Cats/1.png", "dog/1.png")
    train, validation = from_directory(photos, validation=other, **QUICK)
    assert validation.class_names == train.class_names == ["bird", "cat", "dog"]
    assert validation.y.tolist() == [1, 2]
    with pytest.raises(DataError, match="classes among bird, cat, dog, received eel"):
        from_directory(photos, validation=make(other, "eel/1.png"), **QUICK)


@pytest.mark.parametrize("inside", ["val", "holdout", "cat/holdout"])
def test_a_validation_folder_inside_the_data_is_not_trained_on(photos, inside):
    make(photos, *(f"{inside}/{name}/9.png" for name in ("cat", "dog")))
    train, validation = from_directory(photos, validation=photos / inside, **QUICK)
    assert train.class_names == ["bird", "cat", "dog"] and train.samples == 15
    assert greys(validation) == {"cat": [29], "dog": [39]}
    assert not {*train.names} & {*validation.names}


def test_augmentation_and_mixup_apply_only_to_training(photos):
    change = data.Augmentation(rotation_range=20)
    train, validation = from_directory(
        photos,
        validation_split=0.4,
        batch_size=2,
        augmentation=change,
        mixup=0.2,
        scale=False,
        seed=4,
        **QUICK,
    )
    assert (train.batch_size, train.augmentation, train.mixup, train.seed) == (2, change, 0.2, 4)
    assert (validation.batch_size, validation.augmentation, validation.mixup) == (2, None, 0)
    assert next(iter(train))[1].shape == (2, 3), "labels of three classes are blended as rows"
    x, y, _ = next(validation.unshuffled())
    assert y.shape == (2,) and x.max() > 1
    assert train.scale is validation.scale is False


def test_class_names_set_the_order_of_the_classes(photos):
    loader = from_directory(photos, class_names=["dog", "cat", "bird"], **QUICK)
    assert loader.class_names == ["dog", "cat", "bird"] and greys(loader)["dog"] == [30, 31, 32, 33, 34]
    assert set(loader.y[:5]) == {2}, "files stay sorted by name"


def test_label_modes(photos, tmp_path):
    rows = from_directory(photos, label_mode="categorical", **QUICK)
    x, y = next(iter(rows))
    assert y.shape == (15, 3) and (y.sum(1) == 1).all()
    with pytest.raises(ArgumentError, match='"binary": expected two classes, received bird, cat, dog'):
        from_directory(photos, label_mode="binary", **QUICK)
    two = make(tmp_path / "two", "cat/1.png", "dog/1.png")
    assert sorted(next(iter(from_directory(two, label_mode="binary", **QUICK)))[1].tolist()) == [0, 1]


def test_bad_files_are_left_out_and_reported(photos, capsys):
    (photos / "cat" / "bad.jpg").write_bytes(b"<html>")
    (photos / "cat" / "notes.txt").write_text("x")
    loader = from_directory(photos, image_size=8, cache=False)
    assert loader.samples == 15 and [error.where for error in loader.bad] == [str(photos / "cat" / "bad.jpg")]
    text = capsys.readouterr().out
    assert "Found 16 files belonging to 3 classes: bird, cat, dog" in text
    assert "Left out: " in text and "received a page of HTML" in text
    assert "files of other kinds: 1 .txt" in text
    with pytest.raises(DataError, match=r"bad\.jpg"):
        from_directory(photos, skip_bad=False, **QUICK)
    from_directory(photos, **QUICK)
    assert capsys.readouterr().out == ""


def test_names_that_the_terminal_cannot_show_are_printed_with_escapes(photos, monkeypatch):
    (photos / "cat").rename(photos / "猫")
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", stream)
        assert from_directory(photos, image_size=8, cache=False).class_names == ["bird", "dog", "猫"]
    assert b"3 classes: bird, dog, \\u732b" in stream.buffer.getvalue()


def test_a_class_with_only_bad_files_is_refused(photos):
    for path in (photos / "dog").iterdir():
        path.write_bytes(b"<html>")
    with pytest.raises(DataError, match="dog: expected images that can be read, received none"):
        from_directory(photos, **QUICK)


def test_the_second_time_images_come_from_the_cache(photos, tmp_path, monkeypatch):
    cache = data.ImageCache(tmp_path / "cache")
    first = from_directory(photos, image_size=8, cache=cache, verbose=False)
    monkeypatch.setattr("minicnn.data.reading.decode", None)
    second = from_directory(photos, image_size=8, cache=cache, verbose=False)
    np.testing.assert_array_equal(first.x, second.x)


@pytest.mark.parametrize(
    "wrong",
    [
        {"image_size": 0},
        {"image_size": "64"},
        {"image_size": (8, 8, 3)},
        {"batch_size": "32"},
        {"validation_split": 0},
        {"validation_split": 1},
        {"validation_split": "0.2"},
        {"validation_split": True},
        {"validation_split": 0.2, "validation": "."},
        {"validation_split": 0.2, "seed": -1},
        {"subset": "test", "validation_split": 0.2},
        {"subset": "training"},
        {"label_mode": "one-hot"},
        {"label_mode": None},
        {"shuffle": "no"},
        {"augmentation": True},
        {"mixup": None},
        {"class_names": "bird"},
        {"cache": "yes"},
        {"scale": 255},
        {"skip_bad": "no"},
        {"verbose": 2},
    ],
)
def test_wrong_arguments_are_refused_before_a_file_is_read(photos, wrong, monkeypatch):
    monkeypatch.setattr("minicnn.data.reading.decode", None)
    with pytest.raises(ArgumentError):
        from_directory(photos, **(QUICK | wrong))


def test_validation_images_that_include_the_training_images_are_refused(photos):
    for same in (photos, str(photos), photos / "cat" / "..", photos.parent):
        with pytest.raises(ArgumentError, match="other images"):
            from_directory(photos, validation=same, **QUICK)


def test_missing_folders_and_wrong_paths_are_refused(tmp_path, photos):
    for arguments in ((tmp_path / "none",), (photos / "cat" / "1.png",)):
        with pytest.raises(DataError, match="expected a folder of images"):
            from_directory(*arguments, **QUICK)
    with pytest.raises(DataError, match="nothing there"):
        from_directory(photos, validation=tmp_path / "none", **QUICK)
    with pytest.raises(ArgumentError, match="folder: expected a path"):
        from_directory(None, **QUICK)


def test_a_tilde_in_the_path_is_the_home_folder(photos, monkeypatch):
    monkeypatch.setenv("HOME", str(photos.parent))
    monkeypatch.setenv("USERPROFILE", str(photos.parent))
    assert from_directory("~/photos", **QUICK).samples == 15


def test_from_a_folder_to_a_trained_model(tmp_path):
    photos = tmp_path / "photos"
    for k in range(12):
        make(photos, f"dark/{k}.png", grey=20 + k)
        make(photos, f"light/{k}.png", grey=200 + k)
    train, validation = from_directory(photos, validation_split=0.25, batch_size=4, seed=0, **QUICK)
    model = mc.Sequential([mc.Flatten(), mc.Dense(1), mc.Sigmoid()]).build(train.input_shape, seed=0)
    model.compile(mc.Adam(0.02), metrics=["accuracy"])
    model.fit(train, validation_data=validation, epochs=20, verbose=0)
    assert model.evaluate(validation)["accuracy"] == 1
