"""Which number of clusters some criteria name, and why, in words."""

import math
from itertools import pairwise

from dec.base.errors import DecError

# What is asked; where each names another number, the first decides.
CRITERIA = ("stability", "silhouette", "generalizability")
_ALIKE = 0.01  # of stability: no difference
_ERRORS = 2  # of a fall of generalizability, for it to be one


def decide(curve: list[dict]) -> dict:
    """The number of clusters by a curve, as `choose` has it: k, why, votes, agree.

    Stability names its largest value; of several as good (within 0.01) the one of most
    clusters, since few large ones tend to be stable. The silhouette names its largest
    value, generalizability the number after which it falls most, if a fall is more than
    two standard errors. The number named most often is taken, else the first one's.
    """
    votes = {
        "stability": _most(curve, "stability", _ALIKE),
        "silhouette": _most(curve, "silhouette", 0.0),
        "generalizability": _before_fall(curve),
    }
    named = [k for k in votes.values() if k is not None]
    if not named:
        raise DecError(
            "--clusters: nothing tells how many clusters there are: no number of them "
            "could be told from chance; name one"
        )
    k = max(named, key=named.count)
    return {
        "k": k,
        "why": _why(k, votes, {entry["k"]: entry for entry in curve}),
        "votes": votes,
        "agree": len(set(named)) == 1,
    }


def disagreement(found: dict) -> str:
    """What to think of criteria that name different numbers, in a sentence."""
    named = [f"{name} names {k}" for name, k in found["votes"].items() if k is not None]
    return (
        f"the criteria disagree ({', '.join(named)}), so the data do not settle how "
        "many clusters there are: compare runs with --clusters"
    )


def _most(curve: list[dict], name: str, alike: float) -> int | None:
    known = [entry for entry in curve if entry[name] is not None]
    if not known:
        return None
    best = max(entry[name] for entry in known)
    return max(entry["k"] for entry in known if entry[name] >= best - alike)


def _before_fall(curve: list[dict]) -> int | None:
    falls = {}
    for one, other in pairwise(curve):
        g, then = one["generalizability"], other["generalizability"]
        if g is None or then is None:
            continue
        if g - then > _ERRORS * math.hypot(one["error"], other["error"]):
            falls[one["k"]] = g - then
    return max(falls, key=falls.get) if falls else None


def _why(k: int, votes: dict, at: dict[int, dict]) -> str:
    words = {
        "stability": "new starts agree most ({:.3f})",
        "silhouette": "the silhouette is largest ({:.3f})",
        "generalizability": "generalizability is about to fall most (from {:.3f})",
    }
    reasons = [words[name].format(at[k][name]) for name in CRITERIA if votes[name] == k]
    *first, last = reasons
    joined = f"{', '.join(first)} and {last}" if first else last
    return f"{k} clusters, of {min(at)} to {max(at)}, since {joined} there."
