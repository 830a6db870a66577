"""The same function on every photo of a long list, by joblib, in flat memory."""

import contextlib
import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator

from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

from dec.base.errors import DecError

BATCH = 32  # photos a task


def each(
    function: Callable, names: Iterable[str], jobs: int | None = None
) -> Iterator[list[tuple]]:
    """Yields lists of (name, function(name)), as they get done, in any order.

    names: may be a generator; it is not read further ahead than the workers need.
    jobs: processes (None: one a core; 1: all in this process). joblib's
    `parallel_config` chooses another back end. `function` must be picklable and is
    expected to return its errors. Raises DecError when a process dies.
    """
    pool = Parallel(
        n_jobs=jobs or os.cpu_count() or 1,
        return_as="generator_unordered",
        pre_dispatch="2*n_jobs",
    )
    work = FromHere(functools.partial(_batch, function))
    try:
        yield from pool(delayed(work)(batch) for batch in _batches(names))
    except TerminatedWorkerError as error:
        raise DecError(
            "A worker process has died, most likely for want of memory. Try --jobs 1, "
            "or a lower --max-pixels; what has been done is kept."
        ) from error


class FromHere:
    """A function to be called in the folder from which it is sent to the workers.

    joblib keeps its workers: those of an earlier call may stand in another folder, and
    relative paths would lead elsewhere.
    """

    def __init__(self, function: Callable):
        self._function, self._folder = function, os.getcwd()

    def __call__(self, *arguments):
        # On another machine (Dask) the folder need not be there; paths are whole then.
        with contextlib.suppress(OSError):
            os.chdir(self._folder)
        return self._function(*arguments)


def _batch(function, names):
    return [(name, function(name)) for name in names]


def _batches(names):
    names = iter(names)
    while batch := list(itertools.islice(names, BATCH)):
        yield batch
