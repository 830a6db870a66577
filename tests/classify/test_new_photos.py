"""Which photos `dec classify` takes, and where it looks at them."""

import shutil
from pathlib import Path

import finetune_samples
import pytest
from dask_cluster import dask_workers
from finetune_samples import fresh, trained

from dec.base.errors import DecError
from dec.base.parallel import each
from dec.classify.new_photos import _photos, classify


@pytest.fixture(scope="module")
def tuned(tmp_path_factory) -> Path:
    """Not to be changed."""
    return trained(tmp_path_factory.mktemp("project"))


@pytest.fixture
def project(tuned, tmp_path, monkeypatch) -> Path:
    """The working folder; 75 photos, and five that are none."""
    folder = fresh(tuned, tmp_path / "project")
    shutil.copytree(tuned / "runs", folder / "runs")
    for i in range(15):
        shutil.copy(folder / f"photos/down/{i:02}.jpg", folder / f"photos/more-{i}.jpg")
    for i in range(5):
        (folder / f"photos/across/bad-{i}.jpg").write_text("no photo")
    monkeypatch.chdir(folder)
    return folder


def table(name: str) -> str:
    return Path(name).read_text()


def test_the_same_by_one_process_and_by_many(project):
    run, photos = Path("runs/tiny"), [Path("photos")]
    classify(run, photos, Path("one.csv"), jobs=1)
    classify(run, photos, Path("two.csv"), jobs=2)
    # The parent has joblib's processes now, and its children do not wait for them.
    classify(run, photos, Path("again.csv"), jobs=1)
    classify(run, photos[:1], Path("third.csv"), jobs=2)
    found = {table(f"{name}.csv") for name in ("one", "two", "again", "third")}
    [text] = found
    assert text.count("not-an-image") == 5 and len(text.splitlines()) == 81


def test_by_the_command(project):
    result = finetune_samples.run(
        project, "classify", "runs/tiny", "photos", "--jobs", "2"
    )
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 75
    one = finetune_samples.run(
        project, "classify", "runs/tiny", "photos", "--jobs", "1"
    )
    assert one.stdout == result.stdout


def test_damaged_weights_are_said_before_processes_start(project):
    list(each(abs, range(99), 2))
    file = project / "runs/tiny/final.caffemodel"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(DecError, match="Caffe stopped"):
        classify(Path("runs/tiny"), [Path("photos")], Path("out.csv"), jobs=2)


def test_over_a_dask_cluster(project):
    run, photos = Path("runs/tiny"), [Path("photos")]
    classify(run, photos, Path("one.csv"), jobs=1)
    with dask_workers(2) as client:
        classify(run, photos, Path("dask.csv"))
        # Few photos are answered here, in a child, without the cluster.
        classify(run, [Path("photos/down/03.jpg")], Path("few.csv"))
        seen = client.run(
            lambda: "dec.classify.new_photos" in __import__("sys").modules
        )
    assert any(seen.values())
    assert table("dask.csv") == table("one.csv")
    assert table("few.csv").splitlines()[1] in table("one.csv").splitlines()


def test_links_to_folders_are_named(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("dec.classify.new_photos.say", said.append)
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").touch()
    (photos / "linked").symlink_to(tmp_path)
    assert list(_photos([photos], None)) == [photos / "a.jpg"]
    assert said == [f"{photos / 'linked'}: link to a folder, not followed"]
