"""Requests that cannot be answered; each ends with a status and a sentence."""

import re

import numpy as np
import pytest

from tests.serving.clients.pictures import make_picture, stack
from tests.serving.clients.ways import WAYS, Ask, refuse

REFUSING = ("http", "http-aio", "grpc", "grpc-aio", "stream")
BAD = {"http": "400", "grpc": "INVALID_ARGUMENT"}
UNKNOWN = {"http": "404", "grpc": "NOT_FOUND"}
TENSOR = stack(make_picture((7, 5)))


def put(**fields):
    """Make a question for the model of a target that differs in some fields from a good one."""
    return lambda target: Ask(target.name, **{"tensors": {"image": TENSOR}, **fields})


def put_file(data):
    def make(target):
        values = np.empty(len(data), object)
        values[:] = data
        return Ask(f"{target.name}_bytes", {"image": values})

    return make


CASES = {
    "another name": (put(tensors={"picture": TENSOR}), "picture"),
    "a second input": (put(tensors={"image": TENSOR, "more": TENSOR}), "more"),
    "another dtype": (put(tensors={"image": TENSOR.astype(np.float32)}), "FP32"),
    "an unknown dtype": (put(datatypes={"image": "UINT9"}), "UINT9"),
    "another rank": (put(tensors={"image": TENSOR[0]}), r"\[3, ?7, ?5\]"),
    "four channels": (put(tensors={"image": np.zeros((1, 4, 7, 5), np.uint8)}), r"\[1, ?4, ?7, ?5\]"),
    "an empty batch": (put(tensors={"image": np.zeros((0, 3, 7, 5), np.uint8)}), "0"),
    "no rows": (put(tensors={"image": np.zeros((1, 3, 0, 5), np.uint8)}), "0"),
    "too few bytes": (put(shapes={"image": (1, 3, 7, 6)}), "1[02][56]"),
    "too many bytes": (put(shapes={"image": (1, 3, 7, 4)}), "84|105"),
    "a negative size": (put(shapes={"image": (1, 3, -7, -5)}), "-7"),
    "an unknown output": (put(outputs=("restored", "depth")), "depth"),
    "no picture": (put_file([b"no picture"]), ""),
    "no bytes": (put_file([b""]), ""),
    "a damaged picture": (put_file([b"\x89PNG\r\n\x1a\n" + bytes(50)]), ""),
    "two files": (put_file([b"a", b"b"]), r"\[2\]"),
}

EMPTY = ("an empty batch", "no rows")
"""Cases that Triton passes on to what computes the graph, which refuses them."""
FAILED = {"http": "500", "grpc": "INTERNAL"}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("way", REFUSING)
@pytest.mark.parametrize("case", CASES)
def test_a_bad_request_is_refused_with_a_sentence(target, case, way):
    if target.kind == "triton" and case == "a negative size":
        pytest.skip("a negative size over gRPC ends the process of the model in Triton 2.51")
    make, words = CASES[case]
    status, sentence = refuse(target, make(target), way)
    if way != "stream":  # a stream has sentences alone
        expected = FAILED if target.kind == "triton" and case in EMPTY else BAD
        assert status == expected[way.split("-")[0]]
    assert len(sentence) > 10 and "Traceback" not in sentence
    if target.kind == "spair":
        assert re.search(words, sentence), sentence


@pytest.mark.parametrize("way", REFUSING)
@pytest.mark.parametrize(("model", "version"), [("nobody", ""), (None, "7")], ids=["model", "version"])
def test_an_unknown_model_or_version_is_not_found(target, way, model, version):
    ask = Ask(model or target.name, {"image": TENSOR}, options={"model_version": version})
    status, sentence = refuse(target, ask, way)
    door = way.split("-")[0]
    if door in UNKNOWN and (target.kind == "spair" or door == "grpc"):
        assert status == UNKNOWN[door]
    assert (model or version) in sentence


@pytest.mark.parametrize("way", ["http", "grpc"])
def test_after_a_refusal_the_server_answers_on(target, way):
    refuse(target, CASES["another dtype"][0](target), way)
    refuse(target, CASES["no picture"][0](target), way)
    reply = WAYS[way](target, Ask(target.name, {"image": TENSOR}))
    np.testing.assert_array_equal(reply.values["restored"], stack(target.reference(make_picture((7, 5)))[0]))


def test_a_stream_goes_on_after_an_error(target):
    import queue

    import tritonclient.grpc as package

    from tests.patience import PATIENCE
    from tests.serving.clients.ways import make_arguments

    found = queue.Queue()
    good, bad = Ask(target.name, {"image": TENSOR}), CASES["another name"][0](target)
    with package.InferenceServerClient(target.grpc_address) as client:
        client.start_stream(lambda result, error: found.put((result, error)), stream_timeout=PATIENCE)
        for ask in (good, bad, good):
            client.async_stream_infer(**make_arguments(package, ask))
        client.stop_stream()
    answers = [found.get(timeout=PATIENCE) for _ in range(3)]
    assert sum(error is not None for _, error in answers) == 1
    assert sum(result is not None and result.as_numpy("restored").shape == (1, 3, 7, 5) for result, _ in answers) == 2
