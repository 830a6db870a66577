"""`dec data photos --features NET`: what a net says of photos, as rows."""

import functools
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import DEC, ROOT, assert_clear_error, run
from dask_cluster import dask_workers
from disks import small_disk
from feature_samples import (
    DEPLOY,
    caffemodel,
    deep_compression,
    weights,
    write_net,
)
from photos_samples import encoded, good_photos, jpeg, picture
from PIL import Image, ImageOps
from real_data import real
from small_own import make_small_own

from dec.base.errors import DecError
from dec.base.parallel import each
from dec.clustering.assign import assign
from dec.data import leveldb
from dec.data.images import photo_rows
from dec.data.images.net_features import NetFeatures
from dec.nets.feature_net import FeatureNet, open_net

SMALL = (64, 48)
build = functools.partial(photo_rows.build_leveldbs, size=SMALL, features="small")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The user's folder, with a small net in prototxt/features and its weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEC_WEIGHTS", str(tmp_path / "weights"))
    write_net(tmp_path, tmp_path / "weights")
    return tmp_path


@pytest.fixture
def said(monkeypatch):
    """What has been said since the last call, as one text."""
    lines = []
    monkeypatch.setattr(photo_rows, "say", lines.append)

    def words():
        text = "\n".join(lines)
        lines.clear()
        return text

    return words


def by_opencv(net, weights, images, size, crop, mean, scale, blob):
    """A blob by OpenCV's dnn, of photos prepared by Pillow and NumPy."""
    inputs = []
    for image in images:
        square = ImageOps.fit(image.convert("RGB"), (size, size), Image.LANCZOS)
        cut = (size - crop) // 2
        square = square.crop((cut, cut, cut + crop, cut + crop))
        pixels = np.asarray(square, np.float64)[:, :, ::-1] - mean
        inputs.append((pixels * scale).transpose(2, 0, 1).astype(np.float32))
    dnn = cv2.dnn.readNetFromCaffe(str(net / "deploy.prototxt"), str(weights))
    found = []
    for one in inputs:
        dnn.setInput(one[None])
        found.append(dnn.forward(blob)[0])
    return np.stack(found)


def as_rows(blob):
    """Averaged, square roots, scaled to a mean square of 1; in double."""
    rows = blob.astype(np.float64).mean(axis=(2, 3))
    rows = np.sign(rows) * np.sqrt(np.abs(rows))
    return rows / np.sqrt((rows**2).mean(axis=1, keepdims=True))


def read(path):
    with leveldb.open_reader(path) as reader:
        rows, _ = reader.read()
    return rows.reshape(len(rows), -1), leveldb.read_names(path)


def test_rows_are_what_opencv_says(here):
    good_photos(here / "photos", 20)
    (here / "photos/a/grey.png").write_bytes(encoded(picture(1).convert("L"), "PNG"))
    (here / "photos/a/small.png").write_bytes(encoded(picture(2, 9, 7), "PNG"))
    paths = build(here / "data", here / "photos", jobs=1)
    rows, names = read(paths["photos_total"])
    assert rows.shape[1] == 24 and len(rows) == 22
    blob = by_opencv(
        here / "prototxt/features/small",
        here / "weights/small.caffemodel",
        [Image.open(here / "photos" / name) for name in names],
        48,
        40,
        [104, 117.5, 123],
        0.02,
        "pool",
    )
    np.testing.assert_allclose(rows, as_rows(blob), atol=1e-4)
    meta = leveldb.read_meta(paths["photos_total"])
    assert meta["photos"]["features"]["net"] == "small"
    pixels, _ = read(paths["photos_img"])
    assert pixels.shape[1] == 3 * 64 * 48


def test_the_same_bits_however_they_are_read(here):
    good_photos(here / "photos", 70)
    one = build(here / "one", here / "photos", jobs=1)
    two = build(here / "two", here / "photos", jobs=2)
    rows, names = read(one["photos_total"])
    np.testing.assert_array_equal(rows, read(two["photos_total"])[0])
    new = photo_rows.PhotoRows(leveldb.read_meta(one["photos_total"]))
    got = {}
    for some, block in new.read(here / "photos", jobs=2):
        got.update(zip(some, block, strict=True))
    for row, name in zip(rows, names, strict=True):
        np.testing.assert_array_equal(got[str(here / "photos" / name)], row)
    [(_, block)] = new.read(here / "photos" / names[3])
    np.testing.assert_array_equal(block[0], rows[3])


def test_other_blobs_and_ways_to_pool(here):
    good_photos(here / "photos", 3)
    for name, changes, width in [
        ("small:fc", {}, 20),
        ("largest", {"pool": '"max"'}, 24),
        ("whole", {"pool": '"none"', "root": "false", "length": '"as is"'}, 24 * 81),
    ]:
        write_net(here, here / "weights", name=name.partition(":")[0], **changes)
        paths = build(here / "data", here / "photos", features=name, jobs=1)
        rows, names = read(paths["photos_total"])
        assert rows.shape[1] == width
        blob = by_opencv(
            here / "prototxt/features/small",
            here / "weights/small.caffemodel",
            [Image.open(here / "photos" / name) for name in names],
            48,
            40,
            [104, 117.5, 123],
            0.02,
            "fc" if name == "small:fc" else "pool",
        )
        if name == "whole":
            np.testing.assert_allclose(rows, blob.reshape(len(rows), -1), atol=1e-4)
        elif name == "largest":
            top = as_rows(blob.max(axis=(2, 3))[:, :, None, None])
            np.testing.assert_allclose(rows, top, atol=1e-4)
        else:
            np.testing.assert_allclose(rows, as_rows(blob[:, :, None, None]), atol=1e-4)


def test_compressed_weights(here):
    content, wanted = deep_compression(weights())
    write_net(here, here / "weights", content, file="s.net", format="deep-compression")
    plain = here / "weights/plain.caffemodel"
    plain.write_bytes(caffemodel(wanted))
    extractor = open_net(FeatureNet.find("small"))
    inputs = np.random.default_rng(1).normal(size=(6, 3, 40, 40)).astype(np.float32)
    rows = extractor.rows(inputs)
    assert extractor.weights.parent.name == "weights" != here / "weights"
    dnn = cv2.dnn.readNetFromCaffe(
        str(here / "prototxt/features/small/deploy.prototxt"), str(plain)
    )
    dnn.setInput(inputs)
    np.testing.assert_allclose(rows, as_rows(dnn.forward("pool")), atol=1e-4)
    # Again, from the cache.
    assert open_net(FeatureNet.find("small")).weights == extractor.weights


def test_auto_takes_what_can_be_had(here, said):
    good_photos(here / "photos", 3)
    write_net(here, here / "weights", name="squeezenet", file="sq.caffemodel")
    net = functools.partial(build, here / "data", here / "photos", features="auto")
    net(jobs=1)
    assert "features: squeezenet: 24 numbers a photo, pool, averaged" in said()
    assert read(here / "data/photos_total")[0].shape[1] == 24
    (here / "weights/sq.caffemodel").unlink()
    net(jobs=1)
    words = said()
    assert "sq.caffemodel is not there, and DEC_OFFLINE forbids to fetch it" in words
    assert "DEC_WEIGHTS=folder" in words and "features: hog: " in words
    rows = read(here / "data/photos_total")[0]
    assert "features" not in leveldb.read_meta(here / "data/photos_total")["photos"]
    net(features="hog", jobs=1)
    assert "up to date" in said()
    np.testing.assert_array_equal(read(here / "data/photos_total")[0], rows)


def test_weights_are_fetched_once(here, monkeypatch):
    """From where features.toml says; without network there is one clear message."""
    good_photos(here / "photos", 3)
    monkeypatch.delenv("DEC_WEIGHTS")
    monkeypatch.setenv("DEC_CACHE", str(here / "cache"))
    monkeypatch.delenv("DEC_OFFLINE")
    with pytest.raises(DecError) as error:
        build(here / "data", here / "photos", jobs=1)
    for words in (
        "small.caffemodel could not be fetched",
        "http://127.0.0.1:9/small.caffemodel: ",
        "name that: DEC_WEIGHTS=folder",
        "--features hog",
    ):
        assert words in str(error.value)
    (here / "cache/weights").mkdir(parents=True, exist_ok=True)
    shutil.copy(here / "weights/small.caffemodel", here / "cache/weights")
    build(here / "data", here / "photos", jobs=1)


OTHER_INPUT = DEPLOY.replace("dim: 3 dim: 40 dim: 40", "dim: 1 dim: 40 dim: 40")
NO_INPUT = DEPLOY.replace('type: "Input"', 'type: "DummyData"').replace(
    "input_param { shape {", "dummy_data_param { shape {"
)
TWO_INPUTS = DEPLOY + (
    'layer { name: "more" type: "Input" top: "more" '
    "input_param { shape { dim: 1 dim: 3 dim: 2 dim: 2 } } }\n"
)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"deploy": OTHER_INPUT}, "one input of a fixed size"),
        ({"deploy": NO_INPUT}, "it has none"),
        ({"deploy": TWO_INPUTS}, r"data \(4, 3, 40, 40\), more \(1, 3, 2, 2\)"),
        ({"deploy": DEPLOY.replace("24", "25")[:-3]}, "deploy.prototxt"),
        ({"deploy": DEPLOY.replace('"fc"', '"fc9"')}, 'none for layer "fc9"'),
        ({"deploy": DEPLOY.replace("output: 20", "output: 21")}, 'layer "fc" has 20 x'),
        ({"blob": '"fire9"'}, "has no blob fire9; it has data, conv1, "),
        ({"size": "39"}, 'an input of 40 x 40 pixels, more than the "size" of 39'),
        ({"size": '"big"'}, "\"size\" is needed, of the right kind; it says 'big'"),
        ({"pool": '"mean"'}, '"pool" is one of average, max, none'),
        ({"mean": "[1, 2]"}, '"mean" is three numbers'),
        ({"root": "true\nzoom = 3"}, '"zoom" is not known'),
        ({"sha256": '"' + "0" * 64 + '"'}, "cut short, damaged, or other weights"),
        ({"content": caffemodel({"fc": weights()["fc"]})}, 'none for layer "conv1"'),
        ({"content": caffemodel(weights())[:-9]}, "no caffemodel, or cut short"),
        ({"content": b"", "format": "deep-compression"}, "cut short"),
    ],
)
def test_what_does_not_fit_together(here, changes, words):
    write_net(here, here / "weights", **changes)
    with pytest.raises(DecError, match=words):
        open_net(FeatureNet.find("small"))
    good_photos(here / "photos", 2)
    with pytest.raises(DecError, match="`--features hog` goes on without"):
        build(here / "data", here / "photos", jobs=1)
    assert not (here / "data/photos_total").exists()


def test_nets_that_are_not_there(here):
    with pytest.raises(DecError, match="There are: hog, .*, small, squeezenet"):
        FeatureNet.find("alexnet")
    (here / "prototxt/features/small/deploy.prototxt").unlink()
    with pytest.raises(DecError, match="which is not there"):
        FeatureNet.find("prototxt/features/small")


def test_weights_that_are_not_numbers(here):
    arrays = weights()
    arrays["expand1"][1][:] = np.nan
    write_net(here, here / "weights", caffemodel(arrays))
    with pytest.raises(DecError, match="NaN or infinity in pool"):
        open_net(FeatureNet.find("small"))


def test_a_net_that_sees_no_difference(here):
    arrays = {name: [0 * w, b] for name, (w, b) in weights().items()}
    write_net(here, here / "weights", caffemodel(arrays))
    good_photos(here / "photos", 3)
    with pytest.raises(DecError, match="the same for all 3 photos"):
        build(here / "data", here / "photos", jobs=1)
    # Copies of one photo are alike by right.
    (here / "copies").mkdir()
    for name in "ab":
        (here / "copies" / f"{name}.jpg").write_bytes(jpeg(1))
    build(here / "data", here / "copies", jobs=1)
    # A net that says nothing at all: rows of zeros, no division by zero.
    arrays = {name: [0 * w, 0 * b] for name, (w, b) in weights().items()}
    write_net(here, here / "weights", caffemodel(arrays))
    inputs = np.ones((2, 3, 40, 40), np.float32)
    assert not open_net(FeatureNet.find("small")).rows(inputs).any()


def test_a_net_that_has_changed_since(here):
    good_photos(here / "photos", 3)
    paths = build(here / "data", here / "photos", jobs=1)
    facts = leveldb.read_meta(paths["photos_total"])
    photo_rows.PhotoRows(facts)
    write_net(here, here / "weights", root="false")
    with pytest.raises(DecError, match="is not as it was when these features"):
        photo_rows.PhotoRows(facts)
    with pytest.raises(DecError, match="made with the features small, not hog"):
        photo_rows.build_leveldbs(here / "data", features="hog")
    with pytest.raises(DecError, match="rows of 24 numbers"):
        del facts["photos"]["features"]
        photo_rows.PhotoRows(facts)


def test_a_full_disk_and_a_cache_that_may_not_be_written(here, monkeypatch):
    content, _ = deep_compression(weights())
    write_net(here, here / "weights", content, file="s.net", format="deep-compression")
    with small_disk(here / "full", "64k") as disk:
        (disk / "weights").mkdir()
        (disk / "weights/filling").write_bytes(b"\0" * 40_000)
        monkeypatch.setenv("DEC_CACHE", str(disk))
        with pytest.raises(DecError, match=r"caffemodel: cannot be written: No space"):
            open_net(FeatureNet.find("small"))
        assert os.listdir(disk / "weights") == ["filling"]


def test_the_whole_way_by_commands(here, capfd):
    """Photos, DEC on their features, new photos; the run's own get the same cluster."""
    good_photos(here / "photos", 40)
    make_small_own(here)
    command = [DEC, "run", "photos", "--from", "photos", "--features", "small"]
    result = run([*command, "--clusters", "2", "--max-rounds", "2"], here)
    assert result.returncode == 0, result.stderr
    assert "features: small: 24 numbers a photo" in result.stderr
    facts = json.loads((here / "runs/photos/input.json").read_text())
    assert facts["photos"]["features"]["net"] == "small" and facts["shape"][0] == 24
    assigned = run([DEC, "assign", "runs/photos", "photos"], here)
    assert assigned.returncode == 0, assigned.stderr
    lines = [line.rsplit(",", 2) for line in assigned.stdout.splitlines()[1:]]
    new = {name.removeprefix("photos/"): cluster for name, cluster, _ in lines}
    lines = (here / "runs/photos/assignments.csv").read_text().splitlines()
    head = lines[0].split(",")
    name, cluster = head.index("name"), head.index("cluster")
    own = {row[name]: row[cluster] for row in (x.split(",") for x in lines[1:])}
    assert own == new and len(own) == 40
    # In a process that has used joblib, and by a cluster's workers.
    list(each(abs, range(99), 2))
    capfd.readouterr()
    assign(Path("runs/photos"), [Path("photos")])
    assert capfd.readouterr().out == assigned.stdout
    with dask_workers(2):
        assign(Path("runs/photos"), [Path("photos")])
    assert capfd.readouterr().out == assigned.stdout
    result = run([DEC, "run", "mnist", "--features", "small"], here)
    assert_clear_error(result, "mnist: has no features to choose from; photos has")


@pytest.mark.real
def test_squeezenet_on_real_photos(tmp_path, monkeypatch):
    """Its features are OpenCV's; it knows elephants and dalmatians."""
    monkeypatch.setenv("DEC_WEIGHTS", str(real("models", "squeezenet")))
    features = NetFeatures.opened("squeezenet", "crop")
    folder = real("photos", "caltech_3class", "beings")
    names = sorted(os.listdir(folder))
    images = [Image.open(folder / name).convert("RGB") for name in names[::26]]
    taken = [features.take(image, None) for image in images]
    rows = features.rows(taken)
    net = ROOT / "prototxt/features/squeezenet"
    blob = by_opencv(
        net,
        features.extractor.weights,
        images,
        256,
        227,
        [104, 117, 123],
        1,
        "fire9/concat",
    )
    np.testing.assert_allclose(rows, as_rows(blob), atol=1e-4)
    classes = NetFeatures.opened("squeezenet:pool10", "crop")
    for word, known in [("dalmatian", {251}), ("elephant", {385, 386})]:
        some = [name for name in names if word in name.lower()][:20]
        if not some:
            continue
        taken = [
            classes.take(Image.open(folder / name).convert("RGB"), None)
            for name in some
        ]
        best = classes.rows(taken).argmax(axis=1)
        assert np.mean([b in known for b in best]) > 0.3


def test_features_for_python(here):
    from dec import photo_features
    from dec.photos.load import BadPhoto

    good_photos(here / "photos", 5)
    paths = build(here / "data", here / "photos", jobs=1)
    rows, names = read(paths["photos_total"])
    files = [here / "photos" / name for name in names]
    np.testing.assert_array_equal(photo_features(files, "small", jobs=1), rows)
    assert photo_features(files[:1], "hog", jobs=1).shape == (1, 4007)
    (here / "bad.jpg").write_bytes(b"nothing")
    with pytest.raises(BadPhoto, match="bad.jpg: not-an-image"):
        photo_features([*files, "bad.jpg"], "small", jobs=1)
    with pytest.raises(DecError, match="no photos"):
        photo_features([], "small")
