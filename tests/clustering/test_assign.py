"""Clusters of new rows, from every kind of file."""

import gzip
import json
import shutil
import struct

import numpy as np
import pytest
from caffe.proto import caffe_pb2
from conftest import DEC, assert_clear_error, blobs, run
from PIL import Image
from test_pipeline import rows_of

RUN = "runs/blobs"


def assigned(folder, *files):
    result = run([DEC, "assign", RUN, *files], folder)
    assert result.returncode == 0, result.stderr
    header, *lines = result.stdout.splitlines()
    assert header == "name,cluster,probability"
    return [line.rsplit(",", 2) for line in lines]


@pytest.fixture(scope="module")
def folder(finished, tmp_path_factory):
    """The finished project with its rows as files beside it."""
    there = tmp_path_factory.mktemp("assign") / "project"
    shutil.copytree(finished, there)
    rows, _ = blobs()
    np.save(there / "rows.npy", rows)
    np.savetxt(there / "rows.csv", rows, delimiter=",", fmt="%.9g")
    (there / "header.csv").write_text(
        "a,b,c,d,e,f\n" + (there / "rows.csv").read_text()
    )
    idx = struct.pack(">HBBII", 0, 0x0D, 2, *rows.shape) + rows.astype(">f4").tobytes()
    (there / "rows.idx").write_bytes(idx)
    (there / "rows.idx.gz").write_bytes(gzip.compress(idx))
    return there


def expected(folder):
    rows = rows_of(folder / RUN / "assignments.csv")
    return [[row["cluster"], row["probability"]] for row in rows]


@pytest.mark.parametrize(
    "name",
    [
        "rows.npy",
        "rows.csv",
        "header.csv",
        "rows.idx",
        "rows.idx.gz",
        "data/blobs_total",
    ],
)
def test_training_rows_get_their_own_clusters(folder, name):
    found = assigned(folder, name)
    assert [row[0] for row in found[:2]] == [f"{name}:0", f"{name}:1"]
    wanted = expected(folder)
    assert [row[1] for row in found] == [row[0] for row in wanted]
    numbers = [[float(row[-1]) for row in rows] for rows in (found, wanted)]
    assert numbers[0] == pytest.approx(numbers[1], abs=2e-6)


def test_idx_plain_and_packed_as_numpy_has_it(folder):
    """Against a forward pass without Caffe: d-8-8-16-2, then Student's t."""
    net = caffe_pb2.NetParameter()
    net.ParseFromString((folder / RUN / "final.caffemodel").read_bytes())
    blobs_of = {
        layer.name: [
            np.array(blob.data, np.float64).reshape(blob.shape.dim)
            for blob in layer.blobs
        ]
        for layer in net.layer
    }
    code = blobs()[0].astype(np.float64)
    for name in ("inner1", "inner2", "inner3", "output"):
        weights, bias = blobs_of[name]
        code = code @ weights.T + bias
        code = code if name == "output" else np.maximum(code, 0)
    centres = blobs_of["loss"][0].T  # a column each
    apart = ((code[:, None] - centres) ** 2).sum(axis=2)
    proba = 1 / (1 + apart)
    proba /= proba.sum(axis=1, keepdims=True)
    plain, packed = assigned(folder, "rows.idx"), assigned(folder, "rows.idx.gz")
    assert [row[1:] for row in plain] == [row[1:] for row in packed]
    assert [int(row[1]) for row in plain] == proba.argmax(axis=1).tolist()
    found = [float(row[2]) for row in plain]
    assert found == pytest.approx(proba.max(axis=1).tolist(), abs=2e-5)


def test_several_files_in_their_order(folder):
    found = assigned(folder, "rows.csv", "rows.npy")
    assert len(found) == 1200
    assert found[0][0] == "rows.csv:0" and found[-1][0] == "rows.npy:599"


def test_a_row_gets_the_same_whatever_comes_with_it(folder):
    rows, _ = blobs()
    np.save(folder / "one.npy", rows[17:18])
    alone, among = assigned(folder, "one.npy")[0], assigned(folder, "rows.npy")[17]
    assert alone[1:] == among[1:]


def test_images_are_scaled_as_the_run_was(folder, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(folder, project)
    facts = {"shape": [6, 1, 1], "scale": 0.01, "image": [2, 3]}
    (project / RUN / "input.json").write_text(json.dumps(facts))
    pixels = np.array([[10, 250, 30], [200, 90, 0]], np.uint8)
    Image.fromarray(pixels).save(project / "small.png")
    large = pixels.repeat(8, axis=0).repeat(8, axis=1)
    Image.fromarray(large).convert("RGB").save(project / "large.png")
    np.save(project / "same.npy", pixels[None])
    np.save(project / "scaled.npy", pixels[None] * 0.01)
    small, big, same = assigned(project, "small.png", "large.png", "same.npy")
    assert small[1:] == big[1:] == same[1:]
    assert small[0] == "small.png"


@pytest.mark.parametrize(
    "name,content,words",
    [
        ("none.npy", None, ["none.npy", "no such file"]),
        ("wide.npy", np.zeros((3, 7)), ["rows of 7", "rows of 6"]),
        ("flat.npy", np.zeros(6), ["1-dimensional"]),
        ("nan.npy", np.full((2, 6), np.nan), ["row 0", "NaN"]),
        ("text.npy", np.array([["a"] * 6]), ["not real numbers"]),
        ("cut.npy", b"\x93NUMPY\x01\x00", ["cut.npy"]),
        ("words.csv", b"6,1,3,4,5,2\n1,2,x,4,5,6\n", ["words.csv:2"]),
        ("ragged.csv", b"6,1,3,4,5,2\n1,2\n", ["ragged.csv:2", "2 columns"]),
        ("empty.csv", b"", ["no rows"]),
        ("what.bin", b"something else", ["neither an image"]),
        ("cut.idx", b"\0\0\x0d\x02\0\0", ["cut.idx", "cut short"]),
    ],
)
def test_bad_file(folder, name, content, words):
    if isinstance(content, bytes):
        (folder / name).write_bytes(content)
    elif content is not None:
        np.save(folder / name, content)
    assert_clear_error(run([DEC, "assign", RUN, name], folder), name, *words)


def test_folder_without_a_run(folder):
    assert_clear_error(run([DEC, "assign", "x", "rows.npy"], folder), "no finished run")
