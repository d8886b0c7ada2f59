"""A file is replaced whole or not at all."""

import os
import subprocess
import sys

import pytest

from minicnn import DiskFullError, files


def test_the_old_file_goes_where_it_is_told(tmp_path):
    path, previous = tmp_path / "deep" / "a[1].bin", tmp_path / "deep" / "b"
    for content in (b"1", b"2", b"3"):
        files.replace(path, content, previous)
    assert (
        path.read_bytes() == b"3" and previous.read_bytes() == b"2" and len(list(path.parent.iterdir())) == 2
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows has no /dev/full")
def test_a_full_disk_is_one_sentence_and_changes_nothing(tmp_path):
    """The temporary file is let to /dev/full, on which the system finds no room ever."""
    path, previous = tmp_path / "a", tmp_path / "b"
    files.replace(path, b"1", previous)
    (tmp_path / f"a.{os.getpid()}.partial").symlink_to("/dev/full")
    with pytest.raises(
        DiskFullError, match="a: expected room for 3.00 MB, received No space left on device"
    ) as caught:
        files.replace(path, bytes(3_000_000), previous)
    assert isinstance(caught.value, OSError) and [file.name for file in tmp_path.iterdir()] == ["a"]
    assert path.read_bytes() == b"1"


def test_what_killed_processes_left_is_removed_and_what_others_write_is_not(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = {number: f"a.{number}.partial" for number in (ended.pid, os.getppid(), "x", 10**30)}
    for name in [*names.values(), f"b.{ended.pid}.partial"]:
        (tmp_path / name).touch()
    files.replace(tmp_path / "a", b"1")
    left = {"a", names[os.getppid()], names["x"], f"b.{ended.pid}.partial"}
    assert {file.name for file in tmp_path.iterdir()} == left
