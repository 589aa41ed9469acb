"""Times of restoring a picture, by mask, density and stage.

Results are checked while they are timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ...temporary.places import scratch_folder
from ..bundle.reader import Bundle
from ..clock import ReportProgress
from ..images import Picture, read_image, write_image
from ..restorer import Result
from .cases import Case, Dial, Place, RunSetting, Score, is_gated, list_places, open_baseline
from .gates import check_baseline, check_clean
from .memory import measure_peak_memory
from .timing import Clock, Effort, Repeats, percentiles, take_turns

DENSE, FOUND = "dense", "the mask found"
"""Keys of the runs beside the cases: the baseline, and the restorer under the mask that the network finds."""

Times = Mapping[Hashable, Sequence[float]]
"""Seconds of every run by key; the keys are `DENSE`, `FOUND` and those of the cases."""

_NO_PICTURE = np.empty(0)


@dataclass(frozen=True)
class Subject:
    """Bundle and picture that are timed."""

    bundle: Bundle
    setting: RunSetting
    pixels: np.ndarray
    """[H, W, C] as `Picture` holds them."""
    suffix: str = ".jpg"
    """Suffix of the file format in which decoding and encoding are timed."""
    dial: Dial | None = None


def measure_masks(
    subject: Subject,
    cases: Sequence[Case],
    effort: Effort,
    *,
    progress: ReportProgress = lambda words: None,
    clock: Clock = time.perf_counter,
) -> dict[str, Any]:
    """Time a two-stage bundle on one picture under every mask.

    The baseline and the restorer run in turns.

    Args:
        subject: a bundle of kind "spair" with a graph of the whole network, and a picture.
        cases: masks of the picture's size.
        effort: limits on the runs.
        progress: called with a phrase on what is being timed.
        clock: returns the seconds.

    Returns:
        {"rows", "stages", "dial"}: a row for each case, see `_row`, the stages, see `_stages`, and a row for each
        threshold, see `_dial_row`. All have "first_ms" too, the first run under this mask, or the first picture after
        opening; they count in no median.

    Raises:
        UserError: the network does not take a threshold of the dial.
        GateError: baseline and restorer differ under the network's own mask, or a clean pixel was changed under a
            generated one. Distorted pixels are not compared under generated masks; `measure_curves` does that, on a
            smaller picture.
    """
    bundle, setting, pixels = subject.bundle, subject.setting, subject.pixels
    with open_baseline(bundle, setting) as dense, setting.open_restorer(bundle) as restorer:
        runs: dict[Hashable, Callable[[], Any]] = {DENSE: partial(dense, pixels), FOUND: partial(restorer, pixels)}
        runs |= {case.key: partial(restorer, pixels, mask=case.mask) for case in cases}
        places = list_places(restorer, subject.dial)
        runs |= {place: partial(restorer, pixels, threshold=place.threshold) for place in places}
        pictures: dict[Hashable, np.ndarray] = {}
        first = _run_first({FOUND: runs[FOUND], **runs}, pictures, progress, clock)
        found, whole_picture = pictures.pop(FOUND), pictures.pop(DENSE)
        differing = check_baseline("the network's own mask", found, whole_picture, setting.differing)
        watch = _Watch(pixels, cases, progress, gated=is_gated(bundle))
        times = take_turns(
            runs, lambda key: effort.dense if key == DENSE else effort.adaptive, seen=watch.see, clock=clock
        )
    progress("files and memory")
    whole = percentiles(times[DENSE])
    stages = _stages(subject, times[FOUND], watch.results[FOUND], effort.files, clock)
    stages |= {"dense_ms": whole, "speedup": _ratio(whole, stages["adaptive_ms"]), "differing_from_dense": differing}
    stages |= {"first_ms": _to_ms(first[FOUND]), "first_dense_ms": _to_ms(first[DENSE])}
    rows, dial = [], []
    for case in cases:
        row = _row((case.shape, case.density), times, case.key, watch.results[case.key])
        rows.append({**row, "first_ms": _to_ms(first[case.key])})
    for place in places:
        score = subject.dial.score(pictures[place], bundle.manifest.task) if subject.dial is not None else None
        row = _dial_row(place, times, watch.results[place], score)
        dial.append({**row, "own": place.threshold == restorer.threshold, "first_ms": _to_ms(first[place])})
    return {"rows": rows, "stages": stages, "dial": dial}


def _dial_row(place: Place, times: Times, results: Sequence[Result], score: Score | None) -> dict[str, Any]:
    """Make a row of the dial.

    Returns:
        The threshold, the share of distorted pixels, percentiles in ms, the number of runs, and the PSNR in dB with its
        key.
    """
    return {
        "threshold": place.threshold,
        "density": results[0].density,
        "ms": percentiles(times[place]),
        "runs": len(times[place]),
        "psnr": score and score.psnr,
        "measure": score and score.measure,
    }


def _run_first(
    runs: Mapping[Hashable, Callable[[], Any]],
    pictures: dict[Hashable, np.ndarray],
    progress: ReportProgress,
    clock: Clock,
) -> dict[Hashable, float]:
    """Run each function once and return its seconds.

    What runs for the first time asks for memory, and the system clears each page of it; the times of later runs have
    none of that.

    Args:
        runs: the functions; those of `FOUND`, `DENSE` and of a `Place` put their pictures into `pictures`.
        pictures: gets pictures.
        progress: called with a phrase.
        clock: returns the seconds.
    """
    seconds = {}
    for key, run in runs.items():
        progress("warming up")
        start = clock()
        result = run()
        seconds[key] = clock() - start
        if key in (FOUND, DENSE) or isinstance(key, Place):
            pictures[key] = result.image if isinstance(result, Result) else result
    return seconds


def _to_ms(seconds: float) -> float:
    return round(1000 * seconds, 3)


def measure_foreign(
    subject: Subject,
    effort: Effort,
    *,
    progress: ReportProgress = lambda words: None,
    clock: Clock = time.perf_counter,
) -> dict[str, Any]:
    """Time a foreign network, which always computes every pixel.

    Arguments and result are those of `measure_masks`. The only row has no mask, density 1, and no adaptive times, and
    the dial has no row.
    """
    with subject.setting.open_restorer(subject.bundle) as restorer:
        runs: dict[Hashable, Callable[[], Any]] = {DENSE: partial(restorer, subject.pixels)}
        first = _to_ms(_run_first(runs, {}, progress, clock)[DENSE])
        watch = _Watch(subject.pixels, (), progress, gated=False)
        times = take_turns(runs, lambda key: effort.dense, seen=watch.see, clock=clock)
    progress("files and memory")
    stages = _stages(subject, times[DENSE], watch.results[DENSE], effort.files, clock)
    missing = {"adaptive_ms": None, "speedup": None}
    row = {**_row((None, 1.0), times, DENSE, watch.results[DENSE]), **missing, "adaptive_runs": 0, "first_ms": first}
    stages |= {**missing, "dense_ms": stages["adaptive_ms"], "differing_from_dense": None}
    stages |= {"first_ms": first, "first_dense_ms": first}
    return {"rows": [row], "stages": stages, "dial": []}


def time_files(
    pixels: np.ndarray, suffix: str, repeats: Repeats, clock: Clock = time.perf_counter
) -> tuple[dict[str, list[float]], int]:
    """Time reading and writing a picture file.

    The file lies in the temporary folder.

    Returns:
        Seconds of each run by "decode" and "encode", and the size of the file in bytes.
    """
    with scratch_folder("profile") as folder:
        file = folder / f"picture{suffix}"
        picture = Picture(pixels)
        write_image(file, picture)
        size = file.stat().st_size
        runs: dict[str, Callable[[], Any]] = {
            "decode": partial(read_image, file),
            "encode": partial(write_image, file, picture),
        }
        return take_turns(runs, lambda key: repeats, clock=clock), size


class _Watch:
    """Observer of all results of a measurement.

    It keeps times and counts but no pictures, and checks the clean pixels if the network keeps them.
    """

    def __init__(self, pixels: np.ndarray, cases: Sequence[Case], progress: ReportProgress, *, gated: bool) -> None:
        self._pixels, self._progress, self._gated = pixels, progress, gated
        self._cases: dict[Hashable, Case] = {case.key: case for case in cases}
        self.results: dict[Hashable, list[Result]] = {}

    def see(self, key: Hashable, result: Any) -> None:
        case = self._cases.get(key)
        self._progress(f"timed {case or key}")
        if not isinstance(result, Result):  # the baseline gives a picture alone
            return
        if case is not None and self._gated:
            check_clean(str(case), self._pixels, result.image, case.mask)
        self.results.setdefault(key, []).append(replace(result, image=_NO_PICTURE, mask=None))


def _row(names: tuple[str | None, float], times: Times, key: Hashable, results: Sequence[Result]) -> dict[str, Any]:
    """Make a row of the report.

    Args:
        names: shape and density of the mask.
        times: seconds of all runs.
        key: key of the adaptive runs.
        results: results of these runs.

    Returns:
        Percentiles in ms and numbers of runs, dense and adaptive, the ratio of the medians, the tiles, and the medians
        by stage.
    """
    dense, adaptive = percentiles(times[DENSE]), percentiles(times[key])
    shape, density = names
    return {
        "mask": shape,
        "density": density,
        "dense_ms": dense,
        "dense_runs": len(times[DENSE]),
        "adaptive_ms": adaptive,
        "adaptive_runs": len(times[key]),
        "speedup": _ratio(dense, adaptive),
        "tiles": asdict(results[0].tiles),
        "stages_ms": {name: stage["p50"] for name, stage in _inner_stages(results).items()},
    }


def _stages(
    subject: Subject, seconds: Sequence[float], results: Sequence[Result], repeats: Repeats, clock: Clock
) -> dict[str, Any]:
    """Make the report on the stages of one picture file.

    The stages are decoding, the stages of the restorer, and encoding. "stages" has percentiles in ms by stage.
    "adaptive_ms" is the restorer as a whole. "total_ms" is the sum of the medians of decoding, restoring and encoding;
    the throughput follows from it. "peak_memory_mb" is None if it could not be measured, and "peak_memory_failure" says
    why.
    """
    setting, height, width = subject.setting, *subject.pixels.shape[:2]
    files, size = time_files(subject.pixels, subject.suffix, repeats, clock)
    decode, encode, restored = percentiles(files["decode"]), percentiles(files["encode"]), percentiles(seconds)
    total = decode["p50"] + restored["p50"] + encode["p50"]
    peak = measure_peak_memory(
        subject.bundle.path, subject.pixels, precision=setting.precision, threads=setting.threads, tile=setting.tile,
        backend=setting.backend,
    )  # fmt: skip
    return {
        "file": {"format": subject.suffix.removeprefix("."), "bytes": size},
        "density": results[0].density,
        "tiles": asdict(results[0].tiles),
        "runs": len(seconds),
        "stages": {"decode": decode, **_inner_stages(results), "encode": encode},
        "adaptive_ms": restored,
        "total_ms": round(total, 3),
        "pictures_per_second": round(1000 / total, 4),
        "megapixels_per_second": round(height * width / total / 1000, 4),
        "peak_memory_mb": None if peak.mb is None else round(peak.mb, 1),
        "peak_memory_failure": peak.failure,
    }


def _inner_stages(results: Sequence[Result]) -> dict[str, dict[str, float]]:
    """Compute the percentiles in ms of the restorer's own stages."""
    return {name: percentiles([result.timings[name] for result in results]) for name in results[0].timings}


def _ratio(dense: Mapping[str, float], adaptive: Mapping[str, float]) -> float:
    return round(dense["p50"] / adaptive["p50"], 3)
