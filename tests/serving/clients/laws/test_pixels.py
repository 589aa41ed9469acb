"""Pictures as tensors, asked for in every way that clients have."""

import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.patience import PATIENCE
from tests.serving.clients.pictures import SIZES, find_with_density, make_picture, stack
from tests.serving.clients.ways import WAYS, Ask, ask_grpc, ask_http, ask_http_aio

NAMES = ("restored", "mask", "density")


def ask_for(target, tensor, *outputs, **options):
    return Ask(target.name, {"image": tensor}, outputs, options)


def check(values, reference, pictures):
    """Compare outputs with the reference, bit for bit."""
    for place, picture in enumerate(pictures):
        restored, mask, density = reference(picture)
        if "restored" in values:
            np.testing.assert_array_equal(values["restored"][place], restored.transpose(2, 0, 1))
        if "mask" in values:
            np.testing.assert_array_equal(values["mask"][place], mask[None])
        if "density" in values:
            assert values["density"][place] == np.float32(density)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_what_the_restorer_gives(target, way):
    picture = make_picture((19, 30))
    reply = WAYS[way](target, ask_for(target, stack(picture), request_id="mine"))
    check(reply.values, target.reference, [picture])
    assert (tuple(reply.values), reply.datatypes) == (NAMES, ("UINT8", "UINT8", "FP32"))
    assert [one.shape for one in reply.values.values()] == [(1, 3, 19, 30), (1, 1, 19, 30), (1,)]
    assert (reply.id, reply.model, reply.version) == ("mine", target.name, "1")


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("way", ["http", "grpc"])
def test_pictures_of_any_size_are_restored(target, way, size):
    picture = make_picture(size)
    check(WAYS[way](target, ask_for(target, stack(picture))).values, target.reference, [picture])


@pytest.mark.parametrize("way", ["http", "http-json", "grpc", "stream"])
def test_each_picture_of_a_batch_is_restored_alone(target, way):
    pictures = [make_picture((13, 22), seed) for seed in range(2)] + [np.zeros((13, 22, 3), np.uint8)]
    reply = WAYS[way](target, ask_for(target, stack(*pictures)))
    check(reply.values, target.reference, pictures)
    assert reply.values["density"].tolist()[2] == 0.0 < reply.values["density"][0]


@pytest.mark.parametrize("way", ["http", "grpc"])
def test_a_clean_picture_comes_back_unchanged(target, way):
    picture = find_with_density(target, 0.0)
    reply = WAYS[way](target, ask_for(target, stack(picture)))
    np.testing.assert_array_equal(reply.values["restored"], stack(picture))
    assert not reply.values["mask"].any() and reply.values["density"].tolist() == [0.0]


@pytest.mark.parametrize("way", ["http", "grpc"])
def test_a_picture_that_is_distorted_everywhere_is_restored(target, way):
    if target.full is None:
        pytest.skip("this server has no model that finds every pixel distorted")
    picture = make_picture((19, 30))
    reply = WAYS[way](target, Ask(target.full.name, {"image": stack(picture)}))
    check(reply.values, target.full.reference, [picture])
    assert reply.values["mask"].all() and reply.values["density"].tolist() == [1.0]
    assert (reply.values["restored"] != stack(picture)).any()


@pytest.mark.parametrize("outputs", [("density",), ("mask", "restored"), ("density", "restored", "mask")], ids=str)
@pytest.mark.parametrize("way", ["http", "http-json", "http-gzip", "grpc", "stream"])
def test_the_outputs_that_were_asked_for_come_and_no_others(target, way, outputs):
    picture = make_picture((7, 5))
    reply = WAYS[way](target, ask_for(target, stack(picture), *outputs))
    assert sorted(reply.values) == sorted(outputs)
    if target.kind == "spair":  # Triton gives them in the order of the model
        assert tuple(reply.values) == outputs
    check(reply.values, target.reference, [picture])


def test_outputs_may_be_binary_and_json_in_one_answer(target):
    import tritonclient.http as package

    picture = make_picture((7, 5))
    tensor = package.InferInput("image", [1, 3, 7, 5], "UINT8")
    tensor.set_data_from_numpy(stack(picture), binary_data=False)
    outputs = [package.InferRequestedOutput(name, binary_data=name == "mask") for name in NAMES]
    with package.InferenceServerClient(target.http_address, network_timeout=PATIENCE) as client:
        result = client.infer(target.name, [tensor], outputs=outputs)
    check({name: result.as_numpy(name) for name in NAMES}, target.reference, [picture])
    assert ["data" in one for one in result.get_response()["outputs"]] == [True, False, True]


@pytest.mark.parametrize("way", ["http", "grpc"])
def test_the_version_may_be_named(target, way):
    picture = make_picture((7, 5))
    reply = WAYS[way](target, ask_for(target, stack(picture), model_version="1"))
    check(reply.values, target.reference, [picture])


@pytest.mark.parametrize("ask", [ask_http, ask_http_aio, ask_grpc])
def test_parameters_and_priorities_that_mean_nothing_here_do_no_harm(target, ask):
    picture = make_picture((7, 5))
    options = {"parameters": {"who": "me", "count": 3, "flag": True}, "priority": 1, "timeout": 60_000_000}
    check(ask(target, ask_for(target, stack(picture), **options)).values, target.reference, [picture])


def test_typed_contents_give_what_raw_ones_give(target):
    import grpc

    picture = make_picture((7, 5))
    message = service_pb2.ModelInferRequest(model_name=target.name)
    contents = service_pb2.InferTensorContents(uint_contents=stack(picture).ravel().tolist())
    message.inputs.add(name="image", datatype="UINT8", shape=[1, 3, 7, 5], contents=contents)
    with grpc.insecure_channel(target.grpc_address) as channel:
        answer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(message, timeout=PATIENCE)
    names = [one.name for one in answer.outputs]
    restored = np.frombuffer(answer.raw_output_contents[names.index("restored")], np.uint8)
    np.testing.assert_array_equal(restored.reshape(3, 7, 5), target.reference(picture)[0].transpose(2, 0, 1))


def test_ways_do_not_disturb_each_other(target):
    """HTTP and gRPC at the same time, each with pictures of another size."""
    from concurrent.futures import ThreadPoolExecutor

    pictures = [make_picture((9 + place, 12), place) for place in range(4)]
    ways = ("grpc", "stream", "grpc", "http-aio")
    with ThreadPoolExecutor(len(ways)) as pool:
        asks = [ask_for(target, stack(one)) for one in pictures]
        replies = list(pool.map(lambda way, ask: WAYS[way](target, ask), ways, asks))
    for reply, picture in zip(replies, pictures, strict=True):
        check(reply.values, target.reference, [picture])
