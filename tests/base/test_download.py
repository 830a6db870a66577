"""The downloader against a local server that misbehaves on order."""

import email.utils
import fcntl
import hashlib
import http.server
import os
import socket
import subprocess
import threading
import time
import types

import disks
import pytest

from dec.base import download, pace
from dec.base.download import fetch
from dec.base.errors import DecError

BODY = os.urandom(300_000)
SHA = hashlib.sha256(BODY).hexdigest()


def whole(handler, start, body=BODY):
    """Answer as a good server does: 206 to a Range, else all of it."""
    if start >= len(body):
        handler.send_response(416)
        handler.send_header("Content-Range", f"bytes */{len(body)}")
        handler.end_headers()
        return
    if start:
        handler.send_response(206)
        span = f"bytes {start}-{len(body) - 1}/{len(body)}"
        handler.send_header("Content-Range", span)
    else:
        handler.send_response(200)
    handler.send_header("Content-Length", str(len(body) - start))
    handler.end_headers()
    handler.wfile.write(body[start:])


def wrong_body(handler, start):
    whole(handler, start, b"<html>please log in</html>")


def no_ranges(handler, start):
    whole(handler, 0)


def wrong_range(handler, start):
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes 7-{len(BODY) - 1}/{len(BODY)}")
    handler.end_headers()
    handler.wfile.write(BODY[7:])


def no_length(handler, start):
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(BODY)


def too_much(handler, start):
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(BODY + b"more")


def slow(handler, start):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(BODY)))
    handler.end_headers()
    for at in range(0, len(BODY), 50_000):
        handler.wfile.write(BODY[at : at + 50_000])
        handler.wfile.flush()
        time.sleep(0.05)


def stalls(handler, start):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(BODY)))
    handler.end_headers()
    handler.wfile.write(BODY[:1000])
    handler.wfile.flush()
    time.sleep(1)


def trickles(handler, start):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(BODY)))
    handler.end_headers()
    for at in range(40):
        handler.wfile.write(BODY[at : at + 1])
        handler.wfile.flush()
        time.sleep(0.05)


def hangs_up(handler, start):
    handler.connection.shutdown(socket.SHUT_RDWR)


def never_answers(handler, start):
    time.sleep(1)


def drops(after):
    """A server that lets go of the line `after` bytes further on."""

    def answer(handler, start):
        handler.send_response(206 if start else 200)
        if start:
            span = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
            handler.send_header("Content-Range", span)
        handler.send_header("Content-Length", str(len(BODY) - start))
        handler.end_headers()
        handler.wfile.write(BODY[start : start + after])

    return answer


def drops_chunked(handler, start):
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"100\r\n" + BODY[:256] + b"\r\n200\r\nhalf")


def status(code, **headers):
    def answer(handler, start):
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@pytest.fixture
def server(monkeypatch):
    """`server.plan` lists the answers to come (the last one stays); `url` asks."""
    state = types.SimpleNamespace(plan=[whole], ranges=[], waits=[])

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            span = self.headers.get("Range")
            state.ranges.append(span)
            start = int(span.split("=")[1].rstrip("-")) if span else 0
            answer = state.plan.pop(0) if len(state.plan) > 1 else state.plan[0]
            self.close_connection = True
            answer(self, start)

        def log_message(self, *args):
            pass

    class Quiet(http.server.ThreadingHTTPServer):
        def handle_error(self, *args):
            pass  # the client has let go: meant to happen here

    served = Quiet(("127.0.0.1", 0), Handler)
    threading.Thread(target=served.serve_forever, args=(0.02,), daemon=True).start()
    state.url = f"http://127.0.0.1:{served.server_port}/file"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "_sleep", state.waits.append)
    monkeypatch.setattr(pace.random, "uniform", lambda low, high: high)
    yield state
    served.shutdown()
    served.server_close()


def closed_port_url():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/file"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_plain(server, tmp_path):
    dest = tmp_path / "new" / "file"
    assert fetch([server.url], dest, sha256=SHA, size=len(BODY)) == server.url
    assert dest.read_bytes() == BODY
    assert names(dest.parent) == ["file"]
    assert dest.stat().st_mode & 0o444 == 0o444


@pytest.mark.parametrize("answer", [slow, no_length, no_ranges])
def test_odd_but_right(server, tmp_path, answer):
    server.plan = [answer]
    fetch([server.url], tmp_path / "file", sha256=SHA)
    assert (tmp_path / "file").read_bytes() == BODY


def test_verified_file_is_not_fetched_again(server, tmp_path):
    (tmp_path / "file").write_bytes(BODY)
    assert fetch([server.url], tmp_path / "file", sha256=SHA) is None
    assert server.ranges == []
    fetch([server.url], tmp_path / "file")  # nothing to verify it by
    assert server.ranges == [None]


def test_damaged_file_is_fetched_again(server, tmp_path):
    (tmp_path / "file").write_bytes(BODY[:-1])
    assert fetch([server.url], tmp_path / "file", sha256=SHA) == server.url
    assert (tmp_path / "file").read_bytes() == BODY


def test_resumes_dropped_connections(server, tmp_path):
    server.plan = [drops(100_000), drops(100_000), hangs_up, whole]
    fetch([server.url], tmp_path / "file", sha256=SHA)
    assert (tmp_path / "file").read_bytes() == BODY
    ranges = [None, "bytes=100000-", "bytes=200000-", "bytes=200000-"]
    assert server.ranges == ranges
    assert server.waits == [1, 2, 4]


def test_resumes_part_of_an_earlier_call(server, tmp_path):
    server.plan = [drops(100_000), status(404)]
    with pytest.raises(DecError, match="answered 404"):
        fetch([server.url], tmp_path / "file", sha256=SHA)
    assert names(tmp_path) == ["file.part"]
    server.plan = [whole]
    fetch([server.url], tmp_path / "file", sha256=SHA)
    assert server.ranges[-1] == "bytes=100000-"
    assert (tmp_path / "file").read_bytes() == BODY


def test_whole_part_needs_no_more_bytes(server, tmp_path):
    (tmp_path / "file.part").write_bytes(BODY)
    fetch([server.url], tmp_path / "file", sha256=SHA)
    assert server.ranges == [f"bytes={len(BODY)}-"]
    assert (tmp_path / "file").read_bytes() == BODY


@pytest.mark.parametrize("part", [BODY + b"x", b"?" * 1000, b"?" * len(BODY)])
def test_wrong_part_is_started_over(server, tmp_path, part):
    (tmp_path / "file.part").write_bytes(part)
    fetch([server.url], tmp_path / "file", sha256=SHA)
    assert (tmp_path / "file").read_bytes() == BODY
    assert server.ranges[-1] is None


def test_without_a_hash_nothing_is_resumed(server, tmp_path):
    (tmp_path / "file.part").write_bytes(BODY[:1000])
    server.plan = [drops(100_000), whole]
    fetch([server.url], tmp_path / "file")
    assert server.ranges == [None, None]
    assert (tmp_path / "file").read_bytes() == BODY


@pytest.mark.parametrize("answer", [no_ranges, wrong_range])
def test_range_ignored_or_wrong(server, tmp_path, answer):
    server.plan = [drops(100_000), answer, whole]
    fetch([server.url], tmp_path / "file", sha256=SHA)
    assert (tmp_path / "file").read_bytes() == BODY


@pytest.mark.parametrize(
    "answer", [hangs_up, drops_chunked, status(500), status(503), status(429)]
)
def test_gives_up_after_some_attempts(server, tmp_path, answer):
    server.plan = [answer]
    with pytest.raises(DecError, match="5 attempts"):
        fetch([server.url], tmp_path / "file")
    assert len(server.ranges) == 5
    assert server.waits == [1, 2, 4, 8]
    assert names(tmp_path) == []


def test_retry_after(server, tmp_path):
    later = email.utils.formatdate(time.time() + 20, usegmt=True)
    server.plan = [
        status(503, Retry_After="7"),
        status(429, Retry_After="86400"),
        status(503, Retry_After=later),
        status(503, Retry_After="soon"),
        whole,
    ]
    fetch([server.url], tmp_path / "file", sha256=SHA)
    assert server.waits[:2] == [7, download.LONGEST_WAIT]
    assert 15 < server.waits[2] <= 20
    assert server.waits[3] == 8


@pytest.mark.parametrize(
    ("answer", "limit", "seconds", "words"),
    [
        (stalls, "SILENCE_SECONDS", 0.2, "timed out"),
        (trickles, "SILENCE_SECONDS", 1, "slower than"),
        (never_answers, "ANSWER_SECONDS", 0.1, "no answer within"),
    ],
)
def test_silence_does_not_hang(
    server, tmp_path, monkeypatch, answer, limit, seconds, words
):
    monkeypatch.setattr(download, limit, seconds)
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    server.plan = [answer]
    began = time.monotonic()
    with pytest.raises(DecError, match=words):
        fetch([server.url], tmp_path / "file", sha256=SHA)
    assert time.monotonic() - began < 10


def test_next_mirror(server, tmp_path, capsys):
    server.plan = [status(403), wrong_body, whole]
    urls = [closed_port_url(), server.url + "1", server.url + "2", server.url + "3"]
    assert fetch(urls, tmp_path / "file", sha256=SHA) == urls[3]
    assert (tmp_path / "file").read_bytes() == BODY
    assert capsys.readouterr().out == ""


def test_all_mirrors_fail(server, tmp_path):
    (tmp_path / "file").write_bytes(b"older")
    server.plan = [status(404), wrong_body]
    urls = [closed_port_url(), server.url + "1", server.url + "2", "nonsense"]
    with pytest.raises(DecError) as error:
        fetch(urls, tmp_path / "file", sha256=SHA, by_hand="Ask a friend.")
    lines = str(error.value).splitlines()
    assert lines[0] == "file could not be fetched:"
    assert [line.split(": ")[0].strip() for line in lines[1:5]] == urls
    for line, words in zip(
        lines[1:5],
        ["cannot be reached", "answered 404", "expected " + SHA, "not an http"],
        strict=True,
    ):
        assert words in line
    assert lines[5] == "Ask a friend."
    assert (tmp_path / "file").read_bytes() == b"older"
    assert names(tmp_path) == ["file"]


def test_no_network_fails_at_once(tmp_path):
    began = time.monotonic()
    with pytest.raises(DecError, match=f"save it as {tmp_path}"):
        fetch([closed_port_url()] * 3, tmp_path / "file", sha256=SHA)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda handler, start: whole(handler, start, BODY[:-1]), "offers 299999"),
        (too_much, "sends more than the 300000"),
    ],
)
def test_wrong_size(server, tmp_path, answer, words):
    server.plan = [answer]
    with pytest.raises(DecError, match=words):
        fetch([server.url], tmp_path / "file", size=len(BODY))
    assert names(tmp_path) == []


def test_own_check(server, tmp_path):
    def check(path):
        if path.read_bytes() != BODY:
            raise DecError("not what I wanted")

    server.plan = [wrong_body, whole]
    assert fetch([server.url] * 2, tmp_path / "file", check=check) == server.url
    server.plan = [wrong_body]
    with pytest.raises(DecError, match="wrong content: not what I wanted"):
        fetch([server.url], tmp_path / "other", check=check)


def test_two_processes(server, tmp_path):
    with open(tmp_path / "file.part", "wb") as part:
        fcntl.flock(part, fcntl.LOCK_EX)
        with pytest.raises(DecError, match="another process"):
            fetch([server.url], tmp_path / "file", sha256=SHA)
    fetch([server.url], tmp_path / "file", sha256=SHA)


@pytest.fixture
def small_disk(tmp_path):
    with disks.small_disk(tmp_path / "disk", "128k") as disk:
        yield disk


def test_full_disk(server, small_disk):
    (small_disk / "file").write_bytes(b"older")
    with pytest.raises(DecError) as error:
        fetch([server.url], small_disk / "file", sha256=SHA)
    assert f"{small_disk}/file.part" in str(error.value)
    assert "No space left on device" in str(error.value)
    assert (small_disk / "file").read_bytes() == b"older"
    # With space again, the part is taken up where it ended.
    size = (small_disk / "file.part").stat().st_size
    assert size > 0
    bigger = ["mount", "-o", "remount,size=1m", small_disk]
    subprocess.run(bigger, check=True)
    fetch([server.url], small_disk / "file", sha256=SHA)
    assert server.ranges == [None, f"bytes={size}-"]
    assert (small_disk / "file").read_bytes() == BODY


def test_read_only_disk(server, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(DecError, match="Read-only file system"):
        fetch([server.url], small_disk / "file", sha256=SHA)


def test_no_permission(server, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(DecError, match="Permission denied"):
            fetch([server.url], tmp_path / "file", sha256=SHA)
    finally:
        tmp_path.chmod(0o755)


def test_dest_is_a_folder(server, tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(DecError, match="Is a directory"):
        fetch([server.url], tmp_path / "file", sha256=SHA)
