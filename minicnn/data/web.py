"""Request a file from an untrusted web server, with limits on time and on bytes that are not content.

Python's HTTP client waits up to 30 seconds for each byte and reads headers and trailers without a limit.  A server that
sends "100 Continue", redirections or trailers endlessly would block it forever.  Here at most 30 seconds and one
megabyte may pass between two blocks of content.

Called by download.py, which repeats failed requests.
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

SECONDS = 30.0  # the most time between two blocks of content
BYTES = 1 << 20  # the most bytes between two blocks of content
# Errors of the connection, after which a new attempt makes sense.  Other OSErrors, such as a full disk, are not in it.
ON_THE_LINE = (
    urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError,
)  # fmt: skip


class Clock:
    """The time and the bytes that are left until the next block of content must arrive."""

    def __init__(self):
        self.restart()

    def restart(self) -> None:
        """Start again, because content has arrived."""
        self.end, self.bytes = time.monotonic() + SECONDS, BYTES


@contextmanager
def open_address(address: str, start: int = 0) -> Iterator[tuple[http.client.HTTPResponse, Clock]]:
    """Open an address: yields the server's response, and the clock to restart after each block that is read.

    Parameters
    ----------
    address : str
    start : int
        The number of bytes that are already there; only the rest is requested.

    Raises
    ------
    DataError
        If the response cannot be used, for example a redirection to an invalid address.
    URLError, HTTPException, ConnectionError, TimeoutError, SSLError
        If the connection fails, also while the response is read.  A new attempt may succeed.
    """
    clock = Clock()
    request = urllib.request.Request(address, headers={"User-Agent": "minicnn"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response = urllib.request.build_opener(_Http(clock), _Https(clock)).open(request, timeout=SECONDS)
    except ON_THE_LINE:
        raise
    except Exception as error:  # an invalid address raises ValueError, UnicodeError or OverflowError
        raise DataError(
            address, "the archive", f"an answer that cannot be followed ({str(error)[:200]})",
            "Check the address, or try another day.",
        ) from error  # fmt: skip
    with response:
        yield response, clock


def to_number(text: str | None) -> int | None:
    """A length that a server sent; None if it is not a number.

    Examples
    --------
    >>> to_number("12"), to_number("*"), to_number("9" * 5000) > 10**15
    (12, None, True)
    """
    if text is None or not (text.isascii() and text.isdecimal()):
        return None
    return int(text[:20])  # of a longer number, 20 digits are large enough


class _Raw(io.RawIOBase):
    """The bytes of a connection, limited by a clock."""

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
    """HTTP connections that are limited by a clock."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def http_open(self, request):
        return self.do_open(partial(_connect, http.client.HTTPConnection, self.clock), request)


class _Https(urllib.request.HTTPSHandler):
    """HTTPS connections that are limited by a clock."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def https_open(self, request):
        return self.do_open(partial(_connect, http.client.HTTPSConnection, self.clock), request)


def _connect(kind, clock, *args, **settings):
    connection = kind(*args, **settings)
    connection.response_class = partial(_Response, clock=clock)
    return connection
