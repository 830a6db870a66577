"""The code of docs/api.md runs, block after block; its tables name what there is."""

import os
import re
import subprocess

import pytest
from conftest import DEC as COMMAND
from conftest import ROOT
from small_own import make_small_own

from dec import DEC

PAGE = (ROOT / "docs/api.md").read_text()


def test_code_blocks_run(tmp_path, monkeypatch):
    monkeypatch.chdir(make_small_own(tmp_path))
    path = f"{COMMAND.parent}:{os.environ['PATH']}"
    blocks = re.findall(r"^```(python|sh)\n(.*?)^```$", PAGE, re.M | re.S)
    assert len(blocks) >= 9
    names: dict = {}
    for language, code in blocks:
        if language == "python":
            short = "pretrain_iter=40, max_iter=10"
            exec(code.replace("pretrain_iter=2000", short), names)
        else:
            command = ["bash", "-ec", code]
            subprocess.run(command, check=True, env={**os.environ, "PATH": path})
    assert (tmp_path / "runs/digits/report.html").exists()


def test_every_parameter_is_in_the_table_with_its_default():
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \|", PAGE, re.M)
    told = {name: default.strip("`").strip('"') for name, default in rows}
    defaults = {name: str(value) for name, value in DEC().get_params().items()}
    assert told == defaults


@pytest.mark.parametrize("name", ["fit_predict", "predict", "transform", "score"])
def test_every_method_is_told_of(name):
    assert f"`{name}" in PAGE and callable(getattr(DEC, name))
