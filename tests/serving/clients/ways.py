"""Ways in which clients of Triton ask, each with NVIDIA's own package, unchanged."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from tests.patience import PATIENCE
from tests.serving.clients.targets import Target

"""Seconds after which a test fails; none of them is ever waited for."""


@dataclass(frozen=True)
class Ask:
    """Inference that a client asks for."""

    model: str
    tensors: Mapping[str, np.ndarray]
    outputs: tuple[str, ...] = ()
    """Names of the outputs; none leaves the choice to the server."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments that all clients take: request_id, model_version, parameters, timeout."""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Shapes to announce, where they are not those of the tensors."""
    datatypes: Mapping[str, str] = field(default_factory=dict)
    """Types to announce, where they are not those of the tensors."""


@dataclass(frozen=True)
class Reply:
    """Answer as a client sees it."""

    values: dict[str, np.ndarray]
    """Outputs in the order of the answer."""
    datatypes: tuple[str, ...]
    id: str
    model: str
    version: str
    parameters: dict[str, Any]


Way = Callable[[Target, Ask], Reply]


def make_arguments(package: Any, ask: Ask, *, binary: bool | None = None) -> dict[str, Any]:
    """Make the arguments of a client's method.

    Args:
        package: tritonclient.http or tritonclient.grpc.
        ask: the question.
        binary: whether tensors go as bytes or as JSON; None for gRPC, which has no choice.
    """
    choice = {} if binary is None else {"binary_data": binary}
    inputs = []
    for name, values in ask.tensors.items():
        tensor = package.InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype))
        tensor.set_data_from_numpy(values, **choice)
        if name in ask.shapes:
            tensor.set_shape(list(ask.shapes[name]))
        if name in ask.datatypes:
            _announce(tensor, ask.datatypes[name])
        inputs.append(tensor)
    names = ask.outputs if binary is not False else ask.outputs or ("restored", "mask", "density")
    outputs = [package.InferRequestedOutput(name, **choice) for name in names] or None
    return {"model_name": ask.model, "inputs": inputs, "outputs": outputs, **ask.options}


def _announce(tensor: Any, datatype: str) -> None:
    """Announce another type than the data have, which the client's own checks do not let through."""
    if hasattr(tensor, "_input"):
        tensor._input.datatype = datatype
    else:
        tensor._datatype = datatype


def read_http(result: Any) -> Reply:
    found = result.get_response()
    outputs = found["outputs"]
    return Reply(
        {one["name"]: result.as_numpy(one["name"]) for one in outputs},
        tuple(one["datatype"] for one in outputs),
        found.get("id", ""),
        found["model_name"],
        found["model_version"],
        found.get("parameters", {}),
    )


def read_grpc(result: Any) -> Reply:
    found = result.get_response()
    return Reply(
        {one.name: result.as_numpy(one.name) for one in found.outputs},
        tuple(one.datatype for one in found.outputs),
        found.id,
        found.model_name,
        found.model_version,
        {name: getattr(one, one.WhichOneof("parameter_choice")) for name, one in found.parameters.items()},
    )


def ask_http(target: Target, ask: Ask, *, binary: bool = True, coding: str | None = None) -> Reply:
    package = tritonclient.http
    codings = {"request_compression_algorithm": coding, "response_compression_algorithm": coding}
    with package.InferenceServerClient(target.http_address, network_timeout=PATIENCE) as client:
        return read_http(client.infer(**make_arguments(package, ask, binary=binary), **codings))


def ask_http_later(target: Target, ask: Ask) -> Reply:
    package = tritonclient.http
    with package.InferenceServerClient(target.http_address, concurrency=3, network_timeout=PATIENCE) as client:
        futures = [client.async_infer(**make_arguments(package, ask, binary=True)) for _ in range(3)]
        return take_equal([read_http(one.get_result(timeout=PATIENCE)) for one in futures])


def ask_http_aio(target: Target, ask: Ask) -> Reply:
    package = tritonclient.http.aio

    async def run() -> list[Reply]:
        async with package.InferenceServerClient(target.http_address, conn_timeout=PATIENCE) as client:
            tasks = [client.infer(**make_arguments(package, ask, binary=True)) for _ in range(3)]
            return [read_http(one) for one in await asyncio.gather(*tasks)]

    return take_equal(asyncio.run(run()))


def ask_grpc(target: Target, ask: Ask, *, coding: str | None = None) -> Reply:
    package = tritonclient.grpc
    with package.InferenceServerClient(target.grpc_address) as client:
        arguments = make_arguments(package, ask)
        return read_grpc(client.infer(**arguments, compression_algorithm=coding, client_timeout=PATIENCE))


def ask_grpc_later(target: Target, ask: Ask) -> Reply:
    package = tritonclient.grpc
    found: queue.Queue[tuple[Any, Any]] = queue.Queue()
    with package.InferenceServerClient(target.grpc_address) as client:
        for _ in range(3):
            client.async_infer(
                **make_arguments(package, ask),
                callback=lambda result, error: found.put((result, error)),
                client_timeout=PATIENCE,
            )
        return take_equal([read_grpc(_take(found)) for _ in range(3)])


def ask_grpc_aio(target: Target, ask: Ask) -> Reply:
    package = tritonclient.grpc.aio

    async def run() -> list[Reply]:
        async with package.InferenceServerClient(target.grpc_address) as client:
            tasks = [client.infer(**make_arguments(package, ask), client_timeout=PATIENCE) for _ in range(3)]
            return [read_grpc(one) for one in await asyncio.gather(*tasks)]

    return take_equal(asyncio.run(run()))


def ask_stream(target: Target, ask: Ask) -> Reply:
    package = tritonclient.grpc
    found: queue.Queue[tuple[Any, Any]] = queue.Queue()
    with package.InferenceServerClient(target.grpc_address) as client:
        client.start_stream(lambda result, error: found.put((result, error)), stream_timeout=PATIENCE)
        for _ in range(3):
            client.async_stream_infer(**make_arguments(package, ask))
        client.stop_stream()
        return take_equal([read_grpc(_take(found)) for _ in range(3)])


def ask_stream_aio(target: Target, ask: Ask) -> Reply:
    package = tritonclient.grpc.aio

    async def run() -> Reply:
        async def questions() -> Any:
            yield make_arguments(package, ask)

        async with package.InferenceServerClient(target.grpc_address) as client:
            async for result, error in client.stream_infer(questions(), stream_timeout=PATIENCE):
                if error is not None:
                    raise error
                return read_grpc(result)
        raise AssertionError("the stream ended without an answer")

    return asyncio.run(run())


def _take(found: queue.Queue[tuple[Any, Any]]) -> Any:
    result, error = found.get(timeout=PATIENCE)
    if error is not None:
        raise error
    return result


def take_equal(replies: list[Reply]) -> Reply:
    """Return the first of several answers to one question, which are all equal."""
    first = replies[0]
    for other in replies[1:]:
        assert list(other.values) == list(first.values)
        for name, values in first.values.items():
            np.testing.assert_array_equal(other.values[name], values)
    return first


FILE_WAYS: dict[str, Way] = {
    "http": ask_http,
    "http-later": ask_http_later,
    "http-aio": ask_http_aio,
    "grpc": ask_grpc,
    "grpc-later": ask_grpc_later,
    "grpc-aio": ask_grpc_aio,
    "stream": ask_stream,
    "stream-aio": ask_stream_aio,
}
"""Ways that also carry files."""
WAYS: dict[str, Way] = {
    **FILE_WAYS,
    "http-json": lambda target, ask: ask_http(target, ask, binary=False),
    "http-gzip": lambda target, ask: ask_http(target, ask, coding="gzip"),
    "http-deflate": lambda target, ask: ask_http(target, ask, coding="deflate"),
    "grpc-gzip": lambda target, ask: ask_grpc(target, ask, coding="gzip"),
    "grpc-deflate": lambda target, ask: ask_grpc(target, ask, coding="deflate"),
}


def refuse(target: Target, ask: Ask, way: str) -> tuple[str, str]:
    """Ask what cannot be answered, and return the status and the sentence."""
    try:
        reply = WAYS[way](target, ask)
    except InferenceServerException as error:
        return str(error.status()).removeprefix("StatusCode."), str(error.message())
    raise AssertionError(f"it was answered: {reply}")
