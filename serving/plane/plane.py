"""Data plane, which both doors of the server stand on."""

from __future__ import annotations

import asyncio
import importlib.metadata
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from ...runtime.errors import UserError
from ..access_log import AccessLog
from ..contract import BYTES_SUFFIX, CONFIG_TYPES, ENCODED, PIXELS, VERSION, Contract, TensorSpec
from ..errors import UnknownModelError
from ..options import Limits, ModelOptions
from ..tensors import Tensor, pack_bytes
from .checks import check_request
from .messages import InferAnswer, InferRequest, ModelMetadata, ModelState, ServerMetadata
from .metrics import CONTENT_TYPE, Metrics, ProcessFacts
from .queue import Job, Outcome
from .statistics import ModelStatistics
from .supervisor import Supervisor
from .workers.opening import OPENER
from .workers.protocol import FILE_TASK, PIXELS_TASK

EXTENSIONS = ("binary_tensor_data", "model_repository", "model_configuration", "statistics", "parameters")
"""Extensions of the protocol that the doors speak."""


class DataPlane:
    """Models behind one contract.

    Each is computed in a process of its own. The plane's methods belong to one event loop.
    """

    def __init__(
        self,
        models: Mapping[str, Path],
        options: ModelOptions,
        limits: Limits,
        log: AccessLog | None = None,
        *,
        opener: str = OPENER,
    ) -> None:
        """Name the models.

        Args:
            models: bundles, served graphs or names of shipped weights, by the names that they are served under.
            options: how they are opened.
            limits: bounds on requests.
            log: gets a line for each start, readiness and restart of a process.
            opener: import path, as "package.module:function", of the function that opens a model in its process; see
                `open_restorer`.

        Raises:
            UserError: two names are equal, one of them with its end for picture files.
        """
        self.limits = limits
        self._supervisors = {
            name: Supervisor(name, path, options, limits, self._note_execution, log=log, opener=opener)
            for name, path in models.items()
        }
        names = [name + suffix for name in models for suffix in ("", BYTES_SUFFIX)]
        twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
        if twice is not None:
            raise UserError(f"two models would be served as {twice}; give them other names, as in NAME=PATH")
        self._statistics = {name: ModelStatistics(name, VERSION) for name in names}
        self._metrics = Metrics(self._statistics, self._count_pending, self._describe_processes)
        self._draining = False

    async def start(self) -> None:
        """Open the models and restore pictures with each.

        Raises:
            UserError: a model cannot be opened; none is left open.
        """
        starts = [asyncio.create_task(one.start()) for one in self._supervisors.values()]
        try:
            await asyncio.wait(starts, return_when=asyncio.FIRST_EXCEPTION)
            for start in starts:
                if start.done():
                    start.result()
        except BaseException:
            for start in starts:
                start.cancel()
            await asyncio.wait(starts)
            await self.close()
            raise

    async def drain(self) -> None:
        """Take no more requests, and finish those that were taken."""
        self._draining = True
        for one in self._supervisors.values():
            one.refuse()
        await asyncio.gather(*(one.drain() for one in self._supervisors.values()))

    async def close(self) -> None:
        """Release the models; may be called twice."""
        self._draining = True
        await asyncio.gather(*(one.close() for one in self._supervisors.values()))

    @property
    def is_live(self) -> bool:
        """Whether the process can answer at all."""
        return True

    @property
    def is_ready(self) -> bool:
        """Whether every model answers requests."""
        return not self._draining and all(one.is_ready for one in self._supervisors.values())

    def is_model_ready(self, name: str, version: str = "") -> bool:
        """Tell whether a model answers requests.

        Raises:
            UnknownModelError: there is no such model or version.
        """
        return self._find(name, version)[0].is_ready

    def describe_server(self) -> ServerMetadata:
        """Describe the server."""
        return ServerMetadata("spair", importlib.metadata.version("spair-rt"), EXTENSIONS)

    def list_models(self) -> tuple[ModelState, ...]:
        """List every model with its state."""
        reason = "the server is stopping" if self._draining else "its process is starting"
        return tuple(
            ModelState(name + suffix, VERSION, "READY")
            if one.is_ready
            else ModelState(name + suffix, VERSION, "UNAVAILABLE", reason)
            for name, one in self._supervisors.items()
            for suffix in ("", BYTES_SUFFIX)
        )

    def describe_model(self, name: str, version: str = "") -> ModelMetadata:
        """Describe a model.

        Raises:
            UnknownModelError: there is no such model or version.
        """
        supervisor, contract = self._find(name, version)
        return ModelMetadata(name, (VERSION,), "spair", contract, supervisor.opened.facts)

    def configure_model(self, name: str, version: str = "") -> dict[str, Any]:
        """Return a model's configuration, as JSON of Triton's ModelConfig.

        Raises:
            UnknownModelError: there is no such model or version.
        """
        _, contract = self._find(name, version)

        def write(spec: TensorSpec) -> dict[str, Any]:
            return {"name": spec.name, "data_type": CONFIG_TYPES[spec.datatype], "dims": list(spec.shape)}

        return {
            "name": name,
            "platform": "spair",
            "backend": "spair",
            "max_batch_size": 0,
            "input": [write(spec) for spec in contract.inputs],
            "output": [write(spec) for spec in contract.outputs],
        }

    def count(self, name: str = "", version: str = "") -> list[dict[str, Any]]:
        """Return the statistics of a model, or of all.

        They are JSON of the protocol's statistics extension.

        Raises:
            UnknownModelError: there is no such model or version.
        """
        if name:
            self._find(name, version)
        names = [name] if name else list(self._statistics)
        processes = self._describe_processes()
        return [self._statistics[one].to_json(processes[self._find(one, version)[0].name].memory) for one in names]

    def render_metrics(self) -> tuple[bytes, str]:
        """Return all metrics for Prometheus, and their content type."""
        return self._metrics.render(), CONTENT_TYPE

    def add_metrics(self, register: Callable[[CollectorRegistry], None]) -> None:
        """Let others register metrics of their own."""
        self._metrics.add(register)

    async def infer(self, request: InferRequest) -> InferAnswer:
        """Answer a request.

        Cancelling the task gives the request up.

        Raises:
            ServingError: the request cannot be answered; the class says why.
        """
        supervisor, contract = self._find(request.model, request.version)
        began = time.monotonic()
        statistics = self._statistics[request.model]
        try:
            job = self._make_job(request, contract)
            outcome = await supervisor.submit(job)
            answer = _make_answer(request, contract, job, outcome)
        except BaseException as error:
            seconds = time.monotonic() - began
            statistics.fail(error, seconds)
            self._metrics.observe(request.model, VERSION, None, seconds)
            raise
        seconds = time.monotonic() - began
        statistics.succeed(outcome, seconds)
        self._metrics.observe(request.model, VERSION, outcome, seconds)
        return answer

    def _make_job(self, request: InferRequest, contract: Contract) -> Job:
        tensor = check_request(request, contract, self.limits)
        latest = time.monotonic() + self.limits.seconds
        wanted = request.outputs or tuple(spec.name for spec in contract.outputs)
        return Job(
            model=request.model,
            kind=FILE_TASK if contract is ENCODED else PIXELS_TASK,
            data=tensor.values[0] if contract is ENCODED else np.ascontiguousarray(tensor.values),
            wanted=tuple(name for name in wanted if name != "density"),
            deadline=latest if request.deadline is None else min(latest, request.deadline),
            future=asyncio.get_running_loop().create_future(),
            format=str(request.parameters.get("format", "png")),
            threshold=request.parameters.get("threshold"),
        )

    def _find(self, name: str, version: str) -> tuple[Supervisor, Contract]:
        if version in ("", VERSION):
            if name in self._supervisors:
                return self._supervisors[name], PIXELS
            base = name.removesuffix(BYTES_SUFFIX)
            if base != name and base in self._supervisors:
                return self._supervisors[base], ENCODED
        raise UnknownModelError(
            f"there is no model {name!r} of version {version or VERSION}; served are {', '.join(self._statistics)}, "
            f"of version {VERSION}"
        )

    def _note_execution(self, model: str, pictures: int, seconds: tuple[float, float, float]) -> None:
        self._statistics[model].execute(pictures, seconds)

    def _count_pending(self, name: str) -> int:
        return sum(job.model == name for job in self._find(name, "")[0].queue)

    def _describe_processes(self) -> dict[str, ProcessFacts]:
        return {
            name: ProcessFacts(one.restarts, None if one.worker is None else one.worker.read_memory())
            for name, one in self._supervisors.items()
        }


def _make_answer(request: InferRequest, contract: Contract, job: Job, outcome: Outcome) -> InferAnswer:
    wanted = request.outputs or tuple(spec.name for spec in contract.outputs)
    densities = np.asarray([report.density for report in outcome.reports], np.float32)

    def make(name: str) -> Tensor:
        if name == "density":
            return Tensor(name, "FP32", densities)
        if job.kind == FILE_TASK:
            return pack_bytes(name, [outcome.outputs[name].tobytes()])
        return Tensor(name, "UINT8", outcome.outputs[name])

    return InferAnswer(request.model, VERSION, request.id, tuple(make(name) for name in wanted), _measure(outcome))


def _measure(outcome: Outcome) -> dict[str, float | int]:
    """Return the values that an answer carries beside its outputs."""
    values: dict[str, float | int] = {
        "queue_ms": round(1000 * outcome.waited, 3),
        "compute_ms": round(1000 * outcome.computed, 3),
    }
    for stage in dict.fromkeys(stage for report in outcome.reports for stage in report.stages):
        seconds = sum(report.stages.get(stage, 0.0) for report in outcome.reports)
        values[f"{stage}_ms"] = round(1000 * seconds, 3)
    for place, path in enumerate(("skipped", "packed", "dense")):
        values[f"tiles_{path}"] = sum(report.tiles[place] for report in outcome.reports)
    values["density"] = round(sum(report.density for report in outcome.reports) / len(outcome.reports), 6)
    return values
