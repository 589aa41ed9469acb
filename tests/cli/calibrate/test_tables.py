"""Sentences of `spair calibrate`."""

import pytest

from spair.cli.calibrate.tables import conclusions, signed


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
