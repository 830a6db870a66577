"""`dec export RUN --onnx`: a run's net with its preparation, or a clear error."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from caffe.proto import caffe_pb2
from conftest import DEC, WIDTH, assert_clear_error, blobs, run
from fake_run import soft
from onnx_samples import compare

from dec.base.errors import DecError
from dec.engine.export_onnx import describe, export_onnx


@pytest.fixture
def blobs_run(finished, tmp_path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(finished / "runs/blobs", tmp_path / "runs/blobs"))


def by_numpy(run: Path, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Code and probabilities in double, by the paper's equation 1."""
    net = caffe_pb2.NetParameter.FromString((run / "final.caffemodel").read_bytes())
    weights = {
        x.name: [np.array(b.data).reshape(b.shape.dim) for b in x.blobs]
        for x in net.layer
        if x.blobs
    }
    code = rows.astype(np.float64)
    for name in ("inner1", "inner2", "inner3", "output"):
        matrix, bias = weights[name]
        code = code @ matrix.T + bias
        if name != "output":
            code = np.maximum(code, 0)
    return code, soft(code, weights["loss"][0].reshape(code.shape[1], -1))


def test_a_run_of_dec(blobs_run):
    done = run([DEC, "export", "blobs", "--onnx"], blobs_run.parent)
    assert done.returncode == 0, done.stderr
    assert "blobs/deploy.onnx" in done.stderr
    session = onnxruntime.InferenceSession(blobs_run / "deploy.onnx")
    rows, _ = blobs()
    given = {"data": rows.reshape(-1, WIDTH, 1, 1)}
    code, proba, ind = session.run(["output", "proba", "ind"], given)
    wanted_code, wanted = by_numpy(blobs_run, rows)
    np.testing.assert_allclose(code, wanted_code, atol=1e-5)
    np.testing.assert_allclose(proba, wanted, atol=1e-5)
    np.testing.assert_array_equal(ind, wanted.argmax(axis=1))
    told = session.get_modelmeta().custom_metadata_map
    facts = json.loads((blobs_run / "input.json").read_text())
    assert json.loads(told["input"]) == facts
    assert told["preparation"] == (
        "data: float32, N x 6 x 1 x 1. A row is 6 numbers, multiplied by 1."
    )


def test_a_run_of_dec_beside_caffe(blobs_run):
    deploy = blobs_run / "deploy.prototxt"
    deploy.write_text(deploy.read_text().replace("dim: 1\n", "dim: 3\n", 1))
    assert compare(blobs_run) == {"ind", "proba", "output"}


def test_to_a_file_and_again(blobs_run, tmp_path):
    out = tmp_path / "mine.onnx"
    for _ in range(2):
        done = run([DEC, "export", blobs_run, "--onnx", out], tmp_path)
        assert done.returncode == 0, done.stderr
    assert onnx.load(out).graph.name and not (blobs_run / "deploy.onnx").exists()


@pytest.mark.parametrize("option", [["--copy"], ["--out", "classes"]])
def test_what_is_about_images_is_refused(blobs_run, option):
    done = run([DEC, "export", blobs_run, "--onnx", *option], blobs_run)
    assert_clear_error(done, "--copy and --out are about images")
    assert not (blobs_run / "deploy.onnx").exists()


@pytest.mark.parametrize("name", ["deploy.prototxt", "final.caffemodel", "input.json"])
def test_a_run_that_is_not_finished(blobs_run, name):
    (blobs_run / name).unlink()
    done = run([DEC, "export", blobs_run, "--onnx"], blobs_run)
    assert_clear_error(done, "there is no finished run here", name)
    assert not (blobs_run / "deploy.onnx").exists()


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"kind": "labelled-photos"}'])
def test_a_damaged_input_json(blobs_run, text):
    (blobs_run / "input.json").write_text(text)
    with pytest.raises(DecError, match="input.json: (cannot be read|is damaged)"):
        export_onnx(blobs_run)
    assert not (blobs_run / "deploy.onnx").exists()


def test_a_layer_that_cannot_be_written_is_named(blobs_run):
    deploy = blobs_run / "deploy.prototxt"
    deploy.write_text(deploy.read_text().replace('"ReLU"', '"Exp"', 1))
    done = run([DEC, "export", blobs_run, "--onnx"], blobs_run)
    assert_clear_error(done, 'layer "relu_inner1", of the type Exp, cannot be written')
    assert not list(blobs_run.glob("deploy.onnx*"))


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (
            {"shape": [784, 1, 1], "scale": 0.02, "image": [28, 28]},
            "N x 784 x 1 x 1. A row is the pixels of an image of 28 x 28 (height x "
            "width), 0 to 255, in order, multiplied by 0.02.",
        ),
        (
            {"shape": [2, 1, 1], "kind": "matrix", "matrix": {"columns": ["a", "b"]}},
            "the columns that input's `matrix` names, in order, multiplied by 1.",
        ),
        ({"shape": [2, 1, 1], "kind": "photos"}, "A row is what dec makes of photos, "),
        ({"shape": [2, 1, 1], "kind": "text"}, "A row is what dec makes of text, "),
    ],
)
def test_the_preparation_in_words(blobs_run, facts, words):
    (blobs_run / "input.json").write_text(json.dumps(facts))
    told = describe(blobs_run)
    assert told["input"] == facts and words in told["preparation"]
