"""The command line as such."""

import sys

import pytest
from conftest import DEC, ROOT, run

from dec.engine.experiment import Experiment


def test_help_has_examples():
    result = run([DEC, "--help"], ROOT)
    assert result.returncode == 0
    assert "dec run mnist" in result.stdout


COMMANDS = ("data", "pretrain", "cluster", "run", "assign", "summary", "table")
COMMANDS += ("report", "export", "kmeans", "ldmgi", "sec", "photos", "new", "seeds")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    result = run([DEC, command, "--help"], ROOT)
    assert result.returncode == 0 and "usage: dec " + command in result.stdout


SETS = ("mnist", "fashion-mnist", "stl", "photos", "text", "20news", "reuters21578")
SETS += ("reuters", "reuters10k", "npy", "csv", "verify")


@pytest.mark.parametrize("name", SETS)
def test_every_data_set_has_help(name):
    result = run([DEC, "data", name, "--help"], ROOT)
    assert result.returncode == 0 and f"usage: dec data {name}" in result.stdout


def test_every_data_set_has_an_experiment_and_a_target():
    makefile = (ROOT / "Makefile").read_text()
    for name in SETS[:-1]:
        assert (Experiment.find(name).folder / "dec.prototxt").exists()
        assert f"\ndec-{name}: " in makefile


@pytest.mark.parametrize("name", SETS[3:-1])
def test_data_that_is_not_there(name, tmp_path):
    result = run([DEC, "data", name, "nothing-here"], tmp_path)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "dec: error:" in result.stderr and "nothing-here" in result.stderr
    assert not any(tmp_path.glob("data/*_total"))


def test_verify_tells_by_its_exit_code(project):
    assert run([DEC, "data", "verify", "data/blobs_total"], project).returncode == 0
    names = project / "data/blobs_total/names.txt"
    names.write_text('"one name"\n')
    result = run([DEC, "data", "verify", "data/blobs_total"], project)
    assert result.returncode == 1 and "names.txt" in result.stdout


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


def test_a_reader_that_has_seen_enough_is_no_error(finished):
    result = run(
        ["bash", "-c", f"{DEC} assign runs/blobs data/blobs_total | head -1"], finished
    )
    assert result.stdout == "name,cluster,probability\n"
    assert "Traceback" not in result.stderr and "Exception" not in result.stderr
    for words in ("assign runs/blobs data/blobs_total", "table runs/blobs"):
        result = run(["bash", "-c", f"{DEC} {words} | true"], finished)
        assert "Error" not in result.stderr and "error" not in result.stderr
