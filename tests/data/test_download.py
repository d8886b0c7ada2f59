"""Tests of download, with a local server that breaks connections, ignores ranges, and sends wrong content."""

import hashlib
import io
import json
import os
import re
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from contextlib import suppress
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest

from minicnn import ArgumentError, DataError, StateError
from minicnn.data import ARCHIVES, Archive, download, web

SECRET = b"what was outside"


class Server(ThreadingHTTPServer):
    """A server that sends `content` at every address, with the faults that its attributes set.

    cut : end each response after this many bytes.  ignore_range : always send everything.  offset : shift the range.
    announce : the length in the headers, None for none.  statuses : send these HTTP errors first.  pause : an event to
    wait for in the middle of each response.
    """

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.announce = content, len(content)
        self.cut = self.ignore_range = self.pause = None
        self.offset, self.statuses, self.asked = 0, [], []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}/images.zip"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.asked.append(asked)
        if server.statuses:
            return self.send_error(server.statuses.pop(0))
        ranged = asked is not None and not server.ignore_range
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) + server.offset if ranged else 0
        content = server.content[start:]
        self.send_response(206 if ranged else 200)
        if ranged:
            end = len(server.content) - 1
            self.send_header("Content-Range", f"bytes {start}-{end}/{server.announce or '*'}")
        if server.announce is not None:
            self.send_header("Content-Length", str(server.announce - start))
        self.end_headers()
        if server.pause is not None:
            self.wfile.write(content[: len(content) // 2])
            server.pause.wait(60)
            content = content[len(content) // 2 :]
        self.wfile.write(content if server.cut is None else content[: server.cut])
        return None

    def log_message(self, *_):
        pass


def zipped(*members, compression=zipfile.ZIP_STORED):
    """A zip file of (name or ZipInfo, content)."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


@pytest.fixture(scope="module")
def content(drawn):
    """The layout of Microsoft's archive: a licence next to the folder of images, and a Thumbs.db in each class."""
    members = [("MSR-LA - 3467.docx", b"licence")]
    for kind in ("Cat", "Dog"):
        members += [(f"PetImages/{kind}/", b""), (f"PetImages/{kind}/Thumbs.db", b"no image")]
        members += [
            (f"PetImages/{kind}/{n}.jpg", (drawn / f"{kind.lower()}.{n}.png").read_bytes()) for n in range(9)
        ]
    return zipped(*members)


@pytest.fixture
def server(content):
    with Server(content) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def archive(server, sha256="right", size=None):
    if sha256 == "right":
        sha256 = hashlib.sha256(server.content).hexdigest()
    size = len(server.content) if size is None else size
    return Archive("pets", server.address, size, "PetImages", sha256)


def fetch(wanted, folder, attempts=3):
    return download(wanted, folder, attempts, wait=0.001)


def complete(folder, content):
    """Check that the folder holds all files of the archive, and otherwise only the lock."""
    with zipfile.ZipFile(io.BytesIO(content)) as whole:
        for name in whole.namelist():
            if not name.endswith("/"):
                assert (folder / "pets" / name).read_bytes() == whole.read(name)
    assert sorted(path.name for path in folder.iterdir()) == [".pets.lock", "pets"]
    return True


def test_an_archive_is_downloaded_checked_and_unpacked(server, tmp_path, capsys):
    images = fetch(archive(server), tmp_path)
    assert complete(tmp_path, server.content)
    assert len(list(images.rglob("*.jpg"))) == 18
    record = json.loads((tmp_path / "pets" / "download.json").read_text())
    assert record == asdict(archive(server)) | {"compared_with_a_known_sha256": True}
    assert fetch(archive(server), tmp_path) == images and server.asked == [None]
    assert "Already there" in capsys.readouterr().out


def test_a_connection_that_breaks_repeatedly_is_resumed(server, tmp_path):
    server.cut = len(server.content) // 7
    fetch(archive(server), tmp_path)
    assert complete(tmp_path, server.content)
    assert server.asked == [None] + [
        f"bytes={n}-" for n in range(server.cut, len(server.content), server.cut)
    ]


def test_a_later_process_resumes_the_download_of_a_killed_one(server, tmp_path, root):
    code = f"""
import sys
from minicnn.data import Archive, download
download(Archive(**{asdict(archive(server))!r}), sys.argv[1])
"""
    server.pause = threading.Event()
    command = [sys.executable, "-c", code, str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    part = tmp_path / "pets.zip.part"
    while not part.exists() or part.stat().st_size == 0:
        assert process.poll() is None, process.stderr.read()
    with pytest.raises(StateError, match="another download into it"):
        fetch(archive(server), tmp_path)
    process.kill()
    process.communicate()
    server.pause.set()
    have = part.stat().st_size
    assert 0 < have < len(server.content)
    fetch(archive(server), tmp_path)
    assert complete(tmp_path, server.content) and server.asked == [None, f"bytes={have}-"]


def test_without_ranges_the_download_is_repeated_until_it_is_complete(server, tmp_path):
    server.cut, server.ignore_range = len(server.content) * 2 // 3, True
    with pytest.raises(DataError, match=rf"received {server.cut} in 3 attempts .the connection was cut"):
        fetch(archive(server), tmp_path)
    server.cut = None
    fetch(archive(server), tmp_path)
    assert complete(tmp_path, server.content)


def test_a_response_with_another_range_is_refused(server, tmp_path):
    server.cut = 1000
    with pytest.raises(DataError):
        fetch(archive(server), tmp_path, attempts=0)
    server.cut, server.offset = None, 7
    with pytest.raises(DataError, match=r"in 3 attempts .the server sent bytes 1007-\d+ where 1000-"):
        fetch(archive(server), tmp_path)
    assert (tmp_path / "pets.zip.part").read_bytes() == server.content[:1000]


def test_a_response_without_a_length_is_accepted(server, tmp_path):
    server.announce, server.cut = None, len(server.content) // 2
    fetch(archive(server), tmp_path)
    assert complete(tmp_path, server.content)


@pytest.mark.parametrize("lie", [-100, 100])
def test_a_response_with_another_length_is_refused(server, tmp_path, lie):
    server.announce += lie
    with pytest.raises(DataError, match=rf"expected {len(server.content)} bytes, received {server.announce}"):
        fetch(archive(server), tmp_path)
    assert server.asked == [None] and not (tmp_path / "pets").exists()


def test_a_response_that_is_too_long_is_not_kept(server, tmp_path):
    server.announce = None
    with pytest.raises(DataError, match="received more"):
        fetch(archive(server, size=len(server.content) - 1), tmp_path)
    assert (tmp_path / "pets.zip.part").stat().st_size == 0


def test_a_response_that_is_too_short_is_requested_again_and_then_reported(server, tmp_path):
    server.content = server.content[:-100]  # announces 100 more than it has
    wanted = archive(server, None, size=server.announce)
    with pytest.raises(DataError, match=f"received {len(server.content)} in 3 attempts"):
        fetch(wanted, tmp_path)


def test_a_wrong_checksum_deletes_the_file(server, tmp_path):
    right = server.content
    server.content = right[:500] + bytes([right[500] ^ 1]) + right[501:]
    with pytest.raises(DataError, match=f"expected sha256 {hashlib.sha256(right).hexdigest()}, received "):
        fetch(archive(server, hashlib.sha256(right).hexdigest()), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".pets.lock"]
    server.content = right
    fetch(archive(server), tmp_path)
    assert complete(tmp_path, right)


def test_without_a_published_checksum_that_of_the_file_is_printed_and_recorded(server, tmp_path, capsys):
    fetch(archive(server, None), tmp_path)
    sha256 = hashlib.sha256(server.content).hexdigest()
    assert (
        f"No checksum is published for this archive; the received file has sha256 {sha256}"
        in capsys.readouterr().out
    )
    record = json.loads((tmp_path / "pets" / "download.json").read_text())
    assert record["sha256"] == sha256 and record["compared_with_a_known_sha256"] is False


def test_without_a_published_checksum_the_zip_files_own_checksums_find_damage(server, tmp_path):
    at = server.content.index(b"licence")
    server.content = server.content[:at] + b"L" + server.content[at + 1 :]
    with pytest.raises(DataError, match="sound zip archive.*CRC"):
        fetch(archive(server, None), tmp_path)
    server.content = b"<html>" * (len(server.content) // 6 + 1)
    server.announce = len(server.content)
    with pytest.raises(DataError, match="sound zip archive"):
        fetch(archive(server, None), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".pets.lock"]


def link(name, mode=stat.S_IFLNK):
    info = zipfile.ZipInfo(name)
    info.external_attr = (mode | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/PetImages/evil", "leaves the folder"),
        ("PetImages/../../../evil", "leaves the folder"),
        ("..", "leaves the folder"),
        ("..\\evil", "leaves the folder"),
        ("C:\\evil", "leaves the folder"),
        ("C:evil", "leaves the folder"),
        ("\\evil", "leaves the folder"),
        (link("PetImages/outside"), "a link or a device"),
        (link("PetImages/pipe", stat.S_IFIFO), "a link or a device"),
    ],
    ids=str,
)
def test_members_outside_the_folder_are_refused_before_anything_is_written(server, tmp_path, name, reason):
    target = tmp_path / "a" / "b"
    target.mkdir(parents=True)
    (tmp_path / "evil").write_bytes(SECRET)
    server.content = zipped(("PetImages/Cat/0.jpg", b"cat"), (name, b"../../../evil"))
    server.announce = len(server.content)
    with pytest.raises(DataError, match=f"received .*{reason}. Nothing was unpacked"):
        fetch(archive(server), target)
    assert [path.name for path in target.iterdir()] == [".pets.lock"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "evil"]
    assert (tmp_path / "evil").read_bytes() == SECRET


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python does not read the second name yet")
@pytest.mark.parametrize("second", ["../evil", "{}/evil", "PetImages/../../evil"])
def test_a_second_name_outside_the_folder_is_refused(server, tmp_path, second):
    name, second = "PetImages/Cat/1.jpg", second.format(tmp_path).encode()
    info = zipfile.ZipInfo(name)
    info.extra = struct.pack("<HHBL", 0x7075, 5 + len(second), 1, zlib.crc32(name.encode())) + second
    server.content = zipped(("PetImages/Cat/0.jpg", b"cat"), (info, SECRET))
    server.announce = len(server.content)
    with pytest.raises(DataError, match="leaves the folder. Nothing was unpacked"):
        fetch(archive(server), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".pets.lock"]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("PetImages/a", b""), ("PetImages/a/b", b"")], "sound zip archive"),
        ([("Other/cat.0.jpg", b"")], "folder PetImages in the archive"),
        ([("PetImages/cat.0.jpg", bytes(10**6))], "more than ten times its size"),
    ],
    ids=["a file that is a folder", "no images", "a bomb"],
)
def test_a_wrong_archive_leaves_no_files(server, tmp_path, members, reason):
    server.content = zipped(*members, compression=zipfile.ZIP_DEFLATED)
    server.announce = len(server.content)
    with pytest.raises(DataError, match=reason):
        fetch(archive(server), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".pets.lock"]


def test_permanent_http_errors_end_the_download_and_temporary_ones_do_not(server, tmp_path):
    server.statuses = [404, 404]
    with pytest.raises(DataError, match="HTTP status 404"):
        fetch(archive(server), tmp_path)
    assert len(server.asked) == 1
    server.statuses = [503, 429, 500]
    fetch(archive(server), tmp_path, attempts=4)
    assert complete(tmp_path, server.content)


def test_a_refused_connection_is_reported(server, tmp_path):
    wanted = archive(server)
    server.server_close()
    with pytest.raises(DataError, match="received 0 in 2 attempts .*refused"):
        fetch(wanted, tmp_path, attempts=2)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on a file's size")
def test_a_full_disk_keeps_the_received_bytes(server, tmp_path):
    code = f"""
import resource, sys
from minicnn.data import Archive, download
resource.setrlimit(resource.RLIMIT_FSIZE, (70000, 70000))
download(Archive(**{asdict(archive(server))!r}), sys.argv[1])
"""
    assert len(server.content) > 70_000
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "OSError: [Errno 27] File too large" in done.stderr
    assert server.content.startswith((tmp_path / "pets.zip.part").read_bytes())
    fetch(archive(server), tmp_path)
    assert complete(tmp_path, server.content) and len(server.asked) == 2


def test_the_known_archives_and_invalid_ones():
    small, large = ARCHIVES["cats_and_dogs_filtered"], ARCHIVES["microsoft"]
    assert set(ARCHIVES.values()) == {small, large}
    assert (small.size, small.sha256) == (68_606_236, None)
    assert small.address.endswith("/mledu-datasets/cats_and_dogs_filtered.zip")
    checksum = "b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9"
    assert (large.size, large.sha256) == (824_887_076, checksum)
    assert large.address.endswith("/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/kagglecatsanddogs_5340.zip")
    assert all(archive.address.startswith("https://") for archive in ARCHIVES.values())
    for settings in (
        {"address": "file:///etc/passwd"}, {"address": "x"}, {"address": "http://"}, {"address": "http://[::1"},
        {"address": "http://a:99999"}, {"address": None}, {"sha256": "12"}, {"size": "1"}, {"size": 0},
        {"name": "../x"}, {"name": "a/b"}, {"name": ""}, {"name": None},
    ):  # fmt: skip
        with pytest.raises(ArgumentError):
            Archive(**({"name": "x", "address": "https://x", "size": 1, "images": "x"} | settings))


def test_the_command_downloads_and_reports_errors_in_one_line(server, tmp_path, root):
    code = f"""
import sys
import catdog
from minicnn.data import ARCHIVES, Archive
ARCHIVES["microsoft"] = Archive(**{asdict(archive(server))!r})
sys.exit(catdog.main(sys.argv[1:]))
"""

    def run(*arguments):
        command = [sys.executable, "-c", code, "download", *arguments, "--out", str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, cwd=root / "examples", timeout=60)

    lie = run("--address", server.address)  # another archive than the chosen one
    assert lie.returncode == 2 and lie.stderr.count("\n") == 1
    assert "expected 68606236 bytes, received" in lie.stderr
    wrong = run("microsoft", "--sha256", "0" * 64)
    assert wrong.returncode == 2 and f"expected sha256 {'0' * 64}" in wrong.stderr
    done = run("microsoft")
    assert done.returncode == 0, done.stderr
    images = tmp_path / "pets" / "PetImages"
    assert f" train --data {images}" in done.stdout and images.is_dir()


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to a whole console")
def test_ctrl_c_ends_the_download_and_keeps_the_received_bytes(server, tmp_path, root):
    server.pause = threading.Event()
    code = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background, Ctrl-C is ignored otherwise
from minicnn import cli
from minicnn.data import ARCHIVES, Archive
ARCHIVES["microsoft"] = Archive(**{asdict(archive(server))!r})
sys.exit(cli.main(["download", "microsoft", "--out", sys.argv[1]]))
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    part = tmp_path / "pets.zip.part"
    while not part.exists() or part.stat().st_size == 0:
        assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    server.pause.set()
    assert process.returncode == 130 and errors == "minicnn: interrupted\n"
    assert np.array_equal(part.read_bytes(), server.content[: part.stat().st_size])


# ------------------------------------------------------------------------------- hostile servers
@pytest.fixture
def raw_server(monkeypatch):
    """A server that sends given bytes; the client's time limit is half a second.

    answer : the bytes to send first.  forever : the bytes to repeat afterwards, `pause` seconds apart, until the client
    closes the connection.
    """
    monkeypatch.setattr(web, "SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = SimpleNamespace(answer=b"", forever=b"", pause=0.0, asked=0, most=1 << 26)
        server.address = f"http://127.0.0.1:{listener.getsockname()[1]}/x.zip"

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    connection.recv(1 << 16)
                    server.asked += 1
                    connection.sendall(server.answer.replace(b"{address}", server.address.encode()))
                    sent = 0
                    while server.forever and sent < server.most:
                        connection.sendall(server.forever * (1 if server.pause else 1000))
                        sent += len(server.forever)
                        time.sleep(server.pause)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize(
    "location",
    [b"http://[::1/x", b"http://a:99999/x", b"http://", b"ftp://127.0.0.1:1/x", b"file:///etc/passwd",
     b"http://127.0.0.1:x/", b"gopher://a", b"http://\xff\xfe/", b"//", b"http://a b/", b"{address}"],
)  # fmt: skip
def test_a_redirection_to_an_invalid_address_is_a_data_error(raw_server, tmp_path, location):
    raw_server.answer = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"
    with pytest.raises(DataError, match="x.zip: expected"):
        fetch(Archive("pets", raw_server.address, 1000, "x"), tmp_path, attempts=1)


@pytest.mark.parametrize(
    "headers",
    [b"Content-Length: " + b"9" * 5000, b"Content-Length: -1", b"Content-Length: \xb2",
     b"Content-Length: 1e3", b"Content-Range: bytes 0-" + b"9" * 5000 + b"/" + b"9" * 5000],
    ids=["5,000 digits", "negative", "no digit", "a float", "a range"],
)  # fmt: skip
def test_a_length_that_is_not_a_number_is_a_data_error(raw_server, tmp_path, headers):
    for status in (b"200 OK", b"206 Partial Content"):
        raw_server.answer = b"HTTP/1.1 " + status + b"\r\n" + headers + b"\r\n\r\nabc"
        with pytest.raises(DataError, match="x.zip: expected 1000 bytes, received") as caught:
            fetch(Archive("pets", raw_server.address, 1000, "x"), tmp_path, attempts=1)
        assert len(str(caught.value)) < 500


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a header": (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "trailers": (CHUNKED + b"3\r\nabc\r\n0\r\n", b"X: x\r\n"),
    "a redirection's content": (b"HTTP/1.1 302 Found\r\nLocation: {address}\r\n\r\n", b"x"),
    "silence": (b"", b""),
    "a chunk's length": (CHUNKED, b"0"),
}


@pytest.mark.parametrize("pause", [0, 0.02], ids=["fast", "slow"])
@pytest.mark.parametrize("what", ENDLESS)
def test_an_endless_response_is_ended(raw_server, tmp_path, monkeypatch, what, pause):
    """The byte limit ends fast responses, and the time limit slow ones.  Each single byte arrives in time."""
    raw_server.answer, raw_server.forever = ENDLESS[what]
    raw_server.pause = pause
    if what == "silence":
        raw_server.forever, raw_server.pause, raw_server.most = b" ", 0.7, 2
    if pause == 0 and what != "silence":
        monkeypatch.setattr(web, "SECONDS", 60)
    begin = time.monotonic()
    with pytest.raises(DataError, match="x.zip: expected 1000 bytes"):
        fetch(Archive("pets", raw_server.address, 1000, "x"), tmp_path, attempts=1)
    assert time.monotonic() - begin < 5 and raw_server.asked <= 11


def test_slow_content_is_accepted(raw_server, tmp_path):
    raw_server.answer, raw_server.pause = CHUNKED, 0.01
    raw_server.forever, raw_server.most = b"1\r\nx\r\n", 6 * 100
    with pytest.raises(DataError, match="received 100 in 0 attempts"):
        fetch(Archive("pets", raw_server.address, 1000, "x"), tmp_path, attempts=0)


# ------------------------------------------------------------------------------- existing folders
def test_an_existing_folder_counts_only_if_it_has_images(server, tmp_path, capsys):
    (tmp_path / "pets").mkdir()
    fetch(archive(server), tmp_path)
    assert complete(tmp_path, server.content) and "Already there" not in capsys.readouterr().out
    fetch(archive(server), tmp_path)
    assert "Already there" in capsys.readouterr().out


def test_a_folder_with_other_files_is_not_changed(server, tmp_path):
    (tmp_path / "pets" / "PetImages").mkdir(parents=True)
    (tmp_path / "pets" / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="pets: expected .* received something else. Move it"):
        fetch(archive(server), tmp_path)
    assert (tmp_path / "pets" / "thesis.txt").read_text() == "years of work" and not server.asked


def test_a_tilde_in_the_path_is_the_home_folder(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert fetch(archive(server), "~") == tmp_path / "pets" / "PetImages"
    assert complete(tmp_path, server.content)
