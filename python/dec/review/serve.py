"""`dec review`: the server from its socket to its end, and the browser."""

import os
import socket
import sys
import threading
import webbrowser

import uvicorn

from dec.base.errors import DecError
from dec.base.progress import say
from dec.review.app import application
from dec.review.book import Book
from dec.review.desk import Desk
from dec.review.guard import Guard
from dec.review.items import Items

_HOST = "127.0.0.1"


def serve(items: Items, port: int, browser: bool, experiment: str) -> None:
    """Serves the page until Ctrl-C. port: 0 for any that is free.

    Raises DecError where another process has the review open or the port is taken.
    """
    book = Book(items)
    desk = Desk(items, book, experiment)
    try:
        with _bound(port) as listening:
            guard = Guard(application(desk), listening.getsockname()[1])
            say(f"{len(items.names):,} in {len(set(items.clusters)):,} clusters; the "
                f"answers are kept in {items.root}")  # fmt: skip
            say(f"the page: {guard.address}")
            say("Ctrl-C ends it; every answer is on disk at once.")
            if browser:
                threading.Thread(
                    target=_open, args=(guard.address,), daemon=True
                ).start()
            config = uvicorn.Config(
                guard,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
                ws="none",
            )
            uvicorn.Server(config).run(sockets=[listening])
    finally:
        desk.close()


def _bound(port: int) -> socket.socket:
    # Named as TCP's, asyncio sends at once what it has; else the kernel waits 40 ms for
    # the browser to confirm an answer's head before it sends the rest (Nagle).
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_HOST, port))
        listening.listen(128)
    except (OSError, OverflowError) as error:
        listening.close()
        why = getattr(error, "strerror", None) or "there is no such port"
        raise DecError(
            f"port {port} cannot be used: {why}. Another one: --port N, or none to "
            "take any that is free"
        ) from None
    return listening


def _open(address: str) -> None:
    # Without a screen Python would take a browser for terminals, in this very one.
    screen = sys.platform != "linux" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    try:
        opened = screen and webbrowser.open(address)
    except webbrowser.Error:
        opened = False
    if not opened:
        say("no browser could be started here; open the address by hand")
