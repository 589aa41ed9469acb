"""Parsing of JSON that others may have written."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

MOST_DEPTH = 64
"""Largest number of lists and tables inside each other."""
MOST_DIGITS = 19
"""Digits of the largest whole number; one of 64 bits has no more."""
MOST_CHARACTERS = 4096
"""Characters of the longest text or name, as many as a path may have; messages repeat some of them."""


def parse_json(text: str | bytes) -> Any:
    """Parse JSON into values that can be written again.

    Python's parser takes more than JSON: NaN, numbers of thousands of digits, entries that stand twice, halves of
    characters that no file can hold. Each would fail later, far from the file's name.

    Args:
        text: the JSON; bytes are UTF-8.

    Raises:
        ValueError: the text is not JSON, or holds one of these; the message is a reason without the file's name.
    """
    try:
        values = json.loads(
            text,
            parse_int=_parse_whole,
            parse_float=_parse_float,
            parse_constant=_refuse_constant,
            object_pairs_hook=_make_table,
        )
    except RecursionError as error:
        raise ValueError(f"it is nested deeper than {MOST_DEPTH} levels") from error
    check_values(values)
    return values


def check_values(values: Any, most_depth: int = MOST_DEPTH) -> None:
    """Check depth, digits and text of parsed values.

    Args:
        values: tables, lists, texts, numbers and others, of JSON, TOML or YAML.
        most_depth: largest number of lists and tables inside each other.

    Raises:
        ValueError: they are nested deeper, a whole number has too many digits, or a text is too long or not writable as
            UTF-8.
    """
    level, depth = [values], 0
    while level:
        for value in level:
            _check_leaf(value)
        level = [part for value in level for part in _list_parts(value)]
        depth += 1
        if depth > most_depth + 1:
            raise ValueError(f"it is nested deeper than {most_depth} levels")


def shorten(words: object, most: int = 500) -> str:
    """Cut a reason that repeats a file, for a message."""
    text = str(words)
    return text if len(text) <= most else f"{text[:most]}…"


def _list_parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value
        yield from value.values()
    elif isinstance(value, (list, tuple, set)):
        yield from value


def _check_leaf(value: Any) -> None:
    if isinstance(value, str):
        if len(value) > MOST_CHARACTERS:
            raise ValueError(f"it holds a text of {len(value)} characters, expected at most {MOST_CHARACTERS}")
        if not _is_writable(value):
            raise ValueError(f"the text {value[:40]!a} holds half of a character; write it in UTF-8")
    elif isinstance(value, int) and value.bit_length() > 64:
        raise ValueError(f"it holds a whole number of more than {MOST_DIGITS} digits")


def _is_writable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # \ud800 and the like
        return False
    return True


def _parse_whole(digits: str) -> int:
    if len(digits.lstrip("-")) > MOST_DIGITS:
        raise ValueError(f"it holds a whole number of {len(digits)} digits, expected at most {MOST_DIGITS}")
    return int(digits)


def _parse_float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"it holds the number {digits[:40]}, which is too large")
    return value


def _refuse_constant(word: str) -> None:
    raise ValueError(f"it holds {word}, which is not JSON")


def _make_table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the entry {twice[:64]!a} stands twice")
    return table
