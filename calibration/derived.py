"""Measurement of bfloat16.

It is derived from FP32, or from what INT8 keeps in FP16, when a bundle is opened. Nothing is converted: the backend cpu
rounds weights and values by itself, and the manifest says what that costs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..runtime import Restorer
from ..runtime.bundle.precision import digest_rows
from ..runtime.bundle.reader import DERIVED_FROM, PLAIN
from ..runtime.bundle.writer import extend_bundle
from ..runtime.cpu.opening import open_cpu_network
from ..runtime.errors import GateError
from .accuracy.gate import Restore, check_gate
from .conversion.plan import PrecisionPlan
from .options import Options
from .progress import Progress
from .report import KEPT_OUT, make_report
from .rows import describe_speed, time_rows
from .statistics.pictures import CalibrationPicture, hold_back
from .variants import Built, Variant

MODE = "rows"
"""Name of the mode in the report."""


def measure_derived(
    network: Variant, pictures: Sequence[CalibrationPicture], options: Options, progress: Progress, *, store: bool
) -> dict[str, Any]:
    """Measure what bfloat16 costs on whole pictures.

    Args:
        network: the bundle's network.
        pictures: pictures to restore.
        options: the precision is one of `DERIVED`.
        progress: receives the steps, see `Progress`.
        store: whether to write the result into the manifest.

    Returns:
        The JSON of `spair calibrate`.

    Raises:
        UserError: the kernels of the backend cpu do not work here, or the bundle has no row program for them.
        GateError: the gate is missed, or a clean pixel changed; nothing was written.
    """
    built = Built({}, {}, {})
    with _opened(network, options.precision) as restore:
        verdict = check_gate(network, built, pictures, options, progress, {MODE: restore})
    gate, source = options.gate(network.kind), DERIVED_FROM[options.precision]
    # A calibration to INT8 takes ranges from the others, if it got the same folder.
    seen = () if source == PLAIN else {picture.name for picture in hold_back(pictures)[0]}
    if not verdict.passed(gate, seen):
        raise GateError(
            f"{options.precision} loses {-verdict.delta:.4f} dB on {network.bundle.path} and changes "
            f"{verdict.clean_changed} clean pixels, allowed {gate:g} dB and 0 pixels, and nothing was written; allow "
            f"more with --max-loss, or use {source}"
        )
    report = make_report(network, options, PrecisionPlan({}), built, verdict, pictures, [])
    report |= {"tiles": [], "unseen": verdict.unseen(seen), "file_ratio_target": None}
    report |= {"tile_loss_db": None, "recalled": 0, "stored": store}
    report["rows_sha256"] = digest_rows(network.bundle, options.precision)
    middle = verdict.middle_of(pictures)
    with progress("timing:"):
        times = time_rows(network.bundle, options.precision, middle, options.threads)
    report["speed"] = times and describe_speed(times, middle, options.threads)
    if store:
        kept: Mapping[str, Any] = {name: value for name, value in report.items() if name not in KEPT_OUT}
        extend_bundle(network.bundle, {"calibration": {options.precision: kept}}, {})
    return report


@contextlib.contextmanager
def _opened(network: Variant, precision: str) -> Iterator[Restore]:
    opened = open_cpu_network(network.bundle, precision, threads=network.threads)
    with Restorer(opened) as restorer:

        def restore(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
            result = restorer(pixels)
            return result.image, result.mask

        yield restore
