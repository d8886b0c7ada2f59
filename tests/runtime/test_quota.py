"""CPU quotas are read as Linux writes them, in both versions of cgroups."""

import pytest

from minicnn.runtime import threads
from minicnn.runtime.quota import quota


def written(folder, own, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "own").write_text(own)
    return quota(folder, folder / "own")


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"a/b/cpu.max": "150000 100000\n"}, 2),
        ({"a/b/cpu.max": "50000 100000\n"}, 1),
        ({"a/b/cpu.max": "max 100000\n"}, None),
        (
            {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"},
            3,
        ),  # the group around it limits both
        ({"a/b/cpu.max": "400000 100000\n", "cpu.max": "200000 100000\n"}, 2),
        ({"a/b/cpu.max": "nonsense"}, None),
        ({}, None),
    ],
)
def test_version_2(files, cores, tmp_path):
    assert written(tmp_path, "0::/a/b\n", files) == cores


@pytest.mark.parametrize(("allowed", "cores"), [("250000", 3), ("-1", None), ("100000", 1)])
def test_version_1(allowed, cores, tmp_path):
    own = "5:memory:/x\n4:cpuacct,cpu:/a\n0::/\n"
    files = {"cpu/a/cpu.cfs_quota_us": allowed, "cpu/a/cpu.cfs_period_us": "100000"}
    assert written(tmp_path, own, files) == cores


def test_a_system_without_cgroups_has_no_quota(tmp_path):
    assert quota(tmp_path, tmp_path / "nothing") is None


def test_the_quota_limits_the_cores(monkeypatch):
    monkeypatch.setattr(threads, "quota", lambda: 1)
    assert threads.cores() == 1
    monkeypatch.setattr(threads, "quota", lambda: None)
    assert threads.cores() >= 1
