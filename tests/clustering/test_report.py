"""`dec report`: the page stands by itself, and says what is true."""

import csv
import io
import json
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from conftest import ROWS
from fake_run import fake_run, soft
from PIL import Image

from dec.base.errors import DecError
from dec.base.words import duration
from dec.clustering.phase2 import target_distribution
from dec.clustering.report import report
from dec.clustering.report.embedding import layouts
from dec.clustering.report.gradient import Start, gradients
from dec.clustering.report.pictures import Pictures, png
from dec.clustering.report.results import Results
from dec.data.leveldb import open_reader, write_rows
from dec.page.html import Html, join, table, tag

_EMPTY = {"img", "meta", "link", "br"}
_OF_LABELS = ("Accuracy", "NMI", "Classes and clusters", "class 0")


class Page(HTMLParser):
    """A page taken apart; fails where elements do not nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.words = [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in _EMPTY:
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words += data

    def all(self, name):
        return [attributes for n, attributes in self.elements if n == name]


def page_of(run):
    return Page((run / "report.html").read_text())


def numbers(n=120, width=6):
    return np.random.default_rng(0).normal(size=(n, width)).astype(np.float32)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Small figures, and any plane instead of t-SNE's, which has its own test."""
    monkeypatch.setattr("dec.page.plotting._DPI", 50)
    monkeypatch.setattr(
        "dec.clustering.report.embedding.layouts",
        lambda codes: [code[:, :2] for code in codes],
    )


@pytest.fixture(scope="module")
def real(finished, tmp_path_factory):
    """A copy of a real run, with its report."""
    folder = tmp_path_factory.mktemp("report") / "project"
    shutil.copytree(finished, folder)
    report(folder / "runs/blobs")
    return folder / "runs/blobs"


def test_page_of_a_real_run_has_all_parts(real):
    page = page_of(real)
    metrics = json.loads((real / "metrics.json").read_text())
    titles = (
        *("In short", "Round by round", "Classes and clusters"),
        *("Most typical samples", "Least certain samples"),
        *("The code as training goes on", "What drives the first round"),
        *("Sizes and confidence", "Time", "How it was made"),
    )
    for title in titles:
        assert page.words.count(title) >= 2, title  # heading and link
    assert f"{metrics['acc']:.2%}" in page.words and f"{ROWS:,}" in page.words
    assert "dec run blobs --run" in page.words and "--seed 1" in page.words
    assert (
        "--pretrain train-short" in page.words and "--update-interval 7" in page.words
    )
    assert "--kmeans within" in page.words
    assert "units of the clusters' own spread" in page.words


def test_page_needs_nothing_else(real):
    page = page_of(real)
    text = (real / "report.html").read_text()
    assert "http:" not in text and "https:" not in text and "url(" not in text
    assert not page.all("script")
    for picture in page.all("img"):
        assert picture["src"].startswith("data:image/png;base64,")
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    anchors = {attributes["id"] for attributes in page.all("section")}
    assert {link["href"][1:] for link in page.all("a")} == anchors


def test_every_picture_is_told_in_words(real):
    for picture in page_of(real).all("img"):
        assert len(picture["alt"]) > 15


def test_figures_are_whole_pngs(real):
    files = sorted((real / "figures").iterdir())
    assert len(files) == 11
    for file in files:
        with Image.open(file) as image:
            image.load()
            assert image.format == "PNG" and min(image.size) > 40


def test_same_run_same_page(real):
    report(real)
    before = (real / "report.html").read_bytes()
    report(real)
    assert (real / "report.html").read_bytes() == before
    assert not list(real.glob("*partial*"))


def test_ten_samples_of_each_cluster_by_certainty(real):
    page = page_of(real)
    words = [a["alt"] for a in page.all("img") if a["alt"].startswith("row ")]
    with open(real / "assignments.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    metrics = json.loads((real / "metrics.json").read_text())
    clusters = metrics["cluster_of_class"]
    best, least = (
        [
            [int(w.split(",")[0][4:]) for w in words[at + i * 10 : at + i * 10 + 10]]
            for i in range(3)
        ]
        for at in (0, 30)
    )
    for cluster, top, bottom in zip(clusters, best, least, strict=True):
        own = [r for r in rows if int(r["cluster"]) == cluster]
        chances = sorted(float(r["probability"]) for r in own)
        assert [float(rows[i]["probability"]) for i in bottom] == chances[:10]
        assert [float(rows[i]["probability"]) for i in top] == chances[::-1][:10]


def test_without_labels_the_rest_stands(tmp_path):
    run = fake_run(tmp_path, numbers(), 4, labelled=False)
    report(run)
    page = page_of(run)
    for word in _OF_LABELS:
        assert word not in page.words, word
    assert "Round by round" in page.words and "Most typical samples" in page.words
    assert not (run / "figures/table.png").exists()
    assert (run / "figures/code_end.png").exists()


def test_with_labels_they_are_there(tmp_path):
    run = fake_run(tmp_path, numbers(), 4)
    report(run)
    words = page_of(run).words
    for word in _OF_LABELS:
        assert word in words, word
    assert "1 h 02 min" in words and "dec run fake" in words


def test_clusters_without_a_class_have_nothing_wrong(tmp_path):
    """More clusters than classes: their rows are named, not marked."""
    run = fake_run(tmp_path, numbers(), 4, image=[2, 3])
    report(run)
    before = (run / "report.html").read_text()
    metrics = json.loads((run / "metrics.json").read_text())
    gone = metrics["cluster_of_class"][0]
    metrics["cluster_of_class"][0] = -1
    (run / "metrics.json").write_text(json.dumps(metrics))
    report(run)
    after = (run / "report.html").read_text()
    assert "as below rows of clusters without one" in after

    def tiles(page):
        part = page.split(f"Cluster c{gone}<")[1].split("</ol>")[0]
        return part.count("<li"), part.count('<li class="other"'), part.count("<b>")

    rows, marked, named = tiles(after)
    assert rows == named == 10 and not marked
    assert tiles(before)[1] == tiles(before)[2] < 10


def test_text_from_outside_is_escaped(tmp_path):
    folder = tmp_path / '<img src=x onerror="a">&amp;'
    run = fake_run(folder, numbers(), 3)
    report(run)
    text = (run / "report.html").read_text()
    assert "<img src=x" not in text and "&lt;img src=x" in text
    assert str(run) in page_of(run).words


def test_one_cluster_and_many(tmp_path):
    one = fake_run(tmp_path / "one", numbers(12), 1)
    report(one)
    many = fake_run(tmp_path / "many", numbers(300), 61)
    report(many)
    assert "Of 61 clusters the 50 largest are shown" in page_of(many).words


def test_long_rows_are_named_instead_of_drawn(tmp_path):
    run = fake_run(tmp_path, numbers(width=300), 3)
    report(run)
    page = page_of(run)
    assert "300 numbers" in page.words and "row 1" in page.words
    assert not any(a["alt"].startswith("row ") for a in page.all("img"))


@pytest.mark.parametrize("why", ["missing", "in use"])
def test_database_that_cannot_be_read_costs_the_pictures_only(tmp_path, why):
    run = fake_run(tmp_path, numbers(), 3)
    if why == "missing":
        shutil.rmtree(tmp_path / "data")
        report(run)
    else:
        with open_reader(tmp_path / "data/fake"):
            report(run)
    page = page_of(run)
    assert "could not be shown" in page.words and why in page.words
    assert "Round by round" in page.words


def test_codes_that_were_not_kept_cost_their_parts_only(tmp_path):
    run = fake_run(tmp_path, numbers(), 3)
    (run / "codes/round_0.npz").write_bytes(b"PK broken")
    report(run)
    words = page_of(run).words
    assert "What drives" not in words and "The code as training" in words
    shutil.rmtree(run / "codes")
    report(run)
    assert "The code as training" not in page_of(run).words
    assert not (run / "figures/code_end.png").exists()


def test_codes_of_an_earlier_longer_run_are_not_shown(tmp_path):
    run = fake_run(tmp_path, numbers(), 3)
    shutil.copy(run / "codes/end.npz", run / "codes/round_64.npz")
    numbers_shown = [s.number for s in Results.read(run).snapshots]
    assert numbers_shown == [0, 1, 2, 3]


def test_no_finished_run_is_an_error(tmp_path):
    with pytest.raises(DecError, match="no finished run"):
        report(tmp_path)
    with pytest.raises(DecError, match="no finished run"):
        report(tmp_path / "missing")
    run = fake_run(tmp_path, numbers(), 3)
    with open(run / "assignments.csv", "a") as file:
        file.write("5,1,0.5,1\n")
    with pytest.raises(DecError, match="not of one run"):
        report(run)
    (run / "metrics.json").write_text("{")
    with pytest.raises(DecError, match="damaged"):
        report(run)


def test_foreign_files_among_the_figures_are_kept(tmp_path):
    run = fake_run(tmp_path, numbers(), 3)
    report(run)
    (run / "figures/mine.png").write_text("precious")
    with pytest.raises(DecError, match="mine.png"):
        report(run)
    assert (run / "figures/mine.png").read_text() == "precious"


def test_gradient_is_that_of_the_loss():
    rng = np.random.default_rng(1)
    code, centres = rng.normal(size=(6, 3)), rng.normal(size=(3, 4))
    q = soft(code, centres)
    p = target_distribution(q).astype(np.float64)

    def loss(z):
        return (p * np.log(p / soft(z, centres))).sum(axis=1)

    found = gradients(code, q, p, centres, np.ones_like(centres), alpha=1.0)
    for k, step in enumerate(np.eye(3) * 1e-6):
        slope = (loss(code + step) - loss(code - step)) / 2e-6
        assert found[:, k] == pytest.approx(slope, abs=1e-7)


def test_gradient_of_a_run_uses_its_targets(real):
    results = Results.read(real)
    start = Start.read(results)
    snapshot = results.snapshots[0]
    order = np.argsort(snapshot.rows)  # all rows are in the sample
    p = target_distribution(snapshot.proba[order])
    net_centres = _centres(real)
    expected = gradients(
        snapshot.code[order],
        snapshot.proba[order],
        p,
        net_centres,
        np.ones_like(net_centres),
        1.0,
    )
    lengths = np.linalg.norm(expected, axis=1)
    assert start.size[order] == pytest.approx(lengths, rel=1e-3, abs=1e-6)
    assert soft(snapshot.code, net_centres) == pytest.approx(snapshot.proba, abs=1e-5)
    assert start.example_q == sorted(start.example_q) and len(start.examples) == 10


def _centres(run):
    from test_pipeline import weights

    return weights(run / "init.caffemodel")["loss"][0].reshape(2, -1)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3)])
def test_images_are_shown_as_they_were(tmp_path, shape):
    raw = np.random.default_rng(2).integers(0, 256, (9, *shape)).astype(np.uint8)
    rows = raw.reshape(9, -1) * np.float32(0.02)
    write_rows(tmp_path / "db", rows, None, {"image": shape, "scale": 0.02})
    pictures = Pictures(tmp_path / "db", [7, 2, 7])
    assert pictures.kind == "image" and sorted(pictures.tiles) == [2, 7]
    for row, tile in pictures.tiles.items():
        assert np.array_equal(tile, raw[row])
        with Image.open(io.BytesIO(png(tile))) as image:
            assert np.array_equal(np.asarray(image), raw[row])


def test_image_size_that_does_not_fit_is_said(tmp_path):
    write_rows(tmp_path / "db", numbers(), None, {"image": [28, 28]})
    pictures = Pictures(tmp_path / "db", [0])
    assert not pictures.tiles and "28" in pictures.why


def test_bars_point_up_and_down_from_one_zero(tmp_path):
    rows = np.array([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0]], np.float32)
    write_rows(tmp_path / "db", rows)
    up, flat = Pictures(tmp_path / "db", [0, 1]).tiles.values()
    colored = (up == (47, 109, 179)).all(axis=2)
    height, width = colored.shape
    assert colored[: height // 2, : width // 3].any()
    assert not colored[: height // 2, -width // 3 :].any()
    assert colored[-height // 4 :, -width // 3 :].any()
    assert not (flat == (47, 109, 179)).all(axis=2).any()


def test_layouts_keep_groups_together_and_in_place():
    rng = np.random.default_rng(4)
    group = np.arange(90) % 3
    centres = rng.normal(size=(3, 5)) * 20
    codes = [
        (centres[group] + rng.normal(size=(90, 5))).astype(np.float32) for _ in "ab"
    ]
    first, second = layouts(codes)
    again, _ = layouts(codes)
    assert np.array_equal(first, again)
    middles = []
    for plane in (first, second):
        middle = np.array([plane[group == i].mean(axis=0) for i in range(3)])
        nearest = ((plane[:, None] - middle) ** 2).sum(axis=2).argmin(axis=1)
        assert np.array_equal(nearest, group)
        middles.append((middle - middle.mean(axis=0)) / middle.std())
    assert (middles[0] * middles[1]).sum() > 0  # not turned round


def test_layouts_of_codes_that_hold_nothing():
    for code in (np.zeros((40, 5)), np.zeros((40, 1)), np.zeros((40, 2))):
        (plane,) = layouts([code])
        assert plane.shape == (40, 2) and np.isfinite(plane).all()


def test_html_escapes_text_and_attributes():
    made = tag("p", "a < b", Html("<br>"), title='"x" & y', class_=None)
    assert made == '<p title="&quot;x&quot; &amp; y">a &lt; b<br></p>'
    assert join("<", Html("<")) == "&lt;<"
    assert "<td>&lt;td</td>" in table(["a", "b"], [["x", "<td"]], "label")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (59.96, "1 min 00 s"),
        (185, "3 min 05 s"),
        (1062, "18 min"),
        (3599.9, "1 h 00 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
