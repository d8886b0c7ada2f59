"""Tests of load_images: order, bad files, and a cache that is used only if no file has changed."""

import os
import re
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from minicnn import ArgumentError, DataError
from minicnn.data import ImageCache, Preprocessing, decode, load_images

SIZE = Preprocessing(height=8, width=12)


@pytest.fixture
def paths(tmp_path, rng):
    """40 images, every fifth file bad."""
    paths = [tmp_path / f"{n:02d}.bmp" for n in range(40)]
    for n, path in enumerate(paths):
        if n % 5 == 4:
            path.write_bytes(b"<html>")
        else:
            Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(path)
    return paths


@pytest.fixture
def cache(tmp_path):
    return ImageCache(tmp_path / "cache")


def right(paths):
    return np.array([decode(path, SIZE) for n, path in enumerate(paths) if n % 5 != 4])


def decoded(load, capsys):
    """The result of `load`, and whether it decoded the images instead of finding them in the cache."""
    result, text = load(), capsys.readouterr().out
    assert re.search(r"Read \d+ images in .* per second|images from the cache in", text)
    return result, "Read" in text


def test_images_keep_their_order_and_bad_files_are_reported(paths, cache):
    for where in (None, cache, cache):
        images, kept, bad = load_images(paths, SIZE, skip_bad=True, cache=where)
        np.testing.assert_array_equal(images, right(paths))
        assert kept.tolist() == [n for n in range(40) if n % 5 != 4]
        assert [error.where for error in bad] == [str(path) for path in paths[4::5]]
        with pytest.raises(DataError, match=r"04\.bmp.*HTML"):
            load_images(paths, SIZE, cache=where)


def test_no_entry_is_stored_if_reading_fails(paths, cache):
    with pytest.raises(DataError, match=r"04\.bmp"):
        load_images(paths, SIZE, cache=cache)
    with pytest.raises(DataError, match="none of 8"):
        load_images(paths[4::5], SIZE, skip_bad=True, cache=cache)
    assert not list(cache.folder.iterdir())


def test_the_second_call_decodes_nothing(paths, cache, capsys):
    def load():
        return load_images(paths, SIZE, skip_bad=True, progress=True, cache=cache)[0]

    first, read = decoded(load, capsys)
    second, read_again = decoded(load, capsys)
    assert read and not read_again
    np.testing.assert_array_equal(first, second)
    assert not second.flags.writeable


def rewrite(path):
    """Replace an image by another one with the same number of bytes, and restore its modification time."""
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
            marks=pytest.mark.skipif(os.name == "nt", reason="Windows records no time of such a change"),
        ),
        lambda paths: paths[3].unlink(),
        lambda paths: Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(paths[4]),
        lambda paths: paths.reverse(),
        lambda paths: paths.pop(),
    ],
    ids=["other content", "other content, same times", "missing", "mended", "another order", "one fewer"],
)
def test_changed_files_are_decoded_again(paths, cache, change, capsys):
    def load():
        return load_images(paths, SIZE, skip_bad=True, progress=True, cache=cache)

    decoded(load, capsys)
    change(paths)
    (images, kept, _), read = decoded(load, capsys)
    assert read
    np.testing.assert_array_equal(images, np.array([decode(paths[n], SIZE) for n in kept]))
    assert not decoded(load, capsys)[1]


def test_a_change_right_after_decoding_is_noticed(tmp_path, cache):
    """The file changes more often than the file system's clock ticks."""
    path = tmp_path / "x.bmp"
    for grey in range(30):
        Image.new("RGB", (9, 9), (grey, grey, grey)).save(path)
        assert load_images([path], SIZE, cache=cache)[0].max() == grey


def test_another_preprocessing_makes_another_entry(paths, cache):
    for size in (SIZE, Preprocessing(6, 6), Preprocessing(8, 12, draft=1)):
        images, *_ = load_images(paths, size, skip_bad=True, cache=cache)
        assert images.shape[1:] == (size.height, size.width, 3)
    assert len(list(cache.folder.iterdir())) == 3


@pytest.mark.parametrize("decoder", ["simplejpeg_version", "pillow_version"])
def test_another_version_of_a_decoder_makes_another_entry(paths, cache, decoder, monkeypatch):
    before = cache.key(paths, SIZE)
    assert cache.key(paths, SIZE) == before
    monkeypatch.setattr(f"minicnn.data.cache.{decoder}", "0.0")
    assert cache.key(paths, SIZE) != before


def test_several_threads_decode_at_the_same_time(paths, monkeypatch):
    """Each thread's first image waits until another thread decodes one, too."""
    from minicnn.data import reading

    meeting, here = threading.Barrier(2), threading.local()

    def decoded_together(path, preprocessing):
        if not getattr(here, "met", False):
            here.met = True
            meeting.wait(timeout=20)
        return decode(path, preprocessing)

    monkeypatch.setattr(reading, "cores", lambda: 2)
    monkeypatch.setattr(reading, "decode", decoded_together)
    assert len(load_images(paths[:4] * 8, SIZE)[0]) == 32


def test_a_bar_is_shown_on_a_terminal_only(paths, monkeypatch, capsys):
    def bar():
        load_images(paths, SIZE, skip_bad=True, progress=True)
        return capsys.readouterr().err

    assert bar() == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert "Reading" in (text := bar()) and "40" in text


def test_a_file_that_could_not_be_read_is_tried_again_in_the_next_call(paths, cache, capsys, monkeypatch):
    """The failure does not change the file, for example because a disk was not connected."""
    from minicnn.data import reading

    def failing(path, preprocessing):
        if path == paths[0]:
            raise DataError(str(path), "an image", "an unplugged disk")
        return decode(path, preprocessing)

    def load():
        return load_images(paths, SIZE, skip_bad=True, progress=True, cache=cache)

    with monkeypatch.context() as patch:
        patch.setattr(reading, "decode", failing)
        assert len(decoded(load, capsys)[0][0]) == 31
    (images, _, bad), read = decoded(load, capsys)
    assert read and len(images) == 32 and len(bad) == 8


def test_files_that_change_while_they_are_read_are_not_cached(paths, cache, capfd, monkeypatch):
    from minicnn.data import reading

    def touching(path, preprocessing):
        os.utime(paths[0], ns=(1, 1))
        return decode(path, preprocessing)

    monkeypatch.setattr(reading, "decode", touching)
    images, *_ = load_images(paths[:4], SIZE, cache=cache)
    np.testing.assert_array_equal(images, right(paths[:4]))
    assert "changed while they were read" in capfd.readouterr().err
    assert not list(cache.folder.iterdir())


def test_the_errors_of_bad_files_keep_no_image_in_memory(paths, cache):
    for kept in (None, cache, cache):
        *_, bad = load_images(paths, SIZE, skip_bad=True, cache=kept)
        assert bad and not any(e.__traceback__ or e.__cause__ or e.__context__ for e in bad)


def test_paths_must_be_a_list_of_paths(paths):
    for wrong in ("a.jpg", paths[0], b"a.jpg", None, 3, [b"a.jpg"], [None]):
        with pytest.raises(ArgumentError, match="paths: expected a list of paths"):
            load_images(wrong, SIZE)
    images, *_ = load_images((str(path) for path in paths[:2]), SIZE)
    np.testing.assert_array_equal(images, right(paths[:2]))


def test_the_cache_is_an_image_cache_or_a_bool(paths, tmp_path, monkeypatch):
    monkeypatch.setenv("MINICNN_CACHE_DIR", str(tmp_path / "mine"))
    load_images(paths[:2], SIZE, cache=False)
    assert not (tmp_path / "mine").exists()
    load_images(paths[:2], SIZE, cache=True)
    assert len(list((tmp_path / "mine").iterdir())) == 1
    for wrong in ({"cache": "yes"}, {"cache": 1}, {"skip_bad": "no"}, {"progress": None}):
        with pytest.raises(ArgumentError, match=next(iter(wrong))):
            load_images(paths[:2], SIZE, **wrong)


def test_a_size_means_a_preprocessing(paths):
    np.testing.assert_array_equal(load_images(paths[:2], (8, 12))[0], right(paths[:2]))
    for wrong in ("64", (8, 12, 3), None, {"height": 8}):
        with pytest.raises(ArgumentError, match="preprocessing: expected"):
            load_images(paths[:2], wrong)


def test_without_output_streams_nothing_is_printed(paths, cache, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdout", None)
    for where in (None, cache, ImageCache(paths[0] / "no folder")):
        images, *_ = load_images(paths, SIZE, skip_bad=True, progress=True, cache=where)
        np.testing.assert_array_equal(images, right(paths))


def test_a_limited_number_of_decoded_images_waits_in_memory(paths, monkeypatch):
    from minicnn.data import reading

    decoded = []

    def counted(path, preprocessing):
        decoded.append(path)
        return decode(path, preprocessing)

    monkeypatch.setattr(reading, "decode", counted)
    monkeypatch.setattr(reading, "cores", lambda: 2)
    chunks = reading.Files(paths[:4] * 250, SIZE, True, False).decode()
    next(chunks)
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline and len(decoded) < 500:
        time.sleep(0.01)
    assert len(decoded) < 500
    assert sum(len(images) for images, _ in chunks) == 1000 - reading.TOGETHER
