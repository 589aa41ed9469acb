"""Progress of a builder, from the phases that it reports."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from ....runtime.clock import ReportProgress, format_seconds

LEAST_SECONDS, LEAST_SHARE = 20.0, 0.05
"""Seconds and share of a phase from which on the rest is estimated."""


@dataclass
class _Phase:
    name: str
    parent: str | None
    steps: int
    done: int = 0


class PhaseProgress:
    """Reader of the lines that a builder's process writes.

    TensorRT names its phases, which contain further ones, and says how many steps a phase has. Lines are JSON lists:
    `["start", name, parent, steps]`, `["step", name, number]`, `["finish", name]`.
    """

    def __init__(self, what: str, report: ReportProgress, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without phases.

        Args:
            what: words for the whole work, the beginning of every report.
            report: called when the percentage, the time that is left or the outermost phase changes.
            clock: returns the seconds.
        """
        self._what, self._report, self._clock = what, report, clock
        self._start = 0.0
        self._phases: list[_Phase] = []
        self._told = ""

    def read_line(self, line: str) -> None:
        """Take a line of the builder's process.

        A line that is cut off, because the process died while it wrote, is passed over.
        """
        try:
            event, name, *more = json.loads(line)
        except ValueError:
            return
        if event == "start":
            if not self._phases:
                self._start = self._clock()
            self._phases.append(_Phase(name, more[0], max(int(more[1]), 1)))
        elif event == "step":
            for phase in self._phases:
                if phase.name == name:
                    phase.done = max(phase.done, min(int(more[0]) + 1, phase.steps))
        elif event == "finish":
            self._phases = [phase for phase in self._phases if phase.name != name]
        self._tell()

    def _tell(self) -> None:
        if not self._phases:
            return
        outer = self._phases[0]
        share = self._share(outer)
        words = f"{self._what}: {outer.name}, {100 * share:.0f} %{self._estimate(share)}"
        if words != self._told:
            self._told = words
            self._report(words)

    def _estimate(self, share: float) -> str:
        """Say how long the outermost phase still takes.

        It is taken to go on at its pace so far. Nothing is said before there is enough to tell from.
        """
        seconds = self._clock() - self._start
        if seconds < LEAST_SECONDS or not LEAST_SHARE <= share < 1.0:
            return ""
        return f", {format_seconds(seconds * (1 - share) / share)} left at this pace"

    def _share(self, phase: _Phase) -> float:
        """Return the done share of a phase, 0..1.

        The step that is under way counts by the share of the phase inside it.
        """
        inner = next((other for other in self._phases if other.parent == phase.name and other is not phase), None)
        return min(1.0, (phase.done + (self._share(inner) if inner else 0.0)) / phase.steps)
