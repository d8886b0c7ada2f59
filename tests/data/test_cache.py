"""The cache's files: whole or absent, bounded, never in the way.  What is decoded when: test_reading.py."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from minicnn import ArgumentError
from minicnn.data import PictureCache, Preprocessing, load_pictures
from minicnn.data.cache import default_folder

SHAPE = (2, 3, 3)
KEYS = [f"{n:064x}" for n in range(9)]
MASK = np.array([True, False, True])
BYTES = 2 * 18 + 3 + 32  # two pictures, a byte a file, the digest


@pytest.fixture
def cache(tmp_path):
    return PictureCache(tmp_path / "cache")


def store(cache, key, value=0):
    cache.store(key, 3, SHAPE, [(np.full((2, *SHAPE), value, np.uint8), MASK)])


def found(cache, key):
    entry = cache.find(key, 3, SHAPE)
    return None if entry is None else int(entry[0].max())


def test_what_is_stored_is_found(cache, rng):
    pictures = rng.integers(0, 256, (4, *SHAPE), dtype=np.uint8)
    masks = [np.array([False, True, True]), np.array([True]), np.array([True, False])]
    cache.store(KEYS[0], 6, SHAPE, zip((pictures[:2], pictures[2:3], pictures[3:]), masks, strict=True))
    got, kept = cache.find(KEYS[0], 6, SHAPE)
    np.testing.assert_array_equal(got, pictures)
    assert kept.tolist() == [1, 2, 3, 4] and cache.find(KEYS[1], 6, SHAPE) is None


def test_an_entry_that_is_cut_or_of_something_else_is_none(cache):
    store(cache, KEYS[0], 5)
    path = next(cache.folder.iterdir())
    whole = path.read_bytes()
    assert len(whole) == BYTES and found(cache, KEYS[0]) == 5
    for broken in (b"", whole[:-1], whole[1:], whole[:10], whole + b"x", whole[:-1] + b"x"):
        path.write_bytes(broken)
        assert found(cache, KEYS[0]) is None
    path.write_bytes(whole)
    path.rename(path.with_name(f"{KEYS[1]}.pictures"))
    assert found(cache, KEYS[1]) is None


def test_an_entry_with_any_byte_changed_is_none(cache):
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


def test_two_images_that_changed_places_are_noticed(cache, rng):
    images = rng.integers(0, 256, (2, *SHAPE), dtype=np.uint8)
    cache.store(KEYS[0], 2, SHAPE, [(images, np.array([True, True]))])
    path = next(cache.folder.iterdir())
    whole = path.read_bytes()
    path.write_bytes(whole[18:36] + whole[:18] + whole[36:])
    assert cache.find(KEYS[0], 2, SHAPE) is None


def test_a_damaged_entry_is_made_again(drawn, cache):
    paths = sorted(drawn.glob("*.png"))[:4]
    first = np.array(load_pictures(paths, Preprocessing(8, 8), cache=cache)[0])
    path = next(cache.folder.iterdir())
    path.write_bytes(b"\0" * 100 + path.read_bytes()[100:])
    for _ in range(2):
        np.testing.assert_array_equal(load_pictures(paths, Preprocessing(8, 8), cache=cache)[0], first)
    assert cache.find(path.stem, 4, (8, 8, 3)) is not None


def test_get_or_create_makes_once_and_again_if_the_entry_is_not_accepted(cache, tmp_path):
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


def test_pieces_that_fail_leave_nothing(cache):
    def pieces():
        yield np.zeros((2, *SHAPE), np.uint8), MASK
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.store(KEYS[0], 3, SHAPE, pieces())
    assert not list(cache.folder.iterdir())


def test_the_entries_longest_unused_make_room(tmp_path):
    cache = PictureCache(tmp_path, limit=3 * BYTES + 18)  # room is made for a picture of every file
    for n in range(3):
        store(cache, KEYS[n])
        os.utime(tmp_path / f"{KEYS[n]}.pictures", (n, n))
    assert found(cache, KEYS[0]) == 0  # used now
    store(cache, KEYS[3])
    assert [found(cache, key) for key in KEYS[:4]] == [0, None, 0, 0] and cache.size == 3 * BYTES
    with pytest.raises(OSError, match="limit"):
        PictureCache(tmp_path, limit=BYTES - 1).store(KEYS[5], 3, SHAPE, [])
    assert cache.size == 3 * BYTES


def test_two_that_are_written_at_once_keep_the_limit_too(tmp_path):
    cache = PictureCache(tmp_path, limit=BYTES + 18)

    def meanwhile():
        yield np.ones((2, *SHAPE), np.uint8), MASK
        store(PictureCache(tmp_path, cache.limit), KEYS[1])

    cache.store(KEYS[0], 3, SHAPE, meanwhile())
    assert [found(cache, key) for key in KEYS[:2]] == [1, None] and cache.size == BYTES


def test_a_disk_with_little_room_lets_the_longest_unused_go(cache, monkeypatch):
    usage = type("Usage", (), {"free": 10_000})
    monkeypatch.setattr("minicnn.data.cache.shutil.disk_usage", lambda _: usage)
    for number in range(3):
        store(cache, KEYS[number])
        os.utime(cache.folder / f"{KEYS[number]}.pictures", (number, number))
    usage.free = BYTES - 1  # a byte short: one entry has to go
    with pytest.raises(OSError, match="No space left"):  # for what is free here does not grow
        store(cache, KEYS[3])
    assert [found(cache, key) is None for key in KEYS[:3]] == [True, False, False]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such mask")
def test_who_may_read_an_entry_is_what_the_users_mask_says(cache):
    before = os.umask(0o022)
    try:
        store(cache, KEYS[0])
    finally:
        os.umask(before)
    assert next(cache.folder.iterdir()).stat().st_mode & 0o777 == 0o644


def test_what_a_killed_process_left_goes_after_an_hour_and_nothing_of_others_ever(cache):
    store(cache, KEYS[0])
    old, new = (cache.folder / f"{KEYS[1]}.{name}.unfinished" for name in ("old", "new"))
    strangers = [cache.folder / name for name in ("cat.jpg", "x.pictures", f"{KEYS[1]}.jpg")]
    for path in (old, new, *strangers):
        path.write_bytes(b"1234")
        os.utime(path, (1, 1))
    os.utime(new)
    store(cache, KEYS[2])
    assert not old.exists() and new.exists() and cache.size == 2 * BYTES + 4
    assert cache.clear() == 2 * BYTES + 4 and cache.size == 0
    assert sorted(cache.folder.iterdir()) == sorted(strangers)


def test_an_entry_in_use_outlives_its_removal(cache):
    store(cache, KEYS[0], 9)
    pictures, _ = cache.find(KEYS[0], 3, SHAPE)
    if cache.clear():  # Windows keeps it
        assert found(cache, KEYS[0]) is None
    assert (pictures == 9).all()


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("MINICNN_CACHE_DIR", str(tmp_path))
    assert default_folder() == tmp_path == PictureCache().folder
    monkeypatch.delenv("MINICNN_CACHE_DIR")
    assert default_folder().parts[-2:] == ("minicnn", "pictures") and default_folder().is_absolute()
    with pytest.raises(ArgumentError, match="limit"):
        PictureCache(tmp_path, limit=-1)
    with pytest.raises(ArgumentError, match="folder"):
        PictureCache(5)


def test_a_cache_below_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert PictureCache("~/c").folder == tmp_path / "c"
    monkeypatch.setenv("MINICNN_CACHE_DIR", "~/d")
    assert PictureCache().folder == tmp_path / "d"


LOAD = """
import sys
from pathlib import Path
from minicnn.data import PictureCache, Preprocessing, load_pictures

cache = PictureCache(sys.argv[2])
paths = sorted(Path(sys.argv[1]).glob("*.png"))
for size in range(int(sys.argv[3]), int(sys.argv[4])):
    pictures, *_ = load_pictures(paths, Preprocessing(size, size), cache=cache)
    print(size, int(pictures.sum(dtype=int)), flush=True)
"""


# Whoever is about to build the first waits until three are.
MEET = """
import os, sys, time
from pathlib import Path
from minicnn.data import PictureCache

def store(cache, *arguments, build=PictureCache.store):
    meeting = Path(sys.argv[5])
    (meeting / str(os.getpid())).touch()
    while len(list(meeting.iterdir())) < 3:
        time.sleep(0.001)
    build(cache, *arguments)

PictureCache.store = store
"""


def start(*arguments, before=""):
    command = [sys.executable, "-c", before + LOAD, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def sums(drawn, sizes):
    """What each size must give, read without a cache."""
    paths = sorted(drawn.glob("*.png"))
    return [f"{size} {load_pictures(paths, Preprocessing(size, size))[0].sum(dtype=int)}" for size in sizes]


def is_whole(cache, path, count):
    return any(cache.find(path.stem, count, (size, size, 3)) is not None for size in range(40, 60))


def test_processes_that_build_the_same_at_once_all_get_it(drawn, cache, tmp_path_factory):
    wanted = sums(drawn, range(20, 30))  # first, so that no process says that it compiles
    meeting = tmp_path_factory.mktemp("meeting")
    processes = [start(drawn, cache.folder, 20, 30, meeting, before=MEET) for _ in range(3)]
    for process in processes:
        text, errors = process.communicate(timeout=60)
        assert (text.splitlines(), errors) == (wanted, "")
    assert len(list(cache.folder.iterdir())) == 10


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_process_killed_at_any_moment_leaves_no_half_entry(drawn, cache, rng):
    wanted, entries = sums(drawn, range(40, 60)), set()
    for _ in range(6):
        process = start(drawn, cache.folder, 40, 60)
        process.stdout.readline()  # now it is at work
        time.sleep(rng.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        left = {path for path in cache.folder.iterdir() if path.suffix == ".pictures"}
        assert left >= entries
        entries = left
        assert all(is_whole(cache, path, len(list(drawn.glob("*.png")))) for path in entries)
    text, errors = start(drawn, cache.folder, 40, 60).communicate(timeout=60)
    assert (text.splitlines(), errors) == (wanted, "")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on a file's size")
def test_a_disk_that_is_full_gives_one_line_and_the_right_pictures(drawn, cache):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
    wanted = sums(drawn, range(20, 24))
    process = start(drawn, cache.folder, 20, 24, before=limit)  # 48 pictures of 1200 bytes and more
    text, errors = process.communicate(timeout=60)
    assert text.splitlines() == wanted
    assert errors.count("\n") == 1 and "cannot be kept in" in errors and "File too large" in errors
    assert not list(cache.folder.iterdir())


def test_a_folder_that_cannot_be_made_gives_one_line_and_the_right_pictures(drawn, tmp_path):
    (tmp_path / "file").write_text("no folder")
    wanted = sums(drawn, range(20, 23))
    process = start(drawn, tmp_path / "file" / "cache", 20, 23)
    text, errors = process.communicate(timeout=60)
    assert text.splitlines() == wanted
    assert errors.count("\n") == 1 and "cannot be kept in" in errors
