"""Energy of restoring on the processor."""

from __future__ import annotations

from functools import partial
from typing import Any

from ...bundle.reader import Bundle
from ...clock import ReportProgress
from ..cases import Case, RunSetting, make_cases
from ..profile import ProfilePlan, Size, Source, fit
from .report import EnergyReport, report_energy


def measure_energy(bundle: Bundle, source: Source, plan: ProfilePlan, progress: ReportProgress) -> dict[str, Any]:
    """Measure joules for each picture by mask and density.

    Args:
        bundle: the bundle.
        source: the picture.
        plan: sizes, masks and settings.
        progress: called with a phrase on what is being done.

    Returns:
        The entry "power" of the report: "meters", "unknown", "idle", "rows", "before" and "after"; without a meter no
        rows, and the reasons. A network without masks has one row of density 1.
    """
    with report_energy() as report:
        for setting in plan.settings if report.meters else ():
            for size in plan.sizes:
                _measure_size(report, bundle, setting, source, size, plan, progress)
    return report.to_json()


def _measure_size(
    report: EnergyReport,
    bundle: Bundle,
    setting: RunSetting,
    source: Source,
    size: Size,
    plan: ProfilePlan,
    progress: ReportProgress,
) -> None:
    pixels = fit(source.pixels, size)
    cases: list[Case | None] = [None]
    if bundle.manifest.kind == "spair":
        cases = list(make_cases(plan.shapes, plan.densities, size.height, size.width))
    with setting.open_restorer(bundle) as restorer:
        for case in cases:
            progress(f"{setting.precision}: {size}, joules, {case or 'every pixel'}")
            run = partial(restorer, pixels) if case is None else partial(restorer, pixels, mask=case.mask)
            run()  # the first run asks for memory
            keys = {
                "precision": setting.precision,
                "threads": setting.threads,
                "backend": setting.backend,
                "size": list(size),
                "mask": case.shape if case else None,
                "density": case.density if case else 1.0,
            }
            report.add(keys, run)
