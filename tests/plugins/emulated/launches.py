"""Launches of plugins, where the driver tells them.

The emulated driver does, a machine's own does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.plugins.emulated.plugin import PluginHost


@dataclass
class Launches:
    """Kernels in order of launch, and number of memsets.

    Kernels are named without types and sizes.
    """

    known: bool
    """Whether the driver tells; else every comparison holds."""
    names: list[str] = field(default_factory=list)
    memsets: int = 0

    def are(self, names: Sequence[str], memsets: int | None = None) -> bool:
        """Whether these kernels were launched, and no others."""
        return not self.known or (self.names == list(names) and memsets in (None, self.memsets))

    def end_with(self, names: Sequence[str]) -> bool:
        """Whether these kernels were the last ones."""
        return not self.known or self.names[-len(names) :] == list(names)

    def sum_up_to(self, names: Sequence[str]) -> bool:
        """Whether these were launched in whatever order, "clear" being a memset."""
        return not self.known or Counter(self.names) + Counter(clear=self.memsets) == Counter(names)


@contextmanager
def launching(host: PluginHost) -> Iterator[Launches]:
    """Note what is launched inside; it is there behind the block."""
    seen = Launches(host.driver.counts)
    before = host.driver.get("memsets") if seen.known else 0
    host.driver.launches.clear()
    yield seen
    if seen.known:
        seen.names = [launch.variant.partition(".")[0] for launch in host.driver.launches]
        seen.memsets = host.driver.get("memsets") - before
