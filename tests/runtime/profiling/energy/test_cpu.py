"""Joules of restorations on the processor."""

import numpy as np
import pytest

from spair.runtime import Bundle
from spair.runtime.profiling.cases import RunSetting
from spair.runtime.profiling.energy import report
from spair.runtime.profiling.energy.cpu import measure_energy
from spair.runtime.profiling.profile import ProfilePlan, Size, Source
from spair.runtime.profiling.timing import Effort

PLAN = ProfilePlan((Size(41, 24),), Size(41, 24), (0.1, 1.0), ("blob", "streak"), (RunSetting(threads=1),), Effort())


@pytest.fixture
def source():
    return Source("picture", np.random.default_rng(3).integers(0, 256, (24, 41, 3), np.uint8), ".png")


def test_every_mask_and_density_has_its_joules(tiny_bundle, source, meter):
    told = []
    power = measure_energy(Bundle.open(tiny_bundle), source, PLAN, told.append)
    found = [(row["mask"], row["density"], row["joules_per_picture"]) for row in power["rows"]]
    assert found == [(mask, density, 6.0) for mask in ("blob", "streak") for density in (0.1, 1.0)]
    assert {(row["precision"], row["threads"], row["backend"]) for row in power["rows"]} == {("fp32", 1, "onnxruntime")}
    assert told[0] == "fp32: 41x24, joules, blob 0.1"


def test_without_a_meter_nothing_is_restored(source, monkeypatch):
    monkeypatch.setattr(report, "find_meters", lambda place: ([], ["no counter"]))
    power = measure_energy(None, source, PLAN, pytest.fail)  # type: ignore[arg-type]
    assert (power["rows"], power["unknown"]) == ([], ["no counter"])
