"""Search for byte stores that ptxas gets wrong.

The PTX text is read; no GPU is needed."""

from __future__ import annotations

import re
from collections.abc import Iterator

_STATEMENT = re.compile(r"\b([a-z]\w*(?:\.[\w:]+)+)\s+(.*)", re.DOTALL)
_TYPE = re.compile(r"\.(b?t?f\d+(?:x\d)?|[bsu]\d+|pred)\b")
"""Type suffixes of a PTX instruction; the first is the type of its destination."""
_BYTE_STORE = re.compile(r"st\..*\.[bsu]8")
_COPY = re.compile(r"mov\.|selp\.|cvt\.(?:sat\.)?[bsu]\d+\.[bsu]\d+$")
"""Instructions that keep the bits of a number, or its lowest bits where they make an integer narrower."""
_DECLARATION = re.compile(r"\.reg\s+\.b?f\d+(?:x\d)?\s+(%[a-z]+)")
_REGISTER = re.compile(r"%[a-z]+\d+")


def find_float_bytes(ptx: str) -> list[str]:
    """Find stores of one byte of a floating-point number.

    Returns the instructions as they stand in the PTX. PTX means the number's lowest byte. ptxas, wherever it knows that
    an instruction for floating-point numbers wrote the register, converts the number's value to a byte instead: F2I.U8
    or F2IP.U8 in the code for sm_80, 87, 90 and 100, with which an H100 computed wrong results.

    A register is taken to hold what was written to it last, in the order of the text: loops are not followed.
    """
    found = []
    floating: set[str] = set()
    declared: set[str] = set()
    for opcode, operands, text in _read(ptx):
        if opcode == ".entry":
            floating.clear()
            declared.clear()
        elif opcode == ".reg":
            declared.add(operands)
        elif _BYTE_STORE.match(opcode):
            value = operands.rpartition("]")[2]
            if any(name in floating or name.rstrip("0123456789") in declared for name in _REGISTER.findall(value)):
                found.append(text)
        else:
            written, values = _split(operands)
            of_numbers = floating.intersection(values) if _COPY.match(opcode) else _writes_numbers(opcode)
            (floating.update if of_numbers else floating.difference_update)(written)
    return found


def _read(ptx: str) -> Iterator[tuple[str, str, str]]:
    """Read PTX as a sequence of (opcode, operands, text).

    Beside instructions it gives declarations of float registers as (".reg", prefix, ""), and starts of functions as
    (".entry", "", "").
    """
    for statement in re.sub(r"//[^\n]*", "", ptx).split(";"):
        if re.search(r"\.(?:entry|func)\b", statement):
            yield ".entry", "", ""
        for prefix in _DECLARATION.findall(statement):
            yield ".reg", prefix, ""
        instruction = _STATEMENT.search(statement)
        if instruction:
            yield instruction[1], instruction[2], " ".join(instruction[0].split())


def _split(operands: str) -> tuple[list[str], list[str]]:
    """Split operands into registers that are written and all others.

    Written registers stand first, alone or in braces.
    """
    operands = operands.lstrip()
    first, _, rest = operands.partition("}" if operands.startswith("{") else ",")
    return ([] if first.startswith("[") else _REGISTER.findall(first)), _REGISTER.findall(rest)


def _writes_numbers(opcode: str) -> bool:
    kind = _TYPE.search(opcode)
    return kind is not None and "f" in kind[1] and not opcode.startswith(("setp.", "testp."))
