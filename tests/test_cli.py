"""The command line as such."""

import sys

import pytest
from conftest import DEC, ROOT, run


def test_help_has_examples():
    result = run([DEC, "--help"], ROOT)
    assert result.returncode == 0
    assert "dec run mnist" in result.stdout


COMMANDS = ("data", "pretrain", "cluster", "run", "assign", "summary", "table")
COMMANDS += ("report", "export")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    result = run([DEC, command, "--help"], ROOT)
    assert result.returncode == 0 and "usage: dec " + command in result.stdout


@pytest.mark.parametrize("words", [[], ["nothing"], ["run"], ["run", "mnist", "--no"]])
def test_wrong_usage_exits_with_2(words):
    result = run([DEC, *words], ROOT)
    assert result.returncode == 2 and "usage: dec" in result.stderr


def test_without_caffe_it_says_how_to_build_it():
    # None in sys.modules makes the import fail as if there were no such module.
    code = (
        "import sys; sys.modules['caffe'] = None\n"
        "from dec.cli import main; sys.exit(main(['run', 'mnist']))"
    )
    result = run([sys.executable, "-c", code], ROOT)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "make caffe" in result.stderr
