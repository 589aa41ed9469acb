"""Progress of a builder, from the phases that it reports."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ....runtime.clock import ReportProgress


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

    def __init__(self, what: str, report: ReportProgress) -> None:
        """Begin without phases.

        Args:
            what: words for the whole work, the beginning of every report.
            report: called when the percentage or the outermost phase changes.
        """
        self._what, self._report = what, report
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
        words = f"{self._what}: {outer.name}, {100 * self._share(outer):.0f} %"
        if words != self._told:
            self._told = words
            self._report(words)

    def _share(self, phase: _Phase) -> float:
        """Return the done share of a phase, 0..1.

        The step that is under way counts by the share of the phase inside it.
        """
        inner = next((other for other in self._phases if other.parent == phase.name and other is not phase), None)
        return min(1.0, (phase.done + (self._share(inner) if inner else 0.0)) / phase.steps)
