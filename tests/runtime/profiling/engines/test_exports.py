"""Files have the keys of trtexec's, which other programs read."""

import json

import pytest

from spair.runtime import UserError
from spair.runtime.profiling.engines.exports import Exports, write_layer_info, write_profile, write_times
from tests.runtime.profiling.engines.conftest import make_replay, make_run

LAYERS = {
    "runs": 10,
    "layers": [
        {"name": "conv", "type": None, "ms": 0.3, "median_ms": 0.25, "total_ms": 3.0, "share": 0.75},
        {"name": "add", "type": None, "ms": 0.1, "median_ms": 0.125, "total_ms": 1.0, "share": 0.25},
    ],
    "information": {"Layers": [{"Name": "conv"}, {"Name": "add"}], "Bindings": ["image", "restored"]},
}


def test_times_of_each_run(tmp_path):
    write_times(tmp_path / "times.json", [make_run(10.0), make_run(20.0)])
    first, second = json.loads((tmp_path / "times.json").read_text())
    assert first == {
        "startEnqMs": 10.0, "endEnqMs": 10.25, "startH2dMs": 10.0, "endH2dMs": 11.0, "startComputeMs": 11.0,
        "endComputeMs": 15.0, "startD2hMs": 15.0, "endD2hMs": 15.5, "h2dMs": 1.0, "computeMs": 4.0, "d2hMs": 0.5,
        "latencyMs": 5.5,
    }  # fmt: skip
    assert list(second) == list(first) and second["endD2hMs"] == 25.5


def test_times_of_each_layer(tmp_path):
    write_profile(tmp_path / "profile.json", LAYERS)
    assert json.loads((tmp_path / "profile.json").read_text()) == [
        {"count": 10},
        {"name": "conv", "timeMs": 3.0, "averageMs": 0.3, "medianMs": 0.25, "percentage": 75.0},
        {"name": "add", "timeMs": 1.0, "averageMs": 0.1, "medianMs": 0.125, "percentage": 25.0},
    ]


def test_what_tensorrt_says_of_layers(tmp_path):
    write_layer_info(tmp_path / "layers.json", LAYERS)
    assert json.loads((tmp_path / "layers.json").read_text()) == LAYERS["information"]


def test_replays_have_no_file(tmp_path):
    with pytest.raises(AssertionError, match="a graph has no steps"):
        write_times(tmp_path / "times.json", [make_replay()])
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_absent_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="cannot write .*times.json"):
        write_times(tmp_path / "none" / "times.json", [make_run()])


def test_any_file_is_noticed(tmp_path):
    assert not Exports().any
    assert all(Exports(**{name: tmp_path}).any for name in ("times", "profile", "layer_info"))
