"""Report on the energy of a profile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ...machine.board.facts import describe_state
from ...machine.board.identity import find_jetson
from ...machine.gpu import read_place
from ...machine.power.choice import find_meters
from ...machine.power.meter import Meter
from ...machine.power.nvml import read_card
from .window import Window, rest, spend


@dataclass
class EnergyReport:
    """Report that grows row by row."""

    meters: Sequence[Meter]
    unknown: Sequence[str]
    """Sentences on what could not be measured."""
    window: Window
    rows: list[dict[str, Any]] = field(default_factory=list)
    idle: list[dict[str, Any]] = field(default_factory=list)
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None

    def add(self, keys: dict[str, Any], run: Callable[[], Any]) -> None:
        """Measure a function, and add a row for each meter.

        Args:
            keys: what is restored, and how.
            run: restores one picture.
        """
        self.rows += [{**keys, **entry} for entry in spend(self.meters, run, self.window).to_json()]

    def to_json(self) -> dict[str, Any]:
        """Return the entry "power" of the report."""
        return {
            "meters": [{"name": one.name, "scope": one.scope, "whole": list(one.total)} for one in self.meters],
            "unknown": list(self.unknown),
            "idle": self.idle,
            "rows": self.rows,
            "before": self.before,
            "after": self.after,
        }


@contextmanager
def report_energy(window: Window | None = None) -> Iterator[EnergyReport]:
    """Open the meters for the body of a `with` block.

    Without meters the report says why, and nothing is to be added.

    Args:
        window: length of each measurement.
    """
    place = read_place()
    meters, unknown = find_meters(place=place)
    report = EnergyReport(meters, unknown, window or Window())
    try:
        if meters:
            report.before = _describe_state(place)
            report.idle = rest(meters, report.window).to_json()
        yield report
        if meters:
            report.after = _describe_state(place)
    finally:
        for meter in meters:
            meter.close()


def _describe_state(place: str | None) -> dict[str, Any]:
    """Describe temperatures, throttling and clocks of board and card."""
    return {"board": describe_state() if find_jetson() else None, "card": read_card(place)}
