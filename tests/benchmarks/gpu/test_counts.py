"""The report of counted instructions is the one that is counted anew, and within its bounds."""

import copy
import json
from pathlib import Path

import pytest

from benchmarks.gpu import counts
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
    general = {(row["name"].split(".")[1], row["sm"]): row for row in REPORT["kernels"] if row not in OF_LAYERS}
    assert len(OF_LAYERS) == len(general) == 2 * len(counts.ARCHITECTURES)
    for row in OF_LAYERS:
        kind = row["name"].split(".")[1]
        assert row["warp_instructions_per_pixel"] <= MOST_INSTRUCTIONS[kind, row["sm"] == 90]
        before = general[kind, row["sm"]]["warp_instructions_per_pixel"]
        assert row["warp_instructions_per_pixel"] < before / 3
        assert (row["conversions_in_main_loop"], row["loads_in_main_loop"], row["spills"]) == (0, 0, 0)
        assert row["shared"] <= 48 * KIB
        assert row["tensor_share"] > 0


def test_what_is_counted_is_shown(capsys):
    counts.show(REPORT)
    out = capsys.readouterr().out
    assert "convolve_layer.fp16.fp16.fp16.k3.c64.d64" in out and "launches of plugins" in out
