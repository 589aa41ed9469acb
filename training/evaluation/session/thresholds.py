"""Quality against time at several thresholds of the mask."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ....runtime.bounds.thresholds import Threshold, parse_thresholds
from ....runtime.clock import CountProgress
from ....runtime.errors import UserError
from ...data.pairs import Pair
from .cost import CLOCKS, Clocks, Meter
from .kinds import Kind

if TYPE_CHECKING:
    from ....runtime import Restorer

_SAME = frozenset(
    {"model", "protocol", "quantize", "resize", "shift", "count", "files_sha256", "images", "input", "true_density"}
    | {"mask_source", "mask_rule"}
)
"""Entries of a report that no threshold changes, and the rows of its pictures."""


def read_thresholds(text: str | None, masks_alone: bool, chosen: Threshold | None = None) -> tuple[float, ...]:
    """Read a list of thresholds with commas between them.

    Args:
        text: the list; None for no threshold.
        masks_alone: whether there are no clean pictures, so that no quality can be measured.
        chosen: threshold of the whole evaluation, which would stand where the table has the network's own.

    Returns:
        The thresholds in ascending order, each once.

    Raises:
        UserError: one is no number from 0 to 1, there are no clean pictures, or a threshold is chosen besides.
    """
    if text is None:
        return ()
    if masks_alone:
        raise UserError("--thresholds compares restored pictures with clean ones; give --clean, or leave it out")
    if chosen is not None:
        raise UserError(
            f"--thresholds measures at several thresholds beside the network's own, and --threshold is {chosen}; "
            "leave one of them out"
        )
    return parse_thresholds(text)


def check_thresholds(restorer: Restorer, thresholds: Sequence[float]) -> None:
    """Refuse thresholds that a model does not take.

    Raises:
        UserError: see `Restorer.choose_threshold`.
    """
    for threshold in thresholds:
        restorer.choose_threshold(threshold)


def measure_thresholds(
    restorer: Restorer,
    pairs: Sequence[Pair],
    kind: Kind,
    thresholds: Sequence[float],
    progress: CountProgress,
    clocks: Clocks = CLOCKS,
) -> list[dict[str, Any]]:
    """Measure a model at several thresholds of its mask.

    Args:
        restorer: the model, which has restored these pictures before, so that no run begins cold.
        pairs: files of the pictures.
        kind: what is measured.
        thresholds: probabilities above which a pixel counts as distorted; that of the restorer is added.
        progress: counts pictures over all thresholds.
        clocks: give seconds of the day, and of all threads on the processor.

    Returns:
        For each threshold, in ascending order: "threshold"; "own", whether it is that of the restorer; "ms", mean
        milliseconds by the clock to restore a picture, which other work on the machine makes longer; "processor_ms",
        those that all threads together computed, None on a GPU; and the means of the report.
    """
    own = restorer.threshold
    chosen = sorted({*thresholds} if own is None else {*thresholds, own})
    rows = []
    for place, threshold in enumerate(chosen):
        timed = Meter(restorer, threshold, clocks)

        def count(done: int, total: int, name: str, before: int = place * len(pairs)) -> None:
            progress(before + done, len(chosen) * len(pairs), name)

        report = kind.measure(timed, pairs, model="", progress=count, keep=None)
        means = {key: value for key, value in report.items() if key not in _SAME}
        rows.append({"threshold": threshold, "own": threshold == own, **timed.time(statistics.fmean), **means})
    return rows
