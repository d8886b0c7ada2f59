"""Ask a web server that cannot be trusted for a file, with limits on what it may say instead.

Python's HTTP client waits 30 seconds for each byte, and reads what comes before and after the content without an end:
a server that sends "100 Continue", redirections or trailers for ever would hold it for ever.  Here the whole way from
one block of content to the next may take 30 seconds and a megabyte.

Called by `download.py`.
"""

import http.client
import io
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from ..errors import DataError

SECONDS = 30.0  # between two blocks of content
BYTES = 1 << 20  # that are no content
# What may be over in a second; a full disk is an OSError too, and not among these.
ON_THE_LINE = (
    urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError,
)  # fmt: skip


class Clock:
    """The time and the bytes that are left before content must come."""

    def __init__(self):
        self.restart()

    def restart(self) -> None:
        """Content has come."""
        self.end, self.bytes = time.monotonic() + SECONDS, BYTES


@contextmanager
def open_address(address: str, start: int = 0) -> Iterator[tuple[http.client.HTTPResponse, Clock]]:
    """The server's answer, and the clock to restart with each block that is read of it.

    Parameters
    ----------
    address : str
    start : int
        How many bytes are there already; the rest is asked for.

    Raises
    ------
    DataError
        If the answer is none that can be understood, such as a redirection to a broken address.
    URLError, HTTPException, ConnectionError, TimeoutError, SSLError
        Of which the next attempt may know nothing; also while the answer is read.
    """
    clock = Clock()
    request = urllib.request.Request(address, headers={"User-Agent": "minicnn"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response = urllib.request.build_opener(_Http(clock), _Https(clock)).open(request, timeout=SECONDS)
    except ON_THE_LINE:
        raise
    except Exception as error:  # ValueError, UnicodeError, OverflowError: whatever a broken address gives
        raise DataError(
            address, "the archive", f"an answer that cannot be followed ({str(error)[:200]})",
            "Check the address, or try another day.",
        ) from error  # fmt: skip
    with response:
        yield response, clock


def to_number(text: str | None) -> int | None:
    """A length as a server gives it; None where it gives none.

    Examples
    --------
    >>> to_number("12"), to_number("*"), to_number("9" * 5000) > 10**15
    (12, None, True)
    """
    if text is None or not (text.isascii() and text.isdecimal()):
        return None
    return int(text[:20])  # a hundred million terabytes, where it was longer


class _Raw(io.RawIOBase):
    """The bytes of a connection, under a clock."""

    def __init__(self, connection, clock):
        self._connection, self._clock = connection, clock
        self._raw = connection.makefile("rb", buffering=0)

    def readable(self):
        return True

    def readinto(self, buffer):
        left = self._clock.end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no content for {SECONDS:g} s")
        if self._clock.bytes <= 0:
            raise http.client.HTTPException(f"{BYTES:,} bytes without content")
        self._connection.settimeout(left)
        count = self._raw.readinto(buffer)
        self._clock.bytes -= count or 0
        return count

    def close(self):
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, connection, *args, clock, **settings):
        super().__init__(connection, *args, **settings)
        self.fp.close()
        self.fp = io.BufferedReader(_Raw(connection, clock), 1 << 16)


class _Http(urllib.request.HTTPHandler):
    """Connections under a clock."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def http_open(self, request):
        return self.do_open(partial(_connect, http.client.HTTPConnection, self.clock), request)


class _Https(urllib.request.HTTPSHandler):
    """Encrypted connections under a clock."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def https_open(self, request):
        return self.do_open(partial(_connect, http.client.HTTPSConnection, self.clock), request)


def _connect(kind, clock, *args, **settings):
    connection = kind(*args, **settings)
    connection.response_class = partial(_Response, clock=clock)
    return connection
