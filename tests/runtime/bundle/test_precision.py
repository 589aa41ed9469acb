"""Which precision runs when it is left open: only what held its gate and was faster on this very machine."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from spair.runtime import Bundle, Restorer, UserError
from spair.runtime.bundle.precision import choose_precisions
from spair.runtime.bundle.writer import extend_bundle
from spair.runtime.machine.processor import count_cores, read_cpu_name

PARTS = ("net_l", "net_r", "net_r_packed")


def entry(ms: float, *, passed: bool = True, kept: bool = True, **speed) -> dict:
    here = {"machine": read_cpu_name(), "cores": count_cores(), "threads": None}
    parts = {part: {"fp32_ms": 10.0, "ms": ms, "kept": kept} for part in PARTS[1:]}
    return {"passed": passed, "speed": {**here, "parts": parts, **speed}}


@pytest.fixture
def calibrated(tiny_bundle: Path, tmp_path: Path):
    """A copy of the tiny bundle whose fp16 and int8 graphs are its fp32 ones, with the given calibrations."""

    def make(**calibrations) -> Bundle:
        bundle = Bundle.open(shutil.copytree(tiny_bundle, tmp_path / "copy.spair"))
        graphs = dict(bundle.manifest.graphs)
        files = {}
        for precision in ("fp16", "int8"):
            graphs[precision] = {part: f"graphs/{precision}/{part}.onnx" for part in graphs["fp32"]}
            files |= {path: bundle.graph("fp32", part) for part, path in graphs[precision].items()}
        return extend_bundle(bundle, {"graphs": graphs, "calibration": calibrations}, files)

    return make


def choose(bundle: Bundle, backend: str = "onnxruntime", threads: int | None = None) -> dict[str, str]:
    return choose_precisions(bundle, PARTS, backend, threads)


def test_the_fastest_is_taken_for_each_graph(calibrated):
    bundle = calibrated(fp16=entry(8.0), int8=entry(5.0))
    assert choose(bundle) == {"net_l": "fp32", "net_r": "int8", "net_r_packed": "int8"}


@pytest.mark.parametrize(
    "calibration",
    [
        {},
        {"int8": entry(5.0, passed=False)},
        {"int8": entry(12.0, kept=False)},
        {"int8": entry(5.0, machine="another processor")},
        {"int8": entry(5.0, cores=1000)},
        {"int8": entry(5.0, threads=3)},
        {"int8": {"passed": True, "speed": None}},
        {"int8": {"passed": True, "speed": {"parts": []}}},
        {"int8": "fast"},
        {"int4": entry(1.0)},
        "fast",
    ],
    ids=str,
)
def test_all_else_runs_in_fp32(calibrated, calibration):
    bundle = calibrated()
    bundle = extend_bundle(bundle, {"calibration": calibration}, {})
    assert set(choose(bundle).values()) == {"fp32"}


def test_what_was_timed_elsewhere_says_nothing(calibrated):
    bundle = calibrated(int8=entry(5.0))
    assert set(choose(bundle, backend="cuda").values()) == {"fp32"}
    assert set(choose(bundle, threads=1).values()) == {"fp32"}


def test_the_restorer_opens_what_is_chosen(calibrated):
    bundle = calibrated(int8=entry(5.0))
    image = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    with Restorer.open(bundle.path) as plain, Restorer.open(bundle.path, precision="auto") as chosen:
        assert np.array_equal(plain(image).image, chosen(image).image)
    damaged = bundle.path / "graphs" / "int8" / "net_r.onnx"
    damaged.write_bytes(damaged.read_bytes() + b" ")
    with pytest.raises(UserError, match="int8/net_r.onnx was changed"):
        Restorer.open(bundle.path, precision="auto")
    Restorer.open(bundle.path).close()


@pytest.mark.parametrize(
    ("precision", "advice"), [("fp16", "spair calibrate .* --images DIR --precision fp16"), ("x", "choose one")]
)
def test_an_absent_precision_says_how_to_get_it(tiny_bundle, precision, advice):
    with pytest.raises(UserError, match=rf"has no {precision} graphs \(it has: fp32\); .*{advice}"):
        Restorer.open(tiny_bundle, precision=precision)
