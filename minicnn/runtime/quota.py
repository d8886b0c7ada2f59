"""The CPU quota of a container, as a number of cores.

A container may run on all cores of a machine and yet get only a share of their time; more threads than that share
only wait for each other.  Linux states the share in files of the cgroup file system, version 1 or 2.  Called by
threads.py.
"""

import math
from contextlib import suppress
from pathlib import Path

MOUNTED, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def quota(mounted: Path = MOUNTED, own: Path = OWN) -> int | None:
    """The quota of this process in cores, rounded up; None if there is none.

    Parameters
    ----------
    mounted, own : Path
        Where the cgroup file system is, and the file that names this process's groups.
    """
    found = [share for share in map(_share, _folders(mounted, own)) if share is not None]
    return max(1, math.ceil(min(found))) if found else None


def _folders(mounted, own):
    """The process's groups and the groups around them: each may have a quota."""
    with suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            top = mounted / "cpu" if controllers else mounted
            folder = top / path.strip("/")
            yield from (folder, *(parent for parent in folder.parents if parent.is_relative_to(top)))


def _share(folder):
    """Processor seconds per second that a group may use."""
    with suppress(OSError, ValueError):
        allowed, period = (folder / "cpu.max").read_text().split()  # version 2: "max" is no number
        return int(allowed) / int(period)
    with suppress(OSError, ValueError):
        allowed = int((folder / "cpu.cfs_quota_us").read_text())
        return allowed / int((folder / "cpu.cfs_period_us").read_text()) if allowed > 0 else None
    return None
