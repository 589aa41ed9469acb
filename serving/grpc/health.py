"""Standard health check of gRPC, `grpc.health.v1`.

Its messages are built here from the published definition: a package for two fields would be one more to install.
"""

from __future__ import annotations

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from ..errors import BadRequestError, UnknownModelError
from ..plane.plane import DataPlane
from .methods import SERVICE

CHECK = "/grpc.health.v1.Health/Check"
"""Path of the only method; callers of Watch are told that there is none, and then check again and again."""
SERVING, NOT_SERVING = 1, 2


def _make_file() -> descriptor_pb2.FileDescriptorProto:
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="spair/health.proto", package="grpc.health.v1", syntax="proto3")
    request = file.message_type.add(name="HealthCheckRequest")
    request.field.add(name="service", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    response = file.message_type.add(name="HealthCheckResponse")
    response.field.add(name="status", number=1, type=kinds.TYPE_INT32, label=kinds.LABEL_OPTIONAL)
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_make_file())
HealthCheckRequest = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("grpc.health.v1.HealthCheckRequest"))
HealthCheckResponse = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("grpc.health.v1.HealthCheckResponse"))


def check_health(plane: DataPlane, raw: bytes) -> bytes:
    """Answer a health check.

    Args:
        plane: models to look at.
        raw: serialized request; its service is empty or the protocol's for the whole server, or names a model.

    Raises:
        BadRequestError: the bytes are no request.
        UnknownModelError: the service is not known.
    """
    try:
        service = HealthCheckRequest.FromString(raw).service
    except DecodeError as error:
        raise BadRequestError(f"the message of {len(raw)} bytes is no HealthCheckRequest") from error
    if service in ("", SERVICE.full_name):
        ready = plane.is_ready
    elif service in {one.name for one in plane.list_models()}:
        ready = plane.is_model_ready(service)
    else:
        raise UnknownModelError(f"there is no service {service[:200]!r}; name a model, or nothing for the server")
    return bytes(HealthCheckResponse(status=SERVING if ready else NOT_SERVING).SerializeToString())
