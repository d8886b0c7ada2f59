"""Walk through a folder: list its images, and record what is left out.

Hidden files are skipped, and so are folders that operating systems and file servers make.  Links are followed.  Images
are recognised by their file name extension; no file is opened here.  Called by folders.py, which finds the classes.
"""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, features

from ..training.batches import shorten

ENDINGS = {
    ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif",
    ".tiff",
}  # fmt: skip
WHERE_PILLOW_CAN = {".avif": "avif", ".j2k": "jpg_2000", ".jp2": "jpg_2000", ".webp": "webp"}
WITH_A_PLUGIN = {".heic", ".heif"}  # after pillow_heif.register_heif_opener() was called
HIDDEN_FOLDERS = (".", "__", "@", "#", "$")  # first letters: .git, __MACOSX, @eaDir, #recycle, $RECYCLE.BIN
TOOL_FOLDERS = {"lost+found", "system volume information", "thumbnails"}


@dataclass
class Listing:
    """The result of a walk.

    Attributes
    ----------
    images : list of Path
    others : Counter
        The number of files of other kinds, by extension.
    dead : list of Path
        Links to files that do not exist.
    locked : list of (Path, str)
        Folders that cannot be opened, and the reason.
    """

    images: list[Path] = field(default_factory=list)
    others: Counter = field(default_factory=Counter)
    dead: list[Path] = field(default_factory=list)
    locked: list[tuple[Path, str]] = field(default_factory=list)


def image_endings() -> set[str]:
    """The extensions of files that the installed Pillow can read."""
    plugins = {ending for ending in WITH_A_PLUGIN if ending in Image.EXTENSION}
    return ENDINGS | plugins | {ending for ending, name in WHERE_PILLOW_CAN.items() if _can(name)}


def walk(folder: Path, deep: bool = True, leave_out: Path | None = None) -> Listing:
    """List the visible files of a folder and, if `deep`, of its subfolders.

    Parameters
    ----------
    folder : Path
    deep : bool
    leave_out : Path, optional
        A folder that is not entered.
    """
    listing, endings = Listing(), image_endings()
    entered = {os.path.realpath(folder), *([os.path.realpath(leave_out)] if leave_out is not None else [])}
    waiting = [os.fspath(folder)]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as scan:
                entries = list(scan)
        except OSError as error:
            listing.locked.append((Path(here), error.strerror or str(error)))
            continue
        for entry in entries:
            if entry.is_dir():
                if deep and not is_tool_folder(entry.name) and _is_new(entry, entered, leave_out):
                    waiting.append(entry.path)
            elif not entry.name.startswith("."):
                _sort_in(entry, endings, listing)
    return listing


def subfolders(folder: Path, leave_out: Path | None = None) -> list[Path]:
    """The visible folders in a folder, sorted by name."""
    with os.scandir(folder) as scan:  # with iterdir, each of thousands of files would need a system call
        found = [Path(entry.path) for entry in scan if entry.is_dir() and not is_tool_folder(entry.name)]
    if leave_out is not None:
        found = [path for path in found if path.resolve() != leave_out.resolve()]
    return sorted(found)


def is_tool_folder(name: str) -> bool:
    """Whether a folder is hidden or made by a tool, by its name."""
    return name.startswith(HIDDEN_FOLDERS) or name.casefold() in TOOL_FOLDERS


def notes(listings: Iterable[Listing]) -> list[str]:
    """Lines about files of other kinds, links to nothing, and folders that cannot be opened."""
    listings = list(listings)
    others = sum((listing.others for listing in listings), Counter())
    dead = [str(path) for listing in listings for path in listing.dead]
    locked = [f"{path} ({why})" for listing in listings for path, why in listing.locked]
    lines = []
    if others:
        counts = [f"{count} {ending or 'without an ending'}" for ending, count in sorted(others.items())]
        lines.append(f"Left out, files of other kinds: {shorten(counts)}")
    if dead:
        lines.append(f"Left out, links to nothing: {shorten(sorted(dead))}")
    if locked:
        lines.append(f"Left out, folders that cannot be opened: {shorten(sorted(locked))}")
    return lines


def _can(name):
    try:
        return bool(features.check(name))
    except ValueError:  # this Pillow does not know the format
        return False


def _is_new(entry, entered, leave_out):
    """Whether to enter a folder: not if a link leads to a folder that was entered, or to a parent of one."""
    if leave_out is None and not entry.is_symlink():
        return True
    real = os.path.realpath(entry.path)
    if real in entered or (entry.is_symlink() and any(other.startswith(real + os.sep) for other in entered)):
        return False
    entered.add(real)
    return True


def _sort_in(entry, endings, listing):
    ending = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122  (pathlib takes five times as long)
    if entry.is_symlink() and not Path(entry.path).exists():
        listing.dead.append(Path(entry.path))
    elif ending in endings and entry.is_file():
        listing.images.append(Path(entry.path))
    else:
        listing.others[ending] += 1
