"""The speed benchmark: PyTorch's nets are Caffe's; what is measured, and its table."""

import argparse
import json
import sys

import numpy as np
import pytest
from caffe.proto import caffe_pb2
from conftest import ROOT
from test_compare import need

SPEED = ROOT / "benchmarks/speed"
sys.path.insert(0, str(SPEED))


@pytest.fixture
def options(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    return argparse.Namespace(out=tmp_path, threads=2, turns=1)


def line(key: str):
    from lines import LINES

    return next(line for line in LINES if line.key == key)


@pytest.mark.parametrize("key", ["dec-layer2-train-256", "dec-phase2-train-256"])
def test_both_sides_compute_the_same(key, options):
    """`make bench` does so for every line; here the small ones."""
    need("torch")
    import bench

    bench.check(line(key), "ours", options)
    (file,) = (options.out / "checks").iterdir()
    apart = json.loads(file.read_text())["apart"]
    kinds = [name.split()[0] for name in apart]
    assert {"blob", "gradient", "update"} == set(kinds)


def test_other_net_is_an_error(options, monkeypatch):
    """And nothing is left that would count as a comparison the next time."""
    import bench

    from dec.base.errors import DecError

    stack = line("dec-stack-train-256")
    monkeypatch.setattr(bench, "_call", lambda command, *_, **__: command[-1].touch())
    for name, difference in (("blob d_data", 1e-3), ("gradient inner1/0", np.nan)):
        found = {"blob loss, torch": 1e-6, f"{name}, torch": difference}
        monkeypatch.setattr(bench, "_torch", lambda *_, found=found: found)
        with pytest.raises(DecError, match=f"{name}.*not the same net"):
            bench.check(stack, "ours", options)
        assert not list((options.out / "checks").iterdir())


def test_grouped_convolution_lrn_and_batch_normalisation(tmp_path, monkeypatch):
    """What the small nets have not got, in a net of a few units."""
    need("torch")
    import bench
    import caffe_side
    import nets
    from caffe import NetSpec
    from caffe import layers as L

    def small(net, mode, batch, rows="memory"):
        n = NetSpec()
        n.data, n.label = L.Input(
            ntop=2, shape=[{"dim": [batch, 3, 12, 12]}, {"dim": [batch]}]
        )
        n.conv1 = L.Convolution(n.data, num_output=6, kernel_size=3)
        n.bn = L.BatchNorm(n.conv1, in_place=True)
        n.scale = L.Scale(n.bn, bias_term=True, in_place=True)
        n.relu1 = L.ReLU(n.scale, in_place=True)
        n.pool = L.Pooling(n.relu1, pool=0, kernel_size=3, stride=2)
        n.norm = L.LRN(n.pool, local_size=5, alpha=0.5, beta=0.75)
        n.conv2 = L.Convolution(n.norm, num_output=4, kernel_size=3, pad=1, group=2)
        n.drop = L.Dropout(n.conv2)
        n.fc = L.InnerProduct(n.drop, num_output=5)
        n.loss = L.SoftmaxWithLoss(n.fc, n.label)
        return n.to_proto()

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(nets, "build", small)
    monkeypatch.setitem(nets.RATES, "alexnet-bn", 0.01)
    options = argparse.Namespace(out=tmp_path, threads=2)
    job = bench._job(line("alexnet-bn-train-32"), "ours", 4, options)
    job["layouts"] = ["torch", "torch-channels-last"]
    arrays = tmp_path / "arrays.npz"
    caffe_side.check(job, str(arrays))
    facts = bench._facts(job, dropout=False)
    found = bench._torch("check", facts, tmp_path / "job", arrays)
    assert len(found) == 2 * (6 + 2 * 4 * 2)  # blobs, gradients and updates
    assert all(bench.TOLERANCE[name.split()[0]] > d for name, d in found.items())
    assert max(found.values()) > 0
    (norm,) = (layer for layer in facts["layers"] if layer["type"] == "LRN")
    norm["alpha"] = 0.4
    found = bench._torch("check", facts, tmp_path / "job", arrays)
    assert found["blob norm, torch"] > 1e-3


def test_stock_asks_for_caffes_own_layers(monkeypatch):
    import nets

    monkeypatch.chdir(ROOT)
    net = nets.build("caffenet", "train", 2)
    before = net.SerializeToString()
    nets.stock(net)
    assert net.SerializeToString() != before
    for layer in net.layer:
        for field, param in layer.ListFields():
            if field.message_type and "engine" in field.message_type.fields_by_name:
                assert param.engine == param.CAFFE, layer.name
    relu = next(layer for layer in net.layer if layer.type == "ReLU")
    assert relu.relu_param.engine == caffe_pb2.ReLUParameter.CAFFE


def test_pieces_of_a_step(monkeypatch):
    """Frozen layers are only run forward; the first that learns needs no data pass."""
    import caffe_side

    monkeypatch.chdir(ROOT)
    job = {"net": "dec-layer2", "mode": "train", "batch": 8, "rows": "memory"}
    message = caffe_side.network({**job, "side": "ours"})
    _, net = caffe_side.load(message, job)
    pieces = caffe_side.pieces(message, net, True)
    assert [(p["kind"], p["shape"], p["passes"]) for p in pieces] == [
        ("product", [8, 784, 500], "f"),
        ("product", [8, 500, 500], "fw"),
        ("product", [8, 500, 500], "fdw"),
        ("update", [2 * (500 * 500 + 500)], "u"),
    ]
    assert pieces[0]["flop"] == 2 * 8 * 784 * 500


def test_ceilings_program(tmp_path):
    import subprocess

    import pieces

    from dec.base.errors import DecError

    try:
        program = pieces.program(tmp_path)
    except DecError as error:
        pytest.skip(f"{error}".splitlines()[0])
    parts = [
        {"kind": "convolution", "shape": [1, 2, 4, 6, 9, 3, 1, 1], "passes": "fdw"},
        {"kind": "product", "shape": [4, 8, 3], "passes": "fw"},
        {"kind": "update", "shape": [100], "passes": "u"},
        {"kind": "cold", "shape": [4, 2000, 3000], "passes": "fdw"},
    ]
    result = subprocess.run(
        [program], input=pieces.request(parts), capture_output=True, text=True
    )
    found = pieces.read(result.stdout)
    assert ["".join(sorted(part)) for part in found] == ["dfw", "fw", "u", "dfw"]
    for passes in found[1], found[3]:
        assert all(set(by) == {"OpenBLAS", "oneDNN"} for by in passes.values())
    assert all(s > 0 for part in found for by in part.values() for s in by.values())
    result = subprocess.run([program], input="x\n", capture_output=True, text=True)
    assert result.returncode == 1 and "x" in result.stderr


def test_table(tmp_path):
    """Numbers that can be told in one's head, of two turns; and it is 100 wide."""
    import report
    from lines import LARGE

    dec = line("dec-stack-train-256")
    where = {"machine": {"processor": "a processor"}, "others": 0.5}
    folder = tmp_path / dec.key
    folder.mkdir()
    (tmp_path / "large").mkdir()

    def put(name, side, **result):
        job = {"threads": 2, "build": "b", "side": side, "batch": 256}
        file = tmp_path / name
        file.write_text(json.dumps({"job": job, **where, **result}))

    for turn, ours, theirs in ((1, 2000.0, 1000.0), (2, 3000.0, 2000.0)):
        for side, speed, memory in (
            ("stock", 500.0, 100.0),
            ("ours", ours, 110.0),
            ("torch", theirs, 300.0),
            ("bfloat16", 1.5 * ours, 110.0),
        ):
            put(
                f"{dec.key}/{turn}-{side}-256.json",
                side,
                best=speed + 1000,
                median=speed,
                memory=memory,
            )
    piece = {"kind": "product", "shape": [256, 1, 1], "passes": "fd", "flop": 1e9}
    update = {"kind": "update", "shape": [9], "passes": "u", "flop": 0}
    seconds = [
        {"f": {"oneDNN": 0.01, "OpenBLAS": 0.02}, "d": {"PyTorch": 0.022}},
        {"u": {"one pass": 0.008}},
    ]
    put(
        f"{dec.key}/1-ceiling-256.json",
        "ceiling",
        pieces=[piece, update],
        seconds=seconds,
        cold=[{"f": {"oneDNN": 0.012}, "d": {"OpenBLAS": 0.025}}, {}],
    )
    put(f"{dec.key}/2-ceiling-256.json", "ceiling", pieces=[], seconds=[])  # older
    large = {"kind": "product", "shape": [LARGE] * 3, "passes": "f", "flop": 1}
    put(
        "large/1-ceiling.json",
        "ceiling",
        pieces=[large],
        seconds=[{"f": {"OpenBLAS": 2 * LARGE**3 / 1e11}}],
    )
    text = report.tables(tmp_path, (dec, line("caffenet-forward-1")))
    assert max(len(row) for row in text.splitlines()) <= 100
    speed, rounded, times, memory, parts, machine = text.split("\n\n")
    assert "BUSY" in machine
    numbers = speed.splitlines()[3].replace("|", " ").split()[-9:]
    assert numbers[:3] == ["1,500", "4,000", "3,000"]
    assert numbers[3:6] == ["1.75", "1.33", "1.20"]  # the median of 2 and 1.5
    assert numbers[6:] == ["8,000", "50%", "31%"]  # 32 ms; 64 ms x 100 of 2 GFLOP
    assert rounded.splitlines()[2].split()[-4:] == ["4,000", "5,500", "1.50", "1.50"]
    assert times.splitlines()[2].split()[-9:] == (
        ["2.00", "0.0", "32.0", "37.0", "8.0", "19.0", "64.0", "70%", "85.3"]
    )
    assert "1.10" in memory.splitlines()[2]
    assert "100 o" in parts and "45 p" in parts
    assert "caffenet" not in times


def test_measurement_that_is_there_is_not_run_again(options, monkeypatch):
    """But one with another build of Caffe is."""
    import bench

    ran = []
    monkeypatch.setattr(
        bench,
        "_call",
        lambda command, *_: ran.append(command) or '{"best": 2, "median": 1}',
    )
    dec = line("dec-stack-train-256")
    file = bench._file(options.out, dec.key, "ours-256", 1)
    for build, runs in (("a", 1), ("a", 1), ("b", 2)):
        monkeypatch.setattr(bench, "_common", lambda _, b=build: {"threads": 2, "b": b})
        bench._measure(bench._job(dec, "ours", 256, options), file)
        assert len(ran) == runs


def test_best_and_median_of_a_clock(monkeypatch):
    import clock

    ticks = iter(np.cumsum([0, 1, 0, 4, 0, 2, 0, 2]))
    monkeypatch.setattr(clock.time, "perf_counter", lambda: float(next(ticks)))
    monkeypatch.setattr(clock, "LEAST", 4)
    result = clock.measure(lambda: None, 8)
    assert (result["best"], result["median"], result["steps"]) == (8.0, 4.0, 4)
    assert result["memory"] > 1


def test_share_of_others(monkeypatch):
    """Of all cores' time; three seconds of others' in four of a machine of two."""
    import clock

    spent, now = iter([10.0, 13.0]), iter([100.0, 104.0])
    monkeypatch.setattr(clock, "_others", lambda: next(spent))
    monkeypatch.setattr(clock.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(clock.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(clock, "SECONDS", 0)
    assert clock.measure(lambda: None, 1)["others"] == 3 / 4 / 2


def test_without_pytorch_it_says_so(monkeypatch, tmp_path):
    import bench

    said = []
    monkeypatch.setattr(bench.progress, "say", said.append)
    monkeypatch.setattr(bench, "THEIR_PYTHON", tmp_path / "python")
    monkeypatch.setattr(sys, "argv", ["bench.py", "--out", str(tmp_path)])
    assert bench.main() == 1
    assert "`make bench` installs it" in said[0]
