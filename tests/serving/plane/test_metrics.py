"""Metrics have Triton's very names, and no client can add to their number."""

from prometheus_client import parser

from spair.serving.errors import FailedError
from spair.serving.plane.metrics import COUNTERS, Metrics, ProcessFacts
from spair.serving.plane.queue import Outcome
from spair.serving.plane.statistics import ModelStatistics
from spair.serving.plane.workers.protocol import Report


def make(restarts=2, memory=1000):
    statistics = {name: ModelStatistics(name, "1") for name in ("m", "m_bytes")}
    metrics = Metrics(statistics, lambda name: len(name), lambda: {"m": ProcessFacts(restarts, memory)})
    return statistics, metrics


def read(metrics):
    """Values by name and labels, as they stand in the text."""
    lines = metrics.render().decode().split("\n")
    return {
        name: float(value) for name, _, value in (line.rpartition(" ") for line in lines) if name and name[0] != "#"
    }


def key(name, model="m", **more):
    labels = sorted({"model": model, "version": "1", **more}.items())
    return f"{name}{{{','.join(f'{label}={value!r}' for label, value in labels)}}}".replace("'", '"')


def test_the_text_is_read_by_the_client_of_prometheus():
    families = {
        family.name: family.type for family in parser.text_string_to_metric_families(make()[1].render().decode())
    }
    assert families["nv_inference_count"] == "counter" and families["spair_density"] == "histogram"
    assert families["nv_inference_pending_request_count"] == "gauge"


def test_counters_have_the_names_of_triton_also_in_their_headers():
    text = make()[1].render().decode()
    for name in COUNTERS:
        assert f"\n# TYPE {name} counter\n{name}{{" in "\n" + text, name
    assert "_total_total" not in text and "nv_inference_count_total" not in text
    assert "# TYPE spair_pieces_total counter" in text and "# TYPE spair_worker_restarts_total counter" in text


def test_values_are_those_of_the_statistics():
    statistics, metrics = make()
    outcome = Outcome({}, (Report(density=0.25, tiles=(1, 2, 3), seconds=(0.5, 1.0, 0.25)),), waited=0.5, computed=2.0)
    statistics["m"].execute(1, (0.5, 1.0, 0.25))
    statistics["m"].succeed(outcome, 3.0)
    statistics["m"].fail(FailedError("x"), 1.0)
    metrics.observe("m", "1", outcome, 3.0)
    metrics.observe("m", "1", None, 1.0)
    values = read(metrics)
    assert values[key("nv_inference_request_success")] == 1
    assert values[key("nv_inference_request_failure", reason="BACKEND")] == 1
    assert values[key("nv_inference_request_failure", reason="REJECTED")] == 0
    assert values[key("nv_inference_count")] == values[key("nv_inference_exec_count")] == 1
    assert values[key("nv_inference_request_duration_us")] == 4e6
    assert values[key("nv_inference_queue_duration_us")] == 5e5
    assert values[key("nv_inference_compute_input_duration_us")] == 7.5e5
    assert values[key("nv_inference_compute_infer_duration_us")] == 1e6
    assert values[key("nv_inference_compute_output_duration_us")] == 2.5e5
    assert values[key("nv_inference_pending_request_count", "m_bytes")] == len("m_bytes")
    assert [values[key("spair_pieces_total", path=path)] for path in ("skipped", "packed", "dense")] == [1, 2, 3]
    assert values[key("spair_request_duration_seconds_count")] == 2
    assert values[key("spair_request_duration_seconds_sum")] == 4
    assert values[key("spair_density_bucket", le="0.2")] == 0
    assert values[key("spair_density_bucket", le="0.3")] == 1
    assert values['spair_worker_restarts_total{model="m"}'] == 2
    assert values['spair_worker_memory_bytes{model="m"}'] == 1000
    assert values["process_resident_memory_bytes"] > 1e6


def test_memory_that_is_not_known_is_left_out():
    assert b"spair_worker_memory_bytes{" not in make(memory=None)[1].render()


def test_all_series_are_there_from_the_start_and_stay_as_many():
    statistics, metrics = make()
    before = set(read(metrics))
    outcome = Outcome({}, (Report(),), 0.0, 0.0)
    for size in range(1, 40):
        statistics["m"].execute(size, (0.0, 0.0, 0.0))
        statistics["m"].succeed(outcome, 0.0)
        metrics.observe("m", "1", outcome, 0.0)
    assert set(read(metrics)) == before
