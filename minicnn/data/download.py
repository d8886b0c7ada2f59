"""Download an archive of photos, over a line that breaks and from a server that cannot be trusted, and unpack it.

What has arrived stays in a `.part` file and the next attempt asks for the rest.  Size and checksum are compared before
anything is unpacked; names in the archive that would leave the folder are refused before anything is written; the
images appear under their final name only when all of them are there.  Only the standard library, and a bar.
`web.py` asks the server.

`examples/catdog.py download` calls `download`.
"""

import errno
import hashlib
import http.client
import json
import os
import shutil
import stat
import sys
import time
import urllib.error
import urllib.parse
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath

from tqdm import tqdm

from ..errors import ArgumentError, DataError, check_int
from ..saving.files import to_path
from .web import ON_THE_LINE, open_address, to_number

BLOCK = 1 << 16
AGAIN = "Run the same command again: it goes on from there."
CLASH = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR)  # a member that is a file to one and a folder to another
ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}  # of images in archives


def _leaves(name):
    """Whether a member of this name would lie outside of the folder, here or on Windows."""
    windows = PureWindowsPath(name)
    return (
        PurePosixPath(name).is_absolute()
        or windows.drive
        or windows.root
        or not windows.parts
        or ".." in windows.parts
        or "\0" in name
    )


def _is_address(address):
    """Whether this is a web address that can be asked at all."""
    try:
        parts = urllib.parse.urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except (ValueError, TypeError, AttributeError):
        return False


@dataclass(frozen=True)
class Archive:
    """A zip file of photographs somewhere.

    Parameters
    ----------
    name : str
        Of the folder that it becomes.
    address : str
        An https or http address.
    size : int
        Bytes.
    pictures : str
        The folder in it that `find_pictures` or `--data` wants.
    sha256 : str or None
        None where nobody has published one: then the size and the archive's own checksums are all there is to
        compare, and what arrived is written down.

    Raises
    ------
    ArgumentError
        If the name is no folder's, the address no web address, the size no whole number, or the checksum not 64
        hexadecimal digits.
    """

    name: str
    address: str
    size: int
    pictures: str
    sha256: str | None = None

    def __post_init__(self):
        if not isinstance(self.name, str) or _leaves(self.name) or len(PureWindowsPath(self.name).parts) != 1:
            raise ArgumentError("name", "the name of a folder", repr(self.name), "Give for example 'pets'.")
        if not _is_address(self.address):
            raise ArgumentError("address", "https://...", repr(self.address), "Give a web address.")
        object.__setattr__(self, "size", check_int(self.size, "size"))
        if self.sha256 is not None:
            object.__setattr__(self, "sha256", self.sha256.strip().lower())
            if len(self.sha256) != 64 or set(self.sha256) - set("0123456789abcdef"):
                raise ArgumentError("sha256", "64 hexadecimal digits", repr(self.sha256), "Copy all of it.")


ARCHIVES = {
    archive.name: archive
    for archive in (
        Archive(
            "cats_and_dogs_filtered",
            "https://storage.googleapis.com/mledu-datasets/cats_and_dogs_filtered.zip",
            68_606_236,
            "cats_and_dogs_filtered",
        ),
        Archive(
            "microsoft",
            "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/"
            "kagglecatsanddogs_5340.zip",
            824_887_076,
            "PetImages",
            "b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
        ),
    )
}


def download(archive: Archive, folder: str | Path, attempts: int = 5, wait: float = 1.0) -> Path:
    """Fetch, check and unpack; does nothing when that is done already.

    Parameters
    ----------
    archive : Archive
    folder : str or Path
        The images go into ``folder / archive.name``; `~` is expanded.
    attempts : int
        How often in a row it may fail to get any further.
    wait : float
        Seconds before the second attempt; twice as long before each further one.

    Returns
    -------
    Path
        The folder to train on.

    Raises
    ------
    DataError
        If the server does not give the archive, gives another, or it holds what an archive of images does not; or if
        a folder of that name is there that holds something else.
    OSError
        If the disk is full or the folder cannot be written; what has arrived is kept.

    Notes
    -----
    ``download.json`` beside the pictures says where they are from, and with which checksum they were compared.
    """
    folder = to_path(folder, "folder")
    final, file = folder / archive.name, folder / f"{archive.name}.zip.part"
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / f".{archive.name}.lock"):
        if _holds_images(final / archive.pictures):
            print(f"Already there: {final}")
            file.unlink(missing_ok=True)  # from a process that was killed when all else was done
        else:
            _make_way(final)
            _fetch(archive, file, attempts, wait)
            _unpack(archive, file, final, _check(archive, file))
            file.unlink()
    return final / archive.pictures


def _holds_images(folder):
    return any(path.suffix.lower() in ENDINGS for path in folder.rglob("*"))


def _make_way(final):
    """An empty folder is removed, so that the images can take its name; anything else is not ours to remove."""
    try:
        final.rmdir()
    except FileNotFoundError:
        pass
    except OSError as error:
        received = "something else" if final.is_dir() else "a file"
        raise DataError(
            str(final),
            "the images of an earlier download, or nothing",
            received,
            "Move it, or choose another folder.",
        ) from error


def _fetch(archive, file, attempts, wait):
    """Bring `file` to the archive's size, attempt after attempt."""
    failures, most = 0, 0
    have = file.stat().st_size if file.exists() else 0
    if have > archive.size:
        file.unlink()
        have = 0
    free = shutil.disk_usage(file.parent).free
    if free < 2 * archive.size - have:
        raise DataError(
            str(file.parent),
            f"room for {2 * archive.size - have} bytes, for the archive and what it holds",
            f"{free} bytes free",
            "Make room, or choose another folder.",
        )
    bar = tqdm(desc=archive.name, total=archive.size, unit="B", unit_scale=True, leave=False, disable=None)
    with bar:
        while have < archive.size:
            try:
                _attempt(archive, file, have, bar)
                reason = "the connection was cut"
            except ON_THE_LINE as error:
                reason = _reason(error)
                if getattr(error, "code", 500) < 500 and error.code not in (408, 429):
                    raise DataError(
                        archive.address, "the archive", reason, "Check the address, or try another day."
                    ) from error
            have = file.stat().st_size if file.exists() else 0
            if have >= archive.size:
                return
            failures = 0 if have > most else failures + 1
            most = max(most, have)
            if failures >= attempts:
                raise DataError(
                    archive.address,
                    f"{archive.size} bytes",
                    f"{have} in {attempts} attempts ({reason})",
                    AGAIN,
                )
            pause = min(wait * 2**failures, 60)
            tqdm.write(f"{have} of {archive.size} bytes ({reason}); on in {pause:.0f} s", file=sys.stderr)
            time.sleep(pause)


def _attempt(archive, file, have, bar):
    """Ask once for what is missing, and append what comes."""
    with open_address(archive.address, have) as (response, clock):
        if archive.address.startswith("https:") and not response.url.startswith("https:"):
            raise _other(archive, f"to be sent on to {response.url}, which is not encrypted")
        skip = have  # a server that ignores the range sends all from the start
        total = to_number(response.headers.get("Content-Length"))
        if response.status == 206:
            place, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
            if place.split("-")[0] != str(have):
                raise http.client.HTTPException(
                    f"the server sent bytes {place[:99]} where {have}- was asked for"
                )
            skip, total = 0, to_number(total)
        if total not in (None, archive.size):
            raise _other(archive, f"{total} bytes" if total < 10**15 else "a length that no archive has")
        bar.n = have - skip
        with file.open("ab") as out:
            while block := response.read1(BLOCK):  # what has come, rather than wait for more
                clock.restart()
                bar.update(len(block))
                block, skip = block[skip:], max(0, skip - len(block))
                if out.tell() + len(block) > archive.size:
                    out.truncate(0)
                    raise _other(archive, "more")
                out.write(block)


def _other(archive, received):
    """The error of a server that offers another file than was asked for."""
    return DataError(
        archive.address, f"{archive.size} bytes", received,
        "The file there is another, or something stands between: nothing of it is used.",
    )  # fmt: skip


def _check(archive, file):
    """The checksum of what arrived, if it is the right one; else it is removed."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    if archive.sha256 not in (None, digest.hexdigest()):
        file.unlink()
        raise DataError(
            archive.address, f"sha256 {archive.sha256}", digest.hexdigest(),
            "What arrived was removed: run the same command again to start afresh.",
        )  # fmt: skip
    if archive.sha256 is None:
        print(f"No checksum is known to compare with; what arrived has sha256 {digest.hexdigest()}")
    return digest.hexdigest()


def _unpack(archive, file, final, received):
    """All members below `final`, which is there in one step when they are."""
    unfinished = final.with_name(f".{archive.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
    try:
        with zipfile.ZipFile(file) as zipped:
            members = zipped.infolist()
            for member in members:
                _refuse(archive, member)
            if sum(member.file_size for member in members) > 10 * archive.size:
                raise DataError(
                    archive.address, "images", "an archive that unpacks to more than ten times its size"
                )
            for member in tqdm(members, "Unpacking", unit="file", leave=False, disable=None):
                target = unfinished / member.filename
                if member.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with zipped.open(member) as content, target.open("wb") as out:
                    shutil.copyfileobj(content, out, BLOCK)
        if not (unfinished / archive.pictures).is_dir():
            raise DataError(
                archive.address, f"a folder {archive.pictures} in the archive", "none", "Check the address."
            )
        record = asdict(replace(archive, sha256=received)) | {
            "compared_with_a_known_sha256": archive.sha256 is not None
        }
        (unfinished / "download.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        if hasattr(os, "sync"):
            os.sync()  # to the disk before the name: no power cut leaves empty pictures
        unfinished.rename(final)
    except DataError:
        file.unlink()
        raise
    except Exception as error:  # zipfile and zlib raise half a dozen kinds at what is no archive
        if isinstance(error, OSError) and error.errno not in CLASH:
            raise  # a full disk
        file.unlink()
        raise DataError(
            archive.address, "a sound zip archive", str(error) or type(error).__name__,
            "What arrived was removed: run the same command again to start afresh.",
        ) from error  # fmt: skip
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _refuse(archive, member):
    """An error for a member that could be written outside of the folder, or is no plain file."""
    # From Python 3.12 on a second name, in a field of its own, takes the place of the first.
    name, mode = member.orig_filename, member.external_attr >> 16
    if _leaves(name) or _leaves(name := member.filename):
        what = "one that leaves the folder"
    elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a link or a device"
    elif member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        what = "one that is encrypted or packed in another way"
    else:
        return
    raise DataError(f"{archive.address}: {name!r}", "a file of the archive", what, "Nothing was unpacked.")


def _reason(error):
    """What went wrong on the line, in a few words."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP status {error.code} {error.reason}"[:200]
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error)[:200] or type(error).__name__


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock that the system takes back when the process ends, however it ends."""
    with path.open("a") as file:
        try:
            try:
                import fcntl
            except ImportError:
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise DataError(
                str(path.parent), "to be alone", "another download into it", "Wait until that one is done."
            ) from error
        except OSError:  # a file system without locks
            pass
        yield
