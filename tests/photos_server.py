"""A local HTTP server of photos that misbehaves on order, id by id."""

import contextlib
import hashlib
import http.server
import socket
import threading
import time
import types
import urllib.parse
from collections import Counter

from photos_samples import jpeg

PHOTO = jpeg(1, 400, 300)


def send(handler, data=PHOTO, code=200, length=None, kind="image/jpeg", **headers):
    handler.send_response(code)
    handler.send_header("Content-Length", str(len(data) if length is None else length))
    handler.send_header("Content-Type", kind)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(data)


def good(handler, count):
    name = urllib.parse.unquote(handler.path.rsplit("/", 1)[1])
    send(handler, jpeg(int(hashlib.md5(name.encode()).hexdigest()[:6], 16)))


def slow(handler, count):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(PHOTO)))
    handler.end_headers()
    for at in range(0, len(PHOTO), 4000):
        handler.wfile.write(PHOTO[at : at + 4000])
        time.sleep(0.02)


def drops(handler, count):
    send(handler, PHOTO[:3000], length=len(PHOTO))
    handler.close_connection = True


def hangs_up(handler, count):
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def stalls(handler, count):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n")
    handler.server.state.done.wait(3)
    handler.close_connection = True


def trickles(handler, count):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for i in range(100):
        if handler.server.state.done.wait(0.03):
            break
        handler.wfile.write(b"X-%d: 1\r\n" % i)
    handler.close_connection = True


def until_close(handler, count):
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(PHOTO)


def chunked(handler, count):
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for at in range(0, len(PHOTO), 5000):
        part = PHOTO[at : at + 5000]
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
    handler.wfile.write(b"0\r\n\r\n")


def chunked_drops(handler, count):
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"%x\r\n%s\r\n200\r\nhalf" % (5000, PHOTO[:5000]))
    handler.close_connection = True


def too_long(handler, count):
    send(handler, PHOTO, length=len(PHOTO) - 100)
    handler.close_connection = True


def redirect(to):
    return lambda handler, count: send(handler, b"", 302, Location=to)


def status(code, text=b"no", **headers):
    return lambda handler, count: send(handler, text, code, **headers)


def after(failures, answer, then=good):
    """`answer` so many times, then another."""

    def either(handler, count):
        (answer if count <= failures else then)(handler, count)

    return either


def of(data, kind="image/jpeg"):
    return lambda handler, count: send(handler, data, kind=kind)


@contextlib.contextmanager
def serving():
    """A server at `url` that answers by id as `plan` says, else well.

    Counts requests in `hits`, by id.
    """
    state = types.SimpleNamespace(
        plan={},
        hits=Counter(),
        times={},
        busy=0,
        busiest=0,
        connections=0,
        done=threading.Event(),
        lock=threading.Lock(),
    )

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self):
            super().setup()
            state.connections += 1

        def do_GET(self):
            name = urllib.parse.unquote(self.path.rsplit("/", 1)[1])
            with state.lock:
                state.hits[name] += 1
                state.times.setdefault(name, []).append(time.monotonic())
                state.busy += 1
                state.busiest = max(state.busiest, state.busy)
            try:
                state.plan.get(name, good)(self, state.hits[name])
            finally:
                with state.lock:
                    state.busy -= 1

        def log_message(self, *args):
            pass

    class Quiet(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *args):
            pass  # the client has let go: meant to happen here

    served = Quiet(("127.0.0.1", 0), Handler)
    served.state = state
    state.served = served
    threading.Thread(target=served.serve_forever, args=(0.02,), daemon=True).start()
    state.root = f"http://127.0.0.1:{served.server_port}"
    state.url = f"{state.root}/photo/"
    try:
        yield state
    finally:
        state.done.set()
        served.shutdown()
        served.server_close()
