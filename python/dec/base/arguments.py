"""What the command lines' options may be, as types for argparse."""

import argparse
import re


def natural(text: str) -> int:
    """0, 1, 2, ..."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return number


def positive(text: str) -> int:
    """1, 2, ..."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def hash_bits(text: str) -> int:
    """By how many bits of 64 two hashes may differ: 0 to 10."""
    number = int(text)
    if not 0 <= number <= 10:
        raise argparse.ArgumentTypeError(f"{text} is not in 0..10")
    return number


def width_x_height(text: str) -> tuple[int, int]:
    """Width and height in pixels, as 200x120."""
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text)
    numbers = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(numbers):
        raise argparse.ArgumentTypeError(f"{text} is not a size such as 200x120")
    return numbers


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Adds the seed by which a data set's rows are ordered."""
    parser.add_argument("--seed", type=int, help="of the order of the rows (1)")


def add_features(parser: argparse.ArgumentParser) -> None:
    """Adds what photos are described by."""
    parser.add_argument(
        "--features",
        metavar="NET",
        help="what describes photos: a net of prototxt/features (squeezenet, caffenet, "
        "resnet50 …; NET:BLOB for another of its blobs), hog for HOG and colours, auto "
        "for squeezenet where its weights can be had (auto)",
    )


def add_seeds(parser: argparse.ArgumentParser) -> None:
    """Adds the seeds with which the same is run again and again."""
    parser.add_argument(
        "--seeds", type=_seeds, default=(1, 2, 3), metavar="N,N", help="(1,2,3)"
    )


def _seeds(text: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(natural(part) for part in text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not such as 1,2,3") from None
