"""One worker's way to the web: GET over a connection that is kept, within a time.

Plain `http.client`, because everything that counts here (the total time, the exact
length, what to say of each failure) is what a client library would have to be talked
out of.
"""

import base64
import contextlib
import email.utils
import http.client
import select
import socket
import threading
import time
import urllib.parse
import urllib.request
from typing import NamedTuple

from dec.base.errors import DecError
from dec.base.pace import Pace

_CHUNK = 1 << 16
_REDIRECTS = 5
_HEADERS = {
    "User-Agent": "dec-caffe (photo fetch)",
    "Accept": "image/*, */*;q=0.1",
    "Accept-Encoding": "identity",
}
# Answers that another attempt may change.
_PASSING = {408, 425, 429, 500, 502, 503, 504, 507, 508, 509, 520, 521, 522, 523, 524}


class Failure(Exception):
    """No photo this time.

    code: the HTTP status, 0 if none came. again: another attempt may succeed.
    reached: the server has shown signs of life. wait: seconds of Retry-After.
    """

    def __init__(
        self, text, code=0, *, again=True, reached=True, wait: float | None = None
    ) -> None:
        super().__init__(" ".join(str(text).split()))
        self.code = code
        self.again = again
        self.reached = reached
        self.wait = wait


class Answer(NamedTuple):
    """A whole body, with what the server calls it."""

    data: bytes
    content_type: str


class Client:
    """Asks for one address after the other. One thread uses it; any may `abort`."""

    def __init__(self, pace: Pace, timeout: float, max_bytes: int) -> None:
        """timeout: seconds from request to last byte, all in all."""
        self._pace = pace
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._connection: http.client.HTTPConnection | None = None
        self._proxy_headers: dict[str, str] = {}
        # http.client lets go of its socket while the last answer is still coming.
        self._sock: socket.socket | None = None
        self._key: tuple | None = None
        self._deadline: float | None = None
        self._late = False
        self._lock = threading.Lock()
        self._proxies = urllib.request.getproxies()

    def get(self, url: str) -> Answer:
        """The body behind `url`, after redirects. Raises Failure."""
        for redirects in range(_REDIRECTS + 1):
            parts = _parts(url)
            if not self._pace.turn(parts.hostname):
                raise Failure("stopped")
            try:
                with self._watched():
                    answer = self._hop(url, parts)
            except Failure:
                self.close()
                raise
            except (OSError, http.client.HTTPException) as error:
                failure = self._dropped(error)
                failure.reached |= redirects > 0  # the host that was asked for has
                self.close()
                raise failure from error
            except ValueError as error:
                self.close()
                raise Failure(f"not an address ({error})", again=False) from error
            if isinstance(answer, Failure):
                raise answer
            if isinstance(answer, Answer):
                return answer
            url = urllib.parse.urljoin(url, answer)
        raise Failure("redirects without end", 302, again=False)

    def close(self) -> None:
        """Lets go of the connection."""
        if self._connection:
            self._connection.close()
        self._key = None

    def abort_if_late(self, now: float) -> None:
        """Ends a request that takes too long, from another thread."""
        with self._lock:
            if self._deadline is not None and now > self._deadline:
                self._shut()

    def abort(self) -> None:
        """Ends whatever is going on, from another thread."""
        with self._lock:
            self._shut()

    def _shut(self):
        self._late = True
        if self._sock:
            # Not sock.shutdown: that of an SSL socket pulls the rug from under the
            # thread that reads.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    @contextlib.contextmanager
    def _watched(self):
        with self._lock:
            self._late = False
            self._deadline = time.monotonic() + self._timeout
        try:
            yield
            if self._late:
                raise self._dropped(None)
        finally:
            with self._lock:
                self._deadline = None

    def _dropped(self, error):
        """The Failure that an exception (None: our own abort) stands for."""
        words = getattr(error, "strerror", None) or error or type(error).__name__
        if error and self._key is None:
            return Failure(f"cannot be reached ({words})", reached=False)
        if self._late or isinstance(error, TimeoutError):
            return Failure(f"took more than {self._timeout:g} s")
        return Failure(f"connection dropped ({words})")

    def _hop(self, url, parts):
        """One request: an Answer, a Failure, or the address to go on to (a string)."""
        response = self._ask(url, parts)
        code = response.status
        if code in (301, 302, 303, 307, 308) and "Location" in response.headers:
            self._drop_body(response)
            return response.headers["Location"]
        if code not in (200, 203):
            self._drop_body(response)
            return Failure(
                f"answered {code} {response.reason}".strip(),
                code,
                again=code in _PASSING,
                wait=_retry_after(response.headers.get("Retry-After")),
            )
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding not in ("identity", ""):
            raise Failure(f"sent as {encoding}, not asked for", code, again=False)
        data = self._body(response)
        return Answer(data, response.headers.get("Content-Type", ""))

    def _ask(self, url, parts):
        key = (parts.scheme, parts.hostname, parts.port)
        kept = self._key == key
        if not kept:
            self.close()
            self._connection, self._target = self._connect(parts)
        target = self._target(url, parts)
        try:
            return self._send(key, target)
        except (ConnectionError, http.client.BadStatusLine):
            # The server may end a kept connection at any time; that is no failure.
            if not kept or self._late:
                raise
        self._connection.close()
        return self._send(key, target)

    def _send(self, key, target):
        if self._connection.sock is None:
            self._key = self._sock = None
            self._connection.connect()
            self._key = key
            self._sock = self._connection.sock
        self._connection.request("GET", target, headers=_HEADERS | self._proxy_headers)
        return self._connection.getresponse()

    def _connect(self, parts):
        """A connection, not yet open, and how a request line names its target."""
        self._proxy_headers = {}
        secure = parts.scheme == "https"
        make = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        proxy = self._proxies.get(parts.scheme)
        if not proxy or urllib.request.proxy_bypass(parts.hostname):
            connection = make(parts.hostname, parts.port, timeout=self._timeout)
            return connection, _path
        to = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
        headers = {}
        if to.username:
            words = f"{to.username}:{to.password or ''}"
            token = base64.b64encode(urllib.parse.unquote(words).encode()).decode()
            headers["Proxy-Authorization"] = f"Basic {token}"
        connection = make(to.hostname, to.port or 80, timeout=self._timeout)
        if secure:
            connection.set_tunnel(parts.hostname, parts.port, headers)
            return connection, _path
        self._proxy_headers = headers
        return connection, lambda url, parts: url

    def _body(self, response):
        """The body, of exactly the length announced."""
        data = bytearray()
        length = response.length
        too_much = Failure(f"larger than {self._max_bytes:,} bytes", 200, again=False)
        if (length or 0) > self._max_bytes:
            raise too_much
        # Of a known length, read below http.client's counting, which would hide it
        # when more comes than was announced.
        source = response if length is None else response.fp
        while length is None or len(data) < length:
            chunk = source.read1(_CHUNK)
            if not chunk:
                break
            data += chunk
            if len(data) > self._max_bytes:
                raise too_much
        if length is not None:
            if len(data) == length and self._more_waits():
                data += source.read1(1)
            if len(data) != length:
                much = "more than" if len(data) > length else f"{len(data):,} of"
                raise Failure(f"sent {much} the {length:,} bytes announced", 200)
            response.close()
        return bytes(data)

    def _more_waits(self):
        # Under TLS, what waits may be no data at all, and reading it would block.
        if self._key[0] == "https":
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(0))

    def _drop_body(self, response):
        """Reads on to the next answer on this connection, if that is near."""
        if response.length is None or response.length > _CHUNK:
            self.close()
        else:
            response.read()


def check_base_url(url: str) -> str:
    """`url` with `{id}` where the id goes. Raises DecError if it cannot be used."""
    try:
        parts = _parts(url.replace("{id}", "id"))
    except Failure as error:
        raise DecError(f"--base-url {url}: {error}") from None
    if parts.username or parts.password:
        raise DecError(f"--base-url {parts.hostname}: no user names in it, please")
    if "{id}" in url:
        return url
    return url + ("{id}" if url.endswith(("/", "=")) else "/{id}")


def _parts(url):
    try:
        parts = urllib.parse.urlsplit(url)
        parts.port  # noqa: B018, raises ValueError
    except ValueError as error:
        raise Failure(f"not an address ({error})", again=False) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Failure("not an http:// or https:// address", again=False)
    return parts


def _path(url, parts):
    whole = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return urllib.parse.quote(whole, safe="/?%:@!$&'()*+,;=~-._")


def _retry_after(value):
    """Seconds that a Retry-After header (a number or a date) asks for, or None."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        at = email.utils.parsedate_to_datetime(value).timestamp()
    except ValueError:
        return None
    return max(0.0, at - time.time())
