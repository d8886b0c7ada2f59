"""Tests of atomic_write: a file is replaced completely or not at all, with many writers and on any kind of path."""

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from minicnn import ArgumentError, DiskFullError
from minicnn.saving import files

POSIX = pytest.mark.skipif(os.name == "nt", reason="not on Windows")


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_the_old_file_is_kept_at_the_path_previous(tmp_path):
    path, previous = tmp_path / "deep" / "a[1].bin", tmp_path / "deep" / "b"
    for content in (b"1", b"2", b"3"):
        files.atomic_write(path, content, previous)
    assert path.read_bytes() == b"3" and previous.read_bytes() == b"2"
    assert names(path.parent) == ["a[1].bin", "b"]


@pytest.mark.parametrize("links", [True, False], ids=["with hard links", "without"])
def test_the_old_file_is_kept_on_any_file_system(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(
            os, "link", lambda *_: (_ for _ in ()).throw(PermissionError(errno.EPERM, "no links"))
        )
    path, previous = tmp_path / "a", tmp_path / "b"
    files.atomic_write(path, b"1", previous)
    assert names(tmp_path) == ["a"]
    files.atomic_write(path, b"2", previous)
    path.replace(previous)  # as if the process was killed between the two renames, without hard links
    files.atomic_write(path, b"3", previous)
    assert (path.read_bytes(), previous.read_bytes(), names(tmp_path)) == (b"3", b"2", ["a", "b"])


@POSIX
def test_there_is_always_a_file_at_the_path_while_it_is_replaced(tmp_path, monkeypatch):
    path, replace, missing = tmp_path / "a", os.replace, []
    files.atomic_write(path, b"1")
    for function in ("replace", "link"):
        original = getattr(os, function)
        monkeypatch.setattr(
            os, function, lambda *args, f=original, **k: (f(*args, **k), missing.append(not path.exists()))
        )
    files.atomic_write(path, b"2", tmp_path / "b")
    assert missing.count(False) == len(missing) == 3 and replace is not os.replace


@POSIX
def test_a_full_disk_is_one_error_and_changes_nothing(tmp_path):
    """A separate process has a limit on the size of its files."""
    path = tmp_path / "a"
    files.atomic_write(path, b"1", tmp_path / "b")
    code = """
import resource, sys
from minicnn.saving import files
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    files.atomic_write(sys.argv[1], bytes(3_000_000), sys.argv[2])
except OSError as error:
    print(type(error).__name__, error)
"""
    command = [sys.executable, "-c", code, str(path), str(tmp_path / "b")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.startswith(
        f"DiskFullError {path}: expected room for 3.00 MB, received File too large ("
    )
    assert names(tmp_path) == ["a"] and path.read_bytes() == b"1"


def test_a_disk_that_is_full_when_the_file_is_flushed(tmp_path, monkeypatch):
    files.atomic_write(tmp_path / "a", b"1")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(DiskFullError, match="No space left"):
        files.atomic_write(tmp_path / "a", b"2")
    assert names(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"1"


# ------------------------------------------------------------------------------- kinds of paths
@POSIX
def test_the_target_of_a_link_is_written_and_the_link_stays(tmp_path):
    (tmp_path / "big").mkdir()
    for link, target in (("m", "big/m"), ("twice", "m"), ("dangling", "big/new")):
        (tmp_path / link).symlink_to(target)
    files.atomic_write(tmp_path / "m", b"1")
    assert (tmp_path / "m").is_symlink() and (tmp_path / "big" / "m").read_bytes() == b"1"
    files.atomic_write(tmp_path / "twice", b"2")
    files.atomic_write(tmp_path / "dangling", b"3")
    assert (tmp_path / "big" / "m").read_bytes() == b"2" and (tmp_path / "big" / "new").read_bytes() == b"3"
    assert names(tmp_path / "big") == ["m", "new"] and (tmp_path / "twice").readlink().name == "m"


@POSIX
def test_pipes_devices_and_loops_of_links_are_refused_and_stay(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "pipe", tmp_path / "link", "/dev/null"):
        with pytest.raises(ArgumentError, match="a named pipe or a device"):
            files.atomic_write(path, b"1")
    with pytest.raises(ArgumentError, match="leads back to itself"):
        files.atomic_write(tmp_path / "loop", b"1")
    assert names(tmp_path) == ["link", "loop", "pipe"] and stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize("path", ["", None, 7, b"a", "a\0b", ["a"]])
def test_a_value_that_is_not_a_path_is_refused(path):
    with pytest.raises(ArgumentError, match="expected a path"):
        files.atomic_write(path, b"1")


def test_a_folder_a_long_name_and_a_path_below_a_file_are_refused(tmp_path):
    (tmp_path / "file").touch()
    for path, received in (
        (tmp_path, "a folder"), (tmp_path / ("x" * 300), "too long"), (tmp_path / "file" / "x", "below a file"),
        (tmp_path / "file" / "y" / "x", "below a file"),
    ):  # fmt: skip
        with pytest.raises(
            ArgumentError, match=f"expected the path of a file to write, received .*{received}"
        ):
            files.atomic_write(path, b"1")
    assert names(tmp_path) == ["file"]


@POSIX
def test_the_longest_possible_name_can_be_written(tmp_path):
    for name in ("x" * 255, "é" * 127):
        files.atomic_write(tmp_path / name, b"1")
        files.atomic_write(tmp_path / name, b"2", tmp_path / "old")
        assert (tmp_path / name).read_bytes() == b"2"


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    files.atomic_write("~/runs/m", b"1", "~/old")
    files.atomic_write("~/runs/m", b"2", "~/old")
    assert (tmp_path / "runs" / "m").read_bytes() == b"2" and (tmp_path / "old").read_bytes() == b"1"


@POSIX
def test_the_permissions_of_the_file_stay(tmp_path):
    files.atomic_write(tmp_path / "new", b"1")
    (tmp_path / "plain").touch()
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "new").chmod(0o640)
    files.atomic_write(tmp_path / "new", b"2")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


@POSIX
@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO, errno.EACCES, errno.ENOTSUP])
@pytest.mark.parametrize("call", ["fsync", "open"])
def test_a_folder_that_cannot_be_flushed_is_no_error(tmp_path, monkeypatch, number, call):
    original, refused = getattr(os, call), []

    def failing(thing, *args, **settings):
        if Path(thing).is_dir() if call == "open" else stat.S_ISDIR(os.fstat(thing).st_mode):
            refused.append(thing)
            raise OSError(number, os.strerror(number))
        return original(thing, *args, **settings)

    monkeypatch.setattr(os, call, failing)
    files.atomic_write(tmp_path / "d" / "f", b"x")
    assert (tmp_path / "d" / "f").read_bytes() == b"x" and refused


def test_other_errors_name_the_path_and_not_the_temporary_file(tmp_path, monkeypatch):
    monkeypatch.setattr(
        os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error"))
    )
    with pytest.raises(OSError, match=r"Input/output error: '.*/a'$"):
        files.atomic_write(tmp_path / "a", b"x")
    assert names(tmp_path) == []


# ------------------------------------------------------------------------------- many writers
def test_eight_threads_write_while_one_reads(tmp_path):
    path, failures, seen, done = tmp_path / "same", [], set(), threading.Event()
    contents = [bytes([number]) * 200_000 for number in range(8)]
    files.atomic_write(path, contents[0])

    def write(content):
        try:
            for _ in range(20):
                files.atomic_write(path, content, tmp_path / "old")
        except Exception as error:
            failures.append(error)

    def read():
        while not done.is_set():
            try:
                seen.add(path.read_bytes())
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=write, args=[content]) for content in contents]
    reader = threading.Thread(target=read)
    for thread in (*threads, reader):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    reader.join()
    assert not failures and seen <= set(contents) and names(tmp_path) == ["old", "same"]


@POSIX
def test_processes_with_the_same_process_id_use_different_temporary_files(tmp_path, monkeypatch):
    """As in two containers, where the other process has the same id, or one that does not exist here."""
    code = """
import os, sys
from minicnn.saving import files
os.getpid = lambda: int(sys.argv[2])
for _ in range(100):
    files.atomic_write(sys.argv[1], bytes(300_000))
"""
    for numbers in ((7, 7), (7, 4_000_000)):
        command = [sys.executable, "-c", code, str(tmp_path / "shared")]
        both = [subprocess.Popen([*command, str(n)], stderr=subprocess.PIPE, text=True) for n in numbers]
        errors = [process.communicate(timeout=120)[1] for process in both]
        assert [process.returncode for process in both] == [0, 0], errors
    assert names(tmp_path) == ["shared"]


WRITER = """
import os, sys, time
from minicnn.saving import files
os.fsync = lambda _: (print("writing", flush=True), time.sleep(60))
files.atomic_write(sys.argv[1], bytes(1000))
"""


@POSIX
def test_temporary_files_of_killed_processes_are_deleted_and_those_of_running_ones_stay(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path / "a")]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for writer in writers:
        assert writer.stdout.readline() == "writing\n"
    for name in ("a.123.partial", "a.x.partial", "photo.partial"):
        (tmp_path / name).touch()
    assert len(names(tmp_path)) == 5
    writers[0].kill()
    writers[0].communicate()
    files.atomic_write(tmp_path / "b", b"1")
    left = [name for name in names(tmp_path) if name.startswith("a.0") or name.count(".") == 3]
    assert len(left) == 1 and f".{writers[1].pid}." in left[0]
    writers[1].kill()
    writers[1].communicate()
    files.atomic_write(tmp_path / "a", b"1")
    assert names(tmp_path) == ["a", "a.123.partial", "a.x.partial", "b", "photo.partial"]


def test_without_locks_only_old_temporary_files_are_deleted(tmp_path, monkeypatch):
    """The second name of a file (.spare) that a killed process can leave is never locked."""
    for locks in (files.fcntl, None):
        monkeypatch.setattr(files, "fcntl", locks)
        litter = ["a.0123456789abcdef.7.spare", "a.fedcba9876543210.7.partial"][: 2 if locks is None else 1]
        for name in litter:
            (tmp_path / name).touch()
        files.atomic_write(tmp_path / "a", b"1")
        assert names(tmp_path) == ["a", *litter]
        with monkeypatch.context() as later:
            later.setattr(files, "ABANDONED", -1)
            files.atomic_write(tmp_path / "a", b"1")
        assert names(tmp_path) == ["a"]
