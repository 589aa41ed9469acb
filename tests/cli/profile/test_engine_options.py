"""Options for engines stand with their backend, and become the setting of the measurement."""

import sys
from types import SimpleNamespace

import pytest

from spair.cli.profile.engine_options import EngineChoice, check_choice, make_setting
from spair.runtime import UserError
from spair.runtime.profiling.engines.runs import Rounds


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"backend": "cuda"}, "--backend is 'cuda'; expected one of auto, cpu, onnxruntime, tensorrt"),
        ({"backend": "onnxruntime", "spin": True}, "--spin is about engines; give --backend tensorrt too"),
        ({"backend": "onnxruntime", "trust_code": True, "nsys": True}, "--trust-code, --nsys is about engines"),
    ],
)
def test_options_that_do_not_go_together_are_refused(given, match):
    with pytest.raises(UserError, match=match):
        check_choice(EngineChoice(**given))


@pytest.mark.parametrize("name", ["times", "profile", "layer_info"])
def test_files_are_checked_before_anything_is_measured(tmp_path, name):
    option = f"--export-{name.replace('_', '-')}"
    with pytest.raises(UserError, match=f"it is a folder; give the name of a file with {option}"):
        check_choice(EngineChoice("tensorrt", **{f"export_{name}": tmp_path}))
    with pytest.raises(UserError, match=f"{option} is about engines"):
        check_choice(EngineChoice("onnxruntime", **{f"export_{name}": tmp_path / "file.json"}))
    check_choice(EngineChoice("tensorrt", **{f"export_{name}": tmp_path / "file.json"}))


def test_the_setting_is_what_was_asked_for(tmp_path):
    choice = EngineChoice("tensorrt", trust_code=True, spin=True, export_times=tmp_path / "x.json")
    setting = make_setting(choice, layers=False, repeat=None)
    assert (setting.trust_code, setting.slots.spin, setting.layers) == (True, True, False)
    assert setting.exports.times == tmp_path / "x.json" and setting.rounds == Rounds() and setting.brief.seconds == 0.5
    assert make_setting(choice, layers=True, repeat=7).brief == Rounds.exactly(7)


def test_ranges_are_opened_when_asked_for_alone(monkeypatch):
    heard = []
    module = SimpleNamespace(push_range=heard.append, pop_range=lambda: None)
    monkeypatch.setitem(sys.modules, "nvtx", module)
    for nsys in (False, True):
        setting = make_setting(EngineChoice("tensorrt", nsys=nsys), layers=True, repeat=1)
        with setting.slots.annotate(f"nsys {nsys}"):
            pass
    assert heard == ["nsys True"]
