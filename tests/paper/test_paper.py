"""`dec paper`: the paper's tables and figures, on three small blobs called MNIST."""

import json
import re
import shutil
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import DEC, ROWS, assert_clear_error, blobs, make_project, run
from fake_run import fake_run

from dec.base import progress
from dec.base.errors import DecError
from dec.clustering.report.results import Results as ARun
from dec.clustering.report.results import Snapshot
from dec.clustering.span import Span
from dec.page.plotting import Figures
from dec.paper import cells, figures, methods, sources, tables
from dec.paper.cells import Cell, Results, imbalance, sweep
from dec.paper.drawings import sheet
from dec.paper.figures import as_the_code_draws
from dec.paper.sources import kept_unevenly
from dec.paper.tables import choice
from dec.paper.work import Work


class Nesting(HTMLParser):
    """Fails where the elements of a page do not nest."""

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, name, attributes):
        if name not in ("img", "meta", "link", "br"):
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name


@pytest.fixture(scope="module")
def small_mnist(tmp_path_factory):
    """A folder whose data/ and prototxt/dec/mnist are those of the blobs."""
    folder = make_project(tmp_path_factory.mktemp("paper"))
    (folder / "prototxt/dec/blobs").rename(folder / "prototxt/dec/mnist")
    for file in (folder / "prototxt").rglob("*.prototxt"):
        file.write_text(file.read_text().replace("/blobs", "/mnist"))
    for part in ("total", "train", "test"):
        (folder / f"data/blobs_{part}").rename(folder / f"data/mnist_{part}")
    return folder


@pytest.fixture
def few(monkeypatch):
    """Few methods, values and r_min, so that all of them take seconds."""
    for module in (cells, tables):
        monkeypatch.setattr(module, "TABLE_2", ("kmeans", "dec", "dec-graph"))
        monkeypatch.setattr(module, "TABLE_3", ("ae-sec", "ae-kmeans"))
        monkeypatch.setattr(module, "TABLE_4", ("kmeans", "ae-kmeans", "dec-within"))
    monkeypatch.setattr(methods, "FEW_INTERVALS", (3.0, 7.0))
    monkeypatch.setattr(methods, "FEW_DECADES", (1e-8, 1.0))
    monkeypatch.setattr(cells, "RETENTIONS", (0.5,))
    monkeypatch.setattr(tables.facts, "RETENTIONS", (0.5,))
    monkeypatch.setattr(sources, "QUICK_ROWS", 400)
    monkeypatch.setattr(tables, "QUICK_ROWS", 400)


def test_tables_then_figures(small_mnist, few, monkeypatch):
    lines = []
    monkeypatch.setattr(progress, "say", lines.append)

    def told():
        text = "\n".join(lines)
        lines.clear()
        return text

    monkeypatch.chdir(small_mnist)
    here = small_mnist / "runs/paper-quick"
    compute, done = Work.run, []

    def stopped(self, cell):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(cell.name)
        return compute(self, cell)

    # Stopped half-way, it keeps what is done, and the tables of that.
    monkeypatch.setattr(Work, "run", stopped)
    with pytest.raises(KeyboardInterrupt):
        tables.tables(("mnist", "stl"), True, (1,))
    assert len((here / "cells.jsonl").read_text().splitlines()) == 3
    assert "not run" in (here / "tables.md").read_text()
    said = told()
    assert "11 cells, 0 of them done" in said and "a guess for 11" in said
    assert "stl is left out" in said

    def failing(self, cell):
        if cell.method == "dec-graph":
            raise DecError("no such luck")
        done.append(cell.name)
        return compute(self, cell)

    monkeypatch.setattr(Work, "run", failing)
    tables.tables(("mnist", "stl"), True, (1,))
    said = told()
    assert "11 cells, 3 of them done" in said and "failed: no such luck" in said
    assert len(done) == len(set(done)) == 9
    assert "failed: mnist-dec-graph" in (here / "tables.md").read_text()

    monkeypatch.setattr(Work, "run", compute)
    page = tables.tables(("mnist", "stl"), True, (1,))
    found = [json.loads(x) for x in (here / "cells.jsonl").read_text().splitlines()]
    assert len(found) == 11
    assert all(x["acc"] > 0.9 and x["silhouette"] > 0.3 for x in found)
    assert {x["n"] for x in found if x["retention"] is None} == {400}
    assert [x["value"] for x in found if x["method"] == "dec"] == [3, 7]
    text = page.read_text()
    Nesting(text)  # its elements nest
    markdown = (here / "tables.md").read_text()
    for words in ("Table 3.1", "Tables 3.2 and 3.3: MNIST, 400 rows", "Table 3.4"):
        assert words in text and f"## {words}" in markdown
    assert "84.30%" in markdown and "left out: STL-HOG" in markdown
    assert not any((here / "cells").iterdir())  # nothing is left of single cells

    # All of it is there, so nothing is computed again.
    monkeypatch.setattr(Work, "run", None)
    tables.tables(("mnist", "stl"), True, (1,))
    assert "11 cells, 11 of them done" in told()
    assert (here / "tables.md").read_text() == markdown
    monkeypatch.setattr(Work, "run", compute)

    monkeypatch.setattr(figures, "_QUICK_SPAN", Span(2, 3))
    page = figures.figures("mnist", True)
    Nesting(page.read_text())
    drawn = {path.name for path in (here / "figures").iterdir()}
    wanted = ("3_mnist", "4", "5", "6_plain", "6_within")
    assert {f"figure_3_{x}.png" for x in wanted} <= drawn
    markdown = (here / "figures.md").read_text()
    assert "The rows are no pictures." in markdown  # Figure 3.2
    for name in re.findall(r"\((figures/\S+\.png)\)", markdown):
        assert (here / name).exists()
    assert re.search(r"\| plain \| 3 \| \d\.\d{3} \|", markdown)
    # Again, from what is there; other things are not replaced.
    figures.figures("mnist", True)
    assert "auto: up to date" in told()
    (here / "figures/mine.txt").write_text("mine")
    with pytest.raises(DecError, match=r"mine\.txt"):
        figures.figures("mnist", True)


def test_pictures_on_a_sheet():
    from sklearn.datasets import load_digits

    images = load_digits().images.astype(np.uint8)
    figure = sheet([list(images[:4]), list(images[4:6])], ["c0 (1)", "c1"])
    (axes,) = figure.axes
    drawn = axes.images[0].get_array()
    assert drawn.shape == (16, 32, 3)
    assert (drawn[8:, 8:16] == 255 - images[5][..., None]).all()  # ink on paper
    assert (drawn[8:, 16:] == 255).all()  # the second row is shorter
    assert [x.get_text() for x in axes.get_yticklabels()] == ["c0 (1)", "c1"]


def test_pictures_of_a_run(tmp_path):
    """Figure 3.2, and the ten rows of 3.4, where rows are images."""
    from sklearn.datasets import load_digits

    rows = load_digits().images[:120].reshape(120, 1, 8, 8).astype(np.float32)
    run = fake_run(tmp_path, rows, 4, image=[8, 8], scale=1.0)
    results = ARun.read(run)
    source = SimpleNamespace(database=results.database, name="digits")
    drawn = figures._Drawn(source, results, tmp_path, True)
    kept = Figures(tmp_path)
    part = drawn.top_ten(kept)
    assert part.files == ["figures/figure_3_2.png"]
    assert (tmp_path / "figure_3_2.png").exists()
    part = drawn.gradient(kept)
    names = [x.removeprefix("figures/") for x in part.files]
    assert names == ["figure_3_4.png", "figure_3_4_rows.png"]
    assert "smallest cluster" in part.words and len(part.pictures) == 2
    assert "No cells yet" in drawn.sweep(kept).words


def test_digits_come_with_scikit_learn(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    source = sources.find("digits", tmp_path, 300)
    assert (source.n, source.width, source.k) == (300, 64, 10)
    whole = sources.find("digits", tmp_path, None)
    assert whole.n == 1797 and np.mean(whole.rows() ** 2) == pytest.approx(1, abs=0.2)


def test_wrong_words(project):
    result = run([DEC, "paper", "tables", "--data", "mnist,nonsense"], project)
    assert_clear_error(result, "nonsense: is none of mnist, fashion-mnist")
    result = run([DEC, "paper", "tables", "--data", "stl,reuters"], project)
    assert_clear_error(result, "none of these data sets is there")
    assert result.stderr.count("is left out") == 2
    result = run([DEC, "paper", "tables", "--seeds", "one"], project)
    assert result.returncode == 2 and "not such as 1,2,3" in result.stderr
    result = run([DEC, "paper", "figures", "--data", "stl"], project)
    assert_clear_error(result, "none of these data sets is there")


def test_rows_without_labels_have_no_accuracy(small_mnist, monkeypatch, tmp_path):
    from dec.data.leveldb import write_rows

    shutil.copytree(small_mnist / "prototxt", tmp_path / "prototxt")
    write_rows(tmp_path / "data/mnist_total", blobs()[0])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DecError, match="none of these"):
        tables.tables(("mnist",), True, (1,))


def test_the_plan():
    whole = sweep("mnist", (1, 2, 3), quick=False)
    assert len(whole) == len(set(whole)) == 2 * 9 + 8 * 9 * 3
    for method, values in (("dec", 10.0 * 2.0 ** np.arange(9)),
                           ("ldmgi", 10.0 ** np.arange(-8, 9, 2))):  # fmt: skip
        own = [x.value for x in whole if (x.method, x.seed) == (method, 2)]
        assert own == pytest.approx(values)
    assert [x.seed for x in whole if x.method == "kmeans"] == list(range(1, 10))
    assert len(sweep("mnist", (1,), quick=True)) == 2 + 8 * 3
    uneven = imbalance("mnist", (1, 2))
    assert len(uneven) == 5 * 5 * 2
    assert {x.retention for x in uneven} == {0.1, 0.3, 0.5, 0.7, 0.9}
    names = {x.name for x in (*whole, *uneven)}
    assert len(names) == len(whole) + len(uneven)


@pytest.mark.parametrize("retention", [0.1, 0.5, 0.9])
def test_classes_are_kept_unevenly(retention):
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(10), 2000))
    kept = kept_unevenly(labels, retention, 3)
    assert (np.diff(kept) > 0).all()
    for c, count in enumerate(np.bincount(labels[kept], minlength=10)):
        p = retention + (1 - retention) * c / 9  # the paper's section 3.5.4
        assert abs(count - 2000 * p) <= 4 * np.sqrt(2000 * p * (1 - p)) + 1e-9
    assert np.array_equal(kept, kept_unevenly(labels, retention, 3))
    assert not np.array_equal(kept, kept_unevenly(labels, retention, 4))
    assert len(kept_unevenly(labels, 1.0, 1)) == len(labels)


def test_results_are_kept_and_told_apart(tmp_path):
    cell = Cell("mnist", "dec", 40.0, 1)
    other = Cell("mnist", "dec", 40.0, 1, 0.5)
    results = Results(tmp_path / "cells.jsonl")
    results.add(cell, "key", {"acc": 0.5, "seconds": 8.0, "n": 10_000})
    results.add(other, "key", {"acc": 0.4, "seconds": 4.0, "n": 5000})
    again = Results(tmp_path / "cells.jsonl")
    assert again.of(cell, "key")["acc"] == 0.5 and again.of(other)["acc"] == 0.4
    assert again.of(cell, "other inputs") is None and again.of(cell) is not None
    left = [Cell("mnist", "dec", 80.0, 1), Cell("mnist", "kmeans", None, 1)]
    seconds, guessed = again.forecast(left, {"mnist": 10_000})
    assert guessed == 1 and seconds == 8.0 + cells._GUESS["kmeans"]
    elsewhere = [Cell("stl", "dec", 80.0, 1)]
    assert again.forecast(elsewhere, {"stl": 1000}) == (pytest.approx(0.8), 0)
    (tmp_path / "cells.jsonl").write_text("{broken\n")
    with pytest.raises(DecError, match="remove it"):
        Results(tmp_path / "cells.jsonl")


def test_the_choice_looks_at_no_label():
    group = [
        {"acc": 0.9, "silhouette": 0.1},
        {"acc": 0.5, "silhouette": 0.3},
        {"acc": 0.7, "silhouette": None},
    ]
    assert choice(group)["acc"] == 0.5
    assert choice(group[2:])["acc"] == 0.7


def test_a_row_of_the_table():
    own = [
        {"seed": seed, "value": value, "acc": acc, "nmi": acc, "silhouette": sign,
         "seconds": 2.0, "encoder": "paper"}
        for seed, value, acc, sign in [
            (1, 10, 0.50, 0.3), (1, 20, 0.70, 0.2), (1, 40, 0.60, 0.1),
            (2, 10, 0.54, 0.1), (2, 20, 0.62, 0.2), (2, 40, 0.80, 0.0),
        ]
    ]  # fmt: skip
    row = tables._method_row("mnist", "dec", own)
    assert row[:5] == ["DEC", "75.00%", "61.00%", "56.00%", "10, 20"]
    assert row[-1] == "84.30%" and row[6] == "6"
    # Without a parameter, all runs are one group.
    for entry in own:
        entry["value"] = None
    assert tables._method_row("mnist", "kmeans", own)[1] == "80.00%"


def test_the_gradient_as_the_code_draws_it():
    rng = np.random.default_rng(2)
    code, centres = rng.normal(size=(60, 3)), rng.normal(size=(3, 4))
    away = ((code[:, :, None] - centres) ** 2).sum(axis=1)
    q = 1 / (1 + away)
    q /= q.sum(axis=1, keepdims=True)
    snapshot = Snapshot(0, False, np.arange(60)[::-1], code, q, q.sum(axis=0))
    cluster, rows, probability, term = as_the_code_draws(snapshot, centres)
    sizes = [int((q.argmax(axis=1) == j).sum()) for j in range(4)]
    assert sizes[cluster] == min(x for x in sizes if x)
    own = [i for i in range(60) if q[i].argmax() == cluster]
    assert rows.tolist() == [59 - i for i in own]
    for i, found, got in zip(own, probability, term, strict=True):
        assert found == q[i, cluster]
        p = q[i, cluster] ** 2 / sum(x**2 for x in q[i])
        d2 = sum((code[i] - centres[:, cluster]) ** 2)
        l1 = sum(abs(code[i] - centres[:, cluster]))
        assert got == pytest.approx(2 * (p - q[i, cluster]) / (1 + d2) * l1)


def test_rows_are_cut_for_the_quick_form(small_mnist, monkeypatch):
    monkeypatch.chdir(small_mnist)
    source = sources.find("mnist", small_mnist / "runs/cut", 100)
    assert source.n == 100 and source.k == 3
    whole = sources.find("mnist", small_mnist / "runs/cut", 1000)
    assert whole.n == ROWS
    uneven = sources.unevenly(source, 0.1, 1)
    assert uneven.n < 100 and uneven.k == 3 and uneven.parent is source
