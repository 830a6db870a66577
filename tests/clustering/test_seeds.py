"""`dec seeds`: every seed beside its controls, from one encoder each."""

import json

from conftest import DEC, run


def test_seeds_and_their_controls(project):
    command = [DEC, "seeds", "blobs", "--seeds", "1,2", "--max-rounds", "2"]
    result = run(command, project)
    assert result.returncode == 0, result.stderr
    runs = {path.parent.name for path in (project / "runs").glob("*/metrics.json")}
    kinds = ("", "plain-", "frozen-")
    assert runs == {"blobs-kmeans"} | {
        f"blobs-{kind}seed{seed}" for kind in kinds for seed in (1, 2)
    }
    for line in ("blobs-seed1 | DEC | 1", "blobs-frozen-seed2 | DEC without backprop"):
        assert f"| {line}" in result.stdout
    assert "| blobs-plain-seed2 | DEC from plain k-means | 2 |" in result.stdout
    own = project / "runs/blobs-seed2/stack_iter_200.caffemodel"
    for kind in ("plain", "frozen"):
        metrics = json.loads(
            (project / f"runs/blobs-{kind}-seed2/metrics.json").read_text()
        )
        assert metrics["autoencoder"] == str(own.relative_to(project))
    # What is finished is not run again.
    again = run(command, project)
    assert again.stdout == result.stdout and again.stderr.count("dec: up to date") == 6
