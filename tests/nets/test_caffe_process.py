"""Work in a child process: what reaches the parent when it fails."""

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import DEC, run

from dec.base.errors import DecError
from dec.nets import caffe_process


def test_result_of_work_that_succeeds(tmp_path):
    mark = tmp_path / "mark"
    caffe_process.run(lambda: mark.write_text("done") and None, tmp_path / "log.txt")
    assert mark.read_text() == "done"


def test_the_parents_garbage_is_left_alone(tmp_path):
    """What ends in it may wait for threads that a child does not have."""
    mark = tmp_path / "mark"

    class Garbage:
        def __init__(self):
            self.itself = self

        def __del__(self):
            mark.write_text(f"{os.getpid()}")

    gc.disable()
    try:
        Garbage()
        caffe_process.run(lambda: gc.collect() and None, tmp_path / "log.txt")
        assert not mark.exists()
        gc.collect()
        assert mark.read_text() == f"{os.getpid()}"
    finally:
        gc.enable()


def test_it_is_fed_from_the_parent(tmp_path):
    """More than a pipe holds, made where joblib's processes are."""
    from dec.base.parallel import each

    def items():
        for batch in each(bytes, [100_000] * 40, 2, batch=5):
            yield from batch

    def work(found):
        mark.write_text(f"{sum(len(made) for _, made in found):,}")

    mark = tmp_path / "mark"
    caffe_process.run(work, tmp_path / "log.txt", feed=items())
    assert mark.read_text() == "4,000,000"
    caffe_process.run(work, tmp_path / "log.txt", feed=[])
    assert mark.read_text() == "0"


def test_an_error_in_the_feed_ends_the_child(tmp_path):
    def items():
        yield 1
        raise DecError("no more")

    def work(found):
        mark.write_text(f"{list(found)}")

    mark = tmp_path / "mark"
    with pytest.raises(DecError, match="^no more$"):
        caffe_process.run(work, tmp_path / "log.txt", feed=items())
    assert not mark.exists()


def test_a_child_that_does_not_eat_says_why(tmp_path):
    def work(found):
        raise DecError(f"not {len(next(found))} bytes")

    with pytest.raises(DecError, match="^not 300000 bytes$"):
        items = (b"0" * 300_000 for _ in range(100))
        caffe_process.run(work, tmp_path / "log.txt", feed=items)


def test_its_own_error_passes(tmp_path):
    def work():
        raise DecError("the reason")

    with pytest.raises(DecError, match="^the reason$"):
        caffe_process.run(work, tmp_path / "log.txt")


def test_caffes_words_pass_and_stay_in_the_log(tmp_path):
    def work():
        import caffe

        caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)

    (tmp_path / "net.prototxt").write_text(
        'layer { name: "a" type: "NoSuch" top: "a" }'
    )
    log = tmp_path / "log.txt"
    with pytest.raises(DecError, match="Unknown layer type: NoSuch") as info:
        caffe_process.run(work, log)
    assert "stack trace" not in str(info.value)
    assert "Unknown layer type" in log.read_text()


def test_words_of_an_earlier_failure_are_not_repeated(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("F1120 10:00:00.000000 12 net.cpp:1] Check failed: old words\n")
    with pytest.raises(DecError) as info:
        caffe_process.run(lambda: os._exit(3), log)
    assert "old words" not in str(info.value)


def test_a_kill_is_named(tmp_path):
    with pytest.raises(DecError, match=r"SIGKILL \(out of memory\?\)"):
        caffe_process.run(
            lambda: os.kill(os.getpid(), signal.SIGKILL), tmp_path / "log.txt"
        )


def test_an_unexpected_error_names_the_log(tmp_path):
    with pytest.raises(DecError, match=r"internal error: ZeroDivisionError.*log\.txt"):
        caffe_process.run(lambda: 1 / 0, tmp_path / "log.txt")


def long_run(project):
    solver = project / "prototxt/dec/blobs/short/stack_solver.prototxt"
    text = solver.read_text().replace("max_iter: 200", "max_iter: 100000000")
    solver.write_text(text)
    process = subprocess.Popen(
        [DEC, "run", "blobs"],
        cwd=project,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(lambda: (project / "runs/blobs/prototxt/stack.prototxt").exists())
    time.sleep(0.5)
    return process


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def children(process):
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [int(word) for task in tasks for word in task.read_text().split()]


def test_ctrl_c_ends_both_and_the_next_call_goes_on(project):
    process = long_run(project)
    child = children(process)[0]
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors and "interrupted" in errors
    assert not os.path.exists(f"/proc/{child}")
    solver = project / "prototxt/dec/blobs/short/stack_solver.prototxt"
    solver.write_text(solver.read_text().replace("100000000", "200"))
    result = run([DEC, "run", "blobs"], project)
    assert result.returncode == 0 and "layer4: up to date" in result.stderr


def test_a_killed_parent_takes_its_child_along(project):
    process = long_run(project)
    child = children(process)[0]
    process.kill()
    process.wait()
    process.stderr.close()
    wait_for(lambda: gone(child))


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_modules_import_without_starting_caffes_log():
    result = subprocess.run(
        [sys.executable, "-c", "import dec.cli, dec.clustering.pipeline"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "" and result.stderr == ""


def test_a_log_that_cannot_be_written(tmp_path):
    (tmp_path / "log.txt").mkdir()
    with pytest.raises(DecError, match=r"log.txt: cannot be written: Is a directory"):
        caffe_process.run(lambda: None, tmp_path / "log.txt")


def test_a_child_computes_after_the_parent_has(tmp_path):
    """Both with threads of libgomp's, of which a child has none of its parent's."""
    program = (
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from sklearn.cluster import KMeans\n"
        "from dec.nets import caffe_process\n"
        "def cluster():\n"
        "    rows = np.random.default_rng(0).normal(size=(5000, 10))\n"
        "    KMeans(10, n_init=1).fit(rows)\n"
        "cluster()\n"
        "caffe_process.run(cluster, Path('log.txt'))\n"
    )
    subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=60
    )
