"""Precisions are checked, timed and held against the best dense peer."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.common.measuring import Times
from benchmarks.cpu import precisions as benchmark
from benchmarks.cpu.precisions import check_lower, hold, measure, open_precisions, parse_arguments, rate, show
from benchmarks.peers.install import PeerAbsentError
from benchmarks.subjects.network import make_picture
from spair.runtime import Bundle, GateError, Restorer, UserError, write_image
from spair.runtime.cpu.library import unavailable
from spair.runtime.images import Picture

pytestmark = [
    pytest.mark.usefixtures("ready_bundle"),
    pytest.mark.skipif(unavailable() is not None, reason="a C++ compiler is not installed"),
]


def test_a_small_run_reports_everything(tmp_path, capsys):
    for role, seed in (("rainy", 0), ("clean", 9)):
        (tmp_path / role).mkdir()
        write_image(tmp_path / role / "1.png", Picture(np.roll(make_picture(32, 40), seed, axis=1)))
    words = ["--size", "44x28", "--densities", "0,0.1,1", "--threads", "1", "--repeat", "1"]
    words += ["--rain", str(tmp_path / "rainy"), "--clean", str(tmp_path / "clean")]
    report = json.loads(json.dumps(measure(parse_arguments(words))))
    assert [row["mask"] for row in report["rows"]] == ["none", "streak", "all"]
    for row in report["rows"] + report["rain"]:
        assert set(row["ms"]) == {"fp32", "bf16", "dense"} and set(row["ratios"]) == {"fp32", "bf16"}
        assert row["ratios"]["fp32"] == row["ms"]["dense"] / row["ms"]["fp32"]
    assert report["rows"][2]["errors"]["bf16"] > 0 and set(report["rain"][0]["psnr_delta_db"]) == {"bf16"}
    show(report)
    out = capsys.readouterr().out
    assert "x fp32" in out and "bf16: " in out and " dB, worst " in out


def test_exact_precisions_are_held_against_exact_peers():
    ms = {"fp32": 10.0, "int8": 4.0, "dense": 40.0, "openvino": 30.0, "openvino-bf16": 20.0}
    figures = rate({name: Times(value, value, value) for name, value in ms.items()}, {"fp32": 0, "int8": 0})
    assert {name: figure.value for name, figure in figures.items()} == {"fp32": 3.0, "int8": 5.0}


def test_a_quantized_peer_has_its_quality_beside_its_speed(tmp_path, capsys, monkeypatch):
    """It is no peer that ratios refer to, since it loses quality."""

    class Quantized:
        def open(self, size):
            return lambda feeds: {"restored": feeds["image"] * np.float32(0.5), "mask": feeds["image"][:, :1]}

    monkeypatch.setattr(benchmark, "NncfPeer", lambda graph, pictures, threads: Quantized())
    write_image(tmp_path / "1.png", Picture(make_picture(32, 40)))
    words = ["--size", "44x28", "--densities", "1", "--threads", "1", "--repeat", "1"]
    for role in ("rain", "clean", "ranges"):
        words += [f"--{role}", str(tmp_path)]
    report = measure(parse_arguments(words))
    row = report["rain"][0]
    assert "openvino-nncf" in row["ms"] and "openvino-nncf" not in row["ratios"]
    assert row["ratios"]["fp32"] == row["ms"]["dense"] / row["ms"]["fp32"]
    assert row["psnr_delta_db"]["openvino-nncf"] < -1
    show(report)
    assert "openvino-nncf: " in capsys.readouterr().out


def test_an_absent_quantizer_is_left_out(tmp_path, capsys, monkeypatch):
    def refuse(*arguments):
        raise PeerAbsentError("no network")

    monkeypatch.setattr(benchmark, "NncfPeer", refuse)
    network = SimpleNamespace(bundle=SimpleNamespace(graph=lambda *names: None))
    assert benchmark.quantize(network, parse_arguments(["--ranges", str(tmp_path)])) is None
    assert "no openvino-nncf: no network" in capsys.readouterr().err


def test_a_run_is_held_to_an_earlier_one(tmp_path, capsys):
    row = {"mask": "streak", "density": 0.1, "ratios": {"fp32": 4.0}, "spreads": {"fp32": 0.01}}
    report = {"size": [44, 28], "threads": 1, "machine": {"cpu": "EPYC"}, "instructions": "avx2", "rows": [row]}
    file = tmp_path / "figures.json"
    assert hold(report, parse_arguments(["--keep", str(file)])) == 0
    assert hold(report, parse_arguments(["--against", str(file)])) == 0
    row["ratios"]["fp32"] = 3.0
    assert hold(report, parse_arguments(["--against", str(file)])) == 1
    assert "worse: 44x28, 1 threads, streak 10%, fp32: 3.00 times its peer, 4.00 before" in capsys.readouterr().out
    report["instructions"] = "avx512"  # other instructions are another processor
    assert hold(report, parse_arguments(["--against", str(file)])) == 0


def test_a_wrong_picture_has_no_times(tiny_bundle, monkeypatch):
    image, mask = make_picture(24, 32), np.arange(24 * 32).reshape(24, 32) % 3 == 0
    with open_precisions(Bundle.open(tiny_bundle), 1) as restorers:
        assert 0 < check_lower("bf16", restorers["bf16"], restorers["fp32"], image, mask) < 0.02
        call = Restorer.__call__

        def spoil(self, picture, **options):
            result = call(self, picture, **options)
            if self is restorers["bf16"]:
                result.image[~mask] += np.float32(1e-3)
            return result

        monkeypatch.setattr(Restorer, "__call__", spoil)
        with pytest.raises(GateError, match="or touches clean pixels"):
            check_lower("bf16", restorers["bf16"], restorers["fp32"], image, mask)


def test_a_folder_without_pictures_is_refused(tmp_path, monkeypatch, capsys):
    with pytest.raises(UserError, match="has no PNG files"):
        list(benchmark.measure_rain(None, {}, None, parse_arguments(["--rain", str(tmp_path)])))
