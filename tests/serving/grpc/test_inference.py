import queue

import grpc
import pytest
from tritonclient.grpc import service_pb2

from spair.serving.grpc.inference import IN_FLIGHT, STATUS_HEADER
from tests.patience import PATIENCE
from tests.serving.grpc.fakes import Running, make_message

TIMEOUT = {"timeout": PATIENCE}


@pytest.fixture
def door():
    with Running() as running:
        yield running


class Sender:
    """Messages of a stream, sent when a test says so."""

    def __init__(self, stub, **kwargs):
        self._queue = queue.Queue()
        self.answers = stub.ModelStreamInfer(iter(self._queue.get, None), **TIMEOUT, **kwargs)

    def send(self, *messages):
        for message in messages:
            self._queue.put(message)

    def end(self):
        self._queue.put(None)


def test_a_stream_answers_in_the_order_of_its_messages(door):
    messages = [make_message("slow", id="a"), make_message(id="b"), make_message(id="c")]
    sender = Sender(door.stub)
    sender.send(*messages)
    for _ in messages:
        assert door.plane.entered.acquire(timeout=PATIENCE)
    door.open_gate()
    sender.end()
    answers = list(sender.answers)
    assert [one.infer_response.id for one in answers] == ["a", "b", "c"]
    assert {one.infer_response.raw_output_contents[0] for one in answers} == {messages[0].raw_input_contents[0]}


def test_an_error_is_the_answer_to_its_message_and_the_stream_goes_on(door):
    raw = door.channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
    messages = [make_message("nobody", id="a"), make_message("bug", id="b"), make_message(id="c")]
    sent = [messages[0].SerializeToString(), b"\xff\xff", *(one.SerializeToString() for one in messages[1:])]
    metadata = (("x-request-id", "stream"),)
    call = raw(iter(sent), metadata=metadata, **TIMEOUT)
    answers = [service_pb2.ModelStreamInferResponse.FromString(one) for one in call]
    assert [one.error_message for one in answers] == [
        "there is no model 'nobody'; served are echo",
        "the message of 2 bytes is no ModelInferRequest of inference.GRPCInferenceService; send what its protobuf says",
        "internal error, request id stream-3",
        "",
    ]
    assert [one.infer_response.id for one in answers] == ["a", "", "b", "c"]
    assert ("x-request-id", "stream") in {(one.key, one.value) for one in call.initial_metadata()}
    lines = [line for line in door.wait_for_lines(6) if line["event"] == "request"]
    assert [(line["id"], line["status"]) for line in lines] == [
        ("stream-1", "NOT_FOUND"),
        ("stream-2", "INVALID_ARGUMENT"),
        ("stream-3", "INTERNAL"),
        ("stream-4", "OK"),
        ("stream", "OK"),
    ]
    assert lines[-1]["bytes_in"] == sum(map(len, sent)) == sum(line["bytes_in"] for line in lines[:-1])
    assert lines[-1]["bytes_out"] == sum(line["bytes_out"] for line in lines[:-1]) > 0


def test_the_first_error_ends_a_stream_whose_caller_asks_for_its_status(door):
    messages = [make_message(id="a"), make_message("busy", id="b"), make_message("slow", id="c")]
    sender = Sender(door.stub, metadata=((STATUS_HEADER, "true"), ("x-request-id", "stream")))
    sender.send(*messages)
    assert next(sender.answers).infer_response.id == "a"
    with pytest.raises(grpc.RpcError, match="the queue is full") as caught:
        next(sender.answers)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert ("retry-after", "1") in {(one.key, one.value) for one in caught.value.trailing_metadata()}
    sender.end()
    lines = door.wait_for(lambda lines: bool(lines) and lines[-1]["id"] == "stream")
    assert [line["status"] for line in (*lines[:2], lines[-1])] == ["OK", "UNAVAILABLE", "UNAVAILABLE"]
    assert door.plane.running == 0


def test_a_stream_is_read_on_only_as_its_answers_go(door):
    sender = Sender(door.stub)
    sender.send(*(make_message("slow", id=str(place)) for place in range(3 * IN_FLIGHT)))
    sender.end()
    for _ in range(IN_FLIGHT):
        assert door.plane.entered.acquire(timeout=PATIENCE)
    door.open_gate()
    assert [one.infer_response.id for one in sender.answers] == [str(place) for place in range(3 * IN_FLIGHT)]
    assert door.plane.most_running == IN_FLIGHT


def test_a_cancelled_stream_gives_up_its_messages(door):
    sender = Sender(door.stub)
    sender.send(make_message("slow"), make_message("slow"))
    for _ in range(2):
        assert door.plane.entered.acquire(timeout=PATIENCE)
    sender.answers.cancel()
    for _ in range(2):
        assert door.plane.cancelled.acquire(timeout=PATIENCE)
    sender.end()
    assert [line["status"] for line in door.wait_for_lines(3)] == ["CANCELLED"] * 3


def test_a_stream_without_messages_ends_well(door):
    assert list(door.stub.ModelStreamInfer(iter(()), **TIMEOUT)) == []


def test_the_deadline_of_a_stream_is_that_of_its_messages(door):
    list(door.stub.ModelStreamInfer(iter([make_message()]), timeout=1e6))
    list(door.stub.ModelStreamInfer(iter([make_message()])))
    assert door.plane.requests[0].deadline is not None
    assert door.plane.requests[1].deadline is None


def test_a_stream_ends_with_the_server_after_the_answers_to_what_had_come(door):
    sender = Sender(door.stub)
    sender.send(make_message("slow", id="a"))
    assert door.plane.entered.acquire(timeout=PATIENCE)
    stopping = door.begin(door.server.stop(PATIENCE))
    door.open_gate()
    assert next(sender.answers).infer_response.id == "a"
    with pytest.raises(grpc.RpcError, match="the server is stopping") as caught:
        next(sender.answers)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    stopping.result(PATIENCE)
    sender.end()
