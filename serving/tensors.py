"""Tensors of requests and answers on the wire."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import BadRequestError

DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
}
"""Types of the Open Inference Protocol that have a fixed size; BYTES has none."""
BYTES = "BYTES"
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Tensor:
    """Named array with its type in the protocol."""

    name: str
    datatype: str
    values: np.ndarray
    """Array of the type's dtype in native byte order; for BYTES of dtype object, whose elements are `bytes`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the array."""
        return tuple(self.values.shape)


def read_raw(name: str, datatype: str, shape: Sequence[int], raw: bytes | memoryview) -> Tensor:
    """Read a tensor from the protocol's binary form.

    Values lie one after another, little-endian and in C order; each element of BYTES has its length as 4 bytes before
    it. The array shares the memory of `raw` where it can.

    Raises:
        BadRequestError: the type is unknown, a size is negative, or the length does not fit.
    """
    count = _count(name, shape)
    if datatype == BYTES:
        return Tensor(name, BYTES, shape_values(name, _split_elements(name, count, memoryview(raw)), shape))
    dtype = _dtype(name, datatype)
    if len(raw) != count * dtype.itemsize:
        raise BadRequestError(
            f"the input {name} has {len(raw)} bytes, expected {count * dtype.itemsize} for {datatype} "
            f"of shape {list(shape)}"
        )
    values = np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype, copy=False)
    return Tensor(name, datatype, shape_values(name, values, shape))


def read_values(name: str, datatype: str, shape: Sequence[int], values: Any) -> Tensor:
    """Read a tensor from a list, as JSON has it.

    Raises:
        BadRequestError: the type is unknown, the number of values does not fit the shape, or a value does not fit the
            type; BYTES are text.
    """
    count = _count(name, shape)
    flat = _flatten(name, values, count)
    if datatype == BYTES:
        if not all(isinstance(value, str) for value in flat):
            raise BadRequestError(f"the input {name} is BYTES, expected a list of text; send pictures in binary form")
        array = np.empty(count, object)
        array[:] = [value.encode("utf-8", "surrogateescape") for value in flat]
        return Tensor(name, BYTES, shape_values(name, array, shape))
    return Tensor(name, datatype, shape_values(name, _convert(name, datatype, flat), shape))


def write_raw(tensor: Tensor) -> bytes:
    """Write a tensor in the protocol's binary form; see `read_raw`."""
    if tensor.datatype == BYTES:
        return b"".join(_LENGTH.pack(len(value)) + value for value in tensor.values.ravel().tolist())
    return np.ascontiguousarray(tensor.values, tensor.values.dtype.newbyteorder("<")).tobytes()


def pack_bytes(name: str, elements: Sequence[bytes]) -> Tensor:
    """Make a BYTES tensor [N] of elements."""
    values = np.empty(len(elements), object)
    values[:] = list(elements)
    return Tensor(name, BYTES, values)


def shape_values(name: str, values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Give a flat array its shape.

    Raises:
        BadRequestError: no array has this shape, because of too many sizes or beside a size of 0 too large ones.
    """
    try:
        return values.reshape(tuple(shape))
    except (ValueError, OverflowError) as error:
        sizes = f"{len(shape)} sizes" if len(shape) > 8 else f"the sizes {list(shape)}"
        raise BadRequestError(
            f"the input {name} has {sizes}, which no array has; send the shape of a picture"
        ) from error


def _count(name: str, shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise BadRequestError(f"the input {name} has the shape {list(shape)}, expected sizes of 0 or more")
        count *= size
    return count


def _dtype(name: str, datatype: str) -> np.dtype:
    if datatype not in DTYPES:
        raise BadRequestError(
            f"the input {name} has the datatype {datatype!r}, expected one of {', '.join(DTYPES)}, BYTES"
        )
    return DTYPES[datatype]


def _split_elements(name: str, count: int, raw: memoryview) -> np.ndarray:
    elements: list[bytes] = []
    place = 0
    while place < len(raw):
        if place + _LENGTH.size > len(raw):
            break
        (length,) = _LENGTH.unpack_from(raw, place)
        place += _LENGTH.size + length
        if place > len(raw):
            break
        elements.append(bytes(raw[place - length : place]))
    if place != len(raw) or len(elements) != count:
        raise BadRequestError(
            f"the input {name} holds {len(elements)} whole elements in {len(raw)} bytes, expected {count}, "
            "each with its length as 4 bytes before it"
        )
    array = np.empty(count, object)
    array[:] = elements
    return array


def _flatten(name: str, values: Any, count: int) -> list[Any]:
    """Flatten nested lists, without more values than the shape has."""
    flat: list[Any] = []
    waiting = [iter([values])]
    while waiting:
        value = next(waiting[-1], waiting)
        if value is waiting:
            waiting.pop()
        elif isinstance(value, list):
            waiting.append(iter(value))
        else:
            flat.append(value)
        if len(flat) > count or len(waiting) > 16:
            break
    if not isinstance(values, list) or len(flat) != count or waiting:
        got = "more" if len(flat) > count else len(flat)
        raise BadRequestError(f"the input {name} has {got} values in its list, expected {count} as its shape says")
    return flat


def _convert(name: str, datatype: str, flat: list[Any]) -> np.ndarray:
    dtype = _dtype(name, datatype)
    kinds: tuple[type, ...] = (bool,) if dtype.kind == "b" else (int,) if dtype.kind in "iu" else (int, float)
    for value in flat:
        if not isinstance(value, kinds) or (isinstance(value, bool) and dtype.kind != "b"):
            raise BadRequestError(f"the input {name} holds {str(value)[:40]!r}, expected values of {datatype}")
    try:
        return np.asarray(flat, dtype)
    except (OverflowError, ValueError) as error:
        raise BadRequestError(f"the input {name} holds a value beyond {datatype}: {error}") from error
