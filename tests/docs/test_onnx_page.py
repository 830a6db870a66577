"""The example of docs/onnx.md runs; it names the layers that there are."""

import re
import shutil

import numpy as np
from conftest import CLUSTERS, ROOT, WIDTH

from dec.engine.export_onnx import export_onnx
from dec.nets.onnx_layers import LAYERS

PAGE = (ROOT / "docs/onnx.md").read_text()


def test_the_example_runs(finished, tmp_path, monkeypatch):
    block = re.search(r"^( {4}import numpy.*?)\n\n", PAGE, re.M | re.S)[1]
    lines = [line[4:] for line in block.splitlines()]
    assert len(lines) == 4
    shutil.copytree(finished / "runs/blobs", tmp_path / "runs/mnist")
    monkeypatch.chdir(tmp_path)
    export_onnx(tmp_path / "runs/mnist")
    names = {}
    exec("\n".join(lines).replace("784", str(WIDTH)), names)
    assert names["proba"].shape == (5, CLUSTERS)
    np.testing.assert_array_equal(names["proba"].argmax(axis=1), names["ind"])
    told = names["net"].get_modelmeta().custom_metadata_map
    assert all(f"| `{name}` |" in PAGE for name in told)


def test_all_layers_are_named():
    listed = re.search(r"Layers that can be written: (.*?)\. A net", PAGE, re.S)[1]
    found = {word.split()[0] for word in listed.replace("\n", " ").split(", ")}
    assert found == {*LAYERS, "Dropout", "Input"}
