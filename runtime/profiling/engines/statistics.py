"""Statistics of times, by the formulas of trtexec."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np

PERCENTILES = (90, 95, 99)
"""Percentiles that are reported."""
ENQUEUE_BOUND = 0.8
"""Share of the inference's median above which enqueuing is said to bound the throughput."""
UNSTABLE = 2.5
"""Coefficient of variation in percent above which the times of the inference are said to be unstable."""

Summary = dict[str, float]
"""Milliseconds by "min", "max", "mean", "median", "p90", "p95" and "p99"."""


def summarize(times: Sequence[float]) -> Summary:
    """Summarize times.

    Args:
        times: milliseconds of at least one run, in any order.

    Returns:
        A summary, rounded to a tenth of a microsecond.
    """
    ordered = sorted(times)
    values = {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": math.fsum(ordered) / len(ordered),
        "median": statistics.median(ordered),
        **{f"p{percent}": find_percentile(ordered, percent) for percent in PERCENTILES},
    }
    return {name: round(value, 4) for name, value in values.items()}


def find_percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the percentile of times without interpolation.

    It is the time at index all - 1 - int((1 - percent / 100) * all), as in `findPercentile` of trtexec
    (samples/common/sampleReporting.cpp), which computes in single precision: of 100 runs, p99 is the longest.

    Args:
        ordered: times, ascending, at least one.
        percent: 0 to 100.
    """
    count = len(ordered)
    share = np.float32(1) - np.float32(percent) / np.float32(100)
    return ordered[max(count - 1 - int(share * np.float32(count)), 0)]


def measure_variation(times: Sequence[float]) -> float:
    """Return the coefficient of variation in percent.

    It is the standard deviation (of all runs, not of a sample) as a share of the mean.
    """
    mean = math.fsum(times) / len(times)
    return 0.0 if mean == 0 else 100 * statistics.pstdev(times) / mean


def list_warnings(
    enqueue: Sequence[float],
    copy_in: Sequence[float],
    compute: Sequence[float],
    copy_out: Sequence[float],
) -> list[str]:
    """Say in whole sentences what trtexec warns of.

    Args:
        enqueue: milliseconds in which the host queued each inference.
        copy_in: milliseconds of the copies of the inputs.
        compute: milliseconds of the inferences.
        copy_out: milliseconds of the copies of the outputs.
    """
    queued, inward, computed, outward = map(statistics.median, (enqueue, copy_in, compute, copy_out))
    found = []
    if queued > ENQUEUE_BOUND * computed:
        found.append(
            f"the host takes {queued:.3f} ms to queue what the GPU computes in {computed:.3f} ms, so the GPU may wait "
            "for it; a CUDA graph takes less, see its row"
        )
    for name, median in (("inputs to", inward), ("outputs from", outward)):
        if median >= computed:
            found.append(
                f"copying the {name} the GPU takes {median:.3f} ms, and the inference {computed:.3f} ms, so the copies "
                "may bound the throughput"
            )
    variation = measure_variation(compute)
    if variation > UNSTABLE:
        found.append(
            f"the times of the inference vary by {variation:.1f} % of their mean, more than {UNSTABLE:g} %; lock the "
            "clocks (nvidia-smi --lock-gpu-clocks=MHZ, on a Jetson jetson_clocks), and measure again"
        )
    return found
