"""What a net says of photos, kept: the same numbers, and no photo passes twice."""

import csv
import shutil
from pathlib import Path

import finetune_samples
import numpy as np
import pytest
from disks import small_disk
from test_linear import make_project

from dec.base.errors import DecError
from dec.classify import kept, loop
from dec.classify.experiment import Experiment
from dec.classify.new_photos import classify
from dec.classify.predict import Classifier
from dec.classify.simulate import simulate
from dec.classify.train import finetune
from dec.data.labelled.dataset import DataSet
from dec.data.labelled.prepare import encode
from dec.data.leveldb import encoded
from dec.engine.runs import Run
from dec.nets import caffe_process
from dec.nets.forward import Deployed

DATA = Path("data/labelled-48x48")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = make_project(tmp_path_factory.mktemp("kept"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEC_WEIGHTS", str(folder / "weights"))
        words = ("finetune", "little-linear", "--from", "photos", "--jobs", "1")
        result = finetune_samples.run(folder, *words)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def project(made, tmp_path, monkeypatch):
    """The working folder, with a run of little-linear that kept nothing."""
    shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("DEC_WEIGHTS", str(tmp_path / "project/weights"))
    return tmp_path / "project"


def trained(name: str, run: str, keep: Path | None) -> Path:
    data = DataSet.read(DATA)
    finetune(Experiment.find(name), Run(Path(run)), data, keep=keep)
    return Path(run)


def same_predictions(one: Path, two: Path) -> None:
    texts = [(run / "predictions.csv").read_text() for run in (one, two)]
    rows = [list(csv.reader(text.splitlines())) for text in texts]
    assert [row[:4] for row in rows[0]] == [row[:4] for row in rows[1]]
    numbers = [[float(row[4]) for row in table[1:]] for table in rows]
    np.testing.assert_allclose(*numbers, atol=2e-6)


def test_training_and_evaluation_are_as_without(project):
    keep = project / "features.sqlite"
    run = trained("little-linear", "runs/kept", keep)
    assert keep.exists()
    same_predictions(Path("runs/little-linear"), run)


def count_passes(monkeypatch, tmp_path: Path) -> Path:
    """A file with the number of photos of every pass, of any process.

    Of passes that end before the last layer.
    """
    counts = tmp_path / "passes"
    counts.touch()
    block = Deployed.block

    def counted(self, rows, top):
        if top == "average":  # not what is looked at when a net is opened
            with open(counts, "a") as file:
                file.write(f"{len(rows)}\n")
        return block(self, rows, top)

    monkeypatch.setattr(Deployed, "block", counted)
    return counts


def test_a_photo_passes_once(project, monkeypatch, tmp_path):
    keep = project / "features.sqlite"
    counts = count_passes(monkeypatch, tmp_path)
    trained("little-linear", "runs/kept", keep)
    assert sum(map(int, counts.read_text().split())) == 60
    counts.write_text("")
    # Other nets with the same layers before the last: Caffe's, and another seed's.
    trained("little", "runs/caffe", keep)
    classify(Path("runs/caffe"), [Path("photos")], Path("out.csv"), kept=keep)
    assert not counts.read_text()
    # Another photo, another weight.
    shutil.copy("photos/down/01.jpg", "photos/down/new.jpg")
    image = Path("photos/down/02.jpg").read_bytes()
    Path("photos/down/01.jpg").write_bytes(image)
    classify(Path("runs/caffe"), [Path("photos")], Path("two.csv"), kept=keep)
    assert not counts.read_text()  # all of these pixels were there


def test_another_net_has_rows_of_its_own(project):
    keep = project / "features.sqlite"
    run = Path("runs/little-linear")
    photos = [encode(path, (48, 48)) for path in sorted(Path("photos/down").iterdir())]

    def proba(change=None) -> None:
        net = Classifier(run, kept=keep)
        if change:
            net.net.params["conv1"][0].data[...] *= change
            own = kept.Kept(keep, net, run / "deploy.prototxt", net.preparation)
            found = own.proba(enumerate(photos))
        else:
            found = net.proba(enumerate(photos))
        plain = net.rows((i, net.preparation.row(x)) for i, x in enumerate(photos))
        for (i, one), (j, two) in zip(found, plain, strict=True):
            assert i == j
            np.testing.assert_allclose(one, two, atol=1e-6)

    for change in (None, 2, None, 3):
        caffe_process.run(lambda c=change: proba(c), project / "log.txt")


def test_nets_whose_other_layers_learn_keep_nothing(project):
    folder = project / "prototxt/little/photos"
    text = (folder / "train_val.prototxt").read_text()
    (folder / "train_val.prototxt").write_text(text.replace("lr_mult: 0", "lr_mult: 1"))
    trained("little", "runs/all", project / "features.sqlite")
    assert not (project / "features.sqlite").exists()


def test_a_damaged_file_is_made_anew(project, capfd):
    keep = project / "features.sqlite"
    keep.write_bytes(b"no database at all" * 100)
    run = trained("little-linear", "runs/kept", keep)
    assert "features.sqlite: damaged" in capfd.readouterr().err
    same_predictions(Path("runs/little-linear"), run)


def test_a_full_disk_is_an_error(project):
    with small_disk(project / "full", "32k") as disk:
        (disk / "filling").write_bytes(b"\0" * 24_000)
        words = "features.sqlite: cannot be"
        with pytest.raises(DecError, match=words):
            trained("little-linear", "runs/kept", disk / "features.sqlite")


def test_the_loop_asks_the_net_once(project, monkeypatch, tmp_path):
    """Two rounds and a simulation: as many passes as there are photos."""
    counts = count_passes(monkeypatch, tmp_path)
    names = [name for name, _ in _photos()]
    with open("clusters.csv", "w", newline="") as file:
        rows = [(name, name.split("/")[0]) for name in names]
        csv.writer(file).writerows([("file", "cluster"), *rows])
    root = Path("runs/loop")
    loop.start(Path("photos"), Path("clusters.csv"), root)
    text = (root / "clusters.csv").read_text().splitlines()
    named = [text[0], *(line + line.split(",")[0] for line in text[1:])]
    (root / "clusters.csv").write_text("\n".join(named) + "\n")
    for _ in range(2):
        loop.go_on(root, "little-linear", 5, 1)
    assert sum(map(int, counts.read_text().split())) == len(names)
    counts.write_text("")
    call = (Path("photos"), Path("clusters.csv"), Path("runs/sim"), "little-linear")
    simulate(*call, rounds=1, review=30)
    assert sum(map(int, counts.read_text().split())) == len(names)


def _photos():
    return [(str(p.relative_to("photos")), p) for p in Path("photos").rglob("*.jpg")]


def test_auto_is_what_can_be_had(project, monkeypatch):
    said = []
    monkeypatch.setattr(loop, "say", said.append)
    monkeypatch.setattr(loop, "PREFERRED", "little-linear")
    assert loop.tuner_of("auto").name == "little-linear"
    for file in (project / "weights").iterdir():
        file.unlink()
    assert loop.tuner_of("auto").name == "caffenet-small"
    assert said[0] == "trains little-linear"
    assert "DEC_WEIGHTS=folder" in said[1] and "caffenet-small is trained" in said[1]


def test_rows_are_those_of_the_net(project):
    """Inside, and behind: whatever the place in a batch."""

    def work() -> None:
        net = Classifier(Path("runs/little-linear"))
        jpegs = [jpeg for jpeg, _ in encoded.read_photos(DATA / "train")][:11]
        inputs = [(i, net.preparation.row(jpeg)) for i, jpeg in enumerate(jpegs)]
        whole = np.stack([row for _, row in net.rows(inputs)])
        inner = np.stack([row for _, row in net.rows(inputs, "average")])
        for some in (slice(0, 8), slice(8, 11), slice(3, 4)):
            found = net.behind(inner[some], "average")
            np.testing.assert_allclose(found, whole[some], atol=1e-6)

    caffe_process.run(work, project / "log.txt")
