import asyncio
import socket

import pytest
from tritonclient.grpc import service_pb2

from spair.serving.access_log import AccessLog
from spair.serving.grpc.service import make_grpc_server
from spair.serving.options import Limits
from spair.serving.tokens import Tokens
from tests.patience import PATIENCE
from tests.serving.grpc.fakes import FakePlane, Running, ask_until_answered, make_message
from tests.serving.grpc.frames import open_call, read_until

BREAKING = b"/a/\xff"
"""Path that ends the loop of grpc.aio 1.85."""


def is_live(door):
    return ask_until_answered(door.stub.ServerLive, service_pb2.ServerLiveRequest()).live


def test_the_door_opens_again_on_its_port_and_finishes_what_it_had_taken():
    with Running() as door:
        future = door.stub.ModelInfer.future(make_message("slow"), timeout=PATIENCE)
        assert door.plane.entered.acquire(timeout=PATIENCE)
        for count in (1, 2):
            read_until(open_call(door.port, BREAKING), b"grpc-status")
            door.wait_for(lambda lines, count=count: sum(line["event"] == "restart" for line in lines) == count)
            assert is_live(door)
        door.open_gate()
        assert future.result(PATIENCE).model_name == "slow"
        restarted = [line for line in door.lines if line["event"] == "restart"]
        assert all(line["door"] == "grpc" and "UnicodeDecodeError" in line["reason"] for line in restarted)


def test_a_stopped_server_cancels_its_calls_and_frees_its_port():
    with Running() as door:
        port = door.port
        future = door.stub.ModelInfer.future(make_message("slow"), timeout=PATIENCE)
        assert door.plane.entered.acquire(timeout=PATIENCE)
        waiting = door.begin(door.server.wait_for_termination())
        door.run(door.server.stop(None))
        assert waiting.result(PATIENCE) is None
        assert future.exception(PATIENCE) is not None
        assert door.plane.cancelled.acquire(timeout=PATIENCE)
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))


def test_a_server_that_stops_with_grace_finishes_its_calls():
    with Running() as door:
        future = door.stub.ModelInfer.future(make_message("slow"), timeout=PATIENCE)
        assert door.plane.entered.acquire(timeout=PATIENCE)
        stopping = door.begin(door.server.stop(PATIENCE))
        door.open_gate()
        assert future.result(PATIENCE).model_name == "slow"
        stopping.result(PATIENCE)


def test_a_port_that_another_server_has_is_refused():
    async def open_twice(port):
        server = make_grpc_server(FakePlane(), tokens=Tokens(None), limits=Limits(), log=AccessLog())
        with pytest.raises(RuntimeError, match=f"127.0.0.1:{port}"):
            server.add_insecure_port(f"127.0.0.1:{port}")

    with Running() as door:
        door.run(open_twice(door.port))


def test_no_task_runs_on_after_the_end():
    async def stop_and_wait(server):
        await server.stop(None)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if tasks:  # calls that were cancelled, which end by themselves
            await asyncio.wait(tasks, timeout=PATIENCE)
        return [task.get_name() for task in tasks if not task.done()]

    with Running() as door:
        read_until(open_call(door.port, BREAKING), b"grpc-status")
        door.wait_for(lambda lines: any(line["event"] == "restart" for line in lines))
        future = door.stub.ModelInfer.future(make_message("slow"), timeout=PATIENCE, wait_for_ready=True)
        assert door.plane.entered.acquire(timeout=PATIENCE)
        assert door.run(stop_and_wait(door.server)) == []
        assert future.exception(PATIENCE) is not None
