"""Bfloat16 is measured on whole pictures, and only its figures are stored."""

import json

import numpy as np
import pytest

from spair.calibration import Options, calibrate_bundle
from spair.runtime import Bundle, Restorer
from spair.runtime.bundle.precision import choose_rows
from spair.runtime.cpu.library.compiling import find_compiler
from spair.runtime.errors import GateError, UserError


@pytest.fixture(autouse=True)
def compiler():
    if find_compiler() is None:
        pytest.skip("a C++ compiler is not installed")


def measure(bundle, pairs, **options):
    settings = Options("bf16", tile=32, threads=1, **options)
    return calibrate_bundle(bundle, pairs / "input", settings, targets=pairs / "target")


def test_the_figures_are_those_of_the_backend_cpu(bundle, pairs):
    before = Bundle.open(bundle).manifest
    report = measure(bundle, pairs, max_loss=20.0)
    after = Bundle.open(bundle).manifest
    assert after.graphs == before.graphs and after.rows == before.rows and after.files == before.files
    kept = after.raw["calibration"]["bf16"]
    assert kept["passed"] is True and list(kept["ways"]) == ["rows"] and report["images"] == 5
    assert kept["psnr_delta_db"] == report["psnr_delta_db"] == report["unseen"]["psnr_delta_db"]
    assert "tiles" not in kept and json.dumps(report)
    times = kept["speed"]["parts"]["rows"]
    assert times["ms"] > 0 and times["fp32_ms"] > 0 and times["graphs_ms"] is None, "ONNX Runtime has no bf16"
    assert choose_rows(Bundle.open(bundle), 1) == ("bf16" if times["kept"] else "fp32")


def test_a_missed_gate_writes_nothing(bundle, pairs, monkeypatch):
    before = (bundle / "manifest.json").read_bytes()
    run = Restorer.__call__

    def darken(self, image, **options):
        result = run(self, image, **options)
        if getattr(getattr(self.network, "_localizer", None), "_halves", False):
            result.image[...] = np.where(result.mask[..., None], 0.5 * result.image, result.image)
        return result

    monkeypatch.setattr(Restorer, "__call__", darken)
    with pytest.raises(
        GateError, match=r"bf16 loses \d+\.\d+ dB on .*allowed 0.02 dB and 0 pixels, and nothing was wr"
    ):
        measure(bundle, pairs)
    assert (bundle / "manifest.json").read_bytes() == before


def test_a_bundle_without_a_row_program_is_refused(bundle, pairs):
    manifest = json.loads((bundle / "manifest.json").read_text())
    del manifest["rows"]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="has no row program for the backend cpu"):
        measure(bundle, pairs)


def test_graphs_of_bfloat16_are_not_asked_for(bundle):
    with pytest.raises(UserError, match="has no bf16 graphs .* weights are rounded to bf16 by --backend cpu alone"):
        Restorer.open(bundle, backend="onnxruntime", precision="bf16")
