"""What the README tells to type exists, and its code runs."""

import re

import numpy as np
from conftest import ROOT, WIDTH

README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def test_its_make_targets_exist():
    targets = set(re.findall(r"\bmake ([a-z]+-[a-z-]+|test|help|bench)\b", README))
    assert {"dec-mnist", "test", "help"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", MAKEFILE, re.M), target


def test_its_dec_commands_parse():
    from dec.cli import _parser

    commands = re.findall(r"^ +\.venv/bin/dec ([^#\n]+)", README, re.M)
    assert len(commands) >= 4
    for command in commands:
        _parser().parse_args(command.split())


def test_its_files_and_folders_exist():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    named = re.findall(r"^\| `([a-z_/]+/)`", README, re.M)
    for path in (*links, *named):
        assert (ROOT / path).exists() or path in ("data/", "runs/"), path


def test_its_python_runs(finished, monkeypatch):
    block = README[README.index("    import caffe\n") :]
    block = block[: block.index("\n\nYou have")]
    code = "\n".join(line[4:] for line in block.splitlines())
    code = code.replace("runs/mnist", "runs/blobs").replace("784", str(WIDTH))
    monkeypatch.chdir(finished)
    names = {"pixels": np.arange(WIDTH)}
    exec(code, names)
    out = names["out"]
    assert out["proba"][0].argmax() == out["ind"][0]
