"""dec report of a fine-tuning; dec experiments; dec loop."""

import csv
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from fake_run import fake_run
from finetune_samples import CLASSES, ROOT, fresh, make_project, trained

from dec.base.errors import DecError
from dec.classify import clusters, experiments, loop
from dec.classify.report import report
from dec.classify.simulate import simulate
from dec.data.labelled.dataset import Options, find_photos

# Long enough to run, too short to learn.
SHORT = "max_iter: 4 test_interval: 0 snapshot: 0 display: 2"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory) -> Path:
    """Not to be changed."""
    return trained(tmp_path_factory.mktemp("project"))


@pytest.fixture
def project(tuned, tmp_path, monkeypatch) -> Path:
    """The working folder."""
    folder = tmp_path / "project"
    shutil.copytree(tuned, folder)
    monkeypatch.chdir(folder)
    return folder


class Page(HTMLParser):
    """The tags, texts and sources of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.texts, self.sources, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in ("img", "meta", "link", "br"):
            self.open.append(tag)
        self.sources += [v for k, v in attributes if k in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def wrong_test_photos(run: Path) -> list[dict]:
    with open(run / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [r for r in rows if r["set"] == "test" and r["class"] != r["predicted"]]


def test_the_report_stands_alone_and_has_the_numbers(project):
    run = Path("runs/tiny")
    report(run)
    text = (run / "report.html").read_text()
    page = Page(text)
    assert not page.open
    assert all(s.startswith(("data:", "#")) for s in page.sources)
    metrics = json.loads((run / "metrics.json").read_text())
    words = " ".join(page.texts)
    assert f"{metrics['test']['accuracy']:.1%}" in words
    assert f"{metrics['test']['right']} of {metrics['test']['n']}" in words
    for name in CLASSES:
        assert name in words
    for part in ("Training progress", "What was taken for what", "Class by class"):
        assert part in words
    figures = {p.name for p in (run / "figures").iterdir()}
    assert figures == {"loss.png", "accuracy.png", "table.png", "recall.png"}
    pictures = sum(s.startswith("data:image/jpeg") for s in page.sources)
    assert pictures == len(wrong_test_photos(run))
    report(run)  # again, over its own figures
    assert (run / "report.html").read_text() == text


def test_mistakes_are_shown_when_the_photos_are_gone(project):
    run = Path("runs/tiny")
    file = run / "predictions.csv"
    # Two of the test photos taken for another class with certainty.
    rows = lines(file)
    spoilt = [r for r in rows if r[0] == "test"][:2]
    for r in spoilt:
        r[3], r[4] = next(c for c in CLASSES if c != r[2]), "0.990000"
    with open(file, "w", newline="") as out:
        csv.writer(out).writerows(rows)
    report(run)
    before = Page((run / "report.html").read_text())
    assert sum("99%" in text for text in before.texts) == 2
    shutil.rmtree("photos")
    report(run)
    after = Page((run / "report.html").read_text())
    count = sum(s.startswith("data:image/jpeg") for s in after.sources)
    assert count == sum(s.startswith("data:image/jpeg") for s in before.sources) >= 2


def test_no_report_of_what_is_none(project):
    with pytest.raises(DecError, match="no finished run here"):
        report(Path("runs"))
    Path("runs/tiny/figures").mkdir()
    Path("runs/tiny/figures/mine.png").touch()
    with pytest.raises(DecError, match="holds other things than the report's figures"):
        report(Path("runs/tiny"))
    Path("runs/tiny/metrics.json").write_text('{"acc": 1}')
    with pytest.raises(DecError, match="is no run of dec finetune"):
        report(Path("runs/tiny"))


LIST = f"""
[[experiment]]
name = "all"
solver = "{SHORT}"
[[experiment]]
name = "{{class}} or not"
each = "only"
solver = "{SHORT} gamma: 0.01"
[[experiment]]
name = "named clusters"
clusters = "all"
shares = [70, 10, 20]
solver = "{SHORT}"
"""


def write_clusters(path: Path, photos: dict[str, str]) -> dict[str, str]:
    """Two clusters a class; one photo in ten is in a cluster of the next class."""
    found = {}
    for i, (name, label) in enumerate(sorted(photos.items())):
        at = (CLASSES.index(label) + (i % 10 == 0)) % 3
        found[name] = str(2 * at + i % 2)
    lines = ["file,cluster,probability", *(f"{n},{c},0.5" for n, c in found.items())]
    path.write_text("\n".join(lines) + "\n")
    return found


def test_experiments_make_one_table(tmp_path, monkeypatch, capfd):
    project = make_project(tmp_path)
    monkeypatch.chdir(project)
    Path("list.toml").write_text(LIST)
    found = write_clusters(Path("clusters.csv"), find_photos(Path("photos")))
    call = {
        "seeds": (1,),
        "listed": Path("list.toml"),
        "clusters": Path("clusters.csv"),
    }
    experiments.run_experiments("tiny", Path("photos"), Path("runs/e"), **call)
    table = capfd.readouterr().out
    rows = [line.split(" | ") for line in table.splitlines()[2:]]
    names = ["all", "across or not", "down or not", "round or not", "named clusters"]
    assert [row[0].removeprefix("| ") for row in rows] == names
    assert Path("runs/e/experiments.md").read_text() == table
    metrics = json.loads(Path("runs/e/down-or-not-seed1/metrics.json").read_text())
    assert metrics["classes"] == ["down", "not down"]
    solver = Path("runs/e/down-or-not-seed1/prototxt/solver.prototxt").read_text()
    assert "gamma: 0.01" in solver and "max_iter: 4" in solver
    assert f"{metrics['test']['accuracy']:.1%}" in rows[2][4]
    # Labels of clusters: wrong for one photo in ten, in train and val alone.
    metrics = json.loads(Path("runs/e/named-clusters-seed1/metrics.json").read_text())
    assert [sum(metrics["counts"][s]) for s in ("train", "val", "test")] == [42, 6, 12]
    with open("runs/e/named-clusters-seed1/predictions.csv", newline="") as file:
        wrong = [
            r for r in csv.DictReader(file) if r["class"] != r["file"].split("/")[0]
        ]
    assert 0 < len(wrong) <= 6 and all(r["set"] != "test" for r in wrong)
    assert all(int(found[r["file"]]) // 2 == CLASSES.index(r["class"]) for r in wrong)
    # A second call trains nothing.
    before = Path("runs/e/all-seed1/final.caffemodel").stat().st_mtime_ns
    experiments.run_experiments("tiny", Path("photos"), Path("runs/e"), **call)
    assert Path("runs/e/all-seed1/final.caffemodel").stat().st_mtime_ns == before
    assert capfd.readouterr().out == table


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[experiment]]\nnome = 1", 'experiment 1: "nome" is not one of'),
        ("[[experiment]]\nonly = 'a'", "experiment 1: it has no name"),
        ("[[experiment]]\nname='a'\nshares=[50, 50]", "shares must be three numbers"),
        ("[[experiment]]\nname='a'\neach='all'", 'each must be "only" or "without"'),
        ("[[experiment]]\nname='a'\nclusters='x'", 'clusters must be "all" or "rev'),
        ("[[experiment]]\nname=3", "experiment 1: it has no name"),
        (
            "[[experiment]]\nname='a b'\n[[experiment]]\nname='a/b'",
            'the names "a b" and "a/b" make one folder, "a-b"',
        ),
        ("[[experiment]]\nname='one'\neach='only'", "needs {class} in its name"),
        ("[[experiment]]\nname='?'", 'make one folder, ""'),
        (f"[[experiment]]\nname='{'x' * 250}'", "is too long for a folder"),
        ("", "there are no experiments in it"),
        ("[[", "list.toml: "),
    ],
)
def test_lists_that_cannot_be(tmp_path, text, words):
    path = tmp_path / "list.toml"
    path.write_text(text)
    with pytest.raises(DecError, match=words):
        experiments.read_list(path, ["a", "b", "c"], Options(size=(8, 8)))


@pytest.mark.parametrize("name", ["small", "photos"])
def test_the_lists_that_come_with_the_nets(name):
    path = ROOT / f"prototxt/caffenet/{name}/experiments.toml"
    trials = experiments.read_list(path, ["a", "b", "c"], Options(size=(8, 8)))
    assert len({t.slug for t in trials}) == len(trials) == 11
    assert [t.options.only for t in trials[1:4]] == ["a", "b", "c"]
    assert [t.options.without for t in trials[4:7]] == [("a",), ("b",), ("c",)]
    assert [t.clusters for t in trials[-2:]] == ["all", "reviewed"]


def test_clusters_are_read_from_tables(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("probability,cluster,file\n0.5,3,a.jpg\n0.1,4,b.jpg\n")
    assert clusters.read_clusters(path) == {"a.jpg": "3", "b.jpg": "4"}
    path.write_text("file,group\na,1\n")
    with pytest.raises(DecError, match="c.csv:1: the first line must name the columns"):
        clusters.read_clusters(path)
    path.write_text("file,cluster\na.jpg\n")
    with pytest.raises(DecError, match="c.csv:2: the cluster is empty"):
        clusters.read_clusters(path)
    path.write_text("file,cluster\n")
    with pytest.raises(DecError, match="there are no photos in it"):
        clusters.read_clusters(path)
    truth = {"a": "x", "b": "y", "c": "y", "d": "x"}
    given = {"a": "0", "b": "0", "c": "0", "d": "1", "gone": "2"}
    assert clusters.named_by_majority(given, truth) == {"0": "y", "1": "x"}
    with pytest.raises(DecError, match='3 clusters name no photo "x".* more clusters'):
        clusters.named_by_majority(given | {"e": "2"}, truth | {"d": "z", "e": "y"})
    # The third is mixed; for more than two of three the first is, too.
    given, truth = given | {"e": "2", "f": "2"}, truth | {"e": "x", "f": "y"}
    assert clusters.named_by_majority(given, truth, 0.6) == {"0": "y", "1": "x"}
    with pytest.raises(DecError, match='no photo "y": in none are 70%'):
        clusters.named_by_majority(given, truth, 0.7)
    with pytest.raises(DecError, match="none of the photos in the clusters is in"):
        clusters.named_by_majority(given, {"elsewhere.jpg": "x"})


def test_clusters_are_read_from_runs(tmp_path):
    names = [f"down/ảnh {i}.jpg" for i in range(9)]
    made = fake_run(tmp_path, np.zeros((9, 6), np.float32), 4, names=names)
    with open(made / "assignments.csv", newline="") as file:
        said = [row["cluster"] for row in csv.DictReader(file)]
    found = clusters.read_clusters(made)
    assert found == dict(zip(names, said, strict=True))
    assert len(set(found.values())) == 3
    database = tmp_path / "data/fake"
    (database / "names.txt").write_text('"down/a.jpg"\n')
    with pytest.raises(DecError, match="fake: 1 rows now; the run was on 9"):
        clusters.read_clusters(made)
    (database / "names.txt").unlink()
    with pytest.raises(DecError, match=r"no names.txt in .*: not a run on photos"):
        clusters.read_clusters(made)
    (made / "metrics.json").unlink()
    with pytest.raises(DecError, match="there is no finished run here"):
        clusters.read_clusters(made)
    with pytest.raises(DecError, match="none.csv"):
        clusters.read_clusters(tmp_path / "none.csv")


def short(project: Path) -> None:
    """Makes the tiny net's training short."""
    file = project / "prototxt/tiny/solver.prototxt"
    text = file.read_text().replace("max_iter: 90", "max_iter: 12")
    file.write_text(text.replace("test_interval: 18", "test_interval: 6"))


def test_the_loop_goes_from_clusters_to_labels_by_reviews(tuned, tmp_path, monkeypatch):
    project = fresh(tuned, tmp_path / "project")
    monkeypatch.chdir(project)
    short(project)
    photos, root = Path("photos"), Path("runs/loop")
    truth = find_photos(photos)
    found = write_clusters(Path("clusters.csv"), truth)
    loop.start(photos, Path("clusters.csv"), root)
    with pytest.raises(DecError, match="there is a loop already"):
        loop.start(photos, Path("clusters.csv"), root)
    links = list((root / "clusters").rglob("*.jpg"))
    assert len(links) == 60 and all(link.is_symlink() for link in links)
    with pytest.raises(DecError, match="name clusters of at least two classes"):
        loop.go_on(root, "tiny", 10, 1)
    # The user names all clusters but the last.
    rows = [(c, n, CLASSES[int(c) // 2] if c != "5" else "") for c, n, _ in
            lines(root / "clusters.csv")[1:]]  # fmt: skip
    write(root / "clusters.csv", ("cluster", "photos", "class"), rows)
    loop.go_on(root, "tiny", 10, 1)
    labels = read(root / "labels.csv")
    assert len(labels) == 60 and all(r["class"] in CLASSES for r in labels)
    review = read(root / "review.csv")
    assert len(review) == 10
    listed = {r["file"]: float(r["probability"]) for r in review}
    rest = [r for r in labels if r["file"].split("photos/")[1] not in listed]
    assert max(listed.values()) <= min(float(r["probability"]) for r in rest)
    # A review: the true class of all but one, which is rejected; one is left out.
    answers = {r["file"]: truth[r["file"]] for r in review[2:]}
    answers[review[0]["file"]] = "-"
    rows = [(r["file"], r["guess"], r["probability"], answers.get(r["file"], ""))
            for r in review]  # fmt: skip
    header = ("file", "guess", "probability", "class")
    write(root / "review.csv", header, rows)
    loop.go_on(root, "tiny", 10, 1)
    split = {
        r["file"]: r["class"] for r in read(root / "round-02/data-36x36/split.csv")
    }
    assert review[0]["file"] not in split
    for name, label in split.items():
        cluster = int(found[name])
        assert label == answers.get(name, CLASSES[cluster // 2])
        assert cluster != 5 or name in answers
    assert {r["file"] for r in read(root / "answers.csv")} == set(answers)
    assert not {r["file"] for r in read(root / "review.csv")} & set(answers)
    write(root / "review.csv", header, [("nowhere.jpg", "", "", "down")])
    with pytest.raises(DecError, match=r"review.csv:2: nowhere.jpg is not in the loop"):
        loop.go_on(root, "tiny", 10, 1)
    with pytest.raises(DecError, match="there is no loop"):
        loop.go_on(Path("runs"), "tiny", 10, 1)


def lines(path: Path) -> list[list[str]]:
    with open(path, newline="") as file:
        return list(csv.reader(file))


def read(path: Path) -> list[dict]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, header: tuple, rows: list) -> None:
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def test_the_simulated_loop_gives_a_curve(tuned, tmp_path, monkeypatch, capsys):
    project = fresh(tuned, tmp_path / "project")
    monkeypatch.chdir(project)
    short(project)
    truth = find_photos(Path("photos"))
    write_clusters(Path("clusters.csv"), truth)
    root = Path("runs/sim")
    call = (Path("photos"), Path("clusters.csv"), root, "tiny")
    curve = simulate(*call, rounds=1, review=20, seeds=(1, 2))
    assert [(p["seed"], p["way"], p["reviewed"]) for p in curve] == [
        (seed, *p) for seed in (1, 2)
        for p in (("loop", 0), ("loop", 20), ("random", 20))
    ]  # fmt: skip
    assert (root / "curve.png").exists() and len(read(root / "curve.csv")) == 6
    a, b = (f"{p['accuracy']:.1%}" for p in curve if p["way"] == "random")
    assert f"| {a}, {b} |" in (root / "curve.md").read_text().splitlines()[-1]
    words = capsys.readouterr().out
    assert words.splitlines()[-1] == (root / "curve.md").read_text().splitlines()[-1]
    assert simulate(*call, rounds=1, review=20, seeds=(1, 2)) == curve
    root /= "seed-1"
    tests = [
        {
            r["file"]
            for r in read(root / at / "data-36x36/split.csv")
            if r["set"] == "test"
        }
        for at in ("loop-00", "loop-01", "random-01")
    ]
    assert tests[0] == tests[1] == tests[2]
    given = {r["file"]: r["class"] for r in read(root / "random-01/given.csv")}
    assert len(given) == 20 and not set(given) & tests[0]
    assert all(truth[name] == label for name, label in given.items())
    before = {r["file"]: r["class"] for r in read(root / "loop-00/given.csv")}
    after = {r["file"]: r["class"] for r in read(root / "loop-01/given.csv")}
    changed = {name for name in after if after[name] != before[name]}
    assert all(after[name] == truth[name] for name in changed)
