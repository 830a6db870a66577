"""The numbers of clusters that `--clusters auto` chooses from."""

import argparse
import re
from typing import NamedTuple

from dec.base.arguments import positive

MOST = 20  # that "auto" tries


class Span(NamedTuple):
    """From `least` to `most` clusters; most: None for as many as the rows allow."""

    least: int = 2
    most: int | None = None


def clusters(text: str) -> int | Span:
    """A number of clusters, "auto", or a range such as 5..15; for argparse."""
    if text == "auto":
        return Span()
    match = re.fullmatch(r"(\d+)\.\.(\d+)", text)
    if match is None:
        try:
            return positive(text)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{text} is neither a number, nor a range such as 2..20, nor auto"
            ) from None
    least, most = int(match[1]), int(match[2])
    if least < 2:
        raise argparse.ArgumentTypeError(
            f"{text}: a choice begins at 2 clusters; of one there is nothing to tell"
        )
    if most <= least:
        raise argparse.ArgumentTypeError(
            f"{text}: leaves no choice; the smaller number comes first, as in 2..20"
        )
    return Span(least, most)
