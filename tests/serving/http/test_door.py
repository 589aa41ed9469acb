"""Every answer has an id, every request a line in the log, and no error shows what is inside."""

import json

import pytest

from spair.runtime import UserError
from spair.serving.errors import BusyError, DeadlineError

TOKEN = "0123456789abcdef"
INFER = {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 3, 1, 1], "data": [1, 2, 3]}]}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_the_id_of_a_request_comes_back_or_a_new_one_is_made(client, log):
    given = client.get("/v2", headers={"X-Request-Id": "mine"})
    assert given.headers["x-request-id"] == "mine"
    made = [client.get("/v2").headers["x-request-id"] for _ in range(2)]
    assert len({"mine", *made}) == 3
    assert [line["id"] for line in log.read()] == ["mine", *made]


def test_refusals_have_an_id_as_well(make_client):
    client = make_client(TOKEN)
    for answer in (client.get("/v2"), client.get("/nowhere", headers=bearer(TOKEN)), client.delete("/v2/health/live")):
        assert answer.status_code >= 400 and answer.headers["x-request-id"]
        assert list(answer.json()) == ["error"]


@pytest.mark.parametrize(
    "path", ["/v2", "/metrics", "/openapi.json", "/v2/models/rain", "/v2/models/stats", "/nowhere"]
)
def test_every_path_wants_the_token(make_client, path):
    client = make_client(TOKEN)
    missing = client.get(path)
    assert missing.status_code == 401 and missing.headers["www-authenticate"] == "Bearer"
    assert "Authorization: Bearer TOKEN" in missing.json()["error"]
    wrong = client.get(path, headers=bearer("fedcba9876543210"))
    assert wrong.status_code == 403 and TOKEN not in wrong.text
    assert client.get(path, headers=bearer(TOKEN)).status_code in (200, 404)


def test_a_post_without_the_token_is_refused_before_its_body_is_read(make_client, log, plane):
    client = make_client(TOKEN)
    assert client.post("/v2/models/rain/infer", json=INFER).status_code == 401
    assert plane.asked == [] and log.read()[0]["bytes_in"] == 0


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/v2/health/live", "/v2/health/ready"])
def test_probes_and_the_page_need_no_token(make_client, path):
    assert make_client(TOKEN).get(path).status_code == 200


def test_the_log_never_has_the_token(make_client, log):
    client = make_client(TOKEN)
    client.get("/v2", headers=bearer(TOKEN))
    client.get("/v2", headers=bearer(TOKEN + "x"))
    assert len(log.read()) == 2 and TOKEN not in log.stream.getvalue()


def test_the_log_tells_the_sentence_that_the_client_got(client, log):
    answer = client.get("/v2/models/nobody")
    (line,) = log.read()
    assert (line["status"], line["error"]) == (404, answer.json()["error"])


def test_the_log_tells_what_a_request_was(client, log):
    answer = client.post("/v2/models/rain/infer", json=INFER)
    (line,) = log.read()
    assert line["bytes_in"] == len(json.dumps(INFER, separators=(",", ":"))) and line["bytes_out"] == len(
        answer.content
    )
    expected = {"door": "http", "method": "POST", "path": "/v2/models/rain/infer", "model": "rain", "status": 200}
    assert expected.items() <= line.items()
    assert (line["queue_ms"], line["compute_ms"], line["density"]) == (0.5, 2.0, 0.5)
    assert line["total_ms"] > 0 and line["client"] == "testclient"


@pytest.mark.parametrize(
    ("error", "status"),
    [(UserError("the picture is odd"), 400), (BusyError("full"), 503), (DeadlineError("late"), 504)],
)
def test_errors_for_clients_are_their_sentence(client, plane, error, status):
    plane.error = error
    answer = client.post("/v2/models/rain/infer", json=INFER)
    assert (answer.status_code, answer.json()) == (status, {"error": str(error)})
    assert answer.headers.get("retry-after") == ("1" if status == 503 else None)


def test_a_bug_shows_its_traceback_in_the_log_alone(client, plane, log):
    plane.error = ZeroDivisionError("a secret of the inside")
    answer = client.post("/v2/models/rain/infer", json=INFER, headers={"X-Request-Id": "q7"})
    assert (answer.status_code, answer.json()) == (500, {"error": "internal error, request id q7"})
    (line,) = log.read("error")
    assert line["id"] == "q7" and "Traceback" in line["traceback"] and "a secret of the inside" in line["traceback"]
    assert log.read()[0]["status"] == 500


def test_before_the_end_answers_ask_to_close_the_connection(client):
    assert "connection" not in client.get("/v2").headers
    client.app.state.is_leaving = True
    assert client.get("/v2").headers["connection"] == "close"


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Host": "evil.example:8000"},
    {"Host": "evil.example:8000", "Origin": "http://evil.example:8000"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_without_a_token_foreign_web_pages_are_refused_before_their_body_is_read(client, plane, log, headers):
    plain = {**headers, "Content-Type": "text/plain"}  # a browser sends this without asking the server first
    answer = client.post("/v2/models/rain/infer", content=json.dumps(INFER), headers=plain)
    assert answer.status_code == 403 and "--token-file" in answer.json()["error"]
    assert plane.asked == [] and log.read()[0]["bytes_in"] == 0
    assert client.get("/metrics", headers=headers).status_code == 403


def test_the_servers_own_page_and_probes_are_let_in(client):
    own = {"Host": "localhost:8000", "Origin": "http://localhost:8000"}
    assert client.post("/v2/models/rain/infer", json=INFER, headers=own).status_code == 200
    assert client.get("/v2/health/ready", headers={"Host": "balancer.example"}).status_code == 200


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_with_a_token_the_token_decides(make_client, headers):
    assert make_client(TOKEN).get("/v2", headers={**headers, **bearer(TOKEN)}).status_code == 200
    assert make_client(TOKEN).get("/v2", headers=headers).status_code == 401
