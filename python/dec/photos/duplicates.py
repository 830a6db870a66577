"""Find photos that look alike: by perceptual hashes in far less than n^2, by rows."""

import numpy as np

_BITS = 64
_BLOCK = 1024  # rows by rows that are compared at once


def near_duplicates(
    phash: np.ndarray, dhash: np.ndarray, distance: int
) -> list[tuple[int, int]]:
    """Pairs (duplicate, kept) of rows; every row is at most once a duplicate.

    phash, dhash: n, uint64, best row first. Two rows look alike when their phash
    differs in at most `distance` (0..16) of 64 bits and their dhash in at most twice
    as many: two hashes that err independently. The best row of those that look like
    it is kept, and each duplicate looks like its kept row itself, not like a
    neighbour's neighbour.
    """
    both, node = np.unique(np.stack([phash, dhash]), axis=1, return_inverse=True)
    node = node.reshape(-1)
    neighbours: dict[int, list[int]] = {}
    for i, j in alike(*both, distance):
        for a, b in zip(i.tolist(), j.tolist(), strict=True):
            neighbours.setdefault(a, []).append(b)
            neighbours.setdefault(b, []).append(a)
    kept: dict[int, int] = {}  # node: the row that stands for it
    found = []
    for row, at in enumerate(node.tolist()):
        if at in kept:
            found.append((row, kept[at]))
            continue
        kept[at] = row
        for other in neighbours.get(at, ()):
            kept.setdefault(other, row)
    return found


def alike_rows(rows: np.ndarray, least: float) -> list[tuple[int, int, float]]:
    """(duplicate, kept, cosine) of rows; every row is at most once a duplicate.

    rows: n x d, best row first. Two rows are alike when the cosine of their angle is
    `least` or more. As in `near_duplicates`, the best row of those alike is kept. All
    are compared with all, n^2 d operations, in blocks. A row of zeros is like none.
    """
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(length > 0, length, 1)
    near: dict[int, list[tuple[int, float]]] = {}
    for first in range(0, len(unit), _BLOCK):
        for second in range(first, len(unit), _BLOCK):
            cosine = unit[first : first + _BLOCK] @ unit[second : second + _BLOCK].T
            for a, b in np.argwhere(cosine >= least).tolist():
                if first + a < second + b:
                    found = second + b, float(cosine[a, b])
                    near.setdefault(first + a, []).append(found)
    gone: set[int] = set()
    pairs = []
    for kept in sorted(near):
        if kept in gone:
            continue
        for row, cosine in near[kept]:
            if row not in gone:
                gone.add(row)
                pairs.append((row, kept, cosine))
    return pairs


def alike(phash, dhash, distance):
    """Yields arrays (i, j) of rows that look alike; phash is in order."""
    values, start, count = np.unique(phash, return_index=True, return_counts=True)
    for at, many in zip(start[count > 1], count[count > 1], strict=True):
        for i, j in _pairs(dhash[at : at + many], 2 * distance):
            yield at + i, at + j
    for i, j in _pairs(values, distance):
        for a, b in zip(i, j, strict=True):
            first = dhash[start[a] : start[a] + count[a], None]
            second = dhash[None, start[b] : start[b] + count[b]]
            x, y = np.nonzero(np.bitwise_count(first ^ second) <= 2 * distance)
            yield start[a] + x, start[b] + y


def _pairs(hashes, distance):
    """Yields arrays (i, j) of rows at most `distance` bits apart, each pair once.

    Of distance + 1 bands of bits, two such rows share one: so only rows with an equal
    band are compared. A pair is yielded for the first band that it shares.
    """
    edges = [_BITS * b // (distance + 1) for b in range(distance + 2)]
    masks = [
        np.uint64(((1 << high - low) - 1) << low)
        for low, high in zip(edges, edges[1:], strict=False)
    ]
    for band, mask in enumerate(masks):
        order = np.argsort(hashes & mask, kind="stable")
        ordered = hashes[order]
        keys = ordered & mask
        at = np.arange(len(keys))
        for step in range(1, len(keys)):
            at = at[at + step < len(keys)]
            at = at[keys[at] == keys[at + step]]
            if not len(at):
                break
            differing = ordered[at] ^ ordered[at + step]
            near = np.bitwise_count(differing) <= distance
            for earlier in masks[:band]:
                near &= (differing & earlier) != 0
            if near.any():
                yield order[at[near]], order[at[near] + step]
