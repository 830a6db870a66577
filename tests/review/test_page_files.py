"""The files of the page: whole, and nothing in them from elsewhere."""

import re
import shutil
import subprocess

import pytest

from dec.review.app import PAGE

FILES = sorted(PAGE.iterdir())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]


def test_nothing_comes_from_elsewhere():
    for path in FILES:
        found = set(
            re.findall(r"(?:https?:)?//[\w.]+\.[a-z]+[^\s\"']*", path.read_text())
        )
        assert found <= {"http://www.w3.org/2000/svg"}, path.name


def test_the_policy_finds_nothing_to_forbid():
    text = (PAGE / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


def test_names_are_never_html():
    for path in SCRIPTS:
        words = re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(",
            path.read_text(),
        )
        assert not words, path.name


def test_what_scripts_look_for_is_there():
    ids = set(re.findall(r'\bid="([\w-]+)"', (PAGE / "index.html").read_text()))
    for path in SCRIPTS:
        wanted = set(re.findall(r'\$\("([\w-]+)"\)', path.read_text()))
        assert wanted <= ids, path.name


@pytest.mark.skipif(not shutil.which("node"), reason="there is no node here")
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_can_be_read(path):
    words = ["node", "--input-type=module", "--check"]
    with open(path) as file:
        done = subprocess.run(
            words, stdin=file, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
