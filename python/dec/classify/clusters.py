"""Clusters of photos, from a table or from a run of DEC, and names for them."""

from collections import Counter
from pathlib import Path

from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.tables import read_pairs
from dec.data import leveldb


def read_clusters(source: Path) -> dict[str, str]:
    """The cluster of every photo, by its name below the folder of photos.

    source: a CSV file with the columns file and cluster, or the folder of a run of
    DEC on photos (its assignments.csv, with the names that its LevelDB keeps).
    Raises DecError where it is neither.
    """
    if source.is_dir():
        return _of_run(source)
    found = read_pairs(source, "file", "cluster")
    if not found:
        raise DecError(f"{printable(source)}: there are no photos in it")
    for line, cluster in found.values():
        if not cluster:
            raise DecError(f"{printable(source)}:{line}: the cluster is empty")
    return {name: cluster for name, (_, cluster) in found.items()}


def _of_run(run: Path) -> dict[str, str]:
    from dec.clustering.report.results import Results

    results = Results.read(run)
    names = leveldb.read_names(results.database)
    if names is None:
        raise DecError(
            f"{run}: its rows have no names (no names.txt in {results.database}): not "
            "a run on photos"
        )
    if len(names) != len(results.assigned):
        raise DecError(
            f"{results.database}: {len(names)} rows now; the run was on "
            f"{len(results.assigned)}"
        )
    return {n: str(c) for n, c in zip(names, results.assigned.tolist(), strict=True)}


def named_by_majority(
    clusters: dict[str, str], truth: dict[str, str], at_least: float = 0.0
) -> dict[str, str]:
    """For every cluster the class that most of its photos have: a user who looks.

    at_least: what share of a cluster's photos that has to be; mixed ones get no name.
    Raises DecError when this leaves a class out, or no photo has a class.
    """
    members: dict[str, Counter] = {}
    for name, cluster in clusters.items():
        if name in truth:
            members.setdefault(cluster, Counter())[truth[name]] += 1
    if not members:
        raise DecError("none of the photos in the clusters is in a class folder")
    names = {}
    for cluster, counts in sorted(members.items()):
        label, most = counts.most_common(1)[0]
        if most >= at_least * counts.total():
            names[cluster] = label
    missing = sorted(set(truth.values()) - set(names.values()))
    if missing:
        share = f"{at_least:.0%}" if at_least else "most"
        raise DecError(
            f'the {len(members)} clusters name no photo "{missing[0]}": in none are '
            f"{share} of the photos of this class. Make more clusters than there "
            f"are classes ({len(set(truth.values()))}); four times as many are a start"
        )
    return names
