"""Who may talk to the server, and what it answers to nonsense; without a browser."""

import http.client
import json
import socket
import subprocess
import webbrowser

import pytest
from finetune_samples import command, make_photos
from review_samples import Server, photo_run

from dec.base.errors import DecError
from dec.review import serve


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guard")
    run = photo_run(folder, make_photos(folder / "photos", 2))
    with Server(folder, run) as server:
        yield server


@pytest.fixture(scope="module")
def cookie(server) -> str:
    found = request(server, "GET", server.address.removeprefix(server.base))
    assert found.status == 303 and found.headers["location"] == "/"
    word = found.headers["set-cookie"]
    assert "HttpOnly" in word and "SameSite=strict" in word
    return word.split(";")[0]


def request(server, method, path, body=None, **headers):
    host = server.base.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    headers = {"host": host, **{k.replace("_", "-"): v for k, v in headers.items()}}
    content = b"" if body is None else json.dumps(body).encode()
    if body is not None:
        headers = {"content-type": "application/json",
                   "content-length": str(len(content))} | headers  # fmt: skip
    for name, value in headers.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(content)
    found = connection.getresponse()
    found.text = found.read().decode("utf-8", "replace")
    connection.close()
    return found


def say(server, cookie, body, **headers):
    headers = {"origin": server.base, "cookie": cookie} | headers
    return request(server, "POST", "/api/answer", body, **headers)


def test_the_page_and_its_policy(server, cookie):
    found = request(server, "GET", "/", cookie=cookie)
    assert found.status == 200 and '<script type="module"' in found.text
    policy = found.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert found.headers["x-content-type-options"] == "nosniff"
    for part in ("main.js", "style.css", "icon.svg"):
        assert request(server, "GET", f"/page/{part}", cookie=cookie).status == 200


@pytest.mark.parametrize("path", ["/", "/api/state", "/thumbnail/0", "/page/main.js",
                                  "/?token=wrong", "/?token="])  # fmt: skip
def test_without_the_token_there_is_nothing(server, cookie, path):
    for word in (None, "dec_review=1", cookie + "x", "; ="):
        found = request(server, "GET", path, cookie=word)
        assert found.status == 403 and "can be used once" in found.text


def test_the_token_is_good_once(server, cookie):
    assert (
        request(server, "GET", server.address.removeprefix(server.base)).status == 403
    )
    following = server.next_address()
    assert following != server.address
    assert request(server, "GET", following.removeprefix(server.base)).status == 303


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example", None]
)
def test_another_host_is_refused(server, cookie, host):
    if host == "127.0.0.1.evil.example":
        host += ":" + server.base.rsplit(":", 1)[1]
    found = request(server, "GET", "/api/state", host=host, cookie=cookie)
    assert found.status in (400, 421)  # without any, HTTP itself refuses


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"origin": None},
     {"origin": "http://127.0.0.1:1"}, {"sec_fetch_site": "cross-site"},
     {"content_type": "text/plain"}],
)  # fmt: skip
def test_other_sites_change_nothing(server, cookie, headers):
    before = state(server, cookie)
    body = {"do": "name", "cluster": "0", "class": "evil"}
    assert say(server, cookie, body, **headers).status in (403, 415)
    assert state(server, cookie) == before


@pytest.mark.parametrize("path", [
    "/page/..%2fapp.py", "/page/../app.py", "/page/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/thumbnail/..%2f..%2fetc%2fpasswd", "/photo/-1", "/photo/6", "/photo/1e9",
    "/api/item/x", "/api/names?items=0,99", "/etc/passwd",
])  # fmt: skip
def test_no_word_becomes_a_path(server, cookie, path):
    found = request(server, "GET", path, cookie=cookie)
    assert found.status in (400, 404) and "root:" not in found.text


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"do": "mark", "items": [99], "class": "a"}, "no such photo"),
        ({"do": "mark", "items": ["0; rm"], "class": "a"}, "no such photo"),
        ({"do": "mark", "items": [], "class": "a"}, "which photos"),
        ({"do": "mark", "items": [0], "class": "x" * 300}, "255 bytes"),
        ({"do": "mark", "items": [0], "class": "../up"}, "no dot in front"),
        ({"do": "name", "cluster": "9", "class": "a"}, 'no cluster "9"'),
        ({"do": "undo"}, "nothing to undo"),
        ({"do": "exec"}, "no answer of this kind"),
        ([1], "an answer is an object"),
    ],
)
def test_answers_without_sense(server, cookie, body, words):
    before = state(server, cookie)
    found = say(server, cookie, body)
    assert found.status == 400 and words in json.loads(found.text)["error"]
    assert state(server, cookie) == before


def test_work_without_sense(server, cookie):
    for path, body in (("/api/train", {"experiment": "../../evil"}),
                       ("/api/export", {"kind": "shell"})):  # fmt: skip
        found = request(server, "POST", path, body, origin=server.base, cookie=cookie)
        assert found.status == 400 and "there is no" in found.text


def state(server, cookie) -> dict:
    return json.loads(request(server, "GET", "/api/state", cookie=cookie).text)


def test_a_port_in_use(tmp_path):
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(DecError, match="--port N"):
        serve._bound(taken.getsockname()[1])
    with pytest.raises(DecError, match="--port N"):
        serve._bound(70000)
    # By this asyncio knows that it may send at once: an answer waits 40 ms else.
    with serve._bound(0) as listening:
        assert listening.proto == socket.IPPROTO_TCP


@pytest.mark.parametrize("why", ["no screen", "no browser", "a broken one"])
def test_a_browser_that_is_not_there(monkeypatch, why):
    """The address is in the terminal already; it is said that nothing opens it."""
    monkeypatch.setenv("DISPLAY", "" if why == "no screen" else ":9")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    def opened(address):
        if why == "a broken one":
            raise webbrowser.Error("could not locate runnable browser")
        return False

    said = []
    monkeypatch.setattr(serve, "say", said.append)
    monkeypatch.setattr(webbrowser, "open", opened)
    serve._open("http://127.0.0.1:1/?token=x")
    assert said == ["no browser could be started here; open the address by hand"]


def test_a_run_that_is_not_there(tmp_path):
    found = subprocess.run(
        command("review", "runs/none"), cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert found.returncode == 1 and "there is no run" in found.stderr
    assert not (tmp_path / "runs").exists()
