"""The energy counter of a card, for which a module with its names stands in elsewhere."""

import pytest

from spair.runtime.machine.gpu import list_gpus, read_place
from spair.runtime.machine.power.meter import find_energy
from spair.runtime.machine.power.nvml import RAIL, find_nvml, read_card

pytestmark = pytest.mark.gpu


@pytest.fixture
def meter():
    gpus, reason = list_gpus()
    if not gpus:
        pytest.skip(f"no card whose energy could be read: {reason}")
    found = find_nvml(read_place())
    if isinstance(found, str):
        pytest.skip(f"no card whose energy could be read: {found}")
    yield found
    found.close()


def test_the_counter_grows(meter):
    """Until it has moved twice, at a pace that a card can have."""
    first = meter.read()[RAIL]
    while (second := meter.read()[RAIL]) == first:
        pass
    while (third := meter.read()[RAIL]) == second:
        pass
    assert first < second < third


def test_watts_are_those_of_a_card(meter):
    import time

    samples = [(time.perf_counter(), meter.read())]
    while samples[-1][0] - samples[0][0] < 1.0:
        samples.append((time.perf_counter(), meter.read()))
    assert 1.0 < find_energy(meter, samples).watts[RAIL] < 2000.0


def test_the_state_of_the_card_is_told(meter):
    card = read_card(read_place())
    assert card is not None and 0 < card["temperature_c"] < 120 and card["graphics_mhz"] > 0
    assert isinstance(card["throttled"], list)
