"""Download an archive of photos and unpack it, over an unreliable connection and from an untrusted server.

Received bytes stay in a `.part` file, and the next attempt requests only the rest.  Size and checksum are checked
before anything is unpacked.  A name in the archive that points outside the folder is refused before anything is
written.  The folder gets its final name only when all images are in it.  web.py sends the requests; only the standard
library and tqdm are needed.

Called by minicnn/cli/storage.py (`minicnn download`).
"""

import errno
import hashlib
import http.client
import json
import os
import shutil
import stat
import time
import urllib.error
import urllib.parse
import zipfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath

from tqdm import tqdm

from ..errors import ArgumentError, DataError, check_int
from ..runtime.printing import say, warn
from ..saving.files import to_path
from ..saving.locks import alone
from .web import ON_THE_LINE, open_address, to_number

BLOCK = 1 << 16
AGAIN = "Run the same command again: it resumes there."
FROM_THE_START = "The received file was deleted: run the same command again to start from the beginning."
CLASH = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR)  # one name is both a file and a folder in the archive
ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}  # of images in archives


def _leaves(name):
    """Whether a member of this name would be written outside the folder, on any system."""
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
    """Whether this is a valid http or https address."""
    try:
        parts = urllib.parse.urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except (ValueError, TypeError, AttributeError):
        return False


@dataclass(frozen=True)
class Archive:
    """A zip file of photos on a web server.

    Parameters
    ----------
    name : str
        Name of the folder that the archive is unpacked to.
    address : str
        An https or http address.
    size : int
        Size of the archive in bytes.
    images : str
        The folder in the archive that holds the images, for `find_images` or `--data`.
    sha256 : str or None
        Checksum of the archive.  None if none is published: then only the size and the zip file's own checksums are
        checked, and the checksum of the received file is recorded.

    Raises
    ------
    ArgumentError
        If the name is not the name of a folder, the address not a web address, the size not a whole number, or the
        checksum not 64 hexadecimal digits.
    """

    name: str
    address: str
    size: int
    images: str
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
    """Download, check and unpack an archive, unless its images are already there.

    Parameters
    ----------
    archive : Archive
    folder : str or Path
        The images go to ``folder / archive.name``; `~` is expanded.
    attempts : int
        The number of attempts in a row that may bring no new bytes.
    wait : float
        Seconds before the second attempt; the pause doubles before each further one.

    Returns
    -------
    Path
        The folder to train on.

    Raises
    ------
    DataError
        If the server does not send the archive or sends another file, if the archive is damaged or has unsafe
        members, or if `folder` already holds something else under that name.
    StateError
        If another process is downloading into the same folder.
    OSError
        If the disk is full or the folder cannot be written; the received bytes are kept.

    Notes
    -----
    ``download.json`` next to the images records the archive's address and checksum.
    """
    folder = to_path(folder, "folder")
    final, file = folder / archive.name, folder / f"{archive.name}.zip.part"
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder / f".{archive.name}.lock", str(folder), "another download into it"):
        if _holds_images(final / archive.images):
            say(f"Already there: {final}")
            file.unlink(missing_ok=True)  # left by a process that was killed at the very end
        else:
            _make_way(final)
            _fetch(archive, file, attempts, wait)
            _unpack(archive, file, final, _check(archive, file))
            file.unlink()
    return final / archive.images


def _holds_images(folder):
    return any(path.suffix.lower() in ENDINGS for path in folder.rglob("*"))


def _make_way(final):
    """Delete an empty folder, so that the images can take its name; refuse anything else."""
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
    """Download the missing bytes of `file`, in as many attempts as it takes."""
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
                code = getattr(error, "code", 500)
                if code < 500 and code not in (408, 429):
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
            warn(f"{have} of {archive.size} bytes ({reason}); next attempt in {pause:.0f} s")
            time.sleep(pause)


def _attempt(archive, file, have, bar):
    """Request the missing bytes once, and append what arrives."""
    with open_address(archive.address, have) as (response, clock):
        if archive.address.startswith("https:") and not response.url.startswith("https:"):
            raise _other(archive, f"a redirection to {response.url}, which is not encrypted")
        skip = have  # a server that ignores the range sends everything from the start
        total = to_number(response.headers.get("Content-Length"))
        if response.status == 206:
            place, _, whole = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
            if place.split("-")[0] != str(have):
                raise http.client.HTTPException(
                    f"the server sent bytes {place[:99]} where {have}- was requested"
                )
            skip, total = 0, to_number(whole)
        if total not in (None, archive.size):
            raise _other(archive, f"{total} bytes" if total < 10**15 else "a length that no archive has")
        bar.n = have - skip
        with file.open("ab") as out:
            while block := response.read1(BLOCK):  # read1 returns what has arrived, without waiting for more
                clock.restart()
                bar.update(len(block))
                block, skip = block[skip:], max(0, skip - len(block))
                if out.tell() + len(block) > archive.size:
                    out.truncate(0)
                    raise _other(archive, "more")
                out.write(block)


def _other(archive, received):
    """The error for a server that offers another file."""
    return DataError(
        archive.address, f"{archive.size} bytes", received,
        "The server has another file, or a proxy answers in its place. Nothing of it is used.",
    )  # fmt: skip


def _check(archive, file):
    """Return the checksum of the received file; if it is wrong, delete the file and raise DataError."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    if archive.sha256 not in (None, digest.hexdigest()):
        file.unlink()
        raise DataError(
            archive.address, f"sha256 {archive.sha256}", digest.hexdigest(), FROM_THE_START
        )  # fmt: skip
    if archive.sha256 is None:
        say(f"No checksum is published for this archive; the received file has sha256 {digest.hexdigest()}")
    return digest.hexdigest()


def _unpack(archive, file, final, received):
    """Unpack all members to a temporary folder, then rename it to `final`."""
    unfinished = final.with_name(f".{archive.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # left by a process that was killed
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
        if not (unfinished / archive.images).is_dir():
            raise DataError(
                archive.address, f"a folder {archive.images} in the archive", "none", "Check the address."
            )
        record = asdict(replace(archive, sha256=received)) | {
            "compared_with_a_known_sha256": archive.sha256 is not None
        }
        (unfinished / "download.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        if hasattr(os, "sync"):
            os.sync()  # to the disk before the rename, so that a power failure leaves no empty images
        unfinished.rename(final)
    except DataError:
        file.unlink()
        raise
    except Exception as error:  # zipfile and zlib raise half a dozen kinds of errors for a damaged archive
        if isinstance(error, OSError) and error.errno not in CLASH:
            raise  # the disk is full, for example
        file.unlink()
        raise DataError(
            archive.address, "a sound zip archive", str(error) or type(error).__name__, FROM_THE_START
        ) from error  # fmt: skip
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _refuse(archive, member):
    """Refuse a member that would be written outside the folder, or that is not a regular file."""
    # From Python 3.12 on, a second name in a separate field can replace the first.
    name, mode = member.orig_filename, member.external_attr >> 16
    if _leaves(name) or _leaves(name := member.filename):
        what = "one that leaves the folder"
    elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a link or a device"
    elif member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        what = "one that is encrypted or compressed in another way"
    else:
        return
    raise DataError(f"{archive.address}: {name!r}", "a file of the archive", what, "Nothing was unpacked.")


def _reason(error):
    """What went wrong with the connection, in a few words."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP status {error.code} {error.reason}"[:200]
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error)[:200] or type(error).__name__
