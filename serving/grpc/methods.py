"""Methods of the protocol that need no waiting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from tritonclient.grpc import service_pb2

from ..contract import TensorSpec
from ..errors import BadRequestError, ServingError, UnknownModelError
from ..plane.plane import DataPlane

SERVICE = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
PREFIX = f"/{SERVICE.full_name}/"
"""Beginning of the path of every method."""
OPEN = frozenset({"ServerLive", "ServerReady"})
"""Methods that need no token, because probes of an orchestrator have none."""
NOT_SERVED = {
    "RepositoryModelLoad": "this server opens its models once; start it again to serve others",
    "RepositoryModelUnload": "this server keeps its models until it ends; start it again to serve others",
    "SystemSharedMemory": "this server has no shared memory; send the tensors in the message",
    "CudaSharedMemory": "this server has no shared memory; send the tensors in the message",
    "TraceSetting": "this server traces no requests; its access log and its metrics have their times",
    "LogSettings": "the log has the settings of the start; start the server again to change them",
}
"""Sentences by the beginning of the name of methods that this server does not have."""


class NotServedError(ServingError):
    """Request for a method that this server does not have."""

    http_status = 501
    grpc_status = "UNIMPLEMENTED"


def refuse_method(path: str) -> NotServedError:
    """Make the error for a method that is not served."""
    name = path.removeprefix(PREFIX)
    for beginning, sentence in NOT_SERVED.items():
        if path.startswith(PREFIX) and name.startswith(beginning):
            return NotServedError(f"{name} is not served: {sentence}")
    return NotServedError(f"there is no method {path[:200]!r}; methods are those of {SERVICE.full_name}")


def parse_message(name: str, raw: bytes) -> Any:
    """Parse the request of a method.

    Args:
        name: name of the method, without its service.
        raw: serialized message.

    Raises:
        BadRequestError: the bytes are no such message.
    """
    kind = SERVICE.methods_by_name[name].input_type.name
    try:
        return getattr(service_pb2, kind).FromString(raw)
    except DecodeError as error:
        raise BadRequestError(
            f"the message of {len(raw)} bytes is no {kind} of {SERVICE.full_name}; send what its protobuf says"
        ) from error


def _answer_live(plane: DataPlane, _message: Any) -> Message:
    return service_pb2.ServerLiveResponse(live=plane.is_live)


def _answer_ready(plane: DataPlane, _message: Any) -> Message:
    return service_pb2.ServerReadyResponse(ready=plane.is_ready)


def _answer_model_ready(plane: DataPlane, message: Any) -> Message:
    """Tell whether a model is ready.

    An unknown one is not, as with Triton.
    """
    try:
        ready = plane.is_model_ready(message.name, message.version)
    except UnknownModelError:
        ready = False
    return service_pb2.ModelReadyResponse(ready=ready)


def _describe_server(plane: DataPlane, _message: Any) -> Message:
    facts = plane.describe_server()
    return service_pb2.ServerMetadataResponse(name=facts.name, version=facts.version, extensions=facts.extensions)


def _describe_model(plane: DataPlane, message: Any) -> Message:
    facts = plane.describe_model(message.name, message.version)

    def describe(spec: TensorSpec) -> Message:
        return service_pb2.ModelMetadataResponse.TensorMetadata(
            name=spec.name, datatype=spec.datatype, shape=spec.shape
        )

    return service_pb2.ModelMetadataResponse(
        name=facts.name,
        versions=facts.versions,
        platform=facts.platform,
        inputs=[describe(spec) for spec in facts.contract.inputs],
        outputs=[describe(spec) for spec in facts.contract.outputs],
    )


def _configure_model(plane: DataPlane, message: Any) -> Message:
    config = {"config": plane.configure_model(message.name, message.version)}
    return json_format.ParseDict(config, service_pb2.ModelConfigResponse())


def _count(plane: DataPlane, message: Any) -> Message:
    counts = {"model_stats": plane.count(message.name, message.version)}
    return json_format.ParseDict(counts, service_pb2.ModelStatisticsResponse())


def _list_models(plane: DataPlane, message: Any) -> Message:
    """List the models, or those that are ready.

    The name of a repository is not looked at, because there is one.
    """
    models = [
        service_pb2.RepositoryIndexResponse.ModelIndex(
            name=one.name, version=one.version, state=one.state, reason=one.reason
        )
        for one in plane.list_models()
        if one.state == "READY" or not message.ready
    ]
    return service_pb2.RepositoryIndexResponse(models=models)


METHODS: Mapping[str, Callable[[DataPlane, Any], Message]] = {
    "ServerLive": _answer_live,
    "ServerReady": _answer_ready,
    "ModelReady": _answer_model_ready,
    "ServerMetadata": _describe_server,
    "ModelMetadata": _describe_model,
    "ModelConfig": _configure_model,
    "ModelStatistics": _count,
    "RepositoryIndex": _list_models,
}
"""Answers by the name of the method; each takes the plane and the parsed request."""
