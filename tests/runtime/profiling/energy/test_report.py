"""The report on energy says what was measured, and what is not known."""

import json

import pytest

from spair.runtime.profiling.energy import report
from spair.runtime.profiling.energy.report import report_energy
from tests.runtime.machine.board.trees import ORIN_NANO, write


def test_rows_have_their_keys_and_joules(meter):
    _, closed = meter
    with report_energy() as found:
        found.add({"mask": "blob", "density": 0.1}, int)
    power = found.to_json()
    (row,) = power["rows"]
    assert (row["mask"], row["density"], row["pictures"], row["joules_per_picture"]) == ("blob", 0.1, 1, 6.0)
    assert power["meters"] == [{"name": "RAPL", "scope": "the processor", "whole": ["package-0"]}]
    assert power["unknown"] == ["no card"] and len(power["idle"]) == 1 and closed == [1]
    assert json.loads(json.dumps(power)) == power
    assert power["before"] == power["after"] == {"board": None, "card": None}


def test_without_a_meter_only_the_reasons_are_there(monkeypatch):
    monkeypatch.setattr(report, "find_meters", lambda place: ([], ["no counter"]))
    with report_energy() as found:
        assert not found.meters
    assert found.to_json() == {
        "meters": [], "unknown": ["no counter"], "idle": [], "rows": [], "before": None, "after": None
    }  # fmt: skip


def test_a_board_tells_its_state_before_and_after(meter, monkeypatch, tmp_path):
    root = write(tmp_path, ORIN_NANO)
    monkeypatch.setattr(report, "find_jetson", lambda: True)
    describe = report.describe_state
    monkeypatch.setattr(report, "describe_state", lambda: describe(root))
    with report_energy() as found:
        (root / "sys/class/thermal/thermal_zone1/temp").write_text("71000\n")
    assert found.before["board"]["power_mode"] == {"number": 1, "name": "25W"}
    assert [state["board"]["temperatures"]["gpu"] for state in (found.before, found.after)] == [49.062, 71.0]


def test_meters_are_closed_when_a_picture_fails(meter):
    _, closed = meter
    with pytest.raises(ValueError, match="bad"), report_energy() as found:
        found.add({}, lambda: int("bad"))
    assert closed == [1]
