"""Run of an engine in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....runtime.children import make_module_command
from ....runtime.clock import ReportProgress
from ....runtime.errors import GateError
from ....temporary.places import scratch_folder
from ..child.process import run_script
from .check import Answer
from .pictures import Sample

_SCRIPT = f"{__package__}.script"


def run_in_child(
    bundle: Path,
    options: dict[str, Any],
    package: str,
    samples: Sequence[Sample],
    *,
    timeout: float | None = None,
    progress: ReportProgress = lambda step: None,
) -> list[Answer]:
    """Restore samples with a bundle's engine.

    An engine that breaks the GPU's context takes its process with it, so it gets one of its own.

    Args:
        bundle: the bundle's folder.
        options: options of `Restorer.open` by name, for example backend and precision.
        package: package that runs the engine, "tensorrt" or "tensorrt_rtx".
        samples: pictures, with masks where they are given.
        timeout: seconds until the run is stopped; None for no limit.
        progress: called before each picture.

    Raises:
        GateError: the engine does not open, does not run, dies or takes too long; the message has the reason.
    """
    with scratch_folder("gate") as folder:
        for number, sample in enumerate(samples):
            np.save(folder / f"picture{number}.npy", sample.picture)
            if sample.mask is not None:
                np.save(folder / f"mask{number}.npy", sample.mask)
        (folder / "job.json").write_text(
            json.dumps({"bundle": str(bundle.resolve()), "options": options, "samples": len(samples)})
        )
        reason = run_script(
            make_module_command(_SCRIPT, str(folder)),
            folder,
            package,
            lambda line: progress(f"running the engine on the picture {samples[int(line)].name}"),
            timeout,
        )
        if reason:
            raise GateError(f"the engine was built and does not run: {reason}; the bundle was left as it was")
        return [
            (np.load(folder / f"restored{number}.npy"), np.load(folder / f"found{number}.npy"))
            for number in range(len(samples))
        ]
