"""`make dec-archive`: its commands one by one, from a list and a server to clusters."""

import csv
import functools
import io
import json
import re
import shlex
import subprocess
import types
from collections import Counter

import pytest
from conftest import DEC, ROOT, make_project, run
from photos_samples import broken_files, encoded, picture
from photos_server import after, drops, of, serving, status
from PIL import Image

CLASSES = ("beings", "heritage", "nature")
EACH = 24
GOOD = EACH * len(CLASSES)
REFUSED = {
    "beings_gone": status(404),
    "heritage_gone": status(410),
    "nature_page": of(b"<!DOCTYPE html><p>no such photo</p>"),
}
# Fetched all the same; which file of broken_files(), and clean's word for it.
BROKEN = {
    "beings_cut": ("cut.jpg", "truncated"),
    "heritage_cut": ("cut.png", "truncated"),
    "heritage_noise": ("noise.jpg", "corrupt"),
    "nature_bomb": ("bomb.png", "too-large"),
}
TINY, COPY, AGAIN = "beings_tiny", "heritage_zcopy", "nature_zagain"
AGAIN_TOO = ("fetch", "clean", "resize", "data")
FETCHED = GOOD + len(BROKEN) + 3
IDS = FETCHED + len(REFUSED)


@functools.cache
def good_ones() -> dict[str, bytes]:
    """Good photos by id, `label_number`, no two of which look alike."""
    return {
        f"{label}_{i:03d}": encoded(
            picture(100 * number + i, 300, 180 + 5 * i), quality=90
        )
        for number, label in enumerate(CLASSES)
        for i in range(EACH)
    }


def smaller(data: bytes) -> bytes:
    """The same photo at four fifths of its size."""
    photo = Image.open(io.BytesIO(data))
    size = [side * 4 // 5 for side in photo.size]
    return encoded(photo.resize(size, Image.Resampling.LANCZOS), quality=85)


def plan():
    """What the server does with each id."""
    photos = good_ones()
    files = broken_files()
    answers = {name: of(data) for name, data in photos.items()} | REFUSED
    answers |= {name: of(files[file][1]) for name, (file, _) in BROKEN.items()}
    answers[TINY] = of(encoded(picture(7000, 20, 20), "PNG"))
    answers[COPY] = answers["heritage_000"]
    answers[AGAIN] = of(smaller(photos["nature_000"]))
    answers["beings_001"] = after(1, drops, answers["beings_001"])
    answers["nature_001"] = after(1, status(503), answers["nature_001"])
    return answers


def lines(names):
    """photos.txt: a third of the ids in one language, in two, and in three."""
    for i, name in enumerate(names):
        for language in ("fra", "vie", "eng")[: 1 + i % 3]:
            yield f"{name} | Hà Nội, été 1915 | {language}"
    yield "../../etc/passwd | no plain name | fra"
    yield ""


def commands(url: str, *more: str) -> dict[str, list[str]]:
    """The commands of `make dec-archive` by name, without "dec" itself.

    url: of the server. more: variables for make.
    """
    shown = subprocess.run(
        ["make", "-n", "dec-archive", "LIST=photos.txt", f"URL={url}", "K=3", *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    joined = shown.stdout.replace("\\\n", " ").splitlines()
    found = [shlex.split(line)[1:] for line in joined if ".venv/bin/dec " in line]
    return {line[1] if line[0] == "photos" else line[0]: line for line in found}


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """All commands run, some of them again: `first` and `second` are their results."""
    folder = make_project(tmp_path_factory.mktemp("chain"))
    for path in (folder / "prototxt/dec/blobs").rglob("*.prototxt"):
        text = path.read_text().replace("/blobs", "/photos")
        path.write_text(text.replace("std: 0.3", "std: 0.05"))
    (folder / "prototxt/dec/blobs").rename(folder / "prototxt/dec/photos")
    answers = plan()
    (folder / "photos.txt").write_text("\n".join(lines(answers)), encoding="utf-8")
    done = types.SimpleNamespace(folder=folder, hits=[], first={}, second={})
    with serving() as server:
        server.plan = answers
        options = "KEEP=100x100..700x500", "DEC_ARGS=--max-rounds 3"
        words = commands(server.url, *options)

        def call(name):
            # Less to start, and less to wait for, than as the user has it.
            quick = {"fetch": ["--rate", 200], "run": []}.get(name, ["--jobs", 1])
            result = run([DEC, *words[name], *quick], folder, no_proxy="127.0.0.1")
            assert result.returncode == 0, f"{name}: {result.stderr}"
            return result

        done.first = {name: call(name) for name in words}
        done.hits.append(dict(server.hits))
        done.second = {name: call(name) for name in AGAIN_TOO}
        done.hits.append(dict(server.hits))
    return done


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_fetch(chain):
    out = chain.first["fetch"].stdout
    all_lines = sum(1 + i % 3 for i in range(IDS)) + 1
    assert f"{all_lines} lines, {IDS} ids, {all_lines - IDS - 1} duplicates: " in out
    assert f"{FETCHED} fetched, 0 already there, 3 failed, 1 rejected" in out
    rows = table(chain.folder / "data/archive/manifest.csv")
    counts = Counter(row["status"] for row in rows)
    assert counts == {"fetched": FETCHED, "refused": 3, "rejected": 1}
    asked = dict(chain.hits[0])
    assert asked.pop("beings_001") == asked.pop("nature_001") == 2
    # An image that ends early is asked for once more: it may have been the connection.
    assert asked.pop("beings_cut") == asked.pop("heritage_cut") == 2
    assert set(asked.values()) == {1}


def test_clean(chain):
    rows = table(chain.folder / "runs/clean-archive/report.csv")
    counts = Counter(row["status"] for row in rows)
    broken = Counter(word for _, word in BROKEN.values())
    missing = len(REFUSED) + 1  # the id that is no plain name
    odd = {"missing": missing, "exact-duplicate": 1, "near-duplicate": 1}
    assert counts == {"ok": GOOD + 1, **odd, **broken}
    moved = {row["moved_to"] for row in rows if row["moved_to"]}
    assert len(moved) == len(BROKEN) + 2
    assert all((chain.folder / "data/archive" / path).exists() for path in moved)
    assert f"exact-duplicate/{COPY}.jpg" in " ".join(moved)
    assert f"near-duplicate/{AGAIN}.jpg" in " ".join(moved)


def test_stats(chain):
    assert re.search(rf"total +{GOOD + 1}\n", chain.first["stats"].stdout)
    rows = table(chain.folder / "runs/stats-archive/resolutions.csv")
    assert sum(int(row["photos"]) for row in rows) == GOOD + 1
    assert Image.open(chain.folder / "runs/stats-archive/resolutions.png").width > 500


def test_resize(chain):
    assert f"{GOOD} resized, 0 already there, 1 outside" in chain.first["resize"].stdout
    photos = list((chain.folder / "data/archive-small").glob("*.jpg"))
    assert sorted(path.stem for path in photos) == sorted(good_ones())
    assert {Image.open(path).size for path in photos} == {(200, 120)}


def test_clusters(chain):
    labels = ", ".join(f"{label} {EACH}" for label in CLASSES)
    said = chain.first["data"].stderr
    assert f"{GOOD} photos; labels: 3 by file names: {labels}" in said
    metrics = json.loads((chain.folder / "runs/photos/metrics.json").read_text())
    assert (metrics["n"], metrics["k"]) == (GOOD, 3) and 1 <= metrics["rounds"] <= 3
    assert metrics["classes"] == list(CLASSES) and 0 < metrics["acc"] <= 1
    rows = table(chain.folder / "runs/photos/assignments.csv")
    assert sorted(row["name"] for row in rows) == sorted(
        f"{i}.jpg" for i in good_ones()
    )
    page = (chain.folder / "runs/photos/report.html").read_text()
    assert all(f"matched to class {label}" in page for label in CLASSES)


def test_a_second_time_nothing_is_left_to_do(chain):
    assert chain.hits[0] == chain.hits[1]
    out = {name: result.stdout for name, result in chain.second.items()}
    assert f"0 fetched, {FETCHED} already there, 3 failed, 1 rejected" in out["fetch"]
    assert out["clean"] == chain.first["clean"].stdout
    assert f"0 resized, {GOOD} already there, 1 outside" in out["resize"]
    assert chain.second["data"].stderr.count("up to date") == 4


def test_export(chain):
    result = run([DEC, "export", "runs/photos"], chain.folder)
    assert result.returncode == 0, result.stderr
    links = list((chain.folder / "runs/photos/classes").glob("?/*.jpg"))
    assert len(links) == GOOD
    small = chain.folder / "data/archive-small"
    assert {link.resolve().parent for link in links} == {small.resolve()}


def test_new_photos(chain, tmp_path):
    """Of any size and kind; the resized ones get the clusters that they have."""
    rows = table(chain.folder / "runs/photos/assignments.csv")
    known = {row["name"]: row["cluster"] for row in rows}
    # Processes that outlived it would keep its output open for minutes.
    result = subprocess.run(
        [DEC, "assign", "runs/photos", "data/archive-small"],
        cwd=chain.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = list(csv.DictReader(io.StringIO(result.stdout)))
    assert {row["name"].split("/")[-1]: row["cluster"] for row in found} == known

    (tmp_path / "large.jpg").write_bytes(encoded(picture(1, 2000, 3000)))
    (tmp_path / "grey.png").write_bytes(encoded(picture(2).convert("L"), "PNG"))
    (tmp_path / "page.jpg").write_text("<html>")
    result = run([DEC, "assign", "runs/photos", tmp_path], chain.folder)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 3
    assert "page.jpg: not-an-image" in result.stderr
    facts = json.loads((chain.folder / "runs/photos/input.json").read_text())
    assert facts["photos"]["fit"] == "stretch"  # as `dec photos resize` did


def test_the_manual_has_the_same_chain():
    text = (ROOT / "docs/photos.md").read_text(encoding="utf-8")
    block = text[text.index("which is this chain") : text.index("and then, ")]
    written = re.findall(r"^    dec (.*?)(?: +#.*)?$", block, re.M)
    made = commands("https://cdn.example.org/photo/")
    assert list(made) == ["fetch", "clean", "stats", "resize", "data", "run"]
    assert [line.split() for line in written] == list(made.values())
