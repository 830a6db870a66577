"""Photos in class folders as LevelDBs: splits without leaks, means, bad input."""

import csv
import io
import json
import os
import subprocess
import sys
import unicodedata
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import plyvel
import pytest
from caffe.proto import caffe_pb2
from finetune_samples import CLASSES, PHOTOS, ROOT, make_photos, picture
from PIL import Image
from real_data import real

from dec.base import progress
from dec.base.errors import DecError
from dec.data import leveldb
from dec.data.labelled.dataset import (
    DataSet,
    Options,
    build_labelled,
    class_weights,
    find_photos,
)
from dec.data.labelled.labels import read_labels
from dec.data.labelled.prepare import decode, encode, read_mean
from dec.data.labelled.split import SETS, groups, split
from dec.data.labelled.vary import draws, varied
from dec.data.leveldb import encoded
from dec.photos.check import check

SMALL = Options(size=(40, 36), jobs=1)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def built(photos, tmp_path_factory) -> DataSet:
    return build_labelled(photos, tmp_path_factory.mktemp("data") / "set", SMALL)


@pytest.fixture
def said(monkeypatch) -> io.StringIO:
    """What is said on the terminal."""
    stream = io.StringIO()
    monkeypatch.setattr(progress, "_stream", stream)
    return stream


def split_of(data: DataSet) -> dict[str, tuple[str, str]]:
    """Class and set of every photo."""
    with open(data.folder / "split.csv", newline="") as file:
        return {r["file"]: (r["class"], r["set"]) for r in csv.DictReader(file)}


def test_every_photo_is_in_one_set_by_the_shares_of_its_class(photos, built):
    rows = split_of(built)
    on_disk = {str(p.relative_to(photos)) for p in photos.rglob("*.jpg")}
    assert set(rows) == on_disk
    for name in CLASSES:
        sets = [s for c, s in rows.values() if c == name]
        # Test takes its share, then val; what looks alike may cost one or two.
        assert [sets.count(s) for s in SETS] == [16, 2, 2]
    assert all(name.startswith(label + "/") for name, (label, _) in rows.items())
    assert built.classes == sorted(CLASSES)


def test_rows_are_datums_that_caffes_data_layer_reads(photos, built):
    for number, which in enumerate(SETS):
        folder = built.folder / which
        names = leveldb.read_names(folder)
        with plyvel.DB(str(folder)) as db:
            rows = list(db)
        assert [key for key, _ in rows] == [b"%08d" % i for i in range(len(names))]
        assert (
            len(rows)
            == sum(built.counts[which])
            == PHOTOS * 3 * (8, 1, 1)[number] // 10
        )
        for name, (_, value) in zip(names, rows, strict=True):
            datum = caffe_pb2.Datum.FromString(value)
            assert datum.encoded
            assert (datum.channels, datum.height, datum.width) == (3, 36, 40)
            assert built.classes[datum.label] == name.split("/")[0]
            assert datum.data == encode(photos / name, (40, 36))
            # What was stored looks like the photo: blue first, and upright.
            with Image.open(photos / name) as image:
                small = np.asarray(image.resize((40, 36), Image.Resampling.LANCZOS))
            error = np.abs(decode(datum.data)[..., ::-1] - small.astype(int))
            assert error.mean() < 6


def test_the_order_is_mixed_and_comes_from_the_seed(photos, built, tmp_path):
    names = leveldb.read_names(built.folder / "train")
    changes = sum(a[:3] != b[:3] for a, b in zip(names, names[1:], strict=False))
    assert changes > len(names) / 3
    again = build_labelled(photos, tmp_path / "again", SMALL)
    other = build_labelled(
        photos, tmp_path / "other", Options(size=(40, 36), seed=2, jobs=1)
    )
    assert leveldb.read_names(again.folder / "train") == names
    assert split_of(again) == split_of(built) != split_of(other)


def test_copies_follow_the_photos_of_train_and_are_variants_of_them(
    photos, built, tmp_path
):
    options = replace(SMALL, copies=2)
    data = build_labelled(photos, tmp_path / "copies", options)
    assert data.counts == built.counts and split_of(data) == split_of(built)
    assert "2 random variants" in data.table()
    rows = {}
    for which in SETS:
        rows[which] = [
            list(
                zip(
                    leveldb.read_names(d.folder / which),
                    encoded.read_photos(d.folder / which),
                    strict=True,
                )
            )
            for d in (built, data)
        ]
    assert rows["val"][0] == rows["val"][1] and rows["test"][0] == rows["test"][1]
    plain, more = rows["train"]
    assert more[: len(plain)] == plain and len(more) == 3 * len(plain)
    rounds = [more[i : i + len(plain)] for i in (len(plain), 2 * len(plain))]
    orders = [[name for name, _ in each] for each in (plain, *rounds)]
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(orders[2])
    assert orders[0] != orders[1] != orders[2]
    for name, (jpeg, label) in plain:
        variants = [dict(each)[name] for each in rounds]
        assert len({jpeg, *(variant for variant, _ in variants)}) == 3
        assert {other for _, other in variants} == {label}
        assert all(decode(variant).shape == (36, 40, 3) for variant, _ in variants)
    again = build_labelled(photos, tmp_path / "again", replace(options, jobs=2))
    assert list(encoded.read_photos(again.folder / "train")) == [r for _, r in more]
    other = build_labelled(photos, tmp_path / "other", replace(options, seed=2))
    assert not {r for _, r in more[len(plain) :]} & set(
        encoded.read_photos(other.folder / "train")
    )


def test_a_variant_is_a_part_of_the_photo_in_another_light():
    """Of a ramp from left to right and from top to bottom."""
    x, y = np.meshgrid(np.linspace(80, 160, 200), np.linspace(80, 160, 100))
    ramp = np.stack([x, y, np.full_like(x, 120)], 2).round().astype(np.uint8)
    spans = []
    for copy in range(60):
        rng = draws(1, "photo.jpg", copy)
        variant = varied(Image.fromarray(ramp), (40, 20), rng)
        assert variant.size == (40, 20)
        pixels = np.asarray(variant, float)
        across = pixels[:, -1, 0].mean() - pixels[:, 0, 0].mean()
        down = pixels[-1, :, 1].mean() - pixels[0, :, 1].mean()
        # Of 80 from edge to edge: a side of at least 0.6 / 1.25 of the square root
        # of what the ratio takes, and contrast and brightness changed by a fifth.
        assert 80 * 0.48 * 0.6 < across < 80 * 1.75 and 80 * 0.48 * 0.6 < down < 140
        spans.append((across, down, pixels.mean()))
    assert np.std(spans, axis=0).min() > 2
    same = [varied(Image.fromarray(ramp), (40, 20), draws(1, "a", 1)) for _ in "12"]
    assert same[0].tobytes() == same[1].tobytes()
    for seed, name, copy in ((2, "a", 1), (1, "b", 1), (1, "a", 2)):
        other = varied(Image.fromarray(ramp), (40, 20), draws(seed, name, copy))
        assert other.tobytes() != same[0].tobytes()


def test_the_mean_is_that_of_caffes_own_tool(built, tmp_path):
    tool = ROOT / "build/caffe/bin/compute_image_mean"
    if not tool.exists():
        pytest.skip("Caffe's tools have not been built")
    to = tmp_path / "mean.binaryproto"
    train = built.folder / "train"
    subprocess.run([tool, "--backend=leveldb", train, to], check=True)
    ours, theirs = read_mean(built.folder / "mean.binaryproto"), read_mean(to)
    assert ours.shape == theirs.shape == (3, 36, 40)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    by_channel = built.facts["mean_bgr"]
    np.testing.assert_allclose(by_channel, theirs.mean(axis=(1, 2)), rtol=1e-5)


def test_class_weights_make_classes_count_alike():
    weights = class_weights([10, 30, 60])
    np.testing.assert_allclose(weights * [10, 30, 60], [100 / 3] * 3)


def test_photos_that_look_alike_are_never_in_two_sets(tmp_path):
    """Every pair, by its hashes, on photos of which many are there again, changed."""
    folder = tmp_path / "photos"
    rng = np.random.default_rng(1)
    for kind in CLASSES:
        (folder / kind).mkdir(parents=True)
        for i in range(15):
            image = Image.fromarray(picture(kind, rng, 96))
            image.save(folder / kind / f"{i}.png")
            if i % 3 == 0:
                image.resize((60, 60)).save(
                    folder / kind / f"{i}-small.jpg", quality=60
                )
            if i % 5 == 0:
                image.save(folder / kind / f"{i}-again.png")
    data = build_labelled(folder, tmp_path / "set", Options(size=(32, 32), jobs=1))
    assert_no_leak(folder, data, at_least=10)


@pytest.mark.real
def test_real_photos_that_look_alike_are_never_in_two_sets(tmp_path):
    photos = real("photos", "caltech_3class")
    folder = tmp_path / "photos"
    for label in sorted(p.name for p in photos.iterdir()):
        (folder / label).mkdir(parents=True)
        for path in sorted((photos / label).iterdir())[:25]:
            (folder / label / path.name).symlink_to(path)
            if path.name.endswith("3.jpg"):
                with Image.open(path) as image:
                    image = image.resize((150, 100))
                    image.save(folder / label / f"copy-{path.name}", quality=70)
    data = build_labelled(folder, tmp_path / "set", Options(size=(32, 32), jobs=1))
    assert_no_leak(folder, data, at_least=10)


def assert_no_leak(folder: Path, data: DataSet, at_least: int) -> None:
    rows = split_of(data)
    found = {name: check(folder / name, 10**8) for name in rows}
    alike = 0
    for a, b in combinations(rows, 2):
        x, y = found[a], found[b]
        near = (x.phash ^ y.phash).bit_count() <= 4
        near &= (x.dhash ^ y.dhash).bit_count() <= 8
        if near or x.sha256 == y.sha256:
            alike += 1
            assert rows[a][1] == rows[b][1], (a, b)
    assert alike >= at_least


def test_groups_go_over_any_number_of_steps():
    # b looks like a, c like b, and c not like a.
    a, b, c = 0b0, 0b1111, 0b11111111
    far = 0xFFFF << 32
    group = groups(["1", "2", "3", "4"], [a, b, c, far], [a, b, c, far], 4)
    assert group[0] == group[1] == group[2] != group[3]
    # Equal bytes are alike whatever the hashes, which flat photos do not have.
    group = groups(["1", "1", "2"], [None] * 3, [None] * 3, 4)
    assert group[0] == group[1] != group[2]


def test_large_groups_stay_whole_and_shares_are_kept():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [300, 100])
    group = rng.integers(0, 150, 300).tolist() + (150 + np.arange(100) // 2).tolist()
    group = np.array(group)
    own = split(labels, group, (0.7, 0.1, 0.2), 3, ["a", "b"])
    assert all(len(set(own[group == g])) == 1 for g in set(group.tolist()))
    for label in (0, 1):
        shares = (
            np.bincount(own[labels == label], minlength=3) / (labels == label).sum()
        )
        np.testing.assert_allclose(shares, (0.7, 0.1, 0.2), atol=0.02)


def test_one_against_the_rest_and_without_a_class_keep_the_test_photos(
    photos, built, tmp_path
):
    test = {n for n, (_, s) in split_of(built).items() if s == "test"}
    one = build_labelled(
        photos, tmp_path / "one", Options(size=(40, 36), only="down", jobs=1)
    )
    assert one.classes == ["down", "not down"]
    rows = split_of(one)
    assert {n for n, (_, s) in rows.items() if s == "test"} == test
    assert all((c == "down") == n.startswith("down/") for n, (c, _) in rows.items())
    less = build_labelled(
        photos, tmp_path / "less", Options(size=(40, 36), without=("down",), jobs=1)
    )
    assert less.classes == ["across", "round"]
    kept = {n for n, (_, s) in split_of(less).items() if s == "test"}
    assert kept == {n for n in test if not n.startswith("down/")}


def test_labels_of_a_file_count_for_train_and_val_alone(photos, built, tmp_path):
    listed = tmp_path / "labels.csv"
    rows = split_of(built)
    # All wrong by one class, and half of the photos of train rejected.
    wrong = dict(zip(CLASSES, CLASSES[1:] + CLASSES[:1], strict=True))
    given = {
        n: wrong[c] for i, (n, (c, s)) in enumerate(rows.items()) if i % 2 or s == "val"
    }
    lines = ["file,class", *(f"{n},{c}" for n, c in given.items())]
    listed.write_text("\n".join(lines) + "\n")
    data = build_labelled(
        photos, tmp_path / "set", Options(size=(40, 36), labels=listed, jobs=1)
    )
    for name, (label, which) in split_of(data).items():
        assert label == (rows[name][0] if which == "test" else given[name])
    assert {s: sum(data.counts[s]) for s in SETS}["test"] == 6
    listed.write_text("file,class\nacross/00.jpg,nothing\n")
    with pytest.raises(DecError, match=r'labels.csv:2: there is no class "nothing"'):
        build_labelled(
            photos, tmp_path / "set", Options(size=(40, 36), labels=listed, jobs=1)
        )
    listed.write_text("photo;class\n")
    with pytest.raises(DecError, match=r"labels.csv:1: the first line must name"):
        build_labelled(
            photos, tmp_path / "set", Options(size=(40, 36), labels=listed, jobs=1)
        )


def test_labels_as_people_write_them(tmp_path, said):
    short, long = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    path = tmp_path / "labels.csv"
    names = ["a.jpg", "b;c.jpg", "Icon\r"]
    rows = f'\ufefffile;class\r\na.jpg;{short}\r\n"b;c.jpg";dog\r\n"Icon\r";\r\n'
    path.write_bytes(rows.encode())
    found = {"a.jpg": long, "b;c.jpg": "dog"}
    assert read_labels(path, names, [long, "dog"]) == found
    assert "is spelt in 2 ways that look the same" in said.getvalue()
    assert read_labels(path, names, [long, short, "dog"])["a.jpg"] == short
    path.write_bytes(rows[1:].encode("cp1252"))
    with pytest.raises(
        DecError, match="labels.csv:2: is not UTF-8; save it as CSV UTF"
    ):
        read_labels(path, names, [long, "dog"])
    path.write_text("file,class\na.jpg,dog\nb.jpg,dog\na.jpg,cat\n")
    words = 'labels.csv:4: a.jpg has the class "cat" here and "dog" in line 2; decide'
    with pytest.raises(DecError, match=words):
        read_labels(path, names, ["cat", "dog"])


def test_a_class_that_labels_leave_out_of_a_set(photos, built, tmp_path):
    """Of train: an error. Of val alone: fine, nothing is known of it there."""
    rows = {n: (c, s) for n, (c, s) in split_of(built).items() if s != "test"}
    listed = tmp_path / "labels.csv"
    options = Options(size=(40, 36), labels=listed, jobs=1)

    def give(left_out: tuple[str, ...]) -> None:
        kept = [n for n, (c, s) in rows.items() if c != "down" or s not in left_out]
        lines = ["file,class", *(f"{n},{rows[n][0]}" for n in kept)]
        listed.write_text("\n".join(lines) + "\n")

    give(("val",))
    data = build_labelled(photos, tmp_path / "set", options)
    assert 0 in data.counts["val"] and min(data.counts["train"]) > 0
    give(("train",))
    words = r'class "down" has no photo in train: .*labels.csv names none there'
    with pytest.raises(DecError, match=words):
        build_labelled(photos, tmp_path / "set", options)
    assert DataSet.read(tmp_path / "set") == data  # as it was


def test_it_is_left_alone_until_something_changes(tmp_path, said):
    photos = make_photos(tmp_path / "photos", 6)
    out = tmp_path / "set"
    build_labelled(photos, out, SMALL)
    before = (out / "dataset.json").stat().st_mtime_ns
    build_labelled(photos, out, SMALL)
    assert "up to date" in said.getvalue()
    assert (out / "dataset.json").stat().st_mtime_ns == before
    (photos / "down/00.jpg").unlink()
    assert sum(map(sum, build_labelled(photos, out, SMALL).counts.values())) == 17


def test_names_of_any_letters_and_photos_of_any_kind(tmp_path):
    names = ("Đình làng", "chùa, cổ", "自然 nature")
    photos = make_photos(tmp_path / "photos", 5, names)
    first = photos / names[0]
    rng = np.random.default_rng(2)
    grey = Image.fromarray(picture("across", rng, 90)).convert("L")
    grey.resize((200, 31)).save(first / "grey.png")
    Image.fromarray(picture("across", rng, 400)).save(first / "large one.webp")
    Image.fromarray(picture("down", rng, 64)).convert("P").save(first / "ảnh.gif")
    (first / "broken.jpg").write_bytes((first / "01.jpg").read_bytes()[:300])
    (first / "text.jpg").write_text("no photo")
    data = build_labelled(photos, tmp_path / "set", SMALL)
    assert data.classes == sorted(names)
    rows = split_of(data)
    assert {f"{names[0]}/{n}" for n in ("grey.png", "large one.webp", "ảnh.gif")} < set(
        rows
    )
    skipped = "\n".join(data.facts["skipped"])
    assert "broken.jpg: truncated" in skipped and "text.jpg: not-an-image" in skipped
    for which in SETS:
        for jpeg, _ in encoded.read_photos(data.folder / which):
            assert decode(jpeg).shape == (36, 40, 3)


def test_links_to_folders_are_named_and_not_followed(tmp_path, said):
    photos = make_photos(tmp_path / "photos", 5, ("across", "down"))
    elsewhere = make_photos(tmp_path / "elsewhere", 5, ("round",))
    (photos / "linked").symlink_to(elsewhere / "round")
    (photos / "down/deeper").symlink_to(elsewhere)
    found = find_photos(photos)
    assert set(found.values()) == {"across", "down"} and len(found) == 10
    for name in ("linked", "down/deeper"):
        assert f"{photos / name}: link to a folder, not followed" in said.getvalue()
    assert build_labelled(photos, tmp_path / "set", SMALL).classes == ["across", "down"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("one photo", r'class "down": 1 photo cannot be split'),
        ("two photos", r'class "down": 2 photos cannot be split'),
        ("all alike", r'class "down": 5 photos, 1 of them different, cannot be split'),
        ("empty class", r"down: the class has no photos"),
        ("only broken", r"down: none of the 1 files of the class can be read"),
        ("one class", r'only one class, "across"'),
        ("no classes", r"there are no class folders in it"),
        ("no folder", r"No such file or directory"),
    ],
)
def test_what_cannot_become_a_data_set(tmp_path, spoil, words):
    photos = make_photos(tmp_path / "photos", 6)
    out = tmp_path / "set"
    before = build_labelled(photos, out, SMALL)
    down = sorted((photos / "down").iterdir())
    kept = {"one photo": 1, "two photos": 2, "all alike": 1}.get(spoil, 0)
    if spoil not in ("no folder",):
        for path in down[kept:]:
            path.unlink()
    if spoil == "all alike":
        for i in range(4):
            (photos / f"down/copy-{i}.jpg").write_bytes(down[0].read_bytes())
    elif spoil == "only broken":
        (photos / "down/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    elif spoil in ("one class", "no classes"):
        (photos / "down").rmdir()
        for name in ("round", "across")[: 1 + (spoil == "no classes")]:
            for path in (photos / name).iterdir():
                path.rename(photos / f"{name}-{path.name}")
            (photos / name).rmdir()
    elif spoil == "no folder":
        photos = tmp_path / "nowhere"
    with pytest.raises(DecError, match=words):
        build_labelled(photos, out, SMALL)
    assert DataSet.read(out) == before  # as it was


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shares": (0.8, 0.2, 0.0)}, "three numbers above zero"),
        ({"shares": (0.8, 0.1, 0.2)}, "do not add up"),
        ({"size": (4, 4)}, "sides of 8 to 4096"),
        ({"only": "up"}, 'there is no class "up"; there are "across", "down", "round"'),
        ({"without": ("down", "round")}, "one class is left"),
    ],
)
def test_options_that_cannot_be(photos, tmp_path, options, words):
    with pytest.raises(DecError, match=words):
        build_labelled(photos, tmp_path / "set", Options(jobs=1, **options))
    assert not (tmp_path / "set").exists()


def test_what_is_in_the_way_is_not_touched(photos, built, tmp_path):
    other = tmp_path / "mine"
    other.mkdir()
    (other / "letter.txt").write_text("dear")
    words = "holds other things than a data set of labelled photos"
    with pytest.raises(DecError, match=words):
        build_labelled(photos, other, SMALL)
    assert os.listdir(other) == ["letter.txt"]
    with pytest.raises(DecError, match="there is no data set"):
        DataSet.read(other)
    (other / "dataset.json").write_text(json.dumps({"classes": 3}))
    with pytest.raises(DecError, match="cannot be read"):
        DataSet.read(other)
    # Nor is what lies beside a data set.
    with pytest.raises(DecError, match=rf"{words} \(letter.txt\)"):
        build_labelled(photos, other, SMALL)
    assert (other / "letter.txt").read_text() == "dear"


def test_a_data_set_in_use_is_not_replaced(photos, tmp_path):
    out = tmp_path / "set"
    build_labelled(photos, out, SMALL)
    code = f"import plyvel, time; db = plyvel.DB({str(out / 'val')!r});"
    code += "print(1, flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE
    ) as other:
        try:
            other.stdout.readline()
            with pytest.raises(DecError, match="in use by another process"):
                build_labelled(photos, out, Options(size=(32, 32), jobs=1))
        finally:
            other.kill()
    assert DataSet.read(out).size == (40, 36)


def test_the_same_photo_in_two_classes_is_said(tmp_path, said):
    photos = make_photos(tmp_path / "photos", 6)
    (photos / "down/twice.jpg").write_bytes((photos / "round/03.jpg").read_bytes())
    data = build_labelled(photos, tmp_path / "set", SMALL)
    assert "the same photo as down/twice.jpg, in another class" in said.getvalue()
    rows = split_of(data)
    assert rows["down/twice.jpg"][1] == rows["round/03.jpg"][1]


def test_class_folders_of_any_name(tmp_path):
    classes = ["_", " ", "a,b", 'q"q', "-x", "日本", "cr\rlf"]
    rng = np.random.default_rng(3)
    for name in classes:
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(3):
            pixels = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
            image = Image.fromarray(pixels).resize((48, 36), Image.Resampling.BICUBIC)
            image.save(tmp_path / "photos" / name / f"{i}.jpg")
    data = build_labelled(
        tmp_path / "photos", tmp_path / "set", Options(size=(32, 32), jobs=1)
    )
    assert data.classes == sorted(classes)
    assert DataSet.read(tmp_path / "set").classes == data.classes
    assert {label for label, _ in split_of(data).values()} == set(classes)
