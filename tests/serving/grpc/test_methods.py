import grpc
import pytest
from tritonclient.grpc import model_config_pb2, service_pb2

from spair.serving.errors import BadRequestError
from spair.serving.grpc.methods import METHODS, PREFIX, SERVICE, parse_message, refuse_method
from tests.patience import PATIENCE
from tests.serving.grpc.fakes import Running


@pytest.fixture(scope="module")
def door():
    with Running() as running:
        yield running


def fail(call, message):
    with pytest.raises(grpc.RpcError) as caught:
        call(message, timeout=PATIENCE)
    return caught.value.code(), caught.value.details()


def test_health_of_server_and_models_is_told(door):
    assert door.stub.ServerLive(service_pb2.ServerLiveRequest()).live
    assert door.stub.ServerReady(service_pb2.ServerReadyRequest()).ready
    ready = {
        name: door.stub.ModelReady(service_pb2.ModelReadyRequest(name=name)).ready
        for name in ("echo", "broken", "nobody")
    }
    assert ready == {"echo": True, "broken": False, "nobody": False}
    assert not door.stub.ModelReady(service_pb2.ModelReadyRequest(name="echo", version="2")).ready


def test_a_server_that_is_not_ready_says_so():
    with Running() as running:
        running.plane.is_ready = False
        assert running.stub.ServerLive(service_pb2.ServerLiveRequest()).live
        assert not running.stub.ServerReady(service_pb2.ServerReadyRequest()).ready


def test_metadata_are_those_of_the_plane(door):
    server = door.stub.ServerMetadata(service_pb2.ServerMetadataRequest())
    assert (server.name, server.version, list(server.extensions)) == ("spair", "1.2.3", ["statistics", "parameters"])
    model = door.stub.ModelMetadata(service_pb2.ModelMetadataRequest(name="echo", version="1"))
    assert (model.name, list(model.versions), model.platform) == ("echo", ["1"], "spair")
    assert [(one.name, one.datatype, list(one.shape)) for one in (*model.inputs, *model.outputs)] == [
        ("image", "UINT8", [-1, 3, -1, -1]),
        ("restored", "UINT8", [-1, 3, -1, -1]),
        ("mask", "UINT8", [-1, 1, -1, -1]),
        ("density", "FP32", [-1]),
    ]


def test_the_configuration_is_that_of_the_plane(door):
    config = door.stub.ModelConfig(service_pb2.ModelConfigRequest(name="echo")).config
    assert (config.name, config.platform, config.max_batch_size) == ("echo", "spair", 0)
    assert (config.input[0].name, config.input[0].data_type, list(config.input[0].dims)) == (
        "image",
        model_config_pb2.TYPE_UINT8,
        [-1, 3, -1, -1],
    )


def test_statistics_are_of_one_model_or_of_all(door):
    one = door.stub.ModelStatistics(service_pb2.ModelStatisticsRequest(name="echo")).model_stats
    assert [(each.name, each.inference_count, each.inference_stats.success.ns) for each in one] == [
        ("echo", 3, 5 * 10**9)
    ]
    every = door.stub.ModelStatistics(service_pb2.ModelStatisticsRequest()).model_stats
    assert [each.name for each in every] == ["echo", "broken"]


def test_the_index_has_all_models_or_the_ready_ones(door):
    models = door.stub.RepositoryIndex(service_pb2.RepositoryIndexRequest()).models
    assert [(one.name, one.version, one.state, one.reason) for one in models] == [
        ("echo", "1", "READY", ""),
        ("broken", "1", "UNAVAILABLE", "no worker"),
    ]
    ready = door.stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(ready=True)).models
    assert [one.name for one in ready] == ["echo"]


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("ModelMetadata", service_pb2.ModelMetadataRequest),
        ("ModelConfig", service_pb2.ModelConfigRequest),
        ("ModelStatistics", service_pb2.ModelStatisticsRequest),
    ],
)
def test_an_unknown_model_is_not_found(door, method, kind):
    code, details = fail(getattr(door.stub, method), kind(name="nobody"))
    assert (code, details) == (grpc.StatusCode.NOT_FOUND, "there is no model 'nobody' of version 1")


def test_every_method_of_the_protocol_is_served_or_refused_with_a_sentence(door):
    answered = {*METHODS, "ModelInfer", "ModelStreamInfer"}
    others = [one for one in SERVICE.methods if one.name not in answered]
    assert len(others) == 10
    for one in others:
        code, details = fail(getattr(door.stub, one.name), getattr(service_pb2, one.input_type.name)())
        assert code == grpc.StatusCode.UNIMPLEMENTED
        assert details.startswith(f"{one.name} is not served: ") and ";" in details


def test_a_path_of_another_service_is_refused():
    assert str(refuse_method("/x.Y/SystemSharedMemoryStatus")).startswith("there is no method '/x.Y/System")
    assert len(str(refuse_method(PREFIX + "x" * 9999))) < 500


def test_bytes_that_are_no_message_are_refused_by_name():
    with pytest.raises(BadRequestError, match="of 3 bytes is no ModelConfigRequest of inference.GRPCInferenceService"):
        parse_message("ModelConfig", b"\xff\xff\xff")
