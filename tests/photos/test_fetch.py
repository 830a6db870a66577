"""`dec photos fetch` against a local server that misbehaves on order, id by id."""

import csv
import email.utils
import hashlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time

import pytest
import urllib3
from disks import small_disk
from photos_samples import (
    broken_files,
    dec_photos,
    encoded,
    jpeg,
    picture,
    start_dec_photos,
)
from photos_server import (
    PHOTO,
    after,
    chunked,
    chunked_drops,
    drops,
    hangs_up,
    of,
    redirect,
    serving,
    slow,
    stalls,
    status,
    too_long,
    trickles,
    until_close,
)

from dec.base import pace, progress
from dec.base.errors import DecError
from dec.photos import fetch as fetching
from dec.photos import listing
from dec.photos.fetch import Options, fetch


@pytest.fixture
def server(monkeypatch):
    """As `serving` has it, and no long waits after its failures."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(pace, "BACK_OFF", 0.01)
    with serving() as state:
        yield state


@pytest.fixture
def get(server, tmp_path):
    """`get(ids)` fetches them; returns the summary."""

    def call(names, *, base=None, **options):
        listed = tmp_path / "photos.txt"
        lines = [name if "|" in name else f"{name} | x | eng" for name in names]
        listed.write_text("\n".join(lines), encoding="utf-8", errors="surrogateescape")
        chosen = Options(**{"rate": 1000, "timeout": 30, **options})
        return fetch(listed, base or server.url, tmp_path / "out", chosen)

    return call


def rows(folder):
    with open(folder / "manifest.csv", newline="", encoding="utf-8") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def files(folder):
    return sorted(name for name in os.listdir(folder) if name != "manifest.csv")


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


# One photo after the other.


@pytest.mark.parametrize(
    "url",
    ["nonsense", "ftp://a/", "http://", "file:///etc", "http://a:b/", "http://u:p@a/"],
)
def test_no_base_url(tmp_path, url):
    (tmp_path / "photos.txt").write_text("a | b | c")
    with pytest.raises(DecError, match="--base-url"):
        fetch(tmp_path / "photos.txt", url, tmp_path / "out", Options())


def test_plain_run(server, get, tmp_path):
    done = get(["a | one | eng", "b | two | eng", "a | un | fra", "../c | x | y"])
    counts = (done.lines, done.ids, done.duplicates, done.fetched, done.rejected)
    assert counts == (4, 2, 1, 2, 1)
    assert files(tmp_path / "out") == ["a.jpg", "b.jpg"]
    assert server.hits == {"a": 1, "b": 1}
    found = rows(tmp_path / "out")
    data = (tmp_path / "out/a.jpg").read_bytes()
    assert found["a"] == {
        "id": "a",
        "status": "fetched",
        "http_code": "200",
        "bytes": str(len(data)),
        "sha256": hashlib.sha256(data).hexdigest(),
        "file": "a.jpg",
        "attempts": "1",
        "error": "",
    }
    assert found["../c"]["status"] == "rejected"
    assert found["../c"]["error"] == "a slash in the id"


@pytest.mark.parametrize(
    "answer",
    [
        slow,
        until_close,
        chunked,
        redirect("/photo/other"),
        redirect("other?x=y z"),
        after(2, drops),
        after(2, hangs_up),
        after(1, chunked_drops),
        after(3, status(500)),
        after(1, too_long),
        after(1, of(b"")),
        after(1, of(PHOTO[:-200])),
        of(PHOTO, "text/html"),
    ],
)
def test_arrives_in_the_end(server, get, tmp_path, answer):
    server.plan["it"] = answer
    assert get(["it"]).fetched == 1
    data = (tmp_path / "out/it.jpg").read_bytes()
    assert data.endswith(b"\xff\xd9")
    assert rows(tmp_path / "out")["it"]["attempts"] == str(server.hits["it"])


@pytest.mark.parametrize(
    "answer,words,hits",
    [
        (status(404), "answered 404 Not Found", 1),
        (status(403), "answered 403", 1),
        (status(500), "answered 500", 3),
        (status(204, b""), "answered 204", 1),
        (status(503, b"no", Retry_After="0"), "answered 503", 3),
        (
            of(b"<!doctype html>Gone", "text/html; x=y"),
            "an image: HTML, called text",
            1,
        ),
        (of(b"<html>login"), "not an image: HTML, called image/jpeg", 1),
        (of(b"sorry", "text/plain"), "not an image: text", 1),
        (of(b""), "empty answer", 3),
        (drops, "sent 3,000 of the", 3),
        (too_long, "sent more than the", 3),
        (hangs_up, "connection dropped", 3),
        (chunked_drops, "connection dropped", 3),
        (stalls, "took more than 0.5 s", 3),
        (trickles, "took more than 0.5 s", 3),
        (redirect("/photo/it"), "redirects without end", 6),
        (redirect("file:///etc/passwd"), "not an http:// or https:// address", 1),
        (redirect(closed_port()), "cannot be reached", 3),
        (of(bytes(70_000)), "larger than 50,000 bytes", 1),
    ],
)
def test_fails(server, get, tmp_path, answer, words, hits):
    server.plan["it"] = answer
    limits = {"attempts": 3, "timeout": 30, "max_bytes": 50_000}
    if answer in (stalls, trickles):
        limits["timeout"] = 0.5
    done = get(["it", "good"], **limits)
    assert (done.fetched, done.failed) == (1, 1)
    assert files(tmp_path / "out") == ["good.jpg"]
    row = rows(tmp_path / "out")["it"]
    assert words in row["error"]
    # A kept connection that ends without an answer is no attempt.
    assert server.hits["it"] - hits in ((0, 1) if answer is hangs_up else (0,))
    hits = server.hits["it"]
    # A second call asks again only where that may help, and never for what is there.
    server.plan.clear()
    done = get(["it", "good"], **limits)
    final = row["status"] == "refused"
    assert (done.there, done.fetched) == (1, 0 if final else 1)
    assert server.hits["it"] == hits + (not final)
    if final:
        assert get(["it", "good"], again=True, **limits).fetched == 1


def test_cut_off_at_the_source(server, get, tmp_path):
    server.plan["it"] = of(PHOTO[:5000])
    assert get(["it"]).fetched == 1
    assert server.hits["it"] == 2
    assert (tmp_path / "out/it.jpg").read_bytes() == PHOTO[:5000]
    assert rows(tmp_path / "out")["it"]["error"] == "the JPEG ends early"


def test_suffix_is_that_of_the_content(server, get, tmp_path):
    server.plan["a"] = of(encoded(picture(1), "PNG"))
    server.plan["b.jpg"] = of(encoded(picture(2), "WEBP"))
    server.plan["x"] = slow
    names = ["a", "b.jpg", "c.JPG", "d.jpeg", "x.jpg", "x", "Chợ (3)%2f"]
    get(names)
    found = ["Chợ (3)%2f.jpg", "a.png", "b.jpg.webp", "c.JPG", "d.jpeg"]
    assert files(tmp_path / "out") == sorted([*found, "x.jpg", "x_.jpg"])
    assert rows(tmp_path / "out")["x"]["file"] == "x_.jpg"
    assert server.hits["Chợ (3)%2f"] == 1


def test_address_with_a_place_for_the_id(server, get):
    get(["a"], base=server.root + "/photo?size=big&id=/{id}")
    assert server.hits == {"a": 1}
    get(["b"], base=server.root + "/photo")
    assert server.hits["b"] == 1


def test_through_a_proxy(server, get, monkeypatch):
    monkeypatch.setenv("http_proxy", server.root)
    get(["a"], base="http://nowhere.invalid/photo")
    assert server.hits == {"a": 1}


def test_connections_are_kept(server, get):
    server.plan["n3"] = status(404)
    get([f"n{i}" for i in range(30)], at_once=2)
    assert server.connections == 2


# Politeness.


def test_no_more_at_once_than_allowed(server, get):
    for i in range(20):
        server.plan[f"n{i}"] = slow
    get([f"n{i}" for i in range(20)], at_once=3)
    assert server.busiest == 3


def test_rate(server, get):
    began = time.monotonic()
    get([f"n{i}" for i in range(11)], rate=20)
    assert time.monotonic() - began >= 0.49


def test_retry_after_is_a_pause_for_the_host(server, get):
    server.plan["a"] = after(1, status(429, Retry_After="1"))
    get(["a"] + [f"n{i}" for i in range(20)], at_once=2, rate=50)
    first, second = server.times["a"]
    assert second - first >= 1
    gaps = sorted(t for times in server.times.values() for t in times)
    assert max(b - a for a, b in zip(gaps, gaps[1:], strict=False)) > 0.8


def test_retry_after_as_a_date(server, get):
    date = email.utils.formatdate(time.time() + 2, usegmt=True)
    server.plan["a"] = after(1, status(503, Retry_After=date))
    get(["a"])
    first, second = server.times["a"]
    assert second - first > 0.5


def test_long_retry_after_ends_the_run(server, get, tmp_path):
    server.plan["a"] = status(429, Retry_After="86400")
    with pytest.raises(DecError, match="come back in 86,400 s"):
        get(["a", *[f"n{i}" for i in range(50)]], at_once=1)
    assert sum(server.hits.values()) == 1
    found = rows(tmp_path / "out")
    assert found["a"]["status"] == "failed"
    assert found["n7"]["status"] == "waiting"
    server.plan.clear()
    assert get(["a", *[f"n{i}" for i in range(50)]]).fetched == 51


def test_back_off_grows_and_varies(monkeypatch):
    monkeypatch.setattr(pace, "BACK_OFF", 1.0)
    for attempt, most in [(1, 1), (2, 2), (5, 16), (30, pace.LONGEST_WAIT)]:
        waits = [pace.back_off(attempt) for _ in range(200)]
        assert most / 2 <= min(waits) < max(waits) <= most
        assert max(waits) - min(waits) > most / 4


def test_server_not_there(get, tmp_path):
    with pytest.raises(DecError, match=r"127.0.0.1 cannot be reached .*goes on from"):
        get(["a", "b"], base=closed_port())
    assert rows(tmp_path / "out")["a"]["status"] == "waiting"


def test_server_goes_away_and_comes_back(server, get, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_stream", sys.stderr)
    real, calls = urllib3.util.connection.create_connection, []

    def flaky(*args, **options):
        calls.append(1)
        if 2 <= len(calls) <= 8:
            raise ConnectionRefusedError(111, "Connection refused")
        return real(*args, **options)

    monkeypatch.setattr(urllib3.util.connection, "create_connection", flaky)
    server.plan.update({f"n{i}": until_close for i in range(10)})
    assert get([f"n{i}" for i in range(10)], at_once=1, attempts=1).fetched == 10
    assert "cannot be reached" in capsys.readouterr().err


def test_hopeless_server(server, get, monkeypatch):
    monkeypatch.setattr(fetching, "_HOPELESS", 20)
    server.plan.update({f"n{i}": status(500) for i in range(100)})
    with pytest.raises(DecError, match="the last 20 photos failed.*answered 500"):
        get(["good", *[f"n{i}" for i in range(100)]], attempts=1, at_once=2)
    assert sum(server.hits.values()) < 40


def test_nothing_came(server, get):
    server.plan.update(a=status(404), b=status(404))
    with pytest.raises(DecError, match="not one photo could be fetched: answered 404"):
        get(["a", "b"])


# Going on.


def test_killed_and_called_again(server, get, tmp_path):
    names = [f"n{i}" for i in range(60)]
    server.plan.update(dict.fromkeys(names, slow))
    (tmp_path / "photos.txt").write_text("\n".join(names))
    words = ["photos.txt", "--base-url", server.url, "--out", "out", "--rate", 500]
    process = start_dec_photos("fetch", *words, "--at-once", 2, cwd=tmp_path)
    deadline = time.monotonic() + 120
    while len(server.hits) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    there = [name for name in files(tmp_path / "out") if name.endswith(".jpg")]
    assert 10 < len(there) < 60
    assert all((tmp_path / "out" / name).read_bytes() == PHOTO for name in there)
    before = server.hits.copy()
    done = get(names)
    assert done.there == len(there)
    assert done.fetched == 60 - len(there)
    again = [name for name in names if server.hits[name] > before[name] > 0]
    assert len(again) <= 2  # those in flight
    found = rows(tmp_path / "out")
    assert list(found) == names
    assert {row["status"] for row in found.values()} == {"fetched"}
    assert files(tmp_path / "out") == sorted(f"{name}.jpg" for name in names)


def test_half_a_line_in_the_journal(server, get, tmp_path):
    get(["a", "b"])
    out = tmp_path / "out"
    (out / "manifest.csv").unlink()
    (out / ".dec-fetch").mkdir()
    size = (out / "a.jpg").stat().st_size
    whole = f"a,fetched,200,{size},00,a.jpg,1,\n"
    (out / ".dec-fetch/journal.csv").write_text(whole + "b,fetched,20")
    assert get(["a", "b", "c"]).there == 2
    assert rows(out)["a"]["sha256"] == "00"
    assert rows(out)["b"]["status"] == "fetched"
    assert server.hits == {"a": 1, "b": 1, "c": 1}


def test_what_is_gone_or_damaged_comes_again(server, get, tmp_path):
    get(["a", "b", "c"])
    (tmp_path / "out/a.jpg").unlink()
    (tmp_path / "out/b.jpg").write_bytes(b"short")
    assert get(["a", "b", "c"]).fetched == 2
    assert server.hits == {"a": 2, "b": 2, "c": 1}
    assert files(tmp_path / "out") == ["a.jpg", "b.jpg", "c.jpg"]


def test_photos_from_before_are_taken_in(server, get, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").write_bytes(PHOTO)
    (tmp_path / "out/b.jpeg").write_bytes(PHOTO)
    (tmp_path / "out/c.jpg").write_bytes(b"<html>no photo")
    done = get(["a", "b", "c"])
    assert (done.there, done.fetched) == (2, 1)
    assert rows(tmp_path / "out")["a"]["file"] == "a"
    assert (tmp_path / "out/c_.jpg").exists()
    assert (tmp_path / "out/c.jpg").read_bytes() == b"<html>no photo"


def test_what_clean_took_out_is_not_fetched_again(server, get, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    get(["a", "b", "c"])
    shutil.copy(tmp_path / "out/a.jpg", tmp_path / "out/b.jpg")
    os.utime(tmp_path / "out/b.jpg")
    assert dec_photos("clean", "out", "--move", "--jobs", 1) == 0
    assert files(tmp_path / "out") == ["a.jpg", "c.jpg", "rejected"]
    assert get(["a", "b", "c"]).there == 3
    assert server.hits["b"] == 1


def test_manifest_keeps_ids_of_another_list(get, tmp_path):
    get(["a"])
    get(["b"])
    assert list(rows(tmp_path / "out")) == ["b", "a"]


def test_not_our_manifest(server, get, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/manifest.csv").write_text("name;price\n")
    with pytest.raises(DecError, match="not a manifest of"):
        get(["a"])
    assert (tmp_path / "out/manifest.csv").read_text() == "name;price\n"
    assert not server.hits


def test_a_manifest_that_a_spreadsheet_saved(server, get, tmp_path):
    get(["a", "café"])
    path = tmp_path / "out/manifest.csv"
    text = path.read_text().replace(",", ";").replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert get(["a", "café"]).there == 2
    path.write_bytes(text.encode("cp1252"))
    with pytest.raises(DecError, match="manifest.csv:3: is not UTF-8; save it as CSV"):
        get(["a", "café"])
    assert path.read_bytes() == text.encode("cp1252")


def test_an_id_that_is_twice_in_the_manifest(server, get, tmp_path):
    get(["a"])
    path = tmp_path / "out/manifest.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[1]]))
    assert get(["a"]).there == 1
    path.write_text("".join([*lines, lines[1].replace("fetched", "failed")]))
    with pytest.raises(DecError, match="manifest.csv:3: a is in line 2 too, and other"):
        get(["a"])


def test_two_at_a_time(get, tmp_path):
    with (
        fetching.files.own_folder(tmp_path / "out/.dec-fetch", "fetch"),
        pytest.raises(DecError, match="another `dec photos fetch` is at work"),
    ):
        get(["a"])


def test_full_disk(server, get, tmp_path):
    names = [f"n{i}" for i in range(40)]
    server.plan.update({name: of(PHOTO) for name in names})
    with small_disk(tmp_path / "out", "256k") as disk:
        with pytest.raises(DecError, match="No space left on device"):
            get(names)
        os.system(f"mount -o remount,size=4m {disk}")
        before = sum(server.hits.values())
        done = get(names)
        assert done.there > 5
        assert done.there + done.fetched == 40
        assert sum(server.hits.values()) - before == done.fetched
        assert files(disk) == sorted(f"{name}.jpg" for name in names)


def test_folder_cannot_be_made(get, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(DecError, match="cannot be written: Not a directory"):
        get(["a"])


# Over TLS.


@pytest.fixture
def tls(server, tmp_path, monkeypatch):
    """The server's address as https, behind a certificate that is trusted."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    try:
        subprocess.run(
            [*command, "-keyout", key, "-out", certificate],
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("openssl, to make a certificate with, is not there")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.served.socket = context.wrap_socket(server.served.socket, server_side=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("no_proxy", "localhost")
    return server.root.replace("http://127.0.0.1", "https://localhost")


def test_over_tls(server, get, tls):
    server.plan.update(a=after(1, stalls), b=slow, c=chunked, d=after(1, drops))
    server.plan.update(e=until_close)
    done = get(list("abcdefghij"), base=tls, timeout=5, at_once=2)
    assert done.fetched == 10
    assert server.hits["a"] == 2


def test_connections_are_kept_over_tls(server, get, tls):
    server.plan["n3"] = status(404)
    assert get([f"n{i}" for i in range(30)], base=tls, at_once=2).fetched == 29
    assert server.connections == 2


def test_certificate_that_is_not_trusted(server, get, tls, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(DecError, match="localhost cannot be reached .*certificate"):
        get(["a"], base=tls)


# The whole way.


def test_from_the_list_to_resized_photos(server, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = [f"photo-{i:03d}" for i in range(80)]
    for i, name in enumerate(names):
        server.plan[name] = of(jpeg(i, 200, 120 + i // 2))
    broken = {name: data for name, (_, data) in broken_files().items() if data}
    for i, data in enumerate(broken.values()):
        server.plan[names[i]] = of(data)
    server.plan[names[40]] = server.plan[names[41]]
    server.plan[names[42]] = after(1, status(503))
    server.plan[names[43]] = status(404)
    lines = [f"{name} | {w} | {w}" for name in names for w in ("fra", "vie")]
    (tmp_path / "photos.txt").write_text("\n".join([*lines, "../x | a | b"]))
    words = ["photos.txt", "--base-url", server.url, "--out", "photos", "--rate", 500]
    assert dec_photos("fetch", *words) == 0
    assert "161 lines, 80 ids, 80 duplicates: 7" in capsys.readouterr().out
    assert dec_photos("clean", "photos", "--move", "--jobs", 1) == 0
    out = capsys.readouterr().out
    assert re.search("exact-duplicate +1 +1\n", out)
    assert dec_photos("stats", "photos", "--jobs", 1) == 0
    assert "photos/clean" not in capsys.readouterr().out
    keep = ["--size", "200x120", "--keep", "200x120..200x150"]
    assert dec_photos("resize", "photos", "small", *keep, "--jobs", 1) == 0
    usable = 80 - len(broken) - 2
    kept = len(os.listdir("small"))
    assert usable - 22 <= kept <= usable


def test_listing_module_reads_our_manifest(get, tmp_path):
    get(["a", "b"])
    missing = listing.expected(tmp_path / "out", None)
    assert list(missing({"sub/a.jpg"})) == [("b.jpg", "fetched, and no longer here")]
