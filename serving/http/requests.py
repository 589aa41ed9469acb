"""Requests in JSON, with or without binary data."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..contract import Contract
from ..errors import BadRequestError, TooLargeError
from ..plane.messages import InferRequest
from ..tensors import BYTES, Tensor, pack_bytes, read_raw, read_values

JSON_BYTES = 32 * 1024**2
"""Largest number of bytes of a request's JSON; numbers in JSON take much more memory than in binary form."""
HEADER_LENGTH = "inference-header-content-length"
"""Header with the number of bytes of JSON before binary data."""
DIMENSIONS = 8
"""Largest number of sizes of a shape."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class BinaryChoice:
    """Choice of the outputs that go in binary form."""

    default: bool = False
    """Choice for outputs that are not named."""
    named: Mapping[str, bool] = field(default_factory=dict)

    def takes(self, output: str) -> bool:
        """Tell whether an output goes in binary form."""
        return self.named.get(output, self.default)


@dataclass(frozen=True)
class Target:
    """Model that a request is for, and its deadline."""

    model: str
    version: str
    contract: Contract
    deadline: float
    """Time of `time.monotonic` after which the server's limit ends the request."""


def read_header_length(headers: Mapping[str, str]) -> int | None:
    """Return the length of the JSON before binary data.

    Args:
        headers: headers by lower-case name.

    Returns:
        Number of bytes; None where the whole body is JSON.

    Raises:
        BadRequestError: the header is no number.
    """
    given = headers.get(HEADER_LENGTH)
    if given is None:
        return None
    if not given.isascii() or not given.isdigit() or len(given) > 18:
        raise BadRequestError(
            f"the header Inference-Header-Content-Length is {given[:40]!r}, expected a number of bytes"
        )
    return int(given)


def parse_infer(target: Target, body: bytes | bytearray, length: int | None) -> tuple[InferRequest, BinaryChoice]:
    """Read a request for an inference.

    Tensors in binary form share the memory of the body.

    Args:
        target: the model.
        body: body of the request, decompressed.
        length: number of bytes of JSON at its start; None for the whole body, 0 for a body that is the only input's
            one element of BYTES without any JSON.

    Raises:
        BadRequestError: the body is not as the protocol says; the sentence names the place.
        TooLargeError: the JSON is longer than `JSON_BYTES`.
    """
    if length == 0:
        return _wrap_file(target, body)
    if length is not None and length > len(body):
        raise BadRequestError(
            f"the header Inference-Header-Content-Length says {length} bytes of JSON, but the body has {len(body)}"
        )
    document = parse_object(memoryview(body)[:length])
    inputs = _read_inputs(document, memoryview(body)[len(body) if length is None else length :])
    outputs = [_read_output(one) for one in _get(document, "outputs", list, "the request", [])]
    parameters = _read_parameters(document, "the request")
    default = _take_flag(parameters, "binary_data_output", "the request")
    request = InferRequest(
        model=target.model,
        version=target.version,
        inputs=inputs,
        id=_get(document, "id", str, "the request", ""),
        outputs=tuple(name for name, _ in outputs),
        deadline=_choose_deadline(parameters, target.deadline),
        parameters=parameters,
        door="http",
    )
    named = {name: binary for name, binary in outputs if binary is not None}
    return request, BinaryChoice(bool(default), named)


def parse_object(body: bytes | bytearray | memoryview) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        BadRequestError: it is no JSON, or no object.
        TooLargeError: it is longer than `JSON_BYTES`.
    """
    if len(body) > JSON_BYTES:
        raise TooLargeError(
            f"the JSON of the request has {len(body)} bytes, and this server takes at most {JSON_BYTES}; "
            "send tensors in binary form"
        )
    try:
        document = json.loads(str(body, "utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body is no JSON as the protocol has it: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise BadRequestError(f"the body is a JSON {type(document).__name__}, expected an object")
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no value of JSON")


def _wrap_file(target: Target, body: bytes | bytearray) -> tuple[InferRequest, BinaryChoice]:
    inputs = target.contract.inputs
    if len(inputs) != 1 or inputs[0].datatype != BYTES:
        raise BadRequestError(
            f"a body without JSON is for models with one input of BYTES, and {target.model} has "
            f"{', '.join(f'{one.name} {one.datatype} {list(one.shape)}' for one in inputs)}"
        )
    tensor = pack_bytes(inputs[0].name, [bytes(body)])
    request = InferRequest(target.model, (tensor,), target.version, deadline=target.deadline, door="http")
    return request, BinaryChoice(default=True)


def _read_inputs(document: dict[str, Any], rest: memoryview) -> tuple[Tensor, ...]:
    tensors: list[Tensor] = []
    for entry in _get(document, "inputs", list, "the request"):
        place = f"input {len(tensors)}"
        if not isinstance(entry, dict):
            raise BadRequestError(f"{place} is a JSON {type(entry).__name__}, expected an object")
        name = _get(entry, "name", str, place)
        parameters = _read_parameters(entry, f"the input {name}")
        size = parameters.pop("binary_data_size", None)
        if size is None:
            tensors.append(_read_listed(name, entry))
            continue
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(rest):
            raise BadRequestError(
                f"the input {name} has a binary_data_size of {size!r}, and {len(rest)} bytes are left in the body"
            )
        tensors.append(_read_tensor(name, entry, rest[:size]))
        rest = rest[size:]
    if len(rest):
        raise BadRequestError(f"{len(rest)} bytes of the body belong to no input; see binary_data_size")
    return tuple(tensors)


def _read_listed(name: str, entry: dict[str, Any]) -> Tensor:
    if "data" not in entry:
        raise BadRequestError(f"the input {name} has neither data nor the parameter binary_data_size")
    return _read_tensor(name, entry, entry["data"])


def _read_tensor(name: str, entry: dict[str, Any], source: Any) -> Tensor:
    place = f"the input {name}"
    shape: list[Any] = _get(entry, "shape", list, place)
    if len(shape) > DIMENSIONS:
        raise BadRequestError(f"{place} has {len(shape)} dimensions, expected at most {DIMENSIONS}")
    datatype = _get(entry, "datatype", str, place)
    try:
        if isinstance(source, memoryview):
            return read_raw(name, datatype, shape, source)
        return read_values(name, datatype, shape, source)
    except UnicodeEncodeError as error:
        raise BadRequestError(f"{place} holds half a surrogate pair, which is no text: {error.reason}") from error


def _read_output(entry: Any) -> tuple[str, bool | None]:
    if not isinstance(entry, dict):
        raise BadRequestError(f"an output is asked for as a JSON {type(entry).__name__}, expected an object")
    name = _get(entry, "name", str, "an output")
    parameters = _read_parameters(entry, f"the output {name}")
    binary = _take_flag(parameters, "binary_data", f"the output {name}")
    if parameters.get("classification"):
        raise BadRequestError(f"the output {name} is asked for as a classification; a picture has no classes")
    return name, binary


def _read_parameters(entry: dict[str, Any], place: str) -> dict[str, str | int | float | bool]:
    parameters: dict[str, Any] = dict(_get(entry, "parameters", dict, place, {}))
    for name, value in parameters.items():
        if not isinstance(value, (str, int, float, bool)):
            raise BadRequestError(
                f"the parameter {name} of {place} is {value!r:.40}, expected text, a number or a bool"
            )
        if name.startswith("shared_memory_"):
            raise BadRequestError(f"{place} is in shared memory, which this server does not read; send the data")
    return parameters


def _take_flag(parameters: dict[str, Any], name: str, place: str) -> bool | None:
    flag = parameters.pop(name, None)
    if flag is not None and not isinstance(flag, bool):
        raise BadRequestError(f"the parameter {name} of {place} is {flag!r:.40}, expected true or false")
    return flag


def _choose_deadline(parameters: dict[str, Any], latest: float) -> float:
    """Take the parameter `timeout` out, and return the earlier end."""
    timeout = parameters.pop("timeout", 0)
    if not isinstance(timeout, int) or isinstance(timeout, bool) or timeout < 0:
        raise BadRequestError(f"the parameter timeout is {timeout!r:.40}, expected whole microseconds, 0 for none")
    return min(latest, time.monotonic() + timeout / 1e6) if 0 < timeout < 10**15 else latest


_MISSING: Any = object()


def _get(entry: dict[str, Any], name: str, kind: type[Value], place: str, default: Any = _MISSING) -> Value:
    value = entry.get(name, default)
    if value is _MISSING:
        raise BadRequestError(f"{place} has no {name}")
    if not isinstance(value, kind):
        raise BadRequestError(f"the field {name} of {place} is a JSON {type(value).__name__}, expected {_WORDS[kind]}")
    return value


_WORDS: Mapping[type, str] = {list: "a list", dict: "an object", str: "text"}


def list_outputs(contract: Contract, request: InferRequest) -> Sequence[str]:
    """Return the names of the outputs of an answer."""
    return request.outputs or [one.name for one in contract.outputs]
