"""Watts and joules are shown where they are known, and else the reasons."""

import io

import pytest
from rich.console import Console

from spair.cli.profile.power import describe_power, render_power, show_power
from spair.runtime.profiling.energy import report as energy
from tests.cli.profile.test_page import EVIL, Reader

EMPTY = {"meters": [], "unknown": ["no counter here"], "idle": [], "rows": [], "before": None, "after": None}
BOARD = {
    "power_mode": {"number": 2, "name": "MAXN_SUPER"},
    "clocks": {"gpu": {"mhz": 1020.0, "least_mhz": 306.0, "most_mhz": 1020.0}, "emc": None, "cpu": None},
    "temperatures": {"tj": 61.4},
    "overcurrents": {"oc1": 0, "oc3": 7},
    "throttled": ["gpu-throttle-alert"],
}
CARD = {"temperature_c": 41, "graphics_mhz": 1980, "memory_mhz": None, "throttled": []}


def make_power(whole=True, name="INA"):
    rows = [
        {"precision": "fp32", "threads": None, "backend": "cpu", "size": [64, 48], "mask": mask, "density": density,
         "meter": name, "pictures": 5, "seconds": 2.1, "readings": 9, "watts": 9.5 if whole else None,
         "rails_watts": {"VDD_IN": 9.5, "VDD_SOC": 1.5}, "joules_per_picture": 40 * density if whole else None,
         "rails_joules_per_picture": {"VDD_IN": 40 * density, "VDD_SOC": 3.0}}
        for mask in ("streak", None) for density in (0.02, 0.5)
    ]  # fmt: skip
    idle = [{**rows[0], "pictures": 0, "rails_watts": {"VDD_IN": 5.25}}]
    meters = [{"name": name, "scope": "the board, by its rail VDD_IN", "whole": ["VDD_IN"] * whole}]
    state = {"board": BOARD, "card": CARD}
    return {"meters": meters, "unknown": [], "idle": idle, "rows": rows, "before": state, "after": state}


def show(power):
    stream = io.StringIO()
    show_power(power, Console(file=stream, width=120))
    return stream.getvalue()


def test_the_table_has_joules_and_rails():
    text = show(make_power())
    assert "energy, INA, fp32, all cores, cpu, 64x48" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["streak", "50", "%", "20.000", "9.50", "5", "2.1", "VDD_IN", "9.50,", "VDD_SOC", "1.50"] in rows
    assert any(row[:3] == ["found", "2", "%"] for row in rows), "the network found that mask itself"


def test_the_state_is_said_before_and_after():
    lines = describe_power(make_power())
    words = (
        "power mode MAXN_SUPER (mode 2), gpu 1020 MHz, tj 61 °C, oc3 7 times since the start, slowed by gpu-throttle"
    )
    assert any(line.startswith(f"board before: {words}") for line in lines)
    assert "card after: temperature 41 °C, graphics 1980 MHz, slowed by nothing" in lines
    assert "INA, idle: VDD_IN 5.25 W" in lines


@pytest.mark.parametrize("words", ["power unknown: this machine has no meter", "not measured: no counter here"])
def test_what_is_not_known_is_said(words):
    assert words in show(EMPTY) and words in "".join(render_power(EMPTY))


def test_nothing_is_said_where_nothing_was_asked():
    assert show(None) == "" and list(render_power(None)) == []


@pytest.mark.parametrize("whole", [True, False])
def test_joules_are_plotted_against_density(whole):
    html = "".join(render_power(make_power(whole)))
    series = ("INA",) if whole else ("VDD_IN", "VDD_SOC")
    for name in series:
        assert f"{name}, 50 %: " in html and " J</title>" in html
    assert html.count("<svg") == 1, "one mask was given"
    assert ("no rail measures the whole" in html) is not whole


def test_texts_are_escaped():
    page = Reader("".join(render_power(make_power(name=EVIL))))
    assert not page.all("script")


def test_the_verb_has_a_new_key_and_leaves_it_out_on_demand(spair, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))
    options = ("--size", "24x16", "--check-size", "24x16", "--densities", "0.2", "--masks", "blob", "--repeat", 1)
    run = ("profile", tiny_bundle, *options, "--threads", 1, "--no-layers", "--backend", "onnxruntime", "--no-store")
    done = spair(*run, "--html", tmp_path / "page.html", "--json")
    assert done.code == 0, done.err
    assert done.json["power"] == EMPTY
    assert "no counter here" in (tmp_path / "page.html").read_text()
    monkeypatch.setattr(energy, "find_meters", lambda place: pytest.fail("asked"))
    assert spair(*run, "--no-power", "--json").json["power"] is None
