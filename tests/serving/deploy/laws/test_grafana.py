"""The dashboard shows what the server measures, by labels that it has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from spair.serving.deploy import FOLDER
from spair.serving.options import Limits, ModelOptions
from spair.serving.plane.plane import DataPlane

PAGE = Path(__file__).resolve().parents[4] / "docs" / "tasks" / "replicas.md"
OF_PROMETHEUS = {"instance", "job", "le"}
"""Labels that Prometheus adds, or that histograms have."""
NAME = re.compile(r"\b(?:nv|spair|process)_\w+")


def read_dashboard() -> dict:
    return json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))


def list_expressions(dashboard: dict) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


@pytest.fixture(scope="module")
def series() -> dict[str, set[str]]:
    """Every name that a server's metrics have -> its labels; empty for one that has no sample yet."""
    content, _ = DataPlane({"rain": Path("rain.spair")}, ModelOptions(), Limits()).render_metrics()
    text = content.decode()
    found: dict[str, set[str]] = {name: set() for name in re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE)}
    # By hand, since the library's own reader ends the names of counters with _total, as Prometheus itself does not.
    for name, labels in re.findall(r"^([a-z]\w*)(?:\{(.*)\})? ", text, re.MULTILINE):
        found[name] = set(re.findall(r"(\w+)=\"", labels))
    return found


def find_unknown(expressions: list[str], series: dict[str, set[str]]) -> set[str]:
    return {name for text in expressions for name in NAME.findall(text)} - set(series)


def test_every_metric_is_one_that_the_server_has(series):
    assert find_unknown(list_expressions(read_dashboard()), series) == set()


def test_a_misspelt_metric_is_found(series):
    assert find_unknown(["rate(spair_densities_bucket[5m])", "nv_inference_count"], series) == {
        "spair_densities_bucket"
    }


def test_what_a_server_measures_of_its_own_is_shown(series):
    shown = {name for text in list_expressions(read_dashboard()) for name in NAME.findall(text)}
    own = {
        "nv_inference_pending_request_count",
        "spair_density_bucket",
        "spair_pieces_total",
        "spair_request_duration_seconds_bucket",
        "spair_worker_memory_bytes",
        "spair_worker_restarts_total",
    }
    assert own <= shown and own <= set(series)


def test_labels_are_those_of_the_metrics(series):
    for text in list_expressions(read_dashboard()):
        labels = set().union(*(series[name] for name in NAME.findall(text)))
        grouped = {word for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", text) for word in re.split(r",\s*", group)}
        selected = set(re.findall(r"[{,]\s*(\w+)(?:=~|=|!=|!~)", text))
        if labels:  # a metric without a sample yet does not tell its labels
            assert grouped | selected <= labels | OF_PROMETHEUS, text


def test_counters_are_shown_as_rates():
    counters = (
        r"nv_inference_\w*(?:success|failure|_us|exec_count)|spair_\w+_(?:total|bucket)|process_cpu_seconds_total"
    )
    for text in list_expressions(read_dashboard()):
        for found in re.finditer(rf"\b(?:{counters})\b", text):
            assert re.search(r"(?:rate|increase)\($", text[: found.start()]), text


def test_panels_have_a_place_of_their_own():
    panels = read_dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 10
    cells = [
        (x, y)
        for grid in (panel["gridPos"] for panel in panels)
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(set(cells)) == len(cells), "panels overlap"
    assert all(0 <= x < 24 for x, _ in cells)


def test_panels_have_what_grafana_reads():
    dashboard = read_dashboard()
    assert dashboard["schemaVersion"] >= 36 and dashboard["uid"] and dashboard["title"]
    variables = {one["name"] for one in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard["panels"]))) - {"__rate_interval"}
    assert used == variables == {"datasource", "model"}
    for panel in dashboard["panels"]:
        assert panel["type"] in {"timeseries", "heatmap"} and panel["title"] and panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        references = [target["refId"] for target in panel["targets"]]
        assert references and len(set(references)) == len(references)


def test_the_rule_of_the_adapter_makes_the_autoscalers_metric_of_one_that_the_server_has(series):
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (rule,) = [one for block in blocks for one in yaml.safe_load(block).get("rules", {}).get("custom", [])]
    assert find_unknown([rule["seriesQuery"]], series) == set()
    documents = yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text(encoding="utf-8"))
    (scaler,) = [one["spec"] for one in documents if one["kind"] == "HorizontalPodAutoscaler"]
    assert scaler["metrics"][0]["pods"]["metric"]["name"] == rule["name"]["as"]
