"""Gate over the engines of a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ....runtime.bundle.reader import Bundle
from ....runtime.bundle.writer import Content, write_bundle
from ....runtime.clock import ReportProgress
from ....temporary.places import scratch_folder
from .check import Answer, GateReport, check_engine
from .pictures import Sample
from .session import run_in_child

BACKEND: Mapping[str, Any] = {"backend": "tensorrt", "trust_code": True}
"""Options of `Restorer.open` that run an engine which this machine has just built."""


def gate_target(
    bundle: Bundle,
    name: str,
    entry: Mapping[str, Any],
    files: Mapping[str, Content],
    *,
    package: str,
    largest: tuple[int, int],
    timeout: float | None = None,
    progress: ReportProgress = lambda step: None,
) -> list[GateReport]:
    """Compare each precision's engines with the CPU.

    They run from a copy of the bundle, so that a failure leaves the bundle as it was. The copy has no other targets, so
    the runtime cannot choose one of theirs.

    Args:
        bundle: the bundle that the engines were built from.
        name: name of the target.
        entry: the target's entry of the manifest.
        files: content of the target's files by their paths in the bundle.
        package: package that runs the engines, "tensorrt" or "tensorrt_rtx".
        largest: largest width and height in pixels that the engines take.
        timeout: seconds for the engines of a precision; None for no limit.
        progress: called before each step.

    Returns:
        A report for each precision.

    Raises:
        GateError: see `check_engine` and `run_in_child`.
    """
    with scratch_folder("gate") as folder:
        staged = _stage(bundle, folder / bundle.path.resolve().name, name, entry, files)

        def check(precision: str) -> GateReport:
            def run(samples: Sequence[Sample]) -> list[Answer]:
                options = {**BACKEND, "precision": precision}
                return run_in_child(staged, options, package, samples, timeout=timeout, progress=progress)

            return check_engine(staged, precision, run, largest, progress=progress)

        return [check(precision) for precision in entry["engines"]]


def _stage(bundle: Bundle, place: Path, name: str, entry: Mapping[str, Any], files: Mapping[str, Content]) -> Path:
    """Copy a bundle with one target alone."""
    raw = bundle.manifest.raw
    foreign = tuple(f"{folder}/{other}/" for other in bundle.manifest.targets for folder in ("plugins", "engines"))
    kept = {file: path for file, path in bundle.contents().items() if not file.startswith(foreign)}
    return write_bundle(place, {**raw, "targets": {name: dict(entry)}}, {**kept, **files}).path
