"""Energy of a function that runs again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from ...machine.power.meter import Energy, Meter, Sample, find_energy

Clock = Callable[[], float]


@dataclass(frozen=True)
class Window:
    """Length of a measurement, and how it is sampled."""

    seconds: float = 2.0
    """Seconds for which pictures are restored at least; counters of cards move every tenth of a second."""
    interval: float = 0.05
    """Seconds between two samples of a meter that does not count."""
    clock: Clock = time.perf_counter


@dataclass(frozen=True)
class Spent:
    """Energy of the pictures of one window, on every meter."""

    pictures: int
    energies: Sequence[tuple[Meter, Energy]]

    def to_json(self) -> list[dict[str, Any]]:
        """Describe what each meter measured.

        Joules are None where no rail measures the whole part.
        """
        return [
            {
                "meter": meter.name,
                "pictures": self.pictures,
                "seconds": round(energy.seconds, 3),
                "readings": energy.readings,
                "watts": _round(meter.add_up(energy.watts)),
                "rails_watts": {name: _round(value) for name, value in energy.watts.items()},
                "joules_per_picture": self._share(meter.add_up(energy.joules)),
                "rails_joules_per_picture": {name: self._share(value) for name, value in energy.joules.items()},
            }
            for meter, energy in self.energies
        ]

    def _share(self, joules: float | None) -> float | None:
        return None if joules is None or not self.pictures else _round(joules / self.pictures)


def spend(meters: Sequence[Meter], run: Callable[[], Any], window: Window) -> Spent:
    """Measure the energy of a function during a window.

    Args:
        meters: the meters.
        run: restores one picture.
        window: length of the measurement.
    """
    pictures = 0
    with ExitStack() as stack:
        watches = [stack.enter_context(_watching(meter, window)) for meter in meters]
        start = window.clock()
        while not pictures or window.clock() - start < window.seconds:
            run()
            pictures += 1
    return Spent(
        pictures, [(meter, find_energy(meter, samples)) for meter, samples in zip(meters, watches, strict=True)]
    )


def rest(meters: Sequence[Meter], window: Window, wait: Callable[[float], Any] = time.sleep) -> Spent:
    """Measure the energy while nothing runs.

    Args:
        meters: the meters.
        window: length of the measurement.
        wait: waits for seconds.
    """
    spent = spend(meters, lambda: wait(window.seconds), window)
    return Spent(0, spent.energies)


@contextmanager
def _watching(meter: Meter, window: Window) -> Iterator[list[Sample]]:
    """Read a meter at both ends of the block.

    One that does not count is read in between as well.
    """
    samples: list[Sample] = []

    def sample() -> None:
        samples.append((window.clock(), meter.read()))

    sample()
    if meter.counts:
        yield samples
        sample()
        return
    ended = threading.Event()
    thread = threading.Thread(target=_sample_until, args=(sample, ended, window.interval), daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()
    sample()


def _sample_until(sample: Callable[[], None], ended: threading.Event, interval: float) -> None:
    while not ended.wait(interval):
        sample()


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
