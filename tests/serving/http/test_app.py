"""The OpenAPI document and the routes say the same, and the page is served as its files are."""

import json

import pytest

from spair.serving.http.app import read_description
from spair.serving.page.files import SECURITY_HEADERS, list_page_files

DOCUMENT = json.loads(read_description())


def list_operations(app):
    """Return (method, path) of every documented route of an app."""
    return {
        (method, route.path) for route in app.routes if route.include_in_schema for method in route.methods - {"HEAD"}
    }


def test_the_document_has_exactly_the_routes_of_the_app(client):
    documented = {
        (method.upper(), path)
        for path, item in DOCUMENT["paths"].items()
        for method in item
        if method in ("get", "post")
    }
    assert documented == list_operations(client.app)


def test_the_document_is_served(client):
    answer = client.get("/openapi.json")
    assert answer.json() == DOCUMENT and answer.headers["content-type"] == "application/json"


def test_references_of_the_document_lead_somewhere():
    def list_references(value):
        if isinstance(value, dict):
            yield from [value["$ref"]] if "$ref" in value else []
            value = list(value.values())
        for one in value if isinstance(value, list) else []:
            yield from list_references(one)

    references = set(list_references(DOCUMENT))
    for reference in references:
        place = DOCUMENT
        for word in reference.removeprefix("#/").split("/"):
            place = place[word]
    defined = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "parameters", "headers", "responses")
        for name in DOCUMENT["components"][kind]
    }
    assert references == defined


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_generated_requests_get_answers_as_the_document_says(client, mode):
    schemathesis = pytest.importorskip("schemathesis", reason="from Python 3.11 on: pip install schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    laws = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_headers_conformance,
        checks.response_schema_conformance,
    ]
    bounds = settings(
        max_examples=10,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    tried, local = set(), {"Host": "localhost"}
    for found in schemathesis.openapi.from_asgi("/openapi.json", client.app, headers=local).get_all_operations():
        operation = found.ok()
        if mode == "negative" and not operation.body:
            continue  # the other laws know unknown names

        def check(case):
            tried.add((case.method, case.path))
            case.path_parameters.update(model="rain", version="1")  # names that are served do not come by chance
            case.call_and_validate(checks=laws, headers=local)

        bounds(given(operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode)))(check))()
    documented = list_operations(client.app) - {("GET", "/openapi.json")}  # schemathesis leaves the document out
    assert tried == {one for one in documented if mode == "positive" or one[0] == "POST"}


def test_the_page_is_served_with_its_headers(client):
    for path, (kind, content) in list_page_files().items():
        answer = client.get(path)
        assert (answer.status_code, answer.content) == (200, content)
        assert answer.headers["content-type"] == kind
        assert all(answer.headers[name] == value for name, value in SECURITY_HEADERS.items())


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/v2/", "/v2/models", "/page/files.py", "/page/../app.py", "/v3", "/v2/repository/models/rain/load"],
)
def test_unknown_routes_are_not_found_in_words(client, path):
    answer = client.get(path)
    assert answer.status_code == 404 and "GET /openapi.json lists what there is" in answer.json()["error"]


def test_wrong_methods_are_told_the_right_one(client):
    answer = client.get("/v2/models/rain/infer")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json() == {"error": "GET /v2/models/rain/infer is not allowed here, expected POST"}


def test_head_answers_as_get_without_content(client):
    answer = client.head("/v2/health/ready")
    assert answer.status_code == 200 and answer.content == b""
