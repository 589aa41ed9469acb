"""Whole pictures are timed on the kernels, where they work."""

import numpy as np
import pytest

from spair.calibration import rows
from spair.calibration.rows import describe_speed, time_rows
from spair.calibration.statistics.pictures import CalibrationPicture
from spair.runtime import Bundle
from spair.runtime.bundle.precision import choose_rows
from spair.runtime.cpu.library.compiling import find_compiler

PICTURE = CalibrationPicture("a.png", np.random.default_rng(0).random((40, 56, 3), dtype=np.float32))


@pytest.fixture
def proven(monkeypatch):
    if find_compiler() is None:
        pytest.skip("a C++ compiler is not installed")
    monkeypatch.setattr(rows, "refuse_machine", lambda: None)


@pytest.mark.parametrize(("precision", "graphs"), [("bf16", False), ("fp32", True)])
def test_onnx_runtime_takes_turns_where_it_has_the_precision(proven, small_bundle, precision, graphs):
    times = time_rows(Bundle.open(small_bundle), precision, PICTURE, 1)
    assert times["ms"] > 0 and times["fp32_ms"] > 0 and (times["graphs_ms"] is not None) == graphs
    assert times["kept"] == (times["ms"] < rows.WORTH * times["fp32_ms"])


def test_nothing_is_timed_without_kernels_or_a_row_program(proven, small_bundle, monkeypatch):
    assert time_rows(Bundle.open(small_bundle), "int8", PICTURE, 1) is None
    monkeypatch.setattr(rows, "refuse_machine", lambda: "no compiler")
    assert time_rows(Bundle.open(small_bundle), "bf16", PICTURE, 1) is None


@pytest.mark.parametrize("kept", [True, False])
def test_what_is_kept_is_chosen_here_and_with_this_number_of_threads(small_bundle, kept):
    bundle = Bundle.open(small_bundle)
    speed = describe_speed({"fp32_ms": 2.0, "ms": 1.0, "graphs_ms": None, "kept": kept}, PICTURE, 3)
    bundle.manifest.raw["calibration"] = {"bf16": {"passed": True, "speed": speed}}
    assert choose_rows(bundle, 3) == ("bf16" if kept else "fp32") and choose_rows(bundle, 2) == "fp32"
