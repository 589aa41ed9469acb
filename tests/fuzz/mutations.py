"""Mutations of files: bytes, values of JSON, words of text, and messages of ONNX."""

from __future__ import annotations

import copy
import json
import random
import struct
from collections.abc import Iterator
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 7, 255, 4096, 2**31, 2**63, -(2**63), 10**18, 1.5, -0.0, 1e308, 1e-320,
    "", "a", "é😀", "\ud800", "../x", "/etc/passwd", "a\0b", "a\nb", "$(id)", "[red]", "\x1b[31m", "x" * 3000,
    [], {}, [[]], {"a": None}, [0, 1, 2], ["a", 1], {"": {"": {}}},
)  # fmt: skip
"""Values where others are expected."""
TEXTS = ("9" * 5000, "NaN", "-Infinity", "1e999", "[" * 3000, "{" * 3000, '"\\ud800"', "0x10", "\x00", "\ufeff", "// a")
"""Words where values are expected."""
BYTES = (b"", b"\0", b"\xff" * 8, b"\0" * 64, b"[" * 2000, struct.pack("<I", 2**31), struct.pack(">I", 2**31 - 1))
"""Bytes to write over others."""


def mutate_bytes(data: bytes, chance: random.Random) -> bytes:
    """Flip, cut, repeat, move or overwrite some bytes."""
    content = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        size = len(content)
        # Headers decide most, and most of them stand in front.
        place = chance.randrange(min(size, chance.choice((64, 512, size))) or 1) if size else 0
        match chance.randrange(7):
            case 0 if size:
                content[place] ^= 1 << chance.randrange(8)
            case 1 if size:
                content[place] = chance.randrange(256)
            case 2:
                del content[place:]
            case 3:
                del content[place : place + chance.randrange(1, 64)]
            case 4:
                content[place:place] = content[place : place + chance.randrange(1, 300)]
            case 5:
                odd = chance.choice(BYTES)
                content[place : place + len(odd)] = odd
            case _:
                content[place:place] = chance.randbytes(chance.randrange(1, 20))
    return bytes(content)


def mutate_values(values: Any, chance: random.Random) -> Any:
    """Replace, remove, rename, move or nest some of the values of JSON."""
    root = [copy.deepcopy(values)]
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        holder, key = chance.choice(list(_list_places(root)))
        match chance.randrange(6):
            case 0 | 1:
                holder[key] = copy.deepcopy(chance.choice(ODD))
            case 2 if isinstance(holder, dict):
                del holder[key]
            case 3 if isinstance(holder, dict):
                holder[chance.choice(("", "x", "fp32", "a b", "\ud800", f"{key}2"))] = holder.pop(key)
            case 4:
                other, place = chance.choice(list(_list_places(root)))
                holder[key] = copy.deepcopy(other[place])
            case _:
                holder[key] = _change_number(holder[key], chance)
    return root[0]


def _list_places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _list_places(value[key])


def _change_number(value: Any, chance: random.Random) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return [value]
    return chance.choice((value + 1, -value, value * 2**10, value / 3, float(value), str(value), value * 10**20))


def mutate_json(data: bytes, chance: random.Random) -> bytes:
    """Change values of a JSON text, and sometimes its words or bytes."""
    kind = chance.random()
    text = json.dumps(mutate_values(json.loads(data), chance)) if kind < 0.75 else data.decode()
    if 0.7 < kind < 0.9:
        text = mutate_text(text, chance)
    content = text.encode("utf-8", "surrogatepass")
    return mutate_bytes(content, chance) if kind >= 0.9 else content


def mutate_text(text: str, chance: random.Random) -> str:
    """Write odd words into a text, or remove, swap or repeat lines."""
    lines = text.split("\n")
    at = chance.randrange(len(lines))
    match chance.randrange(5):
        case 0:
            words = lines[at].split(" ")
            words[chance.randrange(len(words))] = chance.choice(TEXTS)
            lines[at] = " ".join(words)
        case 1:
            del lines[at]
        case 2:
            lines.insert(chance.randrange(len(lines)), lines[at])
        case 3:
            name, separator, value = lines[at].partition(chance.choice(("=", ":")))
            odd = chance.choice((*TEXTS, json.dumps(chance.choice(ODD)), "2020-13-45", "*a", "&a [*a]", "!!python/x y"))
            lines[at] = f"{name}{separator or '='} {odd}" if value or not separator else f"{name} {odd}"
        case _:
            place = chance.randrange(len(text) + 1)
            return text[:place] + chance.choice(TEXTS) + text[place:]
    return "\n".join(lines)


def mutate_message(message: Any, chance: random.Random) -> None:
    """Change some fields of a protocol buffer in place, at any depth."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        holders = list(_list_messages(message))
        holder = chance.choice(holders)
        fields = holder.ListFields()
        if fields:
            field, value = chance.choice(fields)
            _change_field(holder, field, value, chance)


def _list_messages(message: Any) -> Iterator[Any]:
    yield message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for one in value if hasattr(value, "__len__") else [value]:
                yield from _list_messages(one)


def _change_field(holder: Any, field: Any, value: Any, chance: random.Random) -> None:
    if field.type == field.TYPE_ENUM:
        setattr(holder, field.name, chance.choice(list(field.enum_type.values_by_number)))
        return
    repeated = hasattr(value, "__len__") and not isinstance(value, (str, bytes))
    if chance.random() < 0.2:
        holder.ClearField(field.name)
    elif repeated and len(value) and field.type != field.TYPE_MESSAGE:
        value[chance.randrange(len(value))] = _find_scalar(value[0], chance)
    elif repeated and len(value):
        if chance.random() < 0.5:
            del value[chance.randrange(len(value))]
        else:
            value.append(copy.deepcopy(value[chance.randrange(len(value))]))
    elif field.type != field.TYPE_MESSAGE and not repeated:
        setattr(holder, field.name, _find_scalar(value, chance))


def _find_scalar(value: Any, chance: random.Random) -> Any:
    if isinstance(value, bytes):
        return mutate_bytes(value, chance)
    if isinstance(value, str):
        return chance.choice(("", "x", "image", "restored", "Conv", "Reshape", "Loop", "é", value + "2", "spair"))
    if isinstance(value, float):
        return chance.choice((0.0, -1.0, float("nan"), float("inf"), 1e30))
    return chance.choice((0, 1, 2, 3, 7, 11, 16, 100, 2**20))
