"""Who may talk to the page's server: the browser that opened its address, no one else.

A page of any other site may send requests to 127.0.0.1, and may even have its own name
lead there (DNS rebinding). So the Host must be ours, whatever changes something must
come from our own page (Origin), and all but the address with the token needs the
session's cookie, which scripts cannot read and other sites' requests do not carry.
"""

import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse, RedirectResponse

from dec.base.progress import say

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
MOST_BYTES = 64 << 20  # of a request


class Guard:
    """An ASGI application in front of another, which it guards.

    address: for the browser, with a token that is good once. When it has been used the
    next one is printed, for another browser.
    """

    def __init__(self, app, port: int):
        self._app = app
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._port = port
        self._cookie = f"dec_review_{port}"
        self._session = secrets.token_urlsafe(32)
        self._token = secrets.token_urlsafe(24)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}/?token={self._token}"

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        app = self._refusal(scope) or self._app

        async def send_with_headers(message):
            if message["type"] == "http.response.start":
                own = [(k.encode(), v.encode()) for k, v in _HEADERS.items()]
                there = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *own]
                if b"cache-control" not in there:
                    message["headers"].append((b"cache-control", b"no-store"))
            await send(message)

        await app(scope, receive, send_with_headers)

    def _refusal(self, scope):
        """What to answer instead of the application, or None."""
        headers = {k.decode("latin-1"): v.decode("latin-1")
                   for k, v in scope["headers"]}  # fmt: skip
        if headers.get("host") not in self._hosts:
            return _words(421, "This server answers to 127.0.0.1 alone.")
        if int(headers.get("content-length") or 0) > MOST_BYTES:
            return _words(413, "Too much at once.")
        own = {f"http://{host}" for host in self._hosts}
        origin = headers.get("origin")
        if origin is not None and origin not in own:
            return _words(403, "This request comes from another site.")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return _words(403, "This request comes from another site.")
        changes = scope["method"] not in ("GET", "HEAD")
        if changes and origin is None:
            return _words(403, "This request does not say where it comes from.")
        if changes and headers.get("content-type") != "application/json":
            return _words(415, "This server reads JSON.")
        token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] == "/" and not changes and self._is_token(token):
            return self._let_in()
        if not self._is_session(headers.get("cookie", "")):
            return _words(
                403,
                "This address is not good any more: it can be used once. The terminal "
                "in which `dec review` runs shows the one to open.",
            )
        return None

    def _is_token(self, word: str) -> bool:
        return hmac.compare_digest(word.encode(), self._token.encode())

    def _is_session(self, header: str) -> bool:
        try:
            cookie = SimpleCookie(header).get(self._cookie)
        except CookieError:
            return False
        word = cookie.value if cookie else ""
        return hmac.compare_digest(word.encode(), self._session.encode())

    def _let_in(self):
        self._token = secrets.token_urlsafe(24)
        say(f"the page was opened; for another browser: {self.address}")
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(
            self._cookie, self._session, httponly=True, samesite="strict", path="/"
        )
        return answer


def _words(status: int, words: str) -> PlainTextResponse:
    return PlainTextResponse(words + "\n", status_code=status)
