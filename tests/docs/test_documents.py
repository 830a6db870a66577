"""What the documents tell to type exists, and their code runs."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, WIDTH

from dec.cli import parser
from dec.data import registry, sets

MAKEFILE = (ROOT / "Makefile").read_text()
DOCUMENTS = sorted(
    path
    for path in [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "prototxt").rglob("*.md"),
        *(ROOT / "benchmarks").rglob("*.md"),
        *(ROOT / "features").glob("*.md"),
    ]
)
README = (ROOT / "README.md").read_text()
# What stands for something of the user's.
_HOLES = re.compile(
    r"…|\.\.\.|\b(RUN|SOURCE|DIR|NAME|N|K|CLASS|FILE)\b|\[|\{|<|--(from|seed)$"
)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_make_targets_exist(path):
    for target in re.findall(
        r"(?:`|^ {4}|&& )make ([a-z][a-z0-9-]+)", path.read_text()
    ):
        assert re.search(rf"^{target}:", MAKEFILE, re.M), target


def test_the_readme_names_the_main_targets():
    targets = set(re.findall(r"\bmake ([a-z0-9-]+)\b", README))
    assert {"dec-mnist", "test", "dec-photos", "dec-csv", "caffenet-small"} <= targets


def commands(text: str) -> list[list[str]]:
    """The calls of dec in a document's code, those with holes in them left out."""
    text = text.replace("\\\n", " ")
    lines = re.findall(r"^(?: {4}|\$ )(?:\.venv/bin/)?dec (.+)$", text, re.M)
    lines += re.findall(r"`(?:\.venv/bin/)?dec ([^`]+)`", text)
    found = []
    for line in lines:
        line = re.split(r"\s+#|\s[|>]\s", line)[0].strip()
        if not _HOLES.search(line):
            found.append(shlex.split(line))
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_dec_commands_parse(path):
    for words in commands(path.read_text()):
        if len(words) < 3 and not words[-1].startswith("-"):
            continue  # a command's name in a sentence
        error = io.StringIO()
        try:
            with contextlib.redirect_stderr(error):
                parser().parse_args(words)
        except SystemExit as end:
            assert end.code == 0, f"dec {shlex.join(words)}: {error.getvalue()}"


def test_the_documents_have_commands():
    assert len(commands(README)) >= 4
    assert sum(len(commands(path.read_text())) for path in DOCUMENTS) > 30


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
        assert (path.parent / link).exists(), link
    for anchor in re.findall(r"\]\(#([^)]+)\)", path.read_text()):
        heads = re.findall(r"^#+ (.+)$", path.read_text(), re.M)
        made = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in heads}
        assert anchor in made, anchor


def test_the_readme_is_short():
    assert len(README.split()) <= 900


def test_the_readmes_folders_exist():
    for path in re.findall(r"^\| `([a-z_/]+/)`", README, re.M):
        assert (ROOT / path).exists() or path in ("data/", "runs/"), path


def test_the_pycaffe_in_the_documents_runs(finished, monkeypatch):
    text = (ROOT / "docs/caffe.md").read_text()
    block = text[text.index("    import caffe\n") :]
    code = "\n".join(line[4:] for line in block.splitlines())
    code = code.replace("runs/mnist", "runs/blobs").replace("784", str(WIDTH))
    monkeypatch.chdir(finished)
    names = {"pixels": np.arange(WIDTH)}
    exec(code, names)
    out = names["out"]
    assert out["proba"][0].argmax() == out["ind"][0]


def test_the_developers_data_set_works(tmp_path, monkeypatch):
    text = (ROOT / "DEVELOPERS.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.S)[1]
    (tmp_path / "digits.py").write_text(code)
    monkeypatch.setattr(sets, "__path__", [*sets.__path__, str(tmp_path)])
    monkeypatch.chdir(tmp_path)
    registry.all_sets.cache_clear()
    try:
        assert registry.find("digits").text == "1,797 digits"
        parser().parse_args(["data", "digits"]).command(
            parser().parse_args(["data", "digits"])
        )
    finally:
        registry.all_sets.cache_clear()
    from dec.data import leveldb
    from dec.data.images.row_images import RowImages

    with leveldb.open_reader("data/digits_total") as reader:
        assert (reader.rows, reader.width) == (1797, 64)
    assert RowImages.find(Path("data/digits_test")).size == (8, 8)
