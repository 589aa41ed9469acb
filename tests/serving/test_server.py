"""A real server from its first line to its exit code."""

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import threading

import numpy as np
import pytest

from spair.runtime import Bundle, Restorer, UserError
from spair.serving.access_log import AccessLog
from spair.serving.addresses import resolve_host
from spair.serving.options import Limits, ModelOptions
from spair.serving.server import Doors, EndingPlane, Server, list_notes
from tests.patience import PATIENCE, wait_until
from tests.serving.network import make_certificate
from tests.serving.process import make_command, served

TOKEN = "0123456789abcdef0123456789abcdef"


def connect(address, context=None):
    host, _, port = address.rpartition(":")
    if context is not None:
        return http.client.HTTPSConnection(host, int(port), timeout=PATIENCE, context=context)
    return http.client.HTTPConnection(host, int(port), timeout=PATIENCE)


def ask(address, path, headers=None, body=None, context=None):
    """Return (status, body) of a request on a connection of its own."""
    with contextlib.closing(connect(address, context)) as connection:
        connection.request("GET" if body is None else "POST", path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.fixture
def image():
    return np.random.default_rng(11).integers(0, 256, (1, 3, 21, 34), np.uint8)


def pack(image):
    """Return (headers, body) of a request for all outputs in binary form."""
    entry = {"name": "image", "datatype": "UINT8", "shape": list(image.shape)}
    entry["parameters"] = {"binary_data_size": image.nbytes}
    head = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()
    return {"Inference-Header-Content-Length": str(len(head))}, head + image.tobytes()


def test_a_bundle_is_served_to_the_client_of_triton_until_sigterm(tiny_bundle, image):
    client_package = pytest.importorskip("tritonclient.http", reason="pip install 'tritonclient[http]'")
    with Restorer.open(tiny_bundle, threads=1) as restorer:
        expected = restorer(np.ascontiguousarray(image[0].transpose(1, 2, 0)))
    with served(tiny_bundle, "--threads", "1") as server:
        assert server.ready["models"] == ["rain-tiny", "rain-tiny_bytes"] and server.ready["pid"] == server.process.pid
        with client_package.InferenceServerClient(server.http) as client:
            assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("rain-tiny")
            asked = client_package.InferInput("image", list(image.shape), "UINT8")
            asked.set_data_from_numpy(image)
            result = client.infer("rain-tiny", [asked])
        assert np.array_equal(result.as_numpy("restored")[0], expected.image.transpose(2, 0, 1))
        assert np.array_equal(result.as_numpy("mask")[0, 0] > 0, expected.mask)
        assert result.as_numpy("density")[0] == np.float32(expected.density)
        assert server.stop() == 0
    lines = [json.loads(line) for line in server.lines if line.startswith("{")]
    events = [line["event"] for line in lines if "model" not in line and line["event"] != "request"]
    assert events == ["start", "ready", "drain", "stop"], "of the server itself; models write their own"
    ready = next(line for line in lines if line["event"] == "ready" and line.get("model") == "rain-tiny")
    assert ready["digest"] == Bundle.open(tiny_bundle).digest
    assert any(line.startswith(f"listening on http://{server.http}") for line in server.lines)


def test_sigterm_under_load_loses_no_answer(tiny_bundle, image):
    headers, body = pack(image)
    statuses, lost, started = [], [], threading.Semaphore(0)

    def load(address):
        """Send one request after another, until the server asks to close the connection.

        On a new one, the system might take a request that nobody reads, as the server closes its door.
        """
        with contextlib.closing(connect(address)) as connection:
            try:
                answer = None
                while answer is None or not answer.will_close:
                    connection.request("POST", "/v2/models/rain-tiny/infer", body, headers)
                    answer = connection.getresponse()
                    answer.read()
                    statuses.append(answer.status)
                    started.release()
            except Exception as error:
                lost.append(repr(error))

    with served(tiny_bundle, "--threads", "1") as server:
        threads = [threading.Thread(target=load, args=(server.http,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(12):
            assert started.acquire(timeout=PATIENCE)
        assert server.stop() == 0
        for thread in threads:
            thread.join(PATIENCE)
    assert lost == [] and set(statuses) == {200}


def test_during_the_grace_the_server_is_not_ready_and_answers(tiny_bundle, image):
    headers, body = pack(image)
    with served(tiny_bundle, "--threads", "1", "--grace", "3600") as server:
        assert ask(server.http, "/v2/health/ready")[0] == 200
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: ask(server.http, "/v2/health/ready")[0] != 200, "the server is not ready any more")
        status, answer = ask(server.http, "/v2/health/ready")
        assert status == 503 and b"the server is ending" in answer
        assert ask(server.http, "/v2/health/live")[0] == 200
        assert ask(server.http, "/v2/models/rain-tiny/infer", headers, body)[0] == 200
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PATIENCE) == 128 + signal.SIGINT, "a second signal ends it at once"


def test_without_the_token_nothing_is_told(tiny_bundle, image, tmp_path):
    (tmp_path / "token").write_text(TOKEN + "\n")
    headers, body = pack(image)
    good, bad = {"Authorization": f"Bearer {TOKEN}"}, {"Authorization": f"Bearer {TOKEN[::-1]}x"}
    with served(tiny_bundle, "--threads", "1", "--token-file", tmp_path / "token") as server:
        assert ask(server.http, "/v2/health/ready")[0] == 200
        for path, sent in (("/v2", None), ("/metrics", None), ("/v2/models/rain-tiny/infer", body)):
            assert ask(server.http, path, headers, sent)[0] == 401
            assert ask(server.http, path, {**headers, **bad}, sent)[0] == 403
            assert ask(server.http, path, {**headers, **good}, sent)[0] == 200
        assert server.stop() == 0
    assert TOKEN not in "".join(server.lines)


def test_the_token_comes_from_the_environment_as_well(tiny_bundle):
    with served(tiny_bundle, environment={**os.environ, "SPAIR_TOKEN": TOKEN}) as server:
        assert ask(server.http, "/v2")[0] == 401
        assert ask(server.http, "/v2", {"Authorization": f"Bearer {TOKEN}"})[0] == 200


def test_tls_is_spoken_on_the_door(tiny_bundle, tmp_path, image):
    files = make_certificate(tmp_path, "server")
    context = ssl.create_default_context(cafile=files.certificate)
    headers, body = pack(image)
    with served(tiny_bundle, "--cert", files.certificate, "--key", files.key) as server:
        status, answer = ask(server.http, "/v2/models/rain-tiny/infer", headers, body, context)
        assert status == 200 and len(answer) > image.nbytes
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            ask(server.http, "/v2/health/live")
        assert server.stop() == 0
    assert any(f"https://{server.http}" in line for line in server.lines)


def test_both_doors_are_open_with_tls_and_token(tiny_bundle, tmp_path):
    grpc = pytest.importorskip("tritonclient.grpc", reason="pip install 'tritonclient[grpc]'")
    files = make_certificate(tmp_path, "server")
    arguments = ["--cert", files.certificate, "--key", files.key]
    with served(tiny_bundle, *arguments, environment={**os.environ, "SPAIR_TOKEN": TOKEN}) as server:
        settings = {"ssl": True, "root_certificates": str(files.certificate)}
        with grpc.InferenceServerClient(server.grpc, **settings) as client:
            assert client.is_server_ready()
            with pytest.raises(grpc.InferenceServerException, match="wants a token"):
                client.get_server_metadata()
            told = client.get_server_metadata(headers={"authorization": f"Bearer {TOKEN}"})
        assert told.name == "spair"
        assert server.stop() == 0


def run_refused(*arguments):
    """Run a server that must not start; the sentence."""
    done = subprocess.run(make_command(*arguments), text=True, capture_output=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "Traceback" not in done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("error: ")]


def test_a_port_in_use_ends_the_start_with_one_sentence(tiny_bundle):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (sentence,) = run_refused(tiny_bundle, "--port", port, "--no-grpc")
        assert f"cannot listen on 127.0.0.1:{port}: Address already in use; give another --port" in sentence
        (sentence,) = run_refused(tiny_bundle, "--port", 0, "--grpc-port", port)
        assert f"cannot listen on 127.0.0.1:{port}: Address already in use; give another --grpc-port" in sentence


def test_a_bundle_that_cannot_be_opened_ends_the_start_with_one_sentence(tmp_path):
    (sentence,) = run_refused(tmp_path / "absent.spair", "--port", 0, "--no-grpc")
    assert "absent.spair" in sentence


def make_server(tiny_bundle, doors, token=None):
    limits, log = Limits(), AccessLog()
    plane = EndingPlane({"rain": tiny_bundle}, ModelOptions(), limits, log)
    return Server(plane, doors, limits=limits, token=token, log=log)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_address_that_others_reach_demands_a_token(tiny_bundle, host):
    with pytest.raises(UserError, match=f"{host} can be reached from other machines, and no token .*SPAIR_TOKEN"):
        make_server(tiny_bundle, Doors(host, 0, None))


def test_what_is_unsafe_is_said():
    assert list_notes(resolve_host("127.0.0.1"), is_tls=False) == []
    notes = list_notes(resolve_host("0.0.0.0"), is_tls=False)
    assert len(notes) == 2 and "other machines" in notes[0] and "in clear text" in notes[1]
    assert list_notes(resolve_host("0.0.0.0"), is_tls=True) == notes[:1]


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"http_port": 5, "grpc_port": 5}, "the ports are 5 and 5, expected two different ones"),
        ({"http_port": 70000}, "the ports are 70000 and 8001"),
        ({"grace": -1.0}, "--grace is -1.0 seconds"),
        ({"grace": float("nan")}, "--grace is nan seconds"),
    ],
)
def test_doors_that_make_no_sense_are_refused(settings, match):
    with pytest.raises(UserError, match=match):
        Doors(**settings)


def test_a_plane_that_ends_is_not_ready(tiny_bundle, monkeypatch):
    from spair.serving.plane.plane import DataPlane

    monkeypatch.setattr(DataPlane, "is_ready", property(lambda plane: True))
    plane = EndingPlane({"rain": tiny_bundle}, ModelOptions(), Limits())
    assert plane.is_ready
    plane.is_ending = True
    assert not plane.is_ready
