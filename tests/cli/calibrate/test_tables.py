"""Sentences of `spair calibrate`."""

import pytest
from rich.console import Console

from spair.cli.calibrate.tables import conclusions, show_calibration, signed


def test_speed_is_told_either_way():
    report = {
        "precision": "int8", "passed": True, "psnr_delta_db": -0.01, "gate_db": -0.1, "images": 4, "layers": 2,
        "assumed_psnr_db": None, "kept_fp16": ["a"], "kept_fp32": [], "casts": {"model": {"casts": 3}}, "ways": {},
        "file_ratio": 0.3, "file_ratio_target": 0.35, "stored": True, "unseen": {"images": 2, "psnr_delta_db": -0.03},
        "speed": {"threads": None, "parts": {"net_l": {"fp32_ms": 2.0, "ms": 3.0, "kept": False},
                                             "net_r": {"fp32_ms": 9.0, "ms": 3.0, "kept": True}}},
    }  # fmt: skip
    text = "\n".join(conclusions(report))
    assert "Net_L takes 3.0 ms, in fp32 2.0: no faster here, --precision auto runs fp32" in text
    assert "Net_R dense takes 3.0 ms, in fp32 9.0: int8 is kept" in text
    assert "1 in fp16 kept higher; 3 casts" in text and "-0.0300 dB over the 2 that gave no range" in text
    assert "every picture also gave ranges" in "\n".join(conclusions({**report, "unseen": None}))


@pytest.mark.parametrize(("value", "text"), [(-0.0, "0.0000"), (-1e-6, "0.0000"), (0.02, "+0.0200"), (-0.1, "-0.1000")])
def test_a_change_of_nothing_has_no_sign(value, text):
    assert signed(value) == text


def test_a_precision_without_layers_of_its_own_has_no_table():
    report = {
        "precision": "bf16", "passed": True, "psnr_delta_db": 0.004, "gate_db": -0.02, "images": 8, "layers": 42,
        "assumed_psnr_db": None, "kept_fp16": [], "kept_fp32": [], "casts": {}, "table": [], "file_ratio": None,
        "file_ratio_target": None, "stored": True, "unseen": {"images": 8, "psnr_delta_db": 0.004}, "speed": None,
        "ways": {"rows": {"psnr_delta_db": 0.004, "worst": {"name": "70.png", "psnr_delta_db": -0.02},
                          "clean_changed": 0, "mask_changed": 0.001}},
    }  # fmt: skip
    console = Console(width=200)
    with console.capture() as captured:
        show_calibration(report, console)
    lines = captured.get().splitlines()
    assert lines[0].startswith("gate       passed: +0.0040 dB over 8 pictures")
    assert "the backend cpu, distorted pixels alone; worst 70.png" in lines[1]
    assert not any(line.startswith(("files", "layer ")) for line in lines)
