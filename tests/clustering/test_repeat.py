"""The report's command repeats the run."""

import html
import re
import shlex

import pytest
from conftest import DEC, make_project, run


@pytest.mark.parametrize(
    "words",
    [
        ["--seed", "3"],
        ["--pretrain", "paper", "--clusters", "2", "--kmeans", "plain"],
        ["--solver", "prototxt/dec/blobs/frozen_solver.prototxt", "--max-rounds", "3"],
    ],
    ids=["seed", "schedule", "solver"],
)
def test_the_reports_command_repeats_the_run(tmp_path, words):
    first = make_project(tmp_path / "first")
    result = run([DEC, "run", "blobs", "--report", *words], first)
    assert result.returncode == 0, result.stderr
    (folder,) = (path.parent for path in (first / "runs").glob("*/report.html"))
    page = (folder / "report.html").read_text()
    (command,) = re.findall(r"<pre[^>]*>(dec run [^<]+)</pre>", page)
    second = make_project(tmp_path / "second")
    again = shlex.split(html.unescape(command))
    result = run([DEC, *again[1:]], second)
    assert result.returncode == 0, result.stderr
    there = second / folder.relative_to(first)
    for name in ("assignments.csv", "final.caffemodel"):
        assert (there / name).read_bytes() == (folder / name).read_bytes()
