"""Calls beside inference: health, metadata, configurations, statistics, the index, and what is not served."""

import asyncio
import os
import time

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from tritonclient.utils import InferenceServerException

from tests.patience import PATIENCE
from tests.serving.clients.pictures import make_picture, stack
from tests.serving.clients.ways import Ask, ask_grpc, ask_http, make_arguments

DOORS = ("http", "grpc")


@pytest.fixture(params=DOORS)
def client(request, target):
    if request.param == "http":
        found = tritonclient.http.InferenceServerClient(target.http_address, network_timeout=PATIENCE)
    else:
        found = tritonclient.grpc.InferenceServerClient(target.grpc_address)
    with found:
        yield found


def call(client, name, *arguments, **options):
    """Call a method, with its answer as JSON in either way."""
    as_json = {} if isinstance(client, tritonclient.http.InferenceServerClient) else {"as_json": True}
    return getattr(client, name)(*arguments, **as_json, **options)


def fail(client, name, *arguments):
    with pytest.raises(InferenceServerException) as caught:
        call(client, name, *arguments)
    return str(caught.value.status()).removeprefix("StatusCode."), caught.value.message()


def test_server_and_models_are_ready(client, target):
    assert client.is_server_live() and client.is_server_ready()
    for name in (target.name, f"{target.name}_bytes"):
        assert client.is_model_ready(name) and client.is_model_ready(name, "1")
    assert not client.is_model_ready("nobody")


def test_clients_on_an_event_loop_get_the_same(target):
    async def ask(package, address):
        async with package.InferenceServerClient(address) as client:
            assert await client.is_server_live() and await client.is_server_ready()
            assert await client.is_model_ready(target.name)
            return await client.get_model_metadata(target.name)

    metadata = asyncio.run(ask(tritonclient.http.aio, target.http_address))
    other = asyncio.run(ask(tritonclient.grpc.aio, target.grpc_address))
    assert metadata["name"] == other.name == target.name


def test_the_server_names_itself_and_its_extensions(client, target):
    found = call(client, "get_server_metadata")
    assert found["name"] == ("triton" if target.kind == "triton" else "spair")
    assert found["version"]
    expected = {"binary_tensor_data", "model_repository", "model_configuration", "statistics", "parameters"}
    assert expected <= set(found["extensions"])


def test_metadata_of_models_are_the_contract(client, target):
    found = call(client, "get_model_metadata", target.name)
    assert (found["name"], found["versions"]) == (target.name, ["1"])

    def describe(tensors):
        return [(one["name"], one["datatype"], [int(size) for size in one["shape"]]) for one in tensors]

    assert describe(found["inputs"]) == [("image", "UINT8", [-1, 3, -1, -1])]
    assert sorted(describe(found["outputs"])) == [
        ("density", "FP32", [-1]),
        ("mask", "UINT8", [-1, 1, -1, -1]),
        ("restored", "UINT8", [-1, 3, -1, -1]),
    ]
    found = call(client, "get_model_metadata", f"{target.name}_bytes", "1")
    assert describe(found["inputs"]) == [("image", "BYTES", [1])]
    assert sorted(describe(found["outputs"])) == [
        ("density", "FP32", [1]),
        ("mask", "BYTES", [1]),
        ("restored", "BYTES", [1]),
    ]


def test_the_configuration_names_the_tensors(client, target):
    found = call(client, "get_model_config", target.name)
    config = found.get("config", found)
    assert config["name"] == target.name
    assert [(one["name"], one["data_type"]) for one in config["input"]] == [("image", "TYPE_UINT8")]
    assert {one["name"]: one["data_type"] for one in config["output"]} == {
        "restored": "TYPE_UINT8",
        "mask": "TYPE_UINT8",
        "density": "TYPE_FP32",
    }


def test_the_index_has_both_models(client, target):
    found = call(client, "get_model_repository_index")
    states = {one["name"]: one.get("state") for one in (found.get("models", []) if isinstance(found, dict) else found)}
    assert {states[target.name], states[f"{target.name}_bytes"]} == {"READY"}


def test_statistics_count_what_was_asked(client, target):
    def count():
        stats = call(client, "get_inference_statistics", target.name)["model_stats"]
        (found,) = [one for one in stats if one["name"] == target.name]
        success = found["inference_stats"]["success"]
        return int(success.get("count", 0)), int(found.get("inference_count", 0)), int(success.get("ns", 0))

    ask = Ask(target.name, {"image": stack(make_picture((7, 5)), make_picture((7, 5), 1))})
    before = count()
    ask_http(target, ask)
    ask_grpc(target, ask)
    after = count()
    assert after[0] == before[0] + 2
    assert after[1] > before[1] and after[2] > before[2]


def test_statistics_of_all_models_have_each(client, target):
    names = {one["name"] for one in call(client, "get_inference_statistics")["model_stats"]}
    assert {target.name, f"{target.name}_bytes"} <= names


@pytest.mark.parametrize("method", ["get_model_metadata", "get_model_config", "get_inference_statistics"])
def test_an_unknown_model_has_no_description(client, target, method):
    status, sentence = fail(client, method, "nobody")
    assert status in {"404", "NOT_FOUND"} or target.kind == "triton"
    assert "nobody" in sentence


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("register_system_shared_memory", ("region", "/spair-no-such-region", 64)),
        ("get_system_shared_memory_status", ()),
        ("get_cuda_shared_memory_status", ()),
        ("load_model", ("nobody",)),
        ("unload_model", ("nobody",)),
        ("get_trace_settings", ()),
        ("get_log_settings", ()),
    ],
    ids=str,
)
def test_what_the_server_does_not_have_is_refused_with_a_sentence(client, target, method, arguments):
    if target.kind == "triton":
        pytest.skip("Triton has it")
    with pytest.raises(InferenceServerException) as caught:
        getattr(client, method)(*arguments)
    status = str(caught.value.status()).removeprefix("StatusCode.")
    assert status == ("404" if isinstance(client, tritonclient.http.InferenceServerClient) else "UNIMPLEMENTED")
    assert len(caught.value.message()) > 20


def test_system_shared_memory_works_where_the_server_has_it(target):
    if target.kind != "triton":
        pytest.skip("spair serve has no shared memory; it refuses it, see above")
    import tritonclient.utils.shared_memory as shared

    picture = make_picture((7, 5))
    tensor = stack(picture)
    key = f"/client-suite-{os.getpid()}"
    handle = shared.create_shared_memory_region("in", key, tensor.nbytes)
    try:
        shared.set_shared_memory_region(handle, [tensor])
        with tritonclient.grpc.InferenceServerClient(target.grpc_address) as client:
            client.register_system_shared_memory("in", key, tensor.nbytes)
            try:
                one = tritonclient.grpc.InferInput("image", list(tensor.shape), "UINT8")
                one.set_shared_memory("in", tensor.nbytes)
                restored = client.infer(target.name, [one]).as_numpy("restored")
            finally:
                client.unregister_system_shared_memory("in")
    finally:
        shared.destroy_shared_memory_region(handle)
    np.testing.assert_array_equal(restored[0], target.reference(picture)[0].transpose(2, 0, 1))


def test_a_deadline_of_the_client_ends_its_call(target):
    """The picture takes longer than the deadline by orders of magnitude, and the server answers others afterwards."""
    large = Ask(target.name, {"image": stack(*(make_picture((200, 200), seed) for seed in range(6)))})
    with tritonclient.grpc.InferenceServerClient(target.grpc_address) as client:
        with pytest.raises(InferenceServerException) as caught:
            client.infer(**make_arguments(tritonclient.grpc, large), client_timeout=0.01)
        assert caught.value.status() == "StatusCode.DEADLINE_EXCEEDED"
    small = make_picture((7, 5))
    reply = ask_grpc(target, Ask(target.name, {"image": stack(small)}))
    np.testing.assert_array_equal(reply.values["restored"], stack(target.reference(small)[0]))


@pytest.mark.parametrize("door", DOORS)
def test_the_timeout_of_the_protocol_ends_a_request_that_waits(target, door):
    if target.kind == "triton":
        pytest.skip("Triton takes a timeout only where the queue policy of a model allows it")
    ask = Ask(target.name, {"image": stack(make_picture((7, 5)))}, options={"timeout": 1})
    with pytest.raises(InferenceServerException) as caught:
        (ask_http if door == "http" else ask_grpc)(target, ask)
    assert str(caught.value.status()) == ("504" if door == "http" else "StatusCode.DEADLINE_EXCEEDED")


def test_a_cancelled_call_leaves_the_server_well(target):
    import queue

    found = queue.Queue()
    ask = Ask(target.name, {"image": stack(make_picture((200, 200)))})
    with tritonclient.grpc.InferenceServerClient(target.grpc_address) as client:
        handle = client.async_infer(
            **make_arguments(tritonclient.grpc, ask), callback=lambda result, error: found.put((result, error))
        )
        handle.cancel()
        result, error = found.get(timeout=PATIENCE)
        assert (result is None) != (error is None)
        assert error is None or "CANCELLED" in str(error.status())
    small = make_picture((7, 5))
    assert ask_grpc(target, Ask(target.name, {"image": stack(small)})).values["restored"].shape == (1, 3, 7, 5)


@pytest.mark.parametrize("door", DOORS)
def test_the_id_of_a_request_comes_back(target, door):
    ask = Ask(target.name, {"image": stack(make_picture((7, 5)))}, options={"request_id": f"id-{time.time_ns()}"})
    assert (ask_http if door == "http" else ask_grpc)(target, ask).id == ask.options["request_id"]
