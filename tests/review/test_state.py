"""The machine of answers, without files."""

import random

import pytest

from dec.base.errors import DecError
from dec.classify import loop
from dec.review import state as state_module
from dec.review.state import State, class_name

NAMES = [f"{i}.jpg" for i in range(8)]


def state() -> State:
    return State(NAMES, ["0"] * 4 + ["1"] * 3 + ["2"])


def tables(machine: State) -> tuple:
    parts = (machine.cluster, machine.name, machine.accepted, machine.answer)
    return tuple(dict(part) for part in parts)


def test_rejected_is_the_loops_own_word():
    assert state_module.REJECTED == loop.REJECTED


def test_a_photo_has_its_own_class_or_its_clusters():
    machine = state()
    machine.do({"do": "name", "cluster": "0", "class": " nature "})
    machine.do({"do": "mark", "items": ["1.jpg"], "class": "beings"})
    machine.do({"do": "mark", "items": ["2.jpg"], "class": "-"})
    found = [machine.class_of(i) for i in range(5)]
    assert found == ["nature", "beings", "-", "nature", ""]
    assert machine.classes() == ["nature", "beings"]
    # The cluster was not accepted: nobody has looked at the others.
    assert machine.answers() == {"1.jpg": "beings", "2.jpg": "-"}
    machine.do({"do": "accept", "cluster": "0"})
    assert machine.answers() == {
        "0.jpg": "nature", "1.jpg": "beings", "2.jpg": "-", "3.jpg": "nature"
    }  # fmt: skip
    assert machine.looked_at(0) and not machine.looked_at(5)


def test_a_cluster_without_a_name_is_not_accepted():
    with pytest.raises(DecError, match="name cluster"):
        state().do({"do": "accept", "cluster": "0"})


def test_split_and_merge():
    machine = state()
    machine.do({"do": "name", "cluster": "0", "class": "a"})
    machine.do({"do": "accept", "cluster": "0"})
    into = machine.free_cluster("0")
    machine.do({"do": "split", "cluster": "0", "items": NAMES[:2], "into": into})
    assert machine.clusters() == ["0", "0-2", "1", "2"]
    assert machine.name == {"0": "a", "0-2": "a"} and not machine.accepted
    assert machine.free_cluster("0-2") == "0-3"
    machine.do({"do": "merge", "cluster": "0-2", "into": "1"})
    assert machine.members("1") == [0, 1, 4, 5, 6]
    assert machine.name == {"0": "a", "1": "a"}
    # A name that an undo would bring back is not used for another part.
    assert machine.free_cluster("0") == "0-3"


@pytest.mark.parametrize("items", [[], NAMES[:4], ["5.jpg"], None])
def test_a_part_is_less_than_the_cluster(items):
    with pytest.raises(DecError):
        state().do({"do": "split", "cluster": "0", "items": items, "into": "0-2"})


def test_undo_and_redo_have_no_end():
    rng = random.Random(4)
    machine, past = state(), []
    while len(past) < 200:
        clusters = machine.clusters()
        one, other = rng.choice(clusters), rng.choice(clusters)
        some = rng.sample(machine.members(one), len(machine.members(one)) // 2)
        said = rng.choice([
            {"do": "name", "cluster": one, "class": rng.choice(["", "a", "b"])},
            {"do": "mark", "items": rng.sample(NAMES, 3), "class": rng.choice("ab-")},
            {"do": "accept", "cluster": one},
            {"do": "merge", "cluster": one, "into": other},
            {"do": "split", "cluster": one, "into": machine.free_cluster(one),
             "items": [NAMES[i] for i in some]},
        ])  # fmt: skip
        before = tables(machine)
        try:
            machine.do(said)
        except DecError:
            assert tables(machine) == before
            continue
        past.append(before)
    end = tables(machine)
    for before in reversed(past):
        machine.do({"do": "undo"})
        assert tables(machine) == before
    with pytest.raises(DecError, match="nothing to undo"):
        machine.do({"do": "undo"})
    for _ in past:
        machine.do({"do": "redo"})
    assert tables(machine) == end
    with pytest.raises(DecError, match="nothing to redo"):
        machine.do({"do": "redo"})
    machine.do({"do": "undo"})
    machine.do({"do": "mark", "items": NAMES[:1], "class": "new"})
    with pytest.raises(DecError, match="nothing to redo"):
        machine.do({"do": "redo"})


@pytest.mark.parametrize(
    "word", ["a/b", ".hidden", "x" * 256, "é" * 128, "a\nb", "\u202egpj", 3, None]
)
def test_what_cannot_be_a_class(word):
    with pytest.raises(DecError):
        class_name(word)


def test_classes_have_one_spelling():
    assert class_name(" cafe\u0301 ") == "caf\u00e9"
    assert class_name("<img src=x>") == "<img src=x>"


@pytest.mark.parametrize(
    "said",
    [{}, {"do": "shell"}, {"do": "name", "cluster": "7", "class": "a"},
     {"do": "merge", "cluster": "0", "into": "0"},
     {"do": "mark", "items": "1.jpg", "class": "a"}],
)  # fmt: skip
def test_answers_that_cannot_be(said):
    machine = state()
    before = tables(machine)
    with pytest.raises(DecError):
        machine.do(said)
    assert tables(machine) == before


def test_a_class_of_its_own_is_new():
    machine = state()
    own = {"do": "mark", "items": ["1.jpg"], "class": "odd", "new": True}
    machine.do(own)
    with pytest.raises(DecError, match="already"):
        machine.do(own)


def test_photos_that_are_gone_are_counted():
    machine = state()
    machine.do({"do": "mark", "items": ["1.jpg", "gone.jpg"], "class": "a"})
    assert machine.answers() == {"1.jpg": "a"} and machine.unknown == 1
