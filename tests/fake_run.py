"""A run folder as `dec run` leaves it, made up in no time."""

import json
from pathlib import Path

import numpy as np
from caffe.proto import caffe_pb2

from dec.data.leveldb import write_rows
from dec.scores.clusters import contingency, match, scores

_NET = """
layer {{ name: "data" type: "Data" top: "data" include {{ phase: TEST }}
  data_param {{ source: {source} batch_size: 10 backend: LEVELDB }} }}
layer {{ name: "loss" type: "MultiTLoss" bottom: "data" top: "ind" top: "proba"
  multi_t_loss_param {{ num_center: {k} alpha: 1 }} }}
"""
_SOLVER = "# As run by dec; from {file}. Edit that file, not this one.\n{text}\n"


def fake_run(
    root: Path,
    rows: np.ndarray,
    k: int,
    labelled: bool = True,
    names=None,
    **meta: object,
) -> Path:
    """Makes root/runs/fake and its LevelDB of `rows`; returns the run folder.

    The last of several clusters is empty. names: of the rows. meta: what dec.json
    shall say.
    """
    rng = np.random.default_rng(5)
    n, dims = len(rows), 3
    used = max(k - 1, 1)
    labels = np.arange(n) % used
    centres = rng.normal(size=(dims, k)) * 3
    code = (centres.T[labels] + rng.normal(size=(n, dims))).astype(np.float32)
    proba = soft(code, centres)
    proba[:, used:] = 0
    proba = (proba / proba.sum(axis=1, keepdims=True)).astype(np.float32)
    assigned = proba.argmax(axis=1)
    write_rows(root / "data/fake", rows, labels if labelled else None, meta, names)

    run = root / "runs/fake"
    (run / "codes").mkdir(parents=True)
    (run / "prototxt").mkdir()
    for name in ("round_0", "round_1", "round_2", "end"):
        np.savez(
            run / "codes" / f"{name}.npz",
            rows=np.arange(n)[::-1],
            code=code[::-1],
            proba=proba[::-1],
            sizes=proba.sum(axis=0, dtype=np.float64),
        )
    (run / "prototxt/dec.prototxt").write_text(
        _NET.format(source=json.dumps(str(root / "data/fake")), k=k)
    )
    for stage, source in (("layer1", "short/layer1_solver"), ("dec", "dec_solver")):
        (run / f"prototxt/{stage}_solver.prototxt").write_text(
            _SOLVER.format(
                file=f"prototxt/fake/{source}.prototxt",
                text=f'net: "{stage}.prototxt" max_iter: 30 random_seed: 4',
            )
        )
    _write_model(run / "init.caffemodel", centres)

    agreement = scores(labels, assigned, k) if labelled else {}
    metrics = {
        **agreement,
        **{"n": n, "k": k, "seed": 4, "rounds": 3, "converged": True},
        "kmeans": agreement,
        "history": [
            {"round": i, "loss": 0.1 / i, "changed": 0.01 / i**3, **agreement}
            for i in (1, 2, 3)
        ],
        "cluster_sizes": np.bincount(assigned, minlength=k).tolist(),
        "seconds": {"data": 1.0, "layer1": 70.0, "dec": 3700.0},
        "dec_seconds": {"embed": 700.0, "train": 3000.0},
    }
    lines = ["row,cluster,probability" + ",label" * labelled]
    for i in range(n):
        line = f"{i},{assigned[i]},{proba[i].max():.6f}"
        lines.append(line + f",{labels[i]}" * labelled)
    if labelled:
        table = contingency(labels, assigned, k)
        metrics["table"] = table.tolist()
        metrics["cluster_of_class"] = match(table).tolist()
    (run / "metrics.json").write_text(json.dumps(metrics))
    (run / "assignments.csv").write_text("\n".join(lines) + "\n")
    return run


def soft(code: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """q of every row: the paper's equation 1."""
    distance = ((code[:, :, None] - centres[None]) ** 2).sum(axis=1)
    kernel = 1 / (1 + distance)
    return kernel / kernel.sum(axis=1, keepdims=True)


def _write_model(path: Path, centres: np.ndarray) -> None:
    net = caffe_pb2.NetParameter()
    layer = net.layer.add(name="loss", type="MultiTLoss")
    for values in (centres, np.ones_like(centres)):
        blob = layer.blobs.add()
        blob.shape.dim.extend((1, 1, *values.shape))
        blob.data.extend(values.ravel())
    path.write_bytes(net.SerializeToString())
