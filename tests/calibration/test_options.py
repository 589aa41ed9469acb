"""Options of a calibration: their bounds and the gate that follows from them."""

from dataclasses import replace
from typing import get_args

import pytest

from spair.calibration.options import FEWEST, FEWEST_TILES, GATES_DB, SMALLEST_TILE, Calibrator, Options, Quantize
from spair.runtime import UserError


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"pictures": 3}, "the number of pictures is 3, expected 4 or more"),
        ({"side": 31}, "cut to a side of 31 pixels, expected at least the 32 of a tile"),
        ({"precision": "fp8"}, "the precision is 'fp8', expected one of fp16, bf16, int8, int8-bf16"),
        ({"calibrator": "best"}, "the calibrator is 'best', expected one of minmax"),
        ({"precision": "fp16", "quantize": "weights"}, "quantize is 'weights' with fp16, expected 'both' or int8"),
        ({"tile": 8}, "the tile has a side of 8 pixels, expected 32 or more"),
        ({"tiles": 1}, "the number of tiles is 1, expected 2 or more"),
        ({"percentile": 5.0}, "the percentile is 5 %, expected 50 to 100"),
        ({"max_loss": 0.0}, "the largest loss is 0 dB, expected more than 0"),
        ({"percentile": 100.5}, "the percentile is 100.5 %, expected 50 to 100"),
        ({"percentile": float("nan")}, "the percentile is nan %, expected 50 to 100"),
        ({"max_loss": 100.0}, "the largest loss is 100 dB, expected more than 0 and less than 100"),
        ({"max_loss": float("nan")}, "the largest loss is nan dB, expected more than 0"),
        ({"assumed_psnr": 90.5}, "the assumed PSNR is 90.5 dB, expected 10 to 90"),
        ({"statistics": "some"}, "the statistics is 'some', expected one of masked, all"),
        ({"precision": "fp32"}, "the precision is 'fp32', expected one of fp16, bf16, int8, int8-bf16"),
        ({"assumed_psnr": 1.0}, "the assumed PSNR is 1 dB, expected 10 to 90"),
    ],
)
def test_options_are_checked(options, change, match):
    with pytest.raises(UserError, match=match):
        replace(options, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"pictures": FEWEST},
        {"tile": SMALLEST_TILE, "side": SMALLEST_TILE},
        {"tiles": FEWEST_TILES},
        {"percentile": 50.0},
        {"percentile": 100.0},
        {"assumed_psnr": 10.0},
        {"assumed_psnr": 90.0},
        {"max_loss": 1e-9},
        {"max_loss": 99.9},
        *({"calibrator": name} for name in get_args(Calibrator)),
        *({"quantize": name} for name in get_args(Quantize)),
    ],
    ids=str,
)
def test_what_lies_on_a_bound_is_allowed(options, change):
    changed = replace(options, **change)
    assert {name: getattr(changed, name) for name in change} == change


@pytest.mark.parametrize(
    ("precision", "kind", "gate"),
    [
        ("fp16", "spair", 0.02),
        ("fp16", "foreign", 0.02),
        ("bf16", "spair", 0.02),
        ("int8", "spair", 0.10),
        ("int8-bf16", "spair", 0.10),
        ("int8", "foreign", 0.25),
    ],
)
def test_the_gate_is_that_of_the_precision_unless_one_is_given(precision, kind, gate):
    assert set(GATES_DB) == {"fp16", "bf16", "int8", "int8-bf16"}
    assert Options(precision).gate(kind) == gate
    assert Options(precision, max_loss=0.5).gate(kind) == 0.5
