"""Joules of engines, on the emulated GPU."""

import pytest

from spair.runtime import Bundle, UserError
from spair.runtime.profiling.cases import RunSetting
from spair.runtime.profiling.energy import report
from spair.runtime.profiling.energy.engines import measure_engine_energy
from spair.runtime.profiling.engines.profile import EngineSetting
from spair.runtime.profiling.profile import ProfilePlan, Size, Source
from spair.runtime.profiling.timing import Effort
from tests.runtime.engine.pictures import draw

SOURCE = Source("picture.png", draw(48, 64), ".png")
PLAN = ProfilePlan((Size(64, 48),), Size(64, 48), (0.1, 1.0), ("blob",), (RunSetting(threads=1),), Effort.exactly(1))


def measure(bundle):
    return measure_engine_energy(bundle, SOURCE, PLAN, EngineSetting(), lambda words: None)


def test_the_whole_engine_and_each_density_have_joules(gpu, engine_bundle, meter):
    rows = measure(engine_bundle)["rows"]
    assert [(row["mask"], row["size"]) for row in rows] == [(None, [64, 48]), ("blob", [64, 48]), ("blob", [64, 48])]
    assert 0.0 <= rows[0]["density"] <= 1.0 and [row["density"] for row in rows[1:]] == [0.1, 1.0]
    assert {(row["precision"], row["backend"], row["joules_per_picture"]) for row in rows} == {
        ("fp32", "tensorrt", 6.0)
    }


def test_without_engines_of_the_parts_only_the_whole_is_measured(engine_bundles, meter):
    assert [row["mask"] for row in measure(engine_bundles.make(parts=False))["rows"]] == [None]


def test_without_a_meter_no_engine_is_opened(monkeypatch):
    monkeypatch.setattr(report, "find_meters", lambda place: ([], ["no card"]))
    assert measure(None)["unknown"] == ["no card"]


def test_meters_are_closed_when_no_engine_fits(tiny_bundle, meter):
    _, closed = meter
    with pytest.raises(UserError, match="the backend tensorrt is not available|has no fp32 engine"):
        measure(Bundle.open(tiny_bundle))
    assert closed == [1]
