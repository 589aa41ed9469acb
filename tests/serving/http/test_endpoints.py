"""Routes answer as the Open Inference Protocol and Triton's extensions say."""

import asyncio
import gzip
import json
import struct

import numpy as np
import pytest

from spair.serving.http.endpoints import answer_unless_gone
from spair.serving.http.errors import ClientGoneError
from spair.serving.options import Limits


def test_the_server_describes_itself(client):
    assert client.get("/v2").json() == {"name": "spair", "version": "0", "extensions": ["binary_tensor_data"]}


def test_health_follows_the_plane(client, plane):
    assert [client.get(f"/v2/health/{one}").status_code for one in ("live", "ready")] == [200, 200]
    plane.is_ready = False
    assert client.get("/v2/health/live").status_code == 200
    ready = client.get("/v2/health/ready")
    assert ready.status_code == 503 and "not ready" in ready.json()["error"] and ready.headers["retry-after"] == "1"
    plane.is_live = False
    assert client.get("/v2/health/live").status_code == 503


@pytest.mark.parametrize("base", ["/v2/models/rain", "/v2/models/rain/versions/1"])
def test_a_model_has_metadata_state_configuration_and_statistics(client, plane, base):
    assert client.get(base).json() == {
        "name": "rain",
        "versions": ["1"],
        "platform": "spair",
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, 3, -1, -1]}],
        "outputs": [
            {"name": "restored", "datatype": "UINT8", "shape": [-1, 3, -1, -1]},
            {"name": "mask", "datatype": "UINT8", "shape": [-1, 1, -1, -1]},
            {"name": "density", "datatype": "FP32", "shape": [-1]},
        ],
        "parameters": {"task": "rain"},
    }
    assert client.get(f"{base}/ready").status_code == 200
    assert client.get(f"{base}/config").json() == {"name": "rain", "max_batch_size": 0}
    assert client.get(f"{base}/stats").json() == {"model_stats": [{"name": "rain", "version": "1"}]}
    plane.is_ready = False
    assert client.get(f"{base}/ready").status_code == 503


def test_statistics_of_all_models_are_at_their_own_path(client):
    names = [one["name"] for one in client.get("/v2/models/stats").json()["model_stats"]]
    assert names == ["rain", "rain_bytes"]


@pytest.mark.parametrize("end", ["", "/ready", "/config", "/stats"])
@pytest.mark.parametrize("model", ["snow", "rain/versions/2"])
def test_unknown_models_and_versions_are_not_found(client, model, end):
    answer = client.get(f"/v2/models/{model}{end}")
    assert answer.status_code == 404 and "there is no model" in answer.json()["error"]
    assert client.post(f"/v2/models/{model}/infer", json={}).status_code == 404


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b"", ["rain", "rain_bytes"]),
        (b"{}", ["rain", "rain_bytes"]),
        (b'{"ready": false}', ["rain", "rain_bytes"]),
        (b'{"ready": true}', ["rain"]),
    ],
)
def test_the_index_lists_all_models_or_the_ready_ones(client, body, names):
    index = client.post("/v2/repository/index", content=body).json()
    assert [one["name"] for one in index] == names
    assert index[0] == {"name": "rain", "version": "1", "state": "READY", "reason": ""}


def test_the_index_refuses_what_is_no_question(client):
    answer = client.post("/v2/repository/index", content=b'{"ready": "yes"}')
    assert answer.status_code == 400 and "ready is a JSON str" in answer.json()["error"]


def test_metrics_have_the_type_that_prometheus_wants(client):
    answer = client.get("/metrics")
    assert (answer.text, answer.headers["content-type"]) == ("spair_up 1\n", "text/plain; version=0.0.4; charset=utf-8")


def pack(image, **extra):
    """Return (headers, body) of a request in binary form."""
    entry = {"name": "image", "datatype": "UINT8", "shape": list(image.shape)}
    entry["parameters"] = {"binary_data_size": image.nbytes}
    head = json.dumps({"inputs": [entry], **extra}).encode()
    return {"Inference-Header-Content-Length": str(len(head))}, head + image.tobytes()


def test_pictures_go_in_and_out_in_binary_form(client, image):
    headers, body = pack(image, id="q", parameters={"binary_data_output": True})
    answer = client.post("/v2/models/rain/infer", content=body, headers=headers)
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers["inference-header-content-length"])
    document = json.loads(answer.content[:length])
    assert (document["model_name"], document["model_version"], document["id"]) == ("rain", "1", "q")
    assert document["parameters"] == {"queue_ms": 0.5, "compute_ms": 2.0, "density": 0.5}
    restored = np.frombuffer(answer.content[length : length + image.nbytes], np.uint8)
    assert np.array_equal(restored.reshape(image.shape), 255 - image)
    assert len(answer.content) == length + image.nbytes + image.nbytes // 3 + 8


def test_encoded_bodies_are_the_same_request(client, image):
    headers, body = pack(image, outputs=[{"name": "density"}])
    headers["Content-Encoding"] = "gzip"
    answer = client.post("/v2/models/rain/versions/1/infer", content=gzip.compress(body), headers=headers)
    (output,) = answer.json()["outputs"]
    assert output == {"name": "density", "datatype": "FP32", "shape": [2], "data": [0.5, 0.5]}


def test_large_json_is_read_the_same_in_a_thread(client, plane):
    image = np.random.default_rng(1).integers(0, 256, (1, 3, 80, 90), np.uint8)
    entry = {"name": "image", "datatype": "UINT8", "shape": list(image.shape), "data": image.tolist()}
    answer = client.post("/v2/models/rain/infer", json={"inputs": [entry]})
    assert np.array_equal(plane.asked[0].inputs[0].values, image)
    assert answer.json()["outputs"][0]["data"] == (255 - image).ravel().tolist()


def test_a_picture_file_alone_is_a_request(client):
    headers = {"Inference-Header-Content-Length": "0"}
    answer = client.post("/v2/models/rain_bytes/infer", content=b"\x89PNG", headers=headers)
    length = int(answer.headers["inference-header-content-length"])
    assert answer.content[length : length + 8] == struct.pack("<I", 4) + b"GNP\x89"


def test_picture_files_as_json_are_refused_without_work(client, plane):
    entry = {"name": "image", "datatype": "BYTES", "shape": [1], "data": ["x"]}
    answer = client.post("/v2/models/rain_bytes/infer", json={"inputs": [entry]})
    assert answer.status_code == 400 and "ask for binary output" in answer.json()["error"]
    assert plane.asked == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Content-Encoding": "br"}, 415), ({"Inference-Header-Content-Length": "x"}, 400), ({}, 400)],
)
def test_requests_that_cannot_be_read_are_refused(client, headers, status):
    answer = client.post("/v2/models/rain/infer", content=b"x", headers=headers)
    assert answer.status_code == status and answer.json()["error"]


def test_a_body_over_the_limit_is_refused(make_client):
    client = make_client(limits=Limits(body_bytes=100))
    answer = client.post("/v2/models/rain/infer", content=b"x" * 101)
    assert answer.status_code == 413 and "at most 100" in answer.json()["error"]


def test_a_client_that_goes_gives_its_work_up():
    began, ended = asyncio.Event(), []

    async def work():
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def receive():
        await began.wait()
        return {"type": "http.disconnect"}

    with pytest.raises(ClientGoneError, match="before the answer"):
        asyncio.run(answer_unless_gone(receive, work()))
    assert ended == ["cancelled"]


def test_work_that_ends_stops_the_watch():
    watched = []

    async def work():
        await asyncio.sleep(0)
        return 5

    async def receive():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            watched.append("cancelled")
            raise

    assert asyncio.run(answer_unless_gone(receive, work())) == 5
    assert watched == ["cancelled"]
