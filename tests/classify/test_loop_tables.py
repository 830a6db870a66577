"""The loop's tables as people edit them, and its folders of links; without training."""

import io
import os
import unicodedata
from pathlib import Path

import pytest

from dec.base import progress
from dec.base.errors import DecError
from dec.base.tables import write_table
from dec.classify import loop
from dec.classify.clusters import read_clusters

NAMES = ["trip/day_1.jpg", "trip_day/1.jpg", "cr\rname.jpg", "Icon\r", "a;b, c.jpg"]
CLUSTERS = dict(zip(NAMES, ["0", "0", "0", "1", "1"], strict=True))
REVIEW = ("file", "guess", "probability", "class")


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder with photos/ and clusters.csv."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    write_clusters(CLUSTERS)
    return tmp_path


@pytest.fixture
def started(here) -> Path:
    """A loop's folder."""
    loop.start(Path("photos"), Path("clusters.csv"), Path("loop"))
    return Path("loop")


def write_clusters(clusters):
    write_table("clusters.csv", [("file", "cluster"), *clusters.items()])


def links(root="loop"):
    found = Path(root, "clusters").rglob("*")
    return sorted(os.path.relpath(link.resolve(), "photos") for link in found
                  if link.is_symlink())  # fmt: skip


def named(root):
    """The class of every photo, as a round would take them."""
    clusters = read_clusters(Path("clusters.csv"))
    answers = loop._answers(root, set(clusters))
    return loop._labels(root, clusters, answers)


def test_every_photo_has_a_link(started):
    assert links() == sorted(NAMES)
    assert {link.parent.name for link in started.rglob("trip_day_1*")} == {"0"}


def test_deep_folders_have_links_too(here):
    name = "/".join(c * 58 for c in "abcde") + "/1.jpg"
    Path("photos", name).parent.mkdir(parents=True)
    Path("photos", name).touch()
    write_clusters(CLUSTERS | {name: "1"})
    loop.start(Path("photos"), Path("clusters.csv"), Path("loop"))
    assert links() == sorted([*NAMES, name])


def test_a_start_that_failed_leaves_no_links_behind(here, monkeypatch):
    def stop(path, text):
        raise DecError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(loop, "write_text_atomic", stop)
        with pytest.raises(DecError, match="stopped"):
            loop.start(Path("photos"), Path("clusters.csv"), Path("loop"))
    write_clusters({n: c for n, c in CLUSTERS.items() if c == "1"})
    loop.start(Path("photos"), Path("clusters.csv"), Path("loop"))
    assert links() == sorted(n for n, c in CLUSTERS.items() if c == "1")


def test_the_users_own_clusters_are_not_replaced(here):
    mine = Path("loop/clusters/cats/mine.jpg")
    mine.parent.mkdir(parents=True)
    mine.write_text("precious")
    with pytest.raises(DecError, match=r"other things than links to photos \(cats/m"):
        loop.start(Path("photos"), Path("clusters.csv"), Path("loop"))
    assert mine.read_text() == "precious"


@pytest.mark.parametrize("cluster", ["../../outside", ".", ".hidden", "a/b", "x" * 256])
def test_a_cluster_that_is_no_folders_name(here, cluster):
    write_clusters(CLUSTERS | {NAMES[0]: cluster})
    with pytest.raises(DecError, match="cannot have a folder of that name"):
        loop.start(Path("photos"), Path("clusters.csv"), Path("loop"))
    assert not Path("outside").exists() and not Path("loop").exists()


def save(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffcluster;photos;class\r\n0;3;café\r\n1;2;dog\r\n",
        "cluster,photos,class\r0,3, café \r1,2,dog\r",
        " class , cluster\ncafé,0\ndog,1\n,\n",
        "cluster\tphotos\tclass\tnotes\n0\t3\tcafé\tnice\n1\t2\tdog\n",
    ],
)
def test_a_table_that_a_spreadsheet_saved(started, text):
    save(started / "clusters.csv", text)
    assert named(started) == {n: "dog" if c == "1" else "café"
                              for n, c in CLUSTERS.items()}  # fmt: skip


def test_a_table_in_another_encoding_is_refused(started):
    save(
        started / "clusters.csv", "cluster,photos,class\n0,3,café\n1,2,dog\n", "cp1252"
    )
    with pytest.raises(DecError, match="clusters.csv:2: is not UTF-8; save it as"):
        named(started)


def test_two_spellings_are_one_class(started, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(progress, "_stream", stream)
    short, long = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    save(started / "clusters.csv", f"cluster,photos,class\n0,3,{long}\n1,2,dog\n")
    assert set(named(started).values()) == {long, "dog"}
    assert not stream.getvalue()
    table = [REVIEW, (NAMES[3], "", "", short)]
    write_table(started / "review.csv", table)
    assert set(named(started).values()) == {short, "dog"}
    assert "is spelt in 2 ways that look the same" in stream.getvalue()


def test_a_cluster_with_two_classes(started):
    save(started / "clusters.csv", "cluster,photos,class\n0,3,cat\n1,2,dog\n0,3,dog\n")
    words = 'clusters.csv:4: 0 has the class "dog" here and "cat" in line 2'
    with pytest.raises(DecError, match=words):
        named(started)


def test_a_class_for_a_cluster_that_is_not_there(started):
    save(started / "clusters.csv", "cluster,photos,class\n0,3,cat\n01,2,dog\n")
    with pytest.raises(DecError, match='there is no cluster "01"'):
        named(started)


def test_a_photo_in_two_clusters(here):
    rows = [*CLUSTERS.items(), (NAMES[0], "1")]
    write_table("clusters.csv", [("file", "cluster"), *rows])
    # A name has a line's end in it: the last row is in line 9.
    words = 'clusters.csv:9: .* has the cluster "1" here and "0" in line 2; decide'
    with pytest.raises(DecError, match=words):
        read_clusters(Path("clusters.csv"))


def test_a_photo_with_two_answers(started):
    save(started / "clusters.csv", "cluster,class\n0,cat\n1,dog\n")
    write_table(started / "review.csv", [REVIEW, (NAMES[0], "", "", "cat")])
    write_table(started / "answers.csv", [("file", "class"), (NAMES[0], "cat")])
    assert named(started)[NAMES[0]] == "cat"
    write_table(
        started / "review.csv", [REVIEW, *((NAMES[0], "", "", c) for c in ("cat", "-"))]
    )
    with pytest.raises(DecError, match='review.csv:3: .*"-" here and "cat" in line 2'):
        named(started)
    write_table(started / "review.csv", [REVIEW, (NAMES[0], "", "", "dog")])
    words = 'review.csv:2: .* the class "dog" here and "cat" in loop/answers.csv:2'
    with pytest.raises(DecError, match=words):
        named(started)


def test_the_least_certain_of_any_names(started):
    """Names with carriage returns, of which csv made broken rows, and then an error."""
    header = ("file", "class", "probability", "second", "second_probability", "problem")
    rows = [
        (f"photos/{n}", "cat", f"0.{i}", "", "", "") for i, n in enumerate(NAMES, 1)
    ]
    write_table(started / "labels.csv", [header, *rows])
    listed = loop._least_certain(started, Path("photos"), {NAMES[0]}, 3)
    assert listed == [(NAMES[i], "cat", f"0.{i + 1}", "") for i in (1, 2, 3)]
    write_table(
        started / "review.csv", [REVIEW, *(row[:3] + ("dog",) for row in listed)]
    )
    found = loop._answers(started, set(CLUSTERS))
    assert found == dict.fromkeys(NAMES[1:4], "dog")
