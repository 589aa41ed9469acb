"""Choice of the meters of this machine."""

from __future__ import annotations

from pathlib import Path

from ..board.files import ROOT
from ..board.identity import find_jetson
from .jtop import find_jtop
from .meter import Meter
from .nvml import find_nvml
from .rails import find_rails
from .rapl import find_rapl


def find_meters(root: Path = ROOT, place: str | None = None) -> tuple[list[Meter], list[str]]:
    """Find the meters of this machine.

    A board is asked for its sensors, directly or else through jetson-stats. Other machines are asked for the counters
    of the card and of the processor.

    Args:
        root: root folder of the system.
        place: the card's place on the PCI bus, see `read_place`; None: the first card.

    Returns:
        The meters, and a sentence for each that is not there.
    """
    if find_jetson(root) is not None:
        rails = find_rails(root)
        found = [rails] if isinstance(rails, Meter) else [rails, find_jtop()]
    else:
        found = [find_nvml(place), find_rapl(root)]
    return [one for one in found if isinstance(one, Meter)], [one for one in found if isinstance(one, str)]
