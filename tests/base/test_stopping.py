"""SIGTERM: a command ends at once, and leaves neither processes nor words behind."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import DEC
from PIL import Image

from dec.base.stopping import EXIT_CODE, Stopped, stoppable


def test_it_comes_as_an_exception():
    with pytest.raises(Stopped), stoppable():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_child_is_ended_by_it_as_ever():
    with stoppable():
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGTERM


def test_who_ignores_it_goes_on_to():
    code = (
        "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "from dec.base.stopping import stoppable\n"
        "with stoppable(): os.kill(os.getpid(), signal.SIGTERM)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def photos(folder: Path, count: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(1)
    for i in range(count):
        pixels = rng.integers(0, 255, (60, 90, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def test_a_run_that_is_stopped_in_phase_1(tmp_path):
    """joblib's processes, of the photos before, used to stay and to warn in the end."""
    photos(tmp_path / "photos", 40)
    words = ["run", "photos", "--from", "photos", "--clusters", "2", "--pretrain=train"]
    with subprocess.Popen(
        [DEC, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as command:
        try:
            log = tmp_path / "runs/photos/log.txt"
            end = time.monotonic() + 240
            while not (log.exists() and "scaffolding done" in log.read_text()):
                assert command.poll() is None and time.monotonic() < end
                time.sleep(0.1)
            command.send_signal(signal.SIGTERM)
            # Until all that write to it are gone.
            said = command.communicate(timeout=60)[0].decode()
        finally:
            command.kill()
    assert command.returncode == EXIT_CODE
    assert "dec: stopped; the same command goes on from here\n" in said
    assert not re.search("leaked|Warning|Traceback", said), said
    assert not list(Path("/dev/shm").glob(f"joblib_*_{command.pid}_*"))
