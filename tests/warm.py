"""`dec` by a fork of a process that has loaded what every command loads.

Loading Caffe, scikit-learn and matplotlib takes several seconds of processor time, most
of what a small run needs, and the tests start a thousand of them. So `run_dec` has one
process a worker load them once, and that forks for every command: what the command then
does is the same, in a process, a folder, an environment and a session of its own. Tests
that signal `dec`, or are about how it is started, start it themselves.
"""

import atexit
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

# Read when a library is loaded, not when a command begins.
_AT_LOAD = ("OMP_", "GOMP_", "OPENBLAS_", "MKL_", "ONEDNN_", "GLOG_", "LD_", "PYTHON")
_server: subprocess.Popen | None = None


def can_run(environment: dict[str, str]) -> bool:
    """Whether these variables have their effect in a process that has loaded all."""
    return not any(name.startswith(_AT_LOAD) for name in environment)


def run_dec(
    command: list[str], folder: Path, environment: dict[str, str], timeout: float
) -> subprocess.CompletedProcess:
    """As subprocess.run(command, …, capture_output=True, text=True)."""
    global _server
    if _server is None or _server.poll() is not None:
        _server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(_server.stdin.close)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        files = [f"/proc/{os.getpid()}/fd/{file.fileno()}" for file in (out, errors)]
        ask = [command, os.path.abspath(folder), environment, files, timeout]
        _server.stdin.write(json.dumps(ask) + "\n")
        _server.stdin.flush()
        answer = _server.stdout.readline()
        assert answer, "the process that starts dec has ended"
        code = json.loads(answer)
        texts = []
        for file in (out, errors):
            file.seek(0)
            # As text=True has them.
            text = file.read().decode("utf-8")
            texts.append(text.replace("\r\n", "\n").replace("\r", "\n"))
    if code is None:
        raise subprocess.TimeoutExpired(command, timeout, *texts)
    return subprocess.CompletedProcess(command, code, *texts)


def _serve() -> None:
    del sys.path[0]  # this folder, whose folders have the names of packages

    import caffe  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import sklearn.cluster
    import sklearn.metrics  # noqa: F401

    import dec.cli  # noqa: F401

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        command, folder, environment, files, timeout = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(_command(command, folder, environment, files))
        answers.write(json.dumps(_wait(child, timeout)) + "\n")
        answers.flush()


def _wait(child: int, timeout: float) -> int | None:
    """The exit code as subprocess has it; None of what had to be killed."""
    import select
    import signal

    watch = os.pidfd_open(child)
    ended = select.select([watch], [], [], timeout)[0]
    os.close(watch)
    if not ended:
        os.killpg(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status) if ended else None


def _command(
    command: list[str], folder: str, environment: dict[str, str], files: list[str]
) -> int:
    import random
    import traceback

    import numpy as np

    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for number, file in zip((1, 2), files, strict=True):
        os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND), number)
    # Of their own, with what only the one that was forked had written left behind.
    sys.stdin = os.fdopen(0)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1, closefd=False)
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = command
    random.seed()  # or all commands would draw the same where nobody has seeded
    np.random.seed()
    try:
        import dec.cli

        code = dec.cli.main()
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code or 0


if __name__ == "__main__":
    _serve()
