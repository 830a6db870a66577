"""Bad prototxts, databases and disks: one clear message, exit code, nothing lost."""

import os
import shutil
import subprocess

import pytest
from conftest import CAFFE, DEC, assert_clear_error, run

EXPERIMENT = "prototxt/dec/blobs"


def edit(project, name, old, new):
    path = project / EXPERIMENT / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def with_run(finished, tmp_path):
    """A copy of the finished project, whose results must survive errors."""
    folder = tmp_path / "project"
    shutil.copytree(finished, folder)
    return folder


@pytest.mark.parametrize(
    "name,old,new,words",
    [
        ("dec.prototxt", "num_center: 3", "", ["num_center"]),
        ("dec.prototxt", "num_center: 3", "num_center: 0", ["num_center"]),
        ("dec.prototxt", "dim: 64 dim: 3", "dim: 64 dim: 4", ["4 wide", "is 3"]),
        ("dec.prototxt", "alpha: 1", "alpha: 0", ["alpha is 0"]),
        (
            "dec.prototxt",
            "alpha: 1",
            "alhpa: 1",
            ["dec.prototxt:", "alhpa"],
        ),
        (
            "dec_solver.prototxt",
            "base_lr",
            "base_rl",
            ["dec_solver.prototxt:", "base_rl"],
        ),
        ("dec_solver.prototxt", "max_iter: 7", "max_iter: 0", ["max_iter"]),
        ("dec_solver.prototxt", 'net: "', '# net: "', ["net", "missing"]),
        ("dec_solver.prototxt", "dec.prototxt", "no.prototxt", ["no.prototxt"]),
        ("dec_solver.prototxt", '"fixed"', '"fxied"', ["learning rate policy: fxied"]),
        (
            "dec.prototxt",
            'type: "ReLU"',
            'type: "Relu"',
            ["Unknown layer type: Relu"],
        ),
        ("dec.prototxt", "num_output: 16", "num_output: 17", ["shape mismatch"]),
        ("dec.prototxt", "data/blobs_total", "data/none", ["data/none"]),
    ],
)
def test_mistake_in_a_prototxt(with_run, name, old, new, words):
    before = (with_run / "runs/blobs/metrics.json").read_bytes()
    edit(with_run, name, old, new)
    result = run([DEC, "run", "blobs"], with_run)
    assert_clear_error(result, *words)
    assert (with_run / "runs/blobs/metrics.json").read_bytes() == before


def test_the_same_mistake_reaches_the_user_of_caffe(project):
    edit(project, "layer1.prototxt", "num_output: 8", "num_output: 0")
    solver = f"{EXPERIMENT}/short/layer1_solver.prototxt"
    (project / "runs/blobs").mkdir(parents=True)
    result = run([CAFFE, "train", f"--solver={solver}"], project)
    assert result.returncode == 1
    assert "Check failed" in result.stderr or "Cannot" in result.stderr
    assert "    @ " not in result.stderr
    assert not list(project.glob("core*"))


def test_diverging_training_is_named(project):
    edit(project, "short/stack_solver.prototxt", "base_lr: 0.02", "base_lr: 1e30")
    result = run([DEC, "run", "blobs"], project)
    assert_clear_error(result, "diverged")


def test_missing_database(project):
    shutil.rmtree(project / "data/blobs_train")
    assert_clear_error(
        run([DEC, "run", "blobs"], project),
        "data/blobs_train: there is no such LevelDB",
    )


def test_half_written_database(project):
    (project / "data/blobs_total/CURRENT").unlink()
    assert_clear_error(run([DEC, "run", "blobs"], project), "data/blobs_total")


def test_damaged_database(project):
    tables = sorted((project / "data/blobs_train").glob("*.ldb"))
    tables += sorted((project / "data/blobs_train").glob("*.log"))
    for table in tables:
        if content := bytearray(table.read_bytes()):
            middle = len(content) // 2
            content[middle : middle + 64] = b"\xff" * 64
            table.write_bytes(content)
    assert_clear_error(run([DEC, "run", "blobs"], project), "orrupt")


def test_unknown_experiment(project):
    result = run([DEC, "run", "none"], project)
    assert_clear_error(result, "prototxt/dec/none", "20news, blobs, cifar10, csv")


def test_an_experiment_of_another_folder(tmp_path):
    result = run([DEC, "run", "blobs"], tmp_path)
    assert_clear_error(result, "blobs: there is no such experiment", "mnist")


def test_summary_of_no_run(tmp_path):
    assert_clear_error(
        run([DEC, "summary", "x"], tmp_path), "x: there is no finished run"
    )


@pytest.mark.parametrize(
    "option",
    [["--tol", "2"], ["--seed", "-1"], ["--update-interval", "0"], ["--device", "tpu"]],
)
def test_option_out_of_range(project, option):
    result = run([DEC, "run", "blobs", *option], project)
    assert result.returncode == 2
    assert option[0] in result.stderr


def test_no_write_permission(project):
    (project / "runs").mkdir()
    (project / "runs").chmod(0o555)
    user = 65534 if os.getuid() == 0 else None
    for folder in (project, *project.parents):
        if not os.access(folder, os.X_OK) or not folder.stat().st_mode & 0o001:
            if folder.stat().st_uid != os.getuid():
                pytest.skip(f"{folder} is closed to other users")
            folder.chmod(folder.stat().st_mode | 0o055)
    result = subprocess.run(
        [DEC, "cluster", "blobs"],
        cwd=project,
        user=user,
        capture_output=True,
        text=True,
        check=False,
    )
    if "No module named" in result.stderr or "can't open" in result.stderr:
        pytest.skip("the environment is closed to other users")
    assert_clear_error(result, "runs", "ermission")


def test_full_disk(project, tmp_path):
    """The run folder on a file system with room for some of it only."""
    (project / "runs").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", project / "runs"]
    if os.getuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        result = run([DEC, "run", "blobs"], project)
        assert_clear_error(result, "runs/")
        assert "o space left" in result.stderr
    finally:
        subprocess.run(["umount", project / "runs"], check=True)
