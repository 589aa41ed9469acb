"""Files in the formats of trtexec."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...cuda.marks import RunTimes
from ...files import write_atomically
from .runs import list_steps


@dataclass(frozen=True)
class Exports:
    """Files to write; None for none."""

    times: Path | None = None
    """Times of each run, as of `trtexec --exportTimes`."""
    profile: Path | None = None
    """Times of each layer, as of `trtexec --exportProfile`."""
    layer_info: Path | None = None
    """TensorRT's words on each layer, as of `trtexec --exportLayerInfo`."""

    @property
    def any(self) -> bool:
        """Whether a file is wanted at all."""
        return any(path is not None for path in (self.times, self.profile, self.layer_info))


def write_times(path: Path, runs: Sequence[RunTimes]) -> None:
    """Write the times of plain runs.

    They are milliseconds since the first mark of the measurement.

    Raises:
        UserError: the file cannot be written.
    """
    _write(path, list(map(_describe_run, runs)))


def write_profile(path: Path, layers: Mapping[str, Any]) -> None:
    """Write the times of layers, see `measure_layers`.

    Raises:
        UserError: the file cannot be written.
    """
    rows = [
        {
            "name": layer["name"],
            "timeMs": layer["total_ms"],
            "averageMs": layer["ms"],
            "medianMs": layer["median_ms"],
            "percentage": 100 * layer["share"],
        }
        for layer in layers["layers"]
    ]
    _write(path, [{"count": layers["runs"]}, *rows])


def write_layer_info(path: Path, layers: Mapping[str, Any]) -> None:
    """Write TensorRT's words on layers, see `measure_layers`.

    Raises:
        UserError: the file cannot be written.
    """
    _write(path, layers["information"])


def _describe_run(run: RunTimes) -> dict[str, float]:
    copy_in, compute, copy_out = list_steps(run)
    spans = {"Enq": run.enqueue, "H2d": run.copy_in, "Compute": run.compute, "D2h": run.copy_out}
    ends = {
        f"{side}{name}Ms": span[index]
        for name, span in spans.items()
        if span is not None
        for index, side in enumerate(("start", "end"))
    }
    return {
        **ends,
        "h2dMs": copy_in,
        "computeMs": compute,
        "d2hMs": copy_out,
        "latencyMs": copy_in + compute + copy_out,
    }


def _write(path: Path, value: Any) -> None:
    write_atomically(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())
