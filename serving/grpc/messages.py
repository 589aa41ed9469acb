"""Inference messages of the protocol and of the plane."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2

from ..errors import BadRequestError
from ..plane.messages import InferAnswer, InferRequest
from ..tensors import BYTES, DTYPES, Tensor, pack_bytes, read_raw, shape_values, write_raw

FIELDS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Fields of InferTensorContents by type; FP16 has none and travels raw."""
Value = str | int | float | bool


def read_request(message: Any, now: float, remaining: float | None) -> InferRequest:
    """Read a ModelInferRequest.

    Tensors share the memory of the message's raw contents.

    Args:
        message: the parsed message.
        now: time of `time.monotonic`.
        remaining: seconds that the caller still waits; None for ever.

    Raises:
        BadRequestError: a tensor does not fit its type or shape, or the request wants what this server does not have.
    """
    parameters = _read_parameters(message.parameters)
    patience = [remaining, _read_timeout(parameters.pop("timeout", 0))]
    seconds = min((one for one in patience if one is not None), default=None)
    return InferRequest(
        model=message.model_name,
        version=message.model_version,
        id=message.id,
        inputs=_read_inputs(message),
        outputs=tuple(_read_wish(output) for output in message.outputs),
        deadline=None if seconds is None else now + seconds,
        parameters=parameters,
        door="grpc",
    )


def write_answer(answer: InferAnswer) -> Any:
    """Write a ModelInferResponse with raw contents."""
    response = service_pb2.ModelInferResponse(
        model_name=answer.model, model_version=answer.version, id=answer.id, parameters=_write_parameters(answer)
    )
    for tensor in answer.outputs:
        response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        response.raw_output_contents.append(write_raw(tensor))
    return response


def _read_inputs(message: Any) -> tuple[Tensor, ...]:
    """Read the tensors, which are all raw or all typed."""
    inputs, raw = message.inputs, message.raw_input_contents
    for one in inputs:
        _refuse_parameters(f"input {one.name}", one.parameters)
    if not raw:
        return tuple(_read_typed(one) for one in inputs)
    if len(raw) != len(inputs):
        raise BadRequestError(
            f"the request has {len(inputs)} inputs and {len(raw)} raw_input_contents, expected one for each input"
        )
    for one in inputs:
        if one.HasField("contents"):
            raise BadRequestError(f"the input {one.name} has contents beside raw_input_contents, expected one of them")
    return tuple(
        read_raw(one.name, one.datatype, tuple(one.shape), part) for one, part in zip(inputs, raw, strict=True)
    )


def _read_typed(one: Any) -> Tensor:
    """Read a tensor from InferTensorContents.

    Its fields are wider than some types.
    """
    field = FIELDS.get(one.datatype)
    if field is None:
        raise BadRequestError(
            f"the input {one.name} has the datatype {one.datatype!r} in contents, expected one of {', '.join(FIELDS)}; "
            "send others in raw_input_contents"
        )
    elements, shape = getattr(one.contents, field), tuple(one.shape)
    if min(shape, default=0) < 0 or len(elements) != math.prod(shape):
        raise BadRequestError(
            f"the input {one.name} has {len(elements)} values in {field} and the shape {list(shape)}, "
            "expected as many values as the shape says"
        )
    if one.datatype == BYTES:
        values = pack_bytes(one.name, list(elements)).values
        return Tensor(one.name, BYTES, shape_values(one.name, values, shape))
    wide = np.array(elements)
    values = wide.astype(DTYPES[one.datatype])
    if values.dtype.kind in "iu" and not np.array_equal(values, wide):
        raise BadRequestError(f"the input {one.name} has a value in {field} beyond {one.datatype}")
    return Tensor(one.name, one.datatype, shape_values(one.name, values, shape))


def _read_wish(output: Any) -> str:
    _refuse_parameters(f"output {output.name}", output.parameters)
    return str(output.name)


def _refuse_parameters(owner: str, parameters: Any) -> None:
    """Refuse parameters that would change the meaning of a tensor."""
    for name in parameters:
        if name.startswith("shared_memory"):
            raise BadRequestError(f"the {owner} has {name}, but this server has no shared memory; send the tensor")
        if name == "classification":
            raise BadRequestError(f"the {owner} has {name}, but this server does not rank values; take the tensor")


def _read_parameters(parameters: Any) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, parameter in parameters.items():
        kind = parameter.WhichOneof("parameter_choice")
        if kind is not None:
            found[name] = getattr(parameter, kind)
    return found


def _read_timeout(value: Value) -> float | None:
    """Read the protocol's timeout in microseconds; 0 stands for none."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadRequestError(f"the parameter timeout is {value!r}, expected a whole number of microseconds")
    return value / 1e6 or None


def _write_parameters(answer: InferAnswer) -> Mapping[str, Any]:
    fields: dict[type, str] = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}
    return {
        name: service_pb2.InferParameter(**{fields[type(value)]: value}) for name, value in answer.parameters.items()
    }
