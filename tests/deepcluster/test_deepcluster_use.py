"""What a finished run is good for: new images, DEC's features, ONNX; photos as data."""

import csv
import io
import json
import shutil

import numpy as np
import pytest
from caffe.proto import caffe_pb2
from conftest import DEC, assert_clear_error, run
from deepcluster_samples import SIDE, gratings, make_project, params
from finetune_samples import FINETUNE
from finetune_samples import make_project as make_photos_project
from google.protobuf import text_format
from PIL import Image

from dec.base.errors import DecError
from dec.data.images import photos
from dec.deepcluster import strongest
from dec.deepcluster.images import Images
from dec.nets.prototxt import read_net

NAME = "runs/deepcluster-gratings"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished run, and its test images as PNGs in new/."""
    folder = make_project(tmp_path_factory.mktemp("use"))
    result = run([DEC, "deepcluster", "gratings", "--epochs", "1"], folder)
    assert result.returncode == 0, result.stderr
    (folder / "new").mkdir()
    for i, image in enumerate(gratings(40, 2)[0]):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"new/{i:02d}.png")
    return folder


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_assign_gives_images_the_clusters_that_they_have(folder):
    (folder / "new/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    result = run([DEC, "assign", NAME, "new"], folder)
    assert result.returncode == 0 and "broken.png" in result.stderr
    found = rows(result.stdout)
    kept = rows((folder / NAME / "assignments.csv").read_text())
    wanted = [row["cluster"] for row in kept if row["set"] == "test"]
    assert [row["cluster"] for row in found] == wanted and len(found) == 40
    assert_clear_error(run([DEC, "assign", NAME, "new/broken.png"], folder), "broken")


def test_assign_without_a_model(folder, tmp_path):
    shutil.copytree(folder / NAME, tmp_path / "run")
    (tmp_path / "run/model.npz").unlink()
    result = run([DEC, "assign", "run", folder / "new"], tmp_path)
    assert_clear_error(result, "no model.npz")


def test_its_features_feed_dec(folder):
    from dec.nets.feature_net import FeatureNet, open_net

    found = FeatureNet.find(str(folder / NAME))
    extractor = open_net(found)
    assert extractor.shape == (3, SIDE, SIDE) and extractor.width == 16
    images = gratings(3, 2)[0][:, ::-1].astype(np.float32)
    made = extractor.rows(images)
    np.testing.assert_allclose((made**2).mean(axis=1), 1, rtol=1e-4)


@pytest.mark.parametrize("name", ["cifar10", "images"])
def test_dec_has_no_rows_of_images_alone(name, tmp_path):
    result = run([DEC, "run", name], tmp_path)
    assert_clear_error(result, f"{name}: images alone", "dec deepcluster")
    assert not any(tmp_path.iterdir())


def test_its_weights_start_a_classifier(folder, tmp_path):
    """A net with the same body: dec finetune takes all of it but the new last layer."""
    make_photos_project(tmp_path)
    ours = read_net(folder / NAME / "deploy.prototxt").layer
    names = [layer.name for layer in ours]
    body = ours[names.index("grey") : names.index("fc6")]
    for file in ("train_val", "deploy"):
        path = tmp_path / f"prototxt/tiny/{file}.prototxt"
        net = read_net(path)
        at = [layer.name for layer in net.layer].index("fc5_photos")
        inputs = [x for x in net.layer if "data" in x.top]
        last = list(net.layer[at:])
        last[0].bottom[:] = ours[names.index("fc6")].bottom
        for layer in inputs:  # the fixed layers take bytes
            layer.transform_param.ClearField("mean_value")
            layer.transform_param.ClearField("scale")
        layers = [*inputs, *body, *last]
        edited = caffe_pb2.NetParameter(name="tiny", layer=layers)
        path.write_text(text_format.MessageToString(edited))
    weights = folder / NAME / "final.caffemodel"
    result = run([DEC, *FINETUNE, "--weights", weights], tmp_path)
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "runs/tiny/metrics.json").read_text())
    convolutions = [x.name for x in body if x.type == "Convolution"]
    assert set(convolutions) <= set(found["weights"]["taken"])
    assert found["weights"]["random"] == ["fc5_photos"]
    trained = params(tmp_path / "runs/tiny/final.caffemodel")
    before = params(weights)
    assert np.array_equal(trained["sobel"][0], before["sobel"][0])
    assert 0 < np.abs(trained["conv1"][0] - before["conv1"][0]).max() < 1


def test_onnx_computes_the_same(folder):
    import onnxruntime

    result = run([DEC, "export", NAME, "--onnx"], folder)
    assert result.returncode == 0, result.stderr
    session = onnxruntime.InferenceSession(str(folder / NAME / "deploy.onnx"))
    words = session.get_modelmeta().custom_metadata_map["preparation"]
    assert "shorter side" in words and "blue, green, red" in words
    data = gratings(5, 3)[0][:, ::-1].astype(np.float32)
    name = session.get_inputs()[0].name
    (found,) = session.run(["clusters"], {name: data})
    assert found.shape == (5, 8) and np.isfinite(found).all()
    assert np.ptp(found, axis=0).max() > 0


def test_photos_of_any_folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a/one.jpg", "a/two.png", "b/three.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (60, 90, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / name)
    (tmp_path / "in/b/broken.jpg").write_bytes(b"\xff\xd8\xff no photo")
    paths = photos.build_leveldbs(tmp_path / "data", tmp_path / "in", 32, jobs=1)
    images = Images(paths["images_train"])
    assert len(images) == 3 and images.classes == ["a", "b"]
    assert {images[i].shape for i in range(3)} == {(32, 48, 3)}
    assert sorted(images.labels.tolist()) == [0, 0, 1]
    report = (tmp_path / "data/images_skipped.csv").read_text()
    assert "broken.jpg" in report and report.count("\n") == 2
    made = paths["images_train"].stat().st_ino
    photos.build_leveldbs(tmp_path / "data", tmp_path / "in", 32, jobs=1)
    assert paths["images_train"].stat().st_ino == made


def test_folders_without_photos(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/text.txt").write_text("none")
    with pytest.raises(DecError, match="no photo in it"):
        photos.build_leveldbs(tmp_path / "data", tmp_path / "in", jobs=1)
    assert not (tmp_path / "data/images_train").exists()
    with pytest.raises(DecError, match="name the folder of photos"):
        photos.build_leveldbs(tmp_path / "data")


def test_input_says_how(folder):
    facts = json.loads((folder / NAME / "input.json").read_text())
    assert facts["kind"] == "deepcluster" and facts["features"] == "fc6"


def test_a_page_to_look_at(folder):
    result = run([DEC, "report", NAME], folder)
    assert result.returncode == 0, result.stderr
    text = (folder / NAME / "report.html").read_text()
    for title in ("Epochs", "Filters", "Activations", "Neighbours", "Sizes"):
        assert f"<h2>{title}</h2>" in text
    # Ten images and their neighbours; four filters of four layers, nine images each.
    assert text.count('alt="an image"') == 10 * 10 + 4 * 4 * 9
    figures = {path.name for path in (folder / NAME / "figures").iterdir()}
    assert figures == {
        f"{x}.png" for x in ("loss", "scores", "sse", "sizes", "filters")
    }
    assert not list((folder / NAME).glob("points.np*"))


def test_images_that_activate_filters_most(folder):
    import caffe

    images = Images(folder / "data/gratings_train")
    metrics = json.loads((folder / NAME / "metrics.json").read_text())
    found = strongest.strongest(folder / NAME, metrics, images)
    assert list(found) == ["conv1", "conv2", "conv3", "conv4"]
    net = caffe.Net(
        str(folder / NAME / "deploy.prototxt"),
        caffe.TEST,
        weights=str(folder / NAME / "final.caffemodel"),
    )
    net.blobs["data"].reshape(len(images), 3, SIDE, SIDE)
    data = np.stack([images[i] for i in range(len(images))]).transpose(0, 3, 1, 2)
    net.blobs["data"].data[...] = data
    net.forward()
    for layer, filters in found.items():
        values = net.blobs[layer].data
        for number, chosen in filters:
            means = [one[number].mean() for one in values]
            assert len(set(chosen)) == 9
            lowest = min(means[i] for i in chosen)
            assert sum(mean > lowest + 1e-5 for mean in means) < 9


def test_a_table_of_runs_by_clusters_and_epochs(folder):
    result = run([DEC, "table", NAME, NAME], folder)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("| k | epochs | seed | guessed | matched |")
    history = json.loads((folder / NAME / "metrics.json").read_text())["history"]
    assert lines[2].startswith(f"| 8 | 1 | 1 | {history[1]['guessed']['test']:.4f} |")
