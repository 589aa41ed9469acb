"""The roofline estimates both sides of every GPU as intervals, and never calls itself a measurement."""

import copy
import json

import pytest

from benchmarks import roofline
from benchmarks.estimates.launches import TILES
from benchmarks.estimates.predictions import Estimate
from benchmarks.roofline import ESTIMATE, divide, estimate_all, parse_arguments
from benchmarks.subjects.gpus import GPUS, find_gpus
from spair.plugins.compiler.targets import TARGETS

SIZE = ["--size", "128x96"]


def test_the_data_are_in_order():
    assert len({gpu.name for gpu in GPUS}) == len(GPUS)
    assert {gpu.target for gpu in GPUS} <= {target.name for target in TARGETS}
    for gpu in GPUS:
        assert gpu.fp32 < gpu.fp16 < gpu.int8, gpu.name
        assert 1.9 <= gpu.int8 / gpu.fp16 <= 4.1, gpu.name  # four times where FP32 accumulators halve FP16
        assert 50 <= gpu.fp16 * 1e12 / (gpu.bandwidth * 1e9) <= 1000, gpu.name  # operations a byte
    assert find_gpus(("L4", "Thor T5000")) == (GPUS[2], GPUS[3])
    assert find_gpus(()) == GPUS


def test_ratios_end_where_both_sides_are_off_to_opposite_sides():
    slow, fast = Estimate(8.0, 6.0, 12.0, 1), Estimate(2.0, 1.0, 3.0, 1)
    assert divide(slow, fast) == {"ratio": 4.0, "low": 2.0, "high": 12.0}


@pytest.mark.parametrize("precision", TILES)
def test_the_report_holds_what_the_mask_saves(model, operators, precision):
    words = ["--size", "1280x960", "--precision", precision, "--mask", "blob"]
    report = estimate_all(model, operators, parse_arguments(words))
    assert json.loads(json.dumps(report, allow_nan=False))["estimate"] == ESTIMATE
    assert len(report["rows"]) == 4 * len(GPUS)
    for gpu in GPUS:
        rows = [row for row in report["rows"] if row["gpu"] == gpu.name]
        sparse = [row["sparse"]["ms"] for row in rows]
        assert sparse == sorted(sparse)
        assert len({row["dense"]["ms"] for row in rows}) == len({row["rest"]["ms"] for row in rows}) == 1
        for row in rows:
            for part in ("rest", "dense", "sparse"):
                assert row[part]["low_ms"] < row[part]["ms"] < row[part]["high_ms"]
            assert row["operators_speedup"]["ratio"] == pytest.approx(row["dense"]["ms"] / row["sparse"]["ms"])
            whole = (row["rest"]["ms"] + row["dense"]["ms"]) / (row["rest"]["ms"] + row["sparse"]["ms"])
            assert row["network_speedup"]["ratio"] == pytest.approx(whole)


def test_the_estimate_is_labelled(model, operators, capsys):
    arguments = parse_arguments([*SIZE, "--densities", "0.1", "--gpus", "L4,B200"])
    roofline.show(estimate_all(model, operators, arguments))
    printed = capsys.readouterr().out
    assert printed.startswith(ESTIMATE)
    assert "no GPU was used" in printed
    assert "measured / model: sums of layers" in printed
    assert printed.splitlines()[-1].startswith("B200: their code is not understood")
    assert "L4" in printed.splitlines()[-4]


# The command line


def test_measured_times_are_shown_beside_the_models(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["roofline", "--fit"])
    assert roofline.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith(("fp16", "fp32", "int8"))]) == 12 + 17


def test_json_is_written(model, graph, monkeypatch, tmp_path, capsys, tiny_checkpoint):
    monkeypatch.setattr(roofline, "export_network", lambda model: copy.deepcopy(graph))
    words = ["roofline", str(tiny_checkpoint), *SIZE, "--gpus", "L4", "--json", str(tmp_path / "r.json")]
    monkeypatch.setattr("sys.argv", words)
    assert roofline.main() == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert [row["density"] for row in report["rows"]] == [0.02, 0.1, 0.35, 1.0]
    assert report["gpus"][0]["bandwidth"] == 300.0
    assert ESTIMATE in capsys.readouterr().out


def test_a_missing_checkpoint_is_one_sentence(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("sys.argv", ["roofline", str(tmp_path / "no.safetensors")])
    assert roofline.main() == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "1000x700"], "multiples of 8"),
        (["--gpus", "GTX 970"], "there is no 'GTX 970'"),
        (["--densities", "2"], "outside of 0..1"),
        (["--precision", "fp8"], "invalid choice"),
    ],
)
def test_wrong_options_are_refused(words, message, capsys):
    with pytest.raises(SystemExit):
        parse_arguments(words)
    assert message in capsys.readouterr().err
