"""Answers as JSON, with or without binary data."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..contract import Contract
from ..errors import BadRequestError, TooLargeError
from ..plane.messages import InferAnswer, InferRequest
from ..tensors import BYTES, Tensor, write_raw
from .requests import BinaryChoice, list_outputs

JSON_VALUES = 8_000_000
"""Largest number of values that an answer has in JSON; a picture of 1920 x 1080 has 6.2 million."""

Part = bytes | memoryview


class PartsResponse(Response):
    """Answer of several parts, which are sent without being joined."""

    def __init__(self, parts: Sequence[Part], headers: Mapping[str, str], media_type: str) -> None:
        """Keep the parts.

        Args:
            parts: bytes in the order of the body.
            headers: headers besides Content-Length and Content-Type.
            media_type: type of the content.
        """
        super().__init__(None, 200, None, media_type)
        self.headers.update(headers)
        self.headers["Content-Length"] = str(sum(len(part) for part in parts))
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the parts."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for part in self._parts:
            if len(part):
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def check_choice(contract: Contract, request: InferRequest, choice: BinaryChoice) -> None:
    """Refuse picture files as JSON before any work is done.

    Raises:
        BadRequestError: an output of BYTES is asked for as JSON.
    """
    types = {one.name: one.datatype for one in contract.outputs}
    for name in list_outputs(contract, request):
        if types.get(name) == BYTES and not choice.takes(name):
            raise BadRequestError(
                f"the output {name} is a picture file, which JSON cannot hold; ask for binary output with the "
                "parameter binary_data of the output or binary_data_output of the request"
            )


async def write_answer(answer: InferAnswer, choice: BinaryChoice, accepted: str | None) -> Response:
    """Write an answer.

    Args:
        answer: the answer.
        choice: outputs that go in binary form.
        accepted: value of the header Accept-Encoding; see `choose_coding`.

    Raises:
        TooLargeError: the outputs as JSON would have more than `JSON_VALUES` values.
    """
    listed = sum(one.values.size for one in answer.outputs if not choice.takes(one.name))
    if listed > JSON_VALUES:
        raise TooLargeError(
            f"the answer has {listed} values as JSON, and this server writes at most {JSON_VALUES}; "
            "ask for binary output"
        )
    coding = choose_coding(accepted)
    if listed <= 10_000 and coding is None:
        return _make_response(answer, choice, None)
    return await asyncio.to_thread(_make_response, answer, choice, coding)


def _make_response(answer: InferAnswer, choice: BinaryChoice, coding: str | None) -> Response:
    raws: list[Part] = []
    outputs = []
    for tensor in answer.outputs:
        entry: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        if choice.takes(tensor.name):
            raws.append(view_raw(tensor))
            entry["parameters"] = {"binary_data_size": len(raws[-1])}
        else:
            entry["data"] = _list_values(tensor)
        outputs.append(entry)
    document: dict[str, Any] = {"model_name": answer.model, "model_version": answer.version}
    if answer.id:
        document["id"] = answer.id
    if answer.parameters:
        document["parameters"] = dict(answer.parameters)
    head = json.dumps({**document, "outputs": outputs}, allow_nan=False).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))} if raws else {}
    parts: list[Part] = [head, *raws]
    if coding is not None:
        parts = [_compress(parts, coding)]
        headers |= {"Content-Encoding": coding}
    return PartsResponse(parts, headers, "application/octet-stream" if raws else "application/json")


def view_raw(tensor: Tensor) -> Part:
    """Return a tensor in binary form.

    Nothing is copied where the memory of the tensor has that form already.
    """
    values = tensor.values
    if tensor.datatype == BYTES or not values.flags.c_contiguous or values.dtype.newbyteorder("<") != values.dtype:
        return write_raw(tensor)
    return values.reshape(-1).view("u1").data


def choose_coding(accepted: str | None) -> str | None:
    """Return the encoding of an answer.

    A client that names one encoding asks for it. One that names several, as browsers do for everything, takes what is
    best: none, because a picture file does not become smaller.

    Args:
        accepted: value of the header Accept-Encoding; None if it is absent.

    Returns:
        "gzip" or "deflate"; None for none.
    """
    named = [one.strip().lower() for one in (accepted or "").split(",") if one.strip()]
    return named[0] if len(named) == 1 and named[0] in ("gzip", "deflate") else None


def _compress(parts: Sequence[Part], coding: str) -> bytes:
    stream = zlib.compressobj(1, zlib.DEFLATED, 31 if coding == "gzip" else 15)
    return b"".join([*(stream.compress(part) for part in parts), stream.flush()])


def _list_values(tensor: Tensor) -> list[Any]:
    if tensor.datatype != BYTES:
        values: list[Any] = tensor.values.ravel().tolist()
        return values
    try:
        return [value.decode() for value in tensor.values.ravel().tolist()]
    except UnicodeDecodeError as error:
        raise BadRequestError(
            f"the output {tensor.name} is no text, which JSON needs; ask for binary output"
        ) from error
