"""Rows and stages: what was timed is what is said, both methods agree, and a wrong picture has no times."""

import itertools
from contextlib import contextmanager

import numpy as np
import pytest

from spair.runtime import Bundle, GateError, Restorer, UserError
from spair.runtime.profiling import latency as profiler
from spair.runtime.profiling.cases import RunSetting, make_cases
from spair.runtime.profiling.latency import Subject, measure_foreign, measure_masks, time_files
from spair.runtime.profiling.memory import Peak
from spair.runtime.profiling.timing import Effort, Repeats

PIXELS = np.random.default_rng(4).integers(0, 256, (40, 56, 3)).astype(np.uint8)
ONE_THREAD = RunSetting(threads=1)


def make_clock(*durations, first=()):
    """A clock by which the first runs take some seconds, and the timed ones these, over and over."""
    runs = itertools.chain(first, itertools.cycle(durations))
    readings = itertools.accumulate(itertools.chain.from_iterable((0.0, seconds) for seconds in runs))
    return lambda: next(readings)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """No test depends on what was measured on this machine."""
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def peak(monkeypatch):
    """No processes of their own."""
    monkeypatch.setattr(profiler, "measure_peak_memory", lambda path, image, **options: Peak(123.45))


def test_rows_are_the_medians_of_what_the_clock_said(tiny_bundle):
    cases = make_cases(["streak", "blob"], [0.1, 1.0], 40, 56)
    # A round is dense, under the found mask, streak 0.1, anything 1.0, blob 0.1; the first begins with the found mask.
    clock = make_clock(0.9, 0.3, 0.1, 0.6, 0.2, first=(7.0, 8.0, 1.0, 6.0, 2.0))
    subject = Subject(Bundle.open(tiny_bundle), ONE_THREAD, PIXELS)
    found = measure_masks(subject, cases, Effort.exactly(2), clock=clock)
    rows = {(row["mask"], row["density"]): row for row in found["rows"]}
    assert list(rows) == [("streak", 0.1), ("streak", 1.0), ("blob", 0.1), ("blob", 1.0)]
    speedups = {key: row["speedup"] for key, row in rows.items()}
    assert speedups == pytest.approx(
        {("streak", 0.1): 9, ("streak", 1.0): 1.5, ("blob", 0.1): 4.5, ("blob", 1.0): 1.5}, rel=1e-3
    )
    assert [row["first_ms"] for row in rows.values()] == [1000, 6000, 2000, 6000], "first runs count in no median"
    assert (found["stages"]["first_ms"], found["stages"]["first_dense_ms"]) == (7000, 8000)
    first = rows["streak", 0.1]
    assert first["dense_ms"]["p50"] == pytest.approx(900) and first["adaptive_ms"]["p99"] == pytest.approx(100)
    assert (first["dense_runs"], first["adaptive_runs"]) == (2, 2)
    assert sum(first["tiles"].values()) >= 1 and first["stages_ms"]["net_r"] > 0


def test_stages_go_from_file_to_file(tiny_bundle):
    subject = Subject(Bundle.open(tiny_bundle), ONE_THREAD, PIXELS, ".png")
    clock = make_clock(0.9, 0.3, 0.4, 0.05, 0.15, first=(2.0, 2.0, 2.0))  # dense, found, one mask, decode, encode
    stages = measure_masks(subject, make_cases(["blob"], [0.3], 40, 56), Effort.exactly(1), clock=clock)["stages"]
    assert list(stages["stages"]) == ["decode", "pre", "net_l", "context", "net_r", "post", "encode"]
    assert stages["total_ms"] == pytest.approx(50 + 300 + 150)
    assert stages["pictures_per_second"] == pytest.approx(2)
    assert stages["megapixels_per_second"] == pytest.approx(2 * 40 * 56 / 1e6, rel=0.02)
    assert (stages["speedup"], stages["peak_memory_mb"]) == (3.0, 123.5)
    assert stages["file"]["format"] == "png" and stages["file"]["bytes"] > 1000
    assert 0 < stages["density"] < 1 and stages["differing_from_dense"] <= 1e-3


def test_long_runs_are_made_less_often(tiny_bundle):
    effort = Effort(dense=Repeats(3, seconds=1.0), adaptive=Repeats(3, seconds=1.0))
    clock = make_clock(0.9, 0.3, 0.1, 0.3, 0.1, 0.3, 0.1, first=(2.0, 2.0, 2.0))
    subject = Subject(Bundle.open(tiny_bundle), ONE_THREAD, PIXELS)
    (row,) = measure_masks(subject, make_cases(["blob"], [0.3], 40, 56), effort, clock=clock)["rows"]
    assert (row["dense_runs"], row["adaptive_runs"]) == (1, 3)


def test_a_baseline_of_another_picture_gets_no_times(tiny_bundle, monkeypatch):
    real = profiler.open_baseline

    @contextmanager
    def shifted(bundle, setting):
        with real(bundle, setting) as run:
            yield lambda image: np.roll(run(image), 1, axis=1)

    monkeypatch.setattr(profiler, "open_baseline", shifted)
    with pytest.raises(GateError, match="the network's own mask: .* no times are reported"):
        measure_masks(Subject(Bundle.open(tiny_bundle), ONE_THREAD, PIXELS), [], Effort.exactly(1))


def test_clean_pixels_are_looked_at_in_every_timed_run(tiny_bundle, monkeypatch):
    cases, seen = make_cases(["blob"], [0.3], 40, 56), []
    monkeypatch.setattr(profiler, "check_clean", lambda name, *rest: seen.append(name))
    measure_masks(Subject(Bundle.open(tiny_bundle), ONE_THREAD, PIXELS), cases, Effort.exactly(3))
    assert seen == ["blob 0.3"] * 3


def test_networks_that_may_change_any_pixel_have_their_masks_named(tiny_bundle, monkeypatch):
    monkeypatch.setattr(profiler, "is_gated", lambda bundle: False)
    monkeypatch.setattr(profiler, "check_clean", lambda *arguments: pytest.fail("checked"))
    said = []
    subject = Subject(Bundle.open(tiny_bundle), ONE_THREAD, PIXELS)
    measure_masks(subject, make_cases(["streak"], [0.1], 40, 56), Effort.exactly(1), progress=said.append)
    assert "timed streak 0.1" in said


def test_every_run_was_made_once_before_the_first_time(tiny_bundle, monkeypatch):
    seen, began = [], []
    turns, call = profiler.take_turns, Restorer.__call__

    def watch(runs, *arguments, **options):
        began.append(len(seen))
        return turns(runs, *arguments, **options)

    def record(restorer, image, *, mask=None):
        seen.append(None if mask is None else int(mask.sum()))
        return call(restorer, image, mask=mask)

    monkeypatch.setattr(profiler, "take_turns", watch)
    monkeypatch.setattr(Restorer, "__call__", record)
    subject = Subject(Bundle.open(tiny_bundle), ONE_THREAD, PIXELS)
    measure_masks(subject, make_cases(["blob"], [0.0, 0.3], 40, 56), Effort.exactly(2))
    warm, timed = seen[: began[0]], seen[began[0] :]
    assert warm == [None, 0, 672] and timed == 2 * warm, "the densest mask too, whose memory is the largest"


def test_a_picture_whose_memory_is_unknown_has_its_times(tiny_bundle, monkeypatch):
    monkeypatch.setattr(profiler, "measure_peak_memory", lambda path, image, **options: Peak(None, "why"))
    stages = measure_masks(Subject(Bundle.open(tiny_bundle), ONE_THREAD, PIXELS), [], Effort.exactly(1))["stages"]
    assert (stages["peak_memory_mb"], stages["peak_memory_failure"]) == (None, "why") and stages["total_ms"] > 0


def test_a_bundle_without_the_whole_graph_has_no_baseline(bundles):
    with pytest.raises(UserError, match="no fp32 graph 'model'"):
        measure_masks(Subject(bundles.spair(), ONE_THREAD, PIXELS), [], Effort.exactly(1))


def test_a_foreign_network_has_one_dense_row(bundles):
    found = measure_foreign(Subject(bundles.other(), ONE_THREAD, PIXELS), Effort.exactly(2), clock=make_clock(0.5))
    (row,) = found["rows"]
    assert (row["mask"], row["density"], row["adaptive_ms"], row["speedup"]) == (None, 1.0, None, None)
    assert row["dense_ms"]["p50"] == pytest.approx(500) and (row["dense_runs"], row["adaptive_runs"]) == (2, 0)
    assert list(found["stages"]["stages"]) == ["decode", "pre", "model", "post", "encode"]
    assert found["stages"]["total_ms"] == pytest.approx(1500) and found["stages"]["speedup"] is None


@pytest.mark.parametrize(("suffix", "kind"), [(".jpg", np.uint8), (".png", np.uint16), (".tif", np.float32)])
def test_files_are_really_read_and_written(suffix, kind):
    times, size = time_files(np.full((20, 30, 3), 1, kind), suffix, Repeats(2))
    assert size > 0 and {key: len(seconds) for key, seconds in times.items()} == {"decode": 2, "encode": 2}
    assert all(second > 0 for seconds in times.values() for second in seconds)
