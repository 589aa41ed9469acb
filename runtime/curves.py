"""The three ways to restore a masked picture against each other: equal results first, then where their times cross."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np

from .bundle import Bundle
from .networks import PathChoice
from .restorer import Restorer, Result
from .timing import Clock, Repeats, Say, find_crossover, percentiles, take_turns
from .ways import Case, Setting, check_clean, check_same, is_gated

Point = dict[str, Any]
"""Percentiles by way: "dense_ms", "adaptive_ms", "packed_ms"."""


def measure_curves(
    bundle: Bundle,
    setting: Setting,
    image: np.ndarray,
    cases: Sequence[Case],
    repeats: Repeats,
    *,
    say: Say = lambda words: None,
    clock: Clock = time.perf_counter,
) -> dict[str, Any]:
    """Time forced-dense, adaptive and forced-packed restorations under every mask, and check that all agree.

    Args:
        bundle: a two-stage bundle.
        setting: how to run it.
        image: float32 picture as `Restorer` takes it.
        cases: masks of the picture's size.
        repeats: how often each way is run under each mask.
        say: told what is being timed.
        clock: seconds.

    Returns:
        {"check": {"cases", "max_abs", "tolerance"}, "curves": [{"mask", "points": [{"density", "dense_ms",
        "adaptive_ms", "packed_ms"}], "crossover_density"}]}; packed_ms and crossover_density are None where the
        bundle has no packed graph, the latter also where nothing crosses.

    Raises:
        GateError: two ways differ, or a clean pixel was changed.
    """
    points: dict[tuple[str, float], Point] = {}
    with ExitStack() as stack:
        ways = {way: stack.enter_context(setting.open_restorer(bundle, path)) for way, path in _paths(bundle, setting)}
        heaviest = max(cases, key=lambda case: case.density)
        for way, restorer in ways.items():
            say(f"{way}, warming up")
            restorer(image, mask=heaviest.mask)
        comparison = _Comparison(image, ways, setting.tolerance, is_gated(bundle))
        for case in {case.key: case for case in cases}.values():
            say(f"comparing the ways, {case}")
            points[case.key] = comparison.run(case, repeats, clock)
    shapes = dict.fromkeys(case.shape for case in cases)
    return {
        "check": {"cases": len(cases), "max_abs": comparison.largest, "tolerance": setting.tolerance},
        "curves": [_curve(shape, cases, points) for shape in shapes],
    }


def _paths(bundle: Bundle, setting: Setting) -> Iterator[tuple[str, PathChoice]]:
    """Dense first: the others are compared with it."""
    yield "dense", "dense"
    yield "adaptive", "auto"
    if bundle.has_graph(setting.precision, "net_r_packed"):
        yield "packed", "packed"


class _Comparison:
    """Runs every way under one mask after the other, and looks at each result."""

    def __init__(self, image: np.ndarray, ways: Mapping[str, Restorer], tolerance: float, gated: bool) -> None:
        self._image, self._ways, self._tolerance, self._gated = image, ways, tolerance, gated
        self._dense = image
        self.largest = 0.0
        """Largest difference from dense so far, of full scale."""

    def run(self, case: Case, repeats: Repeats, clock: Clock) -> Point:
        """Percentiles of every way, after its results passed."""
        runs = {way: partial(restorer, self._image, mask=case.mask) for way, restorer in self._ways.items()}
        times = take_turns(runs, lambda way: repeats, seen=partial(self._check, case), clock=clock)
        return {"packed_ms": None, **{f"{way}_ms": percentiles(seconds) for way, seconds in times.items()}}

    def _check(self, case: Case, way: str, result: Result) -> None:
        if way == "dense":
            self._dense = result.image
        if self._gated:
            check_clean(f"{case}, {way}", self._image, result.image, case.mask)
        difference = check_same(str(case), way, result.image, self._dense, self._tolerance)
        self.largest = max(self.largest, difference)


def _curve(shape: str, cases: Sequence[Case], points: Mapping[tuple[str, float], Point]) -> dict[str, Any]:
    own = sorted((case for case in cases if case.shape == shape), key=lambda case: case.density)
    curve = [{"density": case.density, **points[case.key]} for case in own]
    crossover = None
    if all(point["packed_ms"] for point in curve):
        packed, dense = ([point[f"{way}_ms"]["p50"] for point in curve] for way in ("packed", "dense"))
        crossover = find_crossover([point["density"] for point in curve], packed, dense)
    return {"mask": shape, "points": curve, "crossover_density": crossover}
