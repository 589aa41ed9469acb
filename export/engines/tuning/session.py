"""Timing of layers in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ....plugins.compiler.library.linking import LIBRARY
from ....runtime.children import make_module_command
from ....runtime.clock import ReportProgress
from ....runtime.errors import GateError
from ....temporary.places import scratch_folder
from ..child.process import run_script
from .scenes import DENSITIES, make_masks

MASK = "mask"
"""Input of Net_R that is the mask."""
_SCRIPT = f"{__package__}.script"


@dataclass(frozen=True)
class Subject:
    """Engine of Net_R that is timed."""

    plan: bytes
    library: bytes
    """Content of its plugin library."""
    package: str
    """Python package that runs it, "tensorrt"."""
    inputs: Mapping[str, Sequence[int]]
    """Shape of each input by its name."""


def time_in_child(
    subject: Subject, *, timeout: float | None = None, progress: ReportProgress = lambda step: None
) -> list[dict[str, float]]:
    """Time the layers of an engine under every mask.

    An engine that breaks the GPU's context takes its process with it, so it gets one of its own.

    Args:
        subject: the engine.
        timeout: seconds until the run is stopped; None for no limit.
        progress: called before each mask.

    Returns:
        Milliseconds by the layer's name, for each mask of `make_masks`.

    Raises:
        GateError: the engine does not open, does not run, dies or takes too long; the message has the reason.
    """
    with scratch_folder("tuning") as folder:
        _write(subject, folder)
        reason = run_script(
            make_module_command(_SCRIPT, str(folder)),
            folder,
            subject.package,
            lambda line: progress(f"timing layers where {DENSITIES[int(line)]:.0%} of the pixels are distorted"),
            timeout,
        )
        if reason:
            raise GateError(
                f"an engine for tuning was built and its layers cannot be timed: {reason}; the bundle was left as it "
                "was, and without --tune its engines can be built"
            )
        times: list[dict[str, float]] = json.loads((folder / "times.json").read_text())
        return times


def _write(subject: Subject, folder: Path) -> None:
    """Write the files that the script reads."""
    library, (height, width) = folder / LIBRARY, subject.inputs[MASK][2:]
    library.write_bytes(subject.library)
    (folder / "engine").write_bytes(subject.plan)
    masks = {f"mask{number}": mask for number, mask in enumerate(make_masks(height, width))}
    np.savez(folder / "masks.npz", **masks)  # type: ignore[arg-type]
    job = {
        "package": subject.package,
        "library": str(library),
        "mask": MASK,
        "inputs": {name: list(shape) for name, shape in subject.inputs.items()},
    }
    (folder / "job.json").write_text(json.dumps(job))
