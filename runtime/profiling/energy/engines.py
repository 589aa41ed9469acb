"""Energy of restoring on engines."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import Any

from ...bundle.reader import Bundle
from ...clock import ReportProgress
from ...engine.opening import open_engines
from ...errors import UserError
from ...restorer import Restorer
from ..cases import RunSetting, make_cases
from ..engines.profile import EngineSetting
from ..profile import ProfilePlan, Size, Source, as_float, fit
from .report import EnergyReport, report_energy


def measure_engine_energy(
    bundle: Bundle, source: Source, plan: ProfilePlan, setting: EngineSetting, progress: ReportProgress
) -> dict[str, Any]:
    """Measure joules for each piece by mask and density.

    The engine of Net_R takes a given mask, so it has a density of its own; the whole engine finds its mask.

    Args:
        bundle: a bundle with engines.
        source: 8-bit RGB picture.
        plan: sizes, masks and settings.
        setting: how engines are measured.
        progress: called with a phrase on what is being done.

    Returns:
        See `measure_energy` of the processor. The mask of the whole engine's rows is None, and their density is what
        it found.

    Raises:
        UserError: no engine fits or is trusted.
    """
    with report_energy() as report:
        for run_setting in plan.settings if report.meters else ():
            _measure_setting(report, bundle, source, plan, run_setting, setting, progress)
    return report.to_json()


def _measure_setting(
    report: EnergyReport,
    bundle: Bundle,
    source: Source,
    plan: ProfilePlan,
    run_setting: RunSetting,
    setting: EngineSetting,
    progress: ReportProgress,
) -> None:
    opening = open_engines(
        bundle,
        run_setting.precision,
        slots=run_setting.threads,
        options=setting.slots,
        trust_code=setting.trust_code,
    )
    keys = {"precision": run_setting.precision, "threads": run_setting.threads, "backend": "tensorrt"}
    with closing(opening.open_network()) as network:
        restorer = Restorer(network)
        for size in plan.sizes:
            progress(f"{run_setting.precision} engine: {size}, joules")
            pixels = fit(source.pixels, size)
            density = round(restorer(pixels).density, 6)
            report.add({**keys, "size": list(size), "mask": None, "density": density}, partial(restorer, pixels))
        try:
            height, width = network.largest_window
        except UserError:  # no engines of the parts; the report on the curves says so
            return
        size = Size(min(plan.check_size.width, width), min(plan.check_size.height, height))
        image = as_float(fit(source.pixels, size))
        for case in make_cases(plan.shapes, plan.densities, size.height, size.width):
            progress(f"{run_setting.precision} engine: {size}, joules, {case}")
            run = partial(restorer, image, mask=case.mask)
            run()
            report.add({**keys, "size": list(size), "mask": case.shape, "density": case.density}, run)
