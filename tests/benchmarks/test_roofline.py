"""The roofline lists what the network has, divides by nominal peaks, and never calls itself a measurement."""

import copy
import json

import pytest

from benchmarks import roofline
from benchmarks.roofline import (
    ESTIMATE,
    TILES,
    cost_dense,
    cost_rest,
    cost_sparse,
    estimate,
    estimate_all,
    parse_arguments,
)
from benchmarks.subjects.gpus import GPUS, Gpu, find_gpus
from benchmarks.subjects.layers import SparseLayer, list_dense, rewrite
from spair.network.cost import multiply_adds
from spair.plugins.compiler.kernels.tiles import list_tilings
from spair.plugins.compiler.targets import TARGETS
from spair.plugins.cost import Launch, sum_launches

SIZE = ["--size", "128x96"]


def masks(density, shape="blob"):
    return roofline.ScaledMasks(shape, 96, 128, density, 16)


# The network


def test_dense_multiply_adds_are_those_that_pytorch_counts(model, operators):
    counted = multiply_adds(model.preset, 96, 128)
    launches = [*cost_rest(list_dense(model, 96, 128), "fp32"), *cost_dense(operators, masks(0.5), "fp32")]
    assert sum_launches(launches).products == counted["net_l"] + counted["net_r"]


# Launches


def test_sparse_launches_are_those_of_the_plugins(operators):
    names = [launch.name for launch in cost_sparse(operators, masks(0.1), "fp16")]
    assert names.count("sparse_conv2d") == names.count("pack_weight") == 22
    assert names.count("compact_mask") == 23
    assert names.count("clear") == 23  # counters alone
    assert names.count("quantize") == 0


def test_int8_reads_halves_and_quantizes_no_pixel_in_a_launch_of_its_own(operators):
    half, int8 = ([*cost_sparse(operators, masks(0.1), kind)] for kind in ("fp16", "int8"))
    assert {launch.name for launch in int8} - {launch.name for launch in half} == {"combine_scales"}
    assert {launch.kind for launch in int8 if launch.name == "sparse_conv2d"} == {"int8"}
    layers = [operator for operator in operators if isinstance(operator, SparseLayer)]
    pairs = [[launch for launch in part if launch.name == "sparse_conv2d"] for part in (half, int8)]
    for layer, one, other in zip(layers, *pairs, strict=True):
        assert other.written == one.written
        columns, channels = -(-layer.outputs // 16) * 16, -(-layer.channels // 32) * 32
        weights = layer.kernel**2 * columns * (channels - 2 * layer.channels)  # bytes, padded, instead of halves
        assert other.read == one.read + weights + 4 * (layer.outputs + 1)  # and the scales; the pixels are the same


def test_masks_grow_from_scale_to_scale():
    for shape in ("streak", "blob"):
        full, half, quarter = masks(0.1, shape).densities
        assert full == pytest.approx(0.1, abs=1e-4)
        assert full <= half <= quarter
    assert masks(1.0).densities == [1.0, 1.0, 1.0]
    assert masks(1.0).clean_keys(2) == 0 < masks(0.1).clean_keys(2) <= 256


def test_a_measured_activity_is_asked_for_once():
    made = masks(0.1)
    assert made.activity(1, 3) is made.activity(1, 3)
    assert made.activity(0, 3, True).pairs > made.activity(0, 3).pairs


# Times


def test_the_longer_of_both_limits_counts():
    gpu = Gpu("made up", "l4", bandwidth=100.0, fp32=1.0, fp16=10.0, int8=20.0)
    assert gpu.seconds(10**9, 0, "fp16") == pytest.approx(0.01)
    assert gpu.seconds(0, 5 * 10**9, "fp16") == pytest.approx(0.001)
    assert gpu.seconds(10**9, 5 * 10**9, "fp16") == pytest.approx(0.01)
    assert gpu.seconds(10**6, 5 * 10**9, "fp32") == pytest.approx(0.01)
    both = estimate(gpu, [Launch("a", 10**9), Launch("b", products=15 * 10**9, kind="fp16"), Launch("c")])
    assert both == {"ms": pytest.approx(13.0), "memory_share": pytest.approx(10 / 13), "launches": 3}
    assert estimate(gpu, []) == {"ms": 0.0, "memory_share": 0.0, "launches": 0}


def test_the_data_are_in_order():
    assert len({gpu.name for gpu in GPUS}) == len(GPUS)
    assert {gpu.target for gpu in GPUS} <= {target.name for target in TARGETS}
    for gpu in GPUS:
        assert gpu.fp32 < gpu.fp16 < gpu.int8, gpu.name
        assert 1.9 <= gpu.int8 / gpu.fp16 <= 4.1, gpu.name  # four times where FP32 accumulators halve FP16
        assert 50 <= gpu.fp16 * 1e12 / (gpu.bandwidth * 1e9) <= 1000, gpu.name  # operations a byte
    assert find_gpus(("L4", "Thor T5000")) == (GPUS[2], GPUS[3])
    assert find_gpus(()) == GPUS


@pytest.mark.parametrize("kind", TILES)
def test_tiles_are_the_plugin_compilers_first_choice(kind):
    x = "fp16" if kind == "int8" else kind
    parts = (x, kind, x, "pixels", "pixels")
    assert list_tilings("sparse_conv2d", parts, 87)[0].sizes == TILES[kind]


@pytest.mark.parametrize("precision", TILES)
def test_the_report_holds_what_the_mask_saves(model, operators, precision):
    report = estimate_all(model, operators, parse_arguments([*SIZE, "--precision", precision, "--mask", "blob"]))
    assert json.loads(json.dumps(report, allow_nan=False))["estimate"] == ESTIMATE
    assert len(report["rows"]) == 4 * len(GPUS)
    for gpu in GPUS:
        rows = [row for row in report["rows"] if row["gpu"] == gpu.name]
        sparse = [row["sparse"]["ms"] for row in rows]
        assert sparse == sorted(sparse)
        assert len({row["dense"]["ms"] for row in rows}) == len({row["rest"]["ms"] for row in rows}) == 1
        assert rows[-1]["operators_speedup"] < 1  # every pixel is distorted
        for row in rows:
            assert row["operators_speedup"] == pytest.approx(row["dense"]["ms"] / row["sparse"]["ms"])
            whole = (row["rest"]["ms"] + row["dense"]["ms"]) / (row["rest"]["ms"] + row["sparse"]["ms"])
            assert row["network_speedup"] == pytest.approx(whole)


def test_the_estimate_is_labelled(model, operators, capsys):
    arguments = parse_arguments([*SIZE, "--densities", "0.1", "--gpus", "L4,AGX Orin 64GB"])
    roofline.show(estimate_all(model, operators, arguments))
    printed = capsys.readouterr().out
    assert printed.startswith(ESTIMATE)
    assert "no GPU was used" in printed
    assert "an H100 took" in printed
    assert [line.split("  ")[0] for line in printed.splitlines()[-2:]] == ["AGX Orin 64GB", "L4"]


# The command line


def test_json_is_written(model, graph, monkeypatch, tmp_path, capsys, tiny_checkpoint):
    monkeypatch.setattr(roofline, "make_engine_graph", lambda model: rewrite(copy.deepcopy(graph)))
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
