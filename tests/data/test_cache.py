"""Tests of the cache's files: complete or absent, and limited in size.  See test_reading.py for what is decoded."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from minicnn import ArgumentError
from minicnn.data import ImageCache, Preprocessing, load_images
from minicnn.data.cache import default_folder

SHAPE = (2, 3, 3)
KEYS = [f"{n:064x}" for n in range(9)]
MASK = np.array([True, False, True])
BYTES = 2 * 18 + 3 + 32  # two images, one byte per file, the digest


@pytest.fixture
def cache(tmp_path):
    return ImageCache(tmp_path / "cache")


def store(cache, key, value=0):
    cache.store(key, 3, SHAPE, [(np.full((2, *SHAPE), value, np.uint8), MASK)])


def found(cache, key):
    entry = cache.find(key, 3, SHAPE)
    return None if entry is None else int(entry[0].max())


def test_a_stored_entry_is_found(cache, rng):
    images = rng.integers(0, 256, (4, *SHAPE), dtype=np.uint8)
    masks = [np.array([False, True, True]), np.array([True]), np.array([True, False])]
    cache.store(KEYS[0], 6, SHAPE, zip((images[:2], images[2:3], images[3:]), masks, strict=True))
    got, kept = cache.find(KEYS[0], 6, SHAPE)
    np.testing.assert_array_equal(got, images)
    assert kept.tolist() == [1, 2, 3, 4] and cache.find(KEYS[1], 6, SHAPE) is None


def test_a_truncated_or_renamed_entry_is_not_found(cache):
    store(cache, KEYS[0], 5)
    path = next(cache.folder.iterdir())
    whole = path.read_bytes()
    assert len(whole) == BYTES and found(cache, KEYS[0]) == 5
    for broken in (b"", whole[:-1], whole[1:], whole[:10], whole + b"x", whole[:-1] + b"x"):
        path.write_bytes(broken)
        assert found(cache, KEYS[0]) is None
    path.write_bytes(whole)
    path.rename(path.with_name(f"{KEYS[1]}.images"))
    assert found(cache, KEYS[1]) is None


def test_an_entry_with_a_changed_byte_is_not_found(cache):
    store(cache, KEYS[0], 5)
    path = next(cache.folder.iterdir())
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert found(cache, KEYS[0]) is None, f"byte {place}"
    path.write_bytes(bytes(2 * 18) + whole[2 * 18 :])  # all images black, the rest as it was
    assert found(cache, KEYS[0]) is None
    path.write_bytes(whole)
    assert found(cache, KEYS[0]) == 5


def test_swapped_images_are_noticed(cache, rng):
    images = rng.integers(0, 256, (2, *SHAPE), dtype=np.uint8)
    cache.store(KEYS[0], 2, SHAPE, [(images, np.array([True, True]))])
    path = next(cache.folder.iterdir())
    whole = path.read_bytes()
    path.write_bytes(whole[18:36] + whole[:18] + whole[36:])
    assert cache.find(KEYS[0], 2, SHAPE) is None


def test_a_damaged_entry_is_made_again(drawn, cache):
    paths = sorted(drawn.glob("*.png"))[:4]
    first = np.array(load_images(paths, Preprocessing(8, 8), cache=cache)[0])
    path = next(cache.folder.iterdir())
    path.write_bytes(b"\0" * 100 + path.read_bytes()[100:])
    for _ in range(2):
        np.testing.assert_array_equal(load_images(paths, Preprocessing(8, 8), cache=cache)[0], first)
    assert cache.find(path.stem, 4, (8, 8, 3)) is not None


def test_get_or_create_makes_an_entry_once_and_again_if_it_is_not_accepted(cache, tmp_path):
    paths = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    made = []

    def make():
        made.append(True)
        yield np.full((1, 2, 3, 3), len(made), np.uint8), np.array([False, True])

    size = Preprocessing(2, 3)
    for accept, wanted in (
        (lambda kept: True, 1),
        (lambda kept: True, 1),
        (lambda kept: kept.tolist() != [1], 2),
    ):
        images, kept, was_there = cache.get_or_create(paths, size, make, accept)
        assert images.max() == wanted == len(made) and kept.tolist() == [1]
    assert not was_there and cache.get_or_create(paths, size, make)[2]


def test_an_error_in_the_chunks_leaves_no_file(cache):
    def chunks():
        yield np.zeros((2, *SHAPE), np.uint8), MASK
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.store(KEYS[0], 3, SHAPE, chunks())
    assert not list(cache.folder.iterdir())


def test_the_least_recently_used_entries_are_deleted(tmp_path):
    cache = ImageCache(tmp_path, limit=3 * BYTES + 18)  # `store` makes room for one image per file
    for n in range(3):
        store(cache, KEYS[n])
        os.utime(tmp_path / f"{KEYS[n]}.images", (n, n))
    assert found(cache, KEYS[0]) == 0  # used now
    store(cache, KEYS[3])
    assert [found(cache, key) for key in KEYS[:4]] == [0, None, 0, 0] and cache.size == 3 * BYTES
    with pytest.raises(OSError, match="limit"):
        ImageCache(tmp_path, limit=BYTES - 1).store(KEYS[5], 3, SHAPE, [])
    assert cache.size == 3 * BYTES


def test_two_entries_written_at_the_same_time_keep_the_limit(tmp_path):
    cache = ImageCache(tmp_path, limit=BYTES + 18)

    def meanwhile():
        yield np.ones((2, *SHAPE), np.uint8), MASK
        store(ImageCache(tmp_path, cache.limit), KEYS[1])

    cache.store(KEYS[0], 3, SHAPE, meanwhile())
    assert [found(cache, key) for key in KEYS[:2]] == [1, None] and cache.size == BYTES


def test_a_full_disk_deletes_the_least_recently_used_entry(cache, monkeypatch):
    usage = type("Usage", (), {"free": 10_000})
    monkeypatch.setattr("minicnn.data.cache.shutil.disk_usage", lambda _: usage)
    for number in range(3):
        store(cache, KEYS[number])
        os.utime(cache.folder / f"{KEYS[number]}.images", (number, number))
    usage.free = BYTES - 1  # one byte short: one entry is deleted
    with pytest.raises(OSError, match="No space left"):  # because the mocked free space does not grow
        store(cache, KEYS[3])
    assert [found(cache, key) is None for key in KEYS[:3]] == [True, False, False]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such mask")
def test_entries_have_the_permissions_of_the_umask(cache):
    before = os.umask(0o022)
    try:
        store(cache, KEYS[0])
    finally:
        os.umask(before)
    assert next(cache.folder.iterdir()).stat().st_mode & 0o777 == 0o644


def test_unfinished_files_are_deleted_after_an_hour_and_foreign_files_never(cache):
    store(cache, KEYS[0])
    old, new = (cache.folder / f"{KEYS[1]}.{name}.unfinished" for name in ("old", "new"))
    strangers = [cache.folder / name for name in ("cat.jpg", "x.images", f"{KEYS[1]}.jpg")]
    for path in (old, new, *strangers):
        path.write_bytes(b"1234")
        os.utime(path, (1, 1))
    os.utime(new)
    store(cache, KEYS[2])
    assert not old.exists() and new.exists() and cache.size == 2 * BYTES + 4
    assert cache.clear() == 2 * BYTES + 4 and cache.size == 0
    assert sorted(cache.folder.iterdir()) == sorted(strangers)


def test_images_stay_valid_after_their_entry_is_deleted(cache):
    store(cache, KEYS[0], 9)
    images, _ = cache.find(KEYS[0], 3, SHAPE)
    if cache.clear():  # Windows does not delete it
        assert found(cache, KEYS[0]) is None
    assert (images == 9).all()


def test_the_default_folder_and_wrong_arguments(monkeypatch, tmp_path):
    monkeypatch.setenv("MINICNN_CACHE_DIR", str(tmp_path))
    assert default_folder() == tmp_path == ImageCache().folder
    monkeypatch.delenv("MINICNN_CACHE_DIR")
    assert default_folder().parts[-2:] == ("minicnn", "images") and default_folder().is_absolute()
    with pytest.raises(ArgumentError, match="limit"):
        ImageCache(tmp_path, limit=-1)
    with pytest.raises(ArgumentError, match="folder"):
        ImageCache(5)


def test_a_tilde_in_the_folder_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert ImageCache("~/c").folder == tmp_path / "c"
    monkeypatch.setenv("MINICNN_CACHE_DIR", "~/d")
    assert ImageCache().folder == tmp_path / "d"


def test_clear_reports_entries_that_cannot_be_deleted(cache, monkeypatch, capsys):
    store(cache, KEYS[0])

    def refuse(path, missing_ok=False):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.unlink", refuse)
        assert cache.clear() == 0
    assert f"1 of the entries in {cache.folder} (0.0 MB) could not be deleted" in capsys.readouterr().err
    assert cache.clear() == BYTES and capsys.readouterr().err == ""


LOAD = """
import sys
from pathlib import Path
from minicnn.data import ImageCache, Preprocessing, load_images

cache = ImageCache(sys.argv[2])
paths = sorted(Path(sys.argv[1]).glob("*.png"))
for size in range(int(sys.argv[3]), int(sys.argv[4])):
    images, *_ = load_images(paths, Preprocessing(size, size), cache=cache)
    print(size, int(images.sum(dtype=int)), flush=True)
"""


# Each process waits before its first entry until three processes have come this far.
MEET = """
import os, sys, time
from pathlib import Path
from minicnn.data import ImageCache

def store(cache, *arguments, build=ImageCache.store):
    meeting = Path(sys.argv[5])
    (meeting / str(os.getpid())).touch()
    while len(list(meeting.iterdir())) < 3:
        time.sleep(0.001)
    build(cache, *arguments)

ImageCache.store = store
"""


def start(*arguments, before=""):
    command = [sys.executable, "-c", before + LOAD, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def sums(drawn, sizes):
    """The expected output for each size, computed without a cache."""
    paths = sorted(drawn.glob("*.png"))
    return [f"{size} {load_images(paths, Preprocessing(size, size))[0].sum(dtype=int)}" for size in sizes]


def is_whole(cache, path, count):
    return any(cache.find(path.stem, count, (size, size, 3)) is not None for size in range(40, 60))


def test_processes_that_make_the_same_entry_at_once_all_get_it(drawn, cache, tmp_path_factory):
    wanted = sums(drawn, range(20, 30))  # first, so that no process has to compile
    meeting = tmp_path_factory.mktemp("meeting")
    processes = [start(drawn, cache.folder, 20, 30, meeting, before=MEET) for _ in range(3)]
    for process in processes:
        text, errors = process.communicate(timeout=60)
        assert (text.splitlines(), errors) == (wanted, "")
    assert len(list(cache.folder.iterdir())) == 10


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_killed_process_leaves_no_partial_entry(drawn, cache, rng):
    wanted, entries = sums(drawn, range(40, 60)), set()
    for _ in range(6):
        process = start(drawn, cache.folder, 40, 60)
        process.stdout.readline()  # now it is decoding
        time.sleep(rng.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        left = {path for path in cache.folder.iterdir() if path.suffix == ".images"}
        assert left >= entries
        entries = left
        assert all(is_whole(cache, path, len(list(drawn.glob("*.png")))) for path in entries)
    text, errors = start(drawn, cache.folder, 40, 60).communicate(timeout=60)
    assert (text.splitlines(), errors) == (wanted, "")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on a file's size")
def test_a_full_disk_gives_one_line_and_the_right_images(drawn, cache):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
    wanted = sums(drawn, range(20, 24))
    process = start(drawn, cache.folder, 20, 24, before=limit)  # 48 images of 1200 bytes and more
    text, errors = process.communicate(timeout=60)
    assert text.splitlines() == wanted
    assert errors.count("\n") == 1 and "cannot be kept in" in errors and "File too large" in errors
    assert not list(cache.folder.iterdir())


def test_an_impossible_folder_gives_one_line_and_the_right_images(drawn, tmp_path):
    (tmp_path / "file").write_text("no folder")
    wanted = sums(drawn, range(20, 23))
    process = start(drawn, tmp_path / "file" / "cache", 20, 23)
    text, errors = process.communicate(timeout=60)
    assert text.splitlines() == wanted
    assert errors.count("\n") == 1 and "cannot be kept in" in errors
