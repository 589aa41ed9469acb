import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from spair.serving.access_log import AccessLog
from spair.serving.grpc.service import make_grpc_server
from spair.serving.options import Limits
from spair.serving.tokens import Tokens
from tests.patience import PATIENCE
from tests.serving.grpc.fakes import FakePlane, Running, make_message
from tests.serving.network import make_certificate


def test_a_port_with_tls_answers_only_those_who_speak_it(tmp_path):
    chain, key = make_certificate(tmp_path, "own").read()

    async def start():
        server = make_grpc_server(FakePlane(), tokens=Tokens(None), limits=Limits(), log=AccessLog(door.stream))
        credentials = grpc.ssl_server_credentials([(key, chain)])
        port = server.add_secure_port("127.0.0.1:0", credentials)
        await server.start()
        return server, port

    with Running() as door:
        server, port = door.run(start())
        with grpc.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials(chain)) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            assert stub.ModelInfer(make_message(id="a"), timeout=PATIENCE).id == "a"
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as caught:
            service_pb2_grpc.GRPCInferenceServiceStub(channel).ServerLive(
                service_pb2.ServerLiveRequest(), timeout=PATIENCE
            )
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        door.run(server.stop(None))


def test_a_limit_beyond_what_grpc_can_hold_is_taken():
    with Running(body_bytes=2**40) as door:
        assert door.stub.ModelInfer(make_message(), timeout=PATIENCE).model_name == "echo"


def test_a_message_of_exactly_the_limit_is_taken():
    size = make_message().ByteSize()
    with Running(body_bytes=size) as door:
        assert door.stub.ModelInfer(make_message(), timeout=PATIENCE).model_name == "echo"
        with pytest.raises(grpc.RpcError, match=f"{size + 3} vs. {size}"):
            door.stub.ModelInfer(make_message(id="a"), timeout=PATIENCE)
