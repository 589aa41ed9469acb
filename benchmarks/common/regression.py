"""Figures of earlier runs, which later ones are held to.

A file keeps, for each processor, how many times as fast each case was as its peer, with its spread. A later run on the
same processor is worse when it lost more than both noise and a twentieth explain.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.common.measuring import Times, write_json

LEAST = 0.05
"""Share that a figure may always lose."""
SPREADS = 3.0
"""Spreads that a figure may lose, its own or that of the earlier run, whichever is larger."""


@dataclass(frozen=True)
class Figure:
    """Times as fast as a peer."""

    value: float
    spread: float
    """Half of the range over the turns, as a share of the value."""

    @classmethod
    def of(cls, ours: Times, peer: Times) -> Figure:
        """Divide the times of a peer by ours."""
        spread = sum((times.high - times.low) / times.median / 2 for times in (ours, peer))
        return cls(peer.median / ours.median, spread)

    def is_worse_than(self, earlier: Figure) -> bool:
        """Tell whether a figure lost more than noise explains."""
        allowed = max(LEAST, SPREADS * max(self.spread, earlier.spread))
        return self.value < earlier.value * (1 - allowed)


def compare(path: Path, machine: str, figures: Mapping[str, Figure]) -> list[str]:
    """Compare figures with those of a file.

    Args:
        path: the file; it need not exist.
        machine: name of the processor.
        figures: what was measured, by case.

    Returns:
        A sentence for each case that is worse. Cases and processors that the file lacks are not compared.
    """
    earlier = _read(path).get(machine, {})
    found = []
    for name, figure in figures.items():
        before = earlier.get(name)
        if before is not None and figure.is_worse_than(Figure(**before)):
            found.append(f"{name}: {figure.value:.2f} times its peer, {before['value']:.2f} before")
    return found


def keep(path: Path, machine: str, figures: Mapping[str, Figure]) -> None:
    """Keep the figures of a processor in a file.

    Those of other processors stay.

    Raises:
        UserError: the file cannot be written.
    """
    kept = _read(path)
    kept[machine] = {**kept.get(machine, {}), **{name: asdict(figure) for name, figure in figures.items()}}
    write_json(path, kept)


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
