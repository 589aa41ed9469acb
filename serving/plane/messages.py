"""Messages between the doors and the data plane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..contract import Contract
from ..tensors import Tensor


@dataclass(frozen=True)
class InferRequest:
    """Request for one inference."""

    model: str
    inputs: tuple[Tensor, ...]
    version: str = ""
    """Version that the client asked for; empty for any."""
    id: str = ""
    """Name of the request, which the answer repeats."""
    outputs: tuple[str, ...] = ()
    """Names of the outputs that the client wants; none stands for all."""
    deadline: float | None = None
    """Time of `time.monotonic` after which the answer is of no use; None leaves it to the limits of the server."""
    parameters: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """Options of the request: `format` of the model NAME_bytes is "png" or "input", the format of the file that came.
    `threshold` is that of the mask, a number from 0 to 1, or "fast", "balanced" or "best".
    """
    door: str = "http"
    """"http" or "grpc", for logs."""


MEASURED = ("queue_ms", "compute_ms", "density")
"""Parameters of an answer that the access log repeats."""


@dataclass(frozen=True)
class InferAnswer:
    """Answer to an `InferRequest`."""

    model: str
    version: str
    id: str
    outputs: tuple[Tensor, ...]
    """Outputs in the order in which they were asked for."""
    parameters: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """Measured values: `queue_ms`, `compute_ms`, milliseconds by stage of the restorer, as `net_l_ms`, the numbers of
    pieces by their path, as `tiles_packed`, and `density`, the mean over the pictures."""

    @property
    def measured(self) -> dict[str, str | int | float | bool]:
        """Values for the access log."""
        return {name: self.parameters[name] for name in MEASURED if name in self.parameters}


@dataclass(frozen=True)
class ModelState:
    """Entry of the repository index."""

    name: str
    version: str
    state: str
    """"READY" or "UNAVAILABLE"."""
    reason: str = ""


@dataclass(frozen=True)
class ModelMetadata:
    """Description of a model for clients."""

    name: str
    versions: tuple[str, ...]
    platform: str
    contract: Contract
    facts: Mapping[str, str] = field(default_factory=dict)
    """Task, preset, precision, backend and threshold of the mask, for clients, the page and the logs."""


@dataclass(frozen=True)
class ServerMetadata:
    """Description of the server for clients."""

    name: str
    version: str
    extensions: tuple[str, ...]
