"""The one HTTP client: GET over kept connections, within a time that is kept.

urllib3 keeps the connections and knows proxies and TLS. What it leaves to its users is
here: an end for a request as a whole (its time-outs begin anew with each address of a
host and with each byte, and a name lookup has none), exact lengths, and what to think
of each failure.
"""

import contextlib
import functools
import http.client
import socket
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, InvalidStateError

import urllib3
from urllib3.exceptions import HTTPError, InvalidHeader, ProtocolError
from urllib3.util import wait_for_read

from dec.base.errors import DecError
from dec.base.pace import Pace

_CHUNK = 1 << 16
_REDIRECTS = 5
# Never compressed: what is counted, hashed and saved are the bytes as they are there.
_HEADERS = {"User-Agent": "dec-caffe", "Accept-Encoding": "identity"}
# Answers that another attempt may change.
_PASSING = {408, 425, 429, 500, 502, 503, 504, 507, 508, 509, 520, 521, 522, 523, 524}
# What urllib3 would do by itself.
_OFF = {"retries": False, "redirect": False, "preload_content": False}
_OFF |= {"decode_content": False, "enforce_content_length": False}
# Thirty years: nobody waits for so long, and it can be reckoned with.
_RETRY = urllib3.Retry(retry_after_max=10**9)


class Failure(Exception):
    """Not what was asked for, this time.

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


class Late(Failure):
    """The time was up."""


class Client:
    """Asks for one address after the other. One thread uses it; any may `abort`."""

    def __init__(
        self,
        timeout: float,
        *,
        silence: float | None = None,
        pace: Pace | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """timeout: seconds from the request to the last byte, all in all.

        silence: seconds without a byte; `timeout` then is for all up to the headers.
        pace: says when a host may be asked. Proxies are the environment's.
        """
        self._timeout, self._silence, self._pace = timeout, silence, pace
        self._headers = _HEADERS | (headers or {})
        self._proxies = urllib.request.getproxies()
        self._managers: dict[str | None, urllib3.PoolManager] = {}
        self._reply: Reply | None = None
        self._aborted = False

    def get(self, url: str, max_bytes: int) -> tuple[bytes, str]:
        """The whole body behind `url`, and its Content-Type. Raises Failure."""
        with self.ask(url) as reply:
            if reply.status in (200, 203):
                return reply.body(max_bytes), reply.headers.get("Content-Type", "")
        raise reply.refusal()

    @contextlib.contextmanager
    def ask(
        self, url: str, headers: Mapping[str, str] | None = None
    ) -> Iterator["Reply"]:
        """The answer of `url`, after redirects, of whatever status. Raises Failure."""
        for redirects in range(_REDIRECTS + 1):
            parts = address(url)
            if self._pace and not self._pace.turn(parts.hostname):
                raise Failure("stopped")
            call = self._call(parts, self._headers | (headers or {}))
            self._reply = Reply(call, self._timeout, self._silence, redirects > 0)
            if self._aborted:
                self._reply.end()
            with self._reply as reply:
                if not reply.location:
                    yield reply
                    return
            url = urllib.parse.urljoin(url, reply.location)
        raise Failure("redirects without end", 302, again=False)

    def close(self) -> None:
        """Lets go of the connections."""
        for manager in self._managers.values():
            manager.clear()

    def abort(self) -> None:
        """Ends whatever is going on or still to come, from another thread."""
        self._aborted = True
        if self._reply:
            self._reply.end()

    def _call(self, parts, headers):
        """A function that sends the request and returns when the headers are there."""
        proxy = self._proxies.get(parts.scheme)
        if proxy and urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
            proxy = None
        if proxy not in self._managers:
            self._managers[proxy] = _manager(proxy)
        times = urllib3.Timeout(
            connect=self._timeout, read=self._silence or self._timeout
        )
        options = {"headers": headers, "timeout": times, **_OFF}
        ask = self._managers[proxy].urlopen
        return functools.partial(ask, "GET", parts.geturl(), **options)


class Reply:
    """What comes of one request: in a `with`, status and headers, then the body.

    The asking is done in a thread that can be left behind, say in a name lookup.
    """

    def __init__(
        self, call: Callable, timeout: float, silence: float | None, followed: bool
    ) -> None:
        """call, timeout, silence: as in Client. followed: after a redirect."""
        self._silence, self._followed = silence, followed
        said = "no answer within" if silence else "took more than"
        self._late = f"{said} {timeout:g} s"
        self._response: urllib3.BaseHTTPResponse | None = None
        self._sock: socket.socket | None = None
        self._kept = True  # the connection is an older one
        self._lock = threading.Lock()
        self._ended = self._closed = False
        self._answer: Future[urllib3.BaseHTTPResponse] = Future()
        self._timer = threading.Timer(timeout, self.end)
        self._timer.daemon = True
        self._timer.start()
        threading.Thread(target=self._work, args=(call,), daemon=True).start()

    def __enter__(self) -> "Reply":
        with self._failures():
            self._response = self._answer.result()
        self.status, self.headers = self._response.status, self._response.headers
        self.length = self._response.length_remaining
        self.location = self._response.get_redirect_location()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        # Read on to the next answer on this connection, if that is near.
        left = self._response.length_remaining
        if kind is None and left is not None and left <= _CHUNK:
            self._response.drain_conn()
        self._close()

    def refusal(self) -> Failure:
        """The Failure that the status stands for."""
        return Failure(
            f"answered {self.status} {self._response.reason}".strip(),
            self.status,
            again=self.status in _PASSING,
            wait=_retry_after(self.headers.get("Retry-After")),
        )

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes; of what length is for the caller to see."""
        if self._silence:
            self._timer.cancel()
        with self._failures():
            # read1 returns what has come: with read, a slow line would show nothing.
            while piece := self._response.read1(_CHUNK):
                yield piece

    def body(self, max_bytes: int) -> bytes:
        """All of the body, as it is there, of exactly the length announced."""
        encoding = self.headers.get("Content-Encoding") or "identity"
        if encoding != "identity":
            raise Failure(f"sent as {encoding}, not asked for", 200, again=False)
        raw = self._response._original_response
        length = raw.length
        # Of a known length, read below http.client's counting, which would hide it
        # when more comes than was announced.
        source = self._response if length is None else raw.fp
        data = bytearray()
        with self._failures():
            while (length or len(data)) <= max_bytes and len(data) != length:
                if not (piece := source.read1(_CHUNK)):
                    break
                data += piece
            # Under TLS, what waits may be no data at all, and reading it would block.
            plain = type(self._sock) is socket.socket
            if len(data) == length and plain and wait_for_read(self._sock, 0):
                data += source.read1(1)
        if (length or len(data)) > max_bytes:
            raise Failure(f"larger than {max_bytes:,} bytes", 200, again=False)
        if length not in (None, len(data)):
            much = "more than" if len(data) > length else f"{len(data):,} of"
            raise Failure(f"sent {much} the {length:,} bytes announced", 200)
        raw.close()
        self._response.release_conn()
        return bytes(data)

    def end(self) -> None:
        """Ends what is going on, from another thread."""
        with self._lock:
            if self._closed:
                return
            self._ended = True
            with contextlib.suppress(InvalidStateError):
                self._answer.set_exception(TimeoutError())
            if self._sock:
                # Not sock.shutdown: that of an SSL socket pulls the rug from under the
                # thread that reads. `socket`: what TLS within TLS is wrapped around.
                sock = getattr(self._sock, "socket", self._sock)
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def over(self, sock: socket.socket | None, *, kept: bool) -> None:
        """Notes the connection that is used; sock: None while there is none yet."""
        with self._lock:
            self._sock, self._kept = sock, self._kept and kept
            if self._ended:
                raise TimeoutError

    def _work(self, call):
        _here.reply = self
        try:
            try:
                response = call()
            except ProtocolError:
                # The server may end a kept connection at any time; that is no failure.
                if not self._kept or self._ended:
                    raise
                response = call()
        except BaseException as error:
            with contextlib.suppress(InvalidStateError):
                self._answer.set_exception(error)
            return
        try:
            self._answer.set_result(response)
        except InvalidStateError:  # nobody waits for it any more
            response.close()

    def _close(self):
        with self._lock:
            self._closed = True
        self._timer.cancel()
        if self._response:
            self._response.close()  # unless it is read: then the connection is kept

    @contextlib.contextmanager
    def _failures(self):
        """Turns what the libraries raise, or our own end, into a Failure."""
        try:
            yield
            if self._ended:
                raise TimeoutError
        except (HTTPError, OSError, http.client.HTTPException, ValueError) as error:
            self._close()
            # Below urllib3's words there are plainer ones.
            while isinstance(error, HTTPError) and error.__context__:
                error = error.__cause__ or error.__context__
            raise self._failure(error) from error

    def _failure(self, error):
        words = getattr(error, "strerror", None) or str(error) or type(error).__name__
        late = self._ended or (isinstance(error, TimeoutError) and not self._silence)
        if isinstance(error, ValueError) and not (late or isinstance(error, OSError)):
            return Failure(f"not an address ({words})", again=False)
        words = self._late if late else words
        kind = Late if late else Failure
        if self._sock is None:
            return kind(f"cannot be reached ({words})", reached=self._followed)
        return kind(words if late else f"connection dropped ({words})")


_here = threading.local()  # reply: the one that this thread asks for


def _noted(pool):
    """A class of pools whose connections tell the Reply about their sockets."""

    class Connection(pool.ConnectionCls):
        def connect(self):
            _here.reply.over(None, kept=False)
            super().connect()
            _here.reply.over(self.sock, kept=False)

        def request(self, *args, **options):
            _here.reply.over(self.sock, kept=True)
            super().request(*args, **options)

    return type("Pool", (pool,), {"ConnectionCls": Connection})


def _manager(proxy):
    """The kept connections, to the hosts themselves (None) or to a proxy."""
    manager = urllib3.PoolManager()
    if proxy:
        try:
            to = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}", "http")
            words = urllib.parse.unquote(f"{to.username}:{to.password or ''}")
            # make_headers writes Latin-1; this makes it UTF-8.
            words = words.encode().decode("latin-1") if to.username else None
            headers = urllib3.make_headers(proxy_basic_auth=words)
            manager = urllib3.ProxyManager(to.geturl(), proxy_headers=headers)
        except ValueError as error:
            # Without the address: there may be a password in it.
            raise DecError(
                "The proxy that the environment names (http_proxy, https_proxy) has no "
                "http:// or https:// address."
            ) from error
    kinds = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {k: _noted(pool) for k, pool in kinds.items()}
    return manager


def address(url: str) -> urllib.parse.SplitResult:
    """The parts of an http(s) address, its host in ASCII. Raises Failure."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
        if parts.hostname and not parts.hostname.isascii():
            host = parts.hostname.encode("idna").decode()
            parts = parts._replace(netloc=host if port is None else f"{host}:{port}")
    except ValueError as error:
        raise Failure(f"not an address ({error})", again=False) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Failure("not an http:// or https:// address", again=False)
    return parts


def _retry_after(value):
    """Seconds that a Retry-After header (a number or a date) asks for, or None."""
    try:
        return _RETRY.parse_retry_after(value) if value else None
    except (InvalidHeader, ValueError, OverflowError):
        return None
