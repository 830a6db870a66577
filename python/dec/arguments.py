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
