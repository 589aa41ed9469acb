"""The report of counted instructions is the one that is counted anew, and within its bounds."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.estimates.counted import read_tiles
from benchmarks.estimates.predictions import STAND_INS
from benchmarks.gpu import counts
from benchmarks.gpu.harness.engines import list_network_layers
from benchmarks.subjects.gpus import GPUS
from spair.export.engines import target
from spair.plugins.compiler.kernels.kernel import MOST_FOR_STEPS, MOST_INSTRUCTIONS
from spair.plugins.compiler.kernels.occupancy import KIB
from spair.plugins.compiler.kernels.variants import Layer
from tests.plugins.conftest import kernel_settings  # noqa: F401

REPORT = json.loads((Path(__file__).parents[3] / "docs/results/kernel-counts.json").read_text(encoding="utf-8"))
OF_LAYERS = [row for row in REPORT["kernels"] if row["name"].startswith("convolve_layer")]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("architecture", [*map(int, counts.ARCHITECTURES)])
def test_kernels_are_as_the_report_has_them(kernel_settings, architecture):  # noqa: F811
    pytest.importorskip("triton", reason="the kernels are written in Triton")
    rows = counts.count_kernels([architecture], kernel_settings)
    assert rows == [row for row in REPORT["kernels"] if row["sm"] == architecture], (
        "the kernels have other instructions; if they are meant to, write the report anew: "
        "python -m benchmarks.gpu.counts --json docs/results/kernel-counts.json"
    )


def test_the_network_is_as_the_report_has_it(graph):
    assert counts.count_graph(copy.deepcopy(graph)) == REPORT["network"]


def test_the_kernels_of_layers_keep_their_bounds_and_issue_a_third_of_the_general_ones():
    general = {(types_of(row), row["sm"]): row for row in REPORT["kernels"] if row not in OF_LAYERS}
    assert len(OF_LAYERS) == len(counts.LAYERS) * len(counts.ARCHITECTURES)
    for row in OF_LAYERS:
        x, weight = types_of(row)
        before = general[types_of(row), row["sm"]]["warp_instructions_per_pixel"]
        assert row["warp_instructions_per_pixel"] < before / (3 if x == weight else 1)
        if x == weight:
            most = MOST_INSTRUCTIONS[x, row["sm"] == 90] + MOST_FOR_STEPS[gives_of(row)]
            assert row["warp_instructions_per_pixel"] <= most
        assert (row["conversions_in_main_loop"], row["loads_in_main_loop"], row["spills"]) == (0, 0, 0)
        assert row["shared"] <= 48 * KIB
        assert row["tensor_share"] > 0


def test_int8_is_built_unasked_where_it_was_counted_to_issue_less_than_fp16():
    ratios = {int(name): ratio for name, ratio in REPORT["int8_per_fp16"].items()}
    assert set(ratios) == set(map(int, REPORT["tiles"]))
    for architecture, (least, most) in ratios.items():
        if most < 1:
            assert architecture not in target.NOT_FEWER
        else:
            words = f"issue {least:.2f} to {most:.2f} times the instructions of FP16's"
            assert target.NOT_FEWER[architecture] == words
    assert set(target.NOT_FEWER) - set(ratios) == set(STAND_INS), "what is not understood"


def test_int8_is_compared_with_fp16_as_the_report_has_it(model, graph):
    tiles = {int(name): read_tiles(rows) for name, rows in REPORT["tiles"].items()}
    assert counts.compare_int8(model, graph, tiles) == REPORT["int8_per_fp16"]


def gives_of(row: dict[str, Any]) -> str:
    """Return what a kernel writes, by its name."""
    return row["name"].partition(".to_")[2] or "float"


def types_of(row: dict[str, Any]) -> tuple[str, str]:
    """Types of x and of the weights, from a kernel's name."""
    _, x, weight, *_ = row["name"].split(".")
    return x, weight


def test_what_is_counted_is_shown(capsys):
    counts.show(REPORT)
    out = capsys.readouterr().out
    assert "convolve_layer.fp16.fp16.fp16.k3.c64.d64" in out and "launches of plugins" in out


@pytest.mark.sampled(40)
@pytest.mark.parametrize("name", [name for name in REPORT["tiles"]["90"] if name.startswith("convolve_layer")])
@pytest.mark.parametrize("architecture", [*map(int, REPORT["tiles"])])
def test_tiles_are_as_the_report_has_them(kernel_settings, architecture, name):  # noqa: F811
    pytest.importorskip("triton", reason="the kernels are written in Triton")
    x, weight, out, *sizes = name.split(".")[1:]
    kernel, channels, outputs = (int(size[1:]) for size in sizes[:3])
    joined = sum(int(size[1:]) for size in sizes[3:] if size.startswith("j"))
    gives = next((size.removeprefix("to_") for size in sizes[3:] if size.startswith("to_")), "float")
    layer = Layer(x, weight, out, kernel, channels, outputs, "up" in sizes, joined, gives)
    variants = [variant for variant in counts.list_counted(architecture, [layer]) if variant.name == name]
    assert counts.count_tiles(architecture, variants, kernel_settings) == {
        name: REPORT["tiles"][str(architecture)][name]
    }


def test_every_layer_of_the_network_has_a_tile_for_every_architecture(graph):
    layers = [*list_network_layers(copy.deepcopy(graph)), *counts.list_int8_layers(graph)]
    wanted = {"convolve_layer." + ".".join(layer.parts) for layer in layers}
    for rows in REPORT["tiles"].values():
        assert {name for name in rows if name.startswith("convolve_layer")} == wanted
    assert any(layer.coarse for layer in layers) and any(layer.joined for layer in layers)


def test_stand_ins_have_code_that_is_not_understood():
    architectures = {gpu.architecture for gpu in GPUS}
    assert set(STAND_INS) < architectures and set(STAND_INS.values()) < architectures
    assert set(map(int, REPORT["tiles"])) == architectures - set(STAND_INS)
