"""Splits photos into train, val and test, look-alikes never over two of them."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dec.base.errors import DecError
from dec.photos.duplicates import alike

SETS = ("train", "val", "test")


def groups(
    sha256: list[str],
    phash: list[int | None],
    dhash: list[int | None],
    distance: int,
) -> np.ndarray:
    """The group of every photo: who looks like whom, over any number of steps.

    Photos are alike when their bytes are equal, or when their phash differs in at
    most `distance` bits of 64 and their dhash in at most twice as many. None: a photo
    that has no hash, being of one flat colour.
    """
    n = len(sha256)
    first: dict[str, int] = {}
    pairs = [(first.setdefault(digest, i), i) for i, digest in enumerate(sha256)]
    rows = np.array([i for i in range(n) if phash[i] is not None], int)
    if len(rows):
        hashes = np.array([(phash[i], dhash[i]) for i in rows], np.uint64)
        both, node = np.unique(hashes, axis=0, return_inverse=True)
        node = node.reshape(-1)
        # Any photo of these hashes stands for all of them.
        stands = np.full(len(both), -1)
        stands[node] = rows
        pairs += zip(stands[node].tolist(), rows.tolist(), strict=True)
        for i, j in alike(*both.T.copy(), distance):
            pairs += zip(stands[i].tolist(), stands[j].tolist(), strict=True)
    a, b = np.array(pairs, int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(a), bool), (a, b)), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def split(
    labels: np.ndarray,
    group: np.ndarray,
    shares: tuple[float, float, float],
    seed: int,
    classes: list[str],
) -> np.ndarray:
    """The set of every photo, 0, 1, 2 for train, val, test.

    Class by class, whole groups at random: test and val are filled up to their shares
    of the class, the rest is train. A group of photos of several classes counts to
    the one that most of it belongs to. Raises DecError for a class that cannot have a
    photo in each set.
    """
    own = np.empty(len(labels), int)
    members: dict[int, list[int]] = {}
    for i, g in enumerate(group.tolist()):
        members.setdefault(g, []).append(i)
    class_of = {
        g: int(np.bincount(labels[rows]).argmax()) for g, rows in members.items()
    }
    for label in range(len(classes)):
        rng = np.random.default_rng([seed, label])
        mine = [g for g in members if class_of[g] == label]
        mine = [mine[i] for i in rng.permutation(len(mine))]
        total = sum(len(members[g]) for g in mine)
        for number in (2, 1):
            taken = _take(mine, members, max(1, int(total * shares[number] + 0.5)))
            mine = [g for g in mine if g not in taken]
            for g in taken:
                own[members[g]] = number
        for g in mine:
            own[members[g]] = 0
    _check(labels, group, own, classes)
    return own


def _take(mine, members, wanted) -> set[int]:
    """Groups of together `wanted` photos, or as near below as it goes; one at least."""
    taken, count = set(), 0
    for g in mine:
        if count + len(members[g]) <= wanted:
            taken.add(g)
            count += len(members[g])
    if not taken and mine:
        taken.add(min(mine, key=lambda g: len(members[g])))
    return taken


def _check(labels, group, own, classes):
    for label, name in enumerate(classes):
        there = labels == label
        missing = [s for i, s in enumerate(SETS) if not (own[there] == i).any()]
        if missing:
            photos, alike = int(there.sum()), len(np.unique(group[there]))
            which = f"{photos} photo" + ("s" if photos != 1 else "")
            if alike < photos:
                which += f", {alike} of them different,"
            raise DecError(
                f'class "{name}": {which} cannot be split into train, val and test '
                f"({' and '.join(missing)} would have none): it needs at least three "
                "that do not look alike. Add photos, or leave the class out "
                "(--without)."
            )
