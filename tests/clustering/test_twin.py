"""Phase 2 against a twin of it in float64 NumPy, from the same first weights."""

import json

import numpy as np
import pytest
from conftest import CLUSTERS, DEC, ROWS, blobs, run
from test_pipeline import weights

BATCH, ITERATIONS, ROUNDS, RATE, MOMENTUM = 64, 7, 5, 0.01, 0.9
LAYERS = ("inner1", "inner2", "inner3", "output")


def forward(x, theta):
    """Activations of all layers; the last is the code, which has no ReLU."""
    out = [x]
    for i, name in enumerate(LAYERS):
        y = out[-1] @ theta[name][0].T + theta[name][1]
        out.append(np.maximum(y, 0) if i < len(LAYERS) - 1 else y)
    return out


def soft_assignment(z, centres):
    t = 1 / (1 + ((z[:, None] - centres) ** 2).sum(axis=2))
    return t / t.sum(axis=1, keepdims=True)


def targets(q):
    weight = q**2 / q.sum(axis=0)
    return weight / weight.sum(axis=1, keepdims=True)


def gradients(x, p, theta):
    out, centres = forward(x, theta), theta["loss"][0]
    z = out[-1]
    q = soft_assignment(z, centres)
    difference = z[:, None] - centres
    t = 1 / (1 + (difference**2).sum(axis=2))
    m = (2 * t * (p - q) / len(x))[:, :, None] * difference
    loss = (p * np.log(p / q)).sum() / len(x)
    grads = {"loss": [-m.sum(axis=0)]}
    delta = m.sum(axis=1)
    for i in reversed(range(len(LAYERS))):
        grads[LAYERS[i]] = [delta.T @ out[i], delta.sum(axis=0)]
        delta = (delta @ theta[LAYERS[i]][0]) * (out[i] > 0)
    return loss, grads


def test_rounds_agree_with_float64_numpy(project):
    result = run([DEC, "run", "blobs", "--tol", "0", "--max-rounds", ROUNDS], project)
    assert result.returncode == 0, result.stderr
    folder = project / "runs/blobs"
    history = json.loads((folder / "metrics.json").read_text())["history"]

    rows, _ = blobs()
    rows = rows.astype(np.float64)
    start = weights(folder / "init.caffemodel")
    widths = [rows.shape[1], 8, 8, 16, 2]
    theta = {
        name: [start[name][0].reshape(widths[i + 1], widths[i]), start[name][1]]
        for i, name in enumerate(LAYERS)
    }
    theta["loss"] = [start["loss"][0].reshape(2, CLUSTERS).T.copy()]
    row = 0
    for entry in history:
        p = targets(soft_assignment(forward(rows, theta)[-1], theta["loss"][0]))
        velocity = {k: [np.zeros_like(b) for b in v] for k, v in theta.items()}
        losses = []
        for _ in range(ITERATIONS):
            batch = np.arange(row, row + BATCH) % ROWS
            loss, grads = gradients(rows[batch], p[batch], theta)
            losses.append(loss)
            for name, blobs_of_layer in theta.items():
                for i in range(len(blobs_of_layer)):
                    rate = RATE * (2 if i == 1 else 1)  # biases learn twice as fast
                    velocity[name][i] *= MOMENTUM
                    velocity[name][i] += rate * grads[name][i]
                    blobs_of_layer[i] -= velocity[name][i]
            row = (row + BATCH) % ROWS
        assert entry["loss"] == pytest.approx(np.mean(losses), rel=1e-4)

    end = weights(folder / "final.caffemodel")
    for i, name in enumerate(LAYERS):
        got = end[name][0].reshape(widths[i + 1], widths[i])
        assert got == pytest.approx(theta[name][0], abs=1e-5)
        assert end[name][1] == pytest.approx(theta[name][1], abs=1e-5)
    centres = end["loss"][0].reshape(2, CLUSTERS).T
    assert centres == pytest.approx(theta["loss"][0], abs=1e-5)
    assert not np.allclose(centres, start["loss"][0].reshape(2, CLUSTERS).T, atol=1e-3)
