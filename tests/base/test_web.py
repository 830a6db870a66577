"""The HTTP client against a server that sends, byte for byte, what a test wants."""

import base64
import contextlib
import gzip
import hashlib
import itertools
import socket
import threading
import time
import types

import pytest
import urllib3

from dec.base import download, pace
from dec.base.errors import DecError
from dec.base.web import Client, Failure, Late

BODY = bytes(range(256)) * 300
LONG = 30  # seconds: a test that needs them has failed


def ok(data=BODY, *headers, length=None, status="200 OK"):
    """A whole answer; length: what it says, None: the truth, False: nothing."""
    lines = [f"HTTP/1.1 {status}", *headers]
    if length is not False:
        lines.append(f"Content-Length: {len(data) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + data


def chunked(*chunks, status="200 OK"):
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return ok(body, "Transfer-Encoding: chunked", length=False, status=status)


def _text(line):
    return line.decode("latin-1")


def hangs_up(sock):
    raise ConnectionError


def then(*parts, pause=0.0):
    """Sends the parts with pauses between them; hangs up in the end."""

    def answer(sock):
        for part in parts:
            sock.sendall(part)
            time.sleep(pause)
        raise ConnectionError

    return answer


def trickle(start, pause=0.05):
    """Sends `start`, then a byte at a time, for longer than anybody waits."""
    return then(start, *[b"x"] * round(LONG / pause), pause=pause)


@pytest.fixture
def server(monkeypatch):
    """`server.answers` lists bytes to send, or functions that do; the last one stays.

    `heads` are the requests that came, `connections` how many brought them.
    """
    state = types.SimpleNamespace(answers=[ok()], heads=[], connections=0)
    listening = socket.create_server(("127.0.0.1", 0))
    state.host = f"127.0.0.1:{listening.getsockname()[1]}"
    state.url = f"http://{state.host}/file"

    def serve(sock):
        with contextlib.suppress(OSError), sock, sock.makefile("rb") as file:
            while lines := list(itertools.takewhile(str.strip, map(_text, file))):
                state.heads.append("".join(lines))
                last = len(state.answers) == 1
                answer = state.answers[0] if last else state.answers.pop(0)
                if callable(answer):
                    answer(sock)
                else:
                    sock.sendall(answer)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listening.accept()
                state.connections += 1
                threading.Thread(target=serve, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield state
    listening.close()


def failure(call, *args):
    with pytest.raises(Failure) as error:
        call(*args)
    return error.value


def get(url, client=None, max_bytes=1 << 20):
    return (client or Client(LONG)).get(url, max_bytes)


# The body.


@pytest.mark.parametrize(
    "answer",
    [
        ok(),
        ok(status="203 Non-Authoritative Information"),
        chunked(BODY[:5], BODY[5:], b""),
        then(ok(length=False)),
        then(ok(BODY[:9], length=len(BODY)), BODY[9:], pause=0.05),
    ],
)
def test_whole_body(server, answer):
    server.answers = [answer]
    data, called = get(server.url)
    assert (data == BODY, called) == (True, "")


def test_empty_body(server):
    server.answers = [ok(b"", "Content-Type: a/b")]
    assert get(server.url) == (b"", "a/b")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (ok(b"four more", length=4), "sent more than the 4 bytes announced"),
        (ok(BODY + b"+", length=len(BODY)), "sent more than the 76,800 bytes"),
        (then(ok(b"four", length=9)), "sent 4 of the 9 bytes announced"),
        (then(ok(BODY, length=len(BODY) + 1)), "sent 76,800 of the 76,801"),
        (then(ok(b"", length=1)), "sent 0 of the 1 bytes announced"),
        (then(chunked(b"some")), "connection dropped"),
        (then(chunked(b"some")[:-4]), "connection dropped"),
        (b"SSH-2.0 and no HTTP\r\n\r\n", "connection dropped"),
        (ok(b"12", "Content-Length: 3", length=2), "connection dropped"),
    ],
)
def test_another_length_than_announced(server, answer, words):
    server.answers = [answer, ok()]
    client = Client(LONG)
    error = failure(get, server.url, client)
    assert words in str(error)
    assert error.again and error.reached
    # What is left of it does not become part of the next answer.
    assert get(server.url, client)[0] == BODY
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer", [ok(bytes(1001)), chunked(bytes(1001), b""), then(ok(bytes(1001)))]
)
def test_larger_than_allowed(server, answer):
    server.answers = [answer]
    error = failure(get, server.url, None, 1000)
    assert str(error) == "larger than 1,000 bytes"
    assert not error.again
    server.answers = [ok(bytes(1000)), chunked(bytes(1000), b"")]
    assert len(get(server.url, None, 1000)[0]) == 1000
    assert len(get(server.url, None, 1000)[0]) == 1000


def test_nothing_is_unpacked(server):
    packed = gzip.compress(BODY)
    server.answers = [ok(packed, "Content-Encoding: gzip")]
    error = failure(get, server.url)
    assert str(error) == "sent as gzip, not asked for"
    assert not error.again
    with Client(LONG).ask(server.url) as reply:
        assert b"".join(reply.pieces()) == packed
    assert "Accept-Encoding: identity\r\n" in server.heads[0]


# Connections.


def test_connection_is_kept(server):
    server.answers = [ok(), chunked(b"1", b""), ok(b"no", status="404 Not Found"), ok()]
    client = Client(LONG)
    get(server.url, client)
    get(server.url, client)
    assert failure(get, server.url, client).code == 404
    get(server.url, client)
    assert (server.connections, len(server.heads)) == (1, 4)
    client.close()
    get(server.url, client)
    assert server.connections == 2


@pytest.mark.parametrize("seen", [True, False])
def test_kept_connection_that_the_server_has_closed(server, seen, monkeypatch):
    """Both when that is seen before it is used, and when it happens just then."""
    server.answers = [then(ok()) if seen else ok(), hangs_up, ok(b"again")]
    client = Client(LONG)
    get(server.url, client)
    if seen:
        time.sleep(0.2)
        server.answers.pop(0)
    assert get(server.url, client)[0] == b"again"
    assert server.connections == 2
    assert len(server.heads) == (2 if seen else 3)


def test_new_connection_that_the_server_closes(server):
    server.answers = [hangs_up]
    error = failure(get, server.url)
    assert "connection dropped" in str(error)
    assert error.again and error.reached
    assert len(server.heads) == 1


def test_kept_connection_closed_and_server_gone(server, monkeypatch):
    def refuse(*args, **options):
        raise ConnectionRefusedError(111, "Connection refused")

    client = Client(LONG)
    server.answers = [ok(), hangs_up]
    get(server.url, client)
    monkeypatch.setattr(urllib3.util.connection, "create_connection", refuse)
    error = failure(get, server.url, client)
    assert str(error) == "cannot be reached (Connection refused)"
    assert error.again and not error.reached


def test_endless_error_is_not_read(server):
    page = chunked(b"x", status="503 Busy")
    server.answers = [trickle(page), trickle(ok(length=1 << 40, status="403 No"))]
    for code in (503, 403):
        assert failure(get, server.url).code == code


# Time.


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX: ",
        ok(length=1 << 20),
        ok(length=False),
        chunked(b"x") + b"fffff\r\n",
        chunked(b"x"),  # half a length
    ],
)
def test_a_byte_now_and_then_is_not_enough(server, start):
    server.answers = [trickle(start)]
    began = time.monotonic()
    error = failure(get, server.url, Client(0.5))
    assert time.monotonic() - began < LONG / 3
    assert str(error) == "took more than 0.5 s"
    assert isinstance(error, Late)
    assert error.again and error.reached


def test_name_lookup_has_an_end(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: time.sleep(9))
    for silence, words in [(None, "took more than"), (5, "no answer within")]:
        began = time.monotonic()
        error = failure(get, "http://nowhere.invalid/", Client(0.2, silence=silence))
        assert time.monotonic() - began < 5
        assert str(error) == f"cannot be reached ({words} 0.2 s)"
        assert error.again and not error.reached


def test_body_may_take_longer_than_the_answer(server):
    server.answers = [then(ok(b"1", length=3), b"2", b"3", pause=0.4)]
    with Client(0.5, silence=LONG).ask(server.url) as reply:
        assert b"".join(reply.pieces()) == b"123"


@pytest.mark.parametrize("start", [b"HTTP/1.1 200", ok(length=1 << 20)])
def test_abort(server, start):
    server.answers = [trickle(start)]
    client = Client(LONG)
    began = time.monotonic()
    threading.Timer(0.3, client.abort).start()
    failure(get, server.url, client)
    failure(get, server.url, client)  # and nothing more
    assert time.monotonic() - began < LONG / 3


# What is made of an answer.


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7),
        (" 0 ", 0),
        ("99999999999999999999", 10**9),
        ("9" * 5000, None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 99 Foo 99999 00:00:00 GMT", None),
        ("\xb2", None),
    ],
)
def test_retry_after(server, said, seconds):
    head = f"Retry-After: {said}"
    server.answers = [ok(b"", status="503 Busy").replace(b"\r\n", b"\r\n@\r\n", 1)]
    server.answers = [server.answers[0].replace(b"@", head.encode("latin-1"))]
    error = failure(get, server.url)
    assert error.code == 503
    assert error.wait == seconds


@pytest.mark.parametrize(
    ("status", "again"),
    [(400, False), (404, False), (408, True), (410, False), (425, True), (429, True)]
    + [(500, True), (501, False), (502, True), (503, True), (505, False), (522, True)],
)
def test_which_answers_may_pass(server, status, again):
    server.answers = [ok(b"", status=f"{status} Words")]
    error = failure(get, server.url)
    assert (str(error), error.again) == (f"answered {status} Words", again)


def test_redirects_are_paced_too(server):
    asked = []
    gate = types.SimpleNamespace(turn=lambda host: asked.append(host) or True)
    to = f"Location: http://localhost:{server.host.split(':')[1]}/other"
    server.answers = [ok(b"", to, status="302 Found"), ok()]
    get(server.url, Client(LONG, pace=gate))
    assert asked == ["127.0.0.1", "localhost"]
    assert server.heads[1].startswith("GET /other ")


def test_redirect_to_where_nobody_is(server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        to = f"Location: http://127.0.0.1:{free.getsockname()[1]}/"
    server.answers = [ok(b"", to, status="302 Found")]
    error = failure(get, server.url)
    assert "cannot be reached" in str(error)
    assert error.reached  # the host that was asked for


@pytest.mark.parametrize(
    "url",
    ["x", "ftp://a/", "http://", "http://a:b/", "http://[a/", f"http://{'ü' * 99}/"],
)
def test_not_an_address(url):
    error = failure(get, url)
    assert "address" in str(error)
    assert not error.again


# Proxies.


@pytest.fixture
def proxy(server, monkeypatch):
    """The server as a proxy for somebody with a name."""
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://m%C3%BCller:pass%40@{server.host}")
    monkeypatch.setenv("no_proxy", "")
    token = base64.b64encode("müller:pass@".encode()).decode()
    return f"proxy-authorization: Basic {token}\r\n"


def test_proxy_with_a_name(server, proxy):
    assert get("http://nowhere.invalid/a?b=c d")[0] == BODY
    assert server.heads[0].startswith("GET http://nowhere.invalid/a?b=c%20d HTTP/1.1")
    assert "\r\nHost: nowhere.invalid\r\n" in server.heads[0]
    assert proxy in server.heads[0]


def test_proxy_for_https(server, proxy):
    server.answers = [ok(b"", status="407 Who are you?")]
    error = failure(get, "https://nowhere.invalid/")
    assert server.heads[0].startswith("CONNECT nowhere.invalid:443 HTTP/1.")
    assert proxy in server.heads[0]
    assert "cannot be reached (Tunnel connection failed: 407 Who are" in str(error)
    assert not error.reached


def test_host_not_in_ascii(server, proxy):
    get("http://bücher.invalid:8080/")
    head = "GET http://xn--bcher-kva.invalid:8080/ HTTP/1.1"
    assert server.heads[0].startswith(head)


@pytest.mark.parametrize("exempt", ["{host}", "127.0.0.1", "*"])
def test_no_proxy(server, monkeypatch, exempt):
    monkeypatch.setenv("http_proxy", "127.0.0.1:9")  # without a scheme
    assert "cannot be reached" in str(failure(get, "http://nowhere.invalid/"))
    monkeypatch.setenv("no_proxy", exempt.format(host=server.host))
    assert get(server.url)[0] == BODY


@pytest.mark.parametrize("where", ["socks5://u:secret@a:1", "http://u:secret@a:b"])
def test_unusable_proxy(server, monkeypatch, where):
    monkeypatch.setenv("http_proxy", where)
    with pytest.raises(DecError, match="http_proxy") as error:
        get("http://nowhere.invalid/")
    assert "secret" not in str(error.value)
    assert get(server.url)[0] == BODY  # which no_proxy names


# Files: what `dec.base.download` leaves to the client.


@pytest.fixture
def fetch(server, tmp_path, monkeypatch):
    """`fetch(**known)` gets BODY into a file, which is checked to be it."""
    monkeypatch.setattr(download, "_sleep", lambda seconds: None)

    def call(**known):
        download.fetch([server.url], tmp_path / "file", **known)
        assert (tmp_path / "file").read_bytes() == BODY

    return call


def span(first, rest, total="*"):
    head = f"Content-Range: bytes {first}-{len(BODY) - 1}/{total}"
    return ok(rest, head, status="206 Partial Content")


DIGEST = hashlib.sha256(BODY).hexdigest()


@pytest.mark.parametrize(
    "answer",
    [
        span(1000, BODY[1000:]),
        span(1000, BODY[1000:], len(BODY)),
        then(span(1000, BODY[1000:5000], len(BODY))),
        span(999, BODY[999:]),
        span("", BODY),
        span("9" * 5000, BODY),
        ok(BODY[1000:], status="206 Partial Content"),
        ok(BODY),
    ],
)
def test_parts_fit_together(server, fetch, answer):
    """Whatever part a server sends when asked for the rest after 1,000 bytes."""

    def good(sock):
        asked = [line for line in server.heads[-1].split() if line.startswith("bytes=")]
        first = int(asked[0][6:-1]) if asked else 0
        sock.sendall(span(first, BODY[first:], len(BODY)) if first else ok())

    server.answers = [then(ok(BODY[:1000], length=len(BODY))), answer, good]
    fetch(sha256=DIGEST)
    assert "Range: bytes=1000-\r\n" in server.heads[1]


def test_more_than_announced_is_cut_off(server, fetch):
    server.answers = [ok(BODY + b"more", length=len(BODY))]
    fetch(sha256=DIGEST)
    assert len(server.heads) == 1


def test_packed_file_stays_packed(server, fetch):
    """Servers call a .gz file `Content-Encoding: gzip`."""
    server.answers = [ok(BODY, "Content-Encoding: gzip")]
    fetch(sha256=DIGEST)


def test_chunked_file(server, fetch):
    server.answers = [chunked(BODY[:70000], BODY[70000:], b"")]
    fetch(sha256=DIGEST, size=len(BODY))


def test_waits_are_those_of_pace(server, fetch, monkeypatch):
    waits = []
    monkeypatch.setattr(download, "_sleep", waits.append)
    server.answers = [hangs_up, ok(b"", status="500 No"), ok()]
    fetch()
    for wait, most in zip(waits, (pace.BACK_OFF, 2 * pace.BACK_OFF), strict=True):
        assert most / 2 <= wait <= most


def test_mirror_that_is_silent_is_asked_once(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "ANSWER_SECONDS", 0.2)
    server.answers = [trickle(b"")]
    with pytest.raises(DecError, match="no answer within 0.2 s\n"):
        download.fetch([server.url], tmp_path / "file")
    assert len(server.heads) == 1


def test_file_over_a_silent_line(server, fetch, monkeypatch):
    monkeypatch.setattr(download, "SILENCE_SECONDS", 0.3)
    rest = span(9, BODY[9:], len(BODY))
    server.answers = [lambda sock: sock.sendall(ok(BODY[:9], length=len(BODY))), rest]
    fetch(sha256=DIGEST)
