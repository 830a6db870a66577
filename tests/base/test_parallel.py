"""One function on many items: in order or not, in flat memory, in any back end."""

import operator
import os

import joblib
import pytest

from dec.base.parallel import each


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("jobs", [1, 2])
def test_every_item_once_with_its_result(jobs, ordered):
    batches = list(each(operator.neg, range(205), jobs, ordered=ordered, batch=10))
    assert sorted(map(len, batches)) == [5] + [10] * 20
    pairs = [pair for batch in batches for pair in batch]
    assert ordered <= (pairs == sorted(pairs))
    assert sorted(pairs) == [(i, -i) for i in range(205)]


def test_nothing_to_do():
    assert not list(each(operator.neg, [], 2))


@pytest.mark.parametrize("ordered", [False, True])
def test_items_are_read_a_round_ahead(ordered):
    read = []

    def items():
        for i in range(10_000):
            read.append(i)
            yield i

    found = each(operator.neg, items(), 1, ordered=ordered, batch=2)
    next(found)
    ahead = len(read)
    assert ahead <= 128
    for _ in range(63):
        next(found)
    assert len(read) <= 128
    found.close()


def test_workers_stand_where_the_caller_does(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
        monkeypatch.chdir(tmp_path / name)
        assert list(each(os.path.exists, [name], 2)) == [[(name, True)]]


def test_another_back_end_is_used():
    with joblib.parallel_config(backend="threading", n_jobs=2):
        pids = {pid for batch in each(_pid, range(99)) for _, pid in batch}
    assert pids == {os.getpid()}


def _pid(_):
    return os.getpid()
