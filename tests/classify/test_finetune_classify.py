"""dec classify: the numbers of Caffe's own ways and OpenCV's; archives; bad input."""

import base64
import csv
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import plyvel
import pytest
from caffe.proto import caffe_pb2
from finetune_samples import CLASSES, ROOT, picture, run, trained
from PIL import Image

from dec.base.errors import DecError
from dec.base.tables import read_pairs
from dec.classify.new_photos import classify
from dec.classify.predict import read_input
from dec.data.labelled.prepare import decode, read_mean
from dec.data.leveldb import encoded

MEAN_VALUES = "    mean_value: 104  # blue, green, red, as for ImageNet\n" + (
    "    mean_value: 117\n    mean_value: 123\n"
)


@pytest.fixture(scope="module", params=["mean_value", "mean_file"])
def each(request, tmp_path_factory) -> Path:
    """A trained project, with the mean a channel or a mean image; not to be changed."""
    folder = tmp_path_factory.mktemp(request.param)

    def spoil(project: Path) -> None:
        if request.param == "mean_file":
            file = project / "prototxt/tiny/train_val.prototxt"
            text = file.read_text()
            assert MEAN_VALUES in text
            mean = '    mean_file: "data/labelled-36x36/mean.binaryproto"\n'
            file.write_text(text.replace(MEAN_VALUES, mean))

    return trained(folder, spoil)


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


def stored_photos(folder: Path) -> dict[str, np.ndarray]:
    """Names of the test photos, and what is stored of them: bytes, blue first."""
    names = (folder / "data/labelled-36x36/test/names.txt").read_text().splitlines()
    rows = encoded.read_photos(folder / "data/labelled-36x36/test")
    return {json.loads(n): decode(j) for n, (j, _) in zip(names, rows, strict=True)}


def ours(folder: Path, names) -> np.ndarray:
    """Probabilities by `dec classify`, of the photos themselves; n x classes."""
    out = folder / "ours.csv"
    out.unlink(missing_ok=True)
    photos = [folder / "photos" / name for name in names]
    done = run(folder, "classify", "runs/tiny", *photos, "--out", out)
    assert done.returncode == 0, done.stderr
    classes = sorted(CLASSES)
    found = []
    with open(out, newline="") as file:
        for row, photo in zip(csv.DictReader(file), photos, strict=True):
            assert row["file"] == str(photo)
            proba = np.full(3, np.nan)
            proba[classes.index(row["class"])] = float(row["probability"])
            second = float(row["second_probability"])
            proba[classes.index(row["second"])] = second
            proba[np.isnan(proba)] = 1 - np.nansum(proba)
            found.append(proba)
    return np.array(found)


def by_caffes_tool(folder: Path, names) -> np.ndarray:
    """By Caffe's data layer and net alone, in C++: the tool extract_features."""
    tool = ROOT / "build/caffe/bin/extract_features"
    net = folder / "runs/tiny/prototxt/test.prototxt"
    text = net.read_text().replace("batch_size: 8", f"batch_size: {len(names)}")
    (folder / "test.prototxt").write_text(text)
    shutil.rmtree(folder / "features", ignore_errors=True)
    subprocess.run(
        [tool, "runs/tiny/final.caffemodel", "test.prototxt", "fc5_photos", "features",
         "1", "leveldb"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    with plyvel.DB(str(folder / "features")) as db:
        rows = [caffe_pb2.Datum.FromString(v).float_data for _, v in sorted(db)]
    scores = np.exp(np.array(rows, np.float64))
    return scores / scores.sum(axis=1, keepdims=True)


_PYCAFFE = """
import os; os.environ["GLOG_minloglevel"] = "2"
import sys, numpy as np, caffe
pixels = np.load("pixels.npy")
mean = np.load("mean.npy")
net = caffe.Classifier("runs/tiny/deploy.prototxt", "runs/tiny/final.caffemodel",
                       image_dims=(36, 36), mean=mean, input_scale=0.0078125,
                       raw_scale=255, channel_swap=(2, 1, 0))
images = [p[..., ::-1].astype(np.float32) / 255 for p in pixels]
np.save("proba.npy", net.predict(images, oversample=False))
"""


def mean_for_the_crop(folder: Path) -> np.ndarray:
    """By channel, or the middle of the mean image: what is subtracted after a crop."""
    file = folder / "runs/tiny/mean.binaryproto"
    if not file.exists():
        return np.array([104, 117, 123], np.float32)
    return read_mean(file)[:, 2:34, 2:34]


def by_pycaffe(folder: Path, pixels: np.ndarray) -> np.ndarray:
    """By pycaffe's Classifier, set up as its documentation tells."""
    np.save(folder / "pixels.npy", pixels)
    np.save(folder / "mean.npy", mean_for_the_crop(folder))
    python = ROOT / ".venv/bin/python"
    subprocess.run([python, "-c", _PYCAFFE], cwd=folder, check=True)
    return np.load(folder / "proba.npy")


def by_opencv(folder: Path, pixels: np.ndarray) -> np.ndarray:
    """By OpenCV's dnn on the deploy net and the weights as they are."""
    net = cv2.dnn.readNetFromCaffe(
        str(folder / "runs/tiny/deploy.prototxt"),
        str(folder / "runs/tiny/final.caffemodel"),
    )
    mean = mean_for_the_crop(folder)
    mean = mean.reshape(3, 1, 1) if mean.ndim == 1 else mean
    crops = pixels[:, 2:34, 2:34].transpose(0, 3, 1, 2).astype(np.float32)
    net.setInput((crops - mean) * np.float32(0.0078125))
    return net.forward()


def by_onnx(folder: Path, pixels: np.ndarray) -> np.ndarray:
    """By onnxruntime, on nothing but the ONNX file and what it says of itself."""
    done = run(folder, "export", "runs/tiny", "--onnx", folder / "net.onnx")
    assert done.returncode == 0, done.stderr
    net = onnxruntime.InferenceSession(folder / "net.onnx")
    told = net.get_modelmeta().custom_metadata_map
    facts = json.loads(told["input"])
    assert json.loads(told["classes"]) == sorted(CLASSES)
    assert facts["channels"] == "BGR" and facts["size"] == [36, 36]
    assert "stretched to 36 x 36" in told["preparation"]
    if facts["mean_bgr"] is None:
        mean = json.loads(told["mean_image"])
        content = base64.b64decode(mean["base64"])
        mean = np.frombuffer(content, "<f4").reshape(mean["shape"])
    else:
        mean = np.array(facts["mean_bgr"], np.float32).reshape(3, 1, 1)
    edge = (36 - facts["crop"]) // 2
    crops = pixels[:, edge:-edge, edge:-edge].transpose(0, 3, 1, 2).astype(np.float32)
    data = (crops - mean) * np.float32(facts["scale"])
    return net.run(["prob"], {"data": data})[0]


def test_all_ways_to_the_same_numbers(each):
    """dec, Caffe's tool, pycaffe's Classifier, OpenCV, ONNX: photo by photo.

    The classic bug is a mean, a scale, a crop or an order of colours that differs
    from what the net was trained with.
    """
    stored = stored_photos(each)
    names, pixels = list(stored), np.stack(list(stored.values()))
    found = ours(each, names)
    assert found.std(axis=0).min() > 0.05  # they do differ from photo to photo
    # Six decimals are written.
    np.testing.assert_allclose(by_caffes_tool(each, names), found, atol=3e-6)
    np.testing.assert_allclose(by_pycaffe(each, pixels), found, atol=2e-5)
    np.testing.assert_allclose(by_opencv(each, pixels), found, atol=2e-5)
    np.testing.assert_allclose(by_onnx(each, pixels), found, atol=1e-5)
    # And the test would notice: red first, or no mean.
    assert np.abs(by_opencv(each, pixels[..., ::-1]) - found).max() > 1e-3
    assert np.abs(by_opencv(each, pixels + np.uint8(20)) - found).max() > 1e-3


def test_a_photo_has_the_numbers_that_it_had_in_the_test_set(project):
    with open("runs/tiny/predictions.csv", newline="") as file:
        known = {r["file"]: r for r in csv.DictReader(file)}
    classify(Path("runs/tiny"), [Path("photos")], Path("out.csv"))
    with open("out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(known) == 60
    for row in rows:
        was = known[row["file"].removeprefix("photos/")]
        assert row["class"] == was["predicted"] and not row["problem"]
        for key in ("probability", "second", "second_probability"):
            assert row[key] == was[key]


def test_photos_of_any_kind_and_what_is_none(project):
    folder = project / "new"
    folder.mkdir()
    rng = np.random.default_rng(8)
    pixels = picture("down", rng, 300)
    Image.fromarray(pixels).save(folder / "large.png")
    Image.fromarray(pixels[:, :, 0]).save(folder / "grey, ảnh.jpg")
    Image.fromarray(pixels[:50, :90]).convert("RGBA").save(folder / "b.webp")
    Image.fromarray(pixels[:3, :3]).save(folder / "tiny.bmp")
    (folder / "empty.jpg").touch()
    (folder / "text").write_text("no photo")
    (folder / "cut.png").write_bytes((folder / "large.png").read_bytes()[:2000])
    os.symlink("nowhere.jpg", folder / "gone.jpg")
    done = run(project, "classify", "runs/tiny", "new", "photos/down/00.jpg")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    shape = r": (across|down|round) \d+\.\d% \(then (across|down|round) \d+\.\d%\)"
    assert all(re.search(shape, line) for line in lines)
    assert lines[-1].startswith("photos/down/00.jpg: ")
    for name, why in (
        ("empty.jpg", "empty"),
        ("text", "not-an-image"),
        ("cut.png", "truncated"),
        ("gone.jpg", "missing"),
    ):
        assert f"new/{name}: {why}" in done.stderr


def test_it_goes_on_where_it_was_stopped(project):
    classify(Path("runs/tiny"), [Path("photos")], Path("whole.csv"))
    classify(Path("runs/tiny"), [Path("photos/down")], Path("out.csv"))
    content = Path("out.csv").read_bytes()
    lines = content.splitlines(keepends=True)
    # A kill in the middle of a line, which is then not counted.
    Path("out.csv").write_bytes(b"".join(lines[:8]) + lines[8][:9])
    classify(Path("runs/tiny"), [Path("photos/down")], Path("out.csv"))
    assert Path("out.csv").read_bytes() == content
    classify(Path("runs/tiny"), [Path("photos")], Path("out.csv"))
    assert sorted(Path("out.csv").read_text().splitlines()) == sorted(
        Path("whole.csv").read_text().splitlines()
    )


def test_an_answer_of_other_weights_is_not_gone_on_with(project):
    Path("out.csv").write_text("mine\n")
    with pytest.raises(DecError, match="is not from these weights; it was not touched"):
        classify(Path("runs/tiny"), [Path("photos/down")], Path("out.csv"))
    assert Path("out.csv").read_text() == "mine\n"


def test_an_answer_that_a_spreadsheet_saved_is_not_gone_on_with(project):
    classify(Path("runs/tiny"), [Path("photos/down")], Path("out.csv"))
    content = Path("out.csv").read_text().replace(",", ";")
    Path("out.csv").write_text(content)
    with pytest.raises(DecError, match="has another program saved the file"):
        classify(Path("runs/tiny"), [Path("photos")], Path("out.csv"))
    assert Path("out.csv").read_text() == content


def test_a_class_of_a_changed_table_is_no_path(project):
    target = project / "sorted"
    classify(Path("runs/tiny"), [Path("photos/down")], link=target)
    lines = (target / "classes.csv").read_text().splitlines(keepends=True)
    name = lines[1].split(",")[0]
    lines[1] = f"{name},../../outside,1,down,0,\n"
    (target / "classes.csv").write_text("".join(lines))
    with pytest.raises(DecError, match='classes.csv:2: the run has no class "../../o'):
        classify(Path("runs/tiny"), [Path("photos/down")], link=target)
    assert not (project / "outside").exists()


@pytest.mark.parametrize("how", ["link", "move"])
def test_photos_go_to_folders_of_their_class(project, how):
    archive = project / "archive"
    shutil.copytree(project / "photos", archive)
    for name in (
        "03.jpg",
        "cr\rname.jpg",
        "line\nbreak.jpg",
        "\udcff \\udcff",
        "Icon\r",
    ):
        shutil.copy(archive / "down/03.jpg", archive / name)
    target = project / "sorted"
    (target / "down/down").mkdir(parents=True)
    (target / "down/down/03.jpg").write_text("another file, not to be overwritten")
    photos = [path for path in archive.rglob("*") if path.is_file()]
    before = {path.relative_to(archive): path.read_bytes() for path in photos}
    classify(Path("runs/tiny"), [archive], **{how: target})
    pairs = read_pairs(target / "classes.csv", "file", "class")
    rows = {name: label for name, (_, label) in pairs.items()}
    assert len(rows) == 65
    for name, content in before.items():
        label = rows[str(archive / name)]
        to = target / label / name
        if (label, str(name)) == ("down", "down/03.jpg"):
            assert to.read_text().startswith("another")
            to = to.with_name("03-2.jpg")
        assert to.read_bytes() == content
        assert to.is_symlink() == (how == "link")
        assert (archive / name).exists() == (how == "link")
    # Called again, with all of it done, it changes nothing.
    table = (target / "classes.csv").read_bytes()
    now = sorted(str(p) for p in target.rglob("*"))
    classify(Path("runs/tiny"), [archive], **{how: target})
    assert sorted(str(p) for p in target.rglob("*")) == now
    assert (target / "classes.csv").read_bytes() == table


def _two_outputs(project: Path) -> None:
    file = project / "runs/tiny/deploy.prototxt"
    text = file.read_text()
    file.write_text(re.sub(r"num_output: 3\b", "num_output: 2", text))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            _two_outputs,
            r"2 outputs for 3 classes \(across, down, round in input.json\)",
        ),
        (
            lambda p: (p / "runs/tiny/final.caffemodel").unlink(),
            r"no finished run of de",
        ),
        (
            lambda p: (p / "runs/tiny/input.json").write_text("{}"),
            r"is no run of dec fi",
        ),
        (lambda p: (p / "runs/tiny/input.json").write_text("{"), r"cannot be read"),
        (lambda p: shutil.rmtree(p / "photos"), r"photos: there is no such file"),
    ],
)
def test_what_cannot_be_classified(project, spoil, words):
    spoil(project)
    with pytest.raises(DecError, match=words):
        classify(Path("runs/tiny"), [Path("photos")], Path("out.csv"))
    assert not Path("out.csv").exists()


def test_the_run_tells_how_photos_are_prepared(each):
    classes, preparation = read_input(each / "runs/tiny")
    assert classes == sorted(CLASSES)
    assert preparation.size == (36, 36) and preparation.crop == 32
    assert preparation.scale == 0.0078125
    assert preparation.mean.shape in ((3, 1, 1), (3, 36, 36))


def test_answers_do_not_depend_on_what_else_is_asked(project):
    """Batches are filled up: a photo's numbers are the same bits in any company."""
    for i in range(5):
        shutil.copy(f"photos/down/{i:02}.jpg", f"photos/down/copy-{i}.jpg")
    photos = sorted(Path("photos").rglob("*.jpg"))
    assert len(photos) == 65

    def answers(chosen: list[Path], out: str) -> dict[str, list[str]]:
        classify(Path("runs/tiny"), chosen, Path(out))
        with open(out, newline="") as file:
            return {name: rest for name, *rest in list(csv.reader(file))[1:]}

    whole = answers(photos, "whole.csv")
    rng = np.random.default_rng(1)
    for n in (1, 2, 16, 17, 31, 32, 33, 65):
        chosen = [photos[i] for i in rng.permutation(65)[:n]]
        found = answers(chosen, f"{n}.csv")
        assert list(found) == [str(photo) for photo in chosen]
        assert found == {str(photo): whole[str(photo)] for photo in chosen}
