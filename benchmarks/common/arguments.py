"""Types of command line arguments that the benchmarks share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence


def parse_shares(text: str) -> tuple[float, ...]:
    """Parse shares such as "0.02,0.1" as an argparse type.

    Each number has to be 0 to 1.
    """
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers such as 0.02,0.1") from error
    if not all(0.0 <= share <= 1.0 for share in shares):
        raise argparse.ArgumentTypeError(f"{text!r} has a density outside of 0..1")
    return shares


def parse_names(choices: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Make an argparse type for a list of `choices`.

    It takes names separated by commas; the list may be empty.
    """

    def parse(text: str) -> tuple[str, ...]:
        names = tuple(filter(None, text.split(",")))
        unknown = [name for name in names if name not in choices]
        if unknown:
            raise argparse.ArgumentTypeError(f"there is no {unknown[0]!r}; choose from {', '.join(choices)}")
        return names

    return parse


def parse_count(text: str) -> int:
    """Parse a whole number from 1 on.

    It is an argparse type.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def parse_size(text: str) -> tuple[int, int]:
    """Parse a size such as "1920x1080" as an argparse type.

    Returns width and height in pixels.
    """
    parts = text.split("x")
    if len(parts) != 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 1920x1080")
    return parse_count(parts[0]), parse_count(parts[1])
