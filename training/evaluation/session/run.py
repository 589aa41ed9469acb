"""Evaluation of several models on the same pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ....runtime.clock import CountProgress
from ....runtime.errors import UserError
from .cost import Meter, describe_cost
from .kinds import Kind
from .results import ResultFolder
from .sources import Sources
from .thresholds import check_thresholds, measure_thresholds

if TYPE_CHECKING:
    from ....runtime import Restorer

Counter = Callable[[str], AbstractContextManager[CountProgress]]
"""Opens a progress display under a title."""


class OpenModel(NamedTuple):
    """Model that is open, with the path that names it."""

    path: Path
    restorer: Restorer
    size: Mapping[str, Any]
    """Result of `export.cost.measure_model`."""


def _find_scale(models: Sequence[OpenModel]) -> int:
    """Return the factor by which the models enlarge pictures.

    Raises:
        UserError: they differ in it, so no clean picture fits all.
    """
    scales = {model.path: int(getattr(model.restorer, "scale", 1)) for model in models}
    if len(set(scales.values())) > 1:
        listed = ", ".join(f"{path} by {scale}" for path, scale in scales.items())
        raise UserError(f"the models enlarge pictures by different factors ({listed}); evaluate them one by one")
    return next(iter(scales.values()))


def evaluate_models(
    models: Sequence[OpenModel],
    sources: Sources,
    kind: Kind,
    results: ResultFolder | None,
    counter: Counter,
    thresholds: Sequence[float] = (),
) -> dict[str, Any]:
    """Measure models on the same pictures and write the results.

    Args:
        models: the reported model, then its peers.
        sources: which pictures are measured.
        kind: what is measured.
        results: folder that takes pictures and reports; None for none.
        counter: shows the progress.
        thresholds: thresholds of the mask at which the first model is measured as well, see `measure_thresholds`.

    Returns:
        The report of the first model, with its "cost", see `describe_cost`. Those of its peers are in "compare",
        without their rows for each picture. Those at other thresholds are in "thresholds".

    Raises:
        UserError: a model or a picture cannot be measured.
        GateError: a network returned values that are not finite.
    """
    for model in models:
        kind.check(model.restorer, model.path)
    check_thresholds(models[0].restorer, thresholds)
    left_out: list[str] = []
    with counter("checking:") as progress:
        pairs = sources.find(progress, left_out.append, _find_scale(models))
    if results is not None:
        results.check_inputs(pairs)
    reports = {}
    for number in (*range(1, len(models)), 0):  # peers first: a montage shows the results of all
        path, restorer, size = models[number]
        keep = None if results is None else results.keeper(number)
        meter = Meter(restorer)
        with counter(f"{path.name}:") as progress:
            reports[number] = kind.measure(meter, pairs, model=str(path), progress=progress, keep=keep)
        reports[number]["cost"] = describe_cost(size, meter)
    report = reports.pop(0) | sources.to_json() | {"left_out": left_out}
    if thresholds:
        with counter("thresholds:") as progress:
            report["thresholds"] = measure_thresholds(models[0].restorer, pairs, kind, thresholds, progress)
    report["published"] = kind.publish(sources.dataset, sources.split, len(pairs))
    if reports:
        report["compare"] = [{key: one[key] for key in one if key != "images"} for one in reports.values()]
    if results is not None:
        results.finish(report)
    return report
