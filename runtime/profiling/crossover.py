"""The three ways to restore a masked picture against each other: equal results first, then where their times cross."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..bundle.reader import Bundle
from ..restorer import Restorer, Result
from ..tiling.planning import PathChoice
from .cases import Case, RunSetting, is_gated
from .gates import check_clean, check_same
from .timing import Clock, Repeats, Say, find_crossover, percentiles, take_turns, warm_up

Point = dict[str, Any]
"""Percentiles by way: "dense_ms", "adaptive_ms", "packed_ms"."""

PIECE = 128
"""Largest side of the pieces of the comparison in pieces: a small picture would be restored in one piece otherwise."""


def measure_curves(
    bundle: Bundle,
    setting: RunSetting,
    image: np.ndarray,
    cases: Sequence[Case],
    repeats: Repeats,
    *,
    say: Say = lambda words: None,
    clock: Clock = time.perf_counter,
) -> dict[str, Any]:
    """Time forced-dense, adaptive and forced-packed restorations under every mask, and check that all agree.

    Under one mask of each shape, the forced ways are also run in pieces of PIECE, and not timed.

    Args:
        bundle: a two-stage bundle.
        setting: how to run it.
        image: float32 picture as `Restorer` takes it.
        cases: masks of the picture's size.
        repeats: how often each way is run under each mask.
        say: told what is being timed.
        clock: seconds.

    Returns:
        {"check": {"cases", "max_abs", "tolerance", "gated", "packed", "pieces"}, "curves": [{"mask", "points":
        [{"density", "dense_ms", "adaptive_ms", "packed_ms"}], "crossover_density"}]}; cases counts different masks,
        gated is whether clean pixels were checked, packed whether there is a packed graph that was, pieces the most
        that a picture was restored in; packed_ms and crossover_density are None where the
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
            warm_up(restorer, image, heaviest.mask)
        comparison = _Comparison(image, ways, setting.tolerance, is_gated(bundle))
        different = {case.key: case for case in cases}
        for case in different.values():
            say(f"comparing the ways, {case}")
            points[case.key] = comparison.run(case, repeats, clock)
        say("comparing pieces")
        comparison.compare_pieces(bundle, setting, _one_each(cases))
    shapes = dict.fromkeys(case.shape for case in cases)
    check = {
        "cases": len(different),
        "max_abs": comparison.largest,
        "tolerance": setting.tolerance,
        "gated": is_gated(bundle),
        "packed": "packed" in ways,
        "pieces": comparison.pieces,
    }
    return {
        "check": check,
        "curves": [_curve(shape, cases, points) for shape in shapes],
    }


def _paths(bundle: Bundle, setting: RunSetting) -> Iterator[tuple[str, PathChoice]]:
    """Dense first: the others are compared with it."""
    yield "dense", "dense"
    yield "adaptive", "auto"
    if bundle.has_graph(setting.precision, "net_r_packed"):
        yield "packed", "packed"


def _one_each(cases: Sequence[Case]) -> list[Case]:
    """Of each shape, the case in the middle of the densities that leave something to restore."""
    shapes: dict[str, list[Case]] = {}
    for case in sorted(cases, key=lambda case: case.density):
        if case.mask.any():
            shapes.setdefault(case.shape, []).append(case)
    return [own[len(own) // 2] for own in shapes.values()]


class _Comparison:
    """Runs every way under one mask after the other, and looks at each result."""

    def __init__(self, image: np.ndarray, ways: Mapping[str, Restorer], tolerance: float, gated: bool) -> None:
        self._image, self._ways, self._tolerance, self._gated = image, ways, tolerance, gated
        self._dense = image
        self.largest = 0.0
        """Largest difference from dense so far, of full scale."""
        self.pieces = 0
        """The most pieces so far that a picture was restored in."""

    def run(self, case: Case, repeats: Repeats, clock: Clock) -> Point:
        """Percentiles of every way, after its results passed."""
        runs = {way: partial(restorer, self._image, mask=case.mask) for way, restorer in self._ways.items()}
        times = take_turns(runs, lambda way: repeats, seen=partial(self._check, case), clock=clock)
        return {"packed_ms": None, **{f"{way}_ms": percentiles(seconds) for way, seconds in times.items()}}

    def compare_pieces(self, bundle: Bundle, setting: RunSetting, cases: Sequence[Case]) -> None:
        """Compare small pieces with the dense way of `setting` too."""
        small = replace(setting, tile=min(setting.tile or PIECE, PIECE))
        for way, path in _paths(bundle, setting):
            if path == "auto":
                continue
            with small.open_restorer(bundle, path) as restorer:
                for case in cases:
                    self._dense = self._ways["dense"](self._image, mask=case.mask).image
                    self._compare(case, f"{way} (in pieces)", restorer(self._image, mask=case.mask))

    def _check(self, case: Case, way: str, result: Result) -> None:
        if way == "dense":
            self._dense = result.image
        self._compare(case, way, result)

    def _compare(self, case: Case, way: str, result: Result) -> None:
        self.pieces = max(self.pieces, result.tiles.packed + result.tiles.dense)
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
