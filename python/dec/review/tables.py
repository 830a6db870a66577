"""The review as the tables of `dec loop`, and what others have written into them.

The page and `dec loop next` take turns: the tables are written from the journal, and
what a user or `dec loop` has put into them since becomes answers in the journal. A row
was changed by somebody else where it is neither as the tables were when they were last
written nor as they were about to be (a kill can come in between). A row that is missing
takes nothing back: a table may be older than the journal.
"""

import json
from collections import Counter
from pathlib import Path

from dec.base.atomic import write_text_atomic
from dec.base.tables import read_columns, read_pairs, write_table
from dec.review.items import FIRST, LOOP, MEMBERS, Items, write_facts
from dec.review.state import State, class_name

CLUSTERS, ANSWERS, REVIEW = "clusters.csv", "answers.csv", "review.csv"
WATCHED = (CLUSTERS, ANSWERS, REVIEW)
_REVIEW = ("file", "guess", "probability", "class")


def read_outside(
    root: Path, state: State, before: list[State], known: set[str]
) -> list[dict]:
    """Answers for what somebody else has put into the tables.

    before: the states by which they may have been written. Raises DecError, with the
    line, for tables that cannot be understood.
    """
    said: list[dict] = []
    if (root / CLUSTERS).exists():
        ours = [other.name for other in (state, *before)]
        pairs = read_pairs(root / CLUSTERS, "cluster", "class")
        there = set(state.cluster.values())
        for cluster, (_, word) in pairs.items():
            label = class_name(word)
            if cluster in there and all(label != o.get(cluster, "") for o in ours):
                said.append({"do": "name", "cluster": cluster, "class": label})
    found: dict[str, str] = {}
    for table in (ANSWERS, REVIEW):
        if (root / table).exists():
            pairs = read_pairs(root / table, "file", "class")
            found |= {n: class_name(w) for n, (_, w) in pairs.items() if w}
    ours = [other.answers() for other in (state, *before)]
    marks: dict[str, list[str]] = {}
    for name, label in found.items():
        if name in known and all(label != o.get(name) for o in ours):
            marks.setdefault(label, []).append(name)
    said += [{"do": "mark", "items": n, "class": c} for c, n in sorted(marks.items())]
    return said


def write_tables(items: Items, state: State) -> None:
    """Writes the loop's tables, and which photos are in which cluster."""
    root = items.root
    there = [(i, c) for i, c in state.cluster.items() if i not in items.gone]
    sizes = Counter(cluster for _, cluster in there)
    rows = [(c, sizes[c], state.name.get(c, "")) for c in state.clusters() if sizes[c]]
    write_table(root / CLUSTERS, [("cluster", "photos", "class"), *rows])
    answers = state.answers()
    for item in items.gone:
        answers.pop(items.names[item], None)
    write_table(root / ANSWERS, [("file", "class"), *sorted(answers.items())])
    if (root / REVIEW).exists():
        listed = read_columns(root / REVIEW, _REVIEW[:3])
        rows = [(*cells, answers.get(cells[0], "")) for _, cells in listed]
        write_table(root / REVIEW, [_REVIEW, *rows])
    _write_members(items, state)


def _write_members(items: Items, state: State) -> None:
    """The clusters by photo, once they are not those of the run any more."""
    root = items.root
    facts = json.loads((root / LOOP).read_text(encoding="utf-8"))
    members = root / MEMBERS
    now = [state.cluster[i] for i in range(len(items.names))]
    own = Path(facts["clusters"]) == members.resolve()
    if not own and now == items.clusters and not items.gone:
        return
    pairs = enumerate(zip(items.names, now, strict=True))
    rows = [pair for i, pair in pairs if i not in items.gone]
    write_table(members, [("file", "cluster"), *rows])
    if not own:
        if items.run is None and not (root / FIRST).exists():
            rows = zip(items.names, items.clusters, strict=True)
            write_table(root / FIRST, [("file", "cluster"), *rows])
        more = {"run": str(items.run.resolve())} if items.run else {}
        write_facts(root, facts | {"clusters": str(members.resolve())} | more)


def read_mark(path: Path) -> list[int]:
    """How many lines of the journal the tables were written from (two: or from)."""
    try:
        found = json.loads(path.read_text())
        return [int(number) for number in found]
    except (OSError, ValueError, TypeError):
        return []


def write_mark(path: Path, numbers: list[int]) -> None:
    write_text_atomic(path, json.dumps(numbers) + "\n")
