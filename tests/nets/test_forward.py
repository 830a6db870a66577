"""Forward passes: every row once, and its bits do not depend on its neighbours."""

from pathlib import Path

import numpy as np
import pytest
from conftest import ROWS, WIDTH, blobs

from dec.data.leveldb import write_rows
from dec.nets import caffe_process
from dec.nets.forward import Deployed, over_database

_LAYERS = """
layer {{ name: "code" type: "InnerProduct" bottom: "data" top: "code"
  inner_product_param {{ num_output: 3 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "double" type: "Power" bottom: "code" top: "double"
  power_param {{ scale: 2 }} }}
"""
_INPUT = """
layer {{ name: "data" type: "Input" top: "data"
  input_param {{ shape {{ dim: 8 dim: {width} }} }} }}
"""
_DATA = """
layer {{ name: "data" type: "Data" top: "data" top: "label"
  data_param {{ source: "{rows}" batch_size: 250 backend: LEVELDB }} }}
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    """With deploy.prototxt, its weights, and a net that reads 600 rows from rows/."""
    rows, labels = blobs()
    write_rows(tmp_path / "rows", rows, labels)
    words = {"width": WIDTH, "rows": tmp_path / "rows"}
    (tmp_path / "deploy.prototxt").write_text((_INPUT + _LAYERS).format(**words))
    (tmp_path / "data.prototxt").write_text((_DATA + _LAYERS).format(**words))

    def save():
        import caffe

        net = caffe.Net(str(tmp_path / "deploy.prototxt"), caffe.TEST)
        net.save(str(tmp_path / "w.caffemodel"))

    caffe_process.run(save, tmp_path / "log.txt")
    return tmp_path


def computed(folder: Path, work) -> dict[str, np.ndarray]:
    """The arrays by name that `work` gives in Caffe's process."""
    file = folder / "found.npz"
    caffe_process.run(lambda: np.savez(file, **work()), folder / "log.txt")
    with np.load(file) as found:
        return dict(found)


def deployed(folder: Path, **options) -> Deployed:
    return Deployed(folder / "deploy.prototxt", folder / "w.caffemodel", **options)


def test_rows_from_memory_in_order_with_their_tags(folder):
    rows = blobs()[0][:21]  # two batches of eight, and five

    def work():
        net = deployed(folder)
        tags, out = zip(*net.rows(enumerate(rows)), strict=True)
        code = net.net.params["code"]
        weights = {"weight": code[0].data.copy(), "bias": code[1].data.copy()}
        return {"tags": tags, "out": out, **weights}

    found = computed(folder, work)
    assert found["tags"].tolist() == list(range(21))
    expected = 2 * (rows @ found["weight"].T + found["bias"])
    np.testing.assert_allclose(found["out"], expected, atol=1e-5)


def test_a_rows_bits_do_not_depend_on_other_rows(folder):
    rows = blobs()[0][:8]

    def out_of(net, these):
        return [out for _, out in net.rows((None, row) for row in these)]

    def work():
        net = deployed(folder)
        whole = out_of(net, rows)
        # Every row with nothing behind it, after a batch of other values.
        out_of(net, 1e6 * rows)
        last = [out_of(net, rows[: i + 1])[-1] for i in range(8)]
        # And with other rows before it.
        other = [out_of(net, [*-rows[:i], rows[i]])[-1] for i in range(8)]
        return {"whole": whole, "last": last, "other": other}

    found = computed(folder, work)
    assert found["whole"].tobytes() == found["last"].tobytes()
    assert found["whole"].tobytes() == found["other"].tobytes()


def test_batch_and_shape_of_the_callers(folder):
    rows = blobs()[0][:5].reshape(5, 1, 1, WIDTH)

    def work():
        net = deployed(folder, batch=2, shape=(1, 1, WIDTH))
        out = [x for _, x in net.rows(((None, row.ravel()) for row in rows), "double")]
        return {"out": out, "shape": net.net.blobs["data"].data.shape}

    found = computed(folder, work)
    assert found["shape"].tolist() == [2, 1, 1, WIDTH] and found["out"].shape == (5, 3)


def test_no_rows(folder):
    found = computed(folder, lambda: {"out": list(deployed(folder).rows([]))})
    assert not len(found["out"])


def test_every_row_of_a_database_once(folder):
    """600 rows in batches of 250; the next round begins where the last one ended."""

    def work():
        import caffe

        net = caffe.Net(str(folder / "data.prototxt"), caffe.TEST)
        arrays = {}
        for turn in ("first", "second"):
            found = [
                (at, [part.copy() for part in parts])
                for at, parts in over_database(net, ROWS, ("data", "label", "double"))
            ]
            arrays[f"{turn}_at"] = [at for at, _ in found]
            for i, top in enumerate(("data", "label", "double")):
                arrays[f"{turn}_{top}"] = np.concatenate([p[i] for _, p in found])
        return arrays

    found = computed(folder, work)
    rows, labels = blobs()
    assert found["first_at"].tolist() == [0, 250, 500]
    np.testing.assert_array_equal(found["first_data"].reshape(ROWS, -1), rows)
    np.testing.assert_array_equal(found["first_label"].ravel(), labels)
    assert found["first_double"].shape == (ROWS, 3)
    begun = np.roll(rows, -150, axis=0)  # 750 rows were read
    np.testing.assert_array_equal(found["second_data"].reshape(ROWS, -1), begun)


def test_up_to_a_layer(folder):
    """What comes after it is not computed."""

    def work():
        import caffe

        net = caffe.Net(str(folder / "data.prototxt"), caffe.TEST)
        for _, (code,) in over_database(net, 10, ("code",), end="code"):
            found = code.copy()
        return {"code": found, "double": net.blobs["double"].data}

    found = computed(folder, work)
    assert found["code"].shape == (10, 3) and found["code"].any()
    assert not found["double"].any()
