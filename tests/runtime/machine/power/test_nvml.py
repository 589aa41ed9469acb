"""NVIDIA's management library, replaced by a module with its names; the real package is asked where it is installed."""

import sys
from types import SimpleNamespace

import pytest

from spair.runtime.machine.power.nvml import find_nvml, read_card

FUNCTIONS = (
    "nvmlInit", "nvmlShutdown", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetHandleByPciBusId",
    "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetTemperature", "nvmlDeviceGetClockInfo",
    "nvmlDeviceGetCurrentClocksThrottleReasons",
)  # fmt: skip
CONSTANTS = ("NVML_TEMPERATURE_GPU", "NVML_CLOCK_GRAPHICS", "NVML_CLOCK_MEM", "NVMLError")


class NVMLError(Exception):
    pass


@pytest.fixture
def library(monkeypatch):
    """Make the module; `failing` names functions that fail. Returns the calls."""

    def make(*failing, reasons=0):
        calls, joules = [], iter(range(1000, 9000, 1500))
        answers = {
            "nvmlDeviceGetHandleByIndex": lambda index: f"card {index}",
            "nvmlDeviceGetHandleByPciBusId": lambda place: place,
            "nvmlDeviceGetTotalEnergyConsumption": lambda card: next(joules),
            "nvmlDeviceGetTemperature": lambda card, sensor: 41,
            "nvmlDeviceGetClockInfo": lambda card, kind: {0: 1980, 2: 3201}[kind],
            "nvmlDeviceGetCurrentClocksThrottleReasons": lambda card: reasons,
        }

        def function(name):
            def call(*given):
                calls.append((name, *given))
                if name in failing:
                    raise NVMLError("Not Supported")
                return answers.get(name, lambda *given: None)(*given)

            return call

        constants = {"NVML_TEMPERATURE_GPU": 0, "NVML_CLOCK_GRAPHICS": 0, "NVML_CLOCK_MEM": 2, "NVMLError": NVMLError}
        module = SimpleNamespace(**{name: function(name) for name in FUNCTIONS}, **constants)
        monkeypatch.setitem(sys.modules, "pynvml", module)
        return calls

    return make


def test_the_counter_is_read_in_joules(library):
    calls = library()
    meter = find_nvml("0000:01:00.0")
    assert [meter.read()["GPU"] for _ in range(2)] == [2.5, 4.0], "the first reading asked whether it counts"
    assert meter.counts and meter.total == ("GPU",) and ("nvmlDeviceGetHandleByPciBusId", "0000:01:00.0") in calls
    meter.close()
    assert calls[-1] == ("nvmlShutdown",)


def test_without_a_place_the_first_card_is_taken(library):
    calls = library()
    find_nvml()
    assert ("nvmlDeviceGetHandleByIndex", 0) in calls


@pytest.mark.parametrize(
    ("failing", "words", "closed"),
    [
        ("nvmlInit", "there is no NVIDIA card whose energy could be read: Not Supported", False),
        ("nvmlDeviceGetHandleByIndex", "the management library does not find the NVIDIA card: Not Supported", True),
        ("nvmlDeviceGetTotalEnergyConsumption", "the NVIDIA card counts no energy: Not Supported", True),
    ],
)
def test_what_the_library_refuses_is_said(library, failing, words, closed):
    calls = library(failing)
    assert find_nvml() == words and (calls[-1] == ("nvmlShutdown",)) is closed


def test_an_absent_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert find_nvml().endswith("pip install 'spair-rt[power]' (nvidia-ml-py)") and read_card() is None


def test_the_state_of_a_card_is_read(library):
    library(reasons=0x04 | 0x01 | 0x20)
    assert read_card() == {
        "temperature_c": 41, "graphics_mhz": 1980, "memory_mhz": 3201, "throttled": ["power limit", "heat"]
    }  # fmt: skip


def test_what_a_card_does_not_tell_is_unknown(library):
    library("nvmlDeviceGetTemperature", "nvmlDeviceGetCurrentClocksThrottleReasons")
    card = read_card()
    assert (card["temperature_c"], card["throttled"], card["graphics_mhz"]) == (None, None, 1980)


def test_the_real_package_has_these_names():
    pynvml = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed; pip install nvidia-ml-py")
    assert [name for name in (*FUNCTIONS, *CONSTANTS) if not hasattr(pynvml, name)] == []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        assert "there is no NVIDIA card whose energy could be read" in find_nvml()
