"""The report of counted instructions is the one that is counted anew, and within its bounds."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import counts
from spair.export.engines import target
from spair.plugins.compiler.kernels.kernel import MOST_INSTRUCTIONS
from spair.plugins.compiler.kernels.occupancy import KIB
from tests.plugins.conftest import kernel_settings  # noqa: F401

REPORT = json.loads((Path(__file__).parents[3] / "docs/results/kernel-counts.json").read_text(encoding="utf-8"))
OF_LAYERS = [row for row in REPORT["kernels"] if row["name"].startswith("convolve_layer")]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("architecture", map(int, counts.ARCHITECTURES))
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
    assert len(OF_LAYERS) == len(general) == len(counts.LAYERS) * len(counts.ARCHITECTURES)
    for row in OF_LAYERS:
        x, weight = types_of(row)
        before = general[types_of(row), row["sm"]]["warp_instructions_per_pixel"]
        assert row["warp_instructions_per_pixel"] < before / (3 if x == weight else 1)
        if x == weight:
            assert row["warp_instructions_per_pixel"] <= MOST_INSTRUCTIONS[x, row["sm"] == 90]
        assert (row["conversions_in_main_loop"], row["loads_in_main_loop"], row["spills"]) == (0, 0, 0)
        assert row["shared"] <= 48 * KIB
        assert row["tensor_share"] > 0


def test_a_layer_of_an_int8_engine_issues_as_many_times_the_instructions_as_a_build_says():
    issued = {(types_of(row), row["sm"]): row["warp_instructions_per_pixel"] for row in OF_LAYERS}
    times = [issued[("fp16", "int8"), sm] / issued[("fp16", "fp16"), sm] for sm in map(int, counts.ARCHITECTURES)]
    words = f"{min(times):.1f} to {max(times):.1f} times as many instructions"
    assert min(times) > 1 and words in target.WHY_NAMED


def types_of(row: dict[str, Any]) -> tuple[str, str]:
    """Types of x and of the weights, from a kernel's name."""
    _, x, weight, *_ = row["name"].split(".")
    return x, weight


def test_what_is_counted_is_shown(capsys):
    counts.show(REPORT)
    out = capsys.readouterr().out
    assert "convolve_layer.fp16.fp16.fp16.k3.c64.d64" in out and "launches of plugins" in out
