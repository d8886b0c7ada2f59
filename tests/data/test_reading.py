"""Many files: order, bad ones, and a cache that is used only when nothing has changed."""

import os
import re
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from minicnn import ArgumentError, DataError
from minicnn.data import PictureCache, Preprocessing, decode, load_pictures

SIZE = Preprocessing(height=8, width=12)


@pytest.fixture
def paths(tmp_path, rng):
    """40 pictures, every fifth file bad."""
    paths = [tmp_path / f"{n:02d}.bmp" for n in range(40)]
    for n, path in enumerate(paths):
        if n % 5 == 4:
            path.write_bytes(b"<html>")
        else:
            Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(path)
    return paths


@pytest.fixture
def cache(tmp_path):
    return PictureCache(tmp_path / "cache")


def right(paths):
    return np.array([decode(path, SIZE) for n, path in enumerate(paths) if n % 5 != 4])


def decoded(load, capsys):
    """What `load` gives, and whether it decoded rather than found it in the cache."""
    result, text = load(), capsys.readouterr().out
    assert re.search(r"Read \d+ pictures in .* a second|pictures from the cache in", text)
    return result, "Read" in text


def test_order_is_kept_and_bad_files_are_reported_with_and_without_a_cache(paths, cache):
    for where in (None, cache, cache):
        pictures, kept, bad = load_pictures(paths, SIZE, skip_bad=True, cache=where)
        np.testing.assert_array_equal(pictures, right(paths))
        assert kept.tolist() == [n for n in range(40) if n % 5 != 4]
        assert [error.where for error in bad] == [str(path) for path in paths[4::5]]
        with pytest.raises(DataError, match=r"04\.bmp.*HTML"):
            load_pictures(paths, SIZE, cache=where)


def test_nothing_is_kept_when_a_bad_file_ends_the_reading_or_none_can_be_read(paths, cache):
    with pytest.raises(DataError, match=r"04\.bmp"):
        load_pictures(paths, SIZE, cache=cache)
    with pytest.raises(DataError, match="none of 8"):
        load_pictures(paths[4::5], SIZE, skip_bad=True, cache=cache)
    assert not list(cache.folder.iterdir())


def test_the_second_time_nothing_is_decoded(paths, cache, capsys):
    def load():
        return load_pictures(paths, SIZE, skip_bad=True, progress=True, cache=cache)[0]

    first, read = decoded(load, capsys)
    second, read_again = decoded(load, capsys)
    assert read and not read_again
    np.testing.assert_array_equal(first, second)
    assert not second.flags.writeable


def rewrite(path):
    """Another picture of the same size in bytes, with the old time of change."""
    before = path.stat()
    Image.fromarray(np.full((9, 9, 3), 77, np.uint8)).save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


@pytest.mark.parametrize(
    "change",
    [
        lambda paths: Image.fromarray(np.full((9, 9, 3), 77, np.uint8)).save(paths[0]),
        pytest.param(
            lambda paths: rewrite(paths[1]),
            marks=pytest.mark.skipif(os.name == "nt", reason="Windows keeps no time of such a change"),
        ),
        lambda paths: paths[3].unlink(),
        lambda paths: Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(paths[4]),
        lambda paths: paths.reverse(),
        lambda paths: paths.pop(),
    ],
    ids=["other content", "other content, same times", "missing", "mended", "another order", "one fewer"],
)
def test_whatever_changes_is_decoded_again(paths, cache, change, capsys):
    def load():
        return load_pictures(paths, SIZE, skip_bad=True, progress=True, cache=cache)

    decoded(load, capsys)
    change(paths)
    (pictures, kept, _), read = decoded(load, capsys)
    assert read
    np.testing.assert_array_equal(pictures, np.array([decode(paths[n], SIZE) for n in kept]))
    assert not decoded(load, capsys)[1]


def test_a_change_right_after_the_decoding_is_seen(tmp_path, cache):
    """Faster than the clock of the file system ticks, again and again."""
    path = tmp_path / "x.bmp"
    for grey in range(30):
        Image.new("RGB", (9, 9), (grey, grey, grey)).save(path)
        assert load_pictures([path], SIZE, cache=cache)[0].max() == grey


def test_another_preprocessing_is_another_entry(paths, cache):
    for size in (SIZE, Preprocessing(6, 6), Preprocessing(8, 12, draft=1)):
        pictures, *_ = load_pictures(paths, size, skip_bad=True, cache=cache)
        assert pictures.shape[1:] == (size.height, size.width, 3)
    assert len(list(cache.folder.iterdir())) == 3


@pytest.mark.parametrize("decoder", ["simplejpeg_version", "pillow_version"])
def test_another_decoder_is_another_entry(paths, cache, decoder, monkeypatch):
    before = cache.key(paths, SIZE)
    assert cache.key(paths, SIZE) == before
    monkeypatch.setattr(f"minicnn.data.cache.{decoder}", "0.0")
    assert cache.key(paths, SIZE) != before


def test_threads_decode_at_the_same_time(paths, monkeypatch):
    """Each thread's first picture waits until another thread is at one too."""
    from minicnn.data import reading

    meeting, here = threading.Barrier(2), threading.local()

    def decoded_together(path, preprocessing):
        if not getattr(here, "met", False):
            here.met = True
            meeting.wait(timeout=20)
        return decode(path, preprocessing)

    monkeypatch.setattr(reading, "cores", lambda: 2)
    monkeypatch.setattr(reading, "decode", decoded_together)
    assert len(load_pictures(paths[:4] * 8, SIZE)[0]) == 32


def test_a_terminal_sees_a_bar_and_a_file_does_not(paths, monkeypatch, capsys):
    def bar():
        load_pictures(paths, SIZE, skip_bad=True, progress=True)
        return capsys.readouterr().err

    assert bar() == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert "Reading" in (text := bar()) and "40" in text


def test_a_file_that_could_not_be_read_is_tried_again(paths, cache, capsys, monkeypatch):
    """A failure that leaves no trace on the file, such as a disk that was away."""
    from minicnn.data import reading

    def failing(path, preprocessing):
        if path == paths[0]:
            raise DataError(str(path), "a picture", "an unplugged disk")
        return decode(path, preprocessing)

    def load():
        return load_pictures(paths, SIZE, skip_bad=True, progress=True, cache=cache)

    with monkeypatch.context() as patch:
        patch.setattr(reading, "decode", failing)
        assert len(decoded(load, capsys)[0][0]) == 31
    (pictures, _, bad), read = decoded(load, capsys)
    assert read and len(pictures) == 32 and len(bad) == 8


def test_files_that_change_while_they_are_read_are_not_kept(paths, cache, capfd, monkeypatch):
    from minicnn.data import reading

    def touching(path, preprocessing):
        os.utime(paths[0], ns=(1, 1))
        return decode(path, preprocessing)

    monkeypatch.setattr(reading, "decode", touching)
    pictures, *_ = load_pictures(paths[:4], SIZE, cache=cache)
    np.testing.assert_array_equal(pictures, right(paths[:4]))
    assert "changed while they were read" in capfd.readouterr().err
    assert not list(cache.folder.iterdir())


def test_what_is_said_of_bad_files_holds_on_to_no_picture(paths, cache):
    for kept in (None, cache, cache):
        *_, bad = load_pictures(paths, SIZE, skip_bad=True, cache=kept)
        assert bad and not any(e.__traceback__ or e.__cause__ or e.__context__ for e in bad)


def test_a_list_of_paths_is_asked_for(paths):
    for wrong in ("a.jpg", paths[0], b"a.jpg", None, 3, [b"a.jpg"], [None]):
        with pytest.raises(ArgumentError, match="paths: expected a list of paths"):
            load_pictures(wrong, SIZE)
    images, *_ = load_pictures((str(path) for path in paths[:2]), SIZE)
    np.testing.assert_array_equal(images, right(paths[:2]))


def test_a_cache_is_a_cache_or_yes_or_no(paths, tmp_path, monkeypatch):
    monkeypatch.setenv("MINICNN_CACHE_DIR", str(tmp_path / "mine"))
    load_pictures(paths[:2], SIZE, cache=False)
    assert not (tmp_path / "mine").exists()
    load_pictures(paths[:2], SIZE, cache=True)
    assert len(list((tmp_path / "mine").iterdir())) == 1
    for wrong in ({"cache": "yes"}, {"cache": 1}, {"skip_bad": "no"}, {"progress": None}):
        with pytest.raises(ArgumentError, match=next(iter(wrong))):
            load_pictures(paths[:2], SIZE, **wrong)


def test_a_size_stands_for_a_preprocessing(paths):
    np.testing.assert_array_equal(load_pictures(paths[:2], (8, 12))[0], right(paths[:2]))
    for wrong in ("64", (8, 12, 3), None, {"height": 8}):
        with pytest.raises(ArgumentError, match="preprocessing: expected"):
            load_pictures(paths[:2], wrong)


def test_without_streams_nothing_is_said(paths, cache, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdout", None)
    for where in (None, cache, PictureCache(paths[0] / "no folder")):
        images, *_ = load_pictures(paths, SIZE, skip_bad=True, progress=True, cache=where)
        np.testing.assert_array_equal(images, right(paths))


def test_a_bounded_number_of_images_waits_for_who_takes_them(paths, monkeypatch):
    from minicnn.data import reading

    decoded = []

    def counted(path, preprocessing):
        decoded.append(path)
        return decode(path, preprocessing)

    monkeypatch.setattr(reading, "decode", counted)
    monkeypatch.setattr(reading, "cores", lambda: 2)
    pieces = reading.Files(paths[:4] * 250, SIZE, True, False).decode()
    next(pieces)
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline and len(decoded) < 500:
        time.sleep(0.01)
    assert len(decoded) < 500
    assert sum(len(images) for images, _ in pieces) == 1000 - reading.TOGETHER
