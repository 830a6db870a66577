"""What a review has said: a pure machine of answers, which can all be taken back.

Four tables, each changed by an answer through a list of changes (table, key, old, new):

    cluster    item -> cluster      names of clusters are words, as in clusters.csv
    name       cluster -> class     "" or missing: none; REJECTED: not wanted
    accepted   cluster -> True      somebody has looked, and all its items are right
    answer     item -> class        what was said of one item itself; REJECTED: none

Undo turns the last list around, redo applies it again; both are answers like the others
in the journal, so there is no end to either.
"""

import unicodedata
from collections.abc import Iterable, Sequence

from dec.base.errors import DecError
from dec.base.files import names_folder, printable

# As in dec.classify.loop (a test compares them), which takes seconds to import.
REJECTED = "-"

Change = tuple[str, object, object, object]


def class_name(word: object) -> str:
    """A class as the user has typed it, in one spelling; "" stays "".

    Raises DecError where it cannot name a folder, which classes do.
    """
    if not isinstance(word, str):
        raise DecError("a class is a word")
    name = unicodedata.normalize("NFC", word.strip())
    if name and not name.isprintable():
        raise DecError(f'"{printable(name)}" cannot be a class: it has signs in it '
                       "that cannot be seen")  # fmt: skip
    if name and not names_folder(name):
        short = name if len(name) < 40 else name[:40] + "..."
        raise DecError(
            f'"{short}" cannot be a class: a folder has to have this name. No / in it, '
            "no dot in front, 255 bytes at most"
        )
    return name


class State:
    """The tables, and the answers that can be undone and redone.

    names: of the items; what is said of others is passed over and counted in `unknown`.
    clusters: of each item, before any answer.
    """

    def __init__(self, names: Sequence[str], clusters: Sequence[str]):
        self.names = list(names)
        self._at = {name: i for i, name in enumerate(self.names)}
        self.cluster: dict[int, str] = dict(enumerate(clusters))
        self.name: dict[str, str] = {}
        self.accepted: dict[str, bool] = {}
        self.answer: dict[int, str] = {}
        self.undone: list[list[Change]] = []
        self.done: list[list[Change]] = []
        self.unknown = 0
        self.moves = 0  # how often items have gone into other clusters
        self._first = frozenset(clusters)

    # What holds now -----------------------------------------------------------------

    def members(self, cluster: str) -> list[int]:
        return [i for i, c in self.cluster.items() if c == cluster]

    def clusters(self) -> list[str]:
        """Those with items, numbers in their order, then names."""
        return sorted(set(self.cluster.values()), key=_order)

    def class_of(self, item: int) -> str:
        """Of the item itself, or else its cluster's; "" for none."""
        own = self.answer.get(item)
        return self.name.get(self.cluster[item], "") if own is None else own

    def classes(self) -> list[str]:
        """All that are in use, in the order in which they were first used."""
        found = dict.fromkeys([*self.name.values(), *self.answer.values()])
        return [c for c in found if c and c != REJECTED]

    def answers(self) -> dict[str, str]:
        """Class, or REJECTED, of every item that somebody has looked at, by name."""
        found = {}
        for item, cluster in self.cluster.items():
            said = self.answer.get(item)
            if said is None and self.accepted.get(cluster):
                said = self.name.get(cluster)
            if said:
                found[self.names[item]] = said
        return found

    def looked_at(self, item: int) -> bool:
        return item in self.answer or bool(self.accepted.get(self.cluster[item]))

    # Answers ------------------------------------------------------------------------

    def changes(self, said: dict) -> list[Change]:
        """What an answer would change. Raises DecError for one that cannot be.

        said["do"] is name (cluster, class), accept (cluster, on), mark (items, class,
        new), split (cluster, items, into), merge (cluster, into), undo or redo; items
        are given by name.
        """
        kinds = {
            "name": self._name,
            "accept": self._accept,
            "mark": self._mark,
            "split": self._split,
            "merge": self._merge,
            "undo": self._undo,
            "redo": self._redo,
        }
        if said.get("do") not in kinds:
            raise DecError(f"there is no answer of this kind: {said.get('do')!r}")
        found = kinds[said["do"]](said)
        return [change for change in found if change[2] != change[3]]

    def apply(self, said: dict, changes: list[Change]) -> None:
        """Makes the changes, which `changes` returned for this answer."""
        self.moves += any(table == "cluster" for table, *_ in changes)
        for table, key, _, new in changes:
            place = getattr(self, table)
            if new is None:
                place.pop(key, None)
            else:
                place[key] = new
        if said["do"] == "undo":
            self.undone.append(self.done.pop())
        elif said["do"] == "redo":
            self.done.append(self.undone.pop())
        else:
            self.done.append(changes)
            self.undone.clear()

    def do(self, said: dict) -> list[Change]:
        """Both, for an answer from the journal."""
        changes = self.changes(said)
        self.apply(said, changes)
        return changes

    def free_cluster(self, cluster: str) -> str:
        """A name for what a cluster is split into: "4" gives "4-2", "4-3", ..."""
        taken = set(self._first) | set(self.cluster.values())
        # One that is empty now comes back by an undo.
        taken |= {c[2] for d in (*self.done, *self.undone) for c in d}
        taken |= {c[3] for d in (*self.done, *self.undone) for c in d}
        stem, _, last = cluster.rpartition("-")
        stem = stem if stem and last.isdigit() else cluster
        number = 2
        while f"{stem}-{number}" in taken:
            number += 1
        return f"{stem}-{number}"

    def _known(self, cluster: object) -> str:
        if cluster not in self.cluster.values():
            raise DecError(f'there is no cluster "{printable(str(cluster))}"')
        return cluster

    def _items(self, names: object) -> list[int]:
        if not isinstance(names, Iterable) or isinstance(names, str):
            raise DecError("which photos?")
        names = list(names)
        found = [self._at[name] for name in names if name in self._at]
        self.unknown += len(names) - len(found)
        return found

    def _set(self, table: str, key: object, new: object) -> Change:
        return (table, key, getattr(self, table).get(key), new)

    def _name(self, said: dict) -> list[Change]:
        cluster = self._known(said.get("cluster"))
        return [self._set("name", cluster, class_name(said.get("class")) or None)]

    def _accept(self, said: dict) -> list[Change]:
        cluster = self._known(said.get("cluster"))
        on = said.get("on", True)
        if on and not self.name.get(cluster):
            raise DecError(f'name cluster "{cluster}" first, then accept it')
        return [self._set("accepted", cluster, True if on else None)]

    def _mark(self, said: dict) -> list[Change]:
        label = class_name(said.get("class"))
        if said.get("new") and label in self.classes():
            raise DecError(f'there is a class "{label}" already')
        items = self._items(said.get("items"))
        return [self._set("answer", i, label or None) for i in dict.fromkeys(items)]

    def _split(self, said: dict) -> list[Change]:
        cluster, into = self._known(said.get("cluster")), said.get("into")
        items = self._items(said.get("items"))
        own = {i for i, c in self.cluster.items() if c == cluster}
        if not isinstance(into, str) or not names_folder(into):
            raise DecError("a part needs a name")
        if into in self.cluster.values() or into == cluster:
            raise DecError(f'there is a cluster "{into}" already')
        if not items or not set(items) < own:
            raise DecError(f'cluster "{cluster}" cannot be parted so')
        return [
            *(self._set("cluster", i, into) for i in dict.fromkeys(items)),
            self._set("name", into, self.name.get(cluster)),
            # Somebody who parts it has not found it right as a whole.
            self._set("accepted", cluster, None),
            self._set("accepted", into, None),
        ]

    def _merge(self, said: dict) -> list[Change]:
        gone, into = self._known(said.get("cluster")), self._known(said.get("into"))
        if gone == into:
            raise DecError("a cluster cannot be merged with itself")
        ours, theirs = self.name.get(into), self.name.get(gone)
        both = self.accepted.get(into) and self.accepted.get(gone) and ours == theirs
        return [
            *(self._set("cluster", i, into) for i in self.members(gone)),
            self._set("name", into, ours or theirs),
            self._set("accepted", into, True if both else None),
            self._set("name", gone, None),
            self._set("accepted", gone, None),
        ]

    def _undo(self, said: dict) -> list[Change]:
        if not self.done:
            raise DecError("there is nothing to undo")
        return [(t, key, new, old) for t, key, old, new in reversed(self.done[-1])]

    def _redo(self, said: dict) -> list[Change]:
        if not self.undone:
            raise DecError("there is nothing to redo")
        return self.undone[-1]


def _order(cluster: str) -> tuple:
    head = cluster.split("-")[0]
    return (len(head) if head.isdigit() else 99, head, len(cluster), cluster)
