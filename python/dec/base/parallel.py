"""The same function on every photo of a long list, by joblib, in flat memory."""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator

from joblib import Parallel, delayed, effective_n_jobs
from joblib.externals.loky.process_executor import TerminatedWorkerError

from dec.base.errors import DecError

BATCH = 32  # items a task
# Tasks a job and round: results that wait for those before them may be large.
_IN_ORDER, _AS_DONE = 8, 64


def each(
    function: Callable,
    items: Iterable,
    jobs: int | None = None,
    *,
    ordered: bool = False,
    batch: int = BATCH,
    whole: bool = False,
) -> Iterator[list[tuple]]:
    """Yields lists of (item, function(item)), `batch` or fewer, of one task each.

    items: may be a generator; it is read in this thread, a round at a time, and so no
    more than a round's results wait in memory, however slowly they are taken. jobs:
    processes (None: as many as joblib's back end has; 1: all in this process, one task
    after the other, without joblib, which a forked process must not use when its parent
    has). joblib's `parallel_config` chooses another back end. ordered: in the order of
    the items; otherwise as they get done. whole: the function takes all items of a task
    as a list, and returns as many results. `function` must be picklable and is expected
    to return its errors. Raises DecError when a process dies.
    """
    batches, work = _batches(items, batch), _Here(function, whole)
    if jobs == 1:
        for part in batches:
            yield list(zip(part, work(0, part)[1], strict=True))
        return
    size = (_IN_ORDER if ordered else _AS_DONE) * effective_n_jobs(jobs or -1)
    how = "generator" if ordered else "generator_unordered"
    try:
        with Parallel(jobs or -1, batch_size=1, return_as=how) as pool:
            while some := list(itertools.islice(batches, size)):
                tasks = (delayed(work)(at, part) for at, part in enumerate(some))
                for at, results in pool(tasks):
                    yield list(zip(some[at], results, strict=True))
    except TerminatedWorkerError as error:
        raise DecError(
            "A worker process has died, most likely for want of memory. Try --jobs 1, "
            "or a lower --max-pixels; what has been done is kept."
        ) from error


class _Here:
    """A function for all items of a task, called in the folder from which it is sent.

    joblib keeps its workers: those of an earlier call may stand in another folder, and
    relative paths would lead elsewhere.
    """

    def __init__(self, function: Callable, whole: bool):
        self._function, self._whole, self._folder = function, whole, os.getcwd()

    def __call__(self, at: int, items: list) -> tuple[int, list]:
        # On another machine (Dask) the folder need not be there; paths are whole then.
        with contextlib.suppress(OSError):
            os.chdir(self._folder)
        if self._whole:
            return at, self._function(items)
        return at, [self._function(item) for item in items]


def _batches(items: Iterable, size: int) -> Iterator[list]:
    items = iter(items)
    while batch := list(itertools.islice(items, size)):
        yield batch
