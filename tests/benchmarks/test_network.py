import contextlib
import json

import numpy as np
import pytest

from benchmarks import network as benchmark
from benchmarks.network import judge, measure, parse_arguments, plan_masks, show
from benchmarks.peers.graphs import DENSE_PEERS
from benchmarks.subjects.network import make_picture
from spair.runtime import GateError, UserError, write_image
from spair.runtime.images import Picture

pytestmark = pytest.mark.usefixtures("ready_bundle")


def test_masks_without_a_distorted_or_a_clean_pixel_have_one_shape():
    planned = [
        (shape, density, mask.mean()) for shape, density, mask in plan_masks(("streak", "blob"), (1, 0.5, 0), 10, 8)
    ]
    assert planned == [("none", 0, 0.0), ("streak", 0.5, 0.5), ("blob", 0.5, 0.5), ("all", 1, 1.0)]


def rain_folder(path):
    for number, level in enumerate(("light", "heavy")):
        folder = path / level / "input"
        folder.mkdir(parents=True)
        write_image(folder / "1.png", Picture(make_picture(32, 40 + 8 * number)))
    return path


def test_a_small_run_reports_everything(tmp_path, capsys):
    words = ["--presets", "tiny", "--size", "44x28", "--densities", "0,0.1,1", "--threads", "1", "--repeat", "1"]
    words += ["--peers", "eager,maskless,openvino", "--rain", str(rain_folder(tmp_path))]
    report = json.loads(json.dumps(measure(parse_arguments(words))))
    assert [row["mask"] for row in report["rows"]] == ["none", "streak", "blob", "all"]
    assert [row["over_net_l"] is None for row in report["rows"]] == [False, True, True, True]
    assert all(row["max_error"] <= 1e-4 for row in report["rows"] + report["rain"])
    own = report["backends"]["tiny"] == "cpu"
    assert all(set(row["versus"]) == ({"onnxruntime"} if own else set()) for row in report["rows"])
    assert {row["peer"]: row.get("absent") for row in report["peers"]} == {
        "eager": None,
        "maskless": None,
        "openvino": "openvino is not for tests",
    }
    assert [(row["set"], row["files"]) for row in report["rain"]] == [("light", 1), ("heavy", 1)]
    show(report)
    out = capsys.readouterr().out
    assert "absent: tiny, openvino: openvino is not for tests" in out and "light rain, 1 files: median" in out


def test_a_folder_without_rain_is_refused(opened, tmp_path):
    with pytest.raises(UserError, match="has no PNG files"):
        list(benchmark.measure_rain(opened, tmp_path, parse_arguments([])))


def test_a_wrong_peer_has_no_times_but_costs_nobody_else_theirs(monkeypatch, capsys, tmp_path):
    @contextlib.contextmanager
    def open_cheat(subject):
        yield lambda feeds: {"restored": feeds["image"], "mask": np.ones_like(feeds["image"][:, :1])}

    monkeypatch.setitem(DENSE_PEERS, "eager", open_cheat)
    file = tmp_path / "report.json"
    words = ["--presets", "tiny", "--size", "16x16", "--densities", "0.1", "--peers", "eager,maskless"]
    words += ["--threads", "1", "--repeat", "1", "--json", str(file)]
    monkeypatch.setattr("sys.argv", ["network", *words])
    assert benchmark.main() == 1
    wrong, right = json.loads(file.read_text())["peers"]
    assert "ms" not in wrong and "pixels of the mask differ" in wrong["wrong"]
    assert right["peer"] == "maskless" and right["ms"]["median"] > 0
    assert "no times of tiny, eager: 192 pixels of the mask differ" in capsys.readouterr().out


def test_a_wrong_result_of_ours_ends_the_run_without_times(monkeypatch, capsys, tmp_path):
    def refuse(*arguments):
        raise GateError("adaptive differs")

    monkeypatch.setattr(benchmark, "measure_masks", refuse)
    file = tmp_path / "report.json"
    words = ["--presets", "tiny", "--size", "16x16", "--densities", "0.1", "--threads", "1", "--json", str(file)]
    monkeypatch.setattr("sys.argv", ["network", *words])
    assert benchmark.main() == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.splitlines()[-1] == "error: adaptive differs"
    assert not file.exists()


def test_seconds_of_the_processor_are_those_of_one_thread(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["network", "--clock", "processor", "--threads", "2"])
    assert benchmark.main() == 2
    assert "the clock of the processor adds up all threads; give --threads 1 too" in capsys.readouterr().err


def test_targets_are_judged_by_density():
    rows = [
        {"preset": "tiny", "mask": "none", "density": 0.0, "speedup": 30.0, "over_net_l": 1.2},
        {"preset": "tiny", "mask": "streak", "density": 0.02, "speedup": 6.5, "over_net_l": None},
        {"preset": "tiny", "mask": "streak", "density": 0.2, "speedup": 2.0, "over_net_l": None},
        {"preset": "tiny", "mask": "blob", "density": 0.1, "speedup": 2.9, "over_net_l": None},
        {"preset": "base", "mask": "all", "density": 1.0, "speedup": 0.96, "over_net_l": None},
    ]
    rain = [
        {"set": "light", "files": 40, "speedup": {"median": 2.6}},
        {"set": "heavy", "files": 40, "speedup": {"median": 0.9}},
    ]
    assert {target.name: target.passed for target in judge({"rows": rows, "rain": rain})} == {
        "tiny, none, 0%: times Net_L alone": False,
        "tiny, streak, 2%: speed-up": True,
        "tiny, blob, 10%: speed-up": False,
        "base, all, 100%: speed-up": True,
        "light rain, 40 files: median speed-up": True,
        "heavy rain, 40 files: median speed-up": False,
    }
