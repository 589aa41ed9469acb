"""Histograms and the four calibrators."""

import numpy as np
import pytest

from spair.calibration.conversion.weights import LEVELS
from spair.calibration.options import Calibrator
from spair.calibration.statistics.ranges import BINS, Histogram

CALIBRATORS: tuple[Calibrator, ...] = ("minmax", "percentile", "entropy", "mse")


def histogram(*parts: np.ndarray) -> Histogram:
    made = Histogram()
    for part in parts:
        made.add(part.astype(np.float32))
    return made


def error(values: np.ndarray, scale: float) -> float:
    steps = np.clip(np.rint(values / scale), -LEVELS - 1, LEVELS)
    return float(np.mean(np.square(values - steps * scale)))


def test_tiles_in_any_order_and_size_count_every_value():
    values = np.random.default_rng(0).standard_normal(5000) * np.repeat([0.001, 1.0, 30.0], [1000, 3000, 1000])
    made = histogram(values[:1000], values[1000:4000], np.zeros(0), values[4000:])
    assert made.count == 5000 and made.counts.size == BINS
    assert made.largest == pytest.approx(np.abs(values).max(), rel=1e-6)
    assert made.top < 2 * made.largest


@pytest.mark.parametrize("calibrator", CALIBRATORS)
@pytest.mark.parametrize(
    "values", [np.zeros(0), np.zeros(7), np.full(9, 0.25), np.array([3.0])], ids=["none", "zeros", "constant", "one"]
)
def test_degenerate_values_have_a_scale(calibrator, values):
    scale = histogram(values).scale(calibrator)
    assert scale > 0 and np.isfinite(scale)
    if values.size and values.any():
        assert LEVELS * scale == pytest.approx(values.max(), rel=0.02)


def test_minmax_clips_nothing_and_percentile_what_it_says():
    values = np.random.default_rng(1).standard_normal(200_000)
    made = histogram(values)
    assert made.clipped(made.scale("minmax")) == 0.0
    for percentile in (99.0, 99.9):
        clipped = made.clipped(made.scale("percentile", percentile))
        assert clipped == pytest.approx(1 - percentile / 100, rel=0.2)
    assert made.threshold("percentile", 100.0) == pytest.approx(made.largest, rel=2 / BINS)


@pytest.mark.parametrize("calibrator", ["entropy", "mse"])
def test_a_lone_outlier_does_not_decide(calibrator):
    values = np.append(np.random.default_rng(2).standard_normal(100_000), 200.0)
    made = histogram(values)
    assert made.threshold("minmax") == 200.0
    assert made.threshold(calibrator) < 150.0


@pytest.mark.parametrize("kind", ["normal", "relu", "heavy tail", "mostly zero"])
def test_least_error_is_the_least_of_all_calibrators(kind):
    random = np.random.default_rng(3)
    values = {
        "normal": random.standard_normal(50_000),
        "relu": np.maximum(random.standard_normal(50_000), 0),
        "heavy tail": random.standard_t(3, 50_000),
        "mostly zero": random.standard_normal(50_000) * (random.random(50_000) < 0.05),
    }[kind]
    made = histogram(values)
    errors = {calibrator: error(values, made.scale(calibrator)) for calibrator in CALIBRATORS}
    # A bin stands for its centre: a 2048th of the range, next to the 127 steps it is rounded to
    assert errors["mse"] <= 1.05 * min(errors.values())


def test_zeros_of_clean_pixels_move_the_percentile():
    active = np.random.default_rng(4).standard_normal(10_000)
    diluted = np.concatenate([active, np.zeros(190_000)])
    assert histogram(diluted).threshold("percentile", 99.0) < 0.75 * histogram(active).threshold("percentile", 99.0)
