"""`--clusters auto`: how many clusters, without a look at any label."""

import json
import shutil

import numpy as np
import pytest
from conftest import CLUSTERS, DEC, ROWS, assert_clear_error, blobs, run
from sklearn.metrics import adjusted_rand_score
from small_own import make_small_own

from dec.clustering import auto, criteria
from dec.clustering.choice import decide, disagreement
from dec.clustering.criteria import generalizability, losses, silhouette, stability
from dec.clustering.part import drawn, write_part
from dec.clustering.phase2 import target_distribution
from dec.clustering.summary import doubts
from dec.data.leveldb import open_reader, write_rows

RUN = "runs/blobs"


def entry(k, stability=0.5, silhouette=0.1, g=None, error=0.01):
    return {
        "k": k,
        "stability": stability,
        "silhouette": silhouette,
        "generalizability": g,
        "error": error if g is not None else None,
    }


@pytest.fixture(scope="module")
def chosen(tmp_path_factory, finished):
    """A project whose `dec run blobs --clusters 2..4` is done; not to be changed."""
    folder = tmp_path_factory.mktemp("auto") / "project"
    for part in ("data", "prototxt"):
        shutil.copytree(finished / part, folder / part)
    (weights,) = (finished / RUN).glob("stack_iter_*.caffemodel")
    shutil.copy(weights, folder / "stack.caffemodel")
    result = cluster(folder)
    assert result.returncode == 0, result.stderr
    (folder / "stdout.txt").write_text(result.stdout)
    (folder / "stderr.txt").write_text(result.stderr)
    return folder


def cluster(folder, *more):
    command = [DEC, "cluster", "blobs", "--pretrain", "stack.caffemodel"]
    return run([*command, "--clusters", "2..4", *more], folder)


def test_three_blobs_are_three_clusters(chosen):
    metrics = json.loads((chosen / RUN / "metrics.json").read_text())
    found = metrics["auto"]
    assert found["k"] == metrics["k"] == CLUSTERS
    assert [x["k"] for x in found["curve"]] == [2, 3, 4]
    assert found["votes"]["silhouette"] == CLUSTERS
    assert found["rows"] + found["validation"] == ROWS
    assert metrics["acc"] > 0.95 and metrics["seconds"]["auto"] > 0
    for line in ((chosen / "stdout.txt"), (chosen / "stderr.txt")):
        assert found["why"] in line.read_text()


def test_it_is_the_run_with_that_number(chosen, tmp_path):
    shutil.copytree(chosen, tmp_path / "copy")
    result = run(
        [DEC, "cluster", "blobs", "--pretrain", "stack.caffemodel", "--run", "runs/by"]
        + ["--clusters", str(CLUSTERS)],
        tmp_path / "copy",
    )
    assert result.returncode == 0, result.stderr
    runs = tmp_path / "copy/runs"
    by_name, by_choice = (runs / x / "assignments.csv" for x in ("by", "blobs"))
    assert by_name.read_text() == by_choice.read_text()


def test_labels_are_not_looked_at(chosen, tmp_path):
    """Other labels, or none, and the same is chosen for the same reasons."""
    folder = tmp_path / "copy"
    shutil.copytree(chosen, folder)
    shutil.rmtree(folder / "runs")
    shutil.rmtree(folder / "data/blobs_total")
    write_rows(folder / "data/blobs_total", blobs()[0])
    result = cluster(folder)
    assert result.returncode == 0, result.stderr
    curves = [
        json.loads((where / RUN / "auto.json").read_text())["curve"]
        for where in (chosen, folder)
    ]
    for x in (*curves[0], *curves[1]):
        del x["seconds"]
    assert curves[0] == curves[1]


def test_what_is_done_is_not_done_again(chosen, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(chosen, folder)
    before = (folder / RUN / "metrics.json").read_text()
    again = cluster(folder)
    assert "auto: up to date" in again.stderr and "dec: up to date" in again.stderr
    assert (folder / RUN / "metrics.json").read_text() == before
    # Another range goes on from the numbers that were tried.
    wider = cluster(folder, "--clusters", "2..5")
    assert wider.returncode == 0, wider.stderr
    lines = [x for x in wider.stderr.splitlines() if x.startswith("auto")]
    assert any("5 clusters" in line for line in lines)
    curve = json.loads((folder / RUN / "auto.json").read_text())["curve"]
    old = json.loads(before)["auto"]["curve"]
    assert curve[:3] == old and len(curve) == 4


def test_the_report_explains_it(chosen, tmp_path):
    shutil.copytree(chosen, tmp_path / "copy")
    result = run([DEC, "report", RUN], tmp_path / "copy")
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "copy" / RUN / "report.html").read_text()
    why = json.loads((chosen / RUN / "metrics.json").read_text())["auto"]["why"]
    assert "How many clusters" in page and why in page and "--clusters 2..4" in page
    figures = {x.name for x in (tmp_path / "copy" / RUN / "figures").iterdir()}
    assert {"number_stability.png", "number_generalizability.png"} <= figures


@pytest.mark.parametrize(
    "words,told",
    [
        ("9..3", "leaves no choice"),
        ("5..5", "leaves no choice"),
        ("1..4", "begins at 2"),
        ("many", "neither a number, nor a range such as 2..20, nor auto"),
        ("2..", "neither a number"),
        ("-3..4", "neither a number"),
        ("0", "not positive"),
        ("2.5", "neither a number"),
    ],
)
def test_wrong_words(project, words, told):
    result = run([DEC, "run", "blobs", f"--clusters={words}"], project)
    assert result.returncode == 2 and told in result.stderr
    assert not (project / "runs").exists()


def test_seeds_take_a_number_alone(project):
    result = run([DEC, "seeds", "blobs", "--clusters", "auto"], project)
    assert result.returncode == 2 and "--clusters" in result.stderr


@pytest.mark.parametrize("words", ["2..31", "40..50"])
def test_more_clusters_than_rows_tell(project, words):
    result = run([DEC, "run", "blobs", "--clusters", words], project)
    assert_clear_error(result, f"{ROWS} rows are too few", "30 is the most")
    assert not (project / "runs/blobs/layer1_history.json").exists()


def test_too_few_rows_for_any_choice(project):
    shutil.rmtree(project / "data/blobs_total")
    write_rows(project / "data/blobs_total", blobs()[0][:59])
    result = run([DEC, "run", "blobs", "--clusters", "auto"], project)
    assert_clear_error(result, "59 rows are too few", "--clusters")


def test_few_different_rows(pretrained):
    """Numbers of clusters that there cannot be end the trials, and that is said."""
    shutil.rmtree(pretrained / "data/blobs_total")
    rows = np.tile(3 * np.eye(3, 6, dtype=np.float32), (30, 1))
    write_rows(pretrained / "data/blobs_total", rows)
    result = cluster(pretrained)
    assert result.returncode == 0, result.stderr
    assert "4 clusters and more are left out" in result.stderr
    found = json.loads((pretrained / RUN / "auto.json").read_text())
    assert [x["k"] for x in found["curve"]] == [2, 3]


def test_no_data(project):
    shutil.rmtree(project / "data")
    result = run([DEC, "run", "blobs", "--clusters", "auto"], project)
    assert_clear_error(result, "there is no such LevelDB")


def test_the_estimator_chooses(tmp_path, monkeypatch):
    from dec import DEC as Estimator

    monkeypatch.chdir(make_small_own(tmp_path))
    rows = np.concatenate([blobs()[0][:60]])
    said = []
    monkeypatch.setattr(auto.progress, "say", said.append)
    model = Estimator(n_clusters="auto", pretrain_iter=40, random_state=1).fit(rows)
    assert any("up to 3 clusters are tried" in line for line in said)
    assert len(model.cluster_centers_) in (2, 3)
    assert set(model.labels_) <= set(range(len(model.cluster_centers_)))


def test_what_criteria_name():
    curve = [
        entry(2, 0.900, 0.30, 0.99),
        entry(3, 0.990, 0.50, 0.98),
        entry(4, 0.985, 0.40, 0.80),
        entry(5, 0.600, 0.20, 0.79),
    ]
    found = decide(curve)
    # 4 is as stable as 3; the silhouette and G, which falls after 3, name 3.
    assert found["votes"] == {"stability": 4, "silhouette": 3, "generalizability": 3}
    assert found["k"] == 3 and not found["agree"]
    assert "0.500" in found["why"] and "0.990" not in found["why"]
    assert "stability names 4" in disagreement(found)


def test_a_fall_within_its_error_is_none():
    curve = [entry(2, g=0.99, error=0.01), entry(3, g=0.97, error=0.01)]
    assert decide(curve)["votes"]["generalizability"] is None
    curve[1]["generalizability"] = 0.95
    assert decide(curve)["votes"]["generalizability"] == 2


def test_each_another_number():
    curve = [entry(2, 0.5, 0.9, 0.99), entry(3, 0.9, 0.1, 0.99), entry(4, g=0.5)]
    curve.append(entry(5, g=0.1))
    found = decide(curve)
    assert found["votes"] == {"stability": 3, "silhouette": 2, "generalizability": 3}
    curve[2]["generalizability"], curve[3]["generalizability"] = 0.98, 0.1
    found = decide(curve)
    assert found["votes"]["generalizability"] == 4
    assert found["k"] == 3 and not found["agree"]  # stability's, the first


def test_nothing_tells():
    from dec.base.errors import DecError

    with pytest.raises(DecError, match="name one"):
        decide([entry(2, None, None), entry(3, None, None)])


def naive_losses(q, sizes):
    found = []
    for row in q.astype(float):
        weights = [x * x / s if s > 0 else 0 for x, s in zip(row, sizes, strict=True)]
        p = [w / sum(weights) for w in weights]
        found.append(sum(a * np.log(a / b) for a, b in zip(p, row, strict=True) if a))
    return found


def test_losses_by_the_definition():
    rng = np.random.default_rng(1)
    q = rng.dirichlet([0.3] * 4, 50)
    q[3] = [1, 0, 0, 0]
    sizes = q.sum(axis=0)
    assert losses(q, sizes) == pytest.approx(naive_losses(q, sizes), abs=1e-12)
    # With their own sizes they are those of phase 2's targets.
    p = target_distribution(q).astype(float)
    with np.errstate(all="ignore"):
        own = np.nansum(p * np.log(p / q), axis=1)
    assert losses(q, sizes) == pytest.approx(own, abs=1e-5)
    other = rng.dirichlet([0.3] * 4, 7)
    assert losses(other, sizes) == pytest.approx(naive_losses(other, sizes), abs=1e-12)


def test_generalizability_and_its_error():
    rng = np.random.default_rng(2)
    many = [
        generalizability(rng.gamma(2, 1, 400), rng.gamma(2, 2, 100)) for _ in range(400)
    ]
    g, errors = np.array(many).T
    assert g.mean() == pytest.approx(0.5, abs=0.02)
    assert errors.mean() == pytest.approx(g.std(), rel=0.15)
    assert generalizability(np.zeros(9), np.ones(9)) == (None, None)


def test_stability_is_of_pairs_on_what_they_share(monkeypatch):
    code = np.random.default_rng(3).normal(size=(300, 2))
    given = []

    def cut(part, k, seed, start, restarts):
        given.append((part, seed, start))
        turn = seed  # each start another direction
        return (part @ [np.cos(turn), np.sin(turn)] > 0).astype(int)

    monkeypatch.setattr(criteria.starts, "clusters", cut)
    found = stability(code, 2, 5, "plain")
    assert len(given) == 6 and all(len(part) == 150 for part, _, _ in given)
    places = {tuple(row): i for i, row in enumerate(code)}
    parts = [
        {places[tuple(row)]: row @ [np.cos(s), np.sin(s)] > 0 for row in part}
        for part, s, _ in given
    ]
    wanted = []
    for i in range(6):
        for j in range(i + 1, 6):
            both = sorted(parts[i].keys() & parts[j].keys())
            wanted.append(
                adjusted_rand_score(
                    [parts[i][x] for x in both], [parts[j][x] for x in both]
                )
            )
    assert found == pytest.approx(np.mean(wanted))


@pytest.mark.parametrize("start", ["within", "plain", "graph"])
def test_every_start_can_be_asked(start):
    labels = np.arange(120) % 3
    code = np.random.default_rng(4).normal(size=(120, 3)) + 9 * np.eye(3)[labels]
    found = stability(code, 3, 1, start)
    assert found > 0.99 and found == stability(code, 3, 1, start)


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_where_criteria_are_not_defined():
    labels = np.arange(120) % 3
    code = np.random.default_rng(4).normal(size=(120, 3)) + 9 * np.eye(3)[labels]
    assert silhouette(code, labels) > 0.7 > silhouette(code, np.arange(120) % 2)
    assert silhouette(code, np.zeros(120, int)) is None
    assert stability(np.ones((100, 2)), 3, 1, "within") is None


def test_a_part_of_a_leveldb(tmp_path):
    rows, labels = blobs()
    write_rows(tmp_path / "all", rows, labels, {"scale": 2.0})
    chosen = drawn(ROWS, 50, 1)
    assert len(set(chosen)) == 50 and (np.diff(chosen) > 0).all()
    assert (drawn(ROWS, ROWS + 1, 1) == np.arange(ROWS)).all()
    write_part(tmp_path / "all", chosen, tmp_path / "some")
    write_part(tmp_path / "all", chosen, tmp_path / "none", labelled=False)
    with open_reader(tmp_path / "some") as reader:
        assert np.array_equal(reader.read()[0], rows[chosen])
        assert np.array_equal(reader.read()[1], labels[chosen])
        assert reader.meta["scale"] == 2.0 and reader.meta["rows"] == 50
    with open_reader(tmp_path / "none") as reader:
        assert (reader.read()[1] == -1).all()


def test_doubts_as_sentences():
    assert doubts({"rows": 5}) == []
    signs = {"starts": {"number": 10, "by": "within"}}
    none = doubts(signs | {"merged": [], "split": [{"cluster": 1, "starts": 1}]})
    assert none == ["10 new starts on halves of the rows join or split no cluster."]
    merged = [{"clusters": [4, 9], "starts": 6}]
    (text,) = doubts(signs | {"merged": merged, "split": [{"cluster": 1, "starts": 3}]})
    assert "c4 and c9 are one in 6 of 10" in text and "c1 is two in 3 of 10" in text
