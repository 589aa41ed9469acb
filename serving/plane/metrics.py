"""Metrics for Prometheus, with Triton's names where it has them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from .queue import Outcome
from .statistics import ModelStatistics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Type of the text format of Prometheus."""
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the buckets of durations, in seconds."""
DENSITIES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
"""Upper bounds of the buckets of densities, as shares of the pixels."""
COUNTERS = {
    "nv_inference_request_success": "Number of successful inference requests, all batch sizes",
    "nv_inference_request_failure": "Number of failed inference requests, all batch sizes",
    "nv_inference_count": "Number of inferences performed (does not include cached requests)",
    "nv_inference_exec_count": "Number of model executions performed (does not include cached requests)",
    "nv_inference_request_duration_us": "Cumulative inference request duration in microseconds",
    "nv_inference_queue_duration_us": "Cumulative inference queuing duration in microseconds",
    "nv_inference_compute_input_duration_us": "Cumulative compute input duration in microseconds",
    "nv_inference_compute_infer_duration_us": "Cumulative compute inference duration in microseconds",
    "nv_inference_compute_output_duration_us": "Cumulative inference compute output duration in microseconds",
}
"""Counters of Triton with their descriptions."""
_HEADER = re.compile(rb"^# (HELP|TYPE) (nv_\w+)_total ", re.MULTILINE)


@dataclass(frozen=True)
class ProcessFacts:
    """State of a model's child process."""

    restarts: int
    memory: int | None
    """Bytes in use; None if they are not known."""


class Metrics:
    """Metrics of a server, in a registry of their own.

    The only values of labels are names of models that are served, so a client cannot make the server hold more of them.
    """

    def __init__(
        self,
        statistics: Mapping[str, ModelStatistics],
        count_pending: Callable[[str], int],
        describe_processes: Callable[[], Mapping[str, ProcessFacts]],
    ) -> None:
        """Take over what is measured elsewhere.

        Args:
            statistics: counts by served name.
            count_pending: returns the number of requests that wait under a served name.
            describe_processes: returns the state of each model's process by the model's name.
        """
        self._registry = CollectorRegistry()
        self._registry.register(_Counts(statistics, count_pending, describe_processes))
        ProcessCollector(registry=self._registry)
        labels = ("model", "version")
        self._seconds = Histogram(
            "spair_request_duration_seconds",
            "Seconds from the arrival of a request to its answer",
            labels,
            buckets=SECONDS,
            registry=self._registry,
        )
        self._density = Histogram(
            "spair_density",
            "Share of distorted pixels of a picture",
            labels,
            buckets=DENSITIES,
            registry=self._registry,
        )
        for name, one in statistics.items():  # all series are there from the start
            self._seconds.labels(name, one.version)
            self._density.labels(name, one.version)

    def observe(self, model: str, version: str, outcome: Outcome | None, seconds: float) -> None:
        """Note an answer.

        Args:
            model: served name.
            version: its version.
            outcome: results; None for a request that failed.
            seconds: time from its arrival to its answer.
        """
        self._seconds.labels(model, version).observe(seconds)
        for report in outcome.reports if outcome is not None else ():
            self._density.labels(model, version).observe(report.density)

    def add(self, register: Callable[[CollectorRegistry], None]) -> None:
        """Let others register metrics of their own."""
        register(self._registry)

    def render(self) -> bytes:
        """Return all metrics in the text format of Prometheus.

        The library ends the name of each counter with _total, also in its header. Triton's have no such end, and
        dashboards know them without it.
        """
        return _HEADER.sub(rb"# \1 \2 ", generate_latest(self._registry))


class _Counts(Collector):
    """Collector of what is counted elsewhere."""

    def __init__(
        self,
        statistics: Mapping[str, ModelStatistics],
        count_pending: Callable[[str], int],
        describe_processes: Callable[[], Mapping[str, ProcessFacts]],
    ) -> None:
        self._statistics, self._count_pending, self._describe = statistics, count_pending, describe_processes

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        yield from self._collect_counters()
        pending = Metric(
            "nv_inference_pending_request_count", "Instantaneous number of pending requests awaiting execution", "gauge"
        )
        pieces = Metric("spair_pieces", "Pieces of pictures by the path that they took", "counter")
        for name, one in self._statistics.items():
            labels = {"model": name, "version": one.version}
            pending.add_sample(pending.name, labels, self._count_pending(name))
            for path, count in one.tiles.items():
                pieces.add_sample("spair_pieces_total", {**labels, "path": path}, count)
        yield pending
        yield pieces
        yield from self._collect_processes()

    def _collect_counters(self) -> Iterator[Metric]:
        counters = {name: Metric(name, words, "counter") for name, words in COUNTERS.items()}
        for name, one in self._statistics.items():
            labels = {"model": name, "version": one.version}
            everything = [one.success, *one.failures.values()]
            values = {
                "nv_inference_request_success": one.success.count,
                "nv_inference_count": one.inferences,
                "nv_inference_exec_count": one.executions,
                "nv_inference_request_duration_us": 1e6 * sum(each.seconds for each in everything),
                "nv_inference_queue_duration_us": 1e6 * one.queue.seconds,
                **{f"nv_inference_{part}_duration_us": 1e6 * each.seconds for part, each in one.parts.items()},
            }
            for key, value in values.items():
                counters[key].add_sample(key, labels, value)
            for reason, failed in one.failures.items():
                key = "nv_inference_request_failure"
                counters[key].add_sample(key, {**labels, "reason": reason}, failed.count)
        yield from counters.values()

    def _collect_processes(self) -> Iterator[Metric]:
        restarts = Metric("spair_worker_restarts", "Processes of a model that ended without being asked to", "counter")
        memory = Metric("spair_worker_memory_bytes", "Memory that the process of a model has in use", "gauge")
        for name, facts in self._describe().items():
            restarts.add_sample("spair_worker_restarts_total", {"model": name}, facts.restarts)
            if facts.memory is not None:
                memory.add_sample(memory.name, {"model": name}, facts.memory)
        yield restarts
        yield memory
