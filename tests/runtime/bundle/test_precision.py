"""Which precision runs when it is left open: only what held its gate and was faster on this very machine."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from spair.runtime import Bundle, Restorer, UserError
from spair.runtime.bundle.precision import choose_precisions, choose_rows, compare_rows
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


@pytest.mark.sampled(3)
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
    with (
        Restorer.open(bundle.path, backend="onnxruntime") as plain,
        Restorer.open(bundle.path, precision="auto") as chosen,
    ):
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


def timed(ms: float, graphs_ms: float | None = None, **more) -> dict:
    one = entry(20.0, **more)
    one["speed"]["parts"] = {
        "rows": {"fp32_ms": 10.0, "ms": ms, "graphs_ms": graphs_ms, "kept": more.get("kept", True)}
    }
    return one


@pytest.mark.parametrize(
    ("calibration", "expected"),
    [
        ({}, "fp32"),
        ({"bf16": timed(6.0)}, "bf16"),
        ({"bf16": timed(6.0), "int8": timed(5.0)}, "int8"),
        ({"bf16": timed(4.0), "int8": timed(5.0)}, "bf16"),
        ({"int8-bf16": timed(4.0), "int8": timed(5.0)}, "int8-bf16"),
        ({"int8-bf16": {**timed(4.0), "rows_sha256": "of an earlier program"}, "int8": timed(5.0)}, "int8"),
        ({"bf16": timed(12.0, kept=False)}, "fp32"),
        ({"bf16": timed(6.0, passed=False)}, "fp32"),
        ({"bf16": timed(6.0, machine="another processor")}, "fp32"),
        ({"bf16": timed(6.0, threads=3)}, "fp32"),
        ({"bf16": "damaged", "int8": {"passed": True, "speed": None}}, "fp32"),
        ({"fp16": timed(1.0)}, "fp32"),  # it has no row program
        ("damaged", "fp32"),
    ],
)
def test_the_backend_cpu_takes_what_was_fastest_here(tiny_bundle, calibration, expected):
    bundle = Bundle.open(tiny_bundle)
    bundle.manifest.raw["calibration"] = calibration
    bundle.manifest.rows["int8"] = {}
    assert choose_rows(bundle, None) == expected


@pytest.mark.parametrize(
    ("calibration", "expected"),
    [
        ({"int8": timed(5.0, 20.0)}, 0.25),
        ({"int8": timed(5.0)}, None),
        ({"int8": timed(5.0, 20.0, cores=1000)}, None),
        ({"bf16": timed(5.0, 20.0)}, None),
        ("damaged", None),
    ],
)
def test_the_backend_cpu_is_compared_with_onnx_runtime_here(tiny_bundle, calibration, expected):
    bundle = Bundle.open(tiny_bundle)
    bundle.manifest.raw["calibration"] = calibration
    assert compare_rows(bundle, "int8", None) == expected
